"""What came from the broker and waits: bounded by bytes. Full: whoever reads the socket waits, so the broker and the edges hold the rest."""

from __future__ import annotations

import threading
from collections import deque
from typing import NamedTuple

CONNECTED = "\0connected"  # in place of a topic: from here on messages come over a new connection, and who spoke in between was not heard
OVERHEAD_BYTES = 200  # of one waiting message beside its payload


class Message(NamedTuple):
    topic: str
    payload: bytes
    kept: bool = False  # the broker had kept it (retain): it says what once was, not what is


class Inbox:
    """`put` in the reading thread, `take` in the ingest thread."""

    def __init__(self, bytes_max: int = 64_000_000) -> None:
        self._bytes_max = bytes_max
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = threading.Condition()
        self.full_seconds = 0

    @property
    def waiting_bytes(self) -> int:
        return self._bytes

    def put(self, topic: str, payload: bytes, kept: bool = False) -> bool:
        """Waits while full. False: closed, the message was not taken."""
        size = len(payload) + OVERHEAD_BYTES
        with self._changed:
            while self._bytes + size > self._bytes_max and self._bytes > 0 and not self._closed:
                if not self._changed.wait(1.0):
                    self.full_seconds += 1
            if self._closed:
                return False
            self._waiting.append(Message(topic, payload, kept))
            self._bytes += size
        return True

    def take(self, bytes_max: int) -> tuple[list[Message], int]:
        """The oldest messages, at least one if there is one, and their bytes."""
        taken: list[Message] = []
        size = 0
        with self._changed:
            waiting = self._waiting
            while waiting and size < bytes_max:
                message = waiting.popleft()
                taken.append(message)
                size += len(message.payload) + OVERHEAD_BYTES
            self._bytes -= size
            self._changed.notify_all()
        return taken, size

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
