"""Plant time: the only module of the product that asks the machine for the time of day.

Business times (states, counts, acts, shifts) are plant time. At speed 1 without a start it is the wall clock; with a start, an anchor and
a speed every process of one plant computes the same plant time, so a whole plant can run faster than life. Session and keep-alive
timers do not belong here: they use `time.monotonic` of the real world.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Plant time in milliseconds since 1970-01-01 UTC."""

    @property
    def speed(self) -> float:
        """Plant seconds per real second."""
        ...

    def now_ms(self) -> int: ...

    async def sleep(self, plant_s: float) -> None:
        """Waits for `plant_s` seconds of plant time."""
        ...


@dataclass(frozen=True)
class PlantClock:
    """Plant time = start + (wall - anchor) * speed. The defaults make it the wall clock itself."""

    start_ms: int = 0
    anchor_s: float = 0.0
    speed: float = 1.0

    def __post_init__(self) -> None:
        if not 0.001 <= self.speed <= 10_000:
            raise ValueError(f"clock speed must lie between 0.001 and 10000 plant seconds per second, not {self.speed}")

    def now_ms(self) -> int:
        return self.start_ms + int((time.time() - self.anchor_s) * 1000.0 * self.speed)

    async def sleep(self, plant_s: float) -> None:
        await asyncio.sleep(max(0.0, plant_s) / self.speed)

    @classmethod
    def parse(cls, start: str | None, anchor_s: float | None, speed: float) -> PlantClock:
        """From the command line's --clock-start (ISO 8601 with zone), --clock-anchor (unix seconds) and --speed.

        Raises ValueError in words a person can act on.
        """
        if start is None:
            if speed != 1.0:
                now_s = anchor_s if anchor_s is not None else time.time()
                return cls(start_ms=int(now_s * 1000), anchor_s=now_s, speed=speed)
            return cls()
        try:
            when = datetime.fromisoformat(start)
        except ValueError as error:
            raise ValueError(f"--clock-start {start!r} is not an ISO 8601 time; write it like 2026-03-02T06:00:00+08:00") from error
        if when.tzinfo is None:
            raise ValueError(f"--clock-start {start!r} has no zone; add Z or an offset such as +08:00")
        return cls(start_ms=int(when.timestamp() * 1000), anchor_s=anchor_s if anchor_s is not None else time.time(), speed=speed)


class ManualClock:
    """A clock that stands until it is moved: for tests and for replaying a year in a minute."""

    def __init__(self, start_ms: int) -> None:
        self._now_ms = start_ms
        self._lock = threading.Lock()
        self.speed = 1.0

    def now_ms(self) -> int:
        return self._now_ms

    def set_ms(self, now_ms: int) -> None:
        with self._lock:
            self._now_ms = now_ms

    def advance(self, plant_s: float) -> None:
        with self._lock:
            self._now_ms += round(plant_s * 1000)

    async def sleep(self, plant_s: float) -> None:
        """Moves the clock itself: whoever waits is the one who lets time pass."""
        self.advance(plant_s)
        await asyncio.sleep(0)


def iso(ms: int) -> str:
    """`2026-03-02T06:00:00.000Z` for milliseconds since 1970 UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_iso_ms(text: str) -> int:
    """Milliseconds since 1970 UTC of an ISO 8601 time with zone. Raises ValueError."""
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"{text!r} has no zone; add Z or an offset")
    return round(when.timestamp() * 1000)
