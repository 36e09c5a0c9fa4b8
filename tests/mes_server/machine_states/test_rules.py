"""Machine states from facts: known time, gaps, stops, reasons, in whatever order the facts came."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mes_server.machine_states import rules
from mes_server.machine_states.rules import Hole, Interval, Note, Point, Watch

S = 1000


def p(at: int, state: str | None = None, raw: int | None = None, alarm: str | None = None) -> Point:
    return Point(at * S, state, raw, alarm)


Row = tuple[int, int, str, str | None]


def line(points: list[Point], known: list[tuple[int, int]], start: int, end: int, holes: list[Hole] | None = None) -> list[Row]:
    found = rules.timeline(points, [(a * S, b * S) for a, b in known], holes or [], start * S, end * S)
    return [(one.from_ms // S, one.to_ms // S, one.state, one.cause) for one in found]


def test_silence_up_to_the_last_proof_means_unchanged_and_later_is_not_yet_known() -> None:
    assert line([p(0, "producing")], [(0, 50)], 0, 80) == [(0, 50, "producing", None), (50, 80, "no_data", "not_yet_known")]


def test_the_state_that_already_ran_at_the_start_of_the_window_counts() -> None:
    assert line([p(0, "fault"), p(30, "producing")], [(0, 60)], 10, 60) == [(10, 30, "fault", None), (30, 60, "producing", None)]


def test_before_the_first_record_nothing_is_known() -> None:
    assert line([p(20, "idle")], [(20, 60)], 0, 60) == [(0, 20, "no_data", "not_watched"), (20, 60, "idle", None)]


def test_a_machine_in_view_that_never_said_a_state_is_not_idle() -> None:
    assert line([], [(0, 60)], 0, 60) == [(0, 60, "no_data", "no_state")]


def test_a_gap_cuts_the_state_out_and_names_its_cause() -> None:
    hole = Hole(20 * S, 30 * S, "E:1", "source_lost")
    known = rules.known_spans([Watch("E:1", 0, 60 * S)], [hole])
    assert known == [(0, 20 * S), (30 * S, 60 * S)]
    found = rules.timeline([p(0, "producing")], known, [hole], 0, 60 * S)
    assert [(one.from_ms // S, one.to_ms // S, one.state, one.cause) for one in found] == [
        (0, 20, "producing", None),
        (20, 30, "no_data", "source_lost"),
        (30, 60, "producing", None),
    ]


def test_what_was_said_inside_a_gap_holds_after_it() -> None:
    hole = Hole(20 * S, 30 * S, "E:1", "source_lost")
    assert line([p(0, "producing"), p(25, "fault")], [(0, 20), (30, 60)], 0, 60, [hole])[-1] == (30, 60, "fault", None)


def test_another_source_fills_a_gap() -> None:
    hole = Hole(20 * S, 50 * S, "E:1", "edge_down")
    watches = [Watch("E:1", 0, 90 * S), Watch("E:2", 30 * S, 40 * S)]
    assert rules.known_spans(watches, [hole]) == [(0, 20 * S), (30 * S, 40 * S), (50 * S, 90 * S)]


def test_a_new_buffer_leaves_a_hole_with_its_cause() -> None:
    holes = [Hole(60 * S, 75 * S, "E:2", "new_buffer")]
    known = rules.known_spans([Watch("E:1", 0, 60 * S), Watch("E:2", 75 * S, 90 * S)], holes)
    found = rules.timeline([p(0, "idle"), p(75, "idle")], known, holes, 0, 90 * S)
    assert [(one.to_ms // S, one.cause) for one in found] == [(60, None), (75, "new_buffer"), (90, None)]


def test_fields_that_were_not_said_stay_and_equal_neighbours_are_one_row() -> None:
    points = [p(0, "producing", 6, ""), p(10, None, None, "A1"), p(20, "fault"), p(30, "fault", None, "A1"), p(40, None, None, "")]
    found = rules.timeline(points, [(0, 50 * S)], [], 0, 50 * S)
    assert [(one.from_ms // S, one.state, one.state_raw, one.alarm) for one in found] == [
        (0, "producing", 6, ""),
        (10, "producing", 6, "A1"),
        (20, "fault", 6, "A1"),
        (40, "fault", 6, ""),
    ]


def test_a_stop_is_a_whole_non_producing_stretch_with_its_first_alarm() -> None:
    points = [p(0, "producing"), p(10, "stopped"), p(20, "fault", None, "17"), p(70, "producing", None, "")]
    found = rules.stops(rules.timeline(points, [(0, 100 * S)], [], 0, 100 * S), [], 100 * S)
    assert found == [rules.Stop(10 * S, 70 * S, "fault", "17", 60.0, False)]
    assert not rules.is_micro(found[0], 60) and rules.is_micro(found[0], 61)


def test_set_up_is_a_stop_of_its_own_but_the_whole_stretch_decides_on_micro() -> None:
    points = [p(0, "producing"), p(10, "idle"), p(20, "setup"), p(90, "producing")]
    found = rules.stops(rules.timeline(points, [(0, 100 * S)], [], 0, 100 * S), [], 100 * S)
    assert [(one.from_ms // S, one.to_ms // S, one.state, one.stretch_s) for one in found] == [(10, 20, "idle", 80.0), (20, 90, "setup", 80.0)]


def test_a_gap_ends_a_stop_and_a_stop_at_the_end_of_what_is_known_is_open() -> None:
    points = [p(0, "producing"), p(10, "fault")]
    known = [(0, 30 * S), (40 * S, 80 * S)]
    found = rules.stops(rules.timeline(points, known, [], 0, 100 * S), [], 80 * S)
    assert [(one.from_ms // S, one.to_ms // S, one.open) for one in found] == [(10, 30, False), (40, 80, True)]


def test_a_split_makes_two_stops_each_with_its_own_reason() -> None:
    points = [p(0, "producing"), p(10, "stopped"), p(70, "producing")]
    found = rules.stops(rules.timeline(points, [(0, 100 * S)], [], 0, 100 * S), [40 * S], 100 * S)
    assert [(one.from_ms // S, one.to_ms // S) for one in found] == [(10, 40), (40, 70)]
    notes = [Note("a", 10 * S, 1, "MAT", "P1", ""), Note("b", 40 * S, 2, "TOOL", "P1", "")]
    assert {start // S: note.reason for start, note in rules.explain(found, notes).items()} == {10: "MAT", 40: "TOOL"}


def test_the_later_answer_counts_whatever_order_they_arrive_in() -> None:
    stop = rules.Stop(10 * S, 70 * S, "fault", "", 60.0, False)
    first, second = Note("a", 10 * S, 5, "MAT", "P1", ""), Note("b", 10 * S, 9, "TOOL", "P2", "")
    assert rules.explain([stop], [second, first]) == {10 * S: second}


def test_a_reason_may_come_before_the_stop_and_survive_a_restated_start() -> None:
    stop = rules.Stop(100 * S, 200 * S, "stopped", "", 100.0, False)
    early = Note("a", 60 * S, 60 * S, "MEETING", "P1", "")
    assert rules.explain([stop], [early]) == {100 * S: early}
    assert rules.explain([rules.Stop(55 * S, 200 * S, "stopped", "", 145.0, False)], [early]) == {55 * S: early}
    assert rules.explain([rules.Stop(500 * S, 600 * S, "stopped", "", 100.0, False)], [early]) == {}
    inside = Note("b", 100 * S, 1, "TOOL", "P1", "")
    assert rules.explain([stop], [early, inside]) == {100 * S: inside}


def test_cutting_at_borders_keeps_time_and_states() -> None:
    found = rules.cut([Interval(0, 100, "fault", None, ""), Interval(100, 200, "idle", None, "")], [0, 30, 60, 100, 150, 500])
    assert [(one.from_ms, one.to_ms, one.state) for one in found] == [
        (0, 30, "fault"),
        (30, 60, "fault"),
        (60, 100, "fault"),
        (100, 150, "idle"),
        (150, 200, "idle"),
    ]


# --- laws ---------------------------------------------------------------------------------------------------------------------------
spans = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=8)


def naive(spans: list[tuple[int, int]]) -> set[int]:
    return {at for a, b in spans for at in range(a, b)}


@given(spans, spans)
def test_span_arithmetic_equals_sets(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    a, b = rules.merge(left), rules.merge(right)
    assert naive(a) == naive(left)
    assert naive(rules.subtract(a, b)) == naive(left) - naive(right)
    assert naive(rules.intersect(a, b)) == naive(left) & naive(right)
    assert rules.length_ms(rules.subtract(a, b)) == len(naive(left) - naive(right))


STATES = st.sampled_from([None, "producing", "idle", "fault", "setup"])
facts = st.lists(st.tuples(st.integers(0, 200), STATES, st.sampled_from([None, "", "7"])), max_size=12, unique_by=lambda one: one[0])


@given(facts, spans, st.integers(0, 200), st.integers(1, 60))
def test_a_timeline_is_contiguous_and_windows_put_together_equal_the_whole(
    said: list[tuple[int, str | None, str | None]], known: list[tuple[int, int]], middle: int, micro: int
) -> None:
    points = [Point(at, state, None, alarm) for at, state, alarm in sorted(said, key=lambda one: one[0])]
    lit = rules.merge(known)
    whole = rules.timeline(points, lit, [], 0, 200)
    assert not whole or (whole[0].from_ms == 0 and whole[-1].to_ms == 200)
    assert all(one.to_ms == after.from_ms for one, after in pairwise(whole))
    state_at = {at: (one.state, one.alarm, one.cause) for one in whole for at in range(one.from_ms, one.to_ms)}
    parts = rules.timeline(points, lit, [], 0, middle) + rules.timeline(points, lit, [], middle, 200)
    assert {at: (one.state, one.alarm, one.cause) for one in parts for at in range(one.from_ms, one.to_ms)} == state_at
    stopped = {at for at, (state, _, cause) in state_at.items() if cause is None and state != "producing"}
    found = rules.stops(whole, [middle], None)
    assert naive([(one.from_ms, one.to_ms) for one in found]) == stopped


HOUR = 3_600 * S


@given(
    st.lists(st.tuples(st.integers(0, 26 * HOUR), STATES), min_size=1, max_size=30, unique_by=lambda one: one[0]),
    st.integers(-2 * HOUR, 2 * HOUR),
    st.sampled_from([23, 24, 25]),  # days on which summer time begins, of every other kind, on which it ends
)
def test_a_day_in_which_an_edges_clock_jumped_still_sums_to_the_day(said: list[tuple[int, str | None]], jump_ms: int, hours: int) -> None:
    """R11: after half of the words the clock is set by `jump_ms`, so a stretch is told twice or not at all, in the order of arrival."""
    half = len(said) // 2
    told = said[:half] + [(max(0, at + jump_ms), state) for at, state in said[half:]]
    points = [Point(at, state, None, None) for at, state in sorted(dict(told).items())]
    watch = [Watch("E:1", points[0].at_ms, 26 * HOUR)]
    hole = [Hole(10 * HOUR, 10 * HOUR + max(0, jump_ms), "E:1", "clock")]
    day = rules.timeline(points, rules.known_spans(watch, hole), hole, 0, hours * HOUR)
    assert all(one.to_ms > one.from_ms for one in day)
    assert sum(one.to_ms - one.from_ms for one in day) == hours * HOUR
