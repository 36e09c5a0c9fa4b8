"""Our own edge agent held to the table, by listening and on its own wire, over a whole life; and what nobody else grades."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from asyncua import ua

from edge_agent.conformance.connection import BrokerAddress
from edge_agent.conformance.grader import Grader
from edge_agent.conformance.proxy import GradingProxy
from edge_agent.conformance.verdicts import Verdict
from edge_agent.contract import names
from edge_agent.contract.clock import PlantClock
from edge_agent.contract.payload import decode, get_value
from edge_agent.contract.topics import state_topic
from edge_agent.publisher.node import Phase
from tests.edge_agent.conformance.golden import fallen
from tests.support.broker import SERVER_USER, Broker, mosquitto
from tests.support.edge import AgentProcess, Host, Plc, config_text, machine_source, running
from tests.support.wait import eventually

METRICS = 'state = { node = "s=State" }\ngood = { node = "s=Good", width_bits = 16 }\nspeed_rpm = { node = "s=Speed" }'


@dataclass
class Plant:
    """A PLC, a broker, a host, a grading proxy the edge goes through."""

    plc: Plc
    broker: Broker
    host: Host
    grader: Grader
    config: Path
    lock: threading.Lock

    def verdicts(self) -> list[Verdict]:
        with self.lock:
            return self.grader.finish(PlantClock().now_ms())


@contextmanager
def plant(folder: Path) -> Iterator[Plant]:
    lock, grader = threading.Lock(), Grader()
    with mosquitto(folder) as broker, Plc() as plc, Host(broker) as host:
        proxy = GradingProxy(("127.0.0.1", 0), BrokerAddress("127.0.0.1", broker.port), grader, PlantClock(), lock)
        proxy.start()
        plc.add("SAW-01.State", 6, ua.VariantType.Int32)
        plc.add("SAW-01.Good", 10, ua.VariantType.UInt16)
        plc.add("SAW-01.Speed", 1.0, ua.VariantType.Double)
        user, password = broker.credentials("EDGE-L1")
        (folder / "broker.json").write_text(json.dumps({"host": "127.0.0.1", "port": proxy.port, "user": user, "password": password}))
        more = "[delivery]\nhealth_s = 0.5\nheartbeat_s = 1.0\n"
        config = folder / "edge.toml"
        config.write_text(config_text(folder / "broker.json", machine_source(plc, METRICS), more=more))
        try:
            yield Plant(plc, broker, host, grader, config, lock)
        finally:
            proxy.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Plant, Any]]:
    """One plant with a running agent for the tests that leave it as they found it."""
    with plant(tmp_path_factory.mktemp("shared")) as one, running(one.config) as agent:
        eventually(lambda: one.host.last("SAW-01", "good_total") == 10, 30)
        yield one, agent


def speak(one: Plant, count: int) -> None:
    """`count` more parts are made and booked."""
    start = one.host.last("SAW-01", "good_total") or 10
    for number in range(start + 1, start + count + 1):
        one.plc.set_many([("SAW-01.Good", number, None), ("SAW-01.Speed", float(number), None)])
    eventually(lambda: one.host.last("SAW-01", "good_total") == start + count, 30, why="all parts are booked")


def test_a_whole_life_on_the_wire_has_no_fault(tmp_path: Path) -> None:
    with plant(tmp_path) as one:
        with running(one.config) as agent:
            speak(one, 3)
            before = agent.worker.node.sessions
            one.host.command(**{names.REBIRTH: True})
            eventually(lambda: agent.worker.node.sessions > before, 20, why="born again")
            speak(one, 3)
            one.plc.stop()
            eventually(lambda: "DDEATH" in one.host.kinds(), 30, why="the device's death")
            births = one.host.kinds().count("DBIRTH")
            one.plc.start()
            eventually(lambda: one.host.kinds().count("DBIRTH") > births, 30, why="the device is back")
            one.host.offline()
            eventually(lambda: agent.worker.node.phase is not Phase.BORN, 20)
            one.host.stamp += 1
            one.host.online()
            eventually(lambda: agent.worker.node.phase is Phase.BORN, 30, why="a new session")
            eventually(lambda: one.host.kinds().count("NBIRTH") >= 3, 20)
        eventually(lambda: one.host.kinds()[-1] == "NDEATH", 10, why="a clean good-bye")
        verdicts = [verdict for verdict in one.verdicts() if verdict.subject == "PUMP/EDGE-L1"]
        assert fallen(verdicts) == set(), [(verdict.rule.key, verdict.evidence) for verdict in verdicts if verdict.broken]
        held = {verdict.rule.key for verdict in verdicts if verdict.status == "pass"}
        wanted = {"will_qos", "ncmd_subscribe", "host_wait", "host_offline", "goodbye", "rebirth_complete", "rebirth_bdseq", "bdseq_increment"}
        assert wanted | {"ddeath_seq_inc", "ndata_change", "alias_unique", "nbirth_first", "state_subscribe"} <= held


def test_the_will_of_a_killed_agent_bears_the_bdseq_of_its_living_session(tmp_path: Path) -> None:
    """And the next session counts on (bdSeq is on disk). Nothing public grades this."""
    with plant(tmp_path) as one:
        process = AgentProcess(one.config)
        process.start()
        eventually(lambda: one.host.last("SAW-01", "good_total") == 10, 30)
        one.host.command(**{names.REBIRTH: True})
        eventually(lambda: one.host.kinds().count("NBIRTH") == 2, 20)
        process.kill()
        eventually(lambda: "NDEATH" in one.host.kinds(), 20, why="the broker publishes the will")
        numbers = bdseqs(one.host)
        assert [kind for kind, _ in numbers] == ["NBIRTH", "NBIRTH", "NDEATH"] and len({number for _, number in numbers}) == 1
        assert fallen([verdict for verdict in one.verdicts() if verdict.role == "edge"]) == set()


def bdseqs(host: Host) -> list[tuple[str, Any]]:
    """(kind, bdSeq) of every node birth and death the host was delivered."""
    return [
        (topic.split("/")[2], get_value(next(metric for metric in payload.metrics if metric.name == "bdSeq")))
        for topic, payload in host.messages
        if topic.split("/")[2] in ("NBIRTH", "NDEATH")
    ]


@pytest.mark.full
def test_bdseq_goes_up_over_a_restart_of_the_process(tmp_path: Path) -> None:
    with plant(tmp_path) as one:
        for count in (1, 2, 3):
            process = AgentProcess(one.config)
            process.start()
            eventually(lambda wanted=count: one.host.kinds().count("NBIRTH") == wanted, 30)  # type: ignore[misc]
            process.kill() if count == 2 else process.terminate()
            eventually(lambda wanted=count: one.host.kinds().count("NDEATH") == wanted, 20)  # type: ignore[misc]
        numbers = bdseqs(one.host)
        assert [number for _, number in numbers] == [number for number in range(numbers[0][1], numbers[0][1] + 3) for _ in (1, 2)]


def test_an_old_offline_is_ignored_and_a_new_one_ends_the_session(shared: tuple[Plant, Any]) -> None:
    one, agent = shared
    speak(one, 1)
    node, born, deaths = agent.worker.node, one.host.kinds().count("NBIRTH"), one.host.kinds().count("NDEATH")
    say(one.broker, False, one.host.stamp - 1)
    say(one.broker, True, one.host.stamp)
    speak(one, 2)
    assert node.phase is Phase.BORN and one.host.kinds().count("NBIRTH") == born and one.host.kinds().count("NDEATH") == deaths
    for odd in (b"OFFLINE", b'{"online": "false", "timestamp": 9e99}', b"[" * 5_000, b"\xff"):
        say_raw(one.broker, odd)
    speak(one, 1)
    assert node.phase is Phase.BORN
    one.host.offline()
    eventually(lambda: one.host.kinds().count("NDEATH") > deaths, 20)
    eventually(lambda: node.phase is Phase.WAITING, 20, why="connected again, and waits")
    assert one.host.kinds()[-1] == "NDEATH"
    one.host.stamp += 1
    one.host.online()
    eventually(lambda: node.phase is Phase.BORN, 20)


def say_raw(broker: Broker, raw: bytes) -> None:
    user, password = broker.credentials(SERVER_USER)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.username_pw_set(user, password)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.publish(state_topic("gemba"), raw, 1, False).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def say(broker: Broker, online: bool, stamp: int) -> None:
    say_raw(broker, json.dumps({"online": online, "timestamp": stamp}).encode())


@pytest.mark.full
def test_a_lost_plc_is_a_device_death_and_its_return_a_birth(tmp_path: Path) -> None:
    with plant(tmp_path) as one, running(one.config):
        speak(one, 1)
        one.plc.stop()
        eventually(lambda: "DDEATH" in one.host.kinds(), 30)
        one.plc.start()
        births = one.host.kinds().count("DBIRTH")
        eventually(lambda: one.host.kinds().count("DBIRTH") > births or one.host.kinds()[-1] == "DDATA", 30)
        assert not one.host.errors


def test_what_waited_for_the_host_is_historical_and_comes_after_the_births(shared: tuple[Plant, Any]) -> None:
    """is_historical: set on what is sent again, never on what is live; the order of n stays. Nothing public grades this."""
    one, agent = shared
    speak(one, 1)
    one.host.offline()
    eventually(lambda: agent.worker.node.phase is not Phase.BORN, 20)
    good = one.host.last("SAW-01", "good_total")
    for number in range(good + 1, good + 6):
        one.plc.set("SAW-01.Good", number)
    last = agent.worker.buffer.last_n
    eventually(lambda: agent.worker.buffer.last_n >= last + 1, 20)
    at = len(one.host.messages)
    one.host.stamp += 1
    one.host.online()
    eventually(lambda: one.host.last("SAW-01", "good_total") == good + 5, 30)
    later = one.host.messages[at:]
    kinds = [topic.split("/")[2] for topic, _ in later]
    assert kinds[:2] == ["NBIRTH", "DBIRTH"]
    data = [payload for topic, payload in later if "/DDATA/" in topic]
    assert any(metric.is_historical for payload in data for metric in payload.metrics)
    for payload in data:
        assert len({metric.is_historical for metric in payload.metrics}) == 1, "a record is historical as a whole"
    assert not one.host.errors


def test_other_commands_are_refused_in_words_and_counted(shared: tuple[Plant, Any]) -> None:
    one, agent = shared
    speak(one, 1)
    one.host.command(**{"Node Control/Reboot": True})
    command_device(one.broker, "spBv1.0/PUMP/DCMD/EDGE-L1/SAW-01")
    eventually(lambda: agent.worker.node.refused == 2, 20)
    eventually(lambda: sum("not carried out" in line for line in agent.logged) == 2, 10)
    assert any("Node Control/Reboot" in line and "未执行" in line for line in agent.logged)
    eventually(lambda: node_value(one.host, names.COMMANDS_REFUSED) == 2, 20, why="the counter on the wire")
    eventually(lambda: "not carried out" in str(node_value(one.host, "Source/PLC/Last Error")), 20, why="a health note on the wire")
    speak(one, 1)


def command_device(broker: Broker, topic: str) -> None:
    from edge_agent.contract.sparkplug_b_pb2 import Payload

    payload = Payload(timestamp=1)
    payload.metrics.add(name="good_total", timestamp=1, long_value=7)
    user, password = broker.credentials(SERVER_USER)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.username_pw_set(user, password)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.publish(topic, payload.SerializeToString(), 1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def node_value(host: Host, name: str) -> Any:
    """Newest value of a node metric, from births and NDATA."""
    alias, value = None, None
    for topic, payload in list(host.messages):
        if topic.split("/")[2] in ("NBIRTH", "NDATA"):
            for metric in payload.metrics:
                if metric.name == name:
                    alias = metric.alias
                if metric.name == name or (not metric.name and metric.alias == alias):
                    value = get_value(metric)
    return value


def test_names_that_are_no_utf8_are_unreadable() -> None:
    """The protobuf runtime gives bytes for them."""
    from edge_agent.conformance.metrics import read
    from edge_agent.contract.payload import BadPayload

    raw = b"\x12\x05\x0a\x03\xff\xfe\xfd"
    assert decode(raw)
    with pytest.raises(BadPayload, match="UTF-8"):
        read(raw)
