"""One server a data folder: an advisory lock that the kernel drops when the process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class DataFolderInUse(Exception):
    """Another process holds the folder; `pid` is its number where it could be read."""

    def __init__(self, folder: Path, pid: str) -> None:
        self.folder = folder
        self.pid = pid
        super().__init__(f"{folder} is in use by process {pid}")


class DataFolderLock:
    """Holds `<folder>/server.lock` until `release`. Raises DataFolderInUse."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "server.lock"
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.read(self._handle, 20).decode(errors="replace").strip() or "?"
            os.close(self._handle)
            raise DataFolderInUse(folder, pid) from error
        os.ftruncate(self._handle, 0)
        os.write(self._handle, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        os.ftruncate(self._handle, 0)
        os.close(self._handle)


def is_held(folder: Path) -> bool:
    """Whether a server runs over this folder."""
    try:
        DataFolderLock(folder).release()
    except DataFolderInUse:
        return True
    return False
