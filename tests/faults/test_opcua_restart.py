"""The agent is killed beside a PLC of somebody else's making and started again: every single value once and no gap, for the server kept it all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge_agent.errors import SourceLost
from edge_agent.sources.opcua.publishing import PublishLoop
from edge_agent.sources.opcua.watch import Watch
from tests.support.broker import broker_of
from tests.support.edge import AgentHere, AgentProcess, Host, config_text
from tests.support.proxy import FaultProxy
from tests.support.third_party import Peer
from tests.support.wait import eventually

METRICS = (
    'state = { node = "s=State" }\ngood = { node = "s=Good", width_bits = 16, decrease = "rollover" }\ntemperature_c = { node = "s=Temperature" }'
)
METRICS += '\norder = { node = "s=Order" }\nscrap_kg = { node = "s=Scrap" }'  # these never change
SECURE = 'trust = "first_use"\nuser = "edge"\npassword_file = "plc.password"'
FIRST = 65_400  # rolls over on the way
# What a server keeps while nobody asks is the length of its queues: 100 values in open62541 (10 s of 10 a second), 1,000 in node-opcua.
PAUSE_S = {
    "open62541": 0.1,
    "node-opcua": 0.02,
    "node-opcua-open": 0.02,
    "node-opcua-refusing": 0.02,
    "node-opcua-history": 0.02,
    "asyncua-history": 0.02,
}


class Machine(threading.Thread):
    """Makes parts until stopped; part i has the temperature i. `made` is the truth."""

    def __init__(self, peer: Peer, pause_s: float) -> None:
        super().__init__(daemon=True)
        self._peer, self._pause_s = peer, pause_s
        self._end = threading.Event()
        self.hold = threading.Lock()
        self.made = 0

    def run(self) -> None:
        while not self._end.wait(self._pause_s):
            with self.hold:
                self.made += 1
                values = {"Good": (FIRST + self.made) % 65536, "State": 5 + self.made % 2, "Temperature": float(self.made)}
                self._peer.set(t_ms=int(time.time() * 1000), **values)

    def stop(self) -> None:
        self._end.set()
        self.join(10)


@dataclass
class Plant:
    peer: Peer
    machine: Machine
    host: Host
    agent: AgentProcess
    link: FaultProxy

    def restart(self, down_s: float, *, kill: bool = True) -> None:
        if kill:
            self.agent.kill()
        else:
            self.agent.terminate()
        time.sleep(down_s)
        seen = len(self.host.facts("SAW-01", "temperature_c"))
        self.agent.start()
        eventually(lambda: len(self.host.facts("SAW-01", "temperature_c")) > seen, 30, why="values after the restart")

    def gaps(self) -> list[dict[str, object]]:
        return [json.loads(text) for text in self.host.values("SAW-01", "gap")]

    def assert_counted(self) -> None:
        self.machine.stop()
        eventually(lambda: self.host.last("SAW-01", "good_total") == FIRST + self.machine.made, 30, why=f"{self.machine.made} parts")
        assert self.host.errors == []

    def assert_every_value_once(self) -> None:
        self.assert_counted()
        seen = self.host.values("SAW-01", "temperature_c")
        assert self.host.values("SAW-01", "samples_gap") == []
        assert self.gaps() == []
        assert seen == [float(i) for i in range(self.machine.made + 1)], _wrong(seen, self.machine.made)
        assert self.host.values("SAW-01", "order") == ["WO-1"], "a value that did not change is told once"
        assert self.host.values("SAW-01", "scrap_kg") == [4]
        states = self.host.facts("SAW-01", "state_raw")
        assert len(states) == self.machine.made + 1
        assert [fact.t_ms for fact in states] == sorted(fact.t_ms for fact in states)


def _wrong(seen: list[float], made: int) -> str:
    missing = sorted(set(range(made + 1)) - {int(x) for x in seen})
    return f"missing {missing[:20]}, twice {[x for x in set(seen) if seen.count(x) > 1][:20]}, {len(seen)} of {made + 1}"


@contextlib.contextmanager
def plant(
    name: str, folder: Path, more: str = "", agent_of: Callable[[Path], Any] = AgentProcess, metrics: str = METRICS, **first_more: Any
) -> Iterator[Plant]:
    folder.joinpath("plc.password").write_text("secret\n")
    first = {"State": 5, "Good": FIRST, "Temperature": 0.0, "Order": "WO-1", "Scrap": 4, **first_more}
    with broker_of("nats", folder) as broker, Peer(name, folder, **first) as peer, FaultProxy(peer.port) as link, Host(broker) as host:
        security = SECURE if name in ("node-opcua", "open62541") else 'security = "none"'
        source = (
            f'[sources.PLC]\ntype = "opcua"\nurl = "opc.tcp://127.0.0.1:{link.port}"\n{security}\n{more}\n'
            "publishing_interval_s = 0.05\nsettle_s = 0.2\n"
            '[sources.PLC.devices.SAW-01]\nkind = "machine"\nnamespace = "urn:gemba:test:plc"\nnode_prefix = "SAW-01."\nmin_cycle_s = 0.005\n'
            f"[sources.PLC.devices.SAW-01.metrics]\n{metrics}\n"
        )
        config = folder / "edge.toml"
        config.write_text(config_text(broker, source, more="[delivery]\nheartbeat_s = 1.0\nretry_s = 1.0\n"))
        agent, machine = agent_of(config), Machine(peer, PAUSE_S[name])
        agent.start()
        try:
            eventually(lambda: host.last("SAW-01", "good_total") == FIRST, 30, why="first value")
            machine.start()
            yield Plant(peer, machine, host, agent, link)
        finally:
            machine.stop()
            agent.terminate()


def ended_again_and_again(name: str, folder: Path, kills: tuple[bool, ...]) -> None:
    """`kills`: SIGKILL, or a stop as for an update."""
    seed = random.randrange(10**6)
    print("seed", seed)
    dice = random.Random(seed)
    with plant(name, folder) as made:
        for kill in kills:
            time.sleep(dice.uniform(0.3, 1.2))
            made.restart(dice.uniform(0.0, 1.0), kill=kill)
        eventually(lambda: made.peer.ask({"sessions": True}) == 1, 30, why="the sessions of killed agents are closed")
        made.assert_every_value_once()


@pytest.mark.parametrize(("name", "kills"), [("node-opcua", (True,)), ("open62541", (False,))])
def test_killed_or_stopped_and_started_again_it_misses_nothing(name: str, kills: tuple[bool, ...], tmp_path: Path) -> None:
    ended_again_and_again(name, tmp_path, kills)


@pytest.mark.full
@pytest.mark.parametrize("name", ["node-opcua", "node-opcua-open", "open62541"])
def test_killed_twenty_times_it_misses_nothing(name: str, tmp_path: Path) -> None:
    ended_again_and_again(name, tmp_path, (True, True, True, False) * 5)


def test_where_no_subscription_is_handed_over_the_servers_history_fills_the_time(tmp_path: Path) -> None:
    with plant("node-opcua-history", tmp_path) as made:
        time.sleep(0.5)
        made.restart(0.5)
        made.assert_every_value_once()
        (marked,) = [json.loads(text) for text in made.host.values("SAW-01", "read_afterwards")]
        assert marked["cause"] == "edge_down"
        assert "history" in marked["detail"]


@pytest.mark.parametrize(
    "name", ["node-opcua-open", pytest.param("node-opcua", marks=pytest.mark.full), pytest.param("open62541", marks=pytest.mark.full)]
)
def test_a_link_that_breaks_again_and_again_misses_nothing(name: str, tmp_path: Path) -> None:
    """Reset, refused for a while, half open until the silence is noticed."""
    seed = random.randrange(10**6)
    print("seed", seed)
    dice = random.Random(seed)
    with plant(name, tmp_path, "timeout_s = 1.0") as made:
        for _ in range(3):
            time.sleep(dice.uniform(0.2, 0.6))
            made.link.reset_all()
        time.sleep(dice.uniform(0.2, 0.6))
        made.link.refuse()
        time.sleep(dice.uniform(0.3, 1.0))
        made.link.pass_on()
        time.sleep(dice.uniform(0.5, 1.0))
        made.link.half_open("down")
        time.sleep(3.5)  # three keep-alives and timeout_s: it has given the link up
        made.link.reset_all()
        made.link.pass_on()
        made.assert_every_value_once()
        eventually(lambda: made.peer.ask({"sessions": True}) == 1, 30, why="the sessions whose link was cut are closed")


@pytest.mark.full
@pytest.mark.parametrize(("name", "hole_s"), [("node-opcua", 12.0), ("node-opcua-open", 12.0), ("open62541", 6.0)])
def test_a_link_that_swallows_everything_for_a_while_misses_nothing(name: str, hole_s: float, tmp_path: Path) -> None:
    """As long as the server's queues hold (open62541's are short); the session of before is still bound to a channel that nobody hears."""
    with plant(name, tmp_path, "timeout_s = 1.0") as made:
        for _ in range(2):
            time.sleep(0.5)
            made.link.half_open("both")
            time.sleep(hole_s)
            made.link.reset_all()
            made.link.pass_on()
            seen = len(made.host.facts("SAW-01", "temperature_c"))
            eventually(lambda seen=seen: len(made.host.facts("SAW-01", "temperature_c")) > seen, 60, why="values again")
        made.assert_every_value_once()
        eventually(lambda: made.peer.ask({"sessions": True}) == 1, 30, why="the sessions whose link was cut are closed")


@pytest.mark.parametrize("how", ["the source is lost", "the session is cancelled"])
def test_what_was_missed_is_kept_when_the_taking_up_ends_early(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What had been asked for again was once lost without a word: the next connection went on behind it."""
    first, ends = PublishLoop._first, [3]
    barks: list[str] = []

    async def _first(self: PublishLoop) -> Any:
        if ends[0] and self._start.missed:
            ends[0] -= 1
            if how == "the source is lost":
                raise SourceLost("Lost.", "连接丢失。", "", "")
            barks.append(how)
            await asyncio.sleep(3600)
        return await first(self)

    async def run(self: Watch) -> None:
        while not barks:
            await asyncio.sleep(0.01)
        barks.clear()
        raise SourceLost("The watchdog barks.", "看门狗报警。", "", "")

    monkeypatch.setattr(PublishLoop, "_first", _first)
    monkeypatch.setattr(Watch, "run", run)
    with plant("node-opcua-open", tmp_path, agent_of=AgentHere) as made:
        while ends[0]:
            wanted = made.machine.made + 20
            eventually(lambda wanted=wanted: made.machine.made >= wanted, 30)
            made.link.reset_all()
        made.assert_every_value_once()


@pytest.mark.full
def test_where_there_is_neither_the_time_is_a_gap_and_the_parts_are_counted(tmp_path: Path) -> None:
    """The same for a server that restarted itself: its subscriptions are gone."""
    with plant("node-opcua-refusing", tmp_path) as made:
        time.sleep(0.3)
        made.restart(0.3)
        eventually(made.gaps, 20, why="the gap of the restart")
        with made.machine.hold:
            made.peer.kill()
            eventually(lambda: "DDEATH" in made.host.kinds(), 20, why="the loss was noticed")
            made.peer.start(State=5, Good=(FIRST + made.machine.made) % 65536, Temperature=float(made.machine.made))
        eventually(lambda: len(made.gaps()) == 2, 20, why="the gap of the server's restart")
        made.assert_counted()
        assert [gap["cause"] for gap in made.gaps()] == ["edge_down", "source_lost"]
