"""A copy of the telemetry file while the server holds it: `gemba-server backup`, another process, leaves a request and waits for the answer.

DuckDB lets one process open its file; so the process that has it makes the copy. The request is a file in the data folder, which only the
server's own user can write: no port, no secret.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

from mes_server.kit.errors import MesError
from mes_server.kit.services import Every
from mes_server.telemetry.duckdb_store import DuckdbStore

REQUEST = "telemetry-copy.request"
ANSWER = "telemetry-copy.answer"
TURN = "telemetry-copy.lock"
LOOK_S = 0.5


class CopyDoor(Every):
    """Answers copy requests for one store."""

    def __init__(self, store: DuckdbStore, folder: Path) -> None:
        super().__init__("telemetry-copy", LOOK_S, self.look)
        self._store = store
        self._folder = folder

    async def look(self) -> None:
        request = self._folder / REQUEST
        if request.is_file():
            await asyncio.to_thread(self._serve, request)

    def _serve(self, request: Path) -> None:
        try:
            target = Path(request.read_text(encoding="utf-8").strip())
        except FileNotFoundError:  # who asked has given up
            return
        why = ""
        try:
            self._store.copy_to(target)
        except MesError as error:
            why = str(error)
        request.unlink(missing_ok=True)
        partial = self._folder / f"{ANSWER}.new"
        partial.write_text(json.dumps({"target": str(target), "why": why}), encoding="utf-8")
        partial.replace(self._folder / ANSWER)


def ask_for_copy(folder: Path, target: Path, *, wait_s: float = 600.0, pause_s: float = 0.1) -> str | None:
    """From the other process: None when the copy is at `target`, else why not. Two who ask at once take turns: it is one request and one answer."""
    import fcntl  # POSIX only

    end = time.monotonic() + wait_s
    descriptor = os.open(folder / TURN, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return _ask(folder, target, end, pause_s)
            except BlockingIOError:
                if time.monotonic() >= end:
                    return "another backup is being made"
                time.sleep(pause_s)
    finally:
        os.close(descriptor)


def _ask(folder: Path, target: Path, end: float, pause_s: float) -> str | None:
    answer = folder / ANSWER
    answer.unlink(missing_ok=True)
    partial = folder / f"{REQUEST}.new"
    partial.write_text(str(target.resolve()), encoding="utf-8")
    partial.replace(folder / REQUEST)
    while time.monotonic() < end:
        if answer.is_file():
            found = json.loads(answer.read_text(encoding="utf-8"))
            answer.unlink(missing_ok=True)
            if found["target"] == str(target.resolve()):
                return found["why"] or None
        time.sleep(pause_s)
    (folder / REQUEST).unlink(missing_ok=True)
    return "the server did not answer"
