"""Which edges were let in or put out by a command, beside those the plant model names: `<data>/broker/edges.json`, private files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from mes_server.kit.files import write_whole

NAME = "edges.json"
LOCK = "users.lock"


class EdgeLists(BaseModel):
    """`revoked` stands before everything."""

    granted: set[str] = set()
    revoked: set[str] = set()

    @classmethod
    def read(cls, folder: Path) -> EdgeLists:
        """Empty where nothing was written yet."""
        path = folder / NAME
        return cls.model_validate_json(path.read_bytes()) if path.exists() else cls()

    def revoke(self, folder: Path, edge: str) -> None:
        """Notes it here, to be written, and forgets its password."""
        self.granted.discard(edge)
        self.revoked.add(edge)
        (folder / "users" / f"{edge}.json").unlink(missing_ok=True)

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        write_private(folder / NAME, self.model_dump_json(indent=1) + "\n")


@contextlib.contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Holds the lists and the users' files of `folder` still: the command and the running server are two processes that both read and then write.

    Waits for the other one. Not to be taken twice by one thread.
    """
    import fcntl  # POSIX only, like the embedded broker itself

    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_private(path: Path, text: str) -> None:
    """Replaces `path` at once; nobody but the owner ever may read it. Two writers never share a file on the way."""
    write_whole(path, text.encode())
