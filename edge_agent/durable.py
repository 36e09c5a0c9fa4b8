"""Files that take the place of others so that neither another writer nor a power cut leaves half of one.

A rename alone is not enough: the new file's bytes and the folder's entry each reach the disk when they like, in any order. A config or key that
is empty after a power cut is a box that does not start.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def write(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Puts `data` at `path`, whole or not at all. Two writers never share a file on the way. Raises OSError; then `path` is as it was."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    fresh = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
        replace(fresh, path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def replace(fresh: Path, path: Path) -> None:
    """`fresh`, a closed file in the same folder, becomes `path` and stays so over a power cut. Raises OSError."""
    sync(fresh)
    fresh.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Flushes one file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def held(lock: Path) -> Iterator[None]:
    """Nobody else, process or thread, is between a look at some files and the writing of them. Waits; not to be taken twice by one thread."""
    import fcntl  # POSIX only

    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
