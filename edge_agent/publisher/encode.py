"""Columns -> the bytes of Sparkplug metrics. Big groups by numpy, small ones and texts by the protobuf runtime; both give the same bytes.

Metric fields in order: alias 2, timestamp 3, is_historical 5, is_null 7, properties 9, then the value (long 11, float 12, double 13, boolean 14,
string 15). Data messages name metrics by alias only and carry no data type (Sparkplug 3.0, tck-id-payloads-alias-data-cmd-requirement).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.contract.names import Quality
from edge_agent.contract.payload import DataType, Value, set_value
from edge_agent.contract.sparkplug_b_pb2 import Payload
from edge_agent.pipeline.columns import BOOL, DOUBLE, FLOAT, NULL, STRING, Columns

VECTOR_FROM = 100  # rows; below this the protobuf runtime is faster


def varint(number: int) -> bytes:
    """Protobuf varint of 0 <= number < 2**64."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def payload(now_ms: int, metrics: bytes, seq: int, uuid: str = "") -> bytes:
    """A whole Payload around encoded metrics."""
    tail = b"\x18" + varint(seq)
    if uuid:
        raw = uuid.encode()
        tail += b"\x22" + varint(len(raw)) + raw
    return b"\x08" + varint(now_ms) + metrics + tail


def metrics(columns: Columns, historical: bool = False) -> bytes:
    """`columns` (ids are aliases) as repeated field 2 of Payload."""
    if len(columns) < VECTOR_FROM or columns.strings or bool((columns.kinds & NULL).any()):
        return metrics_upb(columns, historical)
    return metrics_numpy(columns, historical)


def metrics_upb(columns: Columns, historical: bool = False) -> bytes:
    """By the protobuf runtime: the reference."""
    return bytes(_message(columns, historical).SerializeToString())


def _message(columns: Columns, historical: bool) -> Payload:
    message = Payload()
    add = message.metrics.add
    for alias, t_ms, kind, value in columns.rows():
        metric = add(alias=alias, timestamp=t_ms)
        if historical:
            metric.is_historical = True
        kind &= 0x7F
        if value is None:
            metric.is_null = True
            add_quality(metric, Quality.BAD)
        else:
            set_value(metric, DataType(kind), value)
    return message


def add_quality(metric: Payload.Metric, quality: Quality) -> None:
    """Property Quality, Int32 (tck-id-payloads-propertyset-quality-value-type)."""
    metric.properties.keys.append("Quality")
    value = metric.properties.values.add()
    value.type = int(DataType.INT32)
    value.int_value = int(quality)


def rows(columns: Columns, historical: bool) -> tuple[bytes, npt.NDArray[np.int64]]:
    """`metrics`, and where each row ends. Plain numbers go by numpy, all at once; texts and nulls one by one."""
    odd = np.flatnonzero((columns.kinds == STRING) | ((columns.kinds & NULL) != 0))
    if not len(odd):
        return metrics_rows(columns, historical) if len(columns) else (b"", np.zeros(0, np.int64))
    plain = np.ones(len(columns), np.bool_)
    plain[odd] = False
    encoded, plain_ends = metrics_rows(columns.take(plain), historical) if len(odd) < len(columns) else (b"", np.zeros(0, np.int64))
    message = _message(columns.take(odd), historical)
    odd_sizes = [size + 1 + len(varint(size)) for size in (metric.ByteSize() for metric in message.metrics)]
    odd_encoded, odd_at = message.SerializeToString(), 0
    before = np.concatenate([[0], plain_ends])[odd - np.arange(len(odd))].tolist()  # plain bytes before each odd row
    pieces: list[bytes] = []
    at = 0
    for size, upto in zip(odd_sizes, before, strict=True):
        pieces += (encoded[at:upto], odd_encoded[odd_at : odd_at + size])
        at, odd_at = upto, odd_at + size
    pieces.append(encoded[at:])
    sizes = np.empty(len(columns), np.int64)
    sizes[plain], sizes[odd] = np.diff(plain_ends, prepend=0), odd_sizes
    return b"".join(pieces), np.cumsum(sizes)


def metrics_numpy(columns: Columns, historical: bool = False) -> bytes:
    """The same bytes as `metrics_upb`. At least one row; neither texts nor nulls."""
    return _slots(columns, historical).bytes()


def metrics_rows(columns: Columns, historical: bool) -> tuple[bytes, npt.NDArray[np.int64]]:
    """`metrics_numpy`, and where each row ends."""
    slots = _slots(columns, historical)
    return slots.bytes(), slots.ends()


def _slots(columns: Columns, historical: bool) -> _Slots:
    """All rows at once: every field gets its widest slot, and a mask drops the bytes a row does not need."""
    n = len(columns)
    alias, time = _varints(columns.ids.astype(np.uint64)), _times(columns.t_ms)
    tags, value = _values(columns)
    marks = b"\x28\x01" if historical else b""
    slots = _Slots(n, 2 + 1 + alias.width + 1 + time.width + len(marks) + 1 + value.width)
    slots.put(slots.length_at, 1 + alias.length + 1 + time.length + len(marks) + 1 + value.length)
    slots.put(2, 0x10)
    slots.put_field(3, alias)
    at = 3 + alias.width
    slots.put(at, 0x18)
    slots.put_field(at + 1, time)
    at += 1 + time.width
    for mark in marks:
        slots.put(at, mark)
        at += 1
    slots.put(at, tags)
    slots.put_field(at + 1, value)
    return slots


def _width(number: int) -> int:
    return max(1, (number.bit_length() + 6) // 7)


Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8] | int  # one of each row, or one number that is the same in all

_CONTINUED = np.array([sum(0x80 << 8 * i for i in range(min(length - 1, 8))) for length in range(11)], np.uint64)  # by the length of a varint
_KEPT = np.array([sum(0x01 << 8 * i for i in range(min(length, 8))) for length in range(11)], np.uint64)
_KEPT_HIGH = np.array([sum(0x01 << 8 * i for i in range(max(length - 8, 0))) for length in range(11)], np.uint64)
_TAGS, _SIZES = np.full(256, 0x58, np.uint8), np.zeros(256, np.uint8)  # by kind; a whole number is a varint
for _kind, _tag, _size in ((DOUBLE, 0x69, 8), (FLOAT, 0x65, 4), (BOOL, 0x70, 1)):
    _TAGS[_kind], _SIZES[_kind] = _tag, _size


@dataclass(frozen=True, slots=True)
class _Field:
    """The bytes of a field in each row: the first eight in `low`, what is longer in `high`. `width`: the longest."""

    low: Words
    high: Words | None
    length: Bytes
    width: int


def _spread(numbers: Words, width: int) -> Words:
    """The lowest 7 * `width` bits (56 at most), seven to a byte."""
    out = numbers
    for from_width, low, high, shift in (
        (5, 0x0000_0000_0FFF_FFFF, 0x00FF_FFFF_F000_0000, 4),
        (3, 0x0000_3FFF_0000_3FFF, 0x0FFF_C000_0FFF_C000, 2),
        (2, 0x007F_007F_007F_007F, 0x3F80_3F80_3F80_3F80, 1),
    ):
        if width >= from_width:
            out = (out & np.uint64(low)) | ((out & np.uint64(high)) << np.uint64(shift))
    return out


def _varints(numbers: Words) -> _Field:
    width = _width(int(numbers.max()))
    length: Bytes = width
    if _width(int(numbers.min())) != width:
        length = np.ones(len(numbers), np.uint8)
        for j in range(1, width):
            length += numbers >= np.uint64(1 << (7 * j))
    high = None
    if width > 8:
        ninth = (numbers >> np.uint64(56)) & np.uint64(0x7F) | (np.asarray(length) > 9).astype(np.uint64) << np.uint64(7)
        high = ninth | numbers >> np.uint64(63) << np.uint64(8)
    return _Field(_spread(numbers, width) | _CONTINUED.take(length), high, length, width)


def _times(t_ms: npt.NDArray[np.int64]) -> _Field:
    """As varints; a moment that many rows in a row share is worked out once."""
    starts = np.flatnonzero(np.diff(t_ms, prepend=t_ms[0] - 1))
    if len(starts) * 4 > len(t_ms):
        return _varints(t_ms.view(np.uint64))
    some, counts = _varints(t_ms[starts].view(np.uint64)), np.diff(starts, append=len(t_ms))
    length = some.length if isinstance(some.length, int) else np.repeat(some.length, counts)
    high = None if some.high is None else np.repeat(some.high, counts)
    return _Field(np.repeat(some.low, counts), high, length, some.width)


def _values(columns: Columns) -> tuple[Bytes, _Field]:
    """Tag and bytes of each row's value."""
    kinds, bits = columns.kinds, columns.bits
    first = int(kinds[0])
    if bool((kinds == first).all()):
        tag = int(_TAGS[first])
        if first == DOUBLE:
            return tag, _Field(np.ascontiguousarray(bits), None, 8, 8)
        if not _SIZES[first]:
            return tag, _varints(bits)
    low, length = bits.copy(), _SIZES.take(kinds)
    high: Words | None = None
    for kind in (FLOAT, BOOL):
        mine = np.flatnonzero(kinds == kind)
        low[mine] = bits[mine].view(np.float64).astype(np.float32).view(np.uint32) if kind == FLOAT else bits[mine] != 0
    whole = np.flatnonzero(length == 0)
    if len(whole):
        field = _varints(bits[whole])
        low[whole], length[whole] = field.low, field.length
        if field.high is not None:
            high = np.zeros(len(kinds), np.uint64)
            high[whole] = field.high
    return _TAGS.take(kinds), _Field(low, high, length, int(length.max()))


class _Slots:
    """Rows of `width` bytes each, filled column by column; a mask says which of them count."""

    length_at = 1

    def __init__(self, n: int, width: int) -> None:
        self._table = np.empty((n, width), np.uint8)
        self._table[:, 0] = 0x12
        self._keep: npt.NDArray[np.uint8] | None = None  # None as long as all count

    def put(self, at: int, byte: npt.NDArray[Any] | int) -> None:
        self._table[:, at] = byte

    def put_field(self, at: int, field: _Field) -> None:
        _store(self._table, at, field.low, min(field.width, 8))
        if field.high is not None:
            _store(self._table, at + 8, field.high, field.width - 8)
        if isinstance(field.length, int):
            return
        if self._keep is None:
            self._keep = np.ones(self._table.shape, np.uint8)
        _store(self._keep, at, _KEPT.take(field.length), min(field.width, 8))
        if field.high is not None:
            _store(self._keep, at + 8, _KEPT_HIGH.take(field.length), field.width - 8)

    def bytes(self) -> bytes:
        return self._table.tobytes() if self._keep is None else self._table[self._keep.view(np.bool_)].tobytes()

    def ends(self) -> npt.NDArray[np.int64]:
        """Where each row ends in `bytes`."""
        return np.cumsum(self._table[:, self.length_at], dtype=np.int64) + 2 * np.arange(1, len(self._table) + 1)


def _store(table: npt.NDArray[np.uint8], at: int, words: Words, width: int) -> None:
    """The lowest `width` bytes of each word into the columns from `at` on."""
    np.ndarray(len(words), f"V{width}", table, at, (table.shape[1],))[...] = np.ndarray(len(words), f"V{width}", words, 0, (8,))


def value_metric(message: Payload, alias: int | None, name: str | None, datatype: DataType, t_ms: int, value: Value) -> Payload.Metric:
    """Adds a metric of a birth (name and alias) or of node data (alias only: pass name None)."""
    metric = message.metrics.add(timestamp=t_ms)
    if name is not None:
        metric.name = name
        metric.datatype = int(datatype)
    if alias is not None:
        metric.alias = alias
    set_value(metric, datatype, value)
    return metric
