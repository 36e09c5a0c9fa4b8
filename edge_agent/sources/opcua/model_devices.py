"""A source's devices that a companion model describes: found when the connection opens, combined as long as it lasts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from asyncua import Client

from edge_agent.pipeline.columns import Value
from edge_agent.pipeline.tags import Tag
from edge_agent.sources.kind import Setup
from edge_agent.sources.opcua.combine import Combination, Combiner, CombiningSink
from edge_agent.sources.opcua.companion_nodes import Resolved, resolve
from edge_agent.sources.opcua.config import OpcUaConfig, OpcUaDevice, OpcUaMetric
from edge_agent.sources.source import ReadResult, Sink

Wanted = tuple[Tag, OpcUaDevice, OpcUaMetric, str]  # tag, its device and metric, and both in words


class ModelDevices:
    """False when the source has none."""

    def __init__(self, setup: Setup, config: OpcUaConfig) -> None:
        self._devices = {device_id: device for device_id, device in config.devices.items() if device.model is not None}
        self._tags = setup.tags
        self._metrics = {device_id: setup.devices[device_id].metrics for device_id in self._devices}
        self._combiner = Combiner(0, (), {})
        self._base = 0
        self._combinations: list[tuple[str, str, str, Combination]] = []  # device, metric, where, how

    def __bool__(self) -> bool:
        return bool(self._devices)

    async def resolve(self, client: Client, namespaces: Sequence[str], fixed: Sequence[Wanted]) -> list[Wanted]:
        """The inputs of every device's metrics. Raises SourceMisconfigured, asyncua's and the transport's errors."""
        numbers = [tag.number for tag in self._tags.values()]
        self._base = max([*numbers, *(tag.number for tag, _, _, _ in fixed)], default=-1) + 1
        out: list[Wanted] = []
        readings: dict[int, Callable[[Value], Value]] = {}
        self._combinations = []
        for device_id, device in self._devices.items():
            found = await resolve(client, namespaces, device_id, device)
            own = {}
            for name, one in found.inputs.items():
                number = own[name] = self._base + len(out)
                out.append((Tag(number, -1, name, "sample"), device, OpcUaMetric(node=one.text), f"{device_id}.{name}"))
                if one.reading is not None:
                    readings[number] = one.reading
            self._combine(device_id, found, own)
        self._combiner = Combiner(self._base, [one for _, _, _, one in self._combinations], readings)
        return out

    def _combine(self, device_id: str, found: Resolved, numbers: dict[str, int]) -> None:
        for output in found.outputs():
            metric = cast("OpcUaMetric", self._metrics[device_id][output.key])
            if metric.node is None:
                inputs = {name: numbers[name] for name in output.inputs if name in numbers}
                one = Combination(self._tags[device_id, output.key].number, inputs, output.rule)
                self._combinations.append((device_id, output.key, f"{found.model.title} {found.root}", one))

    def sink(self, sink: Sink) -> Sink:
        """The way to the worker: inputs go in, metrics come out."""
        return CombiningSink(sink, self._combiner) if self else sink

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
            value = self._combiner.value(one)
            out.append(ReadResult(device_id, key, where, value, None, "" if value is not None else "the server has no value for it now"))
        return out
