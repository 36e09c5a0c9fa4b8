"""From facts to the slices that own their meaning. The one place of ingest that calls machine_states, work_orders, energy and plant."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.ingest.facts import Facts
from mes_server.kit import journal
from mes_server.kit.acts import recorded_ms
from mes_server.kit.ids import derived_id


class Link(NamedTuple):
    """What a device is in the plant: a machine, a meter, or both (a machine with its own meter)."""

    machine: str | None
    meter: str | None


class Counted(NamedTuple):
    """Pieces booked on one operation by one call."""

    operation: str
    good: int
    scrap: int
    from_ms: int
    to_ms: int


@dataclass(slots=True)
class DeviceFacts:
    """Facts of one device in one transaction; `newest` is what its tile should say now."""

    edge: str
    epoch: str
    first_n: int
    device: str
    link: Link
    facts: Facts = field(default_factory=Facts)

    @property
    def source(self) -> str:
        return f"{self.edge}:{self.epoch}"


class Booking(Protocol):
    """Where facts go. The production one is SliceBooking; a recording one serves the laws in tests."""

    def links(self, session: Session) -> dict[tuple[str, str], Link]:
        """(edge, device) -> Link, of the plant model as it is now."""
        ...

    def book(self, session: Session, batch: Sequence[DeviceFacts]) -> list[tuple[DeviceFacts, str, Counted]]:
        """Books everything in the caller's transaction; returns (device, machine, counted) of each operation touched."""
        ...


def append_counted(session: Session, counted: Sequence[tuple[DeviceFacts, str, Counted]]) -> None:
    """One journal record per operation touched: the outbox of the ERP."""
    for source, machine, one in counted:
        payload = {
            "operation": one.operation,
            "machine": machine,
            "good": one.good,
            "scrap": one.scrap,
            "from": iso(one.from_ms),
            "to": iso(one.to_ms),
        }
        journal.append(
            session,
            event_id=str(derived_id("counted", source.edge, source.epoch, source.first_n, machine, one.operation)),
            type="production.counted",
            subject=f"operation:{one.operation}",
            occurred_ms=one.to_ms,
            recorded_ms=recorded_ms(session),
            person=None,
            device=source.device,
            payload=json.dumps(payload, ensure_ascii=False, separators=(",", ":")),
        )
