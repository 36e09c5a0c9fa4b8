"""Shapes of the tablets' door."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from mes_server.kit.command import Command
from mes_server.materials.schemas import LoadedLot
from mes_server.quality.schemas import HoldView
from mes_server.work_orders.schemas import Code, EventRef, OperationView

BATCH_MAX = 500


class CallHelp(Command):
    type: ClassVar[str] = "help.called"
    right: ClassVar[str] = "floor.report"

    machine: Code
    kind: Literal["leader", "maintenance", "quality", "material"]


class AnswerHelp(Command):
    type: ClassVar[str] = "help.answered"
    right: ClassVar[str] = "floor.report"

    call: EventRef


class RetryRefused(Command):
    """The supervisor books a refused act after all; the order's state no longer forbids it."""

    type: ClassVar[str] = "decide.retried"
    right: ClassVar[str] = "supervise.correct"

    refused: EventRef


class DropRefused(Command):
    type: ClassVar[str] = "decide.dropped"
    right: ClassVar[str] = "supervise.correct"

    refused: EventRef
    note: Annotated[str | None, Field(max_length=500)] = None


class ActAnswer(BaseModel):
    """Its place in the journal, whether it had been recorded before, and what it changed."""

    event_id: str
    seq: int
    replay: bool
    body: dict[str, Any]


class ActsBatch(BaseModel):
    """A tablet's waiting acts in its order, each as for POST /acts; `device_time` is the tablet's clock now.

    `waiting`: acts that stay on the tablet behind these, for a later upload; null where it does not say.
    """

    device_time: AwareDatetime
    acts: Annotated[list[dict[str, Any]], Field(max_length=BATCH_MAX)]
    waiting: Annotated[int, Field(ge=0, le=1_000_000)] | None = None


class BatchResult(BaseModel):
    """done | replay | refused (it is on the list “To decide”) | retry (send it again, with everything after it for the same operation)."""

    event_id: str | None
    status: Literal["done", "replay", "refused", "retry"]
    body: dict[str, Any] | None = None
    problem: dict[str, Any] | None = None


class BatchAnswer(BaseModel):
    results: list[BatchResult]
    clock_offset_s: float  # how far the tablet's clock is ahead of the plant's


class RefusedView(BaseModel):
    event_id: str
    type: str
    person: str | None
    device: str | None
    occurred_at: str
    refused_at: str
    problem: dict[str, Any]
    act: dict[str, Any]
    status: str


class DecideBody(BaseModel):
    """The supervisor's own act."""

    event_id: UUID
    occurred_at: AwareDatetime
    note: Annotated[str | None, Field(max_length=500)] = None


class ScanView(BaseModel):
    """What a code means; `data` holds what the screen of that kind needs."""

    kind: Literal["operation", "order", "lot", "serial", "machine", "station", "reason", "item", "gs1", "badge", "unknown", "misread"]
    code: str
    label_zh: str
    label_en: str
    data: dict[str, Any] | None


# --- the station's home -------------------------------------------------------------------------------------------------------------------
class HomeMachine(BaseModel):
    code: str
    name_zh: str
    name_en: str
    state: str
    since: str | None
    alarm: str | None
    alarm_zh: str | None
    alarm_en: str | None
    power_w: float | None
    stale: bool


class OrderHead(BaseModel):
    number: str
    quantity: int
    due: str | None
    status: str
    item: dict[str, Any]


class HourView(BaseModel):
    hour: str
    good: int
    target: int | None


class Notice(BaseModel):
    """Something the operator must see once: the order was changed, held, cancelled."""

    id: str
    kind: str
    zh: str
    en: str


class JobView(BaseModel):
    operation: OperationView
    order: OrderHead
    machine: str
    last_cycle_s: float | None
    eta: str | None
    hours: list[HourView]
    chips: list[int]
    notice: Notice | None


class NextView(BaseModel):
    operation: OperationView
    order: OrderHead


class ReasonTile(BaseModel):
    code: str
    zh: str
    en: str


class OpenStopView(BaseModel):
    machine: str
    from_: Annotated[str, Field(alias="from")]
    to: str | None
    state: str
    alarm: str | None
    suggested_reason: str | None

    model_config = {"populate_by_name": True}


class LastAct(BaseModel):
    event_id: str
    type: str
    at: str
    person: str | None
    text_zh: str
    text_en: str
    undoable: bool
    reversed: bool


class CallView(BaseModel):
    call: str
    machine: str
    kind: str
    person: str | None
    since: str


class HomeView(BaseModel):
    station: dict[str, str]
    at: str
    machines: list[HomeMachine]
    jobs: list[JobView]
    next: list[NextView]
    scrap_reasons: list[ReasonTile]
    stop_reasons: list[ReasonTile]
    open_stops: list[OpenStopView]
    loaded: list[LoadedLot]
    last_acts: list[LastAct]
    holds: list[HoldView]
    calls: list[CallView]


class PassportView(BaseModel):
    """Everything known about one piece."""

    serial: str
    item: dict[str, str]
    order: str
    status: str
    on_hold: bool
    produced_at: str
    machine: str | None
    person: str | None
    lots: list[dict[str, Any]]
    defects: list[dict[str, Any]]
    holds: list[HoldView]
    kwh: float | None
    operations: list[dict[str, Any]]
