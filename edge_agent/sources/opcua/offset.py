"""How far a source's clock stands from plant time, judged by the stamps of its changes. Pure."""

from __future__ import annotations

from collections import deque

SEEN = 20  # notifications that a slow clock is judged by


class ClockOffset:
    """A change is stamped before it arrives, so stamps ahead of arrival prove a fast clock at once; a slow clock shows when even the
    freshest of many notifications arrive later than any delay explains.
    """

    def __init__(self, tolerance_ms: float) -> None:
        self._tolerance_ms = tolerance_ms
        self._behind: deque[float] = deque(maxlen=SEEN)
        self.ms = 0.0

    def seen(self, newest_ms: int, arrived_ms: int) -> None:
        """The newest source time of a notification (not of initial values, which may be old)."""
        ahead = newest_ms - arrived_ms
        if ahead > self._tolerance_ms:
            self.ms = max(self.ms, float(ahead))
            self._behind.clear()
            return
        self._behind.append(ahead)
        if len(self._behind) == SEEN:
            best = max(self._behind)
            self.ms = best if abs(best) > self._tolerance_ms else 0.0
