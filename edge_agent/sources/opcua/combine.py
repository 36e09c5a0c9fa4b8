"""Several values that make one metric, put together as they come. Pure but for what it remembers: the newest value of each.

Inputs have numbers of their own behind the source's tags; they never leave the source. A metric is said when all its inputs have been seen, and again
whenever one of them changes what comes out. What is known goes into the memory of each notification, so that a subscription that outlives the agent
can be gone on with: only the node that changed is told again. After a gap a device's values are told anew and what was known of them is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from edge_agent.contract.payload import DataType
from edge_agent.events import Batch, ClockSet, Resumed, SourceEvent
from edge_agent.pipeline.columns import Columns, Value
from edge_agent.sources.opcua.alarms import NotYet
from edge_agent.sources.source import Sink

State = dict[str, dict[str, Value]]  # "known": input -> raw value; "said": metric -> value


@dataclass(frozen=True, slots=True)
class Combination:
    """Tag `tag` from `inputs` (name -> input number) by `rule`."""

    tag: int
    inputs: Mapping[str, int]
    rule: Callable[[Mapping[str, Value]], Value]
    device: int = -1
    words: str = ""  # "device.metric"


class Combiner:
    """`base`: the first input number. `readings`: what a raw value of an input means (a state's number -> its name). `names`: the inputs in words.

    `folds`: inputs of which each value adds to what is known (a machine's conditions): known, told -> known. A gap does not forget those.
    """

    def __init__(
        self,
        base: int,
        combinations: Sequence[Combination],
        readings: Mapping[int, Callable[[Value], Value]],
        names: Mapping[int, str] | None = None,
        folds: Mapping[int, Callable[[Value, Value], Value]] | None = None,
    ) -> None:
        self._base, self._combinations, self._readings = base, combinations, readings
        self._names, self._folds = names or {}, folds or {}
        self._known: dict[int, Value] = {}
        self._said: dict[int, Value] = {}

    def take(self, batch: Batch) -> Batch:
        """The batch with the inputs' rows replaced by those of the metrics they make."""
        columns = batch.columns
        if not len(columns) or int(columns.ids.max()) < self._base:
            return batch
        rows = columns.rows()
        initial = set(np.flatnonzero(batch.initial).tolist()) if batch.initial is not None else set()
        overflow = set(batch.overflow)
        kept = [(row, at in initial, at in overflow) for at, row in enumerate(rows) if row[0] < self._base]
        mine = sorted((row[1], at) for at, row in enumerate(rows) if row[0] >= self._base)
        for t_ms, group in groupby(mine, key=lambda one: one[0]):
            changed = [at for _, at in group]
            for at in changed:
                self._learn(rows[at][0], rows[at][3])
            touched = {rows[at][0] for at in changed}
            lost = any(at in overflow for at in changed)
            fresh = any(at in initial for at in changed)
            kept += [(row, fresh, lost) for row in self._made(touched, t_ms, always=lost)]
        made = Columns.of(row for row, _, _ in kept)
        marks = np.array([first for _, first, _ in kept], np.bool_) if batch.initial is not None else None
        return replace(batch, columns=made, initial=marks, overflow=[at for at, (_, _, lost) in enumerate(kept) if lost])

    def _learn(self, number: int, value: Value) -> None:
        fold = self._folds.get(number)
        self._known[number] = value if fold is None else fold(self._known.get(number), value)

    def _made(self, touched: set[int], t_ms: int, *, always: bool) -> list[tuple[int, int, int, Value]]:
        out = []
        for one in self._combinations:
            if not touched & set(one.inputs.values()) or not all(number in self._known for number in one.inputs.values()):
                continue
            try:
                value = self.value(one)
            except NotYet:
                continue
            if not always and one.tag in self._said and self._said[one.tag] == value:
                continue
            self._said[one.tag] = value
            out.append((one.tag, t_ms, _kind(value), value))
        return out

    # --- what outlives a session ---------------------------------------------------------------------------------------------
    def state(self) -> State:
        """What is known and what was said, by names: the numbers may be others next time."""
        known = {name: self._known[number] for number, name in self._names.items() if number in self._known}
        return {"known": known, "said": {one.words: self._said[one.tag] for one in self._combinations if one.tag in self._said}}

    def go_on(self, state: State) -> None:
        known, said = state["known"], state["said"]
        self._known = {number: known[name] for number, name in self._names.items() if name in known}
        self._said = {one.tag: said[one.words] for one in self._combinations if one.words in said}

    def forget(self, devices: Iterable[int]) -> None:
        """Their values will be told anew, and what they make must be said anew."""
        for one in self._combinations:
            if one.device in devices:
                self._said.pop(one.tag, None)
                for number in one.inputs.values():
                    if number not in self._folds:
                        self._known.pop(number, None)

    def know(self, number: int, value: Value) -> None:
        self._known[number] = value

    def value(self, one: Combination) -> Value:
        """What the metric is now. Raises NotYet."""
        known = {name: self._reading(number) for name, number in one.inputs.items()}
        return one.rule(known)

    def _reading(self, number: int) -> Value:
        raw = self._known.get(number)
        meaning = self._readings.get(number)
        return raw if meaning is None else meaning(raw)


def _kind(value: Value) -> int:
    if isinstance(value, bool):
        return int(DataType.BOOLEAN)
    if isinstance(value, int):
        return int(DataType.INT64)
    return int(DataType.DOUBLE) if isinstance(value, float) else int(DataType.STRING)


class CombiningSink(Sink):
    """A source's way to the worker, with the combiner on it. `remember`: puts what is known now into the memory of a notification."""

    def __init__(self, sink: Sink, combiner: Combiner, remember: Callable[[bytes], bytes]) -> None:
        self._inner, self._combiner, self._remember = sink, combiner, remember

    def put(self, event: SourceEvent | ClockSet) -> None:
        if isinstance(event, Resumed):
            self._combiner.forget(event.devices)
        if isinstance(event, Batch):
            event = self._combiner.take(event)
            if event.memory:
                event = replace(event, memory=self._remember(event.memory))
        self._inner.put(event)

    @property
    def full(self) -> bool:
        return self._inner.full

    async def room(self) -> None:
        await self._inner.room()
