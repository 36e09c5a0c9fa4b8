"""The events of the plant. Times are plant time, whole milliseconds since 1970 UTC."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

Value = int | float | str


@dataclass(frozen=True, slots=True)
class StateEvent:
    """A machine's true state from now on; `cause` says why (a piece, an alarm, an order, a break…)."""

    at_ms: int
    machine: str
    state: str
    alarm: str
    cause: str


@dataclass(frozen=True, slots=True)
class VarEvent:
    """A PLC variable takes a new value: exactly what the OPC UA server will say, with its mess."""

    at_ms: int
    machine: str
    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class CountEvent:
    """One piece counted by the machine itself (`good` or `scrap` is 1)."""

    at_ms: int
    machine: str
    order: str
    operation: int
    good: int
    scrap: int


@dataclass(frozen=True, slots=True)
class PieceEvent:
    """One piece left an operation, whoever counts it."""

    at_ms: int
    piece: int
    order: str
    operation: int
    machine: str
    started_ms: int
    result: str  # good | scrap
    reason: str
    serial: str


@dataclass(frozen=True, slots=True)
class LotEvent:
    """So much of a lot was carried to an operation of an order and is used up there."""

    at_ms: int
    order: str
    operation: int
    item: str
    lot: str
    quantity: float


@dataclass(frozen=True, slots=True)
class PowerEvent:
    """A meter's load is `watts` from now on (piecewise constant, so its energy is exact)."""

    at_ms: int
    meter: str
    watts: float
    var: float


@dataclass(frozen=True, slots=True)
class MinuteEvent:
    """Energy totals of all meters at a full plant minute: meter -> (Wh, varh)."""

    at_ms: int
    totals: dict[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class ActEvent:
    """Something a person enters at a tablet: `body` is what the API's act carries beside type, event_id and occurred_at."""

    at_ms: int
    station: str
    person: str
    type: str
    body: dict[str, Any]
    event_id: str
    stray: bool = False  # a second scan of the same thing: the product must make one effect of it, so it is no truth


@dataclass(frozen=True, slots=True)
class OfflineEvent:
    """A tablet loses its network until `until_ms`; what is entered meanwhile is sent late, in one batch."""

    at_ms: int
    station: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class PlcEvent:
    """The controller of a line goes down or comes back. `fault` = asked for by a fault plan, not by the scenario."""

    at_ms: int
    line: str
    up: bool
    fault: bool


@dataclass(frozen=True, slots=True)
class ErpEvent:
    """The ERP learns something by itself. kind: order | lot ; data as in its changes feed."""

    at_ms: int
    kind: str
    data: dict[str, Any]


Event = StateEvent | VarEvent | CountEvent | PieceEvent | LotEvent | PowerEvent | MinuteEvent | ActEvent | OfflineEvent | PlcEvent | ErpEvent


def uuid7(at_ms: int, key: str) -> str:
    """A UUIDv7 of that moment whose random bits come from `key`: client-made ids that a second run makes again."""
    bits = int.from_bytes(hashlib.sha256(key.encode()).digest()[:10], "big")
    value = (at_ms & (2**48 - 1)) << 80 | 0x7 << 76 | ((bits >> 62) & 0xFFF) << 64 | 0b10 << 62 | bits & (2**62 - 1)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
