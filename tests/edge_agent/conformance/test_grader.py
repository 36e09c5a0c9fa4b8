"""The grader over a golden life: flawless it gives nothing to complain of; each single fault makes exactly its own rule fall."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edge_agent.buffer.store import Window
from edge_agent.conformance.grader import Grader
from edge_agent.conformance.mqtt_packets import Connect, Publish, Subscribe
from edge_agent.conformance.statements import rules
from edge_agent.contract.sparkplug_b_pb2 import Payload
from edge_agent.pipeline.columns import DOUBLE, Columns
from edge_agent.publisher import encode
from edge_agent.publisher.bundles import bundles
from tests.edge_agent.conformance import golden
from tests.edge_agent.conformance.golden import Event, T, broken, fallen, feed_passive, feed_wire, payload_changed, wire, without


def test_a_flawless_life_has_no_fault_and_shows_nearly_every_rule() -> None:
    verdicts = feed_wire(wire())
    assert fallen(verdicts) == set()
    seen = {one.rule.key for one in verdicts if one.status == "pass"}
    graded = {key for key, rule in rules().items() if rule.how != "none"}
    assert graded - seen == {"clean_session_50", "host_clean_session_50", "goodbye_50"}, "MQTT 5 has its own test"
    assert fallen(feed_passive(wire())) == set()
    assert fallen(feed_passive(wire(), tells_retain=False)) == set()


def test_bundles_of_a_backlog_have_no_fault() -> None:
    """Several records in one message, as our edge sends what waited."""
    columns = Columns.of([(2, T - 5_000 + i, DOUBLE, float(i)) for i in range(6)])
    (one,) = bundles(Window([11, 13, 14], ["SAW"] * 3, [3, 1, 2], columns), "0123456789abcdef")
    events = broken("DDATA", lambda packet: replace(packet, payload=encode.payload(T, one.metrics, 2, str(one.marks))))
    assert str(one.marks) == "0123456789abcdef:11x3,13x1,14x2"
    assert fallen(feed_wire(events)) == set() and fallen(feed_passive(events)) == set()


def test_whoever_comes_late_marks_nothing_that_needs_a_birth() -> None:
    events = wire()
    for start in range(len(events)):
        assert fallen(feed_passive(events[start:])) == set(), events[start].name


def qos(value: int) -> Callable[[Publish], Publish]:
    return lambda packet: replace(packet, qos=value)


def retain(value: bool) -> Callable[[Publish], Publish]:
    return lambda packet: replace(packet, retain=value)


def topic(text: str) -> Callable[[Publish], Publish]:
    return lambda packet: replace(packet, topic=text)


def body(raw: bytes) -> Callable[[Publish], Publish]:
    return lambda packet: replace(packet, payload=raw)


def seq(value: int | None) -> Callable[[Publish], Publish]:
    def change(payload: Payload) -> None:
        if value is None:
            payload.ClearField("seq")
        else:
            payload.seq = value

    return payload_changed(change)


def clear(field: str) -> Callable[[Publish], Publish]:
    return payload_changed(lambda payload: payload.ClearField(field))


def at(index: int, how: Callable[[Payload.Metric], Any]) -> Callable[[Publish], Publish]:
    return payload_changed(lambda payload: how(payload.metrics[index]))


def put(index: int, **fields: Any) -> Callable[[Publish], Publish]:
    def change(metric: Payload.Metric) -> None:
        for name, value in fields.items():
            setattr(metric, name, value)

    return at(index, change)


def drop(index: int) -> Callable[[Publish], Publish]:
    def change(payload: Payload) -> None:
        del payload.metrics[index]

    return payload_changed(change)


def add_metric(**fields: Any) -> Callable[[Publish], Publish]:
    return payload_changed(lambda payload: payload.metrics.add(timestamp=T, **fields))


def will(**fields: Any) -> Callable[[Connect], Connect]:
    return lambda packet: replace(packet, **fields)


def will_body(how: Callable[[Payload], Any]) -> Callable[[Connect], Connect]:
    def change(packet: Connect) -> Connect:
        payload = Payload.FromString(packet.will_payload)
        how(payload)
        return replace(packet, will_payload=payload.SerializeToString())

    return change


def filters(*pairs: tuple[str, int]) -> Callable[[Subscribe], Subscribe]:
    return lambda packet: replace(packet, filters=pairs)


GARBAGE = b"\xff\xff\xff"
OUT: list[tuple[str, str, Callable[[Any], Any]]] = [
    *[(f"{one.lower()}_qos", one, qos(1)) for one in ("NBIRTH", "DBIRTH", "NDATA", "DDATA", "DDEATH", "NCMD", "DCMD")],
    *[(f"{one.lower()}_retain", one, retain(True)) for one in ("NBIRTH", "DBIRTH", "NDATA", "DDATA", "DDEATH", "NCMD", "DCMD")],
    *[(f"{one.lower()}_timestamp", one, clear("timestamp")) for one in ("NBIRTH", "DBIRTH", "NDATA", "DDATA", "DDEATH", "NCMD", "DCMD")],
    *[(f"{one.lower()}_seq", one, seq(None)) for one in ("NBIRTH", "DBIRTH", "NDATA", "DDATA", "DDEATH")],
    *[(f"{one.lower()}_seq", one, seq(9)) for one in ("NCMD", "DCMD")],
    ("ddeath_seq_inc", "DDEATH", seq(200)),
    ("ncmd_payload", "NCMD", body(GARBAGE)),
    ("dcmd_payload", "DCMD", body(GARBAGE)),
    ("ddeath_payload", "DDEATH", body(GARBAGE)),
    ("ndata_payload", "NDATA", body(GARBAGE)),
    ("topic_node", "DDEATH", lambda packet: replace(packet, topic="spBv1.0/PUMP/NDATA/E1/SAW")),
    ("topic_device", "DDEATH", topic("spBv1.0/PUMP/DDEATH/E1")),
    ("ids_valid", "DDEATH", topic("spBv1.0//DDEATH/E1/SAW")),
    ("topic_command", "DCMD", topic("spBv1.0/PUMP/DCMD/E1")),
    ("birth_datatype", "DBIRTH", at(4, lambda metric: metric.ClearField("datatype"))),
    ("datatype_valid", "DBIRTH", put(0, datatype=99)),
    ("name_present", "DBIRTH", add_metric(alias=77, datatype=10, double_value=1.0)),
    ("nbirth_values", "NBIRTH", put(2, is_null=True)),
    ("dbirth_values", "DBIRTH", at(0, lambda metric: metric.ClearField("double_value"))),
    ("nbirth_bdseq", "NBIRTH", drop(0)),
    ("rebirth_metric", "NBIRTH", drop(1)),
    ("rebirth_no_alias", "NBIRTH", put(1, alias=50)),
    ("rebirth_datatype", "NBIRTH", put(1, datatype=3)),
    ("rebirth_value", "NBIRTH", put(1, boolean_value=True)),
    ("metric_timestamp", "NDATA", at(0, lambda metric: metric.ClearField("timestamp"))),
    ("alias_birth", "DBIRTH", add_metric(name="bare", datatype=10, double_value=1.0)),
    ("data_alias_only", "DDATA", put(0, name="speed")),
    ("name_or_alias", "NDATA", add_metric(double_value=4.0)),
    ("data_datatype", "DDATA", put(0, datatype=10)),
    ("nbirth_complete", "NDATA", add_metric(alias=99, double_value=1.0)),
    ("dbirth_complete", "DDATA", add_metric(alias=1, double_value=1.0)),
    ("nbirth_time_order", "NDATA", put(1, timestamp=T - 5)),
    ("dbirth_time_order", "DDATA", put(1, timestamp=T - 5)),
    ("names_case", "DBIRTH", add_metric(name="SPEED", alias=60, datatype=10, double_value=1.0)),
    ("property_sizes", "DBIRTH", at(1, lambda metric: metric.properties.keys.append("More"))),
    ("quality_value", "DBIRTH", at(1, lambda metric: setattr(metric.properties.values[0], "int_value", 7))),
    ("quality_type", "DBIRTH", at(1, lambda metric: setattr(metric.properties.values[0], "type", 4))),
    ("dataset_sizes", "DBIRTH", at(2, lambda metric: metric.dataset_value.columns.append("b"))),
    ("dataset_types", "DBIRTH", at(2, lambda metric: metric.dataset_value.types.__setitem__(0, 19))),
    ("template_flag", "DBIRTH", at(3, lambda metric: metric.template_value.ClearField("is_definition"))),
    ("template_definition_ref", "NBIRTH", at(3, lambda metric: setattr(metric.template_value, "template_ref", "Other"))),
    ("template_instance_ref", "DBIRTH", at(3, lambda metric: metric.template_value.ClearField("template_ref"))),
    ("template_definition_known", "DBIRTH", at(3, lambda metric: setattr(metric.template_value, "template_ref", "Other"))),
    ("template_instance_members", "DBIRTH", at(3, lambda metric: metric.template_value.metrics.add(name="odd"))),
    ("template_instance_complete", "DBIRTH", at(3, lambda metric: metric.template_value.ClearField("metrics"))),
    ("template_instance_parameters", "DBIRTH", at(3, lambda metric: metric.template_value.parameters.add(name="odd", type=12))),
    ("template_parameter_type", "DBIRTH", at(3, lambda metric: metric.template_value.parameters[0].ClearField("type"))),
    ("nbirth_bdseq_matches", "NBIRTH", put(0, long_value=3)),
    ("ndeath_seq", "NDEATH", seq(4)),
    ("ndeath_payload", "NDEATH", add_metric(name="more", int_value=1)),
    ("ndeath_bdseq", "NDEATH", put(0, long_value=6)),
    ("clean_session_311", "connect", will(clean=False)),
    ("will_present", "connect", will(will_topic=None)),
    ("will_topic", "connect", will(will_topic="spBv1.0/OTHER/NDEATH/E1")),
    ("will_payload", "connect 2", will(will_payload=GARBAGE)),
    ("will_qos", "connect", will(will_qos=0)),
    ("will_retain", "connect", will(will_retain=True)),
    ("ndeath_seq", "connect", will_body(lambda payload: setattr(payload, "seq", 1))),
    ("ndeath_payload", "connect", will_body(lambda payload: payload.metrics.add(name="more", int_value=1))),
    ("bdseq_increment", "connect 2", will_body(lambda payload: setattr(payload.metrics[0], "long_value", 7))),
    ("ncmd_subscribe", "subscribe", filters((golden.NCMD, 0), (golden.STATE, 1))),
    ("ncmd_subscribe", "subscribe", filters((golden.STATE, 1))),
    ("dcmd_subscribe", "subscribe", filters((golden.NCMD, 1), ("spBv1.0/PUMP/DCMD/E1/SAW", 0), (golden.STATE, 1))),
    ("host_wait", "state", body(golden.state(False, T))),
    ("rebirth_bdseq nbirth_bdseq_matches ndeath_bdseq", "rebirth", put(0, long_value=9)),
    ("rebirth_true", "NCMD", put(0, boolean_value=False)),
    ("ncmd_name", "NCMD", put(0, name="Node Control/Reboot")),
    ("dcmd_name", "DCMD", put(0, alias=77)),
    ("dcmd_value", "DCMD", at(0, lambda metric: metric.ClearField("int_value"))),
    ("dcmd_value", "DCMD", put(0, string_value="fast")),
    ("command_alias", "DCMD", at(0, lambda metric: (setattr(metric, "name", "target"), metric.ClearField("alias")))),
    ("command_datatype", "DCMD", put(0, datatype=3)),
    ("state_birth_payload", "host birth again", body(b"ONLINE")),
    ("state_birth_qos", "host birth again", qos(0)),
    ("state_birth_retain", "host birth again", retain(False)),
    ("state_birth_timestamp", "host birth again", body(golden.state(True, T + 5))),
    ("state_death_payload", "host offline", body(b'{"online": false}')),
    ("state_death_qos", "host offline", qos(0)),
    ("state_death_retain", "host offline", retain(False)),
    ("state_death_timestamp", "host offline", body(golden.state(False, T - 5))),
    ("host_clean_session_311", "host connect", will(clean=False)),
    ("host_will_payload", "host connect", will(will_payload=golden.state(True, T))),
    ("host_will_qos", "host connect", will(will_qos=0)),
    ("host_will_retain", "host connect", will(will_retain=False)),
    ("host_subscribes_state", "host subscribe", filters(("spBv1.0/+/NBIRTH/#", 0))),
    ("host_subscribes_first", "host subscribe", filters((golden.STATE, 1))),
    ("host_goodbye_timestamp", "host offline", body(golden.state(False, T + 90_000_000))),
]


@pytest.mark.parametrize(("rule", "event", "how"), OUT, ids=[f"{rule}-{event}" for rule, event, _ in OUT])
def test_one_fault_breaks_one_rule(rule: str, event: str, how: Callable[[Any], Any]) -> None:
    assert fallen(feed_wire(broken(event, how))) == set(rule.split())


def moved(name: str, before: str) -> list[Event]:
    events = without(name)
    index = next(i for i, one in enumerate(events) if one.name == before)
    mover = next(one for one in wire() if one.name == name)
    return [*events[:index], replace(mover, at_ms=events[index].at_ms), *events[index:]]


ORDER: list[tuple[str, list[Event]]] = [
    ("goodbye host_offline", without("NDEATH")),
    ("host_goodbye", without("host offline")),
    ("host_republishes", without("host birth again")),
    ("host_wait", without("state")),
    ("ddata_order", without("DBIRTH")),
]


@pytest.mark.parametrize(("rule", "events"), ORDER, ids=[rule for rule, _ in ORDER])
def test_what_is_left_out_breaks_its_rule(rule: str, events: list[Event]) -> None:
    left = fallen(feed_wire(events))
    assert set(rule.split()) <= left
    assert left - set(rule.split()) <= {"ddata_seq_inc", "ndata_seq_inc"}, "the hole in seq besides"


def renumbered(events: list[Event]) -> list[Event]:
    """seq as a node would give it in this order."""
    out, count = [], 0
    for one in events:
        packet = one.packet
        if one.way == "sent" and isinstance(packet, Publish) and one.connection == golden.EDGE and "NDEATH" not in packet.topic:
            count = 0 if "NBIRTH" in packet.topic else count + 1
            packet = seq(count)(packet)
        out.append(replace(one, packet=packet))
    return out


def test_data_before_the_devices_birth() -> None:
    late = moved("rebirth DBIRTH", "DDEATH")
    assert fallen(feed_wire(renumbered(late))) >= {"ddata_order"}


def test_node_data_before_the_devices_are_born_again() -> None:
    events = moved("NDATA", "rebirth DBIRTH")
    assert fallen(feed_wire(renumbered(events))) == {"dbirth_before_data", "rebirth_complete"}


def test_a_device_before_its_node() -> None:
    assert fallen(feed_wire(renumbered(moved("DBIRTH", "NBIRTH")))) >= {"nbirth_first"}
    events = [one for one in wire() if one.name != "NBIRTH"]
    assert "nbirth_first" in fallen(feed_wire(events))


def test_data_after_death_without_a_birth() -> None:
    events = [*wire(), *[replace(one, at_ms=one.at_ms + 60_000) for one in wire() if one.name in ("DBIRTH", "NDATA", "DDATA")]]
    assert fallen(feed_passive(events)) == {"dbirth_after_nbirth", "ndata_order", "ddata_order"}


def test_a_rebirth_that_never_comes_or_too_late() -> None:
    last = next(index for index, one in enumerate(wire()) if one.name == "rebirth")
    silent = wire()[:last]
    assert fallen(feed_passive(silent)) == {"rebirth_complete"}
    late = [replace(one, at_ms=one.at_ms + 5_000) if one.name == "NDATA" else one for one in moved("NDATA", "rebirth")]
    assert "rebirth_stops" in fallen(feed_passive(renumbered(late)))


def test_a_bdseq_that_stays_over_sessions_is_seen_without_a_proxy() -> None:
    again = [one for one in wire() if one.name in ("NBIRTH", "NDEATH")]
    events = [*again, *[replace(one, at_ms=one.at_ms + 9_000) for one in again]]
    assert fallen(feed_passive(events)) == {"bdseq_increment"}


def test_a_late_death_of_an_older_session_ends_nothing() -> None:
    events = without("NDEATH", "disconnect", "state offline", "connect 2", "closed", "host offline", "host disconnect")
    index = next(i for i, one in enumerate(events) if one.name == "DDATA")
    old = Event("old", golden.EDGE, T + 950, "sent", Publish("spBv1.0/PUMP/NDEATH/E1", golden.death(6).SerializeToString(), 1, False, False))
    assert fallen(feed_passive([*events[:index], old, *events[index:]])) == {"ndeath_bdseq"}, "and no order is broken by it"


def test_sequence_wraps_at_255() -> None:
    events = [one for one in wire() if one.name in ("NBIRTH", "DBIRTH")]
    for count in range(2, 700):
        packet = Publish("spBv1.0/PUMP/DDATA/E1/SAW", golden.data(count % 256, 2, float(count)).SerializeToString(), 0, False, False)
        events.append(Event("more", golden.EDGE, T + 10_000 + count, "sent", packet))
    assert fallen(feed_passive(events)) == set()


def test_repeating_itself_is_advised_against() -> None:
    events = [one for one in wire() if one.name in ("NBIRTH", "DBIRTH", "DDATA")]
    for count in range(3, 6):
        payload = Payload(timestamp=T, seq=count)
        golden.metric(payload, None, 2, None, double_value=7.0)
        events.append(Event("same", 1, T + 5_000, "sent", Publish("spBv1.0/PUMP/DDATA/E1/SAW", payload.SerializeToString(), 0, False, False)))
    verdicts = feed_passive(events)
    assert fallen(verdicts) == {"ddata_change"} and {one.status for one in verdicts if one.broken} == {"advice"}


def test_what_the_broker_keeps_was_retained() -> None:
    grader = Grader()
    feed_passive(wire(), grader, tells_retain=False)
    for name in ("NBIRTH", "DBIRTH", "NDEATH", "host birth", "NCMD"):
        packet = next(one.packet for one in wire() if one.name == name)
        assert isinstance(packet, Publish)
        grader.stored(T, packet.topic, packet.payload)
    assert fallen(grader.finish(T)) == {"nbirth_retain", "dbirth_retain", "will_retain", "ncmd_retain"}
    grader.nothing_else_stored(T, set())
    assert "state_birth_retain" in fallen(grader.finish(T))


def test_mqtt_5_has_its_own_rules() -> None:
    def five(events: list[Event], reason: int, expiry_s: int) -> list[Event]:
        out = []
        for one in events:
            packet: Any = one.packet
            if one.way == "open":
                packet = replace(packet, level=5, session_expiry_s=expiry_s)
            elif one.name == "disconnect":
                packet = replace(packet, reason=reason)
            out.append(replace(one, packet=packet))
        return out

    assert fallen(feed_wire(five(wire(), 4, 0))) == set()
    assert fallen(feed_wire(five(wire(), 0, 3600))) == {"goodbye_50", "clean_session_50", "host_clean_session_50"}


def test_a_state_of_sparkplug_2_is_said_to_be_one() -> None:
    grader = Grader()
    grader.delivered(T, "STATE/scada", b"ONLINE", 1, True)
    assert fallen(grader.finish(T)) == {"state_topic", "state_birth_payload"}


def test_only_those_that_were_named_are_graded() -> None:
    grader = Grader("PUMP", "E2")
    assert feed_passive(wire(), grader) == [] or {one.role for one in grader.finish(T)} == {"host"}


def test_ids_that_differ_by_capitals_only() -> None:
    grader = Grader()
    feed_passive(wire(), grader)
    grader.delivered(T, "spBv1.0/PUMP/NBIRTH/e1", golden.node_birth(0).SerializeToString(), 0, False)
    assert fallen(grader.finish(T)) == {"ids_case"}


@pytest.mark.parametrize("seed", range(3))
def test_garbage_never_ends_the_grader(seed: int) -> None:
    import random

    rng = random.Random(seed)
    print("seed", seed)
    grader = Grader()
    for _ in range(700):
        one = rng.choice([event for event in wire() if isinstance(event.packet, Publish)])
        assert isinstance(one.packet, Publish)
        raw = bytearray(one.packet.payload)
        for _ in range(rng.randrange(4)):
            if raw:
                raw[rng.randrange(len(raw))] = rng.randrange(256)
        grader.delivered(T, one.packet.topic, bytes(raw), rng.randrange(3), rng.choice([True, False, None]))
    assert grader.finish(T)
