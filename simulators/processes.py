"""Child processes of a stack: started with a log file, ended by their own pid, never by name."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path


class Child:
    """One program of the product. `start` again after an end starts it anew with the same arguments."""

    def __init__(self, name: str, module: str, arguments: Sequence[str], log: Path, env: dict[str, str] | None = None) -> None:
        self.name, self.log = name, log
        self._command = [sys.executable, "-m", module, *arguments]
        self._env = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        self._process: asyncio.subprocess.Process | None = None
        self.expected_down = False  # a fault run has killed it on purpose

    @property
    def ended(self) -> bool:
        """It was started, and is not running though it should."""
        return self._process is not None and not self.running and not self.expected_down

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.pid

    async def start(self) -> None:
        with self.log.open("ab") as out:  # a session of its own: Ctrl-C ends the simulator, which ends its children in order
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, env=self._env, start_new_session=True
            )

    async def wait(self, seconds: float) -> int | None:
        """Its exit code; None (and it is ended) when it takes longer."""
        if self._process is None:
            return None
        try:
            return await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            await self.kill()
            return None

    async def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        await self._end(signal.SIGKILL, 10.0)

    async def stop(self, grace_s: float = 10.0) -> None:
        await self._end(signal.SIGTERM, grace_s)

    async def _end(self, how: signal.Signals, grace_s: float) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
        try:
            await asyncio.wait_for(process.wait(), grace_s)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def tail(self, lines: int = 25) -> str:
        """The end of its log, for an error a person reads."""
        try:
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


def kill_pid(pid: int) -> None:
    """SIGKILL one process we know to be ours (the embedded broker, a grandchild)."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Ports:
    """Free TCP ports: the preferred one if nobody has it, else any; none is given twice."""

    def __init__(self) -> None:
        self._given: set[int] = set()

    def take(self, preferred: int = 0) -> int:
        for port in (preferred, 0) if preferred else (0,) * 20:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                found = int(probe.getsockname()[1])
            if found not in self._given:
                self._given.add(found)
                return found
        return self.take()
