"""What a session could leave behind: tasks, threads, open files and sockets, objects, memory.

with Memory() as memory: …; memory.mark(); …; memory.grown() -> bytes more that were asked for by the agent (or by a library that it called)
"""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections import Counter
from pathlib import Path

FRAMES = 16  # of the stack that are kept: enough to see through httpx and asyncua to who called them
AGENT = tracemalloc.Filter(True, "*/edge_agent/*", all_frames=True)


def held(tasks: int) -> Counter[str]:
    """Counts of what this process holds; of objects those of the agent's sources."""
    gc.collect()
    found: Counter[str] = Counter(tasks=tasks, threads=threading.active_count(), files=len(list(Path("/proc/self/fd").iterdir())))
    for thing in gc.get_objects():
        if str(type(thing).__module__).startswith("edge_agent.sources"):  # str: some C classes have a descriptor there
            found[f"{type(thing).__module__}.{type(thing).__name__}"] += 1
    return found


def resident_mb() -> float:
    """Real memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


class Memory:
    def __init__(self) -> None:
        self.most: list[str] = []  # where the most was kept, largest first

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *exc: object) -> None:
        tracemalloc.stop()

    def mark(self) -> None:
        """What is asked for from now on counts."""
        gc.collect()
        tracemalloc.start(FRAMES)

    def kept(self) -> int:
        """Bytes asked for since `mark` and not given back."""
        gc.collect()
        by_line = tracemalloc.take_snapshot().filter_traces([AGENT]).statistics("lineno")
        self.most = [f"{one.size} B in {one.count}: {one.traceback}" for one in by_line[:8]]
        return sum(one.size for one in by_line)
