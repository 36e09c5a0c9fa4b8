"""Listening to a broker: messages of devices by topic and path, and other Sparkplug edge nodes.

A device is proven up to its last message: silence is not "unchanged" by itself. One that says nothing for `max_silence_s`, whose last will
speaks, or whose Sparkplug node died is lost by itself. Retained messages are what somebody once said, not values of now: they are passed over.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from edge_agent.config_model import ROLES
from edge_agent.contract.names import GapCause
from edge_agent.contract.topics import BadTopic, Topic
from edge_agent.contract.topics import parse as parse_topic
from edge_agent.events import Batch, Lost, Resumed
from edge_agent.pipeline.columns import BOOL, DOUBLE, STRING, Columns, Value
from edge_agent.sources.kind import Setup
from edge_agent.sources.mqtt import jsonpath, sparkplug, stamps
from edge_agent.sources.mqtt.client import Client, Message
from edge_agent.sources.mqtt.config import MqttConfig, MqttDevice, MqttMetric
from edge_agent.sources.mqtt.sparkplug import Born, Data, Died, Node, Point, Unclear
from edge_agent.sources.source import Browsed, ReadResult, Sink

TICK_S = 0.2
AHEAD_S, BEHIND_S = 60.0, 3600.0  # how far a device's own clock may be off before the moment of arrival is the better one
REBIRTH_EVERY_S = 3.0
NAMESPACE = "spBv1.0/"
PATHS_MAX = 20_000
_TEXT_ROLES = frozenset({"state", "alarm", "order", "operation"})
Row = tuple[int, int, int, Value]


@dataclass(slots=True)
class _Metric:
    key: str
    tag: int
    topic: str
    name: str
    steps: tuple[jsonpath.Step, ...]
    is_number: bool
    where: str


@dataclass(slots=True)
class _Device:
    id: str
    index: int
    config: MqttDevice
    metrics: list[_Metric]
    time: tuple[jsonpath.Step, ...]
    node: tuple[str, str] | None = None  # Sparkplug group and edge
    part: str | None = None  # its device there; None: the node itself
    names: dict[str, _Metric] = field(default_factory=dict)
    alive: bool = False
    said: bool = False  # that it is lost
    heard_ms: int = 0  # plant time of its last message, or of the session's start
    until_ms: int = 0
    birth: Born | None = None  # not yet handed in: values of the past may come before it
    past_ms: int | None = None  # the oldest of them
    resume_s: float = 0.0

    @property
    def where(self) -> str:
        return self.config.sparkplug or ", ".join(sorted({metric.topic for metric in self.metrics}))


def _kind(value: Value) -> int:
    return BOOL if isinstance(value, bool) else DOUBLE if isinstance(value, (int, float)) else STRING


class MqttSource:
    def __init__(self, setup: Setup) -> None:
        self.name, self.clock, self.health = setup.name, setup.clock, setup.health
        self.config = cast("MqttConfig", setup.config)
        self.devices = tuple(setup.indices.values())
        self._devices = [self._device(setup, device_id, index) for device_id, index in setup.indices.items()]
        self._by_topic: dict[str, list[_Device]] = {}
        self._by_alive: dict[str, list[_Device]] = {}
        self._by_part: dict[tuple[str, str], list[_Device]] = {}
        for device in self._devices:
            if device.node is not None:
                self._by_part.setdefault(device.node, []).append(device)
                continue
            for topic in dict.fromkeys(metric.topic for metric in device.metrics):
                self._by_topic.setdefault(topic, []).append(device)
            if device.config.alive_topic is not None:
                self._by_alive.setdefault(device.config.topic_prefix + device.config.alive_topic, []).append(device)
        self._nodes: dict[tuple[str, str], Node] = {}
        self._asked_s: dict[tuple[str, str], float] = {}
        self._unborn: set[tuple[str, str]] = set()  # nodes whose birth is wanted
        self._ticked_s = 0.0

    def _device(self, setup: Setup, device_id: str, index: int) -> _Device:
        config = self.config.devices[device_id]
        metrics = []
        for key, metric in cast("Mapping[str, MqttMetric]", setup.devices[device_id].metrics).items():
            topic = config.topic_prefix + (metric.topic if metric.topic is not None else config.topic or "")
            where = f"{config.sparkplug} {metric.name or key}" if config.sparkplug else f"{topic} {metric.path}".rstrip()
            number = key not in _TEXT_ROLES and metric.states is None
            metrics.append(_Metric(key, setup.tags[device_id, key].number, topic, metric.name or key, jsonpath.parse(metric.path), number, where))
        device = _Device(device_id, index, config, metrics, jsonpath.parse(config.time))
        if config.sparkplug is not None:
            group, edge, *part = config.sparkplug.split("/")
            device.node, device.part = (group, edge), part[0] if part else None
            device.names = {metric.name: metric for metric in metrics}
        return device

    def _topics(self) -> list[tuple[str, int]]:
        wanted = dict.fromkeys((*self._by_topic, *self._by_alive))
        for group, edge in self._by_part:
            wanted |= dict.fromkeys(f"{NAMESPACE}{group}/{kind}/{edge}" for kind in ("NBIRTH", "NDATA", "NDEATH"))
            wanted |= dict.fromkeys(f"{NAMESPACE}{group}/{kind}/{edge}/+" for kind in ("DBIRTH", "DDATA", "DDEATH"))
        return [(topic, 1) for topic in wanted]

    # --- one session ---------------------------------------------------------------------------------------------------------
    async def session(self, sink: Sink) -> None:
        client = Client(self.config, self._topics(), self.clock.now_ms)
        try:
            await client.open()
            self.health.status, self.health.error, self.health.error_zh = "connected", "", ""
            self._begin(client)
            while True:
                await sink.room()
                message = await client.next(TICK_S)
                if message is not None:
                    self._handle(client, message, sink)
                if time.monotonic() - self._ticked_s >= TICK_S:
                    self._ticked_s = time.monotonic()
                    self._tick(sink)
                    self._ask_births(client)
        finally:
            await client.close()

    def _begin(self, client: Client) -> None:
        now_ms = self.clock.now_ms()
        for device in self._devices:
            device.alive = device.said = False
            device.heard_ms, device.birth, device.past_ms = now_ms, None, None
        self._nodes = {node: Node() for node in self._by_part}
        self._asked_s.clear()
        self._unborn = set(self._nodes)
        self._ask_births(client)

    def _handle(self, client: Client, message: Message, sink: Sink) -> None:
        if message.topic.startswith(NAMESPACE):
            if not message.retained:
                self._sparkplug(client, message, sink)
            return
        for device in self._by_alive.get(message.topic, ()):
            self._alive(device, message, sink)
        devices = self._by_topic.get(message.topic)
        if devices is None or message.retained:
            return
        content = jsonpath.read(message.payload)
        for device in devices:
            t_ms = self._time(device, content, message.arrived_ms)
            rows = [
                (metric.tag, t_ms, _kind(value), value)
                for metric in device.metrics
                if metric.topic == message.topic and not isinstance(value := self._value(device, metric, content), jsonpath.Missing)
            ]
            self._heard(device, message.arrived_ms)
            if rows:
                self._proven(device, t_ms, sink)
                self._hand_in(device, rows, t_ms, sink)

    def _value(self, device: _Device, metric: _Metric, content: Any) -> Value | jsonpath.Missing:
        named = f"{device.id}.{metric.key} ({metric.where})"
        try:
            value = jsonpath.value_of(jsonpath.follow(content, metric.steps), metric.is_number)
            if metric.key in ROLES and metric.is_number and isinstance(value, str):
                raise jsonpath.Missing(f"{value[:40]!r} is no number")
        except jsonpath.Missing as error:
            self.health.failed[named] = str(error)
            return error
        self.health.failed.pop(named, None)
        return value

    def _time(self, device: _Device, content: Any, arrived_ms: int) -> int:
        """The message's own time where the config says where it stands and it can be used, else that of its arrival."""
        if not device.time:
            return arrived_ms
        named = f"{device.id} time ({device.config.time})"
        try:
            t_ms = stamps.stamp_ms(jsonpath.follow(content, device.time), device.config.time_unit, device.config.time_zone)
            self.health.clock_offset_ms = float(t_ms - arrived_ms)
            if not -BEHIND_S <= (t_ms - arrived_ms) / 1000.0 / self.clock.speed <= AHEAD_S:
                raise stamps.BadStamp(f"its clock is off by {(t_ms - arrived_ms) / 1000.0:.0f} s (or time_zone is wrong)")
        except (jsonpath.Missing, stamps.BadStamp) as error:
            self.health.failed[named] = f"{error}; the moment of arrival is taken"
            return arrived_ms
        self.health.failed.pop(named, None)
        return t_ms

    # --- what is known of a device -------------------------------------------------------------------------------------------
    def _heard(self, device: _Device, at_ms: int) -> None:
        device.heard_ms = at_ms
        device.said = False

    def _proven(self, device: _Device, at_ms: int, sink: Sink) -> None:
        if not device.alive:
            device.alive = True
            self.health.notes.pop(device.id, None)
            sink.put(Resumed((device.index,), at_ms))

    def _hand_in(self, device: _Device, rows: list[Row], until_ms: int, sink: Sink) -> None:
        device.until_ms = max(device.until_ms, until_ms)
        self.health.values += len(rows)
        sink.put(Batch((device.index,), Columns.of(rows), device.until_ms, device.until_ms))

    def _lose(self, device: _Device, en: str, zh: str, sink: Sink) -> None:
        if device.said:
            return
        device.alive, device.said, device.birth, device.past_ms = False, True, None, None
        self.health.note(device.id, en, zh)
        sink.put(Lost((device.index,), GapCause.SOURCE_LOST, en))

    def _alive(self, device: _Device, message: Message, sink: Sink) -> None:
        content = jsonpath.read(message.payload)
        word = content.get("state", content) if isinstance(content, dict) else content
        if str(word).strip().lower() in {dead.lower() for dead in device.config.dead_words}:
            self._lose(device, f"it says that it is offline ({message.topic}). Check it.", f"设备报告离线({message.topic}),请检查。", sink)

    def _tick(self, sink: Sink) -> None:
        now_ms, now_s = self.clock.now_ms(), time.monotonic()
        for device in self._devices:
            if device.birth is not None and now_s >= device.resume_s:
                self._resume(device, sink)
            if now_ms - device.heard_ms > device.config.max_silence_s * 1000.0:
                silence_s = device.config.max_silence_s
                self._lose(
                    device,
                    f"no fresh message of {device.where} for {silence_s:g} s. Check the device and, with `browse`, where it speaks.",
                    f"{device.where} 已 {silence_s:g} 秒没有新消息。请检查设备,并用 `browse` 核对主题。",
                    sink,
                )

    # --- Sparkplug -----------------------------------------------------------------------------------------------------------
    def _ask_births(self, client: Client) -> None:
        """Each node that owes one, but not more often than REBIRTH_EVERY_S."""
        now_s = time.monotonic()
        for node in self._unborn if self.config.rebirth else ():
            if now_s - self._asked_s.get(node, -REBIRTH_EVERY_S) >= REBIRTH_EVERY_S:
                self._asked_s[node] = now_s
                client.publish(*sparkplug.rebirth(*node, self.clock.now_ms()))

    def _sparkplug(self, client: Client, message: Message, sink: Sink) -> None:
        try:
            found = parse_topic(message.topic)
        except BadTopic:
            return
        node = (found.group, found.edge)
        if node not in self._nodes:
            return
        for event in self._nodes[node].take(found, message.payload, message.arrived_ms):
            if isinstance(event, Unclear):
                self.health.note("/".join(node), event.words, f"Sparkplug 报文不连续:{event.words}")
                self._unborn.add(node)
                self._ask_births(client)
                continue
            if isinstance(event, Born) and event.device is None:
                self._unborn.discard(node)
                self.health.notes.pop("/".join(node), None)
            for device in self._by_part[node]:
                if event.device == device.part or (isinstance(event, Died) and event.device is None):
                    self._event(device, event, message.arrived_ms, sink)

    def _event(self, device: _Device, event: Born | Data | Died, arrived_ms: int, sink: Sink) -> None:
        if isinstance(event, Died):
            self._lose(device, "its Sparkplug node says that it has died. Check it.", "其 Sparkplug 节点已离线,请检查。", sink)
            return
        self._heard(device, arrived_ms)
        event = self._believed(device, event, arrived_ms)
        if isinstance(event, Born):
            device.birth = event
            device.resume_s = time.monotonic() + (self.config.history_s if not device.alive else 0.0)
            missing = [metric for metric in device.metrics if metric.name not in {point.name for point in event.points}]
            for metric in device.metrics:
                named = f"{device.id}.{metric.key} ({metric.where})"
                if metric in missing:
                    self.health.failed[named] = "the birth has no metric of that name"
                else:
                    self.health.failed.pop(named, None)
            if device.resume_s <= time.monotonic():
                self._resume(device, sink)
            return
        past = [point for point in event.points if point.historical]
        if past and device.alive:  # known by running totals, or too late to be told apart from what is known
            event = Data(event.device, event.t_ms, tuple(point for point in event.points if not point.historical or point.t_ms > device.until_ms))
        elif past:
            device.past_ms = min([point.t_ms for point in past] + ([device.past_ms] if device.past_ms is not None else []))
            device.resume_s = time.monotonic() + self.config.history_s
        rows = self._rows(device, event.points)
        if device.alive and device.birth is None:
            self._hand_in(device, rows, event.t_ms, sink)
        elif rows:  # behind the watermark until the past has been told
            self.health.values += len(rows)
            sink.put(Batch((device.index,), Columns.of(rows)))

    def _believed(self, device: _Device, event: Born | Data, arrived_ms: int) -> Born | Data:
        """Its stamps, those from a future that cannot be put to the moment of arrival: nothing after such a one would be news.

        A node may stamp its values a moment later than the message they are in: they are known all the same.
        """
        named, ahead_ms = f"{device.id} time", arrived_ms + AHEAD_S * 1000.0 * self.clock.speed
        newest_ms = max((point.t_ms for point in event.points), default=event.t_ms)
        if max(newest_ms, event.t_ms) <= ahead_ms:
            self.health.failed.pop(named, None)
            return replace(event, t_ms=max(event.t_ms, newest_ms))
        off_s = (max(newest_ms, event.t_ms) - arrived_ms) / 1000.0
        self.health.failed[named] = f"its clock is off by {off_s:.0f} s; the moment of arrival is taken"
        points = tuple(point if point.t_ms <= ahead_ms else replace(point, t_ms=arrived_ms) for point in event.points)
        return replace(event, t_ms=max([point.t_ms for point in points] + [event.t_ms if event.t_ms <= ahead_ms else arrived_ms]), points=points)

    def _rows(self, device: _Device, points: Iterable[Point]) -> list[Row]:
        out: list[Row] = []
        for point in points:
            metric = device.names.get(point.name)
            if metric is not None and not isinstance(point.value, bytes):
                value = float(point.value) if isinstance(point.value, int) and not isinstance(point.value, bool) else point.value
                out.append((metric.tag, point.t_ms, _kind(value), value))
        return out

    def _resume(self, device: _Device, sink: Sink) -> None:
        """The birth's values, after those of the past; the gap ends where the past began."""
        birth = device.birth
        assert birth is not None
        at_ms = min(birth.t_ms, device.past_ms) if device.past_ms is not None else birth.t_ms
        self._proven(device, at_ms, sink)
        device.birth = device.past_ms = None
        rows = self._rows(device, birth.points)
        until_ms = max(device.until_ms, birth.t_ms)
        device.until_ms = until_ms
        self.health.values += len(rows)
        sink.put(Batch((device.index,), Columns.of(rows), until_ms, until_ms, np.ones(len(rows), np.bool_), birth.t_ms))

    # --- for people ----------------------------------------------------------------------------------------------------------
    async def read_once(self) -> list[ReadResult]:
        """Listens until every value has come fresh, for `timeout_s` at most."""
        found: dict[tuple[str, str], tuple[Value, int]] = {}
        old: dict[tuple[str, str], Value] = {}
        client = Client(self.config, self._topics(), self.clock.now_ms)
        wanted = sum(len(device.metrics) for device in self._devices)
        end_s = time.monotonic() + self.config.timeout_s
        try:
            await client.open()
            self._begin(client)
            while len(found) < wanted and time.monotonic() < end_s:
                message = await client.next(min(TICK_S, max(0.0, end_s - time.monotonic())))
                if message is not None:
                    self._note_values(message, found, old)
        finally:
            await client.close()
        out: list[ReadResult] = []
        for device in self._devices:
            for metric in device.metrics:
                key = (device.id, metric.key)
                value, t_ms = found.get(key, (None, None))
                words = "" if key in found else self._no_value(device, metric, old.get(key))
                out.append(ReadResult(device.id, metric.key, metric.where, value, t_ms, words))
        return out

    def _no_value(self, device: _Device, metric: _Metric, old: Value) -> str:
        failed = self.health.failed.get(f"{device.id}.{metric.key} ({metric.where})")
        if failed:
            return failed
        kept = f"; only a retained one: {old!r} / ;仅有保留消息:{old!r}" if old is not None else ""
        waited_s = self.config.timeout_s
        return f"no fresh message in {waited_s:g} s (raise timeout_s, or look with `browse`) / {waited_s:g} 秒内没有新消息{kept}"

    def _note_values(self, message: Message, found: dict[tuple[str, str], tuple[Value, int]], old: dict[tuple[str, str], Value]) -> None:
        if message.topic.startswith(NAMESPACE):
            for device, points in self._points_of(message):
                for point in points:
                    if point.name in device.names and not isinstance(point.value, bytes):
                        found[device.id, device.names[point.name].key] = (point.value, point.t_ms)
            return
        content = jsonpath.read(message.payload)
        for device in self._by_topic.get(message.topic, ()):
            for metric in (metric for metric in device.metrics if metric.topic == message.topic):
                value = self._value(device, metric, content)
                if isinstance(value, jsonpath.Missing):
                    continue
                if message.retained:
                    old[device.id, metric.key] = value
                else:
                    found[device.id, metric.key] = (value, self._time(device, content, message.arrived_ms))

    def _points_of(self, message: Message) -> Iterable[tuple[_Device, tuple[Point, ...]]]:
        try:
            topic = parse_topic(message.topic)
        except BadTopic:
            return
        node = (topic.group, topic.edge)
        if message.retained or node not in self._nodes:
            return
        for event in self._nodes[node].take(topic, message.payload, message.arrived_ms):
            if isinstance(event, (Born, Data)):
                for device in self._by_part[node]:
                    if device.part == event.device:
                        yield device, event.points

    async def browse(self) -> AsyncIterator[Browsed]:
        """Topics and paths seen in `browse_s`, with an example of each; Sparkplug nodes by their births."""
        client = Client(self.config, [(self.config.browse_topic, 0)], self.clock.now_ms)
        seen: dict[tuple[str, str], Browsed] = {}
        nodes: dict[tuple[str, str], Node] = {}
        end_s = time.monotonic() + self.config.browse_s
        try:
            await client.open()
            while (left_s := end_s - time.monotonic()) > 0 and len(seen) < PATHS_MAX:
                message = await client.next(left_s)
                if message is None:
                    continue
                if message.topic.startswith(NAMESPACE):
                    self._browse_node(client, message, nodes, seen)
                    continue
                for path, value in jsonpath.leaves(jsonpath.read(message.payload)):
                    note = " (retained)" if message.retained else ""
                    node = f'topic = "{message.topic}"' + (f", path = {_quoted(path)}" if path else "")
                    if not message.retained or (message.topic, path) not in seen:
                        seen[message.topic, path] = Browsed(f"{message.topic} {path}{note}".strip(), node, _type(value), str(value)[:80])
        finally:
            await client.close()
        for found in seen.values():
            yield found

    def _browse_node(self, client: Client, message: Message, nodes: dict[tuple[str, str], Node], seen: dict[tuple[str, str], Browsed]) -> None:
        try:
            topic: Topic = parse_topic(message.topic)
        except BadTopic:
            return
        node = (topic.group, topic.edge)
        first = node not in nodes
        part = "/".join(filter(None, (*node, topic.device)))
        for event in nodes.setdefault(node, Node()).take(topic, message.payload, message.arrived_ms):
            if isinstance(event, Unclear) and first:
                client.publish(*sparkplug.rebirth(*node, self.clock.now_ms()))
            elif isinstance(event, (Born, Data)):
                for point in event.points:
                    key = f'sparkplug = "{part}", name = {_quoted(point.name)}'
                    seen[part, point.name] = Browsed(f"{part} {point.name}", key, _type(point.value), str(point.value)[:80])


def _quoted(text: str) -> str:
    """As a TOML string."""
    return f"'{text}'" if '"' in text or "\\" in text else f'"{text}"'


def _type(value: Any) -> str:
    return "bool" if isinstance(value, bool) else "number" if isinstance(value, (int, float)) else "text"
