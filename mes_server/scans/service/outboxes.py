"""What tablets say still waits in them. Figures that depend on people's acts may move while something does.

Kept in memory: after a restart a tablet says it anew with its next upload, and until then nobody claims to know.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

FORGET_S = 3_600.0  # a tablet that was not heard for this long no longer counts as "coming in": it is away, and system health says since when


@dataclass(frozen=True, slots=True)
class Outbox:
    """`waiting` acts were on the tablet behind its last upload, `heard_s` ago (real seconds)."""

    device: str
    waiting: int
    heard_s: float


class Outboxes:
    """Written by the tablets' door, read by system health and the progress of history."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, tuple[int, float]] = {}

    def heard(self, device: str, waiting: int) -> None:
        with self._lock:
            self._last[device] = (waiting, time.monotonic())

    def all(self) -> list[Outbox]:
        """Every tablet with something waiting, most first."""
        now_s = time.monotonic()
        with self._lock:
            found = [Outbox(device, waiting, now_s - when_s) for device, (waiting, when_s) in self._last.items() if waiting]
        return sorted(found, key=lambda one: -one.waiting)

    def coming(self) -> int:
        """Acts that are on their way in."""
        return sum(one.waiting for one in self.all() if one.heard_s < FORGET_S)
