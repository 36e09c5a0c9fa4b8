"""What a machine's closed windows cost, kept in memory while the facts under them are the same.

An entry remembers the revision (machine_states.service.revisions) of every UTC day whose facts could change it and the runs of operations it was
worked out with; it is used only while both are the same in the reader's own snapshot, under the same plant model. So a late fact, a new
reason, another shift model or another process's write make it void, and a kept figure always equals a fresh one (tests hold that).
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy.orm import Session

from mes_server.machine_states import service as states
from mes_server.machine_states.rules import Span, intersect, subtract
from mes_server.oee import rules, service
from mes_server.plant import service as plant
from mes_server.plant.schemas import Machine

ENTRIES_MAX = 20_000
EVER = -(1 << 50)  # ms: before every fact


@dataclass(frozen=True, slots=True)
class Times:
    """One machine over one window: parts without pieces, lost planned ms and number of stops by cause, spans without production or order."""

    parts: rules.Parts
    causes: dict[str, tuple[int, int]]
    idle: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    """`facts`: facts of these ms, and no others, could change `times`; `orders`: runs that touch it could."""

    facts: Span
    orders: Span
    days: tuple[tuple[int, int], ...]
    runs: tuple[service.Run, ...]
    times: Times


class _Kept:
    """Bounded, least recently used out first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[Any, ...], _Entry] = OrderedDict()

    def get(self, key: tuple[Any, ...]) -> _Entry | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            return entry

    def put(self, key: tuple[Any, ...], entry: _Entry) -> None:
        with self._lock:
            self._entries[key] = entry
            while len(self._entries) > ENTRIES_MAX:
                self._entries.popitem(last=False)


_kept: WeakKeyDictionary[Any, _Kept] = WeakKeyDictionary()  # one memory a store


def times(session: Session, machines: Sequence[Machine], windows: Sequence[Span], now_ms: int) -> dict[tuple[str, Span], Times]:
    """Every machine over every window (ascending, disjoint)."""
    model = plant.model(session)
    kept = _kept.setdefault(session.get_bind().engine, _Kept())
    held = {
        (machine.code, window): entry
        for machine in machines
        for window in windows
        if (entry := kept.get((model.revision, machine.code, window))) is not None
    }
    out = _still_true(session, machines, held)
    missing: dict[tuple[Span, ...], list[Machine]] = {}
    for machine in machines:
        gone = tuple(window for window in windows if (machine.code, window) not in out)
        if gone:
            missing.setdefault(gone, []).append(machine)
    for gone, those in missing.items():
        for one in service.prepare(session, those, gone[0][0], gone[-1][1]):
            for window in gone:
                out[one.machine.code, window] = _work_out(session, kept, model, one, window, now_ms)
    return out


def _still_true(session: Session, machines: Sequence[Machine], held: dict[tuple[str, Span], _Entry]) -> dict[tuple[str, Span], Times]:
    """The kept entries whose days and runs are what they were."""
    if not held:
        return {}
    entries = held.values()
    codes = [machine.code for machine in machines]
    revisions = states.revisions(session, codes, min(one.facts[0] for one in entries), max(one.facts[1] for one in entries))
    runs = service.runs(session, machines, min(one.orders[0] for one in entries), max(one.orders[1] for one in entries) + 1)
    return {
        (code, window): entry.times
        for (code, window), entry in held.items()
        if entry.days == _days(revisions[code], entry.facts) and entry.runs == _touching(runs.get(code, ()), entry.orders)
    }


def _work_out(session: Session, kept: _Kept, model: plant.PlantModel, one: service.Prepared, window: Span, now_ms: int) -> Times:
    found = _times(model, one, window, now_ms)
    if window[1] <= now_ms:
        facts, orders = _reach(one, window)
        revisions = states.revisions(session, [one.machine.code], *facts)[one.machine.code]
        entry = _Entry(facts, orders, _days(revisions, facts), _touching(one.runs, orders), found)
        kept.put((model.revision, one.machine.code, window), entry)
    return found


def _times(model: plant.PlantModel, one: service.Prepared, window: Span, now_ms: int) -> Times:
    planned = model.calendar.planned_intervals(*window)
    cover = rules.Cover(planned)
    causes: dict[str, tuple[int, int]] = {}
    for stop in one.stops_in(window):
        ms = service.planned_ms(cover, stop.stop, window)
        if ms > 0:
            total, count = causes.get(stop.cause, (0, 0))
            causes[stop.cause] = (total + ms, count + 1)
    still = subtract(intersect(one.history.known, [window]), one.producing)
    parts = rules.measure(one.time, window, planned, now_ms, [])
    return Times(parts, causes, tuple(subtract(still, one.time.running)))


def _reach(one: service.Prepared, window: Span) -> tuple[Span, Span]:
    """From the machine's last word "producing" before the window to the end of the stop that lasts over its end: no other fact matters.

    A machine that never said so before is open to every earlier fact.
    """
    said = one.history.producing_said
    index = bisect_right(said, window[0]) - 1
    start = one.history.intervals[0].from_ms if one.history.intervals else window[0]
    low = said[index] if index >= 0 else EVER
    high = max((stop.stop.to_ms for stop in one.stops_in((window[1] - 1, window[1] + 1))), default=window[1])
    return (low, max(high, window[1])), (max(low, min(start, window[0])), max(high, window[1]))


def _days(revisions: dict[int, int], facts: Span) -> tuple[tuple[int, int], ...]:
    first, last = facts[0] // states.DAY_MS, facts[1] // states.DAY_MS
    return tuple(sorted((day, revision) for day, revision in revisions.items() if first <= day <= last))


def _touching(runs: Iterable[service.Run], orders: Span) -> tuple[service.Run, ...]:
    return tuple(run for run in runs if run.from_ms <= orders[1] and (run.to_ms is None or run.to_ms >= orders[0]))
