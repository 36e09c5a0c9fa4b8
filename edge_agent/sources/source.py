"""What a source is: something that can hold one session after another with a PLC or a gateway of meters.

A source never retries by itself: it raises, and the supervisor in `agent.py` says so, waits and calls `session` again. It hands events to
its sink and asks the sink for room before it reads on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from edge_agent.contract.clock import Clock
from edge_agent.events import ClockSet, Remembered, SourceEvent
from edge_agent.health import SourceHealth
from edge_agent.pipeline.columns import Value
from edge_agent.worker import Intake

ROOM_POLL_S = 0.01


class Sink:
    """A source's way to the worker."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def put(self, event: SourceEvent | ClockSet) -> None:
        self._intake.put(event)

    @property
    def full(self) -> bool:
        return self._intake.full

    async def room(self) -> None:
        """Waits (real time) until the worker has caught up."""
        while self._intake.full:
            await asyncio.sleep(ROOM_POLL_S)


@dataclass(frozen=True, slots=True)
class ReadResult:
    """One value as `read-once` shows it. `error` holds the source's own words when there is no value."""

    device: str
    metric: str
    where: str
    raw: Value
    t_ms: int | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Browsed:
    """One readable node as `browse` shows it: `node` is what goes into the config."""

    path: str
    node: str
    datatype: str
    value: str


class Source(Protocol):
    """One configured source. `clock` is plant time; session and time-out timers are real."""

    name: str
    health: SourceHealth
    devices: tuple[int, ...]
    clock: Clock

    async def session(self, sink: Sink) -> None:
        """One connection, from connect to its end. Returns never: raises SourceLost or SourceMisconfigured (or is cancelled)."""
        ...

    async def read_once(self) -> list[ReadResult]:
        """Reads every configured value once. Raises SourceLost, SourceMisconfigured."""
        ...

    def browse(self) -> AsyncIterator[Browsed]:
        """What could be read there. Raises SourceLost, SourceMisconfigured."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A source that goes on after a restart where its memory (`Batch.memory`) ends."""

    def recall(self, found: Remembered) -> None:
        """Called once, before the first session."""
        ...


@runtime_checkable
class Knocking(Protocol):
    """A source that can tell cheaply whether its counterpart, which was not there, is back."""

    async def knock(self) -> bool:
        """True when the last session failed because nobody listened and now somebody does. Takes no longer than a moment; never raises."""
        ...
