"""Feeds facts into a running test server by the very calls ingest makes, and cuts a day's facts into transactions as one likes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from mes_server.energy import service as energy
from mes_server.energy.schemas import ReadingFact
from mes_server.machine_states import service as states
from mes_server.machine_states.schemas import GapFact, StateFact, WatchFact
from tests.support.server import RunningServer

SOURCE = "EDGE-L1:00000000000000aa"


@dataclass
class Facts:
    """One transaction's worth, in record order per device."""

    gaps: list[GapFact] = field(default_factory=list)
    states: list[StateFact] = field(default_factory=list)
    readings: list[ReadingFact] = field(default_factory=list)
    watches: list[WatchFact] = field(default_factory=list)

    def book(self, session: Session) -> None:
        """The calls and their order are FACTS.md's."""
        if self.gaps:
            states.record_gaps(session, self.gaps)
        if self.states:
            states.record_states(session, self.states)
        if self.readings:
            energy.record_readings(session, self.readings)
        if self.watches:
            states.record_watch(session, self.watches)


def feed(server: RunningServer, batches: Iterable[Facts]) -> None:
    for batch in batches:
        server.kit.acts.run_system_sync(batch.book)


def history(machine: str, points: Sequence[tuple[int, str, str]], from_ms: int, until_ms: int, source: str = SOURCE) -> Facts:
    """(at_ms, state, alarm) change points of one machine that was in view over [from_ms, until_ms)."""
    return Facts(
        states=[StateFact(machine, at, state, None, alarm) for at, state, alarm in points],
        watches=[WatchFact(machine, source, from_ms, until_ms)],
    )


def gap(subject: str, from_ms: int, to_ms: int, cause: str = "source_lost", source: str = SOURCE, machine: bool = True) -> GapFact:
    return GapFact(subject, subject, source, subject if machine else None, from_ms, to_ms, cause, "", False, None)


def rows(server: RunningServer, path: str, **params: Any) -> Any:
    """GET with every right; the JSON of a 200."""
    if "from_" in params:
        params["from"] = params.pop("from_")
    answer = server.client().get(path, params=params)
    assert answer.status_code == 200, f"{path} → {answer.status_code}: {answer.text[:600]}"
    return answer.json()
