"""Answers of the composed views, as API.md names them, and the acts on actions. Null means not known, never zero."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, Field

from mes_server.kit.command import Command
from mes_server.machine_states.schemas import GapOut, StateOut
from mes_server.oee.schemas import OeeRecord, StopOut

DAY = r"^\d{4}-\d{2}-\d{2}$"


# --- plant now ----------------------------------------------------------------------------------------------------------------------
class TileOut(BaseModel):
    """A machine's present. `target_shift`: good pieces the planned time gone by should have given at the line's target OEE."""

    code: str
    name_zh: str
    name_en: str
    line: str
    state: str
    since: str | None
    alarm: str | None
    alarm_zh: str | None
    alarm_en: str | None
    reason: str | None
    reason_zh: str | None
    reason_en: str | None
    order: str | None
    operation: str | None
    item: str | None
    good_shift: int | None
    target_shift: int | None
    oee_shift: float | None
    coverage_shift: float | None
    power_w: float | None
    stale: bool
    known_until: str | None


class Totals(BaseModel):
    """`good` and `planned` are pieces of last operations in this shift; `power_known` false: some meter's power is missing."""

    oee: float | None
    oee_target: float | None
    coverage: float | None
    good: int
    planned: int | None
    power_w: float | None
    power_known: bool
    how_zh: str
    how_en: str


class ShiftNow(BaseModel):
    code: str
    name_zh: str
    name_en: str
    from_: str = Field(serialization_alias="from")
    to: str


class PlantNow(BaseModel):
    at: str
    machines: list[TileOut]
    totals: Totals
    shift: ShiftNow | None


# --- a machine's day ----------------------------------------------------------------------------------------------------------------
class HourCount(BaseModel):
    """Pieces of the hour that begins at `from`; hours nothing is known of are left out."""

    from_: str = Field(serialization_alias="from")
    good: int
    scrap: int


class AlarmSpan(BaseModel):
    from_: str = Field(serialization_alias="from")
    to: str | None
    code: str
    zh: str
    en: str


class PowerPoint(BaseModel):
    """`w_mean` from the meter's running total; `w_min`/`w_max` from samples, null where there are none. `known` false: unknown or estimated."""

    at: str
    w_mean: float | None
    w_min: float | None
    w_max: float | None
    known: bool


class OrderSpan(BaseModel):
    operation: str
    item: str
    from_: str = Field(serialization_alias="from")
    to: str | None
    good: int


class MachineDay(BaseModel):
    machine: str
    day: str
    from_: str = Field(serialization_alias="from")
    to: str
    states: list[StateOut]
    counts: list[HourCount]
    target_per_h: float | None
    alarms: list[AlarmSpan]
    power: list[PowerPoint]
    orders: list[OrderSpan]
    stops: list[StopOut]
    gaps: list[GapOut]
    oee: OeeRecord
    meter: str | None


# --- yesterday ----------------------------------------------------------------------------------------------------------------------
class ShiftOut(BaseModel):
    shift: str
    name_zh: str
    name_en: str
    day: str
    from_: str = Field(serialization_alias="from")
    to: str
    planned_s: float


class Spark(BaseModel):
    day: str
    oee: float | None


class LineRow(BaseModel):
    """`good`: pieces the line's last machines made; `plan`: what their planned time should give at the line's target."""

    line: str
    name_zh: str
    name_en: str
    oee: float | None
    target: float | None
    spark: list[Spark]
    coverage: float | None
    good: int
    plan: int | None
    a: float | None
    p: float | None
    q: float | None
    flags: list[str]
    how_zh: str
    how_en: str


class LossRow(BaseModel):
    """One machine's lost planned time by one cause (what GET /stops?reason= takes); `new`: none of it in the 13 days before."""

    reason: str
    zh: str
    en: str
    machine: str
    minutes: float
    count: int
    pieces: float | None
    money: float | None
    new: bool


class LateOrder(BaseModel):
    order: str
    item: str
    late_by_s: int
    good: int
    quantity: int
    cause_zh: str
    cause_en: str
    new_promise: str | None


class Deviation(BaseModel):
    """`baseline`: mean of the 13 days before, of those that are known."""

    value: float | None
    baseline: float | None
    days: int


class EnergyBlock(BaseModel):
    wh_per_good: Deviation
    idle_wh: Deviation
    demand_w_max: Deviation
    wh: Deviation
    coverage: float | None


class ActionOut(BaseModel):
    id: str
    text: str
    person: str | None
    due: str | None
    done: bool
    topic: str | None
    day: str | None
    overdue: bool


class Yesterday(BaseModel):
    """`closed`: every machine is known to the end of the day; `late_acts`: acts of the day that came in after it and restated it."""

    day: str
    from_: str = Field(serialization_alias="from")
    to: str
    shifts: list[ShiftOut]
    closed: bool
    late_acts: int
    lines: list[LineRow]
    losses: list[LossRow]
    late_orders: list[LateOrder]
    energy: EnergyBlock
    actions: list[ActionOut]
    focus_machine: str | None


# --- wall ---------------------------------------------------------------------------------------------------------------------------
class WallNumber(BaseModel):
    """One of three big numbers: `key` output | oee | demand; unit pcs | ratio | W. `note` is the small line under it."""

    key: str
    zh: str
    en: str
    value: float | None
    target: float | None
    unit: str
    note_zh: str
    note_en: str


class Wall(BaseModel):
    at: str
    line: str | None
    shift: ShiftNow | None
    tiles: list[TileOut]
    numbers: list[WallNumber]


# --- actions ------------------------------------------------------------------------------------------------------------------------
class MakeAction(Command):
    type: ClassVar[str] = "action.made"
    right: ClassVar[str] = "read"

    text: str = Field(min_length=1, max_length=400)
    person: str | None = Field(None, max_length=100)
    due: str | None = Field(None, pattern=DAY)
    topic: str | None = Field(None, max_length=160)
    day: str | None = Field(None, pattern=DAY)


class ChangeAction(Command):
    """What is left out stays."""

    type: ClassVar[str] = "action.changed"
    right: ClassVar[str] = "read"

    text: str | None = Field(None, min_length=1, max_length=400)
    person: str | None = Field(None, max_length=100)
    due: str | None = Field(None, pattern=DAY)
    done: bool | None = None


# --- health -------------------------------------------------------------------------------------------------------------------------
class BrokerHealth(BaseModel):
    """`restarts`: how often the built-in broker ended and was started again since the server's start."""

    connected: bool
    since: str | None
    restarts: int = 0


class FaultOut(BaseModel):
    """Something of the server itself that is wrong just now; see kit/faults.py for the parts. Words in both languages, with the next step."""

    part: str
    grave: bool
    since_s: float | None
    zh: str
    en: str
    next_zh: str
    next_en: str


class JournalHealth(BaseModel):
    records: int
    sealed: int
    bad_seq: int | None


class QuarantineHealth(BaseModel):
    """Payloads of edges that could not be read or booked; the list is GET /ingest/quarantine."""

    records: int
    newest: str | None
    reason: str


class ServerHealth(BaseModel):
    version: str
    uptime_s: float
    db: str
    telemetry: str
    broker: BrokerHealth
    acts_waiting: int
    journal: JournalHealth
    quarantine: QuarantineHealth
    faults: list[FaultOut]


class TabletHealth(BaseModel):
    """A tablet with acts that have not come in; `heard_s` seconds ago it said so."""

    device: str
    waiting: int
    heard_s: float


class SystemHealth(BaseModel):
    server: ServerHealth
    tablets: list[TabletHealth]
    edges: list[dict[str, Any]]
    erp: dict[str, Any] | None


class Progress(BaseModel):
    """How far the history has come in: records the edges hold against records stored, and people's acts that still wait on tablets.

    `expected` null: not known yet. While not `done`, pieces may still move between operations, and stops between reasons.
    """

    expected: int | None
    stored: int
    acts_waiting: int
    done: bool
