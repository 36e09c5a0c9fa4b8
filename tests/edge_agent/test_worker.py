"""What the worker tells a source of: when everything of a batch is durable, and not before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_agent.app import build_agent
from edge_agent.config_text import load
from edge_agent.contract.clock import ManualClock
from edge_agent.events import Batch, Resumed
from edge_agent.pipeline.columns import DOUBLE, Columns
from edge_agent.worker import Worker
from tests.support.broker import free_port
from tests.support.wait import eventually

T0 = 1_772_409_600_000
CONFIG = """
group = "PUMP"
edge = "EDGE-L1"

[[brokers]]
host = "127.0.0.1"
port = {port}

[sources.PLC]
type = "opcua"
url = "opc.tcp://127.0.0.1:{port}"
security = "none"
settle_s = {settle_s}

[sources.PLC.devices.D0]
namespace = "urn:plc"
metrics = {{ t0 = {{ node = "s=T0" }} }}

[sources.PLC.devices.D1]
namespace = "urn:plc"
metrics = {{ t0 = {{ node = "s=T1" }} }}
"""


@contextmanager
def worker(folder: Path, settle_s: float) -> Iterator[Worker]:
    """It runs; there is no broker and no PLC."""
    path = folder / "edge.toml"
    path.write_text(CONFIG.format(port=free_port(), settle_s=settle_s))
    one = build_agent(load(path), ManualClock(T0)).worker
    one.start()
    try:
        yield one
    finally:
        one.stop()
        one.join()


def values(tag: int, *t_ms: int) -> Columns:
    return Columns.of((tag, at, DOUBLE, 1.5) for at in t_ms)


@pytest.mark.parametrize("settle_s", [0.0, 0.2])
def test_batches_of_values_that_all_come_late_are_stored_although_nothing_moves_the_proven_moment(tmp_path: Path, settle_s: float) -> None:
    """A PLC that is overtaxed stamps its values older and older; a source that hears of nothing stored asks for nothing more, and stands still."""
    with worker(tmp_path, settle_s) as one:
        stored: list[int] = []
        one.intake.put(Resumed((0, 1), T0))
        one.intake.put(Batch((0, 1), values(0, T0 + 1), T0 + 10_000, T0 + 1, stored=lambda: stored.append(-1)))
        eventually(lambda: stored == [-1], 30)
        for n in range(5):
            one.intake.put(Batch((0, 1), values(n % 2, T0 + 100 * n), None, T0 + 100 * n, stored=lambda n=n: stored.append(n)))  # type: ignore[misc]
        eventually(lambda: stored == [-1, 0, 1, 2, 3, 4], 30, why=str(stored))
    assert one.counts["values"] >= 6


def test_a_batch_is_not_stored_before_what_is_newer_than_the_proven_moment_is(tmp_path: Path) -> None:
    with worker(tmp_path, 0.0) as one:
        stored: list[str] = []
        one.intake.put(Resumed((0, 1), T0))
        one.intake.put(Batch((0, 1), values(0, T0 + 1), T0 + 10_000, T0 + 1, stored=lambda: stored.append("first")))
        one.intake.put(Batch((0, 1), values(0, T0 + 5, T0 + 20_000), None, T0 + 20_000, stored=lambda: stored.append("late and new")))
        one.intake.put(Batch((0, 1), values(1, T0 + 6), None, T0 + 6, stored=lambda: stored.append("late")))
        eventually(lambda: stored == ["first"] and not one.pipeline.late_ms and one.pipeline.waiting_count() == 1, 30, why=str(stored))
        one.intake.put(Batch((0, 1), Columns.empty(), T0 + 20_000))
        eventually(lambda: stored == ["first", "late and new", "late"], 30, why=str(stored))
