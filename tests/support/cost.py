"""What one input costs a decoder: CPU time of this thread (others may keep the machine busy) and the most memory held at once.

cost = Cost(decoder); cost.of(raw); print(cost)      # fails where an input takes longer or more than the bar of bad input
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

MOST_S, MOST_BYTES = 0.1, 50_000_000
TRIES = 3


class Cost:
    def __init__(self, decoder: Callable[[bytes], object]) -> None:
        self._decoder = decoder
        self.inputs, self.slowest_s, self.biggest_bytes = 0, 0.0, 0

    def of(self, raw: bytes) -> None:
        """Whatever the decoder raises comes through: it is a crash."""
        took_s = self._seconds(raw)
        if took_s > MOST_S:  # once more: caches, and a collection of garbage that was not this input's
            took_s = min(took_s, *(self._seconds(raw) for _ in range(TRIES - 1)))
        tracemalloc.start()
        try:
            self._decoder(raw)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        self.inputs += 1
        self.slowest_s, self.biggest_bytes = max(self.slowest_s, took_s), max(self.biggest_bytes, peak)
        assert took_s < MOST_S, f"{took_s * 1e3:.0f} ms for {raw[:400].hex()}"
        assert peak < MOST_BYTES, f"{peak / 1e6:.0f} MB for {raw[:400].hex()}"

    def _seconds(self, raw: bytes) -> float:
        began = time.thread_time()
        self._decoder(raw)
        return time.thread_time() - began

    def __str__(self) -> str:
        return f"{self.inputs} inputs, 0 crashes, slowest {self.slowest_s * 1e3:.1f} ms CPU, most {self.biggest_bytes / 1e6:.2f} MB"
