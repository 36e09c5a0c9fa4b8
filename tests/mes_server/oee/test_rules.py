"""The time model's edge cases (oee_energy_spc.md 1.4) and its laws."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mes_server.machine_states.rules import merge, subtract
from mes_server.oee import rules, words
from mes_server.oee.rules import Count, Cover, Loss, MachineTime, Parts
from mes_server.plant.rules import Calendar
from mes_server.plant.schemas import Break, Shift

MIN = 60_000


def machine(producing: list[tuple[int, int]], known: list[tuple[int, int]], losses: list[Loss] | None = None) -> MachineTime:
    return MachineTime(known=known, producing=producing, setup=[], losses=losses or [])


def test_a_run_over_a_shift_border_is_cut_there_and_pieces_go_by_their_stamp() -> None:
    """Run 13:40-14:25, border 14:00: 20 and 25 minutes."""
    at = lambda h, m: (h * 60 + m) * MIN  # noqa: E731
    time = machine([(at(13, 40), at(14, 25))], [(at(6, 0), at(22, 0))])
    early = rules.measure(time, (at(6, 0), at(14, 0)), [(at(6, 0), at(14, 0))], at(23, 0), [])
    late = rules.measure(time, (at(14, 0), at(22, 0)), [(at(14, 0), at(22, 0))], at(23, 0), [])
    assert (early.apt_ms, late.apt_ms) == (20 * MIN, 25 * MIN)


def test_a_night_with_a_clock_change_has_its_true_length() -> None:
    """Europe/Berlin, 22:00-06:00: 420 minutes on 2026-03-28, 540 on 2026-10-24."""
    night = Shift(code="night", name_zh="夜", name_en="night", start="22:00", end="06:00", weekdays=(1, 2, 3, 4, 5, 6, 7), breaks=())
    calendar = Calendar(ZoneInfo("Europe/Berlin"), 360, (night,))
    for day, minutes in ((date(2026, 3, 28), 420), (date(2026, 10, 24), 540)):
        (window,) = [one for one in calendar.shift_windows(*calendar.day_window(day)) if one.day == day]
        span = (window.from_ms, window.to_ms)
        parts = rules.measure(machine([span], [span]), span, calendar.planned_intervals(*span), span[1], [])
        assert parts.pbt_ms == minutes * MIN
        assert rules.figures(parts).a == 1.0


def test_a_planned_break_with_output_extends_busy_time_by_the_producing_time() -> None:
    """Shift 480, break 30 worked through, PRI 1, PQ 460... the ten last minutes of the break are idle: PBT 450 + 20."""
    shift = Shift(code="e", name_zh="早", name_en="e", start="06:00", end="14:00", weekdays=(1,), breaks=(Break(start="10:00", end="10:30"),))
    calendar = Calendar(ZoneInfo("Asia/Shanghai"), 360, (shift,))
    (window,) = calendar.shift_windows(*calendar.day_window(date(2026, 3, 2)))
    span = (window.from_ms, window.to_ms)
    pause = window.from_ms + 240 * MIN
    time = machine([(span[0], pause + 20 * MIN), (pause + 30 * MIN, span[1])], [span])
    parts = rules.measure(time, span, calendar.planned_intervals(*span), span[1], [Count(460, 0, 60.0)])
    assert (parts.known_ms, parts.extra_ms, parts.pbt_ms) == (450 * MIN, 20 * MIN, 470 * MIN)
    found = rules.figures(parts)
    assert found.a == 1.0 and found.oee == pytest.approx(460 / 470)
    assert "output_in_break" in rules.flags(parts, found)


def test_performance_above_one_is_kept_and_flagged_and_the_waterfall_stays_additive() -> None:
    """100 minutes, 2 min a piece, 100 pieces: 2.0."""
    span = (0, 100 * MIN)
    parts = rules.measure(machine([span], [span]), span, [span], span[1], [Count(100, 0, 120.0)])
    found = rules.figures(parts)
    assert found.p == found.oee == pytest.approx(2.0)
    assert "performance_over_1" in rules.flags(parts, found)
    steps = rules.waterfall(parts)
    assert steps[0].seconds - sum(step.seconds for step in steps if step.kind == "loss") == pytest.approx(steps[-1].seconds)


def test_an_unknown_cycle_leaves_performance_and_oee_unknown_but_not_a_and_q() -> None:
    span = (0, 100 * MIN)
    parts = rules.measure(machine([(0, 80 * MIN)], [span]), span, [span], span[1], [Count(90, 10, None)])
    found = rules.figures(parts)
    assert (found.a, found.p, found.q, found.oee) == (0.8, None, 0.9, None)
    assert "no_ideal_cycle" in rules.flags(parts, found)
    assert [(step.key, step.kind) for step in rules.waterfall(parts)][-1] == ("running", "rest")


def test_nothing_made_is_oee_zero_and_quality_unknown() -> None:
    span = (0, 100 * MIN)
    found = rules.figures(rules.measure(machine([(0, 80 * MIN)], [span]), span, [span], span[1], []))
    assert (found.a, found.p, found.q, found.oee) == (0.8, 0.0, None, 0.0)


def test_no_known_planned_time_gives_no_figure_at_all() -> None:
    span = (0, 100 * MIN)
    dark = rules.measure(machine([], []), span, [span], span[1], [Count(5, 0, 1.0)])
    found = rules.figures(dark)
    assert (found.a, found.p, found.q, found.oee, found.tpm_a, found.tpm_p) == (None,) * 6
    assert (dark.coverage, rules.flags(dark, found)) == (0.0, ["nothing_known", "low_coverage"])
    assert rules.measure(machine([], []), span, [], span[1], []).coverage is None


def test_no_data_is_outside_availability_and_seen_in_coverage() -> None:
    span = (0, 100 * MIN)
    parts = rules.measure(machine([(0, 40 * MIN)], [(0, 50 * MIN)]), span, [span], span[1], [])
    assert (rules.figures(parts).a, parts.coverage) == (0.8, 0.5)


def test_coverage_is_of_the_elapsed_part_only() -> None:
    span = (0, 100 * MIN)
    parts = rules.measure(machine([(0, 50 * MIN)], [(0, 50 * MIN)]), span, [span], 50 * MIN, [])
    assert (parts.planned_ms, parts.elapsed_ms, parts.coverage) == (100 * MIN, 50 * MIN, 1.0)
    assert "not_over" in rules.flags(parts, rules.figures(parts))


def test_delays_are_adet_with_an_operation_and_adot_without() -> None:
    span = (0, 100 * MIN)
    time = MachineTime(known=[span], producing=[(0, 40 * MIN)], setup=[(40 * MIN, 50 * MIN)], losses=[], running=[(0, 70 * MIN)])
    parts = rules.measure(time, span, [span], span[1], [])
    assert (parts.apt_ms, parts.aust_ms, parts.adet_ms, parts.adot_ms) == (40 * MIN, 10 * MIN, 20 * MIN, 30 * MIN)


@pytest.mark.parametrize(
    ("state", "time_class", "micro", "has_order", "key"),
    [
        ("fault", None, False, True, "breakdown"),
        ("fault", "material", False, True, "material"),
        ("fault", "breakdown", True, True, "minor"),
        ("setup", None, False, False, "setup"),
        ("starved", None, False, True, "material"),
        ("idle", None, False, True, "unexplained"),
        ("idle", None, False, False, "no_order"),
        ("stopped", "planned", False, True, "planned_stop"),
        ("stopped", "minor", False, True, "other"),
    ],
)
def test_the_class_of_a_loss(state: str, time_class: str | None, micro: bool, has_order: bool, key: str) -> None:
    assert rules.loss_key(state, time_class, micro, has_order) == key
    assert key in words.KEYS


def test_every_figure_says_how_in_both_languages_with_its_numbers() -> None:
    span = (0, 25_200_000)
    parts = rules.measure(machine([(2_820_000, span[1])], [span], [Loss(0, 2_820_000, "breakdown")]), span, [span], span[1], [Count(18848, 423, 1.0)])
    zh, en = words.how(parts, rules.figures(parts), machines=1)
    for part in ("18,848 s", "25,200 s", "74.8 %", "88.8 %", "86.1 %", "97.8 %", "ISO 22400-2", "TPM"):
        assert part in zh and part in en


# --- laws ---------------------------------------------------------------------------------------------------------------------------
spans_ = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=8).map(merge)
counts_ = st.lists(st.builds(Count, st.integers(0, 50), st.integers(0, 5), st.sampled_from([0.5, 1.0, 2.25]), st.integers(0, 2)), max_size=4)


@st.composite
def plants(draw: st.DrawFn) -> tuple[MachineTime, MachineTime, list[tuple[int, int]]]:
    """The same history twice: once with a low, once with a high micro-stop limit; and the planned spans."""
    known = draw(spans_)
    producing = draw(spans_)
    made = _both(producing, known)
    stops = subtract(known, made)
    setup = stops[:: draw(st.integers(2, 4))]
    keys = [draw(st.sampled_from(["breakdown", "material", "unexplained"])) for _ in stops]
    running = draw(spans_)
    limits = (0, draw(st.integers(1, 400)))
    times = []
    for limit in limits:
        losses = [Loss(a, b, "minor" if b - a < limit else key) for (a, b), key in zip(stops, keys, strict=True)]
        times.append(MachineTime(known=known, producing=made, setup=setup, losses=losses, running=running))
    return times[0], times[1], draw(spans_)


def _both(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return subtract(left, subtract([(0, 1 << 40)], right))


@given(plants(), st.lists(st.integers(0, 400), max_size=5), counts_)
def test_splitting_a_window_and_adding_the_parts_equals_the_whole(
    plant: tuple[MachineTime, MachineTime, list[tuple[int, int]]], cuts: list[int], counts: list[Count]
) -> None:
    time, _, planned = plant
    edges = sorted({0, 400, *cuts})
    whole = rules.measure(time, (0, 400), planned, 300, counts)
    pieces = [rules.measure(time, span, planned, 300, counts if index == 0 else []) for index, span in enumerate(pairwise(edges))]
    assert rules.add(pieces) == whole


@given(plants(), counts_)
def test_busy_time_is_the_sum_of_its_parts_and_the_waterfall_ends_at_the_good_pieces(
    plant: tuple[MachineTime, MachineTime, list[tuple[int, int]]], counts: list[Count]
) -> None:
    parts = rules.measure(plant[0], (0, 400), plant[2], 400, counts)
    assert parts.pbt_ms == parts.apt_ms + parts.aust_ms + parts.adet_ms + parts.adot_ms
    assert parts.pbt_ms == parts.apt_ms + sum(parts.loss_ms.values())
    assert min(parts.apt_ms, parts.aust_ms, parts.adet_ms, parts.adot_ms, parts.extra_ms) >= 0
    steps = rules.waterfall(parts)
    lost = sum(step.seconds for step in steps if step.kind == "loss")
    assert steps[0].seconds - lost == pytest.approx(parts.ideal_good_s)


@given(plants(), counts_)
def test_the_micro_stop_limit_moves_time_between_a_and_p_and_leaves_oee(
    plant: tuple[MachineTime, MachineTime, list[tuple[int, int]]], counts: list[Count]
) -> None:
    low = rules.figures(rules.measure(plant[0], (0, 400), plant[2], 400, counts))
    high = rules.figures(rules.measure(plant[1], (0, 400), plant[2], 400, counts))
    assert (low.oee, low.a, low.p, low.q) == (high.oee, high.a, high.p, high.q)
    if low.tpm_a is not None and high.tpm_a is not None:
        assert high.tpm_a >= low.tpm_a
        if low.tpm_p is not None and high.tpm_p is not None:
            assert high.tpm_a * high.tpm_p == pytest.approx(low.tpm_a * low.tpm_p)


@given(spans_, st.integers(0, 400), st.integers(0, 400))
def test_a_cover_counts_what_a_set_counts(spans: list[tuple[int, int]], a: int, b: int) -> None:
    low, high = min(a, b), max(a, b)
    assert Cover(spans).within([(low, high)]) == len({at for x, y in spans for at in range(x, y) if low <= at < high})


def test_no_parts_at_all() -> None:
    assert rules.add([]) == Parts()
