"""The figures an agent says of itself: paces that do not depend on when they are looked at, and that are unknown rather than 0."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.buffer.store import Buffer
from edge_agent.health import BYTES_A_RECORD, BYTES_A_VALUE_READ, BYTES_A_VALUE_TOLD, ROW_BYTES, BufferPace, MeanPace, Rates, SourceHealth
from edge_agent.pipeline.columns import DOUBLE, Columns


def looked_at(count_at: dict[int, float], until_s: int, every_s: int = 2) -> list[float | None]:
    """Paces said by looking every `every_s`; `count_at`: when -> running count from then on."""
    pace, said, count = MeanPace(), [], 0.0
    for now_s in range(until_s + 1):
        count = count_at.get(now_s, count)
        if now_s % every_s == 0:
            said.append(pace.at(count, float(now_s)))
    return said


@pytest.mark.parametrize(("period_s", "values"), [(1, 7), (10, 48), (15, 6), (300, 24)])
def test_a_meter_read_now_and_then_has_one_steady_pace(period_s: int, values: int) -> None:
    """Incident: a meter read every 10 s was shown as 0.0 and 23.5 values/s by turns, because the last two seconds were taken for the pace."""
    reads = {n * period_s + 1: values * (n + 1.0) for n in range(200 // period_s + 12)}
    said = looked_at(reads, until_s=200 + 11 * period_s)
    steady = said[len(said) // 2 :]
    assert all(one == pytest.approx(values / period_s, rel=0.08) for one in steady), steady
    assert 0.0 not in said[period_s:], "from the second reading on"


def test_what_has_just_begun_is_unknown_and_silence_becomes_0() -> None:
    assert looked_at({}, 58) == [None] * 30
    assert looked_at({}, 60)[-1] == 0.0
    assert looked_at({1: 500.0}, 100)[-1] == 0.0, "the first values of a subscription are no pace"
    burst = looked_at({n: 10.0 * n for n in range(100)}, 4_000)
    assert burst[45] == pytest.approx(10.0) and burst[-1] == 0.0
    falling = [one for one in burst[50:] if one is not None]
    assert falling == sorted(falling, reverse=True)


def test_a_source_that_is_away_gives_0_and_begins_anew() -> None:
    rates, health = Rates(), SourceHealth("PLC", ("A",))
    for second in range(70):
        health.status, health.values = "connected", 5 * second
        rates.look([health], float(second))
    assert rates.of("PLC") == pytest.approx(5.0)
    health.status = "lost"
    rates.look([health], 70.0)
    assert rates.of("PLC") == 0.0
    health.status = "connected"
    rates.look([health], 71.0)
    assert rates.of("PLC") is None and rates.of("another") is None


def test_hours_left_follow_the_pace_and_are_unknown_without_one() -> None:
    pace = BufferPace()
    pace.look(0, 0, 1e9, 0.0)
    assert pace.hours_left is None
    for second in range(1, 100):
        pace.look(2_000 * second, 10 * second, 1e9, float(second))
    assert pace.hours_left == pytest.approx(1e9 / (2_000 + 10 * ROW_BYTES) / 3600, rel=0.01)
    pace.look(0, 0, 1e9, 100.0)
    assert pace.hours_left is None, "a new buffer counts from 0"


@pytest.mark.parametrize("apart_ms", [0, 1], ids=["read", "told"])
@pytest.mark.parametrize(("values", "off"), [(1, 1.15), (5, 1.15), (20, 1.15), (100, 2.0), (2_000, 1.15)])
def test_a_buffer_is_as_long_as_is_said(tmp_path: Path, values: int, off: float, apart_ms: int) -> None:
    """The way the figures were measured: a file of equal records, before and after. What is said of a running agent, and by a plan before it."""
    buffer = Buffer(tmp_path / "edge.buffer", 10**10)
    record = "LAT-01", Columns.of((alias, 1_772_409_600_000 + alias * apart_ms, DOUBLE, 1.5) for alias in range(128, values + 128))
    count, before = max(20, 2_000 // values), buffer.size_bytes()
    for _ in range(10):
        buffer.commit([record] * count)
    found, said = (buffer.size_bytes() - before) / (10 * count), buffer.body_bytes / (10 * count) + ROW_BYTES
    buffer.close()
    planned = values * (BYTES_A_VALUE_TOLD if apart_ms else BYTES_A_VALUE_READ) + BYTES_A_RECORD
    assert said / off < found < said * off
    assert planned / off < found < planned * off
