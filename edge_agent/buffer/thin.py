"""Thinning: a record keeps its facts; its plain samples become one samples_gap record. Facts are never thinned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_agent.contract import names
from edge_agent.contract.delivery import GapRecord
from edge_agent.contract.names import FACTS, GapCause
from edge_agent.contract.payload import DataType
from edge_agent.pipeline.catalogue import Catalogue
from edge_agent.pipeline.columns import Columns, joined


@dataclass(frozen=True, slots=True)
class Dropped:
    """Samples that were left out: their number, and from when to when (ms, both inclusive)."""

    count: int
    from_ms: int
    to_ms: int

    def and_(self, other: Dropped | None) -> Dropped:
        if other is None:
            return self
        return Dropped(self.count + other.count, min(self.from_ms, other.from_ms), max(self.to_ms, other.to_ms))


class Thinner:
    """Knows which aliases are facts."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._known = -1
        self._facts: np.ndarray[Any, np.dtype[np.uint32]] = np.empty(0, np.uint32)

    def split(self, columns: Columns) -> tuple[Columns, Dropped | None]:
        """The facts of a record, and what samples it had."""
        if len(self._catalogue.by_alias) != self._known:
            self._known = len(self._catalogue.by_alias)
            facts = [m.alias for m in self._catalogue.by_alias.values() if m.name in FACTS or m.name in (names.SAMPLES_GAP, names.CLOCK_SUSPECT)]
            self._facts = np.array(facts, np.uint32)
        keep = np.isin(columns.ids, self._facts)
        gone = len(columns) - int(keep.sum())
        if not gone:
            return columns, None
        times = columns.t_ms[~keep]
        return columns.take(keep), Dropped(gone, int(times.min()), int(times.max()))

    def marked(self, device: str, facts: Columns, dropped: Dropped) -> Columns:
        """The facts with a samples_gap record for what was dropped, in the order of time."""
        gap = GapRecord(dropped.from_ms, dropped.to_ms + 1, GapCause.BUFFER_FULL, f"{dropped.count} samples")
        metric = self._catalogue.metric(device, names.SAMPLES_GAP, DataType.STRING)
        both = joined([facts, Columns.of([(metric.alias, dropped.to_ms, int(DataType.STRING), gap.to_json())])])
        return both.take(np.argsort(both.t_ms, kind="stable"))
