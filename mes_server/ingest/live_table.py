"""The newest value of every metric, in columns: what tiles show, independent of commits. One handle a (edge, device, metric).

Written by the ingest thread only; readers take single elements, which is safe under the interpreter's lock.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_agent.contract import names
from edge_agent.contract.payload import DataType

_SIGNED = {DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64}
_NO_SAMPLE = frozenset({names.WATCHED_UNTIL, names.GAP, names.STATE, names.ALARM, names.ORDER, names.OPERATION})


@dataclass(frozen=True, slots=True)
class Metric:
    edge: str
    device: str
    name: str


class LiveTable:
    """Columns grow by doubling; a handle is for ever."""

    def __init__(self) -> None:
        self.metrics: list[Metric] = []
        self._by_key: dict[tuple[str, str, str], int] = {}
        self._by_device: dict[tuple[str, str], dict[str, int]] = {}
        self.ts = np.zeros(1024, np.int64)
        self.value = np.full(1024, np.nan)
        self.signed = np.zeros(1024, np.uint8)  # bits of a signed birth datatype, else 0
        self.is_fact = np.zeros(1024, bool)
        self.series = np.full(1024, -1, np.int32)  # telemetry series; -1: not a sample
        self.text: dict[int, str] = {}
        self.text_ts: dict[int, int] = {}
        self.text_since: dict[int, int] = {}  # since when it says so, as far as seen here

    def handle(self, edge: str, device: str, name: str, datatype: int) -> int:
        """The handle of a metric, made at first sight; its datatype is that of the newest birth."""
        key = (edge, device, name)
        found = self._by_key.get(key)
        if found is None:
            found = self._by_key[key] = len(self.metrics)
            self.metrics.append(Metric(*key))
            self._by_device.setdefault((edge, device), {})[name] = found
            if found >= len(self.ts):
                self._grow()
            self.is_fact[found] = name in names.FACTS
        self.signed[found] = _SIGNED.get(datatype, 0)  # type: ignore[call-overload]
        return found

    def is_sample(self, handle: int) -> bool:
        return self.metrics[handle].name not in _NO_SAMPLE

    def put_numbers(self, handles: NDArray[np.int32], ts: NDArray[np.int64], value: NDArray[np.float64], historical: NDArray[np.bool_]) -> None:
        """Newest wins: a backlog never overwrites what is live."""
        for part in (historical, ~historical):
            chosen = np.flatnonzero(part & (ts >= self.ts[handles]))
            if len(chosen):
                self.ts[handles[chosen]] = ts[chosen]
                self.value[handles[chosen]] = value[chosen]

    def put_number(self, handle: int, ts: int, value: float) -> None:
        if ts >= self.ts[handle]:
            self.ts[handle] = ts
            self.value[handle] = value

    def put_text(self, handle: int, ts: int, text: str) -> None:
        if ts >= self.text_ts.get(handle, -1):
            if self.text.get(handle) != text:
                self.text_since[handle] = ts
            self.text[handle] = text
            self.text_ts[handle] = ts

    def devices(self) -> list[tuple[str, str]]:
        return list(self._by_device)

    def of_device(self, edge: str, device: str) -> dict[str, tuple[int, float | str]]:
        """metric -> (ms, newest value) of one device."""
        found: dict[str, tuple[int, float | str]] = {}
        for name, handle in list(self._by_device.get((edge, device), {}).items()):
            if handle in self.text:
                found[name] = (self.text_ts[handle], self.text[handle])
            elif self.ts[handle] > 0:
                found[name] = (int(self.ts[handle]), float(self.value[handle]))
        return found

    def text_since_of(self, edge: str, device: str, name: str) -> int | None:
        handle = self._by_key.get((edge, device, name))
        return None if handle is None else self.text_since.get(handle)

    def _grow(self) -> None:
        for name in ("ts", "value", "signed", "is_fact", "series"):
            column = getattr(self, name)
            filler = np.full(len(column), np.nan if name == "value" else -1 if name == "series" else 0, column.dtype)
            setattr(self, name, np.concatenate([column, filler]))
