"""Laws of delivery: whatever the network does to the messages, the stores end in one and the same state."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.ingest import EPOCH, Bench, bench, births, state_hash, story


def clean_run(folder: Path, seed: int) -> tuple[str, int]:
    with bench(folder) as clean:
        clean.feed(*births(), *story(seed))
        clean.commit()
        return state_hash(clean), clean.booking.good()


def disturbed(messages: list[tuple[str, bytes]], rng: random.Random, window: int) -> list[tuple[str, bytes]]:
    """Each message one to five times, shuffled within a window."""
    copies = [(place + rng.random() * window, message) for place, message in enumerate(messages) for _ in range(rng.randint(1, 5))]
    return [message for _, message in sorted(copies, key=lambda one: one[0])]


def deliver(made: Bench, messages: list[tuple[str, bytes]], rng: random.Random) -> None:
    """In cuts of random size, a commit after each; now and then the process is started anew."""
    made.feed(*births())
    while messages:
        size = rng.randint(1, 40)
        made.feed(*messages[:size])
        messages = messages[size:]
        made.commit()
        if rng.random() < 0.1:
            made.new_service()
            made.feed(*births())


@pytest.mark.parametrize("seeds", [40, pytest.param(1_000, marks=pytest.mark.full)])
def test_any_order_any_repetition_any_cut_gives_the_same_state(tmp_path: Path, seeds: int) -> None:
    rng = random.Random(7)
    stories = [(story(seed), clean_run(tmp_path / f"clean{seed}", seed)[0]) for seed in range(10)]
    assert len({wanted for _, wanted in stories}) == 10, "the hash sees the stories' differences"
    for seed in range(seeds):
        messages, wanted = stories[seed % 10]
        with bench(tmp_path / f"run{seed}") as made:
            deliver(made, disturbed(messages, rng, window=30), rng)
            while made.service.intake.stream("EDGE-L1", EPOCH).stored_up_to < len(messages):  # what a restart forgot is sent again
                made.feed(*messages)
                made.commit()
            assert state_hash(made) == wanted, f"seed {seed}"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), dropped=st.sets(st.integers(0, 59), max_size=25), cut=st.integers(1, 60))
def test_lost_messages_that_come_again_change_nothing(tmp_path_factory: pytest.TempPathFactory, seed: int, dropped: set[int], cut: int) -> None:
    folder = tmp_path_factory.mktemp("law")
    wanted, good = clean_run(folder / "clean", seed)
    messages = story(seed)
    with bench(folder / "run") as made:
        made.feed(*births())
        made.feed(*(message for place, message in enumerate(messages[:cut]) if place not in dropped))
        made.commit()
        made.feed(*(message for place, message in enumerate(messages) if place not in dropped))
        made.commit()
        stored = made.answers[-1][1] if made.answers else 0
        assert stored == min(dropped, default=60), "answered exactly up to the first hole"
        made.feed(*messages[stored:])
        made.commit()
        assert state_hash(made) == wanted and made.booking.good() == good
        assert made.answers[-1] == (EPOCH, 60)


def test_nothing_is_answered_that_is_not_in_both_stores(tmp_path: Path) -> None:
    from mes_server.telemetry.errors import TelemetryFailed
    from mes_server.telemetry.memory_store import MemoryStore

    class Broken(MemoryStore):
        broken = True

        def append(self, samples, marks):  # type: ignore[no-untyped-def]
            if self.broken:
                raise TelemetryFailed(why="disk full")
            super().append(samples, marks)

    store = Broken()
    messages = story(3)
    with bench(tmp_path, telemetry=store) as made:
        made.feed(*births(), *messages)
        made.commit()
        assert made.answers[-1] == (EPOCH, 0), "telemetry is down: facts are booked, the answer waits"
        assert made.booking.good() > 0 and made.scalar("select n from ingest_mark") == 60
        booked = made.booking.good()
        store.broken = False
        made.service.committer._telemetry_again_s = 0.0
        made.feed(*messages)
        made.commit()
        assert made.answers[-1] == (EPOCH, 60) and made.booking.good() == booked, "sampled now, booked once"
        with bench(tmp_path / "clean") as clean:
            clean.feed(*births(), *messages)
            clean.commit()
            assert state_hash(made) == state_hash(clean)
