"""Telemetry in memory: for tests and for a server that shall keep no samples. Bounded; the oldest appends go first."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np

from mes_server.telemetry.store import Buckets, Samples, SeriesInfo, StreamKey, Window, bucket_width_ms, bucketed


class MemoryStore:
    """Keeps at most `samples_max` samples."""

    kind = "memory"

    def __init__(self, *, samples_max: int = 5_000_000) -> None:
        self._samples_max = samples_max
        self._lock = threading.Lock()
        self._ids: dict[tuple[str, str], int] = {}
        self._chunks: list[Samples] = []
        self._size = 0
        self._marks: dict[StreamKey, int] = {}

    def open(self) -> None:
        """Nothing to open."""

    def register(self, device: str, metric: str) -> int:
        with self._lock:
            return self._ids.setdefault((device, metric), len(self._ids))

    def append(self, samples: Samples, marks: Mapping[StreamKey, int]) -> None:
        with self._lock:
            self._marks.update(marks)
            if len(samples.ts):
                self._chunks.append(Samples(samples.series.copy(), samples.ts.copy(), samples.value.copy()))
                self._size += len(samples.ts)
                while self._size > self._samples_max and len(self._chunks) > 1:
                    self._size -= len(self._chunks.pop(0).ts)
                if len(self._chunks) > 256:
                    self._chunks = [self._joined()]

    def _joined(self) -> Samples:
        if not self._chunks:
            return Samples(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0))
        series, ts, value = zip(*self._chunks, strict=True)
        return Samples(np.concatenate(series), np.concatenate(ts), np.concatenate(value))

    def marks(self) -> dict[StreamKey, int]:
        with self._lock:
            return dict(self._marks)

    def series(self) -> list[SeriesInfo]:
        with self._lock:
            return [SeriesInfo(*key) for key in self._ids]

    def window(self, device: str, metric: str, from_ms: int, to_ms: int, *, limit: int = 1_000_000) -> Window:
        with self._lock:
            wanted = self._ids.get((device, metric), -1)
            every = self._joined()
        chosen = (every.series == wanted) & (every.ts >= from_ms) & (every.ts < to_ms)
        ts, value = every.ts[chosen], every.value[chosen]
        order = np.argsort(ts, kind="stable")[:limit]
        return Window(ts[order], value[order])

    def latest(self, device: str, metric: str, *, before_ms: int | None = None) -> tuple[int, float] | None:
        found = self.window(device, metric, -(1 << 62), 1 << 62 if before_ms is None else before_ms, limit=1 << 62)
        return (int(found.ts[-1]), float(found.value[-1])) if len(found.ts) else None

    def buckets(self, device: str, metric: str, from_ms: int, to_ms: int, points: int) -> Buckets:
        found = self.window(device, metric, from_ms, to_ms, limit=1 << 62)
        return bucketed(found.ts, found.value, from_ms, bucket_width_ms(from_ms, to_ms, points))

    def rollup(self, device: str, metric: str, from_ms: int, to_ms: int, minutes: int) -> Buckets:
        width = minutes * 60_000
        first, last = -(-from_ms // width) * width, -(-to_ms // width) * width
        found = self.window(device, metric, first, last, limit=1 << 62)
        return bucketed(found.ts, found.value, 0, width)

    def drop_before(self, before_ms: int) -> int:
        with self._lock:
            every = self._joined()
            keep = every.ts >= before_ms
            self._chunks = [Samples(every.series[keep], every.ts[keep], every.value[keep])]
            self._size = int(keep.sum())
            return len(keep) - self._size

    def close(self) -> None:
        """Nothing to close."""
