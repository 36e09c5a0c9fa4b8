"""Modbus as a kind of source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from edge_agent.config_model import DeviceConfig, SourceBase
from edge_agent.sources.kind import Bus, DeviceMetrics, Fault, Kind, Sample, Setup
from edge_agent.sources.modbus.config import ModbusConfig, ModbusDevice, ModbusMetric

if TYPE_CHECKING:
    from edge_agent.sources.source import Source


def _make(setup: Setup) -> Source:
    from edge_agent.sources.modbus.source import ModbusSource

    return ModbusSource(setup.name, cast("ModbusConfig", setup.config), setup.clock, setup.tags, setup.indices, setup.devices, setup.health)


def _metrics(device_id: str, source: SourceBase, device: DeviceConfig) -> DeviceMetrics:
    from edge_agent.sources.modbus.meters import metrics_of

    metrics = metrics_of(device_id, cast("ModbusDevice", device))
    default_s = cast("ModbusConfig", source).period_s
    return DeviceMetrics(metrics, max((round((metric.period_s or default_s) * 1000) for metric in metrics.values()), default=0))


def _across(raw: Mapping[str, Any]) -> Iterable[Fault]:
    """A serial bus needs its port, and nothing else takes one."""
    serial = raw.get("transport") == "serial"
    if serial and raw.get("serial") is None:
        yield Fault(("serial",), "line_port_missing", "serial is missing (as /dev/ttyUSB0)")
    if not serial and raw.get("serial") is not None:
        yield Fault(("serial",), "line_port_unused", 'serial stands here, but transport is not "serial"')


def _bus(source: SourceBase, devices: Mapping[str, DeviceMetrics]) -> Bus:
    from edge_agent.sources.modbus.load import bus_of

    config = cast("ModbusConfig", source)
    return bus_of(config, {device_id: cast("Mapping[str, ModbusMetric]", found.metrics) for device_id, found in devices.items()})


KIND = Kind(
    config=ModbusConfig,
    device=ModbusDevice,
    metric=ModbusMetric,
    make=_make,
    metrics=_metrics,
    bus=_bus,
    sample=Sample(
        "METERS",
        {"type": '"modbus"', "host": '"192.0.2.20"'},
        "M-SAW-01",
        {"kind": '"meter"', "unit": "1", "model": '"eastron_sdm630"', "rated_power_w": "30000"},
        (),
        frozenset({"min_cycle_s"}),
    ),
    across=_across,
    zh={"line_port_missing": "缺少 serial(如 /dev/ttyUSB0)", "line_port_unused": '写了 serial,但 transport 不是 "serial"'},
)
