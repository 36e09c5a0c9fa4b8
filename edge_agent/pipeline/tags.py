"""The config's metrics as tags: one number per value that a source may hand in, with the rule that applies to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edge_agent.config_model import COUNTERS, ROLES, DeviceConfig, MetricConfig
from edge_agent.contract.names import ENERGY_IMPORT_WH, POWER_W, MachineState
from edge_agent.pipeline.counters import CounterRule
from edge_agent.pipeline.machine_state import table_of

PARTS_SLACK = 16.0  # pieces a PLC may book at once (a pallet, a batch)
ENERGY_SLACK_S = 60.0  # a meter that updates its register once a minute is normal


@dataclass(frozen=True, slots=True)
class Tag:
    """One value of one device. `role` is the config key for values with a meaning, "sample" for the others."""

    number: int
    device: int
    key: str
    role: str
    scale: float = 1.0
    offset: float = 0.0
    deadband: float = 0.0
    decimals: int | None = None
    rule: CounterRule | None = None
    states: Mapping[str, MachineState] | None = None
    watched: bool = False  # a meter's power, beside its energy: the two must agree

    @property
    def is_fact(self) -> bool:
        return self.role != "sample"

    @property
    def is_plain(self) -> bool:
        """Nothing but a linear scale: may go the vectorised way."""
        return self.role == "sample" and self.deadband == 0.0 and self.decimals is None and not self.watched


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """A machine or meter with its tags."""

    index: int
    id: str
    source: str
    kind: str
    tags: tuple[Tag, ...]
    period_ms: int = 0  # looked at this often; 0: every change is handed in
    retired: bool = False  # taken out of a running agent's config; a place holder


@dataclass(frozen=True, slots=True)
class TagPlan:
    """All devices and tags an agent has had since its start; a tag's number is its index in `tags`, a device's index that in `devices`."""

    devices: tuple[DeviceSpec, ...]
    tags: tuple[Tag, ...]

    def by_key(self) -> dict[tuple[str, str], Tag]:
        """(device id, metric key) -> tag, of the devices as they are now."""
        return {(spec.id, tag.key): tag for spec in self.devices for tag in spec.tags}


def counter_rule(device: DeviceConfig, key: str, metric: MetricConfig) -> CounterRule:
    """Physical bounds in raw units: pieces from the fastest cycle, energy from the rated power."""
    modulus = metric.modulus if metric.modulus is not None else (2.0**metric.width_bits if metric.width_bits is not None else None)
    if key in ("good", "scrap"):
        return CounterRule(
            metric.max_per_s or 1.0 / device.min_cycle_s, PARTS_SLACK, modulus, metric.decrease, metric.resets_with_order, metric.retentive
        )
    per_s = metric.max_per_s or device.rated_power_w / 3600.0 / metric.scale
    return CounterRule(per_s, per_s * ENERGY_SLACK_S, modulus, metric.decrease, retentive=metric.retentive)


@dataclass(frozen=True, slots=True)
class DeviceSource:
    """Where a device comes from: source id, its config, its metrics with the meter model's filled in."""

    source: str
    config: DeviceConfig
    metrics: Mapping[str, MetricConfig]
    period_ms: int  # 0 where every change is handed in


def compile_tags(devices: Mapping[str, DeviceSource]) -> TagPlan:
    """Device id -> where it comes from, in the order given."""
    return evolve(TagPlan((), ()), {}, devices).plan


@dataclass(frozen=True, slots=True)
class Evolution:
    """A plan that follows another one while the agent runs: numbers and indices of what stayed are the same."""

    plan: TagPlan
    made: tuple[int, ...]  # devices that are new or whose metrics, rules or source changed: they begin anew
    retired: tuple[int, ...]  # devices that are gone; they keep their index and have no tags


def evolve(old: TagPlan, before: Mapping[str, DeviceSource], after: Mapping[str, DeviceSource]) -> Evolution:
    """The plan of `after`, given that `old` is the plan of `before`. A changed device keeps its index and gets new tags."""
    specs, tags = list(old.devices), list(old.tags)
    index_of = {spec.id: spec.index for spec in specs}
    made: list[int] = []
    for device_id, origin in after.items():
        index = index_of.get(device_id)
        if index is not None and before.get(device_id) == origin:
            continue
        index = len(specs) if index is None else index
        mine = _tags_of(origin, index, len(tags))
        tags += mine
        spec = DeviceSpec(index, device_id, origin.source, origin.config.kind, mine, origin.period_ms)
        specs[index:] = [spec] if index == len(specs) else [spec, *specs[index + 1 :]]
        made.append(index)
    gone = tuple(spec.index for spec in specs if spec.id not in after and not spec.retired)
    for index in gone:
        specs[index] = replace(specs[index], source="", tags=(), retired=True)
    return Evolution(TagPlan(tuple(specs), tuple(tags)), tuple(made), gone)


def _tags_of(origin: DeviceSource, index: int, first: int) -> tuple[Tag, ...]:
    device = origin.config
    return tuple(
        Tag(
            first + place,
            index,
            key,
            key if key in ROLES else "sample",
            metric.scale,
            metric.offset,
            metric.deadband,
            metric.decimals,
            counter_rule(device, key, metric) if key in COUNTERS else None,
            table_of(metric.states) if key == "state" else None,
            key == POWER_W and ENERGY_IMPORT_WH in origin.metrics,
        )
        for place, (key, metric) in enumerate(origin.metrics.items())
    )
