"""The door to argon2id, for secrets people choose: PINs and passwords."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from mes_server.identity.errors import TooManyTries

AT_ONCE = 2  # each takes `memory_kib` and a core: a flood of sign-ins must not take the server's memory or its threads
WAIT_S = 2.0


class Hasher:
    """`memory_kib` and `passes` are argon2id's costs; a hash made with others still verifies."""

    def __init__(self, *, memory_kib: int, passes: int) -> None:
        self._argon2 = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=1, type=Type.ID)
        self._nobody = self._argon2.hash("nobody")
        self._gate = threading.BoundedSemaphore(AT_ONCE)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._gate.acquire(timeout=WAIT_S):
            raise TooManyTries(retry_s=int(WAIT_S))
        try:
            yield
        finally:
            self._gate.release()

    def hash(self, secret: str) -> str:
        with self._turn():
            return self._argon2.hash(secret)

    def fits(self, secret: str, stored: str | None) -> bool:
        """Takes the same time whether there is a hash or not."""
        try:
            with self._turn():
                return self._argon2.verify(stored or self._nobody, secret) and stored is not None
        except (VerificationError, InvalidHashError):
            return False
