"""What kinds have in common whose metrics are polled, each with a period of its own or the source's. Pure; the polling is in `bus/polling.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, cast

from edge_agent.config_model import DeviceConfig, PolledMetric, SourceBase
from edge_agent.sources.kind import DeviceMetrics

ON_TICK_MS = 200  # plant time; what was read later than this after its tick bears its own moment


class HasPeriod(Protocol):
    """A source's config that says how often is polled what does not say it itself."""

    @property
    def period_s(self) -> float: ...


def periods_s(metrics: Mapping[str, Mapping[str, PolledMetric]], config: HasPeriod) -> dict[str, dict[str, float]]:
    """Device id -> metric key -> plant seconds between its polls."""
    return {device: {key: metric.period_s or config.period_s for key, metric in mine.items()} for device, mine in metrics.items()}


def with_longest_period(metrics: Mapping[str, PolledMetric], config: HasPeriod) -> DeviceMetrics:
    """A device whose slowest metric says how often it is looked at as a whole."""
    longest_s = max((metric.period_s or config.period_s for metric in metrics.values()), default=0.0)
    return DeviceMetrics(metrics, round(longest_s * 1000))


def as_configured(device_id: str, source: SourceBase, device: DeviceConfig) -> DeviceMetrics:
    """`Kind.metrics` where every metric stands in the config."""
    return with_longest_period(cast("Mapping[str, PolledMetric]", device.metrics), cast("HasPeriod", source))


def tick_of(periods_ms: Iterable[int], asked_ms: int) -> int:
    """The latest multiple of one of `periods_ms` that is not after `asked_ms`."""
    return max(asked_ms // period * period for period in periods_ms)


def reading_ms(tick_ms: int | None, asked_ms: int, answered_ms: int, last_ms: int) -> int:
    """The timestamp of what was asked for at `asked_ms` and came at `answered_ms`: the device looked somewhere between.

    The tick it was due at (None: polls are not aligned) where that is true within ON_TICK_MS: a busy edge or a slow line must not put a total under a
    moment at which the meter showed less. Never at or before `last_ms`, the reading before, while the clock runs on.
    """
    middle_ms = (asked_ms + answered_ms) // 2
    if tick_ms is not None and last_ms < tick_ms and middle_ms - tick_ms <= ON_TICK_MS:
        return tick_ms
    return middle_ms
