"""The pipeline of an agent: raw columns in, records in source-time order out. Pure; one thread uses it.

Plain samples go the vectorised way; values with a meaning go through their device's state machine. Both wait behind the device's
watermark, so that what comes out of a device is in the order of time even where a PLC reports item by item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_agent.contract.names import GapCause
from edge_agent.contract.payload import DataType
from edge_agent.pipeline.catalogue import Catalogue
from edge_agent.pipeline.columns import DOUBLE, NULL, REAL_KINDS, Columns, Flags, as_double, joined, value_of
from edge_agent.pipeline.device import P_SAMPLE, Device, Memory, Row
from edge_agent.pipeline.tags import Evolution, Tag, TagPlan


@dataclass(frozen=True, slots=True)
class Record:
    """What becomes one buffer record: one device's wire columns (ids are aliases), in the order of time."""

    device: int
    columns: Columns
    has_facts: bool


@dataclass(slots=True)
class _Waiting:
    """Plain samples behind the watermark: wire columns and the device of each row, one number when it is the same in all."""

    columns: Columns
    devices: npt.NDArray[np.int32] | int

    def each(self) -> npt.NDArray[np.int32]:
        return np.full(len(self.columns), self.devices, np.int32) if isinstance(self.devices, int) else self.devices


class Pipeline:
    def __init__(
        self,
        plan: TagPlan,
        catalogue: Catalogue,
        memories: Mapping[str, Memory],
        *,
        values_max: int = 5000,
        problem: Callable[[str, str, str], None] = lambda device, en, zh: None,
    ) -> None:
        self.plan = plan
        self.catalogue = catalogue
        self._problem = problem
        self.devices = [Device(spec, catalogue, memories.get(spec.id), problem) for spec in plan.devices]
        self.late = 0  # values older than what their device had already proven: kept, stamped right after the proven moment
        self.late_ms: dict[int, int] = {}  # device -> the stamp of its late values that wait; nothing need ever come that moves the watermark there
        self._telling: set[int] = set()  # devices whose late values go out with the next drain
        self._values_max = values_max
        self._waiting: list[_Waiting] = []
        self._beats: set[int] = set()
        self._advanced: set[int] = set()
        self._until = np.array([device.memory.proven_ms for device in self.devices], np.int64)
        self._floor = self._until.copy()
        self._device_of = np.zeros(0, np.int32)
        self._scale, self._offset = np.zeros(0, np.float64), np.zeros(0, np.float64)
        self._scaled = np.zeros(0, np.bool_)
        self._any_scaled = False
        self._expected = np.zeros(0, np.uint8)  # raw kind that may go the vectorised way; 0: not yet known, or never
        self._alias = np.zeros(0, np.uint32)
        self._wire_kind = np.zeros(0, np.uint8)
        self._newest_ms = np.zeros(0, np.int64)  # where an overflow began
        self._stamped_ms = np.zeros(0, np.int64)  # the moment a tag's first value after the last connect was stamped with
        self._plain: list[bool] = []
        self._add_tags(plan.tags)
        self._newest_ms = self._until[self._device_of] if len(plan.tags) else self._newest_ms  # an overflow over a restart begins there

    def _add_tags(self, tags: Sequence[Tag]) -> None:
        more = len(tags)
        self._device_of = np.concatenate([self._device_of, np.array([tag.device for tag in tags], np.int32)])
        self._scale = np.concatenate([self._scale, np.array([tag.scale for tag in tags], np.float64)])
        self._offset = np.concatenate([self._offset, np.array([tag.offset for tag in tags], np.float64)])
        scaled = np.array([tag.scale != 1.0 or tag.offset != 0.0 for tag in tags], np.bool_)
        self._scaled = np.concatenate([self._scaled, scaled])
        self._any_scaled = bool(self._scaled.any())
        self._expected = np.concatenate([self._expected, np.zeros(more, np.uint8)])
        self._alias = np.concatenate([self._alias, np.zeros(more, np.uint32)])
        self._wire_kind = np.concatenate([self._wire_kind, np.zeros(more, np.uint8)])
        self._newest_ms = np.concatenate([self._newest_ms, np.zeros(more, np.int64)])
        self._stamped_ms = np.concatenate([self._stamped_ms, np.zeros(more, np.int64)])
        self._plain += [tag.is_plain for tag in tags]

    def evolve(self, step: Evolution) -> list[Record]:
        """Goes on with another plan. Returns the records of what the changed devices had waiting: their source has ended, nothing older comes.

        A changed device keeps what it remembers (totals carry on) and is lost until its source speaks.
        """
        ended = [index for index in (*step.made, *step.retired) if index < len(self.devices)]
        for index in ended:
            last_ms = self.devices[index].newest_ms(int(self._until[index]))
            samples = [int(part.columns.t_ms[part.each() == index].max(initial=0)) for part in self._waiting]
            self.advance([index], max([last_ms, *samples]))
        records = self.drain()
        known = len(self.plan.tags)
        self.plan = step.plan
        self._add_tags(step.plan.tags[known:])
        for spec in step.plan.devices[len(self.devices) :]:
            self.devices.append(Device(spec, self.catalogue, None, self._problem))
            self._until, self._floor = np.append(self._until, 0), np.append(self._floor, 0)
        for index in ended:
            memory = self.devices[index].memory
            self.devices[index] = Device(step.plan.devices[index], self.catalogue, memory, self._problem)
        for index in step.made:
            self.devices[index].changed = True
        return records

    # --- in ------------------------------------------------------------------------------------------------------------------
    def push(self, raw: Columns, *, initial: Flags | None = None, initial_ms: int = 0, overflow: Iterable[int] = (), repeated: bool = False) -> None:
        """Raw values (ids are tag numbers). Rows marked `initial` (first value after a connect) that are older than what is proven get `initial_ms`.

        `overflow`: rows before which the source lost values. `repeated`: rows up to the proven moment are known already and left out.
        """
        if repeated and len(raw):
            raw, overflow = self._without_known(raw, overflow)
        if not len(raw):
            return
        at = raw.ids.astype(np.intp)  # once: every look-up by another type makes a copy of it
        devices = _one_if_same(self._device_of.take(at))
        floor = self._floor[devices]
        if initial is not None and initial.any():
            stamped = initial & ((raw.t_ms <= floor) | (floor == 0))
            self._stamped_ms[at[stamped]] = max(initial_ms, 1)
        # What changed while the session was being opened comes after the tag's first value, else a count would seem to go back.
        t_ms = np.maximum(raw.t_ms, self._stamped_ms.take(at))
        behind = t_ms <= floor
        if behind.any():
            if initial is not None:
                behind &= ~initial
            self.late += int(behind.sum())
            after = t_ms <= floor
            t_ms = np.where(after, floor + 1, t_ms)
            for index in [devices] if isinstance(devices, int) else np.unique(devices[after]).tolist():
                self.late_ms[index] = int(self._floor[index]) + 1
        raw = Columns(raw.ids, t_ms, raw.bits, raw.kinds, raw.strings)
        fast = self._expected.take(at) == raw.kinds
        lost = {row: int(self._newest_ms[at[row]]) for row in overflow}
        for row in lost:
            fast[row] = False
        self._newest_ms[at] = t_ms
        if fast.all():
            self._push_fast(raw, at, devices)
            return
        slow = np.flatnonzero(~fast)
        for row in slow.tolist():
            self._push_slow(raw, row, lost.get(row, 0))
        if len(slow) < len(raw):
            self._push_fast(raw.take(fast), at[fast], devices if isinstance(devices, int) else devices[fast])

    def _without_known(self, raw: Columns, overflow: Iterable[int]) -> tuple[Columns, list[int]]:
        news = raw.t_ms > self._floor[self._device_of[raw.ids]]
        place = np.cumsum(news) - 1
        return raw.take(news), [int(place[row]) for row in overflow if news[row]]

    def _push_fast(self, raw: Columns, at: npt.NDArray[np.intp], devices: npt.NDArray[np.int32] | int) -> None:
        bits = raw.bits
        if self._any_scaled:
            scaled = self._scaled.take(at)
            if scaled.any():
                number = as_double(bits, raw.kinds) * self._scale.take(at) + self._offset.take(at)
                bits = np.where(scaled, number.view(np.uint64), bits)
        self._waiting.append(_Waiting(Columns(self._alias.take(at), raw.t_ms, bits, self._wire_kind.take(at)), devices))

    def _push_slow(self, raw: Columns, row: int, lost_from_ms: int) -> None:
        tag = self.plan.tags[int(raw.ids[row])]
        kind = int(raw.kinds[row])
        value = value_of(kind, int(raw.bits[row]), raw.strings)
        device = self.devices[tag.device]
        device.put(int(raw.t_ms[row]), tag, kind & ~NULL, value, lost_from_ms)
        if self._plain[tag.number] and value is not None and not isinstance(value, str) and not self._expected[tag.number]:
            self._learn(tag, device.spec.id, kind)

    def _learn(self, tag: Tag, device: str, kind: int) -> None:
        """From its first value on a plain sample of this kind goes the vectorised way, if it fits the type its metric was born with."""
        number = tag.number
        metric = self.catalogue.metric(device, tag.key, DataType(DOUBLE if self._scaled[number] else kind))
        wire = int(metric.datatype)
        if wire != kind and wire in REAL_KINDS and kind not in REAL_KINDS:
            self._scaled[number] = self._any_scaled = True  # whole numbers for a metric born real
        elif wire != kind and not (wire in REAL_KINDS and kind in REAL_KINDS) and not self._scaled[number]:
            return
        self._alias[number] = metric.alias
        self._wire_kind[number] = wire
        self._expected[number] = kind

    def lost(self, devices: Iterable[int], cause: GapCause, detail: str = "") -> None:
        for index in devices:
            self.devices[index].lost(cause, detail)

    def resume(self, devices: Iterable[int], at_ms: int, *, restarted: bool = False) -> None:
        """`restarted`: the source began anew since it was lost."""
        for index in devices:
            self.devices[index].resume(at_ms, restarted=restarted)

    def go_on(self, devices: Iterable[int], at_ms: int, detail: str = "") -> None:
        """Nothing was missed since these devices were lost. `detail`: in words, where what came meanwhile was read afterwards."""
        for index in devices:
            self.devices[index].go_on(at_ms, detail)

    def advance(self, devices: Iterable[int], until_ms: int) -> None:
        """Everything of these devices up to `until_ms` has been handed in."""
        for index in devices:
            if until_ms > self._until[index]:
                self._until[index] = until_ms
                self._advanced.add(index)

    def tell_late(self, devices: Iterable[int]) -> None:
        """The next `drain` has what came late of these devices, too, although they are proven no further."""
        self._telling.update(index for index in devices if index in self.late_ms)

    def set_back(self, at_ms: int) -> None:
        """Plant time was set back to `at_ms`: times later than that are no longer."""
        for device in self.devices:
            device.set_back(at_ms)
        self.late_ms = {index: min(t_ms, at_ms) for index, t_ms in self.late_ms.items()}
        for times in (self._until, self._floor, self._newest_ms, self._stamped_ms):
            np.minimum(times, at_ms, out=times)
        for part in self._waiting:
            part.columns.t_ms = np.minimum(part.columns.t_ms, at_ms)

    def clock_suspect(self, suspect: bool) -> None:
        """From here on what is stamped here is in doubt, or no longer: every device says so with its next rows."""
        for device in self.devices:
            device.clock_suspect = suspect

    def beat(self, devices: Iterable[int]) -> None:
        """The next records of these devices carry watched_until."""
        self._beats.update(devices)

    # --- out -----------------------------------------------------------------------------------------------------------------
    def drain(self) -> list[Record]:
        """Records of everything behind the watermarks, device by device."""
        told_ms = self._until
        if self._telling:
            told_ms = self._until.copy()
            for index in self._telling:
                told_ms[index] = max(told_ms[index], self.late_ms[index])
        fast = self._ready_samples(told_ms) if self._advanced or self._telling else {}  # what was pushed since is behind the watermarks
        out: list[Record] = []
        for index in sorted(self._advanced | self._telling | set(fast)):
            device = self.devices[index]
            beat = index in self._beats
            rows = device.release(int(self._until[index]), beat, int(told_ms[index]))
            if beat:
                self._beats.discard(index)
            samples = fast.get(index)
            if not rows and samples is None:
                continue
            has_facts = any(row.priority != P_SAMPLE for row in rows)
            columns = _merged(rows, samples)
            starts = range(0, len(columns), self._values_max)
            out.extend(Record(index, columns.take(slice(start, start + self._values_max)), has_facts) for start in starts)
        if self.late_ms:
            self.late_ms = {index: t_ms for index, t_ms in self.late_ms.items() if t_ms > told_ms[index]}
        self._floor[:] = self._until
        self._advanced.clear()
        self._telling.clear()
        return out

    def waiting_count(self) -> int:
        """Values behind the watermark."""
        return sum(len(part.columns) for part in self._waiting) + sum(len(device.pending) for device in self.devices)

    def _ready_samples(self, told_ms: npt.NDArray[np.int64]) -> dict[int, Columns]:
        """Plain samples up to each device's `told_ms`, by device, each in the order of time."""
        if not self._waiting:
            return {}
        parts, self._waiting = self._waiting, []
        columns, devices = joined([part.columns for part in parts]), parts[0].devices
        if len(parts) > 1 and not all(isinstance(part.devices, int) and part.devices == devices for part in parts):
            devices = np.concatenate([part.each() for part in parts])
        ready = columns.t_ms <= told_ms[devices]
        if not ready.all():
            keep = ~ready
            self._waiting = [_Waiting(columns.take(keep), devices if isinstance(devices, int) else _one_if_same(devices[keep]))]
            if not ready.any():
                return {}
            columns, devices = columns.take(ready), devices if isinstance(devices, int) else _one_if_same(devices[ready])
        if isinstance(devices, int):
            return {devices: _in_order(columns)}
        order = np.lexsort((columns.t_ms, devices))
        columns, devices = columns.take(order), devices[order]
        starts = np.flatnonzero(np.diff(devices, prepend=-1))
        ends = np.append(starts[1:], len(devices))
        return {int(devices[a]): columns.take(slice(a, b)) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)}


def _one_if_same(devices: npt.NDArray[np.int32]) -> npt.NDArray[np.int32] | int:
    """At least one row."""
    first = int(devices[0])
    return first if bool((devices == first).all()) else devices


def _in_order(columns: Columns) -> Columns:
    """By time; what has the same time stays as it came."""
    t_ms = columns.t_ms
    if not bool((t_ms[1:] < t_ms[:-1]).any()):
        return columns
    since_ms = t_ms - t_ms.min()
    short = int(since_ms.max()) < 1 << 16  # then it goes without comparing (radix sort)
    return columns.take(np.argsort(since_ms.astype(np.uint16) if short else since_ms, kind="stable"))


def _merged(rows: list[Row], samples: Columns | None) -> Columns:
    """Facts and samples of one device by time, then priority."""
    if not rows:
        assert samples is not None
        return samples
    facts = Columns.of((row.alias, row.t_ms, row.kind, row.value) for row in rows)
    if samples is None:
        return facts
    both = joined([facts, samples])
    priority = np.concatenate([np.array([row.priority for row in rows], np.uint8), np.full(len(samples), P_SAMPLE, np.uint8)])
    return both.take(np.lexsort((priority, both.t_ms)))
