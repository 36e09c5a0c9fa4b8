"""From one device's records, in number order, to the facts of the plant. Pure: no session, no clock, no logging.

Counts and energy are differences of running totals (the edge keeps them monotone within a buffer epoch). Where the epoch changes (a new disk, a
cloned edge, an old disk come back) the PLC's own register carries the count over: the first value later than the last one counted is compared
with the last raw value known; anything earlier was covered by it already. So two buffers can never count one piece twice.
Figures do not depend on how records are cut into transactions: all that is carried lies in DeviceState.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

from edge_agent.contract import names
from edge_agent.contract.delivery import GapRecord

FactValue = int | float | str
Event = tuple[str, int, FactValue]  # metric name, at ms, value

TIME_MS_MAX: Final = 4_102_444_800_000  # 2100-01-01: later than this is a broken clock, not a plant
NUMBER_MAX: Final = 2.0**53  # beyond it a double no longer counts by ones; NaN and infinities fall out too
CODE_CHARS_MAX: Final = 64
_TEXTS: Final = frozenset({names.STATE, names.ALARM, names.ORDER, names.OPERATION, names.GAP})
_STATES: Final = frozenset(state.value for state in names.MachineState)
_COUNTERS: Final = (("good", names.GOOD_TOTAL, names.GOOD_RAW), ("scrap", names.SCRAP_TOTAL, names.SCRAP_RAW))
_COUNTED: Final = frozenset(name for _, *both in _COUNTERS for name in both)
SHIFT_MIN: Final = 1e-3  # Wh: below is rounding
_REGISTERS: Final = (names.ENERGY_IMPORT_WH, names.ENERGY_EXPORT_WH, names.ENERGY_REACTIVE_VARH)


class StateChange(NamedTuple):
    """What a record says of a machine's state; None: nothing new of this one."""

    at_ms: int
    state: str | None
    state_raw: int | None
    alarm: str | None


class Count(NamedTuple):
    """Pieces between `since_ms` (the total before) and `at_ms`."""

    at_ms: int
    good: int
    scrap: int
    order: str
    operation: str
    since_ms: int


class Reading(NamedTuple):
    """Running totals of a meter's registers, continued over buffers; None: never seen."""

    at_ms: int
    import_wh: float | None
    export_wh: float | None
    reactive_varh: float | None


class Shift(NamedTuple):
    """From `at_ms` on, a register's total is `wh` above what the meter's display shows. `register` is the wire name of the total."""

    at_ms: int
    register: str
    wh: float


@dataclass(slots=True)
class Counter:
    """One counter of a machine as last seen in this epoch; `known` is where the PLC's own counter stood before it."""

    total: int | None = None
    raw: int | None = None
    at_ms: int = 0
    known: int | None = None


@dataclass(slots=True)
class Register:
    """One energy register: the edge's total, and what we pass on."""

    total: float | None = None
    passed: float | None = None
    at_ms: int = 0
    known: float | None = None  # the display as last seen by another buffer
    offset: float = 0.0  # what the edge has added to the display
    shift: float = 0.0  # how far what we pass on is above the display, as last told


@dataclass(slots=True)
class DeviceState:
    """What is carried from record to record of one device; stored as JSON beside the mark."""

    epoch: str
    proven_ms: int = 0
    order: str = ""
    operation: str = ""
    good: Counter = field(default_factory=Counter)
    scrap: Counter = field(default_factory=Counter)
    registers: dict[str, Register] = field(default_factory=dict)
    gap_from_ms: int = 0  # > 0: a new buffer began, and from here to its first moment nothing is known
    told_until_ms: int = 0  # > 0: another buffer has told everything up to here; this one's words of that time are no news

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> DeviceState:
        raw = json.loads(text)
        raw["good"], raw["scrap"] = Counter(**raw["good"]), Counter(**raw["scrap"])
        raw["registers"] = {name: Register(**one) for name, one in raw["registers"].items()}
        return cls(**raw)

    def copy(self) -> DeviceState:
        registers = {name: replace(one) for name, one in self.registers.items()}
        return replace(self, good=replace(self.good), scrap=replace(self.scrap), registers=registers)

    def in_new_epoch(self, epoch: str, now_ms: int = TIME_MS_MAX) -> DeviceState:
        """The same device behind a new buffer: order and operation stand, counters wait for their first total. A clock that ran ahead under the old
        buffer must not silence the new one: nothing later than `now_ms` counts as told."""
        good, scrap = (
            Counter(at_ms=one.at_ms, known=one.known if one.total is None else one.raw if one.raw is not None else one.total)
            for one in (self.good, self.scrap)
        )
        registers = {
            name: Register(None, one.passed, one.at_ms, one.known if one.total is None else one.total - one.offset, shift=one.shift)
            for name, one in self.registers.items()
        }
        gap_from_ms = self.gap_from_ms or self.proven_ms
        told_until_ms = min(max(self.proven_ms, self.told_until_ms), now_ms)
        return DeviceState(epoch, self.proven_ms, self.order, self.operation, good, scrap, registers, gap_from_ms, told_until_ms)


@dataclass(slots=True)
class Facts:
    """What one or more records of one device say. `first_ms`..`proven_ms` is the stretch they speak of; `strange` counts refused values."""

    states: list[StateChange] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    gaps: list[GapRecord] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    shifts: list[Shift] = field(default_factory=list)
    first_ms: int | None = None
    proven_ms: int | None = None
    strange: int = 0


def apply(
    state: DeviceState | None, epoch: str, events: Iterable[Event], into: Facts, now_ms: int = TIME_MS_MAX, *, in_place: bool = False
) -> DeviceState:
    """Adds the facts of one record to `into` and returns the new state; `state` itself is not touched unless `in_place`. `now_ms`: plant time of the
    server.

    Events of one moment: counts belong to the order that ran until then, so they come before a change of order.
    """
    ordered = [event for event in events if _plausible(event, into)]
    if state is None:
        state = DeviceState(epoch)
    elif state.epoch != epoch:
        state = state.in_new_epoch(epoch, now_ms)
    elif not in_place:
        state = state.copy()
    if len({at for _, at, _ in ordered}) == 1 and not state.told_until_ms and not state.gap_from_ms:  # the usual record
        _moment(state, ordered[0][1], ordered, into)
        return state
    ordered.sort(key=itemgetter(1))
    if state.told_until_ms:
        ordered = _news(state, ordered)
    if state.gap_from_ms:
        first = min((at for name, at, _ in ordered if name != names.GAP and at > state.gap_from_ms), default=None)
        if first is not None:
            into.gaps.append(
                GapRecord(state.gap_from_ms, first, names.GapCause.NEW_BUFFER, "the edge's buffer was replaced" + _made_over(state, ordered))
            )
            state.gap_from_ms = 0
    for at_ms, moment in groupby(ordered, key=itemgetter(1)):
        _moment(state, at_ms, list(moment), into)
    return state


def _news(state: DeviceState, ordered: list[Event]) -> list[Event]:
    """Without what another buffer has told already (a cloned card's backlog); records are in the order of time, so the first news ends it."""
    told = state.told_until_ms
    if ordered and ordered[0][1] > told and ordered[0][0] != names.GAP:
        state.told_until_ms = 0
    news: list[Event] = []
    for name, at, value in ordered:
        if name != names.GAP and at > told:
            news.append((name, at, value))
        elif name == names.GAP and (gap := _clipped(str(value), told)) is not None:
            news.append((name, at, gap))
    return news


def _made_over(state: DeviceState, ordered: Iterable[Event]) -> str:
    """What the PLC's own counters say was made between the old buffer's last word and the new one's first, in words; "" when they say nothing."""
    made = []
    for kind, total_name, raw_name in _COUNTERS:
        known = getattr(state, kind).known
        seen = next((float(value) for wanted in (raw_name, total_name) for name, _, value in ordered if name == wanted), None)
        if known is not None and seen is not None and seen > known:
            made.append(f"{int(seen) - known} {kind}")
    return f"; the machine's counter says that {' and '.join(made)} were made meanwhile" if made else ""


def _clipped(text: str, told_ms: int) -> str | None:
    """The gap from `told_ms` on; None: it lies before. What is no gap record stays as it is and is judged later."""
    try:
        gap = GapRecord.from_json(text)
    except ValueError:
        return text
    if gap.to_ms <= told_ms:
        return None
    return replace(gap, from_ms=max(gap.from_ms, told_ms)).to_json()


def _plausible(event: Event, into: Facts) -> bool:
    name, at_ms, value = event
    good = 0 < at_ms < TIME_MS_MAX
    if name in _TEXTS:
        good = good and isinstance(value, str)
    else:
        good = good and isinstance(value, int | float) and -NUMBER_MAX < value < NUMBER_MAX
    if name == names.STATE:
        good = good and value in _STATES
    if name == names.WATCHED_UNTIL:
        good = good and 0 < float(value) < TIME_MS_MAX
    into.strange += not good
    return good


def _moment(state: DeviceState, at_ms: int, events: list[Event], into: Facts) -> None:
    values = {name: value for name, _, value in events if name != names.GAP}
    for name, _, value in events:
        if name == names.GAP:
            _gap(str(value), into)
    _span(state, at_ms, values, into)
    _count(state, at_ms, values, into)
    for name in (names.ORDER, names.OPERATION):
        if name in values:
            setattr(state, name, str(values[name]).strip()[:CODE_CHARS_MAX])
    if names.STATE in values or names.STATE_RAW in values or names.ALARM in values:
        raw, alarm = values.get(names.STATE_RAW), values.get(names.ALARM)
        said = values.get(names.STATE)
        into.states.append(
            StateChange(
                at_ms, None if said is None else str(said), None if raw is None else int(raw), None if alarm is None else str(alarm)[:CODE_CHARS_MAX]
            )
        )
    if not values.keys().isdisjoint(_REGISTERS):
        _read(state, at_ms, values, into)


def _span(state: DeviceState, at_ms: int, values: dict[str, FactValue], into: Facts) -> None:
    """A value proves its moment, a watch everything up to what it says."""
    watched = names.WATCHED_UNTIL in values
    until = at_ms if len(values) > watched else 0
    if watched:
        until = max(until, int(values[names.WATCHED_UNTIL]))
    if until == 0:
        return
    first = min(at_ms, until)
    into.first_ms = first if into.first_ms is None else min(into.first_ms, first)
    into.proven_ms = until if into.proven_ms is None else max(into.proven_ms, until)
    state.proven_ms = max(state.proven_ms, until)


def _gap(text: str, into: Facts) -> None:
    try:
        gap = GapRecord.from_json(text)
    except ValueError:
        into.strange += 1
        return
    if not 0 < gap.from_ms <= gap.to_ms < TIME_MS_MAX:
        into.strange += 1
        return
    into.gaps.append(gap)


def _count(state: DeviceState, at_ms: int, values: dict[str, FactValue], into: Facts) -> None:
    if values.keys().isdisjoint(_COUNTED):
        return
    made, since = {"good": 0, "scrap": 0}, at_ms
    for kind, total_name, raw_name in _COUNTERS:
        counter: Counter = getattr(state, kind)
        if total_name in values:
            before = counter.at_ms
            pieces = _pieces(counter, kind, at_ms, int(values[total_name]), values.get(raw_name), into)
            if pieces:
                made[kind] = pieces
                since = min(since, before)
        if raw_name in values and counter.total is not None:
            counter.raw = int(values[raw_name])
    if made["good"] or made["scrap"]:
        into.counts.append(Count(at_ms, made["good"], made["scrap"], state.order, state.operation, since))


def _pieces(counter: Counter, kind: str, at_ms: int, total: int, raw: FactValue | None, into: Facts) -> int:
    """Pieces between the counter's last value and this one; moves the counter."""
    if counter.total is None:  # first sight in this epoch
        if counter.known is None:
            counter.total, counter.at_ms = total, at_ms
            return 0
        if at_ms <= counter.at_ms:  # older than what another buffer has counted already
            return 0
        now, since, known = total if raw is None else int(raw), counter.at_ms, counter.known
        counter.total, counter.at_ms = total, at_ms
        if now >= known:
            return now - known
        into.strange += 1  # reset while nobody looked: what ran before is unknown, this much at most since
        into.gaps.append(GapRecord(since, at_ms, names.GapCause.NEW_BUFFER, f"{kind} counter reset", True, now))
        return 0
    made = total - counter.total
    counter.at_ms = max(counter.at_ms, at_ms)
    if made < 0:  # totals of an epoch never fall; counting on from lower would count twice
        into.strange += 1
        return 0
    counter.total = total
    return made


def _read(state: DeviceState, at_ms: int, values: dict[str, FactValue], into: Facts) -> None:
    for name in _REGISTERS:
        if name in values:
            register = state.registers.setdefault(name, Register())
            _advance(register, at_ms, float(values[name]), float(values.get(names.ENERGY_OFFSETS[name], 0.0)), into)
            if register.passed is not None and register.total is not None:
                shift = register.passed - (register.total - register.offset)
                if abs(shift - register.shift) > SHIFT_MIN:
                    register.shift = shift
                    into.shifts.append(Shift(at_ms, name, shift))
    shown = [known.passed if (known := state.registers.get(name)) is not None else None for name in _REGISTERS]
    if any(one is not None for one in shown):
        into.readings.append(Reading(at_ms, *shown))


def _advance(register: Register, at_ms: int, total: float, offset: float, into: Facts) -> None:
    """`offset`: what the edge has added to the meter's display to make `total`."""
    if register.passed is None:
        register.passed = total
    elif register.total is None:  # a new buffer goes on from where the old one's register stood
        if at_ms <= register.at_ms:
            return
        if register.known is not None and total - offset >= register.known:
            register.passed += total - offset - register.known
        else:
            into.strange += 1
    elif total >= register.total:
        register.passed += total - register.total
    else:
        into.strange += 1
        return
    register.total, register.offset, register.at_ms = total, offset, at_ms
