"""One device's facts in the order of time: state, counts, energy, order, and what could not be known.

The caller hands in raw values (any order) and watermarks; `release` turns everything up to the watermark into wire rows. A gap opens when
the source is lost or says its values are bad, and closes when it is proven again; while it is open the state is not spoken of, at its end
everything known is said anew. Counts inside a gap are counted (running totals carry over).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from edge_agent.contract import names
from edge_agent.contract.delivery import GapRecord
from edge_agent.contract.names import GapCause, MachineState
from edge_agent.contract.payload import DataType
from edge_agent.pipeline import counters
from edge_agent.pipeline.catalogue import Catalogue, Metric
from edge_agent.pipeline.columns import REAL_KINDS, STRING, Columns, Value
from edge_agent.pipeline.machine_state import code_of, map_state
from edge_agent.pipeline.tags import DeviceSpec, Tag

# Order of events with one timestamp: what the counts belong to comes before the counts, a gap before what is known after it.
_PRIORITY = {"order": 0, "operation": 1, "good": 2, "scrap": 2, "alarm": 3, "state": 4, "sample": 5}
FROZEN_S = 1800.0
_P_GAP, _P_RESTATE, P_SAMPLE, _P_WATCHED = 6, 7, 5, 9
_TOTALS = {"good": (names.GOOD_TOTAL, names.GOOD_RAW), "scrap": (names.SCRAP_TOTAL, names.SCRAP_RAW)}
_TEXTS = {"alarm": names.ALARM, "order": names.ORDER, "operation": names.OPERATION}


class Reading(NamedTuple):
    """A raw value on its way in; sorts by time, then priority, then arrival."""

    t_ms: int
    priority: int
    arrival: int
    tag: Tag
    kind: int
    value: Value
    lost_from_ms: int  # the source dropped values of this tag since then; 0: it did not


class Row(NamedTuple):
    """A wire value on its way out."""

    t_ms: int
    priority: int
    alias: int
    kind: int
    value: Value


@dataclass(slots=True)
class Memory:
    """What a device must remember over a restart."""

    proven_ms: int = 0  # everything up to here has been recorded; 0: never seen
    counters: dict[str, counters.CounterState] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)  # alarm, order, operation
    state: str | None = None
    state_raw: int | None = None
    bad: list[str] = field(default_factory=list)  # facts that the source calls bad
    bad_since_ms: int = 0  # begin of the gap they opened; 0: none is open

    def to_json(self) -> dict[str, Any]:
        return {
            "bad": self.bad,
            "bad_since_ms": self.bad_since_ms,
            "counters": {key: state.to_json() for key, state in self.counters.items()},
            "texts": self.texts,
            "state": self.state,
            "state_raw": self.state_raw,
        }

    @classmethod
    def from_json(cls, proven_ms: int, raw: dict[str, Any]) -> Memory:
        known = {key: counters.CounterState.from_json(state) for key, state in raw.get("counters", {}).items()}
        bad = [str(key) for key in raw.get("bad", ())], int(raw.get("bad_since_ms", 0))
        return cls(proven_ms, known, dict(raw.get("texts", {})), raw.get("state"), raw.get("state_raw"), *bad)


@dataclass(frozen=True, slots=True)
class OpenGap:
    from_ms: int
    cause: GapCause
    detail: str = ""
    counter_reset: bool = False
    parts_max: int | None = None


class Device:
    """State machine of one device. `problem` is told about things a person should look at: (text en, text zh)."""

    def __init__(self, spec: DeviceSpec, catalogue: Catalogue, memory: Memory | None, problem: Callable[[str, str, str], None]) -> None:
        self.spec = spec
        self.memory = memory or Memory()
        self.gap = _bad_gap(self.memory)
        self.source_lost = False
        self.resume_ms: int | None = None
        self.clock_suspect: bool | None = None  # to be said with the next rows
        self.pending: list[Reading] = []
        self.changed = memory is None
        self._bad: set[str] = set(self.memory.bad)
        self._before_loss: tuple[OpenGap | None, set[str]] = (None, set())
        self._filled: GapRecord | None = None  # a time that was read afterwards, not yet said
        self._producing_ms: int | None = None  # since when the machine says it produces
        self._draw: counters.Draw | None = None  # what the meter's power has been lately
        self._catalogue = catalogue
        self._problem = problem
        self._arrival = 0
        self._last_sample: dict[int, float] = {}
        self._counted_ms: dict[int, int] = {}  # counter tag -> time of its newest reading
        self._restarted: set[str] = set()  # counters that began at 0 because the PLC restarted while nobody looked
        self._reset_unseen: set[str] = set()  # counters that start anew because the order changed while nobody looked
        self._gap_metric = catalogue.metric(spec.id, names.GAP, DataType.STRING)
        self._watched = catalogue.metric(spec.id, names.WATCHED_UNTIL, DataType.DATETIME)
        self._metrics: dict[str, Metric] = {}
        for tag in spec.tags:
            for name, datatype in _wire_names(tag):
                self._metrics[name] = catalogue.metric(spec.id, name, datatype)

    def known(self) -> Columns:
        """The facts remembered over a restart, as wire rows: what a birth says before the source has spoken."""
        memory, t_ms = self.memory, self.memory.proven_ms
        rows: list[Row] = []
        for role, text in memory.texts.items():
            if _TEXTS[role] in self._metrics:
                self._say(rows, t_ms, 0, _TEXTS[role], text)
        if memory.state is not None and names.STATE in self._metrics:
            self._say_state(rows, t_ms, 0)
        for tag in self.spec.tags:
            state = memory.counters.get(tag.key)
            if state is not None:
                self._say_total(rows, t_ms, 0, tag, state)
        return Columns.of((row.alias, row.t_ms, row.kind, row.value) for row in rows)

    # --- what the source says ----------------------------------------------------------------------------------------------
    def put(self, t_ms: int, tag: Tag, kind: int, value: Value, lost_from_ms: int = 0) -> None:
        self._arrival += 1
        self.pending.append(Reading(t_ms, _PRIORITY.get(tag.role, 2), self._arrival, tag, kind, value, lost_from_ms))

    def newest_ms(self, at_least_ms: int) -> int:
        """Time of the newest value that waits."""
        return max((reading.t_ms for reading in self.pending), default=at_least_ms)

    def lost(self, cause: GapCause, detail: str) -> None:
        """Nothing can be known from the proven moment on. A device never seen has nothing to lose."""
        self.resume_ms = None
        if not self.source_lost:
            self._before_loss = (self.gap, set(self._bad))
        self.source_lost = True
        self._bad.clear()
        if self.gap is None and self.memory.proven_ms:
            self.gap = OpenGap(self.memory.proven_ms, cause, detail)

    def resume(self, at_ms: int, *, restarted: bool = False) -> None:
        """The source is proven again from `at_ms` on. `restarted`: it began anew meanwhile, and counters that are not retentive with it."""
        if restarted:
            self._restarted = {tag.key for tag in self.spec.tags if tag.rule is not None and not tag.rule.retentive}
        self.resume_ms = max(at_ms, self.memory.proven_ms)

    def go_on(self, at_ms: int, detail: str) -> None:
        """Nothing was missed after all: what `lost` did is undone. `detail`: the time up to `at_ms` was read afterwards, and is marked so."""
        if not self.source_lost:
            return
        lost, self.source_lost, self.resume_ms = self.gap, False, None
        self.gap, self._bad = self._before_loss
        if detail and lost is not None and self.gap is None and at_ms > lost.from_ms:
            self._filled = GapRecord(lost.from_ms, at_ms, lost.cause, detail)

    def set_back(self, at_ms: int) -> None:
        """Plant time was set back to `at_ms`: nothing of this device is later than that any more. What waits is told as of then."""
        memory = self.memory
        memory.proven_ms = min(memory.proven_ms, at_ms)
        memory.counters = {
            key: replace(one, changed_ms=min(one.changed_ms, at_ms), held_ms=min(one.held_ms, at_ms)) for key, one in memory.counters.items()
        }
        self.pending = [reading._replace(t_ms=min(reading.t_ms, at_ms)) for reading in self.pending]
        self._counted_ms = {number: min(t_ms, at_ms) for number, t_ms in self._counted_ms.items()}
        if self._producing_ms is not None:
            self._producing_ms = min(self._producing_ms, at_ms)
        if self.gap is not None:
            self.gap = replace(self.gap, from_ms=min(self.gap.from_ms, at_ms))
        if self.resume_ms is not None:
            self.resume_ms = min(self.resume_ms, at_ms)
        self.changed = True

    # --- what the wire gets ------------------------------------------------------------------------------------------------
    def release(self, until_ms: int, beat: bool, told_ms: int = 0) -> list[Row]:
        """Wire rows of everything up to `until_ms`, in order; `until_ms` becomes the proven moment.

        Values up to `told_ms`, where that is later, are told with them: they came late and wait for nothing that is older.
        """
        rows: list[Row] = []
        ready = self.pending
        if ready:
            ready.sort()
            cut = len(ready)
            while cut and ready[cut - 1].t_ms > max(until_ms, told_ms):
                cut -= 1
            self.pending = ready[cut:]
            ready = ready[:cut]
        for reading in ready:
            if self._filled is not None and reading.t_ms > self._filled.to_ms:
                self._say_filled(rows)
            if self.resume_ms is not None and reading.t_ms > self.resume_ms:
                self._proven_again(self.resume_ms, rows)
            self._read(reading, rows)
        if self._filled is not None and self._filled.to_ms <= until_ms:
            self._say_filled(rows)
        if self.resume_ms is not None and self.resume_ms <= until_ms:
            self._proven_again(self.resume_ms, rows)
        self.memory.proven_ms = max(self.memory.proven_ms, until_ms)
        if self.clock_suspect is not None:
            metric = self._catalogue.metric(self.spec.id, names.CLOCK_SUSPECT, DataType.BOOLEAN)
            rows.append(Row(until_ms, _P_WATCHED, metric.alias, int(DataType.BOOLEAN), self.clock_suspect))
            self.clock_suspect = None
        if beat and not self.source_lost:
            self._check_frozen(until_ms)
            rows.append(Row(until_ms, _P_WATCHED, self._watched.alias, int(DataType.DATETIME), until_ms))
        return rows

    def _check_frozen(self, now_ms: int) -> None:
        """A machine that says it produces, or a meter that shows power, while its counter stands still: one of the two is wrong."""
        for tag in self.spec.tags:
            energy = self.memory.counters.get(names.ENERGY_IMPORT_WH) if tag.key == names.ENERGY_IMPORT_WH else None
            if energy is not None and counters.energy_is_frozen(self._draw, energy, tag.scale, tag.scale, now_ms):
                self._problem(
                    self.spec.id,
                    "the energy register has stood still although there is power. Check the meter, its register and word order.",
                    "有功率,但电量寄存器没有变化,请检查电表、寄存器和字节序。",
                )
        counter = self.memory.counters.get("good")
        if counter is not None and counters.is_frozen(counter.changed_ms, self._producing_ms, now_ms, FROZEN_S):
            self._problem(
                self.spec.id,
                f"the good counter has stood still for {FROZEN_S / 60:.0f} minutes while the machine says it is producing. Check counter and state.",
                f"设备显示生产中,但良品计数 {FROZEN_S / 60:.0f} 分钟未变化,请检查计数与状态。",
            )

    def _say_filled(self, rows: list[Row]) -> None:
        record, self._filled = self._filled, None
        if record is not None:
            metric = self._catalogue.metric(self.spec.id, names.READ_AFTERWARDS, DataType.STRING)
            rows.append(Row(record.to_ms, _P_GAP, metric.alias, STRING, record.to_json()))

    def _proven_again(self, at_ms: int, rows: list[Row]) -> None:
        self.resume_ms = None
        self.source_lost = False
        if not self._bad:
            self._close_gap(at_ms, rows)

    def _close_gap(self, at_ms: int, rows: list[Row]) -> None:
        if self.gap is None:
            return
        gap, self.gap = self.gap, None
        self._remember_bad()
        self._reset_unseen.clear()
        if at_ms - gap.from_ms > self.spec.period_ms:  # else no poll was missed
            record = GapRecord(gap.from_ms, at_ms, gap.cause, gap.detail, gap.counter_reset, gap.parts_max)
            rows.append(Row(at_ms, _P_GAP, self._gap_metric.alias, STRING, record.to_json()))
        memory = self.memory
        for role, name in _TEXTS.items():
            if role in memory.texts and name in self._metrics:
                self._say(rows, at_ms, _P_RESTATE, name, memory.texts[role])
        if memory.state is not None and names.STATE in self._metrics:
            self._say_state(rows, at_ms, _P_RESTATE)

    def _read(self, reading: Reading, rows: list[Row]) -> None:
        tag = reading.tag
        if reading.lost_from_ms:
            self._overflow(reading, rows)
        if reading.value is None:
            self._bad_value(reading, rows)
            return
        if tag.role == "sample":
            self._sample(reading, rows)
            return
        self.changed = True
        if tag.key in self._bad:
            self._bad.discard(tag.key)
            self._remember_bad()
            if not self._bad and not self.source_lost:
                self._fact(reading, rows)
                self._close_gap(reading.t_ms, rows)
                return
        self._fact(reading, rows)

    def _fact(self, reading: Reading, rows: list[Row]) -> None:
        role = reading.tag.role
        if role == "state":
            self._state(reading, rows)
        elif role in _TEXTS:
            self._text(reading, rows)
        else:
            self._count(reading, rows)

    def _bad_value(self, reading: Reading, rows: list[Row]) -> None:
        tag = reading.tag
        if tag.role == "sample":
            metric = self._catalogue.find(self.spec.id, tag.key)
            if metric is not None:
                rows.append(Row(reading.t_ms, P_SAMPLE, metric.alias, int(metric.datatype), None))
            return
        self._bad.add(tag.key)
        if self.gap is None and self.memory.proven_ms:
            self.gap = OpenGap(reading.t_ms, GapCause.BAD_QUALITY, f"{tag.key} is bad")
        self._remember_bad()

    def _remember_bad(self) -> None:
        """A source that goes on after a restart does not say again what is still bad."""
        is_bad = self.gap is not None and self.gap.cause is GapCause.BAD_QUALITY
        self.memory.bad = sorted(self._bad)
        self.memory.bad_since_ms = self.gap.from_ms if self.gap is not None and is_bad else 0
        self.changed = True

    def _overflow(self, reading: Reading, rows: list[Row]) -> None:
        """The server dropped values (its queue was full, or the item was dead) of this tag between its last one and this one."""
        if reading.lost_from_ms >= reading.t_ms or self.gap is not None:
            return
        record = GapRecord(reading.lost_from_ms, reading.t_ms, GapCause.OVERFLOW, f"{reading.tag.key}: the server dropped values")
        name = names.GAP if reading.tag.role == "state" else names.SAMPLES_GAP
        metric = self._catalogue.metric(self.spec.id, name, DataType.STRING)
        rows.append(Row(reading.t_ms, 0, metric.alias, STRING, record.to_json()))

    # --- one kind of value each --------------------------------------------------------------------------------------------
    def _say(self, rows: list[Row], t_ms: int, priority: int, name: str, value: Value) -> None:
        metric = self._metrics[name]
        rows.append(Row(t_ms, priority, metric.alias, int(metric.datatype), value))

    def _say_state(self, rows: list[Row], t_ms: int, priority: int) -> None:
        self._say(rows, t_ms, priority, names.STATE, self.memory.state)
        if self.memory.state_raw is not None:
            self._say(rows, t_ms, priority, names.STATE_RAW, self.memory.state_raw)

    def _state(self, reading: Reading, rows: list[Row]) -> None:
        table = reading.tag.states or {}
        code = code_of(reading.value)
        state = map_state(table, reading.value)
        if state is None:
            self._problem(
                self.spec.id,
                f"state code {code} is not mapped; add it to `states` of this device.",
                f"状态码 {code} 没有映射,请在该设备的 `states` 中补充。",
            )
        if state is not MachineState.PRODUCING:
            self._producing_ms = None
        elif self._producing_ms is None:
            self._producing_ms = reading.t_ms
        self.memory.state = (state or MachineState.NO_DATA).value
        self.memory.state_raw = int(code) if code.lstrip("-").isdigit() and len(code) < 19 else None
        if self.gap is None:
            self._say_state(rows, reading.t_ms, reading.priority)

    def _text(self, reading: Reading, rows: list[Row]) -> None:
        role = reading.tag.role
        value = reading.value
        text = "" if value == 0 else code_of(value) if not isinstance(value, str) else value.strip()
        if role == "order" and self.memory.texts.get("order", text) != text and self.gap is not None:
            self._reset_unseen.update(tag.key for tag in self.spec.tags if tag.rule is not None and tag.rule.resets_with_order)
        self.memory.texts[role] = text
        if role != "alarm" or self.gap is None:
            self._say(rows, reading.t_ms, reading.priority, _TEXTS[role], text)

    def _count(self, reading: Reading, rows: list[Row]) -> None:
        tag = reading.tag
        rule = tag.rule
        if rule is None or isinstance(reading.value, str) or reading.value is None:
            return
        raw = float(reading.value)
        before = self.memory.counters.get(tag.key)
        unseen_s = self._unseen_s(tag, reading.t_ms)
        order_changed, restarted = tag.key in self._reset_unseen, tag.key in self._restarted
        step = counters.read(rule, before, raw, reading.t_ms, unseen_s, order_changed_unseen=order_changed, restarted_unseen=restarted)
        self._reset_unseen.discard(tag.key)
        self._restarted.discard(tag.key)
        if step.state is None:
            return
        self.memory.counters[tag.key] = step.state
        if step.event in ("reset", "adopted", "held"):
            self._counter_event(tag, step, before, raw, unseen_s)
        self._say_total(rows, reading.t_ms, reading.priority, tag, step.state)

    def _say_total(self, rows: list[Row], t_ms: int, priority: int, tag: Tag, state: counters.CounterState) -> None:
        if tag.key in _TOTALS:
            total_name, raw_name = _TOTALS[tag.key]
            self._say(rows, t_ms, priority, total_name, round(state.total))
            self._say(rows, t_ms, priority, raw_name, round(state.raw))
        else:
            self._say(rows, t_ms, priority, tag.key, state.total * tag.scale)
            if state.offset:
                self._say(rows, t_ms, priority, names.ENERGY_OFFSETS[tag.key], state.offset * tag.scale)

    def _unseen_s(self, tag: Tag, t_ms: int) -> float:
        """Seconds before `t_ms` in which this counter was not watched: a poll's distance, or an open gap."""
        if self.gap is not None:
            since = max(self.gap.from_ms, self._counted_ms.get(tag.number, 0))
        elif self.spec.period_ms:
            since = self._counted_ms.get(tag.number, self.memory.proven_ms)
        else:
            since = 0
        self._counted_ms[tag.number] = t_ms
        return max(0.0, (t_ms - since) / 1000.0) if since else 0.0

    def _counter_event(self, tag: Tag, step: counters.Step, before: counters.CounterState | None, raw: float, unseen_s: float) -> None:
        if step.event == "reset" and self.gap is not None and tag.rule is not None:
            bound = counters.parts_bound(tag.rule, unseen_s, raw) + (self.gap.parts_max or 0) if tag.key in _TOTALS else None
            self.gap = replace(self.gap, counter_reset=True, parts_max=bound)
        elif step.event == "held":
            was = before.raw if before is not None else 0
            self._problem(
                self.spec.id,
                f"{tag.key} jumped from {was:g} to {raw:g}, which is not possible; it is not counted until the counter goes on plausibly.",
                f"{tag.key} 从 {was:g} 跳到 {raw:g},不合理;恢复正常之前不计数。",
            )
        elif step.event == "adopted":
            self._problem(
                self.spec.id,
                f"{tag.key} goes on from {raw:g} (meter or program changed?); what came between is not counted. Check the totals.",
                f"{tag.key} 从 {raw:g} 继续(换表或换程序?),之间的量没有计入,请核对。",
            )

    def _sample(self, reading: Reading, rows: list[Row]) -> None:
        tag = reading.tag
        kind, value = reading.kind, reading.value
        if tag.watched:
            watts = float(value) * tag.scale if isinstance(value, (int, float)) else 0.0
            self._draw = counters.draw(self._draw, reading.t_ms, watts)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if tag.scale != 1.0 or tag.offset != 0.0 or tag.decimals is not None:
                value = float(value) * tag.scale + tag.offset
                value = value if tag.decimals is None else round(value, tag.decimals)
                kind = int(DataType.DOUBLE)
            if tag.deadband:
                last = self._last_sample.get(tag.number)
                if last is not None and abs(float(value) - last) < tag.deadband:
                    return
                self._last_sample[tag.number] = float(value)
        metric = self._catalogue.metric(self.spec.id, tag.key, DataType(kind))
        if int(metric.datatype) != kind:
            value = cast_value(value, int(metric.datatype))
        rows.append(Row(reading.t_ms, P_SAMPLE, metric.alias, int(metric.datatype), value))


def cast_value(value: Value, kind: int) -> Value:
    """`value` as the type its metric was born with; None where that cannot be (a text where numbers were)."""
    try:
        if kind in REAL_KINDS:
            return float(value) if value is not None else None
        if kind == STRING:
            return str(value)
        if kind == DataType.BOOLEAN:
            return bool(value)
        return round(float(value)) if value is not None else None
    except (TypeError, ValueError, OverflowError):
        return None


def _bad_gap(memory: Memory) -> OpenGap | None:
    return OpenGap(memory.bad_since_ms, GapCause.BAD_QUALITY, f"{', '.join(memory.bad)} is bad") if memory.bad_since_ms else None


def _wire_names(tag: Tag) -> list[tuple[str, DataType]]:
    """Names and types under which a fact's tag speaks on the wire."""
    if tag.role == "state":
        return [(names.STATE, DataType.STRING), (names.STATE_RAW, DataType.INT64)]
    if tag.role in _TEXTS:
        return [(_TEXTS[tag.role], DataType.STRING)]
    if tag.role in _TOTALS:
        return [(name, DataType.INT64) for name in _TOTALS[tag.role]]
    return [] if tag.role == "sample" else [(tag.key, DataType.DOUBLE), (names.ENERGY_OFFSETS[tag.key], DataType.DOUBLE)]
