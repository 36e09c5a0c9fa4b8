"""Which records may be applied now: one lane a store, a bounded window for what comes too early. Pure.

A lane applies record n only after n-1. What lies a little further ahead is held (bounded by count and by the bytes of the messages it came in);
what finds no room is dropped, because the edge sends it again. Two kinds come ahead: the later records of a bundle, until the other devices' bundles
of the same window are there, and live ones beside a backlog. After a failed commit the lane is set back to what is really stored, and the edge,
which got no answer, sends again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

HELD_MAX = 4_096  # records ahead of their turn; an edge sends windows of 2,048
HELD_BYTES_MAX = 8_000_000


@dataclass(slots=True)
class Lane(Generic[T]):
    """`mark`: the newest record handed out for applying, in order, without a hole."""

    mark: int
    held: dict[int, tuple[T, bytes]] = field(default_factory=dict)  # each with the message it came in
    held_bytes: int = 0  # of these messages
    repeats: int = 0
    dropped: int = 0
    _messages: dict[int, int] = field(default_factory=dict)  # id of a message -> records held of it

    def offer(self, offered: Iterable[tuple[int, T, bytes]]) -> list[T]:
        """Takes (n, item, message it came in) in any order, best by n. Returns what is due now, in order."""
        due: list[T] = []
        held, mark = self.held, self.mark
        for n, item, message in offered:
            if n == mark + 1:
                due.append(item)
                mark = n
                if held:
                    self._forget(n)
                    while (following := held.get(mark + 1)) is not None:
                        mark += 1
                        due.append(following[0])
                        self._forget(mark)
            elif n <= mark:
                self.repeats += 1
            else:
                self._hold(n, mark, item, message)
        self.mark = mark
        return due

    def reset(self, mark: int) -> None:
        """What was handed out after `mark` was not stored."""
        self.mark = mark
        self.forget_held()

    def forget_held(self) -> None:
        """The session is over: what came ahead of its turn comes again."""
        self.held.clear()
        self._messages.clear()
        self.held_bytes = 0

    def _hold(self, n: int, mark: int, item: T, message: bytes) -> None:
        if n in self.held:
            return
        if n > mark + HELD_MAX or not self._has_room(n, message):
            self.dropped += 1
            return
        if id(message) not in self._messages:
            self.held_bytes += len(message)
        self._messages[id(message)] = self._messages.get(id(message), 0) + 1
        self.held[n] = item, message

    def _has_room(self, n: int, message: bytes) -> bool:
        """The nearest records are worth most: when the bytes are used up, the farther half goes as far as it is farther than n."""
        if id(message) in self._messages or self.held_bytes + len(message) <= HELD_BYTES_MAX:
            return True
        numbers = sorted(self.held)
        for farther in numbers[len(numbers) // 2 :]:
            if farther > n:
                self._forget(farther)
                self.dropped += 1
        return self.held_bytes + len(message) <= HELD_BYTES_MAX

    def _forget(self, n: int) -> None:
        found = self.held.pop(n, None)
        if found is None:
            return
        message = found[1]
        left = self._messages.pop(id(message)) - 1
        if left:
            self._messages[id(message)] = left
        else:
            self.held_bytes -= len(message)


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

    def forget_held(self) -> None:
        self.facts.forget_held()
        self.samples.forget_held()

    @property
    def stored_up_to(self) -> int:
        """What may be answered."""
        return min(self.facts_stored, self.samples_stored)
