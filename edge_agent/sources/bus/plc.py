"""What every PLC that is polled over one connection has in common: S7, EtherNet/IP."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

from edge_agent.sources.bus.line import LineBroken

CHECK_S = 5.0  # real seconds between two questions whether the program runs


class Connection(Protocol):
    async def open(self) -> None:
        """Raises LineBroken."""
        ...

    async def close(self) -> None: ...


C = TypeVar("C", bound=Connection)


class PlcBus(ABC, Generic[C]):
    """`check`: a PLC whose program does not run counts as lost, as its values stand still."""

    def __init__(self, link: C, check: bool) -> None:
        self._link, self._check = link, check
        self._checked_s = 0.0

    async def open(self) -> None:
        await self._link.open()
        self._checked_s = 0.0

    async def close(self) -> None:
        await self._link.close()

    async def _check_runs(self) -> None:
        """Raises LineBroken where it stands still."""
        if not self._check or time.monotonic() - self._checked_s < CHECK_S:
            return
        self._checked_s = time.monotonic()
        if await self._stands_still():
            raise self._stopped()

    @abstractmethod
    async def _stands_still(self) -> bool:
        """Whether the PLC says so. Raises LineBroken."""

    @abstractmethod
    def _stopped(self) -> LineBroken:
        """In words, with the next step."""
