"""Which records may be applied now: one lane a store, a bounded window for what comes too early. Pure.

A lane applies record n only after n-1. What lies further ahead is held (bounded by count and bytes); what finds no room is dropped, because the
edge sends it again. After a failed commit the lane is set back to what is really stored, and the edge, which got no answer, sends again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Lane(Generic[T]):
    """`mark`: the newest record handed out for applying, in order, without a hole."""

    mark: int
    held: dict[int, tuple[T, int]] = field(default_factory=dict)
    held_bytes: int = 0
    repeats: int = 0
    dropped: int = 0

    def offer(self, n: int, item: T, size: int, *, held_max: int = 2_000, bytes_max: int = 8_000_000) -> list[tuple[int, T]]:
        """The records that are due now, in order (often just this one, often none)."""
        if n <= self.mark:
            self.repeats += 1
            return []
        if n > self.mark + 1:
            if n not in self.held:
                if len(self.held) >= held_max or self.held_bytes + size > bytes_max:
                    self._make_room(n)
                if len(self.held) < held_max and self.held_bytes + size <= bytes_max:
                    self.held[n] = (item, size)
                    self.held_bytes += size
                else:
                    self.dropped += 1
            return []
        due = [(n, item)]
        self.mark = n
        self._forget(n)
        while (following := self.held.get(self.mark + 1)) is not None:
            self.mark += 1
            due.append((self.mark, following[0]))
            self._forget(self.mark)
        return due

    def reset(self, mark: int) -> None:
        """What was handed out after `mark` was not stored."""
        self.mark = mark
        self.held.clear()
        self.held_bytes = 0

    def _make_room(self, n: int) -> None:
        """The nearest records are worth most: the farthest one goes if it is farther than n."""
        farthest = max(self.held, default=0)
        if farthest > n:
            self._forget(farthest)
            self.dropped += 1

    def _forget(self, n: int) -> None:
        found = self.held.pop(n, None)
        if found is not None:
            self.held_bytes -= found[1]


@dataclass(slots=True, eq=False)
class Stream(Generic[T]):
    """One buffer epoch of one edge: the facts' lane, the samples' lane, what both have stored."""

    edge: str
    epoch: str
    facts: Lane[T]
    samples: Lane[T]
    facts_stored: int
    samples_stored: int
    newest: int = 0  # highest number seen on the wire or told by a birth

    @classmethod
    def at(cls, edge: str, epoch: str, facts_mark: int, samples_mark: int) -> Stream[T]:
        return cls(edge, epoch, Lane(facts_mark), Lane(samples_mark), facts_mark, samples_mark)

    def lost_before(self, oldest_kept: int) -> int:
        """The edge keeps nothing before `oldest_kept` (we had answered it, then lost our store): go on from there. Returns how many are lost."""
        lost = max(0, oldest_kept - 1 - min(self.facts_stored, self.samples_stored))
        if self.facts_stored < oldest_kept - 1:
            self.facts_stored = oldest_kept - 1
            self.facts.reset(self.facts_stored)
        if self.samples_stored < oldest_kept - 1:
            self.samples_stored = oldest_kept - 1
            self.samples.reset(self.samples_stored)
        return lost

    @property
    def stored_up_to(self) -> int:
        """What may be answered."""
        return min(self.facts_stored, self.samples_stored)
