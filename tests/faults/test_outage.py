"""R13: eight hours without the server. The backlog drains exactly with live values beside it, the edge stays small, and figures asked afterwards
equal those of a plant where nothing happened. The long form holds 288,000 records: also the peers' trap of 65,535 packet ids."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_agent import identity
from edge_agent.buffer.store import Buffer
from edge_agent.contract import names
from edge_agent.contract.payload import DataType
from edge_agent.pipeline.columns import Columns
from mes_server.ingest.booking import Link
from tests.support.broker import mosquitto
from tests.support.edge import AgentProcess, Plc, config_text, machine_source
from tests.support.machine import METRICS_32, MORE, Machine
from tests.support.wait import eventually
from tests.support.whole_ingest import whole_ingest

MACHINES = [f"M-{k:02d}" for k in range(1, 21)]
CYCLE_MS = 2_000
GROUP = 1_000
RSS_MB_MAX = 200


def backlog(path: Path, parts: int, end_ms: int) -> None:
    """What twenty machines made while nobody took it: a record a part, each machine one part every two seconds, until `end_ms`."""
    buffer = Buffer(path, 10**10)
    buffer.claim(identity.machine(path))
    alias = {
        (machine, name): buffer.catalogue.metric(machine, name, datatype).alias
        for machine in MACHINES
        for name, datatype in ((names.GOOD_TOTAL, DataType.INT64), (names.WATCHED_UNTIL, DataType.DATETIME))
    }
    waiting: list[tuple[str, Columns]] = []
    for k in range(parts):
        machine, cycle = MACHINES[k % len(MACHINES)], k // len(MACHINES)
        at = end_ms - (parts // len(MACHINES) - cycle) * CYCLE_MS
        rows = [
            (alias[(machine, names.GOOD_TOTAL)], at, int(DataType.INT64), cycle),
            (alias[(machine, names.WATCHED_UNTIL)], at, int(DataType.DATETIME), at),
        ]
        waiting.append((machine, Columns.of(rows)))
        if len(waiting) == GROUP or k == parts - 1:
            buffer.commit(waiting)
            waiting = []
    buffer.close()


def peak_mb(agent: AgentProcess) -> float:
    assert agent.process is not None
    status = Path(f"/proc/{agent.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


@pytest.mark.parametrize("parts", [4_000, pytest.param(288_000, marks=[pytest.mark.full, pytest.mark.timeout(900)])])
def test_r13_a_backlog_drains_exactly_with_live_values_beside(parts: int, tmp_path: Path) -> None:
    links = {("EDGE-L1", machine): Link(machine, None) for machine in [*MACHINES, "SAW-01"]}
    backlog(tmp_path / "edge.buffer", parts, int(time.time() * 1000) - 60_000)
    with mosquitto(tmp_path) as broker, Plc() as plc, whole_ingest(tmp_path, broker, links=links) as ingest:
        live = Machine(plc, 0.1, first=1_000, bits=32)
        config = tmp_path / "edge.toml"
        config.write_text(config_text(broker, machine_source(plc, METRICS_32, device_more=MORE), more="[delivery]\nheartbeat_s = 1.0\n"))
        agent = AgentProcess(config)
        agent.start()
        try:
            lags, began = _drain(ingest, live, parts)
            print(f"{parts} records in {time.monotonic() - began:.1f} s; edge at most {peak_mb(agent):.0f} MB; {len(lags)} live values, ", end="")
            print(f"lag p50 {np.percentile(lags, 50):.2f} s, p95 {np.percentile(lags, 95):.2f} s" if lags else "no lag seen")
            live.stop()
            eventually(lambda: _good(ingest, "SAW-01") == live.made, 60, why=f"{live.made} live pieces, booked {_good(ingest, 'SAW-01')}")
            assert peak_mb(agent) < RSS_MB_MAX
        finally:
            live.stop()
            agent.terminate()
        _exact(ingest, parts)


def _drain(ingest: Any, live: Machine, parts: int) -> tuple[list[float], float]:
    """(how late live values were seen by the server while the backlog came in, s; when it began)."""
    eventually(lambda: ingest.edge().get("stored_up_to"), 60, why="the drain begins")
    began, lags, seen = time.monotonic(), [], 0
    live.start()
    until = began + 600
    while ingest.edge()["stored_up_to"] < parts:
        assert time.monotonic() < until, f"stored up to {ingest.edge()['stored_up_to']} of {parts}"
        at, _ = ingest.service.table.of_device("EDGE-L1", "SAW-01").get("speed_rpm", (0, 0.0))
        if at > seen > 0:
            lags.append(time.time() - at / 1000)
        seen = at
        time.sleep(0.05)
    return lags, began


def _good(ingest: Any, machine: str) -> int:
    return sum(row[2] for row in ingest.bench.booking.rows["counts"] if row[0] == machine)


def _exact(ingest: Any, parts: int) -> None:
    """Each part of each machine once, at its time."""
    each = parts // len(MACHINES)
    rows = [row for row in ingest.bench.booking.rows["counts"] if row[0] != "SAW-01"]
    assert len(rows) == len({row[:2] for row in rows}) == (each - 1) * len(MACHINES), "the first total of a machine is its beginning"
    assert all(row[2] == 1 for row in rows)
