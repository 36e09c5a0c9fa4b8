"""A golden recording: what one edge node, one host and the commands between them say in a flawless life, as events a grader can be fed.

`wire()` is what a proxy sees, `passive()` the same as a subscriber sees it. Tests break one thing and look which rule falls.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from edge_agent.conformance.grader import Grader
from edge_agent.conformance.mqtt_packets import Connect, Disconnect, Packet, Publish, Subscribe
from edge_agent.conformance.verdicts import Verdict
from edge_agent.contract.sparkplug_b_pb2 import Payload

T = 1_772_409_600_000
EDGE, HOST = 1, 2
NCMD, STATE = "spBv1.0/PUMP/NCMD/E1", "spBv1.0/STATE/gemba"


@dataclass(frozen=True)
class Event:
    """`way`: open, sent, received, closed; `name` tells tests which one it is."""

    name: str
    connection: int
    at_ms: int
    way: str
    packet: Packet | None


def metric(payload: Payload, name: str | None, alias: int | None, datatype: int | None, **value: Any) -> Payload.Metric:
    made = payload.metrics.add(timestamp=payload.timestamp, **value)
    if name is not None:
        made.name = name
    if alias is not None:
        made.alias = alias
    if datatype is not None:
        made.datatype = datatype
    return made


def death(bdseq: int) -> Payload:
    payload = Payload(timestamp=T)
    metric(payload, "bdSeq", None, 4, long_value=bdseq)
    return payload


def node_birth(bdseq: int, seq: int = 0) -> Payload:
    payload = Payload(timestamp=T, seq=seq)
    metric(payload, "bdSeq", None, 4, long_value=bdseq)
    metric(payload, "Node Control/Rebirth", None, 11, boolean_value=False)
    metric(payload, "Fill", 1, 10, double_value=0.1)
    metric(payload, "Pump", 8, 19).template_value.CopyFrom(_template(definition=True))
    return payload


def _template(*, definition: bool) -> Payload.Template:
    made = Payload.Template(is_definition=definition)
    made.metrics.add(name="speed", datatype=10, double_value=1.0)
    made.parameters.add(name="kind", type=12, string_value="x")
    if not definition:
        made.template_ref = "Pump"
    return made


def device_birth(seq: int) -> Payload:
    payload = Payload(timestamp=T, seq=seq)
    metric(payload, "speed", 2, 10, double_value=5.0)
    quality = metric(payload, "state", 3, 12, is_null=True).properties
    quality.keys.append("Quality")
    quality.values.add(type=3, int_value=500)
    table = metric(payload, "table", 4, 16).dataset_value
    table.num_of_columns = 1
    table.columns.append("a")
    table.types.append(3)
    metric(payload, "pump", 5, 19).template_value.CopyFrom(_template(definition=False))
    metric(payload, "target", 6, 3, int_value=4)
    return payload


def data(seq: int, alias: int, value: float) -> Payload:
    payload = Payload(timestamp=T, seq=seq)
    metric(payload, None, alias, None, double_value=value)
    metric(payload, None, alias, None, double_value=value + 1).timestamp = T + 1
    return payload


def command(name: str | None, alias: int | None = None, **value: Any) -> Payload:
    payload = Payload(timestamp=T)
    metric(payload, name, alias, None, **value)
    return payload


def state(online: bool, stamp: int) -> bytes:
    return json.dumps({"online": online, "timestamp": stamp}).encode()


def _publish(topic: str, body: Payload | bytes, qos: int = 0, retain: bool = False) -> Publish:
    return Publish(topic, body if isinstance(body, bytes) else body.SerializeToString(), qos, retain, False)


def wire() -> list[Event]:
    """The life: host comes, node waits for it, is born, speaks, is reborn, loses a device, says good-bye when the host leaves; comes again."""
    made: list[Event] = []

    def add(name: str, connection: int, way: str, packet: Packet | None) -> None:
        made.append(Event(name, connection, T + 100 * len(made), way, packet))

    def node(kind: str, device: str = "") -> str:
        return f"spBv1.0/PUMP/{kind}/E1" + (f"/{device}" if device else "")

    add("host connect", HOST, "open", Connect(4, "h", True, 30, 0, STATE, state(False, T), 1, True))
    add("host subscribe", HOST, "sent", Subscribe(1, ((STATE, 1), ("spBv1.0/#", 0))))
    add("host birth", HOST, "sent", _publish(STATE, state(True, T), 1, True))
    add("foreign offline", HOST, "received", _publish(STATE, state(False, T), 1))
    add("host birth again", HOST, "sent", _publish(STATE, state(True, T), 1, True))
    add("connect", EDGE, "open", Connect(4, "e", True, 20, 0, node("NDEATH"), death(7).SerializeToString(), 1, False))
    add("subscribe", EDGE, "sent", Subscribe(1, ((NCMD, 1), (node("DCMD", "SAW"), 1), (STATE, 1))))
    add("state", EDGE, "received", _publish(STATE, state(True, T), 1))
    add("NBIRTH", EDGE, "sent", _publish(node("NBIRTH"), node_birth(7)))
    add("DBIRTH", EDGE, "sent", _publish(node("DBIRTH", "SAW"), device_birth(1)))
    add("DDATA", EDGE, "sent", _publish(node("DDATA", "SAW"), data(2, 2, 6.0)))
    add("NDATA", EDGE, "sent", _publish(node("NDATA"), data(3, 1, 0.2)))
    add("DCMD", HOST, "sent", _publish(node("DCMD", "SAW"), command(None, 6, int_value=5)))
    add("NCMD", HOST, "sent", _publish(NCMD, command("Node Control/Rebirth", boolean_value=True)))
    add("NCMD delivered", EDGE, "received", _publish(NCMD, command("Node Control/Rebirth", boolean_value=True)))
    add("rebirth", EDGE, "sent", _publish(node("NBIRTH"), node_birth(7)))
    add("rebirth DBIRTH", EDGE, "sent", _publish(node("DBIRTH", "SAW"), device_birth(1)))
    add("DDATA after", EDGE, "sent", _publish(node("DDATA", "SAW"), data(2, 2, 8.0)))
    add("DDEATH", EDGE, "sent", _publish(node("DDEATH", "SAW"), Payload(timestamp=T, seq=3)))
    add("host offline", HOST, "sent", _publish(STATE, state(False, T + 1900), 1, True))
    add("host disconnect", HOST, "sent", Disconnect(0))
    add("state offline", EDGE, "received", _publish(STATE, state(False, T + 1900), 1))
    add("NDEATH", EDGE, "sent", _publish(node("NDEATH"), death(7), 1))
    add("disconnect", EDGE, "sent", Disconnect(0))
    add("connect 2", EDGE, "open", Connect(4, "e", True, 20, 0, node("NDEATH"), death(8).SerializeToString(), 1, False))
    add("closed", EDGE, "closed", None)
    return made


def broken(name: str, how: Callable[[Any], Any]) -> list[Event]:
    """The life with the packet of event `name` changed by `how` (None: left out)."""
    assert sum(one.name == name for one in wire()) == 1, name
    return [replace(one, packet=how(one.packet)) if one.name == name else one for one in wire()]


def without(*names: str) -> list[Event]:
    return [one for one in wire() if one.name not in names]


def payload_changed(how: Callable[[Payload], Any]) -> Callable[[Publish], Publish]:
    def change(packet: Publish) -> Publish:
        payload = Payload.FromString(packet.payload)
        how(payload)
        return replace(packet, payload=payload.SerializeToString())

    return change


def feed_wire(events: list[Event], grader: Grader | None = None) -> list[Verdict]:
    grader = grader or Grader()
    last = T
    for one in events:
        last = one.at_ms
        if one.way == "open":
            assert isinstance(one.packet, Connect)
            grader.opened(one.connection, one.at_ms, one.packet)
        elif one.way == "closed":
            grader.closed(one.connection, one.at_ms)
        elif one.packet is not None:
            (grader.sent if one.way == "sent" else grader.received)(one.connection, one.at_ms, one.packet)
    return grader.finish(last + 60_000)


def feed_passive(events: list[Event], grader: Grader | None = None, *, tells_retain: bool = True) -> list[Verdict]:
    """What a subscriber is delivered."""
    grader = grader or Grader()
    for one in events:
        if one.way == "sent" and isinstance(one.packet, Publish):
            packet = one.packet
            grader.delivered(one.at_ms, packet.topic, packet.payload, packet.qos, packet.retain if tells_retain else None)
    return grader.finish(events[-1].at_ms + 60_000)


def fallen(verdicts: list[Verdict]) -> set[str]:
    return {one.rule.key for one in verdicts if one.status in ("fail", "advice")}
