"""The host application's rules of Sparkplug 3.0 (own wording; the standard's statement ids beside them)."""

from __future__ import annotations

import pytest

from edge_agent.contract import names
from edge_agent.contract.payload import DataType, set_value
from edge_agent.contract.sparkplug_b_pb2 import Payload
from edge_agent.contract.topics import parse
from mes_server.ingest import nodes
from mes_server.ingest.live_table import LiveTable
from mes_server.ingest.nodes import Host, Node, TooMany

T = 1_772_409_600_000


def birth(bdseq: int = 3, seq: int = 0) -> Payload:
    payload = Payload(timestamp=T, seq=seq)
    metric = payload.metrics.add()
    metric.name, metric.datatype, metric.long_value = names.BDSEQ, DataType.INT64, bdseq
    metric = payload.metrics.add()
    metric.name, metric.alias, metric.datatype = "Buffer/Fill", 5, DataType.DOUBLE
    set_value(metric, DataType.DOUBLE, 0.5)
    return payload


def device_birth(alias: int = 10, seq: int = 1, datatype: DataType = DataType.INT16) -> Payload:
    payload = Payload(timestamp=T, seq=seq)
    metric = payload.metrics.add()
    metric.name, metric.alias, metric.datatype, metric.is_null = "speed", alias, datatype, True
    return payload


def death(bdseq: int | None) -> Payload:
    payload = Payload()
    if bdseq is not None:
        metric = payload.metrics.add()
        metric.name, metric.long_value = names.BDSEQ, bdseq
    return payload


@pytest.fixture
def host() -> Host:
    return Host(LiveTable(), reorder_s=5.0, jitter_s=0.0)


@pytest.fixture
def node(host: Host) -> Node:
    found = host.node(parse("spBv1.0/PUMP/NBIRTH/EDGE-L1"))
    host.node_birth(found, birth(), T)
    host.device_birth(found, "SAW-01", device_birth(), 0.0)
    return found


def test_a_death_with_the_births_bdseq_takes_everything_offline(host: Host, node: Node) -> None:
    """operational-behavior-edge-node-termination-host-action-ndeath-node-offline, -devices-offline"""
    assert host.node_dies(node, death(3), T + 5) and not node.online and not node.devices["SAW-01"].online
    assert node.since_ms == T + 5


def test_a_death_of_an_older_session_means_nothing(host: Host, node: Node) -> None:
    """A late NDEATH of a half-open connection must not end the living session (…-ndeath-bdseq)."""
    assert not host.node_dies(node, death(2), T + 5) and node.online and node.bad_deaths == 1


def test_a_death_without_bdseq_is_tolerated(host: Host, node: Node) -> None:
    assert host.node_dies(node, death(None), T + 5) and not node.online


def test_a_device_death_is_that_devices_only(host: Host, node: Node) -> None:
    host.device_birth(node, "LAT-01", device_birth(alias=11, seq=2), 0.0)
    host.device_death(node, "SAW-01", T)
    assert node.online and not node.devices["SAW-01"].online and node.devices["LAT-01"].online


def test_seq_wraps_and_counts_every_message(host: Host, node: Node) -> None:
    """payloads-sequence-num-incrementing"""
    node.expected = 254
    for seq in (254, 255, 0, 1):
        node.sees(seq, 0.0)
    assert node.expected == 2 and node.hole_since_s is None and not host.due(100.0)


def test_a_hole_that_closes_in_time_asks_for_nothing(host: Host, node: Node) -> None:
    """operational-behavior-host-reordering-success"""
    for seq in (2, 0, 1):
        node.sees((node.expected or 0) if seq == 0 else ((node.expected or 0) + seq) & 255, 1.0)
    node.ahead.clear()
    node.hole_since_s = None
    node.expected = 10
    node.sees(12, 1.0)
    node.sees(11, 2.0)
    assert node.hole_since_s == 1.0 and not host.due(5.9)
    node.sees(10, 5.95)
    assert node.expected == 13 and not host.due(50.0)


def test_a_hole_that_stays_asks_for_a_rebirth_after_the_reorder_time(host: Host, node: Node) -> None:
    """operational-behavior-host-reordering-param, -start, -rebirth"""
    node.expected = 10
    node.sees(12, 1.0)
    assert not host.due(5.9)
    assert host.due(6.1) == ["spBv1.0/PUMP/NCMD/EDGE-L1"] and not host.due(6.2)


def test_rebirth_requests_are_throttled_and_grow_slower(host: Host, node: Node) -> None:
    asked = 0
    for step in range(10_000):  # 100 s of data nobody announced
        host.ask_rebirth(node, step / 100)
        asked += len(host.due(step / 100))
    assert 4 <= asked <= 9
    host.node_birth(node, birth(), T)
    assert node.rebirth_pause_s == nodes.REBIRTH_EVERY_S, "a birth makes it quick again"


def test_rebirth_requests_of_many_nodes_are_spread() -> None:
    host = Host(LiveTable(), jitter_s=2.0)
    every = [host.node(parse(f"spBv1.0/PUMP/NBIRTH/E{index}")) for index in range(100)]
    for one in every:
        host.ask_rebirth(one, 0.0)
    sent = [len(host.due(step / 10)) for step in range(25)]
    assert sum(sent) == 100 and max(sent) < 30


def test_data_before_the_nodes_birth_asks_for_one(host: Host) -> None:
    node = host.node(parse("spBv1.0/PUMP/DDATA/EDGE-L9/X"))
    assert host.device_birth(node, "X", device_birth(), 1.0) == [] and host.due(1.0)


def test_a_new_birth_forgets_the_old_aliases(host: Host, node: Node) -> None:
    table, bases, _ = host.lookup()
    assert table[bases[node.index] + 10] >= 0
    host.node_birth(node, birth(bdseq=4), T + 9)
    table, bases, sizes = host.lookup()
    assert sizes[node.index] <= 10 or table[bases[node.index] + 10] == nodes.UNKNOWN
    assert not node.devices["SAW-01"].online, "its own birth has not come yet"


def test_the_newest_birth_says_the_datatype(host: Host, node: Node) -> None:
    handle = node.by_name[("SAW-01", "speed")]
    assert host.table.signed[handle] == 16
    host.device_birth(node, "SAW-01", device_birth(datatype=DataType.UINT32), 0.0)
    assert host.table.signed[handle] == 0


def test_node_data_comes_by_alias_or_by_name(host: Host, node: Node) -> None:
    payload = Payload(timestamp=T)
    for alias, name, value in ((5, "", 0.75), (None, "Source/PLC/Values Per Second", 12.0)):
        metric = payload.metrics.add()
        if alias is not None:
            metric.alias = alias
        else:
            metric.name = name
        metric.double_value = value
    host.node_data(node, payload, 0.0)
    assert node.health["Buffer/Fill"] == 0.75 and node.health["Source/PLC/Values Per Second"] == 12.0


def test_bounds_are_kept(host: Host, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "NODES_MAX", 1)
    with pytest.raises(TooMany):
        host.node(parse("spBv1.0/PUMP/NBIRTH/OTHER"))
    monkeypatch.setattr(nodes, "DEVICES_MAX", 1)
    with pytest.raises(TooMany):
        host.device_birth(node, "LAT-01", device_birth(), 0.0)
    monkeypatch.setattr(nodes, "METRICS_MAX", 1)
    with pytest.raises(TooMany):
        host.node_birth(node, birth(), T)


def test_a_huge_alias_is_not_taken(host: Host, node: Node) -> None:
    host.device_birth(node, "SAW-01", device_birth(alias=2**40), 0.0)
    assert len(node.lut) < 100
