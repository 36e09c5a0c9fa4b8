"""When a reading was: the tick only where that is true."""

from __future__ import annotations

import pytest

from edge_agent.sources.polled import ON_TICK_MS, reading_ms, tick_of


def test_the_tick_is_the_latest_multiple_of_any_period_due() -> None:
    assert tick_of([10_000], 30_004) == 30_000
    assert tick_of([10_000, 60_000], 70_004) == 70_000
    assert tick_of([60_000], 119_999) == 60_000
    assert tick_of([10_000], 30_000) == 30_000


@pytest.mark.parametrize(
    ("asked_ms", "answered_ms", "last_ms", "expected_ms"),
    [
        (30_000, 30_010, 20_000, 30_000),
        (30_004, 30_300, 20_000, 30_000),  # the middle is 152 ms after it
        (30_000, 30_000 + 2 * ON_TICK_MS, 20_000, 30_000),
        (30_000, 30_002 + 2 * ON_TICK_MS, 20_000, 30_201),  # a slow line
        (36_000, 36_010, 20_000, 36_005),  # a busy edge: the tick has long passed
        (30_050, 30_070, 30_020, 30_060),  # the reading before came late, beyond this tick: time does not go back
    ],
)
def test_a_reading_bears_the_tick_or_its_own_moment(asked_ms: int, answered_ms: int, last_ms: int, expected_ms: int) -> None:
    assert reading_ms(tick_of([10_000], asked_ms), asked_ms, answered_ms, last_ms) == expected_ms


def test_unaligned_polls_bear_their_own_moment() -> None:
    assert reading_ms(None, 30_000, 30_010, 20_000) == 30_005
