"""Our own host application held to the table on its own wire; and what nobody else grades: stale marking, late deaths, history beside live values."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from asyncua import ua

from edge_agent.__main__ import main
from edge_agent.conformance.connection import BrokerAddress
from edge_agent.conformance.grader import Grader
from edge_agent.conformance.proxy import GradingProxy
from edge_agent.conformance.verdicts import Verdict
from edge_agent.contract import names
from edge_agent.contract.clock import PlantClock
from edge_agent.contract.sparkplug_b_pb2 import Payload
from edge_agent.contract.topics import parse, state_topic
from mes_server.ingest import nodes
from mes_server.ingest.broker_settings import BrokerLink
from mes_server.ingest.service import IngestBounds, IngestService
from tests.edge_agent.conformance.golden import fallen
from tests.support.broker import SERVER_USER, Broker, mosquitto
from tests.support.edge import Plc, config_text, machine_source, running
from tests.support.ingest import DEVICES, EPOCH, T0, Bench, bench, births, data, death
from tests.support.sparkplug_edge import TestEdge
from tests.support.wait import eventually


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        made.feed(*births(bdseq=5))
        made.commit()
        yield made


def node_of(one: Bench) -> nodes.Node:
    return one.service.host.node(parse("spBv1.0/PUMP/NBIRTH/EDGE-L1"))


def stale(one: Bench, device: str, now_ms: int) -> bool:
    return one.service.tiles.is_stale("EDGE-L1", device, now_ms)


def test_a_node_death_makes_node_and_devices_stale_at_the_hosts_time(one: Bench) -> None:
    one.feed(data(1, "SAW-01", [("temperature_c", 20.0, T0)]), data(2, "M-SAW-01", [("power_w", 5.0, T0)]))
    one.commit()
    assert not stale(one, "SAW-01", T0) and not stale(one, "M-SAW-01", T0)
    one.kit.clock.set_ms(T0 + 5_000)  # type: ignore[attr-defined]
    one.feed(death(5))
    one.commit()
    node = node_of(one)
    assert not node.online and node.since_ms == T0 + 5_000, "the host's time, not the will's, which was written at CONNECT"
    assert {device.name: (device.online, device.since_ms) for device in node.devices.values()} == dict.fromkeys(DEVICES, (False, T0 + 5_000))
    assert stale(one, "SAW-01", T0 + 5_000) and stale(one, "M-SAW-01", T0 + 5_000)


def test_a_late_death_of_an_older_session_changes_nothing(one: Bench) -> None:
    """A half-open connection's will comes when the node is long back. Nothing public grades this."""
    one.feed(*births(bdseq=6), data(1, "SAW-01", [("temperature_c", 20.0, T0)]), death(5))
    one.commit()
    assert node_of(one).online and not stale(one, "SAW-01", T0) and one.service.figures["deaths_of_older_sessions"] == 1
    one.feed(death(6))
    one.commit()
    assert not node_of(one).online


def test_a_device_death_makes_that_device_stale_at_the_payloads_time(one: Bench) -> None:
    one.feed(data(1, "SAW-01", [("temperature_c", 20.0, T0)]), data(2, "M-SAW-01", [("power_w", 5.0, T0)]))
    one.feed(("spBv1.0/PUMP/DDEATH/EDGE-L1/SAW-01", Payload(timestamp=T0 + 77, seq=3).SerializeToString()))
    one.commit()
    node = node_of(one)
    assert node.online and node.devices["SAW-01"].since_ms == T0 + 77
    assert stale(one, "SAW-01", T0) and not stale(one, "M-SAW-01", T0)


def test_history_never_overwrites_what_is_live(one: Bench) -> None:
    """is_historical is booked and sampled, and the live value stays. Nothing public grades this."""
    live = data(2, "SAW-01", [("temperature_c", 30.0, T0 + 2_000), ("state", "producing", T0 + 2_000)])
    old = data(1, "SAW-01", [("temperature_c", 20.0, T0 + 1_000), ("state", "idle", T0 + 1_000)], historical=True)
    one.feed(live, old)
    one.commit()
    values = one.service.table.of_device("EDGE-L1", "SAW-01")
    assert values["temperature_c"] == (T0 + 2_000, 30.0) and values["state"] == (T0 + 2_000, "producing")
    assert one.answers[-1] == (EPOCH, 2), "both are stored"


def test_a_kept_birth_is_read_but_does_not_prove_that_the_node_lives(one: Bench) -> None:
    """Births must not be retained; mqtt-spb-wrapper's were. A dead node must not look alive because of one."""
    node = node_of(one)
    one.feed(death(5))
    one.commit()
    for topic, payload in births(bdseq=9):
        one.service.inbox.put(topic, payload, True)
    one.commit()
    assert node.online and node.unproven_since_s is not None
    eventually(lambda: one.commit() or one.rebirths >= 1, 5, why="it is asked to say itself")
    one.service.host.due(node.unproven_since_s + nodes.UNPROVEN_S + 1, T0)
    assert not node.online
    for topic, payload in births(bdseq=9):
        one.service.inbox.put(topic, payload, True)
    one.feed(data(1, "SAW-01", [("temperature_c", 20.0, T0)], seq=3))
    one.commit()
    assert node.unproven_since_s is None and node.online, "it speaks, and is understood without a birth of now"
    for topic, payload in births(bdseq=2):
        one.service.inbox.put(topic, payload, True)
    one.commit()
    assert node.bdseq == 9, "a kept birth means nothing beside a living session"


def test_dirty_nodes_are_understood(one: Bench) -> None:
    """No timestamps, datatypes in data, names instead of aliases, no seq."""
    payload = Payload()
    payload.metrics.add(name="temperature_c", datatype=10, double_value=21.0, timestamp=T0 + 1)
    one.feed(("spBv1.0/PUMP/DDATA/EDGE-L1/SAW-01", payload.SerializeToString()))
    one.commit()
    assert one.service.table.of_device("EDGE-L1", "SAW-01")["temperature_c"] == (T0 + 1, 21.0) and one.rebirths == 0
    birth = Payload.FromString(births(bdseq=8)[0][1])
    birth.ClearField("timestamp")
    for metric in birth.metrics:
        metric.ClearField("timestamp")
    one.feed(("spBv1.0/PUMP/NBIRTH/EDGE-L1", birth.SerializeToString()))
    one.commit()
    assert node_of(one).online and node_of(one).bdseq == 8


def test_an_answer_goes_by_the_alias_the_birth_gave(tmp_path: Path) -> None:
    with bench(tmp_path) as one:
        sent: list[Payload] = []
        one.service.send = lambda _, payload: sent.append(Payload.FromString(payload))  # type: ignore[method-assign]
        (topic, raw), *devices = births()
        birth = Payload.FromString(raw)
        for alias, name in ((901, names.STORED_EPOCH), (902, names.STORED_UP_TO)):
            birth.metrics.add(name=name, alias=alias, datatype=12, is_null=True, timestamp=T0)
        one.feed((topic, birth.SerializeToString()), *devices, data(1, "SAW-01", [("temperature_c", 20.0, T0)]))
        one.commit()
        answer = sent[-1]
        named = [(metric.alias, metric.name, metric.HasField("datatype")) for metric in answer.metrics]
        assert named == [(901, "", False), (902, "", False), (0, names.HOST_TIME, False)], "the host's time has no alias in this birth"
        assert not answer.HasField("seq") and answer.metrics[1].long_value == 1


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[tuple[Broker, IngestService, Grader, threading.Lock]]:
    """A running ingest that reaches Mosquitto through the grading proxy."""
    lock, grader = threading.Lock(), Grader()
    with mosquitto(tmp_path) as broker, bench(tmp_path / "server", clock=PlantClock()) as made:
        proxy = GradingProxy(("127.0.0.1", 0), BrokerAddress("127.0.0.1", broker.port), grader, PlantClock(), lock)
        proxy.start()
        user, password = broker.credentials(SERVER_USER)
        link = BrokerLink("127.0.0.1", proxy.port, user, password)
        service = IngestService(made.kit, made.telemetry, made.booking, link=link, bounds=IngestBounds(commit_s=0.05, jitter_s=0.0, reorder_s=0.5))
        asyncio.run(service.start())
        try:
            yield broker, service, grader, lock
        finally:
            asyncio.run(service.stop())
            proxy.stop()


def verdicts_of(grader: Grader, lock: threading.Lock) -> list[Verdict]:
    with lock:
        return grader.finish(PlantClock().now_ms())


def client_of(broker: Broker) -> mqtt.Client:
    user, password = broker.credentials(SERVER_USER)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="another")
    client.username_pw_set(user, password)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    return client


def test_a_foreign_offline_is_answered_by_online_with_the_births_timestamp(wire: Any) -> None:
    broker, service, grader, lock = wire
    heard: list[dict[str, Any]] = []
    client = client_of(broker)
    client.on_message = lambda _c, _u, message: heard.append(json.loads(message.payload))
    client.subscribe(state_topic("gemba"), 1)
    eventually(lambda: heard and heard[-1]["online"], 10)
    born = heard[-1]
    client.publish(state_topic("gemba"), json.dumps({"online": False, "timestamp": born["timestamp"]}), 1, True)
    eventually(lambda: len(heard) >= 3, 10)
    client.disconnect()
    client.loop_stop()
    assert [one["online"] for one in heard] == [True, False, True] and heard[-1] == born
    asyncio.run(service.stop())
    eventually(lambda: "host_goodbye" in {one.rule.key for one in verdicts_of(grader, lock) if one.held}, 20, why="DISCONNECT passed the proxy")
    verdicts = verdicts_of(grader, lock)
    assert fallen(verdicts) == set(), [(one.rule.key, one.evidence) for one in verdicts if one.broken]
    held = {one.rule.key for one in verdicts if one.status == "pass"}
    assert {"host_will_retain", "host_subscribes_state", "host_first_publish", "host_republishes", "host_goodbye", "state_birth_timestamp"} <= held


def test_the_hosts_commands_have_no_fault(wire: Any) -> None:
    """Answers, and rebirth requests: an unknown alias, a hole in seq that stays."""
    broker, service, grader, lock = wire
    with TestEdge(broker, "EDGE-L1", DEVICES) as edge:
        eventually(lambda: edge.online, 10)
        for number in range(5):
            edge.record("SAW-01", [("temperature_c", float(number), PlantClock().now_ms())])
        edge.wait_stored()
        births_before = edge.births
        odd = Payload(timestamp=PlantClock().now_ms(), seq=200)
        odd.metrics.add(alias=999_999, timestamp=odd.timestamp, double_value=1.0)
        client = client_of(broker)
        client.publish("spBv1.0/PUMP/DDATA/EDGE-L1/SAW-01", odd.SerializeToString(), 0).wait_for_publish(10)
        eventually(lambda: edge.births > births_before, 20, why="a rebirth was asked for")
        client.disconnect()
        client.loop_stop()
    asyncio.run(service.stop())
    with lock:
        verdicts = [one for one in grader.finish(PlantClock().now_ms()) if one.role == "host"]
    assert fallen(verdicts) <= {"command_datatype", "ncmd_name"}, [(one.rule.key, one.evidence) for one in verdicts if one.broken]
    assert not [one for one in verdicts if one.status == "fail"]
    held = {one.rule.key for one in verdicts if one.status == "pass"}
    assert {"ncmd_qos", "ncmd_retain", "ncmd_seq", "ncmd_timestamp", "rebirth_by_ncmd", "rebirth_true"} <= held


def test_edge_and_server_of_ours_have_no_fault_for_a_listener(wire: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a person would check a Gemba plant: the command, a rebirth request, exit code 0."""
    broker, service, _, _ = wire
    with Plc() as plc:
        plc.add("SAW-01.State", 6, ua.VariantType.Int32)
        plc.add("SAW-01.Good", 10, ua.VariantType.UInt16)
        config = tmp_path / "edge.toml"
        metrics = 'state = { node = "s=State" }\ngood = { node = "s=Good", width_bits = 16 }'
        config.write_text(config_text(broker, machine_source(plc, metrics), more="[delivery]\nhealth_s = 0.5\nheartbeat_s = 1.0\n"))
        with running(config):
            eventually(lambda: service.table.of_device("EDGE-L1", "SAW-01").get("good_total"), 30, why="the server shows the edge's value")
            user, password = broker.credentials(SERVER_USER)
            (tmp_path / "pw").write_text(password)
            sign_in = ["--user", user, "--password-file", str(tmp_path / "pw")]
            named = ["--group", "PUMP", "--edge", "EDGE-L1", "--rebirth", "--seconds", "3", "--json", str(tmp_path / "out.json")]
            code = main(["check-sparkplug", "--broker", f"mqtt://127.0.0.1:{broker.port}", *sign_in, *named])
    said = capsys.readouterr()
    assert code == 0, said.out
    verdicts = json.loads((tmp_path / "out.json").read_text())
    assert [one for one in verdicts if one["status"] == "fail"] == []
    held = {(one["subject"], one["rule"]) for one in verdicts if one["status"] == "pass"}
    assert {("PUMP/EDGE-L1", "rebirth_complete"), ("PUMP/EDGE-L1", "alias_birth"), ("gemba", "state_birth_retain")} <= held
    assert ("→ PUMP/EDGE-L1", "command_alias") in held, "answers go by alias"
    assert not [one for one in verdicts if one["status"] == "advice"], [one for one in verdicts if one["status"] == "advice"]
    assert "edge node PUMP/EDGE-L1" in said.out and "edge node(s)" in said.err, "progress was said"
