"""The Sparkplug host application's picture of the edges: births, deaths, sequence, aliases, rebirth requests. Pure but for its random jitter.

Sparkplug 3.0: NDEATH counts only with the bdSeq of the living birth; every message of a node carries seq 0..255; data before a birth, an unknown
alias or a hole in seq that does not close within the reorder time asks for a rebirth, throttled and jittered per node so that a restarted host
does not call all edges at once. Times: `now_s` is the real world's monotonic clock, `now_ms` plant time.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_agent.contract import names
from edge_agent.contract.payload import DataType, Value, get_value
from edge_agent.contract.sparkplug_b_pb2 import Payload
from edge_agent.contract.topics import Topic, topic
from mes_server.ingest.codec import text_of
from mes_server.ingest.live_table import LiveTable

ALIAS_MAX = 1 << 20  # per edge; larger ones are refused in the birth
METRICS_MAX = 50_000  # names of one edge
NODES_MAX = 2_000
DEVICES_MAX = 2_000  # of one edge
REBIRTH_EVERY_S = 1.0
REBIRTH_SLOWEST_S = 30.0
UNPROVEN_S = 30.0
COMMAND_PREFIX = "Node Control/"
UNKNOWN, NODE_METRIC = -1, -2


class TooMany(ValueError):
    """A bound was reached; the words say which."""


@dataclass(slots=True)
class Device:
    name: str
    online: bool = False
    since_ms: int = 0  # of being online, or offline: then all its metrics are stale since
    handles: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Node:
    """One edge node as its messages show it."""

    group: str
    edge: str
    index: int
    online: bool = False
    since_ms: int = 0
    bdseq: int | None = None
    epoch: str = ""
    births: int = 0
    devices: dict[str, Device] = field(default_factory=dict)
    health: dict[str, Value] = field(default_factory=dict)  # node metrics by name: Buffer/…, Source/…
    node_alias: dict[int, tuple[str, int]] = field(default_factory=dict)  # alias -> (name, datatype)
    node_types: dict[str, int] = field(default_factory=dict)
    by_name: dict[tuple[str, str], int] = field(default_factory=dict)  # (device, metric) -> handle
    lut: NDArray[np.int32] = field(default_factory=lambda: np.full(16, UNKNOWN, np.int32))
    expected: int | None = None  # next seq; None: not known
    ahead: set[int] = field(default_factory=set)
    hole_since_s: float | None = None
    rebirth_due_s: float | None = None
    rebirth_asked_s: float = -1e9
    rebirth_pause_s: float = REBIRTH_EVERY_S
    rebirths: int = 0
    bad_deaths: int = 0
    unproven_since_s: float | None = None  # only a birth that the broker had kept speaks for it
    commands: dict[str, int] = field(default_factory=dict)  # what it may be told -> alias
    instance: str = ""  # which agent the living session is of, as its birth says
    heard_s: float | None = None  # the last message of a session that was let in; a health report is sent only when something changed
    fenced: bool = False  # the last birth was another agent's than the holder's: nothing is taken until the next birth

    def sees(self, seq: int, now_s: float) -> None:
        """Checks one message's seq. -1 (absent) is a dirty peer's and tolerated. Whatever comes proves that the node lives."""
        self.unproven_since_s = None
        self.heard_s = now_s
        if seq < 0:
            return
        if self.expected is None:
            self.expected = (seq + 1) & 255
            return
        if seq == self.expected:
            self.expected = (seq + 1) & 255
            while self.expected in self.ahead:
                self.ahead.discard(self.expected)
                self.expected = (self.expected + 1) & 255
            if not self.ahead:
                self.hole_since_s = None
        elif (seq - self.expected) & 255 < 128:
            self.ahead.add(seq)
            if self.hole_since_s is None:
                self.hole_since_s = now_s

    def ask_rebirth(self, now_s: float, jitter_s: float) -> None:
        if self.rebirth_due_s is None:
            earliest = max(now_s, self.rebirth_asked_s + self.rebirth_pause_s)
            self.rebirth_due_s = earliest + random.uniform(0, jitter_s)  # noqa: S311  spreads load, guards nothing

    def points(self, alias: int, handle: int) -> None:
        if alias >= len(self.lut):
            grown = np.full(max(alias + 1, 2 * len(self.lut)), UNKNOWN, np.int32)
            grown[: len(self.lut)] = self.lut
            self.lut = grown
        self.lut[alias] = handle


class Host:
    """All edges. Feed it births, deaths and node data; ask it for due rebirth requests."""

    def __init__(self, table: LiveTable, *, reorder_s: float = 5.0, jitter_s: float = 0.5) -> None:
        self.table = table
        self.nodes: dict[tuple[str, str], Node] = {}
        self._reorder_s = reorder_s
        self._jitter_s = jitter_s
        self._order: list[Node] = []
        self._joined: tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]] | None = None

    def node(self, where: Topic) -> Node:
        """Raises TooMany."""
        key = (where.group, where.edge)
        found = self.nodes.get(key)
        if found is None:
            if len(self.nodes) >= NODES_MAX:
                raise TooMany(f"more than {NODES_MAX} edge nodes")
            found = self.nodes[key] = Node(where.group, where.edge, len(self.nodes))
            self._order.append(found)
            self._joined = None
        return found

    # --- births and deaths ------------------------------------------------------------------------------------------------------
    def node_birth(self, node: Node, payload: Payload, now_ms: int) -> None:
        """NBIRTH: everything known of the node's session is new; devices wait for their own births."""
        if len(payload.metrics) > METRICS_MAX:
            raise TooMany(f"more than {METRICS_MAX} metrics in a birth")
        self.node_death(node, now_ms)
        node.online, node.since_ms, node.births = True, now_ms, node.births + 1
        node.bdseq = None
        node.lut = np.full(16, UNKNOWN, np.int32)
        node.node_alias, node.node_types, node.by_name, node.commands, node.health = {}, {}, {}, {}, {}
        node.unproven_since_s = None
        node.ahead, node.hole_since_s = set(), None
        node.rebirth_due_s, node.rebirth_pause_s = None, REBIRTH_EVERY_S
        node.expected = (payload.seq + 1) & 255 if payload.HasField("seq") else None
        for metric in payload.metrics:
            value = get_value(metric, metric.datatype)
            name = text_of(metric.name)
            node.node_types[name] = metric.datatype
            if name == names.BDSEQ:
                node.bdseq = int(value) & 255 if isinstance(value, int) else None
                continue
            if metric.HasField("alias") and metric.alias < ALIAS_MAX:
                node.node_alias[int(metric.alias)] = (name, metric.datatype)
                node.points(int(metric.alias), NODE_METRIC)
                if name.startswith(COMMAND_PREFIX):
                    node.commands[name] = int(metric.alias)
            node.health[name] = value
        epoch = node.health.get(names.BUFFER_EPOCH)
        node.epoch = epoch if isinstance(epoch, str) else ""
        self._joined = None

    def device_birth(self, node: Node, name: str, payload: Payload, now_s: float) -> list[tuple[int, int, int, Value]]:
        """DBIRTH: aliases and datatypes of one device. Returns (handle, datatype, ms, value) of each metric's birth value."""
        if not node.online:  # a birth that came before its node's, or after its death: the whole node must say itself again
            node.ask_rebirth(now_s, self._jitter_s)
            return []
        if len(payload.metrics) + len(node.by_name) > METRICS_MAX or (name not in node.devices and len(node.devices) >= DEVICES_MAX):
            raise TooMany(f"more than {METRICS_MAX} metrics or {DEVICES_MAX} devices behind one edge")
        device = node.devices.setdefault(name, Device(name))
        device.online, device.since_ms = True, int(payload.timestamp)
        values: list[tuple[int, int, int, Value]] = []
        for metric in payload.metrics:
            if not metric.HasField("name"):
                continue
            datatype = int(metric.datatype)
            called = text_of(metric.name)
            handle = self.table.handle(node.edge, name, called, datatype)
            node.by_name[(name, called)] = handle
            if metric.HasField("alias") and metric.alias < ALIAS_MAX:
                node.points(int(metric.alias), handle)
            stamp = int(metric.timestamp) if metric.HasField("timestamp") else int(payload.timestamp)
            values.append((handle, datatype, stamp, get_value(metric, datatype)))
        device.handles = [handle for (owner, _), handle in node.by_name.items() if owner == name]
        self._joined = None
        return values

    def node_data(self, node: Node, payload: Payload, now_s: float) -> None:
        """NDATA: health figures of the edge itself."""
        if not node.online:
            node.ask_rebirth(now_s, self._jitter_s)
            return
        for metric in payload.metrics:
            said = (text_of(metric.name), 0)
            name, datatype = node.node_alias.get(int(metric.alias), said) if metric.HasField("alias") else said
            if not name:
                node.ask_rebirth(now_s, self._jitter_s)
                continue
            if len(node.health) < METRICS_MAX:
                node.health[name] = get_value(metric, datatype or node.node_types.get(name))

    def node_dies(self, node: Node, payload: Payload, now_ms: int) -> bool:
        """NDEATH. False: it belongs to an older session (another bdSeq) and means nothing."""
        said = [get_value(metric, DataType.UINT64) for metric in payload.metrics if metric.name == names.BDSEQ]
        if node.bdseq is not None and said and isinstance(said[0], int) and said[0] & 255 != node.bdseq:
            node.bad_deaths += 1
            return False
        self.node_death(node, now_ms)
        return True

    def node_death(self, node: Node, now_ms: int) -> None:
        if node.online:
            node.since_ms = now_ms
        node.online = False
        for device in node.devices.values():
            if device.online:
                device.online, device.since_ms = False, now_ms

    def device_death(self, node: Node, name: str, at_ms: int) -> None:
        """DDEATH: the device and its metrics are stale since the payload's time."""
        device = node.devices.get(name)
        if device is not None and device.online:
            device.online, device.since_ms = False, at_ms

    # --- aliases of all nodes as one table --------------------------------------------------------------------------------------
    def lookup(self) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
        """(joined alias tables, base of each node, size of each node), by Node.index."""
        if self._joined is None:
            sizes = np.array([len(node.lut) for node in self._order], np.int64)
            bases = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
            self._joined = (np.concatenate([node.lut for node in self._order]), bases, sizes)
        return self._joined

    # --- rebirth ----------------------------------------------------------------------------------------------------------------
    def ask_rebirth(self, node: Node, now_s: float) -> None:
        node.ask_rebirth(now_s, self._jitter_s)

    def due(self, now_s: float, now_ms: int = 0) -> list[str]:
        """Topics of the rebirth requests to send now; nodes that only a kept birth spoke for are given up."""
        topics: list[str] = []
        for node in self._order:
            if node.unproven_since_s is not None and now_s - node.unproven_since_s > UNPROVEN_S:
                self.node_death(node, now_ms)
                node.unproven_since_s = None
            if node.hole_since_s is not None and now_s - node.hole_since_s > self._reorder_s:
                node.hole_since_s, node.expected = None, None
                node.ahead.clear()
                node.ask_rebirth(now_s, self._jitter_s)
            if node.rebirth_due_s is not None and now_s >= node.rebirth_due_s:
                node.rebirth_due_s, node.rebirth_asked_s = None, now_s
                node.rebirth_pause_s = min(REBIRTH_SLOWEST_S, 2 * node.rebirth_pause_s)
                node.rebirths += 1
                topics.append(topic(node.group, "NCMD", node.edge))
        return topics
