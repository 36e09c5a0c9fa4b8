"""A serial port that leads to a TCP port: what a USB adapter with a slave behind it is to a program, and what happens when it is pulled out.

    with SerialBridge(folder / "ttyUSB0", port) as bridge:   # folder/ttyUSB0 is there; opening it connects, closing it hangs up
When the TCP side ends, the line is hung up (as by an adapter that drops out) and the same name leads to a fresh port at once. `stop()` takes
the name away: the adapter is out.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
import tty
from pathlib import Path

LOOK_S = 0.02


class SerialBridge:
    def __init__(self, name: Path, port: int) -> None:
        self.name, self._port = name, port
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None:
            self._end.clear()
            there = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(there,), name=f"bridge {self._port}", daemon=True)
            self._thread.start()
            assert there.wait(30)

    def stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._end.set()
            thread.join(30)

    def __enter__(self) -> SerialBridge:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _run(self, there: threading.Event) -> None:
        while not self._end.is_set():
            master, slave = os.openpty()
            try:
                tty.setraw(slave)
                fresh = self.name.with_name(f"{self.name.name}.new")
                fresh.unlink(missing_ok=True)
                fresh.symlink_to(os.ttyname(slave))
                fresh.replace(self.name)
                os.close(slave)
                there.set()
                self._serve(master)
            finally:
                self.name.unlink(missing_ok=True) if self._end.is_set() else None
                os.close(master)  # hangs the line up for whoever has it open

    def _serve(self, master: int) -> None:
        """Opened and closed again and again, until the TCP side ends."""
        while not self._end.is_set():
            if not _is_open(master):
                self._end.wait(LOOK_S)
                continue
            try:
                link = socket.create_connection(("127.0.0.1", self._port), 5)
            except OSError:
                time.sleep(LOOK_S)
                return
            with link:
                if self._pass(master, link):
                    return

    def _pass(self, master: int, link: socket.socket) -> bool:
        """Bytes both ways. True when the TCP side has ended, False when the port was closed."""
        while not self._end.is_set():
            if not _is_open(master):
                return False
            ready, _, _ = select.select([master, link], [], [], LOOK_S)
            with contextlib.suppress(BlockingIOError):
                if master in ready:
                    try:
                        asked = os.read(master, 4096)
                    except OSError:  # EIO: closed on the other side
                        return False
                    try:
                        link.sendall(asked)
                    except OSError:
                        return True
                if link in ready:
                    try:
                        answer = link.recv(4096)
                    except OSError:
                        return True
                    if not answer:
                        return True
                    os.write(master, answer)
        return True


def _is_open(master: int) -> bool:
    """Whether somebody has the other side open: a pseudo terminal whose slave side is closed hangs up."""
    poll = select.poll()
    poll.register(master, 0)
    return not any(event & select.POLLHUP for _, event in poll.poll(0))
