"""The server as a process of its own, for tests that kill it."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from mes_server.cli import main
from tests.support.wait import eventually

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def run_cli(*args: str, env: dict[str, str] | None = None) -> Ended:
    """One command to its end, in this process: what a person would see and the exit code."""
    out, err = io.StringIO(), io.StringIO()
    before = dict(os.environ)
    os.environ.update(_env(env))
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main(list(args))
    finally:
        os.environ.clear()
        os.environ.update(before)
    return Ended(code, out.getvalue(), err.getvalue())


def _env(more: dict[str, str] | None) -> dict[str, str]:
    quiet = {"GEMBA_BROKER__KIND": "none", "GEMBA_TELEMETRY__KIND": "memory", "GEMBA_IDENTITY__ARGON2_MEMORY_KIB": "64"}
    return {**os.environ, "PYTHONPATH": str(ROOT), **quiet, **(more or {})}


class ServerProcess:
    """`python -m mes_server serve` on a free port. `output` is what it has printed so far."""

    def __init__(self, data: Path, *args: str, env: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "mes_server", "serve", "--data", str(data), "--port", "0", "--log-level", "warning", *args]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_env(env))
        self.output = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        found = eventually(lambda: re.search(r"gemba-server: (http://\S+?)/ ", self.output) or self.process.poll() is not None, 60)
        assert isinstance(found, re.Match), f"the server did not start:\n{self.output}"
        self.url = found[1]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)
        self._reader.join(5)

    def stop(self) -> int:
        """SIGTERM, as a supervisor does; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self._reader.join(5)
        return code
