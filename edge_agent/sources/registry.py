"""From config to running sources, by the kind of each. Drivers are imported only when their kind is used."""

from __future__ import annotations

from collections.abc import Mapping

from edge_agent.config import AgentConfig
from edge_agent.contract.clock import Clock
from edge_agent.health import SourceHealth
from edge_agent.pipeline.tags import DeviceSource, TagPlan
from edge_agent.sources.kind import Setup
from edge_agent.sources.kinds import BY_TYPE
from edge_agent.sources.source import Source


def resolve_devices(config: AgentConfig) -> dict[str, DeviceSource]:
    """Every device with its source and its metrics, models filled in. Raises ConfigInvalid."""
    out: dict[str, DeviceSource] = {}
    for name, source in config.sources.items():
        kind = BY_TYPE[source.type]
        for device_id, device in source.devices.items():
            found = kind.metrics(device_id, source, device)
            out[device_id] = DeviceSource(name, device, found.metrics, found.period_ms)
    return out


def make_source(name: str, config: AgentConfig, plan: TagPlan, devices: Mapping[str, DeviceSource], clock: Clock, health: SourceHealth) -> Source:
    """The running object for `config.sources[name]`."""
    source = config.sources[name]
    indices = {spec.id: spec.index for spec in plan.devices if spec.source == name}
    return BY_TYPE[source.type].make(Setup(name, source, config.edge, clock, plan.by_key(), indices, devices, health))
