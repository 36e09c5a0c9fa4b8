"""R15, the link from the edge to its broker: slices, delay, resets, half-open, black hole. Every piece once, and a dead link is noticed by itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from edge_agent.config import BrokerConfig
from edge_agent.publisher.link import UNSENT_BYTES_MAX, Connected
from edge_agent.publisher.link import Link as MqttLink
from edge_agent.publisher.node import Phase
from tests.support.broker import KINDS, Broker, broker_of
from tests.support.edge import Host, Plc, config_text, machine_source, running
from tests.support.machine import FIRST, METRICS, MORE, Machine
from tests.support.proxy import FaultProxy
from tests.support.wait import eventually

KEEPALIVE_S = 2
SEED = 15


@dataclass
class Link:
    """A machine, an agent, its link to the broker through the proxy, a host that books behind it."""

    broker: Broker
    proxy: FaultProxy
    machine: Machine
    host: Host
    agent: Any

    def makes(self, pieces: int) -> None:
        wanted = self.machine.made + pieces
        eventually(lambda: self.machine.made >= wanted, 60)

    def arrives(self, seconds: float = 60.0) -> None:
        """All that was made until now is booked."""
        made = FIRST + self.machine.made
        eventually(lambda: (self.host.last("SAW-01", "good_total") or 0) >= made, seconds, why=f"{made}, {self.host.last('SAW-01', 'good_total')}")

    def exact(self) -> None:
        """Every single piece is a fact of its own, once, and nothing is called a gap: a link that is away loses nothing."""
        self.machine.stop()
        self.proxy.pass_on()
        self.arrives()
        values = self.host.values("SAW-01", "good_total")
        assert sorted(set(values)) == list(range(FIRST, FIRST + self.machine.made + 1)) and values == sorted(values)
        assert self.host.values("SAW-01", "gap") == [] and len(self.host.booked) == 1

    def notices(self) -> None:
        """The session is given up although nobody closed it."""
        began = time.monotonic()
        eventually(lambda: self.agent.worker.node.phase is not Phase.BORN, 40, why="the dead link is noticed")
        print(f"noticed after {time.monotonic() - began:.1f} s, keep-alive {KEEPALIVE_S} s")


@contextmanager
def link_of(kind: str, folder: Path, more: str = "retry_s = 1.0\n") -> Iterator[Link]:
    print(f"seed {SEED}")
    with broker_of(kind, folder) as broker, FaultProxy(broker.port, seed=SEED) as proxy, Plc() as plc, Host(broker) as host:
        user, password = broker.credentials("EDGE-L1")
        where = folder / "broker.json"
        where.write_text(json.dumps({"host": "127.0.0.1", "port": proxy.port, "user": user, "password": password}))
        machine = Machine(plc)
        text = config_text(where, machine_source(plc, METRICS, device_more=MORE), more=f"[delivery]\nheartbeat_s = 1.0\n{more}")
        (folder / "edge.toml").write_text(text.replace("keepalive_s = 5", f"keepalive_s = {KEEPALIVE_S}"))
        with running(folder / "edge.toml") as agent:
            link = Link(broker, proxy, machine, host, agent)
            eventually(lambda: host.last("SAW-01", "good_total") == FIRST, 30, why="first value")
            machine.start()
            try:
                yield link
            finally:
                machine.stop()


def test_r15_one_fault_after_the_other(tmp_path: Path) -> None:
    """The everyday cut: half-open, single bytes, answers that take longer than the retry time, resets."""
    with link_of("mosquitto", tmp_path) as link:
        link.makes(10)
        link.proxy.half_open()
        link.notices()
        link.proxy.pass_on()
        link.proxy.reset_all()
        link.proxy.slice_bytes = 1
        link.makes(20)
        link.arrives()
        link.proxy.pass_on()
        link.proxy.delay_s = 0.6
        link.makes(20)
        link.arrives()
        link.proxy.pass_on()
        link.proxy.reset_chance = 0.3
        for _ in range(4):
            link.makes(10)
            link.proxy.reset_all()
        link.exact()


@pytest.mark.full
def test_r15_one_byte_at_a_time(tmp_path: Path) -> None:
    with link_of("mosquitto", tmp_path) as link:
        link.proxy.slice_bytes = 1
        link.makes(30)
        link.proxy.reset_all()  # the births too go byte by byte
        link.makes(30)
        link.arrives()
        link.exact()


@pytest.mark.full
@pytest.mark.parametrize(("delay_s", "more"), [(0.6, "retry_s = 1.0\n"), (2.0, "")])
def test_r15_a_slow_link(delay_s: float, more: str, tmp_path: Path) -> None:
    """Also with answers that take longer than the retry time: repeats are no news."""
    with link_of("nats", tmp_path, more) as link:
        link.proxy.delay_s = delay_s
        link.makes(60)
        link.arrives()
        link.exact()


@pytest.mark.full
def test_r15_connections_that_are_reset(tmp_path: Path) -> None:
    """Three in ten die by themselves, the others in the middle of their work."""
    with link_of("mosquitto", tmp_path) as link:
        link.proxy.reset_chance = 0.3
        for _ in range(60):
            link.makes(10)
            link.proxy.reset_all()
        link.exact()


@pytest.mark.full
@pytest.mark.parametrize("direction", ["both", "up", "down"])
@pytest.mark.parametrize("kind", KINDS)
def test_r15_half_open(kind: str, direction: Literal["up", "down", "both"], tmp_path: Path) -> None:
    with link_of(kind, tmp_path) as link:
        link.makes(10)
        link.proxy.half_open(direction)
        link.notices()
        link.proxy.pass_on()
        link.proxy.reset_all()
        link.makes(10)
        link.exact()


@pytest.mark.full
def test_r15_black_hole(tmp_path: Path) -> None:
    with link_of("mosquitto", tmp_path) as link:
        link.makes(10)
        link.proxy.black_hole()
        link.notices()
        link.proxy.reset_all()
        eventually(lambda: link.agent.worker.node.phase is Phase.CONNECTING, 30, why="it tries again, into the black hole")
        link.proxy.pass_on()
        link.proxy.reset_all()
        link.exact()


@pytest.mark.parametrize("kind", ["nats", pytest.param("mosquitto", marks=pytest.mark.full)])
def test_a_host_state_that_is_lost_is_asked_for_again(kind: str, tmp_path: Path) -> None:
    """NATS loses, one time in a hundred, what is published and retained while a client subscribes. The agent would wait for its host for ever."""
    with broker_of(kind, tmp_path) as broker, FaultProxy(broker.port) as proxy, Plc() as plc, Host(broker) as host:
        Machine(plc)
        host.offline()
        user, password = broker.credentials("EDGE-L1")
        where = tmp_path / "broker.json"
        where.write_text(json.dumps({"host": "127.0.0.1", "port": proxy.port, "user": user, "password": password}))
        text = config_text(where, machine_source(plc, METRICS, device_more=MORE))
        (tmp_path / "edge.toml").write_text(text.replace("keepalive_s = 5", "keepalive_s = 120"))
        with running(tmp_path / "edge.toml") as agent:
            eventually(lambda: agent.worker.node.phase is Phase.WAITING and agent.worker.node._host_stamp == host.stamp, 20, why="it heard: offline")
            proxy.black_hole()
            host.online()
            eventually(lambda: proxy.bytes_swallowed > 0, 20, why="the STATE is lost")
            proxy.pass_on()
            eventually(lambda: host.last("SAW-01", "good_total") == FIRST, 20, why="it asked again, and was born")
            assert proxy.accepted == 1, "over the same connection"


def test_a_link_that_swallows_does_not_eat_the_memory(tmp_path: Path) -> None:
    """The stall trap of a peer: the client's queue takes everything and looks healthy. Ours says "no room" at its bound, and goes on when it can."""
    events: list[object] = []
    with broker_of("mosquitto", tmp_path) as broker, FaultProxy(broker.port) as proxy, Host(broker):
        user, password = broker.credentials("EDGE-L1")
        (tmp_path / "password").write_text(password)
        made = BrokerConfig(port=proxy.port, user=user, password_file=tmp_path / "password", keepalive_s=120)
        link = MqttLink("stall", events.append)
        link.open(made, "spBv1.0/PUMP/NDEATH/EDGE-L1", b"", ["spBv1.0/PUMP/NCMD/EDGE-L1"])
        eventually(lambda: any(isinstance(event, Connected) for event in events), 20)
        proxy.half_open()
        sent = 0
        while link.has_room():
            assert sent < 200_000_000, "it never says that there is no room"
            assert link.publish("spBv1.0/PUMP/NDATA/EDGE-L1", bytes(100_000))
            sent += 100_000
        assert link._unsent_bytes < UNSENT_BYTES_MAX + 100_000
        proxy.pass_on()
        eventually(link.has_room, 30, why="there is room again")
        link.close()
