"""Several values that make one metric, put together as they come. Pure but for what it remembers: the newest value of each.

Inputs have numbers of their own behind the source's tags; they never leave the source. A metric is said when all its inputs have been seen, and again
whenever one of them changes what comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from edge_agent.contract.payload import DataType
from edge_agent.events import Batch, ClockSet, SourceEvent
from edge_agent.pipeline.columns import Columns, Value
from edge_agent.sources.source import Sink


@dataclass(frozen=True, slots=True)
class Combination:
    """Tag `tag` from `inputs` (name -> input number) by `rule`."""

    tag: int
    inputs: Mapping[str, int]
    rule: Callable[[Mapping[str, Value]], Value]


class Combiner:
    """`base`: the first input number. `readings`: what a raw value of an input means (a state's number -> its name)."""

    def __init__(self, base: int, combinations: Sequence[Combination], readings: Mapping[int, Callable[[Value], Value]]) -> None:
        self._base, self._combinations, self._readings = base, combinations, readings
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
                self._known[rows[at][0]] = rows[at][3]
            touched = {rows[at][0] for at in changed}
            lost = any(at in overflow for at in changed)
            fresh = any(at in initial for at in changed)
            kept += [(row, fresh, lost) for row in self._made(touched, t_ms, always=lost)]
        made = Columns.of(row for row, _, _ in kept)
        marks = np.array([first for _, first, _ in kept], np.bool_) if batch.initial is not None else None
        return replace(batch, columns=made, initial=marks, overflow=[at for at, (_, _, lost) in enumerate(kept) if lost])

    def _made(self, touched: set[int], t_ms: int, *, always: bool) -> list[tuple[int, int, int, Value]]:
        out = []
        for one in self._combinations:
            if not touched & set(one.inputs.values()) or not all(number in self._known for number in one.inputs.values()):
                continue
            value = self.value(one)
            if not always and one.tag in self._said and self._said[one.tag] == value:
                continue
            self._said[one.tag] = value
            out.append((one.tag, t_ms, _kind(value), value))
        return out

    def know(self, number: int, value: Value) -> None:
        self._known[number] = value

    def value(self, one: Combination) -> Value:
        """What the metric is now."""
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
    """A source's way to the worker, with the combiner on it."""

    def __init__(self, sink: Sink, combiner: Combiner) -> None:
        self._inner, self._combiner = sink, combiner

    def put(self, event: SourceEvent | ClockSet) -> None:
        self._inner.put(self._combiner.take(event) if isinstance(event, Batch) else event)

    @property
    def full(self) -> bool:
        return self._inner.full

    async def room(self) -> None:
        await self._inner.room()
