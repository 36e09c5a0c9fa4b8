"""Pure rules of orders, case by case."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mes_server.kit.errors import MesError
from mes_server.work_orders import rules
from mes_server.work_orders.errors import ORDER_WORDS
from mes_server.work_orders.rules import Claim, Claims
from mes_server.work_orders.values import Change, Mark, Pieces, Run

# (good, scrap, order quantity, made, cycle s, seconds since the last report) → what the server says (user_journeys G2)
PLAUSIBILITY = [
    (10, 0, 200, 0, 30.0, 600, "take"),
    (0, 2, 200, 10, 30.0, 60, "take"),
    (1, 0, 200, 199, 30.0, 60, "take"),
    (11, 0, 200, 190, 1.0, 600, "take"),  # one over: inside the tolerance
    (20, 0, 200, 190, 1.0, 600, "take"),  # 210 of 200: tolerance 5 %
    (21, 0, 200, 190, 1.0, 600, "ask"),
    (24, 0, 200, 118, 30.0, 600, "take"),
    (31, 0, 200, 118, 30.0, 600, "ask"),  # 600 s allow 20, × 1.5 = 30
    (5, 0, 200, 0, 3600.0, 1, "take"),  # so few are never asked for their pace
    (6, 0, 200, 0, 3600.0, 1, "ask"),
    (82, 0, 200, 118, 1.0, 600, "take"),
    (2400, 0, 200, 118, 1.0, 600, "refuse"),  # more than ten times the order
    (2000, 0, 200, 0, 0.1, 6000, "ask"),
    (2001, 0, 200, 0, 0.1, 6000, "refuse"),
    (0, 0, 200, 0, 30.0, 60, "refuse"),
    (-1, 0, 200, 0, 30.0, 60, "refuse"),
    (0, -3, 200, 0, 30.0, 60, "refuse"),
    (3.7, 0, 200, 0, 30.0, 600, "refuse"),
    (1_000_000, 0, 999_999, 0, None, None, "refuse"),
    (6_901_234_567_892, 0, 200, 0, 30.0, 60, "refuse"),  # an EAN is no quantity
    (math.nan, 0, 200, 0, 30.0, 60, "refuse"),
    (math.inf, 0, 200, 0, 30.0, 60, "refuse"),
    (1e5, 0, 99_999, 0, None, None, "take"),
    (50, 0, 200, 0, None, 1, "take"),  # no ideal cycle: no pace to ask about
    (50, 0, 200, 0, 30.0, None, "take"),
]


@pytest.mark.parametrize(("good", "scrap", "quantity", "made", "cycle_s", "since_s", "verdict"), PLAUSIBILITY)
def test_a_quantity_is_taken_asked_or_refused(
    good: float, scrap: float, quantity: int, made: int, cycle_s: float | None, since_s: int | None, verdict: str
) -> None:
    at_ms = 1_000_000_000

    def judge() -> str:
        try:
            said = rules.pieces_said(good, scrap, 0, quantity)
            rules.ask_if_over(said, made, quantity)
            rules.ask_if_too_fast(said, cycle_s, None if since_s is None else at_ms - since_s * 1000, at_ms)
        except MesError as error:
            return "ask" if error.code == "needs_confirmation" else "refuse"
        return "take"

    assert judge() == verdict


@pytest.mark.parametrize(
    ("counting", "said", "booked"),
    [
        ("person", Pieces(10, 2, 1), Pieces(10, 2, 1)),
        ("machine", Pieces(0, 2, 0), Pieces(-2, 2, 0)),  # scrap moves, it never adds
        ("machine", Pieces(0, 0, 3), Pieces(-3, 0, 3)),
        ("both", Pieces(5, 2, 0), Pieces(3, 2, 0)),
    ],
)
def test_what_a_report_books_depends_on_who_counts(counting: str, said: Pieces, booked: Pieces) -> None:
    assert rules.booked(counting, said) == booked


def test_good_by_hand_on_a_machine_counted_operation_is_refused() -> None:
    with pytest.raises(MesError) as refused:
        rules.booked("machine", Pieces(1, 0, 0), "WO-1/20")
    assert refused.value.code == "machine_counts"


def _mark(kind: str, at: int, machine: str | None = "M1", event: str | None = None) -> Mark:
    return Mark(kind, at, event or f"{kind}{at}{machine}", machine, "P")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("marks", "status", "runs"),
    [
        ([], None, []),
        ([_mark("start", 10)], "running", [("M1", 10, None)]),
        ([_mark("start", 10), _mark("interrupt", 20)], "interrupted", [("M1", 10, 20)]),
        ([_mark("start", 10), _mark("start", 15)], "running", [("M1", 10, None)]),
        ([_mark("start", 10), _mark("start", 12, "M2"), _mark("interrupt", 20)], "running", [("M1", 10, 20), ("M2", 12, None)]),
        ([_mark("start", 10), _mark("start", 12, "M2"), _mark("complete", 20, None)], "completed", [("M1", 10, 20), ("M2", 12, 20)]),
        ([_mark("complete", 20, None)], "completed", []),
        ([_mark("start", 10), _mark("complete", 20, None), _mark("start", 30)], "completed", [("M1", 10, 20)]),
        ([_mark("start", 10), _mark("complete", 20, None), _mark("complete", 15, None)], "completed", [("M1", 10, 15)]),
        ([_mark("interrupt", 10)], None, []),
        ([_mark("start", 10), _mark("interrupt", 10)], "running", [("M1", 10, None)]),  # pause and start on one tap: it runs
        ([_mark("skip", 10, None)], "skipped", []),
        ([_mark("start", 5), _mark("abort", 10, None)], "aborted", [("M1", 5, 10)]),
    ],
)
def test_marks_say_status_and_runs(marks: list[Mark], status: str | None, runs: list[tuple[str, int, int | None]]) -> None:
    for order in (marks, marks[::-1]):
        found = rules.progress(order)
        assert found.status == status
        assert [(run.machine, run.from_ms, run.to_ms) for run in found.runs] == runs


_marks = st.lists(
    st.builds(
        _mark,
        st.sampled_from(["start", "interrupt", "complete"]),
        st.integers(0, 50),
        st.sampled_from(["M1", "M2"]),
        st.uuids().map(str),
    ),
    max_size=12,
)


@given(_marks, st.randoms())
def test_runs_of_one_machine_never_overlap_and_arrival_does_not_matter(marks: list[Mark], rng: object) -> None:
    mixed = list(marks)
    rng.shuffle(mixed)  # type: ignore[attr-defined]
    found = rules.progress(marks)
    assert found == rules.progress(mixed)
    by_machine: dict[str, list[Run]] = {}
    for run in found.runs:
        by_machine.setdefault(run.machine, []).append(run)
    for runs in by_machine.values():
        for earlier, later in pairwise(runs):
            assert earlier.to_ms is not None and earlier.to_ms <= later.from_ms


def _change(kind: str, at: int, good: int = 0, event: str = "e") -> Change:
    return Change(kind, at, f"{event}{at}", Pieces(good))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "good"),
    [
        ([], 10),
        ([_change("undo", 5)], 0),
        ([_change("correct", 5, 8)], 8),
        ([_change("correct", 5, 8), _change("correct", 9, 7)], 7),
        ([_change("correct", 9, 7), _change("correct", 5, 8)], 7),
        ([_change("correct", 9, 7), _change("undo", 5)], 0),
    ],
)
def test_the_latest_correction_holds_and_an_undo_is_final(changes: list[Change], good: int) -> None:
    assert rules.settled(Pieces(10), changes).good == good


def test_a_piece_belongs_to_the_latest_begun_run_that_covers_it() -> None:
    claims = Claims([Claim(1, 0, 100), Claim(2, 50, 60), Claim(3, 200, None)])
    assert [claims.owner(at) for at in (0, 49, 50, 59, 60, 99, 100, 199, 200, 999)] == [1, 1, 2, 2, 1, 1, None, None, 3, 3]
    assert claims.owner(-1) is None


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 40), st.one_of(st.none(), st.integers(1, 20))), max_size=8), st.integers(0, 70))
def test_attribution_equals_a_plain_search(spans: list[tuple[int, int, int | None]], at: int) -> None:
    made = [Claim(who, begin, None if length is None else begin + length) for who, begin, length in spans]
    covering = [one for one in made if one.from_ms <= at and (one.to_ms is None or at < one.to_ms)]
    expected = max(covering, key=lambda one: (one.from_ms, one.operation_id)).operation_id if covering else None
    assert Claims(made).owner(at) == expected


@pytest.mark.parametrize(
    ("current", "operations", "begun", "status"),
    [
        ("released", ["ready", "pending"], False, "released"),
        ("released", ["running", "pending"], True, "in_progress"),
        ("in_progress", ["ready", "pending"], False, "released"),
        ("in_progress", ["completed", "completed"], True, "completed"),
        ("in_progress", ["completed", "skipped", "aborted"], True, "completed"),
        ("completed", ["completed", "running"], True, "in_progress"),
        ("on_hold", ["completed"], True, "on_hold"),
        ("cancelled", ["running"], True, "cancelled"),
        ("draft", ["pending"], False, "draft"),
        ("closed", ["completed"], True, "closed"),
    ],
)
def test_order_status_follows_its_operations(current: str, operations: list[str], begun: bool, status: str) -> None:
    assert rules.order_status(current, operations, begun) == status


def test_the_state_tables_hold_the_vocabulary() -> None:
    assert set(rules.ORDER_TRANSITIONS) == {"draft", "released", "in_progress", "on_hold", "completed", "closed", "cancelled"}
    assert set(rules.OPERATION_TRANSITIONS) == {"pending", "ready", "running", "interrupted", "completed", "skipped", "aborted"}
    assert set(ORDER_WORDS) == set(rules.ORDER_TRANSITIONS)
    for table in (rules.ORDER_TRANSITIONS, rules.OPERATION_TRANSITIONS):
        assert all(target in table for targets in table.values() for target in targets)


def test_a_quantity_below_what_is_made_is_answered_with_what_is_made() -> None:
    assert rules.quantity_proposal(118, 150) is None and rules.quantity_proposal(118, 118) is None and rules.quantity_proposal(118, 100) == 118
