"""What every bus of meters on a line has in common: DL/T 645, M-Bus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from edge_agent.sources.bus.config import BusConfig
from edge_agent.sources.bus.line import Line

T = TypeVar("T")


class Silent(Exception):
    """No good answer to one question, however often it was put."""


class MeterBus:
    def __init__(self, config: BusConfig) -> None:
        self._line = Line(config)
        self._pause_s, self._tries, self._timeout_s = config.pause_between_requests_s, config.retries + 1, config.timeout_s

    async def open(self) -> None:
        await self._line.open()

    async def close(self) -> None:
        await self._line.close()

    async def _put(self, request: bytes, find: Callable[[bytearray], T | None]) -> T:
        """The answer that `find` takes from what comes, after as many tries as the config allows. Raises Silent, LineBroken."""
        for _ in range(self._tries):
            if self._pause_s:
                await asyncio.sleep(self._pause_s)
            try:
                return await self._line.ask(request, find, self._timeout_s)
            except TimeoutError:
                continue
        raise Silent
