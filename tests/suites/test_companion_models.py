"""Machines of the published NodeSets in a server nobody here wrote (node-opcua): recognised, read, followed and proposed without a single node."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.__main__ import main
from tests.support.broker import mosquitto
from tests.support.edge import AgentProcess, Host, config_text
from tests.support.third_party import Peer
from tests.support.wait import eventually

DEVICES = ("MC-01", "PRESS-01", "FILL-01")  # and GUARD: PRESS-01 once more as a machine without a model, its alarm alone
ROOT = 'root = "nsu=urn:gemba:test:plc;s={name}"'


class Machines(Peer):
    """The companion server; `order` raises when the server did not understand."""

    def order(self, **what: Any) -> None:
        assert self.ask(what) == {"ok": True}

    def begin(self) -> None:
        """Every machine produces."""
        for state in (["MC-01", "item", "Executing"], ["MC-01", "mode", "Processing"], ["MC-01", "program", "Running"],
                      ["PRESS-01", "item", "Executing"], ["PRESS-01", "mode", "Processing"],
                      ["FILL-01", "base", "Cleared"], ["FILL-01", "machine", "Running"], ["FILL-01", "execute", "Execute"]):  # fmt: skip
            self.order(state=state)
        self.order(set=["MC-01", "Monitoring/MachineTool/OperationMode", 1])
        self.order(set=["MC-01", "Production/Statistics/PartsProducedInLifetime", 1200])
        self.order(set=["MC-01", "Production/ActiveProgram/JobIdentifier", "WO-7"])
        self.order(set=["FILL-01", "Status/UnitModeCurrent", 1])
        self.order(counts=["FILL-01", "Admin/ProdProcessedCount", [[12, 112], [3, 3]]])
        self.order(counts=["FILL-01", "Admin/ProdDefectiveCount", [[2, 2]]])


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with Machines("opcua_companion.mjs", tmp_path_factory.mktemp("machines")) as peer:
        yield peer


@contextlib.contextmanager
def plant(machines: Machines, folder: Path) -> Iterator[tuple[Path, Host]]:
    """A config for the machines, and a host at its broker."""
    source = (
        f'[sources.PLC]\ntype = "opcua"\nurl = "opc.tcp://127.0.0.1:{machines.port}"\nsecurity = "none"\npublishing_interval_s = 0.05\n'
        f'settle_s = 0.15\n[sources.PLC.devices.MC-01]\nmodel = "auto"\n{ROOT.format(name="MC-01")}\n'
        f'[sources.PLC.devices.PRESS-01]\nmodel = "opc40001"\n{ROOT.format(name="PRESS-01")}\n[sources.PLC.devices.FILL-01]\nmodel = "packml"\n'
        '[sources.PLC.devices.GUARD]\nnamespace = "urn:gemba:test:plc"\nmetrics = { alarm = { events = "s=PRESS-01" } }\n'
    )
    with mosquitto(folder) as broker, Host(broker) as host:
        config = folder / "edge.toml"
        config.write_text(config_text(broker, source, more="[delivery]\nheartbeat_s = 0.5\nhealth_s = 0.5\n"))
        yield config, host
        assert host.errors == []


def test_states_counters_orders_and_alarms_come_without_a_node_in_the_config_and_a_kill_misses_nothing(machines: Machines, tmp_path: Path) -> None:
    machines.begin()
    machines.order(alarm=["FILL-01", "No bottles", True, 300])  # active before anybody looks
    with plant(machines, tmp_path) as (config, host):
        agent = AgentProcess(config)
        agent.start()
        try:
            follow(machines, host)
            follow_alarms(machines, host)
            kill_and_go_on(machines, host, agent)
            no_gap(host, *DEVICES)  # a sub machine that is not active is no loss, nor is a restart
            drop_events(machines, host)
        finally:
            agent.terminate()
        no_gap(host, *DEVICES, samples=False)
        assert host.values("FILL-01", "alarm") == ["No bottles", "", ""]
        assert host.values("PRESS-01", "alarm") == ["", ""]
        assert host.values("MC-01", "alarm") == ["", "4711", "0815", "4711", "", "0815", "0815", ""], "once each; and what it was after the overflow"


def alarms(host: Host) -> list[Any]:
    return [host.last(device, "alarm") for device in DEVICES]


def no_gap(host: Host, *devices: str, samples: bool = True) -> None:
    for device in devices:
        assert host.values(device, "gap") == [], device
        assert not samples or host.values(device, "samples_gap") == [], device


def follow(machines: Machines, host: Host) -> None:
    last = host.last
    for device in ("MC-01", "PRESS-01", "FILL-01"):
        eventually(lambda device=device: last(device, "state") == "producing", 60, why=f"{device} produces")
    eventually(lambda: (last("MC-01", "good_total"), last("MC-01", "order")) == (1200, "WO-7"), 30)
    eventually(lambda: (last("FILL-01", "good_total"), last("FILL-01", "scrap_total")) == (113, 2), 30)

    machines.order(set=["MC-01", "Production/Statistics/PartsProducedInLifetime", 1203])
    machines.order(set=["MC-01", "Monitoring/MachineTool/OperationMode", 2])
    machines.order(state=["PRESS-01", "item", "OutOfService"])
    machines.order(counts=["FILL-01", "Admin/ProdProcessedCount", [[14, 114], [4, 4]]])
    machines.order(state=["FILL-01", "execute", "Suspended"])
    eventually(lambda: (last("MC-01", "good_total"), last("MC-01", "state")) == (1203, "setup"), 30)
    eventually(lambda: last("PRESS-01", "state") == "fault", 30)
    eventually(lambda: (last("FILL-01", "good_total"), last("FILL-01", "state")) == (116, "starved"), 30)

    machines.order(set=["FILL-01", "Status/EquipmentBlocked", True])
    eventually(lambda: last("FILL-01", "state") == "blocked", 30)
    machines.order(state=["FILL-01", "base", "Aborted"])
    machines.order(state=["FILL-01", "machine", None])
    machines.order(state=["FILL-01", "execute", None])
    eventually(lambda: last("FILL-01", "state") == "fault", 30)
    machines.order(set=["FILL-01", "Status/EquipmentBlocked", False])


def follow_alarms(machines: Machines, host: Host) -> None:
    """The gravest of what is active, whether a person has seen it or not."""
    eventually(lambda: alarms(host) == ["", "", "No bottles"], 30)
    for code, active, severity in (("4711", True, 500), ("0815", True, 800), ("0815", False, 800)):
        machines.order(alarm=["MC-01", code, active, severity])
    machines.order(acknowledge=["MC-01", "4711"])
    machines.order(alarm=["FILL-01", "No bottles", False, 300])
    eventually(lambda: alarms(host) == ["4711", "", ""], 30)


def drop_events(machines: Machines, host: Host) -> None:
    machines.order(overflow=True)
    eventually(lambda: all(host.values(device, "samples_gap") for device in DEVICES), 30, why="what was dropped is said")
    machines.order(alarm=["MC-01", "0815", False, 100])
    eventually(lambda: alarms(host) == ["", "", ""], 30)
    (lost,) = [json.loads(text) for text in host.values("MC-01", "samples_gap")]
    assert lost["cause"] == "overflow" and "alarm" in lost["detail"]


def change_all(machines: Machines) -> None:
    machines.order(state=["MC-01", "program", "Interrupted"])
    machines.order(set=["MC-01", "Production/Statistics/PartsProducedInLifetime", 1204])
    machines.order(counts=["FILL-01", "Admin/ProdProcessedCount", [[17, 117], [4, 4]]])
    machines.order(state=["MC-01", "program", "Running"])


def kill_and_go_on(machines: Machines, host: Host, agent: AgentProcess) -> None:
    """A state put together from four nodes of which one changed while no agent ran: the others are known from before the kill."""
    machines.order(set=["MC-01", "Monitoring/MachineTool/OperationMode", 1])
    eventually(lambda: host.last("MC-01", "state") == "producing", 30)
    agent.kill()
    change_all(machines)
    machines.order(alarm=["MC-01", "4711", False, 500])
    machines.order(alarm=["MC-01", "0815", True, 100])
    agent.start()
    eventually(lambda: (host.last("MC-01", "good_total"), host.last("FILL-01", "good_total")) == (1204, 119), 60)
    eventually(lambda: alarms(host) == ["0815", "", ""], 60)
    machines.order(state=["PRESS-01", "item", "Executing"])
    machines.order(set=["MC-01", "Monitoring/MachineTool/OperationMode", 2])
    eventually(lambda: (host.last("MC-01", "state"), host.last("PRESS-01", "state")) == ("setup", "producing"), 60)
    assert host.values("MC-01", "state")[-4:] == ["producing", "stopped", "producing", "setup"], "what happened while no agent ran, once each"
    assert host.values("PRESS-01", "state")[-2:] == ["fault", "producing"]


def test_where_the_subscription_is_gone_the_servers_history_fills_the_time_and_conditions_are_asked_for(machines: Machines, tmp_path: Path) -> None:
    """What the nodes said while no agent ran is put together as if it had been heard. PRESS-01 has no history: a gap."""
    machines.begin()
    with plant(machines, tmp_path) as (config, host):
        agent = AgentProcess(config)
        agent.start()
        try:
            follow(machines, host)
            machines.order(set=["MC-01", "Monitoring/MachineTool/OperationMode", 1])
            eventually(lambda: host.last("MC-01", "state") == "producing", 30)
            agent.kill()
            machines.order(alarm=["PRESS-01", "Guard open", True, 500])
            change_all(machines)
            machines.order(forget=True)
            agent.start()
            eventually(lambda: (host.last("MC-01", "good_total"), host.last("FILL-01", "good_total")) == (1204, 119), 60)
            eventually(lambda: len(host.values("PRESS-01", "gap")) == 1 and alarms(host) == ["", "Guard open", ""], 60)
            machines.order(forget=True)  # beside a living agent
            machines.order(alarm=["PRESS-01", "Guard open", False, 500])
            eventually(lambda: len(host.values("PRESS-01", "gap")) == 2 and alarms(host) == ["", "", ""], 60)
        finally:
            agent.terminate()
        no_gap(host, "MC-01", "FILL-01")
        for device in ("MC-01", "FILL-01"):
            marked = json.loads(host.values(device, "read_afterwards")[0])
            assert marked["cause"] == "edge_down" and "history" in marked["detail"]
        assert host.values("MC-01", "state") == ["producing", "setup", "producing", "stopped", "producing"]
        assert host.values("MC-01", "good_total") == [1200, 1203, 1204]
        assert host.values("FILL-01", "good_total") == [113, 116, 119]
        assert host.values("PRESS-01", "read_afterwards") == []
        assert [json.loads(text)["cause"] for text in host.values("PRESS-01", "gap")] == ["edge_down", "source_lost"]
        assert host.values("PRESS-01", "alarm") == ["", "Guard open", ""]
        assert host.values("GUARD", "alarm") == ["", "Guard open", ""], "found by its source, without a model"


def test_they_are_seen_and_proposed_by_browse(machines: Machines, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machines.begin()
    path = tmp_path / "edge.toml"
    assert main(["browse", f"opc.tcp://127.0.0.1:{machines.port}", "--security", "none", "--watch", "0", "--propose", str(path)]) == 0
    shown = capsys.readouterr().out
    for name, title in (("MC-01", "OPC 40501-1"), ("PRESS-01", "OPC 40001-1"), ("FILL-01", "OPC 30050")):
        assert any(line.startswith(name) and title in line for line in shown.splitlines())
    text = path.read_text()
    for name, model in (("MC-01", "opc40501"), ("PRESS-01", "opc40001"), ("FILL-01", "packml")):
        assert f'model = "{model}"\n{ROOT.format(name=name)}' in text
    assert main(["check-config", str(path)]) == 0
    assert main(["read-once", "--config", str(path)]) == 0
    read = capsys.readouterr().out
    assert "MC-01\tgood\t" in read and "FILL-01\tscrap\t" in read and "PRESS-01\tstate\t" in read


def test_what_is_not_there_is_said(machines: Machines, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "edge.toml"
    head = f'group = "P"\nedge = "E"\n[sources.PLC]\ntype = "opcua"\nurl = "opc.tcp://127.0.0.1:{machines.port}"\nsecurity = "none"\n'
    for device, words in (
        ('model = "packml"\nroot = "nsu=urn:gemba:test:plc;s=MC-01"', "there is no state of OPC 30050"),
        ('model = "auto"', "the server has 3 machines of a companion model"),
    ):
        path.write_text(f"{head}[sources.PLC.devices.M]\n{device}\n")
        assert main(["read-once", "--config", str(path)]) == 1
        assert words in capsys.readouterr().out
    path.write_text(f'{head}[sources.PLC.devices.M]\nmodel = "packml"\nmetrics = {{ order = {{}} }}\n')
    assert main(["check-config", str(path)]) == 1, "no model gives an order number in PackML: its node is missing"
