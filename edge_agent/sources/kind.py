"""What a kind of source is to the rest of the agent: its config, its driver, its words. One object a kind, in `sources/<kind>/kind.py`.

A kind module imports no driver: configs are read and checked where no driver is installed. `make` imports it when a source of the kind is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from edge_agent.config_model import DeviceConfig, MetricConfig, SourceBase

if TYPE_CHECKING:  # these know the pipeline and the worker, which know the config
    from edge_agent.contract.clock import Clock
    from edge_agent.health import SourceHealth
    from edge_agent.pipeline.tags import DeviceSource, Tag
    from edge_agent.sources.source import Source

Lang = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class Setup:
    """What a driver is made of: one configured source and its part of the tag plan."""

    name: str
    config: SourceBase
    edge: str
    clock: Clock  # plant time; session and time-out timers are real
    tags: Mapping[tuple[str, str], Tag]  # (device id, metric key) -> tag, of the whole agent
    indices: Mapping[str, int]  # device id -> its index in the plan, for this source's devices
    devices: Mapping[str, DeviceSource]  # device id -> metrics with the model's filled in, of the whole agent
    health: SourceHealth


@dataclass(frozen=True, slots=True)
class DeviceMetrics:
    """A device's metrics with its model's filled in. `period_ms`: it is looked at this often; 0 where every change is handed in."""

    metrics: Mapping[str, MetricConfig]
    period_ms: int = 0


@dataclass(frozen=True, slots=True)
class Bus:
    """What a polled source asks of its bus in one plant second. `busy`: the share of the time the bus is taken (1.0: all of it)."""

    requests_per_s: float
    bytes_per_s: float
    busy: float


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong across several keys of one source: where below `sources.<name>`, a word for the kind of error, and in words."""

    path: tuple[str, ...]
    kind: str
    en: str


@dataclass(frozen=True, slots=True)
class Sample:
    """The kind's part of `sample-config`: TOML literals for the keys that a person fills in; every other key stands there with its default."""

    source_id: str
    source: Mapping[str, str]
    device_id: str
    device: Mapping[str, str]
    metrics: tuple[str, ...] = ()  # lines as they stand in the table
    skip: frozenset[str] = frozenset()  # keys of the device that mean nothing here


def _as_configured(device_id: str, source: SourceBase, device: DeviceConfig) -> DeviceMetrics:
    return DeviceMetrics(device.metrics)


def _no_bus(source: SourceBase, devices: Mapping[str, DeviceMetrics]) -> Bus | None:
    return None


def _nothing(raw: Mapping[str, Any]) -> Iterable[Fault]:
    return ()


def _no_caution(source: SourceBase) -> Iterable[tuple[str, str]]:
    return ()


@dataclass(frozen=True, slots=True)
class Kind:
    config: type[SourceBase]
    device: type[DeviceConfig]
    metric: type[MetricConfig]
    make: Callable[[Setup], Source]
    sample: Sample
    metrics: Callable[[str, SourceBase, DeviceConfig], DeviceMetrics] = _as_configured  # raises ConfigInvalid
    bus: Callable[[SourceBase, Mapping[str, DeviceMetrics]], Bus | None] = _no_bus  # device id -> metrics; None where nothing is polled
    across: Callable[[Mapping[str, Any]], Iterable[Fault]] = _nothing  # the raw table of one source; must stand any nonsense in it
    cautions: Callable[[SourceBase], Iterable[tuple[str, str]]] = _no_caution  # what a person chose that is not safe (en, zh): shown in red
    zh: Mapping[str, str] = field(default_factory=dict)  # the kind's own error types (PydanticCustomError, Fault.kind) in Chinese
    files: frozenset[str] = frozenset()  # keys of the source that name a file which must be there
    folders: Mapping[str, str] = field(default_factory=dict)  # keys of the source that name a folder -> its default, beside the config file

    @property
    def type(self) -> str:
        """The word behind `type =`."""
        return str(get_args(self.config.model_fields["type"].annotation)[0])
