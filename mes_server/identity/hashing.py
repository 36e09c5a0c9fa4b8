"""The door to argon2id, for secrets people choose: PINs and passwords."""

from __future__ import annotations

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError


class Hasher:
    """`memory_kib` and `passes` are argon2id's costs; a hash made with others still verifies."""

    def __init__(self, *, memory_kib: int, passes: int) -> None:
        self._argon2 = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=1, type=Type.ID)
        self._nobody = self._argon2.hash("nobody")

    def hash(self, secret: str) -> str:
        return self._argon2.hash(secret)

    def fits(self, secret: str, stored: str | None) -> bool:
        """Takes the same time whether there is a hash or not."""
        try:
            return self._argon2.verify(stored or self._nobody, secret) and stored is not None
        except (VerificationError, InvalidHashError):
            return False
