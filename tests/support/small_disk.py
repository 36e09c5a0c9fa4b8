"""A small file system of its own that a test can fill: tmpfs, where the machine lets us mount one."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class SmallDisk:
    """`folder` lies on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def free(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill_up(self, leave: int = 0) -> None:
        """Takes all the space there is, to the last block but `leave` bytes."""
        with self._ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while self.free() > leave or not leave:
                file.write(bytes(4096))

    def make_space(self) -> None:
        self._ballast.unlink()


@contextlib.contextmanager
def small_disk(folder: Path, size_kb: int) -> Iterator[SmallDisk]:
    """Mounts one at `folder`; skips the test, loudly, where that is not allowed."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "none", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a full disk DID NOT RUN: this machine does not let us mount a tmpfs ({done.stderr.strip()}); run as root")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
