"""Long-lived parts of the server: what the composition root starts and stops, and a supervised loop for periodic jobs."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

log = logging.getLogger("gemba.services")


class Background(Protocol):
    """Started in order after the writer runs, stopped in reverse before it ends. `stop` is called once, also if `start` failed half-way."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Every:
    """Runs `job` every `seconds` (real time) until stopped. A failing run is logged and tried again with a growing, jittered pause (≤ 60 s)."""

    def __init__(self, name: str, seconds: float, job: Callable[[], Awaitable[object]]) -> None:
        self.name = name
        self._seconds = seconds
        self._job = job
        self._task: asyncio.Task[None] | None = None
        self.failures = 0

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                await self._job()
                self.failures = 0
            except Exception:
                self.failures += 1
                log.exception("job %s failed (%d in a row)", self.name, self.failures)
            pause = self._seconds if not self.failures else min(60.0, self._seconds * 2 ** min(self.failures, 10)) * random.uniform(0.5, 1.0)  # noqa: S311  jitter
            await asyncio.sleep(pause)
