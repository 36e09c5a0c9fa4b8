"""A server nobody here wrote: the agent's process against node-opcua, open62541 and pyModbusTCP, compared with what those servers themselves hold."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker import mosquitto
from tests.support.edge import NAMESPACE, AgentProcess, Host, config_text
from tests.support.third_party import ROOT, Peer
from tests.support.wait import eventually

FIRST = 65_500  # rolls over on the way
PACKML = {3: "starved", 4: "idle", 5: "stopped", 6: "producing"}
OPCUA = """[sources.PLC]
type = "opcua"
url = "opc.tcp://127.0.0.1:{port}"
security = "{security}"
trust = "first_use"
user = "edge"
password_file = "plc.password"
publishing_interval_s = 0.05
settle_s = 0.15
[sources.PLC.devices.SAW-01]
kind = "machine"
namespace = "{namespace}"
node_prefix = "SAW-01."
min_cycle_s = 0.01
[sources.PLC.devices.SAW-01.metrics]
state = {{ node = "s=State", states = {{ 3 = "starved", 4 = "idle", 5 = "stopped", 6 = "producing" }} }}
good = {{ node = "s=Good", width_bits = 16, decrease = "rollover" }}
scrap = {{ node = "s=Scrap" }}
order = {{ node = "s=Order" }}
temperature_c = {{ node = "s=Temperature" }}
"""
MODBUS = """[sources.METERS]
type = "modbus"
port = {port}
period_s = 0.2
timeout_s = 0.5
max_hole = 0
busy_retries = 3
[sources.METERS.devices.M-1]
kind = "meter"
unit = 1
rated_power_w = 1e12
[sources.METERS.devices.M-1.metrics]
power_w = {{ register = 10, type = "float32", word_order = "ABCD" }}
voltage_v = {{ register = 20, type = "float32", word_order = "CDAB" }}
energy_import_wh = {{ register = 30, type = "int64", word_order = "ABCD" }}
energy_export_wh = {{ register = 40, table = "input", type = "int64", word_order = "CDAB" }}
frequency_hz = {{ register = 50, table = "input", type = "float32", word_order = "CDAB" }}
"""
# Each server with the policy that the agent must arrive at: asked for by name, and the strongest offered.
POLICIES = {"node-opcua": ("Basic256Sha256", "Basic256Sha256"), "open62541": ("best", "Aes256_Sha256_RsaPss")}


@dataclass
class Rig:
    peer: Peer
    host: Host
    agent: AgentProcess
    made: int = 0
    at_ms: int = 0

    def now_ms(self) -> int:
        """Real time, and later than any time given before: every part has a source time of its own."""
        self.at_ms = max(self.at_ms + 1, int(time.time() * 1000))
        return self.at_ms

    def part(self) -> int:
        """The machine makes one part; the server's own source time of it comes back."""
        self.made += 1
        at_ms = self.now_ms()
        self.peer.set(t_ms=at_ms, Good=(FIRST + self.made) % 65_536)
        return at_ms


@contextlib.contextmanager
def rig(peer_name: str, folder: Path, source: str, **first: Any) -> Iterator[Rig]:
    (folder / "plc.password").write_text("secret\n")
    with mosquitto(folder) as broker, Peer(peer_name, folder, **first) as peer, Host(broker) as host:
        config = folder / "edge.toml"
        delivery = "[delivery]\nheartbeat_s = 0.5\nhealth_s = 0.5\n"
        config.write_text(
            config_text(broker, source.format(port=peer.port, namespace=NAMESPACE, security=POLICIES.get(peer_name, ("",))[0]), more=delivery)
        )
        agent = AgentProcess(config)
        agent.start()
        try:
            yield Rig(peer, host, agent)
        finally:
            agent.terminate()


@pytest.fixture(params=sorted(POLICIES))
def plc(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    first = {"State": 4, "Good": FIRST, "Scrap": 3, "Order": "WO-1", "Temperature": 20.5}
    with rig(request.param, tmp_path, OPCUA, **first) as made:
        eventually(lambda: made.host.last("SAW-01", "good_total") == FIRST, 60, why="first value")
        yield made


def gaps(host: Host, device: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in host.values(device, "gap")]


def test_counts_states_order_and_times_are_what_the_server_holds(plc: Rig) -> None:
    parts, states = [], []
    for number in range(80):
        parts.append(plc.part())
        if number % 4 == 0:
            states.append((plc.now_ms(), (6, 5, 3)[number // 4 % 3]))
            plc.peer.set(t_ms=states[-1][0], State=states[-1][1])
    plc.peer.set(t_ms=plc.now_ms(), Order="工单-2/泵", Scrap=5, Temperature=21.625)

    host = plc.host
    eventually(lambda: host.last("SAW-01", "temperature_c") == 21.625 and host.last("SAW-01", "good_total") == FIRST + 80, 15)
    held = {name: plc.peer.get(name) for name in ("State", "Good", "Scrap", "Order", "Temperature")}
    assert held["Good"]["value"] == (FIRST + 80) % 65_536 == host.last("SAW-01", "good_raw"), "it rolled over at the server's end"
    assert host.last("SAW-01", "scrap_total") == held["Scrap"]["value"] == 5
    assert host.last("SAW-01", "order") == held["Order"]["value"] == "工单-2/泵"
    for ours, theirs in (("state", "State"), ("good_total", "Good"), ("order", "Order"), ("temperature_c", "Temperature")):
        assert host.facts("SAW-01", ours)[-1].t_ms == held[theirs]["t_ms"], f"{ours} has not the server's source time"
    seen = host.facts("SAW-01", "good_total")
    assert [(fact.t_ms, fact.value) for fact in seen[1:]] == list(zip(parts, range(FIRST + 1, FIRST + 81), strict=True)), "each part by itself"
    seen = host.facts("SAW-01", "state")
    assert [(fact.t_ms, fact.value) for fact in seen[1:]] == [(at_ms, PACKML[code]) for at_ms, code in states]
    assert gaps(host, "SAW-01") == []
    assert host.errors == []
    channels = plc.peer.ask({"channels": True})
    assert channels == [{"mode": "SignAndEncrypt", "policy": POLICIES[plc.peer.name][1], "user": "edge"}]

    read_once_agrees(plc, held)


def read_once_agrees(plc: Rig, held: dict[str, dict[str, Any]]) -> None:
    """`read-once` prints the server's own values, and a wrong password is refused in words."""
    command = [sys.executable, "-m", "edge_agent", "read-once", "--config", str(plc.agent.config)]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name, data in held.items():
        (line,) = [line for line in shown.splitlines() if f"SAW-01.{name}" in line]
        assert str(data["value"]) in line
    (plc.agent.config.parent / "plc.password").write_text("wrong\n")
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "refuses user edge" in refused.stdout + refused.stderr


def test_a_killed_server_is_one_gap_and_no_part_is_lost(plc: Rig) -> None:
    for _ in range(10):
        plc.part()
    host = plc.host
    eventually(lambda: host.last("SAW-01", "good_total") == FIRST + 10, 15)
    kept_until_ms = int(time.time() * 1000)
    plc.peer.kill()
    eventually(lambda: "DDEATH" in host.kinds(), 15, why="the loss is said")
    plc.made += 70  # nobody looked, and the counter rolled over
    plc.peer.start(State=6, Good=(FIRST + plc.made) % 65_536, Scrap=3, Order="WO-2", Temperature=20.5)
    eventually(lambda: host.last("SAW-01", "good_total") == FIRST + 80, 30, why="the total carries on")
    back_ms = int(time.time() * 1000)
    for _ in range(10):
        plc.part()
    eventually(lambda: host.last("SAW-01", "good_total") == FIRST + 90, 15)
    assert plc.peer.get("Good")["value"] == (FIRST + 90) % 65_536
    assert (host.last("SAW-01", "order"), host.last("SAW-01", "state"), host.last("SAW-01", "scrap_total")) == ("WO-2", "producing", 3)
    (gap,) = gaps(host, "SAW-01")
    assert gap["cause"] == "source_lost"
    assert kept_until_ms - 1500 <= gap["from_ms"] <= kept_until_ms + 500
    assert kept_until_ms < gap["to_ms"] <= back_ms
    assert host.errors == []


def test_registers_of_every_width_and_order_exceptions_and_a_restart_of_the_slave(tmp_path: Path) -> None:
    big = 5_000_000_000  # needs more than 32 bits
    first = {"power": 1234.5, "voltage": 230.25, "energy": big, "energy_back": 2 * big, "frequency": 50.0625}
    names = {"power": "power_w", "voltage": "voltage_v", "energy": "energy_import_wh", "energy_back": "energy_export_wh", "frequency": "frequency_hz"}
    with rig("pyModbusTCP", tmp_path, MODBUS, **first) as meter:
        host, peer = meter.host, meter.peer

        def same() -> bool:
            return all(host.last("M-1", ours) == peer.get(theirs)["value"] for theirs, ours in names.items())

        eventually(same, 30, why="first values")
        peer.set(power=-0.15625, voltage=229.5, energy=big + 7, energy_back=2 * big + 70_000, frequency=49.9375)
        eventually(same, 10, why="changed values")
        asked = peer.ask({"asked": True})
        peer.ask({"busy": 2})  # is asked again, and nothing is missed
        eventually(lambda: peer.ask({"asked": True}) > asked + 8, 10)
        assert gaps(host, "M-1") == []

        peer.ask({"refuse": ["voltage"]})  # one register, not the meter
        peer.set(voltage=111.0, power=99.5)
        eventually(lambda: host.last("M-1", "power_w") == 99.5, 10)
        assert host.last("M-1", "voltage_v") == 229.5
        peer.ask({"refuse": []})
        eventually(lambda: host.last("M-1", "voltage_v") == 111.0, 10)

        lost_ms = int(time.time() * 1000)
        peer.kill()
        eventually(lambda: "DDEATH" in host.kinds(), 15)
        peer.start(power=5.0, voltage=231.0, energy=big + 1007, energy_back=2 * big + 70_000, frequency=50.0)
        eventually(same, 20, why="values after the restart")
        gap = gaps(host, "M-1")[-1]
        assert gap["cause"] == "source_lost"
        assert lost_ms - 1500 <= gap["from_ms"] <= lost_ms + 500
        assert host.errors == []
