"""Waiting for something to become true, with a deadline and a reason.

`seconds` is what a quiet machine needs at most. The deadline lies PATIENCE times further:
a busy one is slower, and a wait that ends well costs nothing.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = float(os.environ.get("GEMBA_TEST_PATIENCE", "4"))


def eventually(probe: Callable[[], T], seconds: float = 10.0, *, why: str = "", every: float = 0.02) -> T:
    """The first truthy value of `probe()`. An AssertionError inside the probe counts as "not yet"; the last one is raised at the deadline."""
    end = time.monotonic() + seconds * PATIENCE
    last: AssertionError | None = None
    while True:
        try:
            found = probe()
            if found:
                return found
            last = None
        except AssertionError as error:
            last = error
        if time.monotonic() > end:
            raise last or AssertionError(f"not within {seconds * PATIENCE:g} s: {why or probe}")
        time.sleep(every)


async def eventually_async(probe: Callable[[], T], seconds: float = 10.0, *, why: str = "", every: float = 0.02) -> T:
    """The same inside an event loop that must go on."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds * PATIENCE:g} s: {why or probe}")
        await asyncio.sleep(every)


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
