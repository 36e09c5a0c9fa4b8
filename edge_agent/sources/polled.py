"""What kinds have in common whose metrics are polled, each with a period of its own or the source's. Pure; the polling is in `bus/polling.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, cast

from edge_agent.config_model import DeviceConfig, PolledMetric, SourceBase
from edge_agent.sources.kind import DeviceMetrics


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
