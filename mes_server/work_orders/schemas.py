"""Commands and views of orders. Times in JSON are ISO 8601 UTC; pieces are whole numbers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field
from pydantic.types import StrictFloat, StrictInt

from mes_server.kit.command import Command
from mes_server.kit.wording import worded

Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
OperationRef = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}/\d{1,6}$", description="order/number, e.g. WO-1001/20")]
# A number of any kind, so that the rules can answer a fraction or a barcode in the plant's words instead of the parser's.
PiecesSaid = StrictInt | StrictFloat
Origin = Literal["chip", "pad", "scan", "machine", "import"]


def printable(text: str) -> str:
    """Any language, any sign; but no control characters (a store refuses NUL) and no half characters."""
    if any((sign < " " and sign not in "\n\t") or sign == "\x7f" or "\ud800" <= sign <= "\udfff" for sign in text):
        raise worded("含有控制字符", "holds control characters")
    return text


Note = Annotated[str, Field(max_length=500), AfterValidator(printable)]
# A supplier's own code, as it stands on the label: one line, nothing before or after it.
LabelCode = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(printable), Field(pattern=r"^\S(.*\S)?$")]
EventRef = Annotated[str, Field(pattern=r"^[0-9a-fA-F-]{36}$", description="event_id of the act it is about")]


class StartOperation(Command):
    """Begins work on a machine. `confirmed`: a supervisor runs it on another machine than planned."""

    type: ClassVar[str] = "operation.started"
    right: ClassVar[str] = "floor.start"

    operation: OperationRef
    machine: Code
    unverified: bool = False  # the tablet did not know the order (offline)
    confirmed: bool = False


class InterruptOperation(Command):
    type: ClassVar[str] = "operation.interrupted"
    right: ClassVar[str] = "floor.start"

    operation: OperationRef
    machine: Code


class CompleteOperation(Command):
    type: ClassVar[str] = "operation.completed"
    right: ClassVar[str] = "floor.start"

    operation: OperationRef


class ReportProduction(Command):
    """Pieces made since the last report. On a machine-counted operation `good` must be 0; scrap and rework are moved out of the machine's count."""

    type: ClassVar[str] = "production.reported"
    right: ClassVar[str] = "floor.report"

    operation: OperationRef
    machine: Code
    good: PiecesSaid = 0
    scrap: PiecesSaid = 0
    rework: PiecesSaid = 0
    reason: Code | None = None
    serials: Annotated[tuple[LabelCode, ...], Field(max_length=500)] = ()
    origin: Origin = "chip"
    confirmed: bool = False


class UndoProduction(Command):
    """Takes back an own act within ten seconds of it."""

    type: ClassVar[str] = "production.undone"
    right: ClassVar[str] = "floor.report"

    reverses: EventRef


class CorrectProduction(Command):
    """Says what a report should have said; the difference is booked. Own act this shift, or with the right supervise.correct."""

    type: ClassVar[str] = "production.corrected"
    right: ClassVar[str] = "floor.report"

    reverses: EventRef
    good: PiecesSaid
    scrap: PiecesSaid
    rework: PiecesSaid = 0
    reason: Code
    note: Note | None = None
    confirmed: bool = False


class CreateOrder(Command):
    """An order for an item at its current routing and BOM revision (they are copied into it)."""

    type: ClassVar[str] = "order.created"
    right: ClassVar[str] = "plan.orders"

    number: Code
    item: Code
    quantity: Annotated[int, Field(ge=1, le=999_999)]
    due: AwareDatetime | None = None
    priority: Annotated[int, Field(ge=1, le=9)] = 5
    release: bool = True


class ChangeOrder(Command):
    """A planner's change; a quantity below what is made is refused with what is made."""

    type: ClassVar[str] = "order.changed"
    right: ClassVar[str] = "plan.orders"

    order: Code
    quantity: Annotated[int, Field(ge=1, le=999_999)] | None = None
    due: AwareDatetime | None = None
    priority: Annotated[int, Field(ge=1, le=9)] | None = None


class _OrderAct(Command):
    right: ClassVar[str] = "plan.orders"

    order: Code
    note: Note | None = None


class ReleaseOrder(_OrderAct):
    type: ClassVar[str] = "order.released"


class HoldOrder(_OrderAct):
    type: ClassVar[str] = "order.held"


class ResumeOrder(_OrderAct):
    type: ClassVar[str] = "order.resumed"


class CompleteOrder(_OrderAct):
    type: ClassVar[str] = "order.completed"


class CloseOrder(_OrderAct):
    type: ClassVar[str] = "order.closed"


class CancelOrder(_OrderAct):
    type: ClassVar[str] = "order.cancelled"


# --- views --------------------------------------------------------------------------------------------------------------------------------
class RunView(BaseModel):
    machine: str
    person: str | None
    from_: Annotated[str, Field(alias="from")]
    to: str | None

    model_config = {"populate_by_name": True}


class OperationView(BaseModel):
    id: str
    order: str
    number: int
    name_zh: str
    name_en: str
    status: str
    machine_class: str
    machines: list[str]
    counting: str
    cycle_s: float | None
    setup_s: float | None
    planned: int
    good: int
    scrap: int
    rework: int
    available: int  # pieces the operation before has ready for this one
    over: bool
    held: bool
    started_at: str | None
    ended_at: str | None
    runs: list[RunView]


class ItemName(BaseModel):
    code: str
    name_zh: str
    name_en: str


class ErpLink(BaseModel):
    id: str
    version: int


class OrderView(BaseModel):
    number: str
    item: ItemName
    unit: str
    tracking: str
    box_quantity: int | None
    quantity: int
    quantity_before: int | None  # before its last change, where it was changed after its release
    status: str
    priority: int
    due: str | None
    late_by_s: int | None
    good: int
    scrap: int
    created_at: str
    started_at: str | None
    since: str
    erp: ErpLink | None
    pending_change: dict[str, object] | None
    operations: list[OperationView]


class CountView(BaseModel):
    machine: str
    operation: str | None
    good: int
    scrap: int
    first_at: str
    last_at: str


# --- facts of machines (see ingest) ---------------------------------------------------------------------------------------------------------
class CountRow(NamedTuple):
    """Pieces a machine counted since its previous total (`since_ms`), seen at `at_ms`; what its own tags said then ("" = none)."""

    at_ms: int
    good: int
    scrap: int
    order: str
    operation: str
    since_ms: int


class CountedRow(NamedTuple):
    """What one operation gained (or, negative, lost) and the first and last moment of those pieces."""

    operation: str
    good: int
    scrap: int
    from_ms: int
    to_ms: int
