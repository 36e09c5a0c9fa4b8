"""Registers <-> values. Pure. Word orders by the letters of a 32-bit value: ABCD big endian, CDAB words swapped, BADC bytes swapped, DCBA both."""

from __future__ import annotations

import math
import struct
from typing import Final

from edge_agent.pipeline.columns import BOOL, DOUBLE, FLOAT, INT, UINT, Value
from edge_agent.sources.modbus.config import RegisterType, WordOrder

WORDS: Final[dict[RegisterType, int]] = {
    "bool": 1,
    "int16": 1,
    "uint16": 1,
    "int32": 2,
    "uint32": 2,
    "float32": 2,
    "pf_four_quadrant": 2,
    "int64": 4,
    "uint64": 4,
    "float64": 4,
}
_CODES: Final[dict[RegisterType, str]] = {
    "int16": ">h",
    "uint16": ">H",
    "int32": ">i",
    "uint32": ">I",
    "int64": ">q",
    "uint64": ">Q",
    "float32": ">f",
    "float64": ">d",
    "pf_four_quadrant": ">f",
}
KINDS: Final[dict[RegisterType, int]] = {
    "bool": BOOL,
    "int16": INT,
    "uint16": INT,
    "int32": INT,
    "uint32": INT,
    "int64": INT,
    "uint64": UINT,
    "float32": FLOAT,
    "float64": DOUBLE,
    "pf_four_quadrant": DOUBLE,
}


def _ordered(words: list[int], order: WordOrder) -> bytes:
    if order in ("CDAB", "DCBA"):
        words = words[::-1]
    raw = struct.pack(f">{len(words)}H", *words)
    if order in ("BADC", "DCBA"):
        raw = b"".join(raw[i + 1 : i + 2] + raw[i : i + 1] for i in range(0, len(raw), 2))
    return raw


def decode(words: list[int], kind: RegisterType, order: WordOrder = "ABCD") -> Value:
    """The value of `words` (as many as WORDS[kind]); None for NaN and infinity, which meters use for "not available"."""
    if kind == "bool":
        return bool(words[0])
    (value,) = struct.unpack(_CODES[kind], _ordered(words, order))
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        if kind == "pf_four_quadrant":
            return power_factor(value)
    return value  # type: ignore[no-any-return]


def _highest(kind: RegisterType) -> int:
    bits = WORDS[kind] * 16
    return (1 << bits) - 1 if kind.startswith("uint") else (1 << bits - 1) - 1


_HIGHEST: Final[dict[RegisterType, int]] = {kind: _highest(kind) for kind in WORDS if "int" in kind}


def is_highest(value: Value, kind: RegisterType) -> bool:
    """Whether an integer register holds the highest number it can: what many meters say for "not available" and for "overflow"."""
    return kind in _HIGHEST and value == _HIGHEST[kind]


def rollover_bits(kind: RegisterType) -> int | None:
    """After how many bits a running total in such a register starts over; None: not in a lifetime, or (floats) never."""
    if kind.startswith("uint") and WORDS[kind] < 4:
        return WORDS[kind] * 16
    return WORDS[kind] * 16 - 1 if kind in ("int16", "int32") else None


def encode(value: float, kind: RegisterType, order: WordOrder = "ABCD") -> list[int]:
    """The inverse of `decode` (not for power factors): what a simulator or a test puts into registers."""
    raw = struct.pack(_CODES[kind], value if kind.startswith("float") else int(value))
    return list(struct.unpack(f">{len(raw) // 2}H", _ordered(list(struct.unpack(f">{len(raw) // 2}H", raw)), order)))


def power_factor(register: float) -> float:
    """Schneider's 4Q_FP_PF: the quadrant is folded into a value between -2 and 2 (documentation of PM5000, power factor register format)."""
    if register > 1:
        return 2 - register
    if register < -1:
        return -2 - register
    return register
