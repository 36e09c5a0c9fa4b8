"""Facts from records: pure, golden."""

from __future__ import annotations

import itertools
import random

from edge_agent.contract.delivery import GapRecord
from edge_agent.contract.names import GapCause
from mes_server.ingest.facts import Count, DeviceState, Event, Facts, Reading, Shift, StateChange, apply

A, B = "a" * 16, "b" * 16
T = 1_772_409_600_000


def run(*records: tuple[str, list[Event]], state: DeviceState | None = None) -> tuple[DeviceState, Facts]:
    into = Facts()
    for epoch, events in records:
        state = apply(state, epoch, events, into)
    assert state is not None
    return state, into


def good(total: int, at: int, raw: int | None = None) -> list[Event]:
    return [("good_total", T + at, float(total))] + ([("good_raw", T + at, float(raw))] if raw is not None else [])


def test_the_first_total_is_a_baseline_and_the_next_a_count() -> None:
    _, facts = run((A, good(17, 0)), (A, good(19, 500)), (A, good(19, 900)))
    assert facts.counts == [Count(T + 500, 2, 0, "", "", T)]


def test_a_count_belongs_to_the_order_before_it() -> None:
    _, facts = run(
        (A, [*good(0, 0), ("order", T, "WO-1"), ("operation", T, "20")]),
        (A, [*good(1, 500), ("order", T + 500, "WO-2"), ("operation", T + 500, "30")]),
        (A, good(2, 900)),
    )
    assert [(count.order, count.operation) for count in facts.counts] == [("WO-1", "20"), ("WO-2", "30")]


def test_good_and_scrap_of_one_moment_are_one_count() -> None:
    _, facts = run((A, [*good(0, 0), ("scrap_total", T, 0.0)]), (A, [*good(3, 7), ("scrap_total", T + 7, 1.0)]))
    assert facts.counts == [Count(T + 7, 3, 1, "", "", T)]


def test_a_total_that_falls_within_an_epoch_never_counts_twice() -> None:
    _, facts = run((A, good(10, 0)), (A, good(4, 1)), (A, good(11, 2)))
    assert sum(count.good for count in facts.counts) == 1 and facts.strange == 1


WORDS = "the edge's buffer was replaced; the machine's counter says that 8 good were made meanwhile"


def test_a_new_buffer_goes_on_from_the_plc_counter_and_marks_the_gap() -> None:
    _, facts = run(
        (A, [*good(100, 0, raw=7100), ("watched_until", T + 1000, T + 1000)]),
        (B, good(7108, 5000, raw=7108)),
        (B, good(7109, 6000, raw=7109)),
    )
    assert [(count.good, count.since_ms) for count in facts.counts] == [(8, T), (1, T + 5000)]
    assert facts.gaps == [GapRecord(T + 1000, T + 5000, GapCause.NEW_BUFFER, WORDS)]


def test_a_new_buffer_after_a_reset_says_what_may_be_missing() -> None:
    _, facts = run((A, good(100, 0, raw=7100)), (B, good(5, 5000, raw=5)), (B, good(6, 6000, raw=6)))
    assert sum(count.good for count in facts.counts) == 1
    assert facts.gaps[-1] == GapRecord(T, T + 5000, GapCause.NEW_BUFFER, "good counter reset", True, 5)


def test_two_buffers_of_one_edge_never_count_a_piece_twice() -> None:
    """A cloned card, or an old disk that comes back: both saw the same PLC counter."""
    rng = random.Random(4)
    for _ in range(50):
        raw, at, state, into = 1000, 0, None, Facts()
        bases = {A: 1000 - rng.randrange(900), B: 1000}
        first = raw
        for _ in range(60):
            raw, at = raw + rng.randrange(3), at + rng.randrange(1, 5)
            epochs = [rng.choice([A, B])] if rng.random() < 0.7 else [A, B]
            for epoch in epochs:
                state = apply(state, epoch, good(raw - bases[epoch], at, raw), into)
            last = raw
        counted = sum(count.good for count in into.counts)
        assert counted <= last - first and last - first - counted <= 2, "the first total is a baseline, everything after is counted once"


def test_an_old_disk_that_comes_back_brings_nothing_that_was_counted_meanwhile() -> None:
    _, facts = run(
        (A, good(100, 0, raw=7100)),
        (B, good(7108, 5_000, raw=7108)),
        (A, good(105, 3_000, raw=7105)),
        (A, good(108, 5_000, raw=7108)),
        (A, good(112, 9_000, raw=7112)),
        (A, good(113, 9_500, raw=7113)),
    )
    assert [(count.at_ms - T, count.good) for count in facts.counts] == [(5_000, 8), (9_000, 4), (9_500, 1)]


def test_energy_continues_over_a_new_buffer() -> None:
    _, facts = run(
        (A, [("energy_import_wh", T, 500.0)]),
        (A, [("energy_import_wh", T + 10, 520.0), ("energy_reactive_varh", T + 10, 3.0)]),
        (B, [("energy_import_wh", T + 60, 530.0)]),
        (B, [("energy_import_wh", T + 70, 531.5)]),
    )
    assert facts.readings == [
        Reading(T, 500.0, None, None),
        Reading(T + 10, 520.0, None, 3.0),
        Reading(T + 60, 530.0, None, 3.0),
        Reading(T + 70, 531.5, None, 3.0),
    ]


def test_what_the_edge_added_to_a_display_is_told_when_it_changes_and_a_new_buffer_goes_on_from_the_display() -> None:
    """The edge took a smaller display for a reset (offset 500): its total goes on. A new buffer begins at the display again."""
    _, facts = run(
        (A, [("energy_import_wh", T, 500.0)]),
        (A, [("energy_import_wh", T + 10, 503.0), ("energy_import_offset_wh", T + 10, 500.0)]),
        (A, [("energy_import_wh", T + 20, 505.0), ("energy_import_offset_wh", T + 20, 500.0)]),
        (B, [("energy_import_wh", T + 60, 9.0)]),
        (B, [("energy_import_wh", T + 70, 11.0)]),
    )
    assert [reading.import_wh for reading in facts.readings] == [500.0, 503.0, 505.0, 509.0, 511.0]
    assert facts.shifts == [Shift(T + 10, "energy_import_wh", 500.0)]


def test_an_energy_register_that_falls_stands_still() -> None:
    _, facts = run((A, [("energy_import_wh", T, 500.0)]), (A, [("energy_import_wh", T + 1, 3.0)]), (A, [("energy_import_wh", T + 2, 501.0)]))
    assert [reading.import_wh for reading in facts.readings] == [500.0, 500.0, 501.0]


def test_states_say_only_what_was_said() -> None:
    _, facts = run((A, [("state", T, "producing"), ("state_raw", T, 6.0)]), (A, [("alarm", T + 5, "17")]), (A, [("state", T + 9, "flying")]))
    assert facts.states == [StateChange(T, "producing", 6, None), StateChange(T + 5, None, None, "17")]
    assert facts.strange == 1


def test_a_watch_proves_everything_up_to_it() -> None:
    state, facts = run((A, [("state", T, "idle")]), (A, [("watched_until", T + 5_000, float(T + 4_900))]))
    assert (facts.first_ms, facts.proven_ms) == (T, T + 4_900) and state.proven_ms == T + 4_900


def test_nonsense_is_counted_and_harmless() -> None:
    strange: list[Event] = [
        ("good_total", T, float("nan")), ("good_total", T, 1e300), ("good_total", T, "many"), ("state", T, 5.0), ("gap", T, "{"),
        ("gap", T, '{"from_ms":5,"to_ms":1}'),
        ("watched_until", T, -1.0), ("state", -5, "idle"), ("state", 2**62, "idle"), ("energy_import_wh", T, float("inf")),
    ]  # fmt: skip
    _, facts = run((A, strange))
    assert facts.strange == len(strange) and not facts.counts and not facts.states and not facts.readings


def test_the_carried_state_survives_json() -> None:
    state, _ = run((A, [*good(5, 0, 1005), ("order", T, "WO-1"), ("energy_import_wh", T, 0.1 + 0.2)]), (B, [("watched_until", T + 9, T + 9)]))
    assert DeviceState.from_json(state.to_json()) == state


def test_cutting_records_into_transactions_changes_nothing() -> None:
    rng = random.Random(1)
    records: list[tuple[str, list[Event]]] = []
    total = at = 0
    for _ in range(40):
        total, at = total + rng.randrange(3), at + rng.randrange(1, 9)
        records.append((A if at < 120 else B, [*good(total, at, total), ("state", T + at, rng.choice(["idle", "producing"]))]))
    whole_state, whole = run(*records)
    for size in (1, 3, 7):
        state: DeviceState | None = None
        counts, states, gaps = [], [], []
        for start in range(0, len(records), size):
            state, part = run(*records[start : start + size], state=None if state is None else DeviceState.from_json(state.to_json()))
            counts += part.counts
            states += part.states
            gaps += part.gaps
        assert (state, counts, states, gaps) == (whole_state, whole.counts, whole.states, whole.gaps)


def test_every_order_within_one_record_is_the_same() -> None:
    events: list[Event] = [("order", T, "WO-1"), ("good_total", T + 1, 3.0), ("state", T, "idle"), ("good_total", T, 1.0)]
    outcomes = {repr(run((A, list(order)))) for order in itertools.permutations(events)}
    assert len(outcomes) == 1
