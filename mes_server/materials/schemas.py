"""Commands and views of material. Quantities in JSON are in the item's unit, with at most three decimals."""

from __future__ import annotations

from typing import ClassVar

from pydantic import AwareDatetime, BaseModel
from pydantic.types import StrictFloat, StrictInt

from mes_server.kit.command import Command
from mes_server.work_orders.schemas import Code, EventRef, LabelCode, Note, OperationRef

QuantitySaid = StrictInt | StrictFloat


class ReceiveLot(Command):
    type: ClassVar[str] = "material.received"
    right: ClassVar[str] = "floor.material"

    lot: LabelCode
    item: Code
    quantity: QuantitySaid
    supplier: Note | None = None
    expires_at: AwareDatetime | None = None


class ConsumeMaterial(Command):
    """Material of a lot goes into an operation; with `serial` into that one piece."""

    type: ClassVar[str] = "material.consumed"
    right: ClassVar[str] = "floor.material"

    operation: OperationRef
    lot: LabelCode
    quantity: QuantitySaid
    serial: LabelCode | None = None
    machine: Code | None = None
    confirmed: bool = False


class ProduceMaterial(Command):
    """A piece gets its serial, or pieces make a lot. It does not count pieces: reports and machines do."""

    type: ClassVar[str] = "material.produced"
    right: ClassVar[str] = "floor.material"

    operation: OperationRef
    machine: Code | None = None
    serial: LabelCode | None = None
    lot: LabelCode | None = None
    quantity: QuantitySaid = 1
    confirmed: bool = False


class ReverseMaterial(Command):
    """Takes back a consumption or a production: own act for ten seconds, later a supervisor."""

    type: ClassVar[str] = "material.reversed"
    right: ClassVar[str] = "floor.material"

    reverses: EventRef
    note: Note | None = None


class LotView(BaseModel):
    lot: str
    item: str
    unit: str
    quantity: float
    remaining: float
    status: str
    on_hold: bool
    supplier: str | None
    expires_at: str | None
    received_at: str
    operation: str | None


class LoadedLot(BaseModel):
    """A lot that was used on an operation and is not used up."""

    lot: str
    item: str
    operation: str
    remaining: float
    unit: str
