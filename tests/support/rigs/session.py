"""A configured source run as the agent runs it, without the rest of the agent: real Source, real Sink, the worker's side played by the test.

watch = Watch(config_file); watch.begin(); watch.value("D-1", "temp_c"); watch.lost(seconds) -> the EdgeError; watch.cancel() -> seconds
"""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

from edge_agent.app import build_sources
from edge_agent.config_text import load
from edge_agent.contract.clock import PlantClock
from edge_agent.errors import EdgeError, SourceLost
from edge_agent.events import Batch, SourceEvent
from edge_agent.sources.source import Sink
from edge_agent.worker import Intake
from tests.support.wait import eventually


class Watch:
    """The one source of a config, in an event loop of its own; one session after another."""

    def __init__(self, config: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="watch", daemon=True)
        self._thread.start()
        self._plan, sources, _ = self._call(self._build(config))
        (self.source,) = sources
        self.health = self.source.health
        self._names = {tag.number: (self._plan.devices[tag.device].id, tag.key) for tag in self._plan.tags}
        self.intake = Intake()
        self.events: list[SourceEvent] = []
        self.values: dict[tuple[str, str], Any] = {}
        self._task: asyncio.Task[None] | None = None

    async def _build(self, config: Path) -> Any:
        return build_sources(load(config), PlantClock())

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._task is not None:
            self.cancel()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _call(self, coroutine: Any, seconds: float = 120.0) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(seconds)

    # --- one session -------------------------------------------------------------------------------------------------------------
    def begin(self) -> None:
        """Starts a session; what the one before said is forgotten."""
        self.events, self.values = [], {}
        self._start()

    def _start(self) -> None:
        async def start() -> asyncio.Task[None]:
            return asyncio.create_task(self.source.session(Sink(self.intake)))

        self._task = self._call(start())

    def begin_again_if_lost(self) -> None:
        """What the agent does when a session has ended by itself; what was said before it stays said."""
        if self._task is not None and self._task.done() and isinstance(self._task.exception(), SourceLost):
            self._start()

    def take(self) -> None:
        """What the worker does: takes what came, and says that it is stored."""
        while (event := self.intake.get(0.0)) is not None:
            self.events.append(event)  # type: ignore[arg-type]
            if isinstance(event, Batch):
                self.intake.left(len(event.columns))
                for number, _, _, value in event.columns.rows():
                    self.values[self._names[number]] = value
                if event.stored is not None:
                    event.stored()

    def value(self, metric: str, device: str = "D-1") -> Any:
        """Newest raw value of a metric in this session; None: none, or a bad one."""
        self.take()
        return self.values.get((device, metric))

    def lost(self, seconds: float) -> EdgeError:
        """The error with which the session ends by itself."""
        task = self._task
        assert task is not None
        eventually(lambda: self.take() or task.done(), seconds, why="the session did not end")
        self._task = None
        error = task.exception()
        assert isinstance(error, EdgeError), f"not one of the agent's own errors: {error!r}"
        return error

    def cancel(self) -> float:
        """Real seconds until a cancelled session had ended. It is cancelled as the agent does it: until it is heard."""
        task, self._task = self._task, None
        assert task is not None
        began = time.monotonic()

        async def end() -> None:
            while not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=0.2)
            if not task.cancelled():
                task.exception()  # it had ended by itself a moment before; unasked, asyncio logs it, and the log keeps the session

        self._call(end(), 60)
        self.take()
        return time.monotonic() - began

    def tasks(self) -> int:
        """Tasks in the source's event loop, this question left out."""

        async def count() -> int:
            return len(asyncio.all_tasks()) - 1

        return int(self._call(count()))
