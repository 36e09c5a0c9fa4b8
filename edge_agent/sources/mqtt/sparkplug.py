"""What a host must remember of one foreign Sparkplug edge node: births, aliases, sequence, deaths. Pure: messages in, events out.

Sparkplug B 3.0, chapter 6: DATA names its metrics by alias or name as its birth did; a death ends what a birth began (NDEATH only with the same
bdSeq); a missing sequence number or DATA without birth is answered by asking for a rebirth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge_agent.contract import names
from edge_agent.contract.names import Quality
from edge_agent.contract.payload import BadPayload, DataType, Value, decode, get_value, set_value
from edge_agent.contract.sparkplug_b_pb2 import Payload
from edge_agent.contract.topics import Topic, topic


@dataclass(frozen=True, slots=True)
class Point:
    """One metric's value; None where the node says that it is null or not good."""

    name: str
    t_ms: int
    value: Value
    historical: bool = False


@dataclass(frozen=True, slots=True)
class Born:
    device: str | None  # None: the node itself
    t_ms: int
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Data:
    device: str | None
    t_ms: int
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Died:
    device: str | None  # None: the node with all its devices


@dataclass(frozen=True, slots=True)
class Unclear:
    """A rebirth is needed; why, in words."""

    words: str


Event = Born | Data | Died | Unclear


def rebirth(group: str, edge: str, now_ms: int) -> tuple[str, bytes]:
    """Topic and payload of the request for a rebirth."""
    payload = Payload(timestamp=now_ms)
    metric = payload.metrics.add(name=names.REBIRTH, timestamp=now_ms, datatype=int(DataType.BOOLEAN))
    set_value(metric, DataType.BOOLEAN, True)
    return topic(group, "NCMD", edge), payload.SerializeToString()


class Node:
    def __init__(self) -> None:
        self._aliases: dict[int, tuple[str | None, str, int]] = {}  # alias -> (device, name, data type)
        self._types: dict[tuple[str | None, str], int] = {}
        self._born: set[str | None] = set()
        self._bdseq: int | None = None
        self._seq: int | None = None

    def take(self, found: Topic, raw: bytes, now_ms: int) -> Iterator[Event]:
        """Events of one message, in order. `now_ms`: where a message says no time."""
        try:
            payload = decode(raw)
        except BadPayload as error:
            yield Unclear(str(error))
            return
        if found.kind == "NDEATH":
            yield from self._node_death(payload)
            return
        if found.kind not in ("NBIRTH", "NDATA", "DBIRTH", "DDATA", "DDEATH"):
            return
        if found.kind == "NBIRTH":
            self._aliases.clear()
            self._types.clear()
            self._born.clear()
            self._bdseq = _bdseq(payload)
        elif None not in self._born:
            yield Unclear(f"{found.kind} before NBIRTH")
            return
        elif payload.HasField("seq") and self._seq is not None and payload.seq != (self._seq + 1) % 256:
            yield Unclear(f"sequence number {payload.seq} after {self._seq}: messages are missing")
        self._seq = payload.seq if payload.HasField("seq") else None
        t_ms = payload.timestamp or now_ms
        if found.kind == "DDEATH":
            self._born.discard(found.device)
            yield Died(found.device)
        elif found.kind.endswith("BIRTH"):
            self._born.add(found.device)
            yield Born(found.device, t_ms, tuple(self._points(payload, found.device, t_ms, birth=True)))
        elif found.device not in self._born:
            yield Unclear(f"DDATA of {found.device} before its DBIRTH")
        else:
            points = tuple(self._points(payload, found.device, t_ms, birth=False))
            yield Data(found.device, t_ms, points)
            if len(points) < len(payload.metrics):
                yield Unclear("DATA with a metric that no birth has named")

    def _node_death(self, payload: Payload) -> Iterator[Event]:
        """A will of an older session (another bdSeq) is not this one's death."""
        if None in self._born and _bdseq(payload) == self._bdseq:
            self._born.clear()
            self._seq = None
            yield Died(None)

    def _points(self, payload: Payload, device: str | None, t_ms: int, *, birth: bool) -> Iterator[Point]:
        for metric in payload.metrics:
            if birth:
                name, datatype = metric.name, metric.datatype
                self._types[device, name] = datatype
                if metric.HasField("alias"):
                    self._aliases[metric.alias] = (device, name, datatype)
            elif metric.name:
                name, datatype = metric.name, self._types.get((device, metric.name), metric.datatype)
            else:
                known = self._aliases.get(metric.alias)
                if known is None or known[0] != device:
                    continue
                _, name, datatype = known
            value = get_value(metric, datatype) if _is_good(metric) else None
            yield Point(name, metric.timestamp or t_ms, value, metric.is_historical)


def _bdseq(payload: Payload) -> int | None:
    return next((int(metric.long_value or metric.int_value) for metric in payload.metrics if metric.name == names.BDSEQ), None)


def _is_good(metric: Payload.Metric) -> bool:
    for key, value in zip(metric.properties.keys, metric.properties.values, strict=False):
        if key in ("Quality", "quality"):
            return bool(value.int_value == Quality.GOOD)
    return True
