"""A source's devices that a companion model describes: found when the connection opens, combined as long as it lasts; their alarms by events."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from asyncua import Client

from edge_agent.config_model import MetricConfig
from edge_agent.pipeline.columns import Value
from edge_agent.pipeline.tags import Tag
from edge_agent.sources.kind import Setup
from edge_agent.sources.opcua import alarms
from edge_agent.sources.opcua.combine import Combination, Combiner, CombiningSink, State
from edge_agent.sources.opcua.companion_nodes import Resolved, places_below, resolve
from edge_agent.sources.opcua.conditions import SERVER, Desk, Place, tells_events
from edge_agent.sources.opcua.config import OpcUaConfig, OpcUaDevice, OpcUaMetric
from edge_agent.sources.source import ReadResult, Sink

Wanted = tuple[Tag, OpcUaDevice, OpcUaMetric, str]  # tag, its device and metric, and both in words


class ModelDevices:
    """False when the source has none."""

    def __init__(self, setup: Setup, config: OpcUaConfig) -> None:
        self._devices = {device_id: device for device_id, device in config.devices.items() if device.model is not None}
        self._tags, self._indices = setup.tags, setup.indices
        self._metrics = {device_id: setup.devices[device_id].metrics for device_id in self._devices}
        self._alarmed = _alarmed(config, self._metrics)
        self._combiner = Combiner(0, (), {})
        self._state: State | None = None  # of before a restart of the agent
        self._found: dict[str, Resolved] = {}
        self._places: tuple[list[str], dict[str, frozenset[Place]]] = ([], {})  # namespaces, and each device's nodes: for the sources of events
        self.desk = Desk({}, ())
        self._base = 0
        self._combinations: list[tuple[str, str, str, Combination]] = []  # device, metric, where, how

    def __bool__(self) -> bool:
        return bool(self._devices or self._alarmed)

    async def resolve(self, client: Client, namespaces: Sequence[str], fixed: Sequence[Wanted], *, as_before: bool = False) -> list[Wanted]:
        """The inputs of every device's metrics. `as_before`: the server has not restarted since they were found, so they are where they were.
        Raises SourceMisconfigured, asyncua's and the transport's errors.
        """
        numbers = [tag.number for tag in self._tags.values()]
        self._base = max([*numbers, *(tag.number for tag, _, _, _ in fixed)], default=-1) + 1
        out: list[Wanted] = []
        readings: dict[int, Callable[[Value], Value]] = {}
        names: dict[int, str] = {}
        folds: dict[int, Callable[[Value, Value], Value]] = {}
        self._combinations = []
        before, self._found = self._found if as_before else {}, {}
        for device_id, device in self._devices.items():
            found = self._found[device_id] = before.get(device_id) or await resolve(client, namespaces, device_id, device)
            facts = {name for output in found.outputs() if self._tags[device_id, output.key].is_fact for name in output.inputs}
            own = {}
            for name, node in found.inputs.items():
                number = own[name] = self._base + len(out)
                tag = Tag(number, self._indices[device_id], name, "state" if name in facts else "sample")
                out.append((tag, device, OpcUaMetric(node=node), f"{device_id}.{name}"))
                names[number] = f"{device_id}.{name}"
                reading = found.reading(name, namespaces)
                if reading is not None:
                    readings[number] = reading
            self._combine(device_id, found, own)
        numbers_of = await self._events(client, namespaces, self._base + len(out), as_before=as_before)
        for device_id, number in numbers_of.items():
            names[number], folds[number] = f"{device_id}.{alarms.EVENTS}", alarms.folded
        if numbers_of:  # one item tells those of all; it stands behind the values
            out.append(self._item(*list(numbers_of.items())[-1]))
        state, self._state = self._state or self._combiner.state(), None
        self._combiner = Combiner(self._base, [one for _, _, _, one in self._combinations], readings, names, folds)
        self._combiner.go_on(state)
        return out

    def _combine(self, device_id: str, found: Resolved, numbers: dict[str, int]) -> None:
        for output in found.outputs():
            metric = cast("OpcUaMetric", self._metrics[device_id][output.key])
            if metric.node is None:
                inputs = {name: numbers[name] for name in output.inputs if name in numbers}
                tag = self._tags[device_id, output.key].number
                one = Combination(tag, inputs, output.rule, self._indices[device_id], f"{device_id}.{output.key}")
                self._combinations.append((device_id, output.key, f"{found.model.title} {found.root}", one))

    async def _events(self, client: Client, namespaces: Sequence[str], first: int, *, as_before: bool) -> dict[str, int]:
        """Device -> the number of its input that events are told to; empty where the server has none, or every alarm has a node."""
        if not self._alarmed or not await tells_events(client):
            self.desk = Desk({}, namespaces)
            return {}
        known = self._places[1] if as_before and self._places[0] == list(namespaces) else {}
        places: dict[str, frozenset[Place]] = {}
        for device_id, (device, root) in self._alarmed.items():
            if root is not None:
                places[device_id] = known.get(device_id) or await places_below(client, root, device, namespaces)
            else:
                found = self._found[device_id]
                places[device_id] = found.below or known.get(device_id) or await places_below(client, found.root, device, namespaces)
        self._places = list(namespaces), places
        numbers = {device_id: first + place for place, device_id in enumerate(self._alarmed)}
        for device_id, number in numbers.items():
            tag = self._tags[device_id, "alarm"].number
            one = Combination(tag, {alarms.EVENTS: number}, alarms.alarm, self._indices[device_id], f"{device_id}.alarm")
            self._combinations.append((device_id, "alarm", "", one))
        self.desk = Desk({number: places[device_id] for device_id, number in numbers.items()}, namespaces)
        return numbers

    def _item(self, device_id: str, number: int) -> Wanted:
        """What tells events."""
        tag = Tag(number, self._indices[device_id], alarms.EVENTS, alarms.EVENTS)
        return tag, self._alarmed[device_id][0], OpcUaMetric(node=SERVER), f"{device_id}.{alarms.EVENTS}"

    def sink(self, sink: Sink) -> Sink:
        """The way to the worker: inputs go in, metrics come out."""
        return CombiningSink(sink, self._combiner, self._remember) if self else sink

    # --- what outlives the agent ---------------------------------------------------------------------------------------------
    def _remember(self, memory: bytes) -> bytes:
        """The memory of a notification with what the devices' inputs are after it, and where they were found."""
        found = {device_id: one.remembered(_asked(self._devices[device_id])) for device_id, one in self._found.items()}
        return json.dumps({**json.loads(memory), "combined": self._combiner.state(), "found": found}, separators=(",", ":")).encode()

    def recall(self, memory: bytes) -> int | None:
        """Takes up a memory. Returns up to when everything is in it; None when it cannot be gone on with (a device's model was changed)."""
        held = json.loads(memory)
        state, found = held.get("combined"), held.get("found", {})
        if state is None or found.keys() != self._devices.keys():
            return None
        if any(found[device_id]["asked"] != _asked(device) for device_id, device in self._devices.items()):
            return None
        self._found = {device_id: Resolved.of(one) for device_id, one in found.items()}
        self._state = state
        return int(held["until_ms"])

    # --- for people ----------------------------------------------------------------------------------------------------------
    def takes(self, tag: Tag, value: Value) -> bool:
        """For `read_once`: True for the value of an input, which is kept."""
        if not self or tag.number < self._base:
            return False
        self._combiner.know(tag.number, value)
        return True

    def results(self) -> list[ReadResult]:
        """What the inputs that were kept make."""
        out = []
        for device_id, key, where, one in self._combinations:
            if key == "alarm":  # told as an event, when it comes
                continue
            value = self._combiner.value(one)
            out.append(ReadResult(device_id, key, where, value, None, "" if value is not None else "the server has no value for it now"))
        return out


def _alarmed(config: OpcUaConfig, models: Mapping[str, Mapping[str, MetricConfig]]) -> dict[str, tuple[OpcUaDevice, str | None]]:
    """Devices whose alarm comes from events, and the object whose conditions are meant (None: the model's)."""
    out: dict[str, tuple[OpcUaDevice, str | None]] = {}
    for device_id, device in config.devices.items():
        given = device.metrics.get("alarm")
        if given is not None and given.events is not None:
            out[device_id] = device, given.events
        elif device_id in models and (given is None or given.node is None):
            out[device_id] = device, None
    return out


def _asked(device: OpcUaDevice) -> str:
    """What the config says of where a device's inputs are."""
    return f"{device.model} {device.root} {device.namespace} {device.node_prefix}"
