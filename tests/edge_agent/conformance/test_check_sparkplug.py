"""`gemba-edge check-sparkplug` as people run it: against a third-party node with known faults, a silent broker, wrong passwords, both brokers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from edge_agent.__main__ import main
from edge_agent.conformance.connection import BrokerAddress
from edge_agent.conformance.grader import Grader
from edge_agent.conformance.watch import Watcher
from edge_agent.contract.clock import PlantClock
from tests.edge_agent.conformance.golden import fallen
from tests.support.broker import SERVER_USER, Broker, broker_of, mosquitto
from tests.support.sparkplug_edge import TestEdge
from tests.support.third_party import FOLDER, Peer
from tests.support.wait import eventually, free_port

ROOT = Path(__file__).parents[3]
DEVICES = {"SAW-01": ["speed_rpm"]}


def options(broker: Broker, folder: Path, *more: str) -> list[str]:
    user, password = broker.credentials(SERVER_USER)
    (folder / "checker.password").write_text(password + "\n")
    sign_in = ["--user", user, "--password-file", str(folder / "checker.password")]
    return ["check-sparkplug", "--broker", f"mqtt://127.0.0.1:{broker.port}", *sign_in, *more]


def test_it_finds_the_known_faults_of_sparkplug_client(tmp_path: Path) -> None:
    """npm sparkplug-client 3.2.4, really running, through the proxy: what edge.md found, and by id."""
    if not (FOLDER / "node_modules" / "sparkplug-client").is_dir():
        pytest.skip("sparkplug-client is not installed: python .ci/prepare.py services")
    with mosquitto(tmp_path) as broker:
        port, found = free_port(), tmp_path / "found.json"
        command = options(broker, tmp_path, "--proxy", str(port), "--seconds", "120", "--rebirth", "--edge", "EDGE-L1", "--json", str(found))
        process = subprocess.Popen(
            [sys.executable, "-m", "edge_agent", *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        assert str(port) in process.stderr.readline(), "where to connect"
        user, password = broker.credentials("EDGE-L1")
        with Peer("sparkplug_client.mjs", tmp_path, broker_port=port, user=user, password=password) as peer:
            eventually(lambda: peer.ask({})["births"] >= 1, 20)
            for value in (2.5, 3.5):
                peer.ask({"data": value})
            eventually(lambda: peer.ask({})["commands"] >= 1, 20, why="the rebirth request reached it")
            peer.ask({"data": 4.5})
            peer.ask({"stop": True})
            peer.ask({"start": True})
            eventually(lambda: peer.ask({})["births"] >= 3, 20, why="the first, the one asked for, and that of the new connection")
            process.send_signal(signal.SIGTERM)  # whoever ends it early gets what there is (SIGINT is ignored in a background job)
            out, err = process.communicate(timeout=60)
        assert process.returncode == 1 and "Traceback" not in err
        verdicts = {one["rule"]: one for one in json.loads(found.read_text()) if one["subject"] == "PUMP/EDGE-L1"}
        broken = {rule for rule, one in verdicts.items() if one["status"] in ("fail", "advice")}
        assert {"will_qos", "metric_timestamp", "data_datatype", "ncmd_subscribe", "bdseq_increment"} <= broken, broken
        assert verdicts["will_qos"]["ids"][0] == "message-flow-edge-node-birth-publish-will-message-qos" and verdicts["will_qos"]["evidence"]
        assert verdicts["data_datatype"]["status"] == "advice" and verdicts["bdseq_increment"]["status"] == "fail"
        for right in ("nbirth_seq_zero", "ndata_seq_inc", "dbirth_after_nbirth", "rebirth_metric", "will_topic", "clean_session_311"):
            assert verdicts[right]["status"] == "pass", (right, verdicts[right])
        assert "FAIL  Will and node death have QoS 1" in out


@pytest.mark.parametrize("kind", ["mosquitto", "nats"])
def test_listening_with_a_rebirth_request(kind: str, tmp_path: Path) -> None:
    """MQTT 5 where the broker has it, else 3.1.1. The node of our tests has no aliases on its commands and keeps to the rest."""
    with broker_of(kind, tmp_path) as broker, TestEdge(broker, "EDGE-L1", DEVICES) as edge:
        grader = Grader()
        user, password = broker.credentials(SERVER_USER)
        address = BrokerAddress("127.0.0.1", broker.port, user=user, password=password)
        watcher = Watcher(address, grader, PlantClock(), group="PUMP", edge="EDGE-L1")
        result: list[Any] = []
        thread = threading.Thread(target=lambda: result.extend(watcher.run(2.0, rebirth=True)))
        announce(broker)
        eventually(lambda: edge.online, 10)
        births = edge.births
        thread.start()
        eventually(lambda: edge.births > births, 20, why="it was asked for a birth")
        thread.join(60)
        node = [one for one in result if one.subject == "PUMP/EDGE-L1"]
        held = {one.rule.key for one in node if one.status == "pass"}
        assert {"nbirth_qos", "nbirth_seq_zero", "rebirth_complete", "dbirth_seq_inc"} <= held, (held, fallen(node))
        hosts = {one.rule.key: one.status for one in result if one.subject == "gemba"}
        assert hosts["state_birth_retain"] == "pass" and hosts["state_topic"] == "pass"


def announce(broker: Broker) -> None:
    """A host that says online, retained, and goes without a word."""
    import paho.mqtt.client as mqtt

    user, password = broker.credentials(SERVER_USER)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.username_pw_set(user, password)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.publish("spBv1.0/STATE/gemba", json.dumps({"online": True, "timestamp": 1_772_409_600_000}), 1, True).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def test_errors_say_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with mosquitto(tmp_path) as broker:
        assert main(options(broker, tmp_path, "--rebirth")) == 1
        assert "--edge" in capsys.readouterr().err
        assert main(options(broker, tmp_path, "--seconds", "0.2")) == 1, "nothing seen is no success"
        assert "No edge node" in capsys.readouterr().out
        (tmp_path / "checker.password").write_text("wrong")
        wrong = ["--user", "gemba-server", "--password-file", str(tmp_path / "checker.password")]
        assert main(["--lang", "zh", "check-sparkplug", "--broker", f"127.0.0.1:{broker.port}", *wrong]) == 1
        assert "无法监视代理" in capsys.readouterr().err
    assert main(["check-sparkplug", "--broker", f"mqtt://127.0.0.1:{free_port()}"]) == 1
    assert "cannot be watched" in capsys.readouterr().err
    for odd in ("http://x", "mqtt://", "mqtt://h:99999"):
        assert main(["check-sparkplug", "--broker", odd]) == 1
        assert "mqtt://host:1883" in capsys.readouterr().err
