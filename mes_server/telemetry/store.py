"""What every telemetry store promises. One suite holds all implementations to it: tests/suites/telemetry_store.py.

A sample is (series, ms since 1970 UTC, float); a series is (device, metric). `append` stores samples and moves the marks of the buffers they came
from in ONE transaction where the engine has transactions (DuckDB, memory); InfluxDB writes the same points again harmlessly, so there the marks
follow the points. Samples arrive in any order of time; two samples of one series and moment may both be kept or the later one win.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

StreamKey = tuple[str, str]  # (edge, buffer epoch)
POINTS_MAX = 2_000
ROLLUP_MINUTES = (1, 15)


class Samples(NamedTuple):
    """Columns of equal length: store's series number, ms, finite value."""

    series: NDArray[np.int32]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]


class Window(NamedTuple):
    """Samples of one series in time order."""

    ts: NDArray[np.int64]
    value: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Buckets:
    """Equal stretches of time with something in them: start ms, samples, min, mean, max. Empty stretches are left out, never zero."""

    start: NDArray[np.int64]
    n: NDArray[np.int64]
    low: NDArray[np.float64]
    mean: NDArray[np.float64]
    high: NDArray[np.float64]
    width_ms: int


class SeriesInfo(NamedTuple):
    device: str
    metric: str


class TelemetryStore(Protocol):
    """One writing thread (append, drop_before, close); any number of readers on other threads. Raises TelemetryFailed, TelemetryInUse."""

    kind: str

    def open(self) -> None:
        """Opens or makes the store; before it nothing touches the disk or the network. Raises TelemetryFailed, TelemetryInUse."""
        ...

    def register(self, device: str, metric: str) -> int:
        """The store's number of a series, the same for ever; kept with the next append."""
        ...

    def append(self, samples: Samples, marks: Mapping[StreamKey, int]) -> None:
        """All or nothing: samples, their roll-ups and the marks."""
        ...

    def marks(self) -> dict[StreamKey, int]: ...

    def series(self) -> list[SeriesInfo]: ...

    def window(self, device: str, metric: str, from_ms: int, to_ms: int, *, limit: int = 1_000_000) -> Window:
        """Samples with from_ms <= ts < to_ms; the first `limit`."""
        ...

    def latest(self, device: str, metric: str, *, before_ms: int | None = None) -> tuple[int, float] | None: ...

    def buckets(self, device: str, metric: str, from_ms: int, to_ms: int, points: int) -> Buckets:
        """At most `points` (1..2000) buckets over [from_ms, to_ms), aligned to from_ms; width is a whole number of ms."""
        ...

    def rollup(self, device: str, metric: str, from_ms: int, to_ms: int, minutes: int) -> Buckets:
        """Buckets of 1 or 15 minutes, aligned to UTC, whose start lies in [from_ms, to_ms). Equal to what `window` gives, only quicker."""
        ...

    def drop_before(self, before_ms: int) -> int:
        """Forgets samples older than `before_ms` (roll-ups stay); returns how many."""
        ...

    def close(self) -> None: ...


def bucket_width_ms(from_ms: int, to_ms: int, points: int) -> int:
    return max(1, -((from_ms - to_ms) // max(1, min(points, POINTS_MAX))))


def empty_buckets(width_ms: int) -> Buckets:
    none = np.zeros(0)
    return Buckets(np.zeros(0, np.int64), np.zeros(0, np.int64), none, none, none, width_ms)


def bucketed(ts: NDArray[np.int64], value: NDArray[np.float64], origin_ms: int, width_ms: int) -> Buckets:
    """The reference: groups samples (any order) into buckets of `width_ms` counted from `origin_ms`."""
    if not len(ts):
        return empty_buckets(width_ms)
    number, place = np.unique((ts - origin_ms) // width_ms, return_inverse=True)
    count = np.bincount(place)
    low = np.full(len(number), np.inf)
    high = np.full(len(number), -np.inf)
    np.minimum.at(low, place, value)
    np.maximum.at(high, place, value)
    return Buckets(origin_ms + number * width_ms, count, low, np.bincount(place, weights=value) / count, high, width_ms)
