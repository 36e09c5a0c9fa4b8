"""Answers of the OEE routes, as API.md names them. Seconds and ratios are numbers; null means it cannot be said."""

from __future__ import annotations

from pydantic import BaseModel, Field


class LossOut(BaseModel):
    """`pieces` = seconds ÷ ideal cycle of what the machine makes; null where no cycle is known."""

    key: str
    zh: str
    en: str
    seconds: float
    pieces: float | None


class IsoFigures(BaseModel):
    a: float | None
    p: float | None
    q: float | None
    oee: float | None


class TpmFigures(BaseModel):
    a: float | None
    p: float | None
    q: float | None


class OeeRecord(BaseModel):
    """One scope over one window. `planned_s` is the whole window's, `coverage` is of the elapsed part; `losses` add up from planned to good."""

    scope: str
    from_: str = Field(serialization_alias="from")
    to: str
    planned_s: float
    elapsed_s: float
    pbt_s: float
    known_s: float
    coverage: float | None
    apt_s: float
    aust_s: float
    adet_s: float
    adot_s: float
    extra_s: float
    good: int
    scrap: int
    total: int
    ideal_s_good: float | None
    ideal_s_total: float | None
    iso: IsoFigures
    tpm: TpmFigures
    oee: float | None
    target: float | None
    flags: list[str]
    losses: list[LossOut]
    how_zh: str
    how_en: str


class ShiftRecord(OeeRecord):
    """A record of one shift of one production day."""

    day: str
    shift: str


class DayRecord(OeeRecord):
    day: str


class StepOut(BaseModel):
    key: str
    zh: str
    en: str
    seconds: float
    kind: str


class ParetoRow(BaseModel):
    """`reason`: a reason's code, "micro", "no_order" or "state.<state>" where nobody said one: what GET /stops?reason= takes."""

    reason: str
    zh: str
    en: str
    seconds: float
    count: int
    pieces: float | None


class Losses(BaseModel):
    record: OeeRecord
    waterfall: list[StepOut]
    pareto: list[ParetoRow]


class StopOut(BaseModel):
    """One stop. `seconds` lie inside the asked window, `planned_s` of them in planned time: what losses and Pareto add up."""

    machine: str
    from_: str = Field(serialization_alias="from")
    to: str | None
    seconds: float
    planned_s: float
    state: str
    alarm: str
    alarm_zh: str
    alarm_en: str
    reason: str | None
    reason_zh: str
    reason_en: str
    reason_by: str | None
    reason_at: str | None
    note: str
    operation: str | None
    micro: bool
    open: bool
    cause: str
