"""The disk under the buffer: how full it is, what is kept in reserve for the day it is full, and how SQLite says so."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

RESERVE_ROW_BYTES = 256 * 1024


def is_full(error: BaseException) -> bool:
    """SQLITE_FULL: no space, nothing of the transaction happened. Anything else the disk says is a fault and is not waited for."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_FULL


def is_damage(error: BaseException) -> bool:
    """SQLITE_CORRUPT or SQLITE_NOTADB: the file's structure is broken."""
    return isinstance(error, sqlite3.DatabaseError) and getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    )


def free_bytes(path: Path) -> int:
    """Space that is left for us on the disk that holds `path`."""
    found = os.statvfs(path.parent)
    return found.f_bavail * found.f_frsize


def fill(path: Path) -> float:
    """How full that disk is, 0..1."""
    found = os.statvfs(path.parent)
    ours = found.f_blocks - found.f_bfree + found.f_bavail
    return 1.0 - found.f_bavail / ours if ours else 1.0


def allocate(path: Path, size: int) -> bool:
    """Gives the file `size` bytes of its own on the disk (zeros behind what it holds). False when there is no space, or no way to do it."""
    with suppress(OSError):
        number = os.open(path, os.O_RDWR)
        try:
            if os.fstat(number).st_size < size:
                os.posix_fallocate(number, 0, size)
            return True
        finally:
            os.close(number)
    return False


def flush_folder(path: Path) -> None:
    """Makes the file's name durable; SQLite asks for that too, but does not look at the answer. Raises sqlite3.OperationalError."""
    number = os.open(path.parent, os.O_RDONLY)
    try:
        os.fdatasync(number)
    except OSError as error:
        raise sqlite3.OperationalError(f"disk I/O error: {error}") from error
    finally:
        os.close(number)
