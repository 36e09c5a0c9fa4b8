"""M-Bus as a kind of source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from edge_agent.config_model import DeviceConfig, SourceBase
from edge_agent.errors import ConfigInvalid
from edge_agent.sources.bus.config import LINE_ZH, line_faults
from edge_agent.sources.bus.load import bus_of
from edge_agent.sources.kind import Bus, DeviceMetrics, Fault, Kind, Sample, Setup
from edge_agent.sources.mbus.config import MbusConfig, MbusDevice, MbusMetric
from edge_agent.sources.mbus.select import KNOWN

if TYPE_CHECKING:
    from edge_agent.sources.source import Source


def _make(setup: Setup) -> Source:
    from edge_agent.sources.mbus.source import make

    return make(setup)


def _metrics(device_id: str, source: SourceBase, device: DeviceConfig) -> DeviceMetrics:
    meter = cast("MbusDevice", device)
    out = {key: meter.metrics.get(key, MbusMetric()) for key in dict.fromkeys((*meter.read, *meter.metrics))}
    for key, metric in out.items():
        if key not in KNOWN and metric.record is None and metric.quantity is None:
            raise ConfigInvalid(
                f"Device {device_id}, metric {key}: no value of that name is known.",
                f"设备 {device_id},{key}:没有这个名称的已知量。",
                f"Write its record or quantity as `browse` shows them, or choose one of {', '.join(KNOWN)}.",
                f"请按 `browse` 所示写 record 或 quantity,或选用:{'、'.join(KNOWN)}。",
            )
    return DeviceMetrics(out, round((meter.period_s or cast("MbusConfig", source).period_s) * 1000))


# Greeting and its E5, REQ_UD2, and a telegram: 100 bytes is the mean of the recorded meters beside the tests.
READOUT_BYTES, THINK_S = 5 + 1 + 5 + 100, 0.1


def _bus(source: SourceBase, devices: Mapping[str, DeviceMetrics]) -> Bus:
    return bus_of(cast("MbusConfig", source), ((READOUT_BYTES, found.period_ms / 1000.0) for found in devices.values()), THINK_S)


def _across(raw: Mapping[str, Any]) -> Iterator[Fault]:
    yield from line_faults(raw)
    devices = raw.get("devices")
    for device_id, device in devices.items() if isinstance(devices, dict) else ():
        if isinstance(device, dict) and ("primary" in device) == ("secondary" in device):
            words = "say which meter: primary (0 to 250) or secondary (the 8 digits on its plate), one of the two"
            yield Fault(("devices", device_id), "mbus_address", words)


KIND = Kind(
    config=MbusConfig,
    device=MbusDevice,
    metric=MbusMetric,
    make=_make,
    metrics=_metrics,
    across=_across,
    bus=_bus,
    zh=LINE_ZH | {"mbus_address": "请写 primary(0–250)或 secondary(表牌上的 8 位数字),二选一"},
    sample=Sample(
        "MBUS",
        {"type": '"mbus"', "host": '"192.0.2.31"'},
        "M-HEAT-01",
        {"primary": "1", "read": '["energy_import_wh", "power_w", "volume_m3"]', "rated_power_w": "200000"},
        ('energy_last_month_wh = { quantity = "energy", storage = 1 }',),
        frozenset({"min_cycle_s", "kind"}),
    ),
)
