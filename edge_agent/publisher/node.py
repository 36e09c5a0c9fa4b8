"""The Sparkplug edge node: connect, wait for the host, be born, speak, die. One thread drives it by `tick` and `on_event`.

Order of a session (Sparkplug 3.0, 5.4): will with a new bdSeq, CONNECT, subscribe NCMD and STATE at QoS 1, wait for the host's STATE online,
NBIRTH with seq 0, DBIRTHs, then data. seq goes up by one over every message of the node and is given at the wire by this one writer.
A host that goes offline ends the session by NDEATH before DISCONNECT, and the next broker is tried.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from enum import Enum

from edge_agent.config import AgentConfig
from edge_agent.contract import names
from edge_agent.contract.clock import Clock
from edge_agent.contract.payload import BadPayload, DataType, Value, decode, get_value
from edge_agent.contract.sparkplug_b_pb2 import Payload
from edge_agent.contract.topics import NAMESPACE, BadTopic, parse, state_topic, topic
from edge_agent.pipeline.catalogue import Catalogue, Metric
from edge_agent.pipeline.columns import Columns
from edge_agent.publisher import births, encode
from edge_agent.publisher.link import Closed, Connected, Link, LinkEvent, Message

REBIRTH_MIN_S = 1.0  # a storm of rebirth requests is answered once a second
CONNECT_S = 15.0  # from CONNECT to SUBACK at most
HOST_WAIT_S = 20.0  # with several brokers: this long for the host to show up on one
STATE_AGAIN_S = (
    3.0  # a broker may lose the host's STATE that is published while we subscribe (NATS does, once in a hundred): nothing would wake us again
)
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.1, 5.0
STEADY_S = 2.0  # a session that held this long was a good one; shorter ones (two agents with one client id) make the pauses grow
FENCED_MIN_S = 5.0


NEWS_S = 60.0  # metrics of a source that `apply` added are told by a birth, but a birth may be so old first: devices that were not touched go on
REFUSED_KEPT = 20  # refused commands that wait to be said
# what a host may write, and who this agent is; the rest of the node's metrics is health
_OWN_METRICS = (
    (names.STORED_EPOCH, DataType.STRING),
    (names.STORED_UP_TO, DataType.INT64),
    (names.HOST_TIME, DataType.DATETIME),
    (names.INSTANCE, DataType.STRING),
    (names.TAKE_OVER, DataType.BOOLEAN),
    (names.COMMANDS_REFUSED, DataType.INT64),
)
_COMMANDS = frozenset({names.REBIRTH, names.STORED_EPOCH, names.STORED_UP_TO, names.HOST_TIME, names.FENCED, names.FENCED_FOR})


class Phase(Enum):
    DOWN = "down"
    CONNECTING = "connecting"
    WAITING = "waiting for the host"
    BORN = "born"


class EdgeNode:
    """`health` gives the node's metrics, `is_stale` tells whether a device's source is away, `on_stored` gets the host's answers (epoch, n)."""

    def __init__(
        self,
        config: AgentConfig,
        link: Link,
        clock: Clock,
        catalogue: Catalogue,
        *,
        next_bdseq: Callable[[], int],
        health: Callable[[], list[tuple[Metric, Value]]],
        is_stale: Callable[[str], bool],
        devices: Iterable[str],
        instance: str = "",
    ) -> None:
        self._config, self._link, self._clock, self._catalogue = config, link, clock, catalogue
        self._next_bdseq, self._health, self._is_stale = next_bdseq, health, is_stale
        self._devices = tuple(devices)
        self.instance = instance
        self.take_over = False  # a person said so: births ask the host to move the identity here, until it answers
        self.fenced_s: float | None = None  # another agent holds this identity: the host told us to be silent for so long
        self.values = births.LastValues()
        self.phase = Phase.DOWN
        self.broker = 0
        self.error = ""
        self.answers: list[tuple[str, int]] = []
        self.refused = 0  # metrics of commands that were not carried out
        self.refusals: list[tuple[str, str]] = []  # the newest of them: (device or "", metric)
        self.host_times: list[tuple[int, float]] = []  # plant time at the host, and when (monotonic) it came
        self.sessions = 0  # births because of a new connection, and because of a rebirth request
        self._bdseq = 0
        self._seq = 0
        self._since_s = 0.0
        self._asked_s = 0.0
        self._next_try_s = 0.0
        self._failures = 0
        self._host_online = False
        self._host_stamp = -1
        self._rebirth = False
        self._born_s = -1e9
        self._alive: dict[str, int] = {}  # born devices -> number of metrics in their birth
        self._topic_of: dict[str, str] = {device: topic(config.group, "DDATA", config.edge, device) for device in self._devices}
        self._own = {name: catalogue.metric("", name, datatype) for name, datatype in _OWN_METRICS}
        self._own_of_alias = {metric.alias: name for name, metric in self._own.items()}
        self._told: dict[int, Value] = {}  # alias -> value of the node's metrics as the host knows them

    # --- driving -------------------------------------------------------------------------------------------------------------
    def tick(self, now_s: float) -> bool:
        """Moves on what is due; True when a new session was just born (everything unanswered is to be sent again)."""
        if self.phase is Phase.DOWN and now_s >= self._next_try_s:
            self._connect(now_s)
        elif self.phase is Phase.CONNECTING and now_s - self._since_s > CONNECT_S:
            self._link.close()
            self._down(now_s, f"{self._name()} does not answer")
        elif self.phase is Phase.WAITING:
            if self._host_online:
                self._be_born(now_s)
                return True
            if len(self._config.brokers) > 1 and now_s - self._since_s > HOST_WAIT_S:
                self._link.close()
                self._down(now_s, f"host {self._config.host} is not online at {self._name()}")
            elif now_s - self._asked_s > STATE_AGAIN_S:
                self._asked_s = now_s
                self._link.ask_again(state_topic(self._config.host))
        elif self.phase is Phase.BORN and self._failures and now_s - self._since_s > STEADY_S:
            self._failures = 0
        elif self.phase is Phase.BORN and self._rebirth and now_s - self._born_s >= REBIRTH_MIN_S:
            self._be_born(now_s)
            return True
        return False

    def _name(self) -> str:
        broker = self._config.brokers[self.broker]
        return f"{broker.host}:{broker.port}"

    def _connect(self, now_s: float) -> None:
        config = self._config
        self._bdseq = self._next_bdseq()
        self.phase, self._since_s = Phase.CONNECTING, now_s
        self._host_online, self._host_stamp = False, -1
        commands = [topic(config.group, "NCMD", config.edge), f"{NAMESPACE}/{config.group}/DCMD/{config.edge}/+", state_topic(config.host)]
        will = births.death(self._bdseq, self._clock.now_ms())
        self._link.open(config.brokers[self.broker], topic(config.group, "NDEATH", config.edge), will, commands)

    def _down(self, now_s: float, reason: str, *, walk: bool = True) -> None:
        self.phase = Phase.DOWN
        self.error = reason
        self._alive.clear()
        self._rebirth = False
        pause = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0**self._failures)
        self._next_try_s = now_s + pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        self._failures = min(self._failures + 1, 10)
        if walk:
            self.broker = (self.broker + 1) % len(self._config.brokers)

    def on_event(self, event: LinkEvent, now_s: float) -> None:
        if event.connection != self._link.connection or self.phase is Phase.DOWN:
            return
        if isinstance(event, Connected):
            self.phase, self._since_s, self._asked_s = Phase.WAITING, now_s, now_s
        elif isinstance(event, Closed):
            self._down(now_s, event.reason)
        else:
            self._message(event, now_s)

    def _message(self, event: Message, now_s: float) -> None:
        if event.topic == state_topic(self._config.host):
            self._state(event.payload, now_s)
            return
        try:
            where, command = parse(event.topic), decode(event.payload)
        except (BadTopic, BadPayload):
            return
        named = [self._called(metric) for metric in command.metrics]
        self._refuse(where.device or "", [name for name in named if where.device is not None or name not in _COMMANDS])
        if where.device is not None:
            return
        found: dict[str, Value] = {name: get_value(metric) for name, metric in zip(named, command.metrics, strict=True)}
        if found.get(names.REBIRTH) is True:
            self._rebirth = True
        epoch, up_to = found.get(names.STORED_EPOCH), found.get(names.STORED_UP_TO)
        if isinstance(epoch, str) and isinstance(up_to, int):
            self.answers.append((epoch, up_to))
        host_ms = found.get(names.HOST_TIME)
        if isinstance(host_ms, int):
            self.host_times.append((host_ms, event.at_s))
        if self.instance and found.get(names.FENCED) == self.instance:
            seconds = found.get(names.FENCED_FOR)
            self._be_fenced(float(seconds) if isinstance(seconds, int) else FENCED_MIN_S, now_s)

    def _called(self, metric: Payload.Metric) -> str:
        """Name of a command's metric. Hosts that keep to the standard name one that has an alias by it; others may say the name."""
        if metric.name:
            return str(metric.name)
        return self._own_of_alias.get(metric.alias, f"alias {metric.alias}")

    def _refuse(self, device: str, metrics: list[str]) -> None:
        """Nothing is written to a machine by way of Sparkplug: only answers and rebirth requests are carried out."""
        self.refused += len(metrics)
        self.refusals = [*self.refusals, *((device, name) for name in metrics[:REFUSED_KEPT])][-REFUSED_KEPT:]

    def _be_fenced(self, seconds: float, now_s: float) -> None:
        """Another agent holds this identity: say good-bye, keep everything, ask again later."""
        self.stop()
        self._down(now_s, f"another agent holds the identity {self._config.edge}", walk=False)
        self.fenced_s = max(FENCED_MIN_S, seconds)
        self._next_try_s = now_s + self.fenced_s * random.uniform(1.0, 1.1)  # noqa: S311 - jitter

    def _state(self, raw: bytes, now_s: float) -> None:
        """Host STATE; older stamps than the newest seen are ignored (tck-id-operational-behavior-edge-node-termination-host-offline-timestamp)."""
        try:
            state = json.loads(raw)
            online, stamp = state["online"], state["timestamp"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return
        if not isinstance(online, bool) or isinstance(stamp, bool) or not isinstance(stamp, int):
            return
        if stamp < self._host_stamp:
            return
        self._host_stamp = stamp
        self._host_online = online
        if not online and self.phase is Phase.BORN:
            self.stop()
            self._down(now_s, f"host {self._config.host} went offline")
        elif not online and self.phase is Phase.WAITING and len(self._config.brokers) > 1:
            self._link.close()
            self._down(now_s, f"host {self._config.host} is offline at {self._name()}")

    def stop(self) -> None:
        """NDEATH, then DISCONNECT (tck-id-payloads-ndeath-will-message-publisher-disconnect-mqtt311)."""
        if self.phase is Phase.BORN:
            self._link.publish(topic(self._config.group, "NDEATH", self._config.edge), births.death(self._bdseq, self._clock.now_ms()), qos=1)
        self._link.close()
        self.phase = Phase.DOWN

    def accepted(self) -> None:
        """The host answered for our own epoch: the identity is ours."""
        self.take_over, self.fenced_s = False, None

    def change_devices(self, devices: Iterable[str]) -> None:
        """From now on these: those that are gone die, new ones are born with their first record (or the next birth of all)."""
        config, now = self._config, tuple(devices)
        for device in self._devices:
            if device not in now:
                self.device_death(device)
        self._devices = now
        self._topic_of = {device: topic(config.group, "DDATA", config.edge, device) for device in now}

    def batched(self) -> AbstractContextManager[None]:
        """What is said inside goes out together."""
        return self._link.batched()

    def be_reborn(self) -> None:
        """The next tick says everything anew."""
        self._rebirth = True

    # --- speaking ------------------------------------------------------------------------------------------------------------
    def _next_seq(self) -> int:
        self._seq = (self._seq + 1) % 256
        return self._seq

    def _be_born(self, now_s: float) -> None:
        config, now_ms = self._config, self._clock.now_ms()
        self._rebirth = False
        self._alive.clear()
        self._seq = 0
        self._born_s = now_s
        self.sessions += 1
        self.error = ""
        self.phase = Phase.BORN
        metrics = [*self._own_values(), *self._health()]
        self._told = {metric.alias: value for metric, value in metrics}
        self._link.publish(topic(config.group, "NBIRTH", config.edge), births.node_birth(self._bdseq, now_ms, metrics))
        for device in self._devices:
            self._device_birth(device)

    def _device_birth(self, device: str) -> None:
        metrics = self._catalogue.of_device(device)
        data = births.device_birth(self._clock.now_ms(), self._next_seq(), metrics, self.values, self._is_stale(device))
        self._link.publish(topic(self._config.group, "DBIRTH", self._config.edge, device), data)
        self._alive[device] = len(metrics)

    def device_death(self, device: str) -> None:
        """The source of a born device is away and nothing of it waits to be sent."""
        if self._alive.pop(device, None) is not None:
            self._link.publish(
                topic(self._config.group, "DDEATH", self._config.edge, device), births.device_death(self._clock.now_ms(), self._next_seq())
            )

    def _own_values(self) -> list[tuple[Metric, Value]]:
        """Commands have no value until they come, and none is kept."""
        values: dict[str, Value] = {names.INSTANCE: self.instance or None, names.TAKE_OVER: self.take_over, names.COMMANDS_REFUSED: self.refused}
        return [(metric, values.get(name)) for name, metric in self._own.items()]

    def can_send(self) -> bool:
        """Born, the link takes what it is given, and no birth is owed: after a rebirth request no data comes before the birth
        (tck-id-operational-behavior-data-commands-rebirth-action-1)."""
        return self.phase is Phase.BORN and not self._rebirth and self._link.has_room()

    def is_alive(self, device: str) -> bool:
        return device in self._alive

    def send_record(self, device: str, columns: Columns, mark: str) -> int:
        """One record as DDATA, live. Returns the bytes sent."""
        return self.send_metrics(device, encode.metrics(columns), mark)

    def send_metrics(self, device: str, metrics: bytes, mark: str) -> int:
        """One DDATA; a device not yet born in this session, or with metrics its birth did not name, is born first. Returns the bytes sent."""
        if self._alive.get(device) != self._catalogue.count_of(device):
            self._device_birth(device)
        where = self._topic_of.get(device) or topic(self._config.group, "DDATA", self._config.edge, device)
        data = encode.payload(self._clock.now_ms(), metrics, self._next_seq(), mark)
        self._link.publish(where, data)
        return len(data)

    def send_health(self, now_s: float) -> None:
        """What changed since it was last told (tck-id-operational-behavior-data-publish-nbirth-change); nothing when nothing did."""
        told, metrics = self._told, [*self._own_values(), *self._health()]
        if any(metric.alias not in told for metric, _ in metrics) and now_s - self._born_s > NEWS_S:
            self._rebirth = True  # a source was added: only a birth may name its metrics
        changed = [(metric, value) for metric, value in metrics if metric.alias in told and told[metric.alias] != value]
        if not changed:
            return
        self._told |= {metric.alias: value for metric, value in changed}
        data = births.node_data(self._clock.now_ms(), self._next_seq(), changed)
        self._link.publish(topic(self._config.group, "NDATA", self._config.edge), data)
