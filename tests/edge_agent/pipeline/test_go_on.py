"""A source that goes on where it was lost: no gap, nothing twice, and what was bad before stays bad."""

from __future__ import annotations

import copy
import json

import numpy as np

from edge_agent.contract import names
from edge_agent.contract.names import GapCause
from edge_agent.pipeline.columns import Columns
from edge_agent.pipeline.device import Memory
from tests.edge_agent.pipeline.test_pipeline import T0, Bench, started


def restarted(bench: Bench, until: int) -> Bench:
    """A pipeline that begins with what the first one has stored."""
    memory = bench.pipeline.devices[0].memory
    kept = Memory.from_json(T0 + until, json.loads(json.dumps(memory.to_json())))
    again = Bench({"M": copy.deepcopy(kept)}, bench.catalogue)
    again.pipeline.lost([0], GapCause.EDGE_DOWN)
    return again


def columns(bench: Bench, *rows: tuple[str, int, float]) -> Columns:
    return Columns.of((bench.tags[key], T0 + t, 10, value) for key, t, value in rows)


def test_lost_and_gone_on_says_nothing() -> None:
    bench = started()
    bench.pipeline.lost([0], GapCause.SOURCE_LOST)
    bench.pipeline.go_on([0], T0 + 900)
    bench.put(("state", 500, 5), ("good", 600, 101))
    seen = bench.until(1000, beat=True)
    assert [name for _, name, _ in seen if name in (names.GAP, names.READ_AFTERWARDS)] == []
    assert (500, names.STATE, "idle") in seen or bench.of(names.STATE_RAW) == [(500, 5)]
    assert bench.of(names.GOOD_TOTAL) == [(600, 101)]
    assert bench.of(names.WATCHED_UNTIL) == [(1000, T0 + 1000)]


def test_after_a_restart_rows_up_to_the_proven_moment_are_left_out() -> None:
    bench = started()
    bench.put(("temp_c", 100, 1), ("temp_c", 300, 2))
    bench.until(200)
    again = restarted(bench, 200)
    again.pipeline.go_on([0], T0 + 900)
    again.pipeline.push(columns(again, ("temp_c", 100, 1.0), ("temp_c", 300, 2.0)), repeated=True)
    again.pipeline.push(columns(again, ("temp_c", 400, 3.0)))
    again.until(1000)
    assert again.of("temp_c") == [(300, 0.2), (400, 0.30000000000000004)]
    assert again.of(names.GAP) == []


def test_an_overflow_on_the_first_value_after_a_restart_is_told_since_the_proven_moment() -> None:
    again = restarted(started(), 0)
    again.pipeline.go_on([0], T0 + 900)
    again.pipeline.push(columns(again, ("temp_c", -50, 1.0), ("temp_c", 300, 2.0)), overflow=[1], repeated=True)
    again.until(1000)
    ((_, gap),) = again.of(names.SAMPLES_GAP)
    assert isinstance(gap, dict)
    assert (gap["from_ms"], gap["to_ms"], gap["cause"]) == (T0, T0 + 300, "overflow")


def test_what_was_bad_before_is_bad_after_and_is_one_gap() -> None:
    bench = started()
    bench.put(("state", 100, None))
    bench.until(200)
    again = restarted(bench, 200)
    again.pipeline.go_on([0], T0 + 900)
    again.put(("good", 400, 101))
    again.put(("state", 700, 6))
    again.until(1000)
    ((at, gap),) = again.of(names.GAP)
    assert isinstance(gap, dict)
    assert (at, gap["from_ms"], gap["to_ms"], gap["cause"]) == (700, T0 + 100, T0 + 700, "bad_quality")
    assert again.pipeline.devices[0].memory.bad == []


def test_read_afterwards_is_marked_and_stands_in_the_order_of_time() -> None:
    again = restarted(started(), 0)
    again.pipeline.go_on([0], T0 + 500, "3 values read from the server's history")
    again.put(("state", 100, 5), ("state", 600, 6))
    seen = again.until(1000)
    ((at, text),) = again.of(names.READ_AFTERWARDS)
    marked = json.loads(str(text))
    assert (at, marked["from_ms"], marked["to_ms"], marked["cause"]) == (500, T0, T0 + 500, "edge_down")
    assert again.of(names.STATE_RAW) == [(100, 5), (600, 6)]
    assert [t for t, _, _ in seen] == sorted(t for t, _, _ in seen)
    assert np.array_equal([], again.of(names.GAP))
