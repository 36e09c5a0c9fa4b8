"""What a session could leave behind: tasks, threads, open files and sockets, objects, memory.

with Memory() as memory: …; memory.mark(); …; memory.grown() -> bytes more that were asked for by the agent (or by a library that it called)
"""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterator
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


@contextlib.contextmanager
def unclosed() -> Iterator[list[str]]:
    """In words, what was collected meanwhile and had not been closed.

    pytest keeps such a warning with its traceback, and so the frames in which the collector happened to run. A test peer's socket that was collected
    while the agent waited for an answer kept two Wires and a Sink of the agent that way, which looked as if the agent had left them behind.
    """
    told: list[str] = []
    before = sys.unraisablehook

    def hook(found: sys.UnraisableHookArgs) -> None:
        if isinstance(found.exc_value, ResourceWarning):
            told.append(str(found.exc_value))
        else:
            before(found)

    sys.unraisablehook = hook
    try:
        yield told
    finally:
        sys.unraisablehook = before


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
