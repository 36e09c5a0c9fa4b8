"""Every kind of source, by the `type` of its config. Drivers are imported only when their kind is used."""

from __future__ import annotations

from collections.abc import Mapping

from edge_agent.config import AgentConfig, MetricConfig, ModbusConfig, OpcUaConfig
from edge_agent.contract.clock import Clock
from edge_agent.health import SourceHealth
from edge_agent.pipeline.tags import DeviceSource, Tag, TagPlan
from edge_agent.sources.modbus.meters import metrics_of
from edge_agent.sources.source import Source


def resolve_devices(config: AgentConfig) -> dict[str, DeviceSource]:
    """Every device with its source and its metrics, meter models filled in. Raises ConfigInvalid."""
    out: dict[str, DeviceSource] = {}
    for name, source in config.sources.items():
        for device_id, device in source.devices.items():
            metrics: Mapping[str, MetricConfig] = device.metrics
            period_ms = 0
            if isinstance(source, ModbusConfig):
                metrics = metrics_of(device_id, device)
                period_ms = max((round((metric.period_s or source.period_s) * 1000) for metric in metrics.values()), default=0)
            out[device_id] = DeviceSource(name, device, metrics, period_ms)
    return out


def make_source(name: str, config: AgentConfig, plan: TagPlan, devices: Mapping[str, DeviceSource], clock: Clock, health: SourceHealth) -> Source:
    """The running object for `config.sources[name]`."""
    tags: dict[tuple[str, str], Tag] = plan.by_key()
    mine = tuple(spec.index for spec in plan.devices if spec.source == name)
    source = config.sources[name]
    if isinstance(source, OpcUaConfig):
        from edge_agent.sources.opcua.source import OpcUaSource

        return OpcUaSource(name, source, config.edge, clock, tags, mine, health)
    from edge_agent.sources.modbus.source import ModbusSource

    return ModbusSource(name, source, clock, tags, {spec.id: spec.index for spec in plan.devices if spec.source == name}, devices, health)
