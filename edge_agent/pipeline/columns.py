"""Values as columns: what sources hand in, what the pipeline sorts, what a buffer record holds.

A value is 64 bits whose meaning `kind` gives (a Sparkplug data type number): INT64 and UINT64, DATETIME (ms) and BOOLEAN as integers, FLOAT and
DOUBLE as the bits of a double, STRING as an index into `strings`. kind | NULL is a value the source itself calls bad.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.contract.payload import DataType

U4 = npt.NDArray[np.uint32]
I8 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint64]
U1 = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

NULL = 0x80
INT, UINT, FLOAT, DOUBLE, BOOL, STRING, DATETIME = (
    int(x) for x in (DataType.INT64, DataType.UINT64, DataType.FLOAT, DataType.DOUBLE, DataType.BOOLEAN, DataType.STRING, DataType.DATETIME)
)
WHOLE_KINDS = frozenset({INT, UINT, BOOL, DATETIME})
REAL_KINDS = frozenset({FLOAT, DOUBLE})
_DOUBLE = struct.Struct("<d")
_WORD = struct.Struct("<Q")

Value = bool | int | float | str | None


def bits_of(kind: int, value: Value, strings: list[str]) -> int:
    """The 64 bits of `value` as `kind`; strings are appended to `strings`."""
    if value is None:
        return 0
    if kind in REAL_KINDS:
        return int(_WORD.unpack(_DOUBLE.pack(float(value)))[0])
    if kind == STRING:
        strings.append(str(value))
        return len(strings) - 1
    return int(value) & 0xFFFFFFFFFFFFFFFF


def value_of(kind: int, bits: int, strings: Sequence[str]) -> Value:
    if kind & NULL:
        return None
    if kind in REAL_KINDS:
        return float(_DOUBLE.unpack(_WORD.pack(bits))[0])
    if kind == STRING:
        return strings[bits]
    if kind == BOOL:
        return bool(bits)
    return bits - (1 << 64) if kind == INT and bits >> 63 else bits


@dataclass(slots=True)
class Columns:
    """n values; `ids` are tag numbers on the way in and metric aliases on the way out. Times are ms since 1970 UTC."""

    ids: U4
    t_ms: I8
    bits: U8
    kinds: U1
    strings: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def empty(cls) -> Columns:
        return cls(np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0, np.uint64), np.empty(0, np.uint8))

    @classmethod
    def of(cls, rows: Iterable[tuple[int, int, int, Value]]) -> Columns:
        """From rows (id, t_ms, kind, value); a None value becomes kind | NULL."""
        strings: list[str] = []
        ids, times, bits, kinds = [], [], [], []
        for number, t_ms, kind, value in rows:
            ids.append(number)
            times.append(t_ms)
            bits.append(bits_of(kind, value, strings))
            kinds.append(kind if value is not None else kind | NULL)
        return cls(np.array(ids, np.uint32), np.array(times, np.int64), np.array(bits, np.uint64), np.array(kinds, np.uint8), strings)

    def take(self, index: slice | npt.NDArray[Any]) -> Columns:
        """The rows of an index array, mask or slice; all strings stay (indices keep their meaning)."""
        if isinstance(index, slice):
            return Columns(self.ids[index], self.t_ms[index], self.bits[index], self.kinds[index], self.strings)
        at = np.flatnonzero(index) if index.dtype == np.bool_ else index
        return Columns(self.ids.take(at), self.t_ms.take(at), self.bits.take(at), self.kinds.take(at), self.strings)

    def rows(self) -> list[tuple[int, int, int, Value]]:
        """(id, t_ms, kind, value) of every row as Python objects."""
        strings = self.strings
        return [
            (number, t_ms, kind, value_of(kind, bits, strings))
            for number, t_ms, bits, kind in zip(self.ids.tolist(), self.t_ms.tolist(), self.bits.tolist(), self.kinds.tolist(), strict=True)
        ]


def joined(parts: Sequence[Columns]) -> Columns:
    """One after the other; string indices are shifted."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Columns.empty()
    strings: list[str] = []
    bits = []
    for part in parts:
        word = part.bits
        if part.strings:
            if strings:
                word = np.where((part.kinds & 0x7F) == STRING, word + np.uint64(len(strings)), word)
            strings = strings + part.strings
        bits.append(word)
    return Columns(
        np.concatenate([p.ids for p in parts]),
        np.concatenate([p.t_ms for p in parts]),
        np.concatenate(bits),
        np.concatenate([p.kinds for p in parts]),
        strings,
    )


def as_double(bits: U8, kinds: U1) -> npt.NDArray[np.float64]:
    """Every row as a number (strings and nulls give nonsense: mask them first)."""
    signed = (kinds == INT) | (kinds == BOOL) | (kinds == DATETIME)
    unsigned = kinds == UINT
    if not signed.any() and not unsigned.any():
        return bits.view(np.float64)
    out = np.where(signed, bits.view(np.int64).astype(np.float64), bits.view(np.float64))
    return np.where(unsigned, bits.astype(np.float64), out)
