"""An agent over HTTP, through the whole edge: nothing lost while the agent kept it, a gap with known times where it did not."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.__main__ import main
from tests.support.broker import mosquitto
from tests.support.edge import AgentProcess, Host, config_text, running
from tests.support.mtconnect import Agent, Item
from tests.support.proxy import FaultProxy
from tests.support.wait import eventually

ITEMS = [
    Item("exec", "EXECUTION"),
    Item("mode", "CONTROLLER_MODE"),
    Item("pc", "PART_COUNT", name="parts"),
    Item("load", "LOAD", "SAMPLE", "S1load"),
    Item("sys", "SYSTEM", "CONDITION"),
    Item("logic", "LOGIC_PROGRAM", "CONDITION"),
]
CONFIG = """[sources.CELL]
type = "mtconnect"
url = "http://127.0.0.1:{port}"
stream = {stream}
interval_s = 0.05
heartbeat_s = 0.2
settle_s = 0.1
timeout_s = 1.0
[sources.CELL.devices.LAT-01]
kind = "machine"
[sources.CELL.devices.LAT-01.metrics]
state = {{ item = "EXECUTION" }}
good = {{ item = "parts" }}
mode = {{ item = "mode" }}
spindle_load_pct = {{ item = "S1load" }}
alarm = {{ item = "conditions" }}
"""


class Line:
    """Agent, proxy before it, edge, broker and host."""

    def __init__(self, agent: Agent, proxy: FaultProxy, host: Host, config: Path) -> None:
        self.agent, self.proxy, self.host, self.config = agent, proxy, host, config

    def gaps(self) -> list[dict[str, Any]]:
        return [json.loads(value) for value in self.host.values("LAT-01", "gap")]

    def loads(self) -> list[float]:
        return [value for value in self.host.values("LAT-01", "spindle_load_pct") if value is not None]

    def comes(self, load: float) -> None:
        eventually(lambda: self.host.last("LAT-01", "spindle_load_pct") == load, 20, why=f"{load} after {self.loads()[-5:]}")


@pytest.fixture(params=["true", pytest.param("false", marks=pytest.mark.full)], ids=["streamed", "polled"])
def line(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Line]:
    with contextlib.ExitStack() as stack:
        agent = stack.enter_context(Agent(ITEMS))
        proxy = stack.enter_context(FaultProxy(agent.port))
        broker = stack.enter_context(mosquitto(tmp_path))
        host = stack.enter_context(Host(broker))
        for item, value in (("exec", "READY"), ("mode", "AUTOMATIC"), ("pc", 10), ("load", 0.5)):
            agent.put(item, value)
        agent.put("sys", "", level="NORMAL")
        text = config_text(broker, CONFIG.format(port=proxy.port, stream=request.param), more="[delivery]\nheartbeat_s = 0.5\n")
        (tmp_path / "edge.toml").write_text(text)
        yield Line(agent, proxy, host, tmp_path / "edge.toml")
        assert host.errors == []


def test_a_lost_connection_loses_nothing_and_is_no_gap(line: Line) -> None:
    with running(line.config):
        line.comes(0.5)
        for number in range(1, 6):
            line.proxy.refuse()
            for step in range(40):  # while nobody reads
                line.agent.put("load", number * 100 + step)
            line.agent.put("exec", "ACTIVE" if number % 2 else "STOPPED")
            line.agent.put("pc", 10 + number)
            line.proxy.pass_on()
            line.comes(number * 100 + 39)
        assert line.loads() == [0.5, *(float(number * 100 + step) for number in range(1, 6) for step in range(40))], "each once, in order"
        eventually(lambda: line.host.values("LAT-01", "state")[-1] == "producing", 10)
        totals = line.host.values("LAT-01", "good_total")
        assert totals[-1] - totals[0] == 5
        assert line.gaps() == [], "what the agent kept was not missed"


def test_an_edge_that_is_killed_goes_on_where_it_stopped(line: Line) -> None:
    """SIGKILL, three times: each value once, in order, no gap; an alarm that was there before is not forgotten."""
    edge = AgentProcess(line.config)
    edge.start()
    try:
        line.comes(0.5)
        line.agent.put("sys", "hot", level="FAULT", code="1")
        eventually(lambda: line.host.last("LAT-01", "alarm") == "1", 20)
        for number in range(1, 4):
            for step in range(100):
                line.agent.put("load", number * 1000 + step)
                if step == 50:
                    eventually(lambda number=number: (line.host.last("LAT-01", "spindle_load_pct") or 0) > number * 1000, 20)
                    edge.kill()
            edge.start()
            line.comes(number * 1000 + 99)
        assert line.loads() == [0.5, *(float(number * 1000 + step) for number in range(1, 4) for step in range(100))]
        assert line.gaps() == []
        line.agent.put("logic", "", level="NORMAL")
        line.agent.put("load", 1.0)
        line.comes(1.0)
        assert line.host.last("LAT-01", "alarm") == "1"
    finally:
        edge.terminate()


def test_a_metric_that_is_new_in_the_config_has_its_first_value(line: Line) -> None:
    with running(line.config):
        line.comes(0.5)
    line.config.write_text(line.config.read_text() + 'load_again_pct = { item = "load" }\n')
    with running(line.config):
        eventually(lambda: line.host.last("LAT-01", "load_again_pct") == 0.5, 20)


def test_what_the_agent_no_longer_keeps_is_a_gap_that_ends_at_its_oldest_value(line: Line) -> None:
    with running(line.config):
        line.comes(0.5)
        line.agent.buffer_size = 400
        line.proxy.refuse()
        eventually(lambda: "DDEATH" in line.host.kinds(), 10)
        line.agent.put("exec", "ACTIVE")
        for step in range(1000):
            line.agent.put("load", 1000 + step)
        kept = line.agent.kept
        oldest_ms = kept[0].t_ms
        line.proxy.pass_on()
        line.comes(1999)
        (gap,) = eventually(line.gaps, 10)
        assert gap["cause"] in ("overflow", "source_lost")
        assert oldest_ms <= gap["to_ms"] <= kept[-1].t_ms
        assert line.loads()[-300:] == [1700.0 + step for step in range(300)], "the rest is whole"
        eventually(lambda: line.host.last("LAT-01", "state") == "producing", 10)


def test_an_agent_that_was_restarted_begins_anew_with_a_gap(line: Line) -> None:
    with running(line.config):
        line.comes(0.5)
        line.agent.restart()
        line.agent.put("load", 7.0)
        line.comes(7.0)
        assert len(eventually(line.gaps, 10)) == 1


def test_conditions_unavailable_and_words(line: Line) -> None:
    agent, host = line.agent, line.host
    with running(line.config) as edge:
        line.comes(0.5)
        eventually(lambda: host.last("LAT-01", "state") == "idle", 10)
        agent.put("logic", "tool life", level="WARNING", code="W7")
        eventually(lambda: host.last("LAT-01", "alarm") == "W7", 10)
        agent.put("sys", "door open", level="FAULT", code="2250")
        eventually(lambda: host.last("LAT-01", "alarm") == "2250", 10)
        agent.put("sys", "", level="NORMAL", code="2250")
        eventually(lambda: host.last("LAT-01", "alarm") == "W7", 10)
        agent.put("logic", "", level="NORMAL")
        eventually(lambda: host.last("LAT-01", "alarm") == "", 10)
        for item in ("exec", "mode", "pc", "load"):  # what an agent does when its adapter is gone
            agent.put(item, "UNAVAILABLE")
        eventually(lambda: host.last("LAT-01", "state") == "no_data", 10)
        agent.put("pc", 11)
        agent.put("exec", "ACTIVE")
        eventually(lambda: host.last("LAT-01", "state") == "producing", 10)
        eventually(lambda: host.values("LAT-01", "good_total")[-1] - host.values("LAT-01", "good_total")[0] == 1, 10)
        assert edge.sources[0].health.failed == {}
        assert line.gaps() == []


def test_browse_and_read_once(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read-once", "--config", str(line.config)]) == 0
    read = {row.split("\t")[1]: row.split("\t")[3] for row in capsys.readouterr().out.splitlines()}
    assert read == {"state": "'READY'", "good": "10.0", "mode": "'AUTOMATIC'", "spindle_load_pct": "0.5", "alarm": "''"}
    assert main(["browse", "--config", str(line.config), "--source", "CELL"]) == 0
    rows = [row.split("\t") for row in capsys.readouterr().out.splitlines()]
    assert ["LATHE-1/ctl/S1load", "load", "LOAD", "0.5"] in rows
    assert len(rows) == len(ITEMS)


def test_a_source_that_is_no_agent_is_said_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Agent([Item("exec", "EXECUTION")]) as agent:
        agent._probe = lambda: b"<!DOCTYPE html><html></html>"  # type: ignore[method-assign]
        (tmp_path / "broker.json").write_text('{"host": "127.0.0.1", "port": 1}')
        (tmp_path / "edge.toml").write_text(config_text(tmp_path / "broker.json", CONFIG.format(port=agent.port, stream="true")))
        assert main(["--lang", "zh", "read-once", "--config", str(tmp_path / "edge.toml")]) == 1
        assert "不是可接受的 MTConnect 文档" in capsys.readouterr().out


def test_an_adapter_that_does_not_know_ping_counts_as_alive_while_it_is_connected(tmp_path: Path) -> None:
    from tests.support.mtconnect import Adapter, stamp

    text = CONFIG.format(port=0, stream="true").replace('item = "EXECUTION"', 'item = "exec"')
    with mosquitto(tmp_path) as broker, Adapter() as adapter, Host(broker) as host:
        adapter.pong = False
        adapter.first = ["|exec|READY|parts|5|S1load|1.5", "|sys|FAULT|77|1|LOW|hot"]
        text = text.replace('url = "http://127.0.0.1:0"', f'url = "shdr://127.0.0.1:{adapter.port}"')
        (tmp_path / "edge.toml").write_text(config_text(broker, text, more="[delivery]\nheartbeat_s = 0.5\n"))
        with running(tmp_path / "edge.toml"):
            eventually(lambda: host.last("LAT-01", "alarm") == "77", 15)
            since_ms = int(time.time() * 1000)
            eventually(lambda: (host.last("LAT-01", "watched_until") or 0) > since_ms, 20, why="what is known does not go on")
            adapter.send(f"{stamp(int(time.time() * 1000))}|exec|ACTIVE")
            eventually(lambda: host.last("LAT-01", "state") == "producing", 10)
            assert host.facts("LAT-01", "gap") == []
