"""Bounds on wrong sign-ins: a lock per person, a rate per address, device and badge. In memory; known and unknown names are treated alike."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from edge_agent.contract.clock import Clock
from mes_server.identity.errors import TooManyTries

KEYS_MAX = 20_000
MINUTE_MS = 60_000


@dataclass(slots=True)
class _Count:
    wrong: int = 0
    since_ms: int = 0
    locked_until_ms: int = 0


class Limits:
    """`wrong_max` wrong tries of a person lock it for `locked_s`; an address, device or badge may be wrong `per_minute_max` times a minute."""

    def __init__(self, real: Clock, *, wrong_max: int, locked_s: int, per_minute_max: int) -> None:
        self._real = real
        self._wrong_max = wrong_max
        self._locked_ms = locked_s * 1000
        self._per_minute_max = per_minute_max
        self._counts: OrderedDict[str, _Count] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, person: str | None, others: list[str]) -> None:
        """Raises TooManyTries."""
        now = self._real.now_ms()
        with self._lock:
            for key in others:
                count = self._counts.get(key)
                if count is not None and now - count.since_ms < MINUTE_MS and count.wrong >= self._per_minute_max:
                    raise TooManyTries(retry_s=1 + (count.since_ms + MINUTE_MS - now) // 1000)
            count = self._counts.get(person) if person is not None else None
            if count is not None and now < count.locked_until_ms:
                raise TooManyTries(retry_s=1 + (count.locked_until_ms - now) // 1000)

    def wrong(self, person: str | None, others: list[str]) -> bool:
        """Counts a wrong try; tells whether it locked the person."""
        now = self._real.now_ms()
        with self._lock:
            for key in others:
                count = self._count(key)
                if now - count.since_ms >= MINUTE_MS:
                    count.wrong, count.since_ms = 0, now
                count.wrong += 1
            if person is None:
                return False
            count = self._count(person)
            count.wrong += 1
            if count.wrong < self._wrong_max:
                return False
            count.wrong, count.locked_until_ms = 0, now + self._locked_ms
            return True

    def right(self, person: str | None) -> None:
        with self._lock:
            if person is not None:
                self._counts.pop(person, None)

    def _count(self, key: str) -> _Count:
        count = self._counts.setdefault(key, _Count())
        self._counts.move_to_end(key)
        if len(self._counts) > KEYS_MAX:
            self._counts.popitem(last=False)
        return count
