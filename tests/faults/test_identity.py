"""R16: two edges with one identity. The second is fenced and alarmed, nothing counts twice; a box that is dead is replaced without a person."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker import KINDS, Broker, broker_of
from tests.support.edge import AgentProcess, Plc, config_text, machine_source, running
from tests.support.machine import METRICS_32, MORE, Machine
from tests.support.proxy import FaultProxy
from tests.support.wait import eventually
from tests.support.whole_ingest import WholeIngest, whole_ingest

RUNS = [
    ("mosquitto", True),
    *(pytest.param(kind, buffer, marks=pytest.mark.full) for kind in KINDS for buffer in (False, True) if (kind, buffer) != ("mosquitto", True)),
]
DELIVERY = "[delivery]\nheartbeat_s = 0.5\nretry_s = 1.0\nhealth_s = 0.5\n"


@dataclass
class Plant:
    """A machine, the server's ingest, and the first box's own link to the broker, which may be cut."""

    broker: Broker
    plc: Plc
    machine: Machine
    ingest: WholeIngest
    link: FaultProxy

    def box(self, folder: Path) -> Path:
        """A box of its own: config and, later, its buffer in one folder."""
        folder.mkdir()
        user, password = self.broker.credentials("EDGE-L1")
        (folder / "broker.json").write_text(json.dumps({"host": "127.0.0.1", "port": self.link.port, "user": user, "password": password}))
        source = machine_source(self.plc, METRICS_32, device_more=MORE)
        (folder / "edge.toml").write_text(config_text(folder / "broker.json", source, more=DELIVERY))
        return folder / "edge.toml"

    def copy(self, box: Path, folder: Path, *, buffer: bool) -> Path:
        """The card of a box, copied. It has a link of its own."""
        shutil.copytree(box.parent, folder)
        config = folder / "edge.toml"
        config.write_text(config.read_text().replace(str(box.parent), str(folder)))
        said = json.loads((folder / "broker.json").read_text())
        (folder / "broker.json").write_text(json.dumps({**said, "port": self.broker.port}))
        if not buffer:
            for file in folder.glob("edge.buffer*"):
                file.unlink()
        return config

    def exact(self) -> None:
        self.machine.stop()
        made = self.machine.made
        eventually(lambda: self.ingest.good() >= made, 60, why=f"{made} pieces, booked {self.ingest.good()}")
        assert self.ingest.good() == made


@contextmanager
def plant(kind: str, folder: Path, **bounds: float) -> Iterator[Plant]:
    with (
        broker_of(kind, folder) as broker,
        FaultProxy(broker.port) as link,
        Plc() as plc,
        whole_ingest(folder, broker, **bounds) as ingest,
    ):
        made = Plant(broker, plc, Machine(plc, first=1000, bits=32), ingest, link)
        yield made
        made.machine.stop()


def first_box(made: Plant, folder: Path) -> Path:
    """A box that has delivered for a while and was switched off for its card to be copied."""
    config = made.box(folder)
    with running(config):
        eventually(lambda: made.ingest.edge().get("stored_up_to"), 30, why="the first box delivers")
    return config


def fenced(made: Plant, copy: Any) -> None:
    eventually(lambda: made.ingest.edge().get("fenced"), 60, why="the alarm in the server's health")
    eventually(lambda: copy.worker.node.fenced_s is not None, 60, why="the copy is told")
    eventually(lambda: any("--take-over" in line for line in copy.logged), 10, why="it says so in words")
    assert any("网关" in line for line in copy.logged)


@pytest.mark.parametrize(("kind", "buffer"), RUNS)
def test_r16_a_copy_is_fenced_and_goes_on_where_the_first_one_died(kind: str, buffer: bool, tmp_path: Path) -> None:
    with plant(kind, tmp_path, fence_s=1.0, fence_twin_s=4.0) as made:
        config = first_box(made, tmp_path / "first")
        other = made.copy(config, tmp_path / "second", buffer=buffer)
        made.machine.start()
        with running(config) as first:
            eventually(lambda: made.ingest.good() > 3, 30, why="the first box counts")
            with running(other) as copy:
                fenced(made, copy)
                booked = made.ingest.good()
                eventually(lambda: made.ingest.good() > booked + 20, 60, why="the first box goes on counting")
                epoch = first.worker.buffer.epoch
                assert copy.worker.buffer.epoch != epoch and copy.worker.buffer.waiting > 0, "it keeps what it reads"
                assert {row[0] for row in made.ingest.bench.rows("select epoch from ingest_mark")} == {epoch}
                made.link.refuse()  # the first one is dead
                eventually(lambda: copy.worker.node.fenced_s is None, 60, why="the copy is let in")
                booked = made.ingest.good()
                eventually(lambda: made.ingest.good() > booked, 30, why="and counts")
                made.exact()


@pytest.mark.full
def test_r16_a_person_moves_the_identity(tmp_path: Path) -> None:
    with plant("mosquitto", tmp_path) as made:
        config = first_box(made, tmp_path / "first")
        other = made.copy(config, tmp_path / "second", buffer=True)
        made.machine.start()
        with running(config) as first:
            eventually(lambda: made.ingest.good() > 3, 30)
            second = AgentProcess(other, "--take-over")
            second.start()
            try:
                fenced(made, first)
                made.exact()
                assert made.ingest.edge()["epoch"] != first.worker.buffer.epoch
            finally:
                second.terminate()
