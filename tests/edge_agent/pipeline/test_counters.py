"""Counters: golden meter faults (MyEMS, oee_energy_spc.md 2.3) and PLC counters; laws of running totals."""

from __future__ import annotations

import csv
import itertools
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.pipeline.counters import CounterRule, CounterState, Draw, draw, energy_is_frozen, is_frozen, parts_bound, read

FAULTS = Path(__file__).parent / "meter_fault_readings.csv"
PARTS16 = CounterRule(max_per_s=2.0, slack=16.0, modulus=65536.0, decrease="auto")
ROLLING16 = CounterRule(max_per_s=2.0, slack=16.0, modulus=65536.0, decrease="rollover")
PER_ORDER = CounterRule(max_per_s=2.0, slack=16.0, modulus=2.0**32, decrease="reset", resets_with_order=True)


def run(rule: CounterRule, readings: list[tuple[float, float]], polled: bool = False) -> tuple[CounterState, list[str]]:
    """(time s, raw) readings through the rule; polled ones were not watched in between."""
    state, last, events = None, None, []
    for at_s, raw in readings:
        unseen_s = at_s - last if polled and last is not None else 0.0
        step = read(rule, state, raw, round(at_s * 1000), unseen_s)
        state, last = step.state, at_s
        if step.event:
            events.append(step.event)
    assert state is not None
    return state, events


def counted(rule: CounterRule, readings: list[tuple[float, float]], polled: bool = False) -> float:
    return run(rule, readings, polled)[0].total - readings[0][1]


@pytest.mark.parametrize(
    ("case", "consumed"),
    [
        ("bad case 1.1", 146),
        ("bad case 1.2:", 146),
        ("bad case 1.3:", 146),
        ("bad case 1.4:", 147),
        ("bad case 2.1", 144.985),
        ("bad case 2.2", 480),
        ("bad case 2.3", 3),  # 23998 … 24001; the misread 23000 in between changes nothing
        ("special test case 1 (disconnected)", 3840),  # 3812 over the 6.25 h gap, then 28
    ],
)
def test_golden_meter_faults(case: str, consumed: float) -> None:
    with FAULTS.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["case"].endswith(case)]
    readings = sorted((datetime.fromisoformat(row["utc"]).replace(tzinfo=UTC).timestamp(), float(row["cumulative_value"])) for row in rows)
    assert counted(CounterRule(max_per_s=10.0, slack=600.0), readings, polled=True) == pytest.approx(consumed, abs=1e-6)


@pytest.mark.parametrize(
    ("before", "during", "after", "consumed"),
    [
        (216463.0, [192368.0] * 17, 216574.0, 111.0),
        (844966.0, [844900.0], 845019.0, 53.0),
        (38968408.0, [28371884.0], 38968876.0, 468.0),
    ],
)
def test_golden_meter_faults_given_as_numbers(before: float, during: list[float], after: float, consumed: float) -> None:
    values = [before, *during, after]
    assert counted(CounterRule(max_per_s=10.0, slack=600.0), [(i * 64.0, value) for i, value in enumerate(values)], polled=True) == consumed


def test_six_digit_register_rolls_over_at_a_million() -> None:
    rule = CounterRule(max_per_s=1.0, slack=10.0, modulus=1_000_000.0)
    state, events = run(rule, [(0, 999984.0625), (60, 20.0)], polled=True)
    assert state.total - 999984.0625 == 35.9375
    assert events == ["first", "rollover"]


@pytest.mark.parametrize(
    ("rule", "readings", "pieces", "events"),
    [
        (PARTS16, [(0, 65530), (1, 65535), (2, 3)], 9, ["first", "rollover"]),
        (ROLLING16, [(0, 65500), (1, 40)], 76, ["first", "rollover"]),
        (PARTS16, [(0, 240), (1, 0), (2, 1), (3, 2)], 2, ["first", "reset"]),  # PLC restart: starts at 0 again
        (ROLLING16, [(0, 50000), (9000, 0), (9001, 1)], 1, ["first", "reset"]),  # a free-running counter whose PLC was loaded anew
        (PER_ORDER, [(0, 240), (1, 1), (2, 2)], 2, ["first", "reset"]),
        (PARTS16, [(0, 1000), (1, 998), (2, 999), (3, 1000), (4, 1001)], 1, ["first", "held", "held"]),  # jumped back: not counted twice
        (PARTS16, [(0, 1000), (1, 40000), (2, 1001)], 1, ["first", "held"]),  # one absurd reading
        (PARTS16, [(0, 1000), (1, 7000), (2, 7001), (3, 7002), (4, 7003), (5, 7004)], 4, ["first", "held", "held", "held", "adopted"]),  # download
        (PARTS16, [(0, 100), (3600, 160)], 60, ["first"]),  # bulk update after an hour
        (PARTS16, [(0, 7), (1, 7), (2, 7)], 0, ["first"]),
    ],
)
def test_plc_counters(rule: CounterRule, readings: list[tuple[float, float]], pieces: int, events: list[str]) -> None:
    state, seen = run(rule, readings)
    assert state.total - readings[0][1] == pieces
    assert seen == events


def test_reset_inside_a_gap_counts_what_is_known_and_bounds_the_rest() -> None:
    before = read(PER_ORDER, None, 240, 0, 0).state
    step = read(PER_ORDER, before, 251, 60_000, 60.0, order_changed_unseen=True)
    assert step.event == "reset" and step.state is not None
    assert step.state.total == 240 + 251, "a new order began: all 251 are new, not 11"
    assert parts_bound(PER_ORDER, 60.0, 251) == 0
    assert parts_bound(PER_ORDER, 600.0, 251) == 1200 - 251


def test_zero_that_recovers_books_the_difference_not_the_lifetime() -> None:
    rule = CounterRule(max_per_s=0.01, slack=1.0)
    assert counted(rule, [(0, 15508.0), (10, 0.0), (20, 0.0), (30, 15508.1)], polled=True) == pytest.approx(0.1)


@pytest.mark.parametrize("raw", [float("nan"), -1.0, 70000.0])
def test_impossible_readings_change_nothing(raw: float) -> None:
    before = read(PARTS16, None, 5, 0, 0).state
    assert read(PARTS16, before, raw, 1000, 0).state == before
    assert read(PARTS16, None, raw, 1000, 0).state is None


def test_frozen_needs_a_machine_that_says_it_produces() -> None:
    assert is_frozen(0, 0, 601_000, 600)
    assert not is_frozen(0, None, 601_000, 600)
    assert not is_frozen(500_000, 0, 601_000, 600)


@pytest.mark.parametrize(
    ("watts", "minutes", "step_wh", "total_kwh", "frozen"),
    [
        (6_000.0, 10, 0.01, 500.0, True),  # 1 kWh is missing on a register that shows 0.01 Wh
        (6_000.0, 0.5, 0.01, 500.0, False),  # 50 Wh: not yet
        (6_000.0, 60, 1_000.0, 500.0, False),  # whole kWh: six steps at most
        (6_000.0, 120, 1_000.0, 500.0, True),
        (50.0, 60, 1.0, 500.0, False),  # stand-by: 50 Wh
        (6_000.0, 10, 0.01, 900_000.0, False),  # a float32 of 900 MWh moves in steps of 62 Wh: ten of them are not yet missing
        (6_000.0, 15, 0.01, 900_000.0, True),
    ],
)
def test_energy_that_stands_still_while_power_flows(watts: float, minutes: float, step_wh: float, total_kwh: float, frozen: bool) -> None:
    state = CounterState(total_kwh, 0.0, 0)
    assert energy_is_frozen(Draw(0, watts), state, step_wh, 1000.0, round(minutes * 60_000)) is frozen
    assert not energy_is_frozen(None, state, step_wh, 1000.0, 10**9)


def test_a_draw_is_the_least_power_since_there_was_none() -> None:
    power = None
    for at_ms, watts in ((0, 0.0), (10, 500.0), (20, 300.0), (30, 900.0)):
        power = draw(power, at_ms, watts)
    assert power == Draw(10, 300.0)
    assert draw(power, 40, 0.0) is None and draw(power, 40, -5.0) is None and draw(power, 40, float("nan")) is None


@pytest.mark.parametrize(
    ("words", "raws", "consumed", "events"),
    [
        ("one digit misread, upwards", [1000.0, 1000.5, 1900.5, 1001.0, 1001.5], 1.5, ["first", "held"]),
        ("one digit misread, downwards", [1999.0, 1999.5, 1099.5, 2000.0], 1.0, ["first", "held"]),
        ("a register of six digits rolls over", [999_999.5, 0.2], 0.7, ["first", "rollover"]),
        ("faster than the rated power allows", [1000.0, 1002.0], 0.0, ["first", "held"]),
        ("reset to zero, then it goes on", [1000.0, 0.0, 0.3], 0.3, ["first", "reset"]),
        ("reset that recovers: the true difference", [1000.0, 0.0, 0.0, 1000.6], 0.6, ["first", "reset", "recovered"]),
        ("another meter, not told: nothing is invented", [1000.0, 50.0, 50.4, 50.8, 51.2], 1.2, ["first", "held", "held", "held", "adopted"]),
    ],
)
def test_golden_meter_rules(words: str, raws: list[float], consumed: float, events: list[str]) -> None:
    """kWh, a reading a minute, 36 kW rated: 0.6 kWh a minute at most (with the margin 0.75, and 0.6 at once)."""
    rule = CounterRule(max_per_s=0.01, slack=0.6, modulus=1_000_000.0)
    readings = [(i * 60.0, raw) for i, raw in enumerate(raws)]
    state, seen = run(rule, readings, polled=True)
    assert state.total - raws[0] == pytest.approx(consumed), words
    assert seen == events, words


def test_state_survives_a_restart() -> None:
    state, _ = run(PARTS16, [(0, 65530), (1, 3), (2, 900)])
    assert CounterState.from_json(state.to_json()) == state


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(0, 65535), st.sampled_from(["auto", "rollover"]))
def test_law_total_is_parts_made_however_the_readings_are_split(made: list[int], start: int, decrease: str) -> None:
    rule = CounterRule(2.0, 16.0, 65536.0, decrease)  # type: ignore[arg-type]
    raw, readings = start, [(0.0, float(start))]
    for i, parts in enumerate(made, 1):
        raw += parts
        readings.append((i * 2.0, float(raw % 65536)))
    assert counted(rule, readings) == sum(made)
    assert counted(rule, [reading for reading in readings for _ in range(2)]) == sum(made), "each reading twice"
    every_other = [readings[0], *readings[1:-1:2], readings[-1]]
    if all(b[1] >= a[1] or a[1] > 60000 for a, b in itertools.pairwise(every_other)):
        assert counted(rule, every_other, polled=True) == sum(made), "readings missed"


@given(st.lists(st.floats(0, 1e7, allow_nan=False), min_size=2, max_size=40))
def test_law_total_never_falls_and_never_grows_faster_than_physics(values: list[float]) -> None:
    rule = CounterRule(max_per_s=1.0, slack=5.0)
    state, last_total = None, None
    for i, value in enumerate(values):
        step = read(rule, state, value, i * 1000, 1.0)
        state = step.state
        assert state is not None
        if last_total is not None:
            assert last_total - 1e-6 <= state.total <= last_total + rule.bound(i + 1.0) + 1e-6
        last_total = state.total
