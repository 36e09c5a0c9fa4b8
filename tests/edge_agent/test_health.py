"""The figures an agent says of itself: paces that do not depend on when they are looked at, and that are unknown rather than 0."""

from __future__ import annotations

import pytest

from edge_agent.health import BufferPace, MeanPace, Rates, SourceHealth


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
        pace.look(100 * second, 10 * second, 1e9, float(second))
    assert pace.hours_left == pytest.approx(1e9 / (100 * 21 + 10 * 120) / 3600, rel=0.01)
    pace.look(0, 0, 1e9, 100.0)
    assert pace.hours_left is None, "a new buffer counts from 0"
