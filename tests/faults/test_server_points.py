"""R06 at every point of the commit: before it, between the two stores, after it and before the answer, and again in the replay that follows.

The process's death is an exception nobody catches, at a chosen call; what lives on is what the two stores hold. The real kill -9 under load is
test_server_kill.py.
"""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import pytest

from mes_server.telemetry.memory_store import MemoryStore
from mes_server.telemetry.store import Samples
from tests.support.ingest import EPOCH, Bench, bench, births, state_hash, story

POINTS = ("before the commit", "between the stores", "before the answer", "after the answer")


class Died(BaseException):
    """kill -9: nothing of this process runs on."""


class Store(MemoryStore):
    """Telemetry under which the process dies before or after an append."""

    die_before = die_after = False

    def append(self, samples: Samples, marks: Any) -> None:
        if self.die_before:
            raise Died
        super().append(samples, marks)
        if self.die_after:
            raise Died


class Deaths:
    """Feeds a story as an edge does, from the last answer on; each commit may be the server's last."""

    def __init__(self, made: Bench, store: Store, messages: list[tuple[str, bytes]], dice: random.Random) -> None:
        self.made, self.store, self.messages, self.dice = made, store, messages, dice
        self.kills = dict.fromkeys(POINTS, 0)

    @property
    def answered(self) -> int:
        return max((n for _, n in self.made.answers), default=0)

    def one(self, point: str) -> None:
        self.made.feed(*births(last=len(self.messages), waiting=len(self.messages) - self.answered))
        until = self.answered + self.dice.randint(1, 12)
        self.made.feed(*self.messages[self.answered : until])
        self.kills[point] += 1
        with contextlib.suppress(Died):
            self._commit(point)
        self.store.die_before = self.store.die_after = False
        self.made.new_service()

    def _commit(self, point: str) -> None:
        self.store.die_before = point == "before the commit"
        self.store.die_after = point == "between the stores"
        if point == "before the answer":

            def silent(where: str, payload: bytes) -> None:
                raise Died

            self.made.service.send = silent  # type: ignore[method-assign]
        self.made.commit()


@pytest.mark.parametrize("kills", [40, pytest.param(2_000, marks=pytest.mark.full)])
def test_r06_killed_at_each_point_of_a_commit_and_in_the_replay(tmp_path: Path, kills: int) -> None:
    print(f"seed {kills}")
    dice = random.Random(kills)
    messages = story(6, 6 * kills)
    with bench(tmp_path / "clean") as clean:
        clean.feed(*births(), *messages)
        clean.commit()
        wanted = state_hash(clean)
    store = Store()
    with bench(tmp_path / "killed", telemetry=store) as made:
        deaths = Deaths(made, store, messages, dice)
        for _ in range(kills):
            deaths.one(dice.choice(POINTS))
        made.feed(*births(last=len(messages), waiting=len(messages) - deaths.answered), *messages[deaths.answered :])
        made.commit()
        assert made.answers[-1] == (EPOCH, len(messages))
        assert state_hash(made) == wanted
        assert min(deaths.kills.values()) > 0, deaths.kills
        print(f"{deaths.kills}, {len(messages)} records, 0 missing, 0 twice")
