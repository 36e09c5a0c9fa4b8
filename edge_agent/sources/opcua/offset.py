"""How far a source's clock stands from plant time, and how late its answers come, judged by their stamps. Pure."""

from __future__ import annotations

from collections import deque

SEEN = 20  # notifications that a slow clock is judged by
DELAYS_SEEN = 600  # responses among which the quickest way is looked for
CLOCK_SET_MS = 60_000.0  # a delay beyond this is a clock that was set, not a network


class ClockOffset:
    """A change is stamped before it arrives, so stamps ahead of arrival prove a fast clock at once; a slow clock shows when even the
    freshest of many notifications arrive later than any delay explains.
    """

    def __init__(self, tolerance_ms: float, ms: float = 0.0) -> None:
        """`ms`: what it was found to be before a restart."""
        self.tolerance_ms = tolerance_ms
        self._behind: deque[float] = deque(maxlen=SEEN)
        self.ms = ms

    @property
    def known_ms(self) -> float | None:
        """None until enough was seen to say that the clock is right."""
        return self.ms if self.ms or len(self._behind) == SEEN else None

    def seen(self, newest_ms: int, arrived_ms: int) -> None:
        """The newest source time of a notification (not of initial values, which may be old)."""
        ahead = newest_ms - arrived_ms
        if ahead > self.tolerance_ms:
            self.ms = max(self.ms, float(ahead))
            self._behind.clear()
            return
        self._behind.append(ahead)
        if len(self._behind) == SEEN:
            best = max(self._behind)
            self.ms = best if abs(best) > self.tolerance_ms else 0.0


class Delay:
    """How much later than the quickest of the last responses this one came, in real ms.

    The server stamps each response when it sends it; its clock and ours (monotonic) run at one speed, so their offset cancels in the
    difference. What is still on its way when a delayed response arrives must not be promised: "everything up to now is here" holds for its
    sending, not for its arrival.
    """

    def __init__(self) -> None:
        self._ways: deque[float] = deque(maxlen=DELAYS_SEEN)

    def of(self, published_ms: float | None, arrived_monotonic_ms: float) -> float:
        if published_ms is None:
            return 0.0
        way = arrived_monotonic_ms - published_ms
        if self._ways and abs(way - self._ways[-1]) > CLOCK_SET_MS:
            self._ways.clear()
        self._ways.append(way)
        return way - min(self._ways)
