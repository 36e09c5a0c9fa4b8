"""From facts to the slices that own their meaning. The one place of ingest that calls machine_states, work_orders, energy and plant."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.energy import service as energy
from mes_server.energy.schemas import ReadingFact, ShiftFact
from mes_server.ingest.facts import Facts
from mes_server.kit import journal
from mes_server.kit.acts import recorded_ms
from mes_server.kit.ids import derived_id
from mes_server.machine_states import service as machine_states
from mes_server.machine_states.schemas import GapFact, LiveFact, StateFact, WatchFact
from mes_server.plant import service as plant
from mes_server.work_orders import service as work_orders
from mes_server.work_orders.schemas import CountRow


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


class LiveWord(NamedTuple):
    """What a machine says now, booked or not."""

    machine: str
    at_ms: int
    state: str | None
    state_raw: int | None
    alarm: str | None
    order: str | None
    operation: str | None


class Booking(Protocol):
    """Where facts go. The production one is SliceBooking; a recording one serves the laws in tests."""

    def links(self, session: Session) -> dict[tuple[str, str], Link]:
        """(edge, device) -> Link, of the plant model as it is now."""
        ...

    def book(self, session: Session, batch: Sequence[DeviceFacts]) -> list[tuple[DeviceFacts, str, Counted]]:
        """Books everything in the caller's transaction; returns (device, machine, counted) of each operation touched."""
        ...

    def book_live(self, session: Session, words: Sequence[LiveWord]) -> None:
        """The newest word of machines, while their booked history may still be on the way."""
        ...


class SliceBooking:
    """Calls machine_states, work_orders and energy, in this order: gaps, states, counts, readings, watch."""

    def links(self, session: Session) -> dict[tuple[str, str], Link]:
        model = plant.model(session)
        found = {(one.edge, one.device): Link(one.code, None) for one in model.machines.values() if one.edge and one.device}
        for meter in model.meters.values():
            if meter.edge and meter.device:
                key = (meter.edge, meter.device)
                found[key] = Link(found[key].machine if key in found else None, meter.code)
        return found

    def book(self, session: Session, batch: Sequence[DeviceFacts]) -> list[tuple[DeviceFacts, str, Counted]]:
        machine_states.record_gaps(session, [gap for one in batch for gap in _gaps(one)])
        machine_states.record_states(session, [state for one in batch for state in _states(one)])
        counted: list[tuple[DeviceFacts, str, Counted]] = []
        for one in batch:
            machine = one.link.machine
            if machine is not None and one.facts.counts:
                rows = [CountRow(*count) for count in one.facts.counts]
                counted.extend((one, machine, Counted(*row)) for row in work_orders.record_machine_counts(session, machine, rows))
        energy.record_shifts(session, [shift for one in batch for shift in _shifts(one)])
        energy.record_readings(session, [reading for one in batch for reading in _readings(one)])
        machine_states.record_watch(session, [mark for one in batch for mark in _watch(one)])
        return counted

    def book_live(self, session: Session, words: Sequence[LiveWord]) -> None:
        machine_states.record_live(session, [LiveFact(*word) for word in words])


def _subjects(one: DeviceFacts) -> list[str]:
    return [code for code in (one.link.machine, one.link.meter) if code is not None]


def _gaps(one: DeviceFacts) -> list[GapFact]:
    return [
        GapFact(
            subject,
            one.device,
            one.source,
            one.link.machine,
            gap.from_ms,
            gap.to_ms,
            gap.cause.value,
            gap.detail[:200],
            gap.counter_reset,
            gap.parts_max,
        )
        for subject in _subjects(one)
        for gap in one.facts.gaps
    ]


def _states(one: DeviceFacts) -> list[StateFact]:
    machine = one.link.machine
    return [] if machine is None else [StateFact(machine, *state) for state in one.facts.states]


def _readings(one: DeviceFacts) -> list[ReadingFact]:
    meter = one.link.meter
    return [] if meter is None else [ReadingFact(meter, *reading) for reading in one.facts.readings]


def _shifts(one: DeviceFacts) -> list[ShiftFact]:
    meter = one.link.meter
    return [] if meter is None else [ShiftFact(meter, *shift) for shift in one.facts.shifts]


def _watch(one: DeviceFacts) -> list[WatchFact]:
    first, proven = one.facts.first_ms, one.facts.proven_ms
    if first is None or proven is None:
        return []
    return [WatchFact(subject, one.source, first, proven) for subject in _subjects(one)]


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
