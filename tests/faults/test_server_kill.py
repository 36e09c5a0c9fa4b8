"""R06: kill -9 of the real server under load, with its own broker: every record booked once, nothing missing in either store."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.contract.clock import PlantClock
from mes_server.ingest.broker_settings import Credentials
from mes_server.ingest.embedded_broker import SERVER_USER, EmbeddedBroker
from mes_server.kit.actor import SYSTEM
from mes_server.kit.acts import Acts
from mes_server.kit.db import Database
from mes_server.kit.live import Live
from mes_server.plant import service as plant
from mes_server.plant.schemas import PutPlant
from mes_server.telemetry.duckdb_store import DuckdbStore
from tests.support.plant_model import SMALL_PLANT
from tests.support.ports import free_port
from tests.support.server import copy_sqlite, sqlite_template
from tests.support.sparkplug_edge import TestEdge
from tests.support.wait import eventually

T0 = 1_772_409_600_000
DEVICES = {
    "SAW-01": ["state", "alarm", "order", "operation", "good_total", "scrap_total", "watched_until", "temperature_c"],
    "LAT-01": ["state", "good_total", "scrap_total", "watched_until"],
    "M-SAW-01": ["power_w", "energy_import_wh", "watched_until"],
}


class ServerBroker:
    """The embedded broker of a server process, as the test edge wants it."""

    host = "127.0.0.1"

    def __init__(self, data: Path, port: int) -> None:
        self.data = data
        self.port = port

    def credentials(self, user: str = SERVER_USER) -> tuple[str, str]:
        path = self.data / "broker" / "users" / f"{user}.json"
        eventually(path.exists, 20)
        found = Credentials.model_validate_json(path.read_bytes())
        return found.user, found.password


class Process:
    """`python -m mes_server serve` on its own data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_port()
        self.broker = ServerBroker(data, free_port())
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        env = {**os.environ, "GEMBA_BROKER__PORT": str(self.broker.port), "GEMBA_INGEST__COMMIT_S": "0.1"}
        with (self.data / "server.log").open("ab") as log:
            command = [sys.executable, "-m", "mes_server", "serve", "--data", str(self.data), "--port", str(self.port)]
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        EmbeddedBroker(self.data / "broker").end_left_over()  # where a test ended between a kill and the next start


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    data = tmp_path / "data"
    copy_sqlite(sqlite_template(tmp_path), data)
    db = Database(f"sqlite:///{data / 'gemba.db'}")
    acts = Acts(db, PlantClock(), Live())
    acts.start()
    acts.run_sync(plant.put_plant, SYSTEM, PutPlant.model_validate({**_envelope(), "model": SMALL_PLANT}))
    acts.stop()
    db.close()
    made = Process(data)
    made.start()
    yield made
    made.stop()


def _envelope() -> dict[str, Any]:
    return {"event_id": "01900000-0000-7000-8000-000000000001", "occurred_at": "2026-03-02T00:00:00Z"}


class Load:
    """Three devices that make records; remembers what is true."""

    def __init__(self, edge: TestEdge, seed: int) -> None:
        self.edge = edge
        self.rng = random.Random(seed)
        self.at = T0
        self.good = {"SAW-01": 0, "LAT-01": 0}
        self.scrap = dict(self.good)
        self.energy = 1_000.0
        self.states: dict[str, list[tuple[int, str]]] = {"SAW-01": [], "LAT-01": []}
        self.samples = 0
        for machine in self.good:
            self._machine(machine, first=True)

    def run(self, records: int) -> None:
        for _ in range(records):
            self.at += self.rng.randrange(100, 2_000)
            device = self.rng.choice(list(DEVICES))
            if device == "M-SAW-01":
                self.energy += self.rng.random() * 9
                self.edge.record(
                    device, {"power_w": (900.0, self.at), "energy_import_wh": (self.energy, self.at), "watched_until": (self.at, self.at)}
                )
                self.samples += 1
            else:
                self._machine(device)

    def _machine(self, machine: str, *, first: bool = False) -> None:
        if not first:
            self.good[machine] += self.rng.randrange(3)
            self.scrap[machine] += self.rng.random() < 0.1
        state = self.rng.choice(["producing", "idle", "fault"])
        self.states[machine].append((self.at, state))
        at = self.at
        rows: dict[str, tuple[Any, int]] = {
            "state": (state, at),
            "good_total": (self.good[machine], at),
            "scrap_total": (self.scrap[machine], at),
            "watched_until": (at, at),
        }
        if machine == "SAW-01":
            rows["temperature_c"] = (float(len(self.states[machine])), at)
        self.edge.record(machine, rows)


def check_exact(server: Process, load: Load) -> None:
    """Both stores, opened after the end: each piece, state, reading and sample once."""
    edge = load.edge
    with sqlite3.connect(server.data / "gemba.db") as book:
        assert book.execute("select epoch, n from ingest_mark").fetchall() == [(edge.epoch, edge.last)]
        pieces = book.execute("select machine, sum(good), sum(scrap) from machine_count group by machine").fetchall()
        assert sorted(pieces) == [(machine, load.good[machine], load.scrap[machine]) for machine in sorted(load.good)]
        doubles = book.execute("select machine, at_ms, count(*) from machine_count group by 1, 2 having count(*) > 1").fetchall()
        assert not doubles
        for machine, said in load.states.items():
            points = book.execute("select at_ms, state from machine_state_point where machine = ? order by at_ms", (machine,)).fetchall()
            assert _changes(points) == _changes(said)
    store = DuckdbStore(server.data / "telemetry.duckdb")
    store.open()
    try:
        assert store.marks() == {("EDGE-L1", edge.epoch): edge.last}
        temperature = store.window("SAW-01", "temperature_c", 0, 1 << 60)
        assert temperature.value.tolist() == [float(place + 1) for place in range(len(load.states["SAW-01"]))]
        energy = store.window("M-SAW-01", "energy_import_wh", 0, 1 << 60)
        assert len(energy.ts) == load.samples and energy.value[-1] == load.energy
    finally:
        store.close()


def _changes(points: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Later words of one moment win; repeats of a state are no change."""
    latest = dict(points)
    found: list[tuple[int, str]] = []
    for at, state in sorted(latest.items()):
        if not found or found[-1][1] != state:
            found.append((at, state))
    return found


@pytest.mark.parametrize("kills", [4, pytest.param(200, marks=[pytest.mark.full, pytest.mark.timeout(5400)])])
def test_r06_the_server_is_killed_under_load_and_everything_is_booked_once(server: Process, kills: int) -> None:
    print("seed", kills)
    rng = random.Random(kills)
    began = time.monotonic()
    with TestEdge(server.broker, "EDGE-L1", DEVICES) as edge:  # type: ignore[arg-type]
        load = Load(edge, seed=kills)
        for number in range(kills):
            if number % 20 == 19:
                print(f"{number} kills in {time.monotonic() - began:.0f} s", flush=True)
            eventually(lambda: edge.online, 120, why="the edge has seen the host online")
            for _ in range(rng.randrange(2, 12)):
                load.run(60)
                time.sleep(rng.random() * 0.06)  # moves the kill to another place of the commit cycle
            server.kill()
            load.run(40)
            server.start()
        edge.wait_stored(120)
        server.stop()
        check_exact(server, load)
        print(f"{kills} kills in {time.monotonic() - began:.0f} s: {edge.last} records, {sum(load.good.values())} pieces, 0 missing, 0 twice")


def test_a_killed_broker_under_the_server_costs_nothing(server: Process) -> None:
    with TestEdge(server.broker, "EDGE-L1", DEVICES) as edge:  # type: ignore[arg-type]
        load = Load(edge, seed=3)
        for _ in range(3):
            eventually(lambda: edge.online, 30)
            load.run(150)
            pid = int((server.data / "broker" / "nats.pid").read_text())
            assert str(server.data) in Path(f"/proc/{pid}/cmdline").read_text()
            os.kill(pid, signal.SIGKILL)
            load.run(50)
            eventually(lambda pid=pid: int((server.data / "broker" / "nats.pid").read_text()) != pid, 20)
        edge.wait_stored(60)
        server.stop()
        check_exact(server, load)
