"""R01 to R03 and their neighbours: the broker is stopped for long, killed at random, loses its whole memory, is not there at the start, refuses us
for a while. Nobody does anything, and every piece is booked once. The server's own ingest stands behind the broker."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker import KINDS, Broker, broker_of
from tests.support.edge import Plc, config_text, machine_source, running
from tests.support.machine import METRICS, MORE, Machine
from tests.support.wait import eventually
from tests.support.whole_ingest import WholeIngest, whole_ingest

SEED = 2
DELIVERY = "[delivery]\nheartbeat_s = 1.0\nretry_s = 1.0\n"


@dataclass
class Way:
    """PLC, agent, broker, server."""

    broker: Broker
    machine: Machine
    ingest: WholeIngest
    agent: Any = None

    def makes(self, pieces: int) -> None:
        wanted = self.machine.made + pieces
        eventually(lambda: self.machine.made >= wanted, 60 + 0.2 * pieces)

    def arrives(self, seconds: float = 60.0) -> None:
        made = self.machine.made
        eventually(lambda: self.ingest.good() >= made, seconds, why=f"{made} pieces, booked {self.ingest.good()}")

    def exact(self) -> None:
        self.machine.stop()
        self.arrives()
        assert self.ingest.good() == self.machine.made
        assert self.ingest.bench.booking.rows["gaps"] == [], "a broker that is away is no gap"
        eventually(lambda: len(self.ingest.bench.rows("select epoch from ingest_mark")) == 1, 10, why="one buffer, committed")


@contextmanager
def way(kind: str, folder: Path) -> Iterator[Way]:
    print(f"seed {SEED}")
    with broker_of(kind, folder) as broker, Plc() as plc, whole_ingest(folder, broker) as ingest:
        machine = Machine(plc)
        (folder / "edge.toml").write_text(config_text(broker, machine_source(plc, METRICS, device_more=MORE), more=DELIVERY))
        made = Way(broker, machine, ingest)
        try:
            yield made
        finally:
            machine.stop()


@contextmanager
def delivering(made: Way, folder: Path) -> Iterator[Way]:
    with running(folder / "edge.toml") as agent:
        made.agent = agent
        eventually(lambda: made.ingest.edge().get("stored_up_to"), 30, why="the first record is stored")
        made.machine.start()
        yield made


@pytest.mark.parametrize(("kind", "pieces"), [("mosquitto", 40), *(pytest.param(kind, 5_000, marks=pytest.mark.full) for kind in KINDS)])
def test_r01_the_broker_is_away_for_long(kind: str, pieces: int, tmp_path: Path) -> None:
    with way(kind, tmp_path) as made, delivering(made, tmp_path):
        made.makes(10)
        node = made.ingest.service.host.nodes[("PUMP", "EDGE-L1")]
        made.broker.stop()
        made.makes(pieces)
        made.broker.start()
        began, births = time.monotonic(), node.births
        eventually(lambda: node.births > births and node.online, 60, why="alive again by itself")
        print(f"{made.agent.worker.buffer.waiting} records waited; alive after {time.monotonic() - began:.1f} s")
        made.arrives()
        made.exact()


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("kind", "kills"), [(kind, 50) for kind in KINDS])
def test_r02_the_broker_is_killed_at_random_under_load(kind: str, kills: int, tmp_path: Path) -> None:
    """The everyday cut, both brokers, is test_edge_kill.py::test_broker_killed_again_and_again_leaves_no_gap_and_loses_nothing."""
    dice = random.Random(SEED)
    with way(kind, tmp_path) as made, delivering(made, tmp_path):
        for _ in range(kills):
            made.makes(dice.randrange(1, 40))
            made.broker.kill()
            made.makes(dice.randrange(1, 20))
            made.broker.start()
            made.arrives()
        made.exact()


@pytest.mark.parametrize("times", [1, pytest.param(5, marks=pytest.mark.full)])
def test_r03_the_broker_loses_its_memory(times: int, tmp_path: Path) -> None:
    """Sessions, retained messages, everything but its users: as after a new disk."""
    with way("nats", tmp_path) as made, delivering(made, tmp_path):
        for _ in range(times):
            made.makes(20)
            made.broker.kill()
            made.makes(20)
            lost = [path for path in made.broker.folder.iterdir() if path.is_dir() and path.name != "users"]
            assert lost, "the broker keeps something on disk"
            for path in lost:
                shutil.rmtree(path)
                path.mkdir(mode=0o700)
            made.broker.start()
            made.arrives()
        made.exact()


@pytest.mark.full
def test_a_broker_that_is_absent_at_the_start_and_then_refuses_us_is_asked_again(tmp_path: Path) -> None:
    with way("mosquitto", tmp_path) as made:
        users = made.broker.folder / "passwords"
        good = users.read_text()
        made.broker.kill()
        with running(tmp_path / "edge.toml") as agent:
            eventually(lambda: agent.worker.buffer.last_n, 30, why="it reads and stores without a broker")
            made.machine.start()
            made.makes(20)
            assert agent.worker.node.error, "it says what is missing"
            users.write_text("".join(line + "\n" for line in good.splitlines() if not line.startswith("EDGE-L1:")))
            made.broker.start()
            eventually(lambda: "refuses us" in agent.worker.node.error, 30, why="the refusal in words")
            made.makes(10)
            users.write_text(good)
            made.broker.restart()
            made.exact()
