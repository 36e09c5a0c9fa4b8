"""Readings that come in from ingest, and the answers of the energy routes."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from pydantic import AwareDatetime, BaseModel, Field

from mes_server.kit.command import Command

CODE = r"^[A-Za-z0-9._-]{1,64}$"
WH_MAX = 1e15


class ReadingFact(NamedTuple):
    """Running totals of a meter at `at_ms`, kept monotone by edge and ingest; None: this record did not say it (unchanged)."""

    meter: str
    at_ms: int
    import_wh: float | None
    export_wh: float | None
    reactive_varh: float | None


class ShiftFact(NamedTuple):
    """From `at_ms` on the total of `register` (its wire name) is `wh` above what the meter's display shows."""

    meter: str
    at_ms: int
    register: str
    wh: float


class SwapMeter(Command):
    """Another meter hangs there since `at`. Readings as on the displays, in Wh and varh, times the transformer ratio where the edge has one.

    Only the registers that both meters have need to be given beside the imported energy.
    """

    type: ClassVar[str] = "energy.meter_swapped"
    right: ClassVar[str] = "supervise.correct"

    meter: str = Field(pattern=CODE)
    at: AwareDatetime
    old_import_wh: float = Field(ge=0, le=WH_MAX, description="End reading of the old meter")
    new_import_wh: float = Field(ge=0, le=WH_MAX, description="Start reading of the new meter")
    old_export_wh: float | None = Field(None, ge=0, le=WH_MAX)
    new_export_wh: float | None = Field(None, ge=0, le=WH_MAX)
    old_reactive_varh: float | None = Field(None, ge=0, le=WH_MAX)
    new_reactive_varh: float | None = Field(None, ge=0, le=WH_MAX)
    old_serial: str = Field("", max_length=64)
    new_serial: str = Field("", max_length=64)
    reason: str = Field(min_length=1, max_length=400)


class SwapView(BaseModel):
    """A meter's exchange as it was told. `shift_wh`: what it changes in the imported energy beside what the edge itself had made of it."""

    meter: str
    at: str
    old_import_wh: float
    new_import_wh: float
    old_serial: str
    new_serial: str
    reason: str
    by: str | None
    shift_wh: float


class SwapPreview(BaseModel):
    """What an exchange would do to the imported energy of its production day [`from`, `to`), up to now. Nothing is stored.

    `seen_wh`: what the old meter's display showed when it was last read before (`seen_at`). `wh_before`, `wh_after`: the day without and with it.
    """

    meter: str
    day: str
    from_: str = Field(serialization_alias="from")
    to: str
    seen_wh: float | None
    seen_at: str | None
    wh_before: float | None
    wh_after: float | None


class LoadPoint(BaseModel):
    """A bucket that begins at `at`: `wh` null where nothing is known; `estimated`: a part was spread over a gap."""

    at: str
    wh: float | None
    w_mean: float | None
    estimated: bool


class MeterLoad(BaseModel):
    meter: str
    points: list[LoadPoint]


class MeterSummary(BaseModel):
    """`estimated_share` 0..1 of `wh`; `coverage` 0..1 of the elapsed window. `w_max_15min` over whole clock-aligned 15-minute blocks."""

    meter: str
    name_zh: str
    name_en: str
    kind: str
    machine: str | None
    line: str | None
    wh: float | None
    varh: float | None
    pf: float | None
    w_max_15min: float | None
    w_max_at: str | None
    estimated_share: float | None
    coverage: float | None
    idle_wh: float | None


class Summary(BaseModel):
    """The site over a window. `unmetered_wh` = incomer - (machines + utilities); negative says a meter is wrong or missing data."""

    meters: list[MeterSummary]
    machines_wh: float | None
    utilities_wh: float | None
    incomer_wh: float | None
    unmetered_wh: float | None
    good: int
    wh_per_good: float | None
    idle_wh: float | None
    coverage: float | None
    w_max_15min: float | None
    w_max_at: str | None
    how_zh: str
    how_en: str


class MonthOut(BaseModel):
    """A calendar month in the plant's zone. `pf` = P / sqrt(P² + Q²) from the month's energies, never a mean of power factors."""

    month: str
    wh: float | None
    varh: float | None
    pf: float | None
    demand_w_max_15min: float | None
    demand_at: str | None
    estimated_share: float | None
    coverage: float | None
