"""DSMR P1 as a kind of source."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from edge_agent.config_model import DeviceConfig, SourceBase
from edge_agent.errors import ConfigInvalid
from edge_agent.sources.bus.config import LINE_ZH, line_faults
from edge_agent.sources.dsmr.config import DsmrConfig, DsmrDevice, DsmrMetric
from edge_agent.sources.dsmr.values import KNOWN
from edge_agent.sources.kind import DeviceMetrics, Kind, Sample, Setup

if TYPE_CHECKING:
    from edge_agent.sources.source import Source


def _make(setup: Setup) -> Source:
    from edge_agent.sources.dsmr.source import DsmrSource

    return DsmrSource(setup)


def _metrics(device_id: str, source: SourceBase, device: DeviceConfig) -> DeviceMetrics:
    meter = cast("DsmrDevice", device)
    out = {key: meter.metrics.get(key, DsmrMetric()) for key in dict.fromkeys((*meter.read, *meter.metrics))}
    for key, metric in out.items():
        if key not in KNOWN and metric.obis is None:
            raise ConfigInvalid(
                f"Device {device_id}, metric {key}: no value of that name is known.",
                f"设备 {device_id},{key}:没有这个名称的已知量。",
                f"Write its obis code as `browse` shows it, or choose one of {', '.join(KNOWN)}.",
                f"请按 `browse` 所示写 obis,或选用:{'、'.join(KNOWN)}。",
            )
    return DeviceMetrics(out, max(1, round(cast("DsmrConfig", source).period_s * 1000)))


KIND = Kind(
    config=DsmrConfig,
    device=DsmrDevice,
    metric=DsmrMetric,
    make=_make,
    metrics=_metrics,
    across=line_faults,
    zh=LINE_ZH,
    sample=Sample(
        "P1",
        {"type": '"dsmr"', "host": '"192.0.2.32"'},
        "INC-01",
        {"read": '["energy_import_wh", "energy_export_wh", "power_w", "gas_m3"]', "rated_power_w": "55000"},
        ('failures = { obis = "0-0:96.7.21" }',),
        frozenset({"min_cycle_s", "kind"}),
    ),
)
