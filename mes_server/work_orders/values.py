"""The small values that rules, SQL and services share: pieces, changes of a report, marks, runs. No behaviour beyond adding up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MarkKind = Literal["start", "interrupt", "complete", "skip", "abort"]


@dataclass(frozen=True, slots=True)
class Pieces:
    """Whole pieces; signed where they are a difference."""

    good: int = 0
    scrap: int = 0
    rework: int = 0

    @property
    def total(self) -> int:
        return self.good + self.scrap + self.rework

    def __sub__(self, other: Pieces) -> Pieces:
        return Pieces(self.good - other.good, self.scrap - other.scrap, self.rework - other.rework)

    def __add__(self, other: Pieces) -> Pieces:
        return Pieces(self.good + other.good, self.scrap + other.scrap, self.rework + other.rework)


@dataclass(frozen=True, slots=True)
class Change:
    """An undo or a correction of one report; `said` is what should have been said (undo: nothing)."""

    kind: Literal["undo", "correct"]
    acted_ms: int
    event_id: str
    said: Pieces
    person: str | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    kind: MarkKind
    at_ms: int
    event_id: str
    machine: str | None = None  # None: every machine
    person: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """An operation on a machine during [from_ms, to_ms); to_ms None while it runs."""

    machine: str
    person: str | None
    from_ms: int
    to_ms: int | None
