"""A real agent process is killed, its broker is killed, its PLC restarts: counts stay exact, and gaps are what could not be seen."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broker import KINDS, broker_of
from tests.support.edge import AgentProcess, Host, Plc, config_text, machine_source
from tests.support.machine import FIRST, METRICS, MORE, Machine
from tests.support.wait import eventually


@contextlib.contextmanager
def plant(kind: str, folder: Path) -> Iterator[tuple[Plc, Machine, Host, AgentProcess, object]]:
    with broker_of(kind, folder) as broker, Plc() as plc, Host(broker) as host:
        machine = Machine(plc)
        config = folder / "edge.toml"
        delivery = "[delivery]\nheartbeat_s = 1.0\nretry_s = 1.0\n"
        config.write_text(config_text(broker, machine_source(plc, METRICS, device_more=MORE), more=delivery))
        agent = AgentProcess(config)
        agent.start()
        eventually(lambda: host.last("SAW-01", "good_total") == FIRST, 60, why="first value")
        machine.start()
        try:
            yield plc, machine, host, agent, broker
        finally:
            machine.stop()
            agent.terminate()


def assert_exact(host: Host, machine: Machine) -> None:
    """Every part once; record numbers without holes; nothing out of the order of time."""
    machine.stop()
    eventually(
        lambda: host.last("SAW-01", "good_total") == FIRST + machine.made, 60, why=f"{machine.made} parts; {host.last('SAW-01', 'good_total')}"
    )
    assert host.errors == []
    totals = host.facts("SAW-01", "good_total")
    assert [fact.value for fact in totals] == sorted(fact.value for fact in totals)
    assert [fact.t_ms for fact in totals] == sorted(fact.t_ms for fact in totals)
    assert len(host.booked) == 1


def parts(machine: Machine, more: int) -> None:
    """Waits until the machine has made so many more: the load of these tests goes on, however slow this machine is."""
    wanted = machine.made + more
    eventually(lambda: machine.made >= wanted, 60, why=f"{machine.made} of {wanted} parts")


def gaps(host: Host) -> list[dict[str, object]]:
    return [json.loads(text) for text in host.values("SAW-01", "gap")]


@pytest.mark.parametrize("kind", KINDS)
def test_broker_killed_again_and_again_leaves_no_gap_and_loses_nothing(kind: str, tmp_path: Path) -> None:
    with plant(kind, tmp_path) as (_, machine, host, _agent, broker):
        for _ in range(3):
            parts(machine, random.Random(machine.made).randrange(8, 25))
            broker.kill()  # type: ignore[attr-defined]
            parts(machine, 15)
            broker.start()  # type: ignore[attr-defined]
        assert_exact(host, machine)
        assert gaps(host) == []
        # every single part is a fact of its own: nothing was thinned or merged on the way
        assert sorted(set(host.values("SAW-01", "good_total"))) == list(range(FIRST, FIRST + machine.made + 1))


def test_agent_killed_at_random_counts_exactly_and_says_what_it_did_not_see(tmp_path: Path) -> None:
    with plant("mosquitto", tmp_path) as (_, machine, host, agent, _broker):
        print("seed 7")
        dice = random.Random(7)
        downs = []
        for _ in range(3):
            time.sleep(dice.uniform(0.5, 1.5))
            down_ms = int(time.time() * 1000)
            agent.kill()
            time.sleep(dice.uniform(0.0, 0.4))
            booked = len(gaps(host))
            agent.start()
            eventually(lambda booked=booked: len(gaps(host)) > booked, 60, why="the gap after the restart")
            downs.append((down_ms, int(time.time() * 1000)))
        assert_exact(host, machine)
        found = gaps(host)
        assert [gap["cause"] for gap in found] == ["edge_down"] * len(downs)
        seen_ms = 0
        for gap, (down_ms, up_ms) in zip(found, downs, strict=True):  # each from the last proven moment, which no earlier gap covers
            assert seen_ms <= int(str(gap["from_ms"])) <= down_ms
            seen_ms = int(str(gap["to_ms"]))
            assert down_ms <= seen_ms <= up_ms


def test_plc_restart_is_a_gap_of_that_plc_and_no_part_is_lost(tmp_path: Path) -> None:
    with plant("mosquitto", tmp_path) as (plc, machine, host, _agent, _broker):
        parts(machine, 10)
        with machine.hold:
            plc.stop()
            eventually(lambda: "DDEATH" in host.kinds(), 60, why="the agent has noticed")
            plc.start()
        eventually(lambda: gaps(host), 60)
        assert_exact(host, machine)
        assert [gap["cause"] for gap in gaps(host)] == ["source_lost"]


def test_answers_that_get_lost_and_records_that_get_lost_are_made_up(tmp_path: Path) -> None:
    with plant("mosquitto", tmp_path) as (_, machine, host, _agent, _broker):
        host.drop_every = 7
        parts(machine, 60)
        host.answering = False
        parts(machine, 30)
        host.answering, host.drop_every = True, 0
        assert_exact(host, machine)
        assert sorted(set(host.values("SAW-01", "good_total"))) == list(range(FIRST, FIRST + machine.made + 1))
        assert gaps(host) == []


def test_host_offline_ends_the_session_and_everything_comes_afterwards(tmp_path: Path) -> None:
    with plant("nats", tmp_path) as (_, machine, host, _agent, _broker):
        host.offline()
        eventually(lambda: host.kinds()[-1] == "NDEATH", 60)
        before = len(host.messages)
        parts(machine, 20)
        assert len(host.messages) == before, "an edge without its host must be silent"
        host.stamp += 1
        host.online()
        assert_exact(host, machine)
        assert sorted(set(host.values("SAW-01", "good_total"))) == list(range(FIRST, FIRST + machine.made + 1))
