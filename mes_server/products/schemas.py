"""Shapes of an item, as API.md names them; also what other slices see."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mes_server.kit.command import Command

Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Tracking = Literal["none", "lot", "serial"]
Counting = Literal["machine", "person", "both"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BomLine(_Part):
    """A component: `quantity` of its unit for one piece, used at an operation (None: at the first)."""

    item: Code
    quantity: float = Field(gt=0, le=1e6)
    operation: int | None = Field(default=None, ge=1, le=9_999)


class Bom(_Part):
    """No `revision`: the server makes the next one if the content differs from the current one."""

    revision: Code | None = None
    lines: tuple[BomLine, ...] = Field(default=(), max_length=2_000)


class RoutingOperation(_Part):
    """One step. `cycle_s` is the ideal seconds a piece (None: unknown, then performance and OEE are unknown); empty `machines`: any of the class."""

    number: int = Field(ge=1, le=9_999)
    name_zh: Name
    name_en: Name
    machine_class: Code
    machines: tuple[Code, ...] = Field(default=(), max_length=100)
    setup_s: float = Field(default=0.0, ge=0, le=604_800)
    cycle_s: float | None = Field(default=None, gt=0, le=604_800)
    counting: Counting = "machine"
    milestone: bool = False


class Routing(_Part):
    revision: Code | None = None
    operations: tuple[RoutingOperation, ...] = Field(default=(), max_length=200)


class ItemBody(_Part):
    """An item with its current bill of material and routing."""

    code: Code
    name_zh: Name
    name_en: Name
    unit: Annotated[str, StringConstraints(min_length=1, max_length=20)] = "pcs"
    tracking: Tracking = "none"
    family: Code | None = None
    box_quantity: float | None = Field(default=None, gt=0, le=1e6)
    gtin: Annotated[str, StringConstraints(pattern=r"^\d{8}$|^\d{12,14}$")] | None = None
    bom: Bom | None = None
    routing: Routing | None = None


class Item(ItemBody):
    """What is read back: both are there, with their revision, or null where the item has none."""


class PutItem(Command):
    """Adds or changes an item. A `bom` or `routing` left out keeps the current one."""

    type: ClassVar[str] = "item.changed"
    right: ClassVar[str] = "model.edit"

    item: ItemBody


class RevisionView(_Part):
    kind: Literal["bom", "routing"]
    revision: str
    number: int
    recorded_at: str
    current: bool
