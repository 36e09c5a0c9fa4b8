"""Tasks that live as long as the plant: one that ended is said, never found out by what no longer happens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


def check(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Raises RuntimeError, from what ended it, for a task that is over though nobody cancelled it."""
    for task in tasks:
        if task.done() and not task.cancelled():
            raise RuntimeError(f"the simulated {task.get_name()} ended: {task.exception()!r}") from task.exception()
