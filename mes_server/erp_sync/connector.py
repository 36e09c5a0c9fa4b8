"""The contract of an ERP connector: ISA-95 nouns in, steps that look before they write out.

A connector is a mapping, its steps and a table of errors; outbox, order, retry, desk and read-back are shared code (service.py).
Its records are the neutral shapes of API.md's items and orders; what it cannot map it refuses in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

ENTITIES = ("items", "boms", "routings", "lots", "orders")  # in the order in which one needs the other
ErrorKind = Literal["retry", "refused", "config", "unknown"]


@dataclass(frozen=True, slots=True)
class ErpRecord:
    """One ERP object, whole, at its newest version. `version` grows with every change."""

    entity: str
    id: str
    version: int
    deleted: bool
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Probe:
    """What answered: name, version and what it can do ("changes", "confirmations", "lookup", "stock", "reversal")."""

    name: str
    version: str
    capabilities: frozenset[str]


@dataclass(slots=True)
class OutMessage:
    """One confirmation on its way; steps write what they learn into `document` and `read_back`."""

    message_id: str
    reference: str
    order_number: str
    sequence: int
    kind: str
    body: dict[str, Any]
    document: str | None = None
    read_back: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an error means for the message: retry by itself, go to the desk, stop the lane, or unknown (desk)."""

    kind: ErrorKind
    code: str
    words_en: str
    words_zh: str
    retry_s: float | None = None


class ErpError(Exception):
    """Anything an ERP call can end with; `Connector.classify` says what it means."""


class Step(Protocol):
    """One write at the ERP. `already_done` looks for it by our own keys; `verify` reads it back."""

    name: str

    def already_done(self, message: OutMessage) -> bool: ...

    def do(self, message: OutMessage) -> None: ...

    def verify(self, message: OutMessage) -> str:
        """Empty when the ERP holds what was sent, else the difference in words."""
        ...


class Connector(Protocol):
    """All calls block and may raise ErpError; they run in the sync thread, never in a request."""

    def probe(self) -> Probe: ...

    def changes(self, entity: str, cursor: str) -> tuple[list[ErpRecord], str, bool]:
        """Records after `cursor`, the next cursor, and whether more wait."""
        ...

    def fetch(self, entity: str, id: str) -> ErpRecord | None: ...

    def plan(self, message: OutMessage) -> Sequence[Step]: ...

    def reverse(self, document: str, message: OutMessage) -> Sequence[Step]: ...

    def stock(self, item: str | None = None, lot: str | None = None) -> list[dict[str, Any]]: ...

    def classify(self, error: ErpError) -> Verdict: ...

    def close(self) -> None: ...
