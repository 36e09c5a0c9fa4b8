"""Paths, times and Sparkplug nodes, without a broker."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from edge_agent.contract.payload import DataType, set_value
from edge_agent.contract.sparkplug_b_pb2 import Payload
from edge_agent.contract.topics import parse as parse_topic
from edge_agent.sources.mqtt import jsonpath, sparkplug
from edge_agent.sources.mqtt.jsonpath import BadPath, Missing
from edge_agent.sources.mqtt.sparkplug import Born, Data, Died, Node, Point, Unclear
from edge_agent.sources.mqtt.stamps import BadStamp, stamp_ms

TASMOTA = {"Time": "2026-11-24T10:00:00", "ENERGY": {"Total": 12.5, "Power": [100, 200], "Voltage": "231"}}
SHELLY = {"id": 0, "a_act_power": 951.2, "em:0": {"total.act": 5}}
GATEWAY = {"devs": [{"id": "M1", "data": [{"k": "P", "val": "1.5"}, {"k": "E", "val": 7}]}, {"id": "M2", "data": [{"k": "P", "val": 9}]}], "on": True}


@pytest.mark.parametrize(
    ("message", "path", "value"),
    [
        (TASMOTA, "ENERGY.Total", 12.5),
        (TASMOTA, "$.ENERGY.Power[1]", 200),
        (TASMOTA, '["ENERGY"].Total', 12.5),
        (SHELLY, 'em:0["total.act"]', 5),
        (SHELLY, "a_act_power", 951.2),
        (GATEWAY, "devs[id=M1].data[k=P].val", "1.5"),
        (GATEWAY, "devs[id=M2].data[k=P].val", 9),
        (GATEWAY, 'devs[id="M2"].data[0].val', 9),
        (3.5, "", 3.5),
        ([1, 2], "[1]", 2),
        ({"参数": {"功率": 3}}, "参数.功率", 3),
    ],
)
def test_paths(message: Any, path: str, value: Any) -> None:
    assert jsonpath.follow(message, jsonpath.parse(path)) == value


@pytest.mark.parametrize("path", ["a[", "a]", "a..b", "[", '["a', "a[-1]", "a."])
def test_paths_that_are_none(path: str) -> None:
    with pytest.raises(BadPath, match="not understood"):
        jsonpath.parse(path)


@pytest.mark.parametrize(
    ("message", "path", "why"),
    [
        (TASMOTA, "ENERGY.Current", "no Current"),
        (TASMOTA, "ENERGY.Power[9]", "no element 9"),
        (GATEWAY, "devs[id=X].data", "id=X"),
        ("ON", "a.b", "no a"),
    ],
)
def test_what_is_not_there(message: Any, path: str, why: str) -> None:
    with pytest.raises(Missing, match=why):
        jsonpath.follow(message, jsonpath.parse(path))


@pytest.mark.parametrize(
    ("found", "number", "value"),
    [
        (1, True, 1.0),
        ("1.5", True, 1.5),
        ("1.5", False, "1.5"),
        (True, True, True),
        (None, True, None),
        ("ON", True, "ON"),
        (float("nan"), True, None),
    ],
)
def test_values(found: Any, number: bool, value: Any) -> None:
    assert jsonpath.value_of(found, number) == value


def test_an_object_is_no_value() -> None:
    with pytest.raises(Missing, match="must go on"):
        jsonpath.value_of({"a": 1}, True)


def test_huge_numbers_and_depths_do_not_crash() -> None:
    assert jsonpath.value_of(jsonpath.read(b"1" + b"0" * 400), True) is None
    assert isinstance(jsonpath.read(b"[" * 200_000), str)
    assert isinstance(jsonpath.read(b"\xff\xfe"), str)


def test_leaves_lead_back_to_their_values() -> None:
    for message in (TASMOTA, SHELLY, GATEWAY, {'a"b': {"c\\d": [{"": 1}]}}, 5, "ON"):
        found = list(jsonpath.leaves(message))
        assert found
        for path, value in found:
            assert jsonpath.follow(message, jsonpath.parse(path)) == value, path


def test_nonsense_paths_are_refused_or_followed() -> None:
    seed = 4
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(3000):
        text = "".join(rng.choice('ab.[]"=0\\$ ') for _ in range(rng.randrange(12)))
        try:
            jsonpath.follow({"a": [{"b": 1}]}, jsonpath.parse(text))
        except (BadPath, Missing):
            continue


@pytest.mark.parametrize(
    ("raw", "unit", "zone", "ms"),
    [
        (1_764_000_000, "auto", None, 1_764_000_000_000),
        (1_764_000_000_123, "auto", None, 1_764_000_000_123),
        (1_764_000_000_123_000, "auto", None, 1_764_000_000_123),
        ("1764000000.5", "s", None, 1_764_000_000_500),
        ("2025-11-24T16:00:00Z", "auto", None, 1_764_000_000_000),
        ("2025-11-24 16:00:00+00:00", "auto", None, 1_764_000_000_000),
        ("2025-11-25T00:00:00", "auto", "Asia/Shanghai", 1_764_000_000_000),
    ],
)
def test_times(raw: Any, unit: Any, zone: str | None, ms: int) -> None:
    assert stamp_ms(raw, unit, zone) == ms


@pytest.mark.parametrize(
    ("raw", "why"),
    [("2025-11-25T00:00:00", "no zone"), ("soon", "no time"), (None, "no time"), (5, "before the year 2000"), (1e300, "no time"), (True, "no time")],
)
def test_times_that_are_none(raw: Any, why: str) -> None:
    with pytest.raises(BadStamp, match=why):
        stamp_ms(raw, "auto", None)


# --- Sparkplug ---------------------------------------------------------------------------------------------------------------------
def message(kind: str, device: str | None = None, *, seq: int | None = 0, bdseq: int | None = None, **metrics: Any) -> tuple[Any, bytes]:
    """`metrics`: name -> value, or alias as a<n> -> value in DATA."""
    payload = Payload(timestamp=1000)
    if seq is not None:
        payload.seq = seq
    if bdseq is not None:
        payload.metrics.add(name="bdSeq", datatype=int(DataType.INT64), long_value=bdseq)
    for number, (name, value) in enumerate(metrics.items()):
        metric = payload.metrics.add(timestamp=900 + number)
        if kind.endswith("BIRTH"):
            metric.name, metric.alias, metric.datatype = name, ord(name[0]), int(DataType.INT8)
        else:
            metric.alias = ord(name[0])
        set_value(metric, DataType.INT8, value)
    return parse_topic(f"spBv1.0/G/{kind}/E" + (f"/{device}" if device else "")), payload.SerializeToString()


def told(node: Node, *messages: tuple[Any, bytes]) -> list[sparkplug.Event]:
    return [event for topic, raw in messages for event in node.take(topic, raw, 5000)]


def test_births_aliases_and_signs() -> None:
    node = Node()
    events = told(node, message("NBIRTH", bdseq=3), message("DBIRTH", "D", seq=1, x=-5), message("DDATA", "D", seq=2, x=-7))
    assert events[1] == Born("D", 1000, (Point("x", 900, -5),))
    assert events[2] == Data("D", 1000, (Point("x", 900, -7),))


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([message("DDATA", "D", x=1)], "before NBIRTH"),
        ([message("NBIRTH"), message("DDATA", "D", seq=1, x=1)], "before its DBIRTH"),
        ([message("NBIRTH"), message("DBIRTH", "D", seq=1, x=1), message("DDATA", "D", seq=3, x=1)], "sequence number 3 after 1"),
        ([message("NBIRTH"), message("DBIRTH", "D", seq=1, x=1), message("DDATA", "D", seq=2, y=1)], "no birth has named"),
        ([(parse_topic("spBv1.0/G/NBIRTH/E"), b"\xff\xff")], "not a Sparkplug"),
    ],
)
def test_what_asks_for_a_rebirth(messages: list[tuple[Any, bytes]], why: str) -> None:
    events = told(Node(), *messages)
    assert any(isinstance(event, Unclear) and why in event.words for event in events)


def test_deaths() -> None:
    """Only the will of this very session is its death; a device may die by itself."""
    node = Node()
    told(node, message("NBIRTH", bdseq=3), message("DBIRTH", "D", seq=1, x=1))
    assert told(node, message("NDEATH", seq=None, bdseq=2)) == []
    assert told(node, message("DDEATH", "D", seq=2)) == [Died("D")]
    assert told(node, message("NDEATH", seq=None, bdseq=3)) == [Died(None)]
    assert told(node, message("NDEATH", seq=None, bdseq=3)) == []


def test_the_sequence_rolls_over() -> None:
    node = Node()
    told(node, message("NBIRTH"), message("DBIRTH", "D", seq=1, x=1))
    for seq in range(2, 600):
        assert [type(event) for event in told(node, message("DDATA", "D", seq=seq % 256, x=1))] == [Data]


def test_null_and_bad_quality_are_no_value() -> None:
    payload = Payload(timestamp=1000, seq=1)
    payload.metrics.add(name="x", alias=1, datatype=int(DataType.DOUBLE), is_null=True)
    metric = payload.metrics.add(name="y", alias=2, datatype=int(DataType.DOUBLE), double_value=5.0)
    metric.properties.keys.append("Quality")
    metric.properties.values.add(type=3, int_value=500)
    node = Node()
    told(node, message("NBIRTH"))
    (born,) = told(node, (parse_topic("spBv1.0/G/DBIRTH/E/D"), payload.SerializeToString()))
    assert isinstance(born, Born) and [point.value for point in born.points] == [None, None]


def test_mutated_messages_never_crash() -> None:
    seed = 3
    print(f"seed {seed}")
    rng = random.Random(seed)
    node = Node()
    kinds = [message("NBIRTH", bdseq=3), message("DBIRTH", "D", seq=1, x=-5), message("DDATA", "D", seq=2, x=-7), message("NDEATH", bdseq=3)]
    for _ in range(3000):
        topic, raw = rng.choice(kinds)
        broken = bytearray(raw)
        for _ in range(rng.randrange(4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        for event in node.take(topic, bytes(broken), 5000):
            assert isinstance(event, (Born, Data, Died, Unclear))


def test_the_rebirth_request() -> None:
    topic, raw = sparkplug.rebirth("G", "E", 7)
    payload = Payload.FromString(raw)
    assert topic == "spBv1.0/G/NCMD/E"
    assert (payload.metrics[0].name, payload.metrics[0].boolean_value, payload.timestamp) == ("Node Control/Rebirth", True, 7)
    assert json.dumps(topic)
