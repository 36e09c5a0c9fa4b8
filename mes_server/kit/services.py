"""Long-lived parts of the server: what the composition root starts and stops, and a supervised loop for periodic jobs."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from mes_server.kit.faults import Fault

log = logging.getLogger("gemba.services")

JOBS: dict[str, tuple[str, str]] = {  # what a person calls them: en, zh
    "journal-sealer": ("Sealing of the journal", "日志封存"),
    "session-tidy": ("Ending of old sign-ins", "过期登录清理"),
    "stop-watcher": ("Watch over stops", "停机监视"),
    "telemetry-copy": ("Copy of the telemetry for backups", "时序库备份复制"),
}


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
        self._failing_since_s = 0.0
        self._why = ""
        self.failures = 0

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def fault(self) -> Fault | None:
        """What system health says of it while it fails."""
        if not self.failures:
            return None
        en, zh = JOBS.get(self.name, (self.name, self.name))
        return Fault(
            f"job:{self.name}",
            f"{en} has failed {self.failures} times in a row: {self._why}",
            f"{zh}已连续失败 {self.failures} 次：{self._why}",
            "It is tried again by itself. If it goes on, look for a full disk or a database that is down, then into the server’s log.",
            "系统会自动重试。若持续失败，请检查磁盘空间和数据库，再查看服务器日志。",
            time.monotonic() - self._failing_since_s,
            grave=False,
        )

    async def _run(self) -> None:
        while True:
            try:
                await self._job()
                self.failures = 0
            except Exception as error:
                self.failures += 1
                self._why = f"{type(error).__name__}: {error}"[:300]
                if self.failures == 1:
                    self._failing_since_s = time.monotonic()
                log.exception("job %s failed (%d in a row)", self.name, self.failures)
            pause = self._seconds if not self.failures else min(60.0, self._seconds * 2 ** min(self.failures, 10)) * random.uniform(0.5, 1.0)  # noqa: S311  jitter
            await asyncio.sleep(pause)
