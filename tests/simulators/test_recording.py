"""The history's recordings: the promises they make hold, and the real edge agent takes them in."""

from __future__ import annotations

import gzip
import json
import sqlite3
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from simulators import model
from simulators.physics import Plant, VarEvent
from simulators.recording import Recorder
from simulators.scenario import Scenario, load

ROOT = Path(__file__).resolve().parents[2]
START = 1_772_401_500_000  # 2026-03-02 05:45 in Shanghai: the day's PLC restart comes at 05:20 of the 3rd
HOURS = 26


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scenario, Path, list[Any]]:
    scenario, folder = load("check"), tmp_path_factory.mktemp("recording")
    plant = Plant(scenario, START)
    end_ms = START + HOURS * 3_600_000
    recorder = Recorder(scenario, {line.code: folder / f"{line.code}.jsonl.gz" for line in scenario.lines}, START, end_ms)
    events = plant.advance(end_ms)
    recorder.add(events)
    recorder.finish()
    return scenario, folder, events


def test_every_value_lies_behind_the_promise_before_it(recorded: tuple[Scenario, Path, list[Any]]) -> None:
    scenario, folder, events = recorded
    said: dict[tuple[str, str], list[tuple[int, Any]]] = defaultdict(list)
    for line in scenario.lines:
        promised: dict[str, int] = {}
        with gzip.open(folder / f"{line.code}.jsonl.gz", "rt", encoding="utf-8") as file:
            header = json.loads(next(file))
            assert header["gemba_recording"] == 1 and header["edge"] == line.edge
            for row in map(json.loads, file):
                device = row["device"]
                if "watched_ms" in row:
                    assert row["watched_ms"] >= promised.get(device, 0)
                    promised[device] = row["watched_ms"]
                elif "gap" in row:
                    assert row["gap"]["from_ms"] == promised[device]
                    promised[device] = row["gap"]["to_ms"]
                else:
                    assert min(row["t_ms"]) > promised.get(device, START - 1), row
                    said[device, row["metric"]] += zip(row["t_ms"], row["value"], strict=True)
        assert set(promised.values()) == {header["to_ms"]}
    true = [(e.at_ms, e.value) for e in events if isinstance(e, VarEvent) and e.machine == "MC-02" and e.name == "GoodCount"]
    assert said["MC-02", "good"] == true
    assert ("DEB-01", "good") not in said, "a bench that counts nothing says nothing"


def test_the_edge_agent_takes_it_in(recorded: tuple[Scenario, Path, list[Any]], tmp_path: Path) -> None:
    scenario, folder, _ = recorded
    secret = tmp_path / "secret"
    secret.write_text("x\n")
    where = model.EdgeAddresses("127.0.0.1", 1, "EDGE-L2", secret, "opc.tcp://127.0.0.1:1/", "edge", secret, 1)
    config = tmp_path / "edge.toml"
    config.write_text(model.edge_config(scenario, "L2", where, 1.0, tmp_path / "edge.buffer"), encoding="utf-8")
    command = [sys.executable, "-m", "edge_agent", "backfill", "--config", str(config), str(folder / "L2.jsonl.gz")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with sqlite3.connect(tmp_path / "edge.buffer") as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert sum(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables) > 20
