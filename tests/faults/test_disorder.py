"""R12: each message comes one to five times, shuffled in a window of 1,000; the stores end as in the run where nothing happened."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.ingest import EPOCH, bench, births, state_hash, story

WINDOW = 1_000
CUT = 400  # messages of one commit group at most


def disturbed(messages: list[tuple[str, bytes]], dice: random.Random) -> list[tuple[str, bytes]]:
    copies = [(place + dice.random() * WINDOW, message) for place, message in enumerate(messages) for _ in range(dice.randint(1, 5))]
    return [message for _, message in sorted(copies, key=lambda one: one[0])]


def clean(folder: Path, seed: int, records: int) -> str:
    with bench(folder) as made:
        made.feed(*births(), *story(seed, records))
        made.commit()
        return state_hash(made)


@pytest.mark.parametrize(
    ("seeds", "records"), [(20, 250), pytest.param(1_000, 400, marks=pytest.mark.full), pytest.param(20, 3_000, marks=pytest.mark.full)]
)
def test_r12_repeats_and_disorder_change_nothing(tmp_path: Path, seeds: int, records: int) -> None:
    stories = 5
    wanted = [clean(tmp_path / f"clean{seed}", seed, records) for seed in range(stories)]
    assert len(set(wanted)) == stories, "the hash sees the stories' differences"
    for seed in range(seeds):
        print(f"seed {seed}")
        dice = random.Random(seed)
        messages = disturbed(story(seed % stories, records), dice)
        with bench(tmp_path / f"run{seed}") as made:
            made.feed(*births())
            while messages:
                size = dice.randint(1, CUT)
                made.feed(*messages[:size])
                messages = messages[size:]
                made.commit()
            assert made.answers[-1] == (EPOCH, records), f"seed {seed}: nothing has to be sent again inside the window"
            assert state_hash(made) == wanted[seed % stories], f"seed {seed}"
