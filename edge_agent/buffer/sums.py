"""Checksums of everything in the buffer that is not a record: a flipped bit must be found, or it would become a wrong count.

SQLite looks after the structure of its pages, not after their contents. Values without a sum are of a file made before there were sums; they are
taken as they are.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping

_BITS = 16
_SIGNED = 1 << 62  # tells a time with a sum
_PLAIN_MAX = 1 << 45  # a time in ms is smaller (until the year 3084)


class SumWrong(ValueError):
    """A value is not the one that was written."""


def of(*parts: object) -> int:
    """crc32 over the parts."""
    return zlib.crc32("\x1f".join(str(part) for part in parts).encode())


def of_rows(rows: Iterable[tuple[object, ...]]) -> int:
    return of(*(of(*row) for row in rows))


def of_meta(values: Mapping[str, object]) -> int:
    return of_rows(sorted((key, value) for key, value in values.items() if key != "sum"))


def sign_text(owner: str, text: str) -> str:
    """`text` (a JSON object) with a sum before it."""
    return f"{of(owner, text):08x}{text}"


def text_of(owner: str, signed: str) -> str:
    """Raises SumWrong."""
    if not isinstance(signed, str):  # SQLite keeps the type with the value
        raise SumWrong(f"what is remembered of {owner}")
    if signed.startswith("{"):
        return signed
    if signed[:8] != f"{of(owner, signed[8:]):08x}":
        raise SumWrong(f"what is remembered of {owner}")
    return signed[8:]


def sign_time(owner: str, t_ms: int) -> int:
    """`t_ms` and its sum in one 64-bit number."""
    return _SIGNED | t_ms << _BITS | of(owner, t_ms) & 0xFFFF if t_ms > 0 else 0


def time_of(owner: str, signed: int) -> int:
    """Raises SumWrong."""
    if not isinstance(signed, int):
        raise SumWrong(f"the proven moment of {owner}")
    if 0 <= signed < _PLAIN_MAX:
        return signed
    t_ms = (signed & ~_SIGNED) >> _BITS
    if sign_time(owner, t_ms) != signed:
        raise SumWrong(f"the proven moment of {owner}")
    return t_ms


def sign_bytes(owner: str, raw: bytes) -> bytes:
    return of(owner, raw.hex()).to_bytes(4, "little") + raw


def bytes_of(owner: str, signed: bytes) -> bytes:
    """Raises SumWrong."""
    raw = signed[4:] if isinstance(signed, bytes) else b""
    if sign_bytes(owner, raw) != signed:
        raise SumWrong(f"what source {owner} remembers")
    return raw
