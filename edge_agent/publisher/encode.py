"""Columns -> the bytes of Sparkplug metrics. Big groups by numpy, small ones and texts by the protobuf runtime; both give the same bytes.

Metric fields in order: alias 2, timestamp 3, is_historical 5, is_null 7, properties 9, then the value (long 11, float 12, double 13, boolean 14,
string 15). Data messages name metrics by alias only and carry no data type (Sparkplug 3.0, tck-id-payloads-alias-data-cmd-requirement).
"""

from __future__ import annotations

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
    return metrics_rows(columns, historical)[0]


def metrics_rows(columns: Columns, historical: bool) -> tuple[bytes, npt.NDArray[np.int64]]:
    """The same bytes as `metrics_upb` and where each row ends, all rows at once: every field gets its widest slot, and a mask drops the bytes a
    row does not need. At least one row; neither texts nor nulls."""
    n = len(columns)
    kinds = columns.kinds
    alias, times = columns.ids.astype(np.uint64), columns.t_ms.view(np.uint64)
    alias_w, time_w = _width(int(alias.max())), _width(int(times.max()))
    long = ~((kinds == DOUBLE) | (kinds == FLOAT) | (kinds == BOOL))
    any_long = bool(long.any())
    value_w = max(_width(int(columns.bits[long].max())) if any_long else 0, 8 if not any_long or not long.all() else 0)
    width = 2 + 1 + alias_w + 1 + time_w + (2 if historical else 0) + 1 + value_w
    table = np.empty((n, width), np.uint8)
    keep = np.ones((n, width), np.bool_)
    table[:, 0], table[:, 2] = 0x12, 0x10
    at = 3
    size = np.full(n, 3, np.uint8)  # the three tags of alias, time, value
    size += _put_varints(table, keep, at, alias_w, alias)
    at += alias_w
    table[:, at] = 0x18
    size += _put_varints(table, keep, at + 1, time_w, times)
    at += 1 + time_w
    if historical:
        table[:, at], table[:, at + 1] = 0x28, 0x01
        size += 2
        at += 2
    size += _put_values(table, keep, at, value_w, columns, long, any_long)
    table[:, 1] = size
    ends = np.cumsum(size, dtype=np.int64) + 2 * np.arange(1, n + 1)
    return (table.tobytes() if bool(keep.all()) else table[keep].tobytes()), ends


def _width(number: int) -> int:
    return max(1, (number.bit_length() + 6) // 7)


def _put_varints(
    table: npt.NDArray[np.uint8], keep: npt.NDArray[np.bool_], at: int, width: int, numbers: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint8]:
    """Varints of `numbers` in the columns at..at+width; returns each row's length."""
    if int(numbers.min()) >> (7 * (width - 1)) or width == 1:  # all equally long
        for j in range(width):
            part = (numbers >> np.uint64(7 * j)).astype(np.uint8) & 127
            table[:, at + j] = part | 128 if j < width - 1 else part
        return np.full(len(numbers), width, np.uint8)
    length = np.ones(len(numbers), np.uint8)
    for j in range(1, width):
        length += numbers >= np.uint64(1 << (7 * j))
    for j in range(width):
        part = (numbers >> np.uint64(7 * j)).astype(np.uint8) & 127
        table[:, at + j] = np.where(j < length - 1, part | 128, part)
        if j:
            keep[:, at + j] = j < length
    return length


def _put_values(
    table: npt.NDArray[np.uint8], keep: npt.NDArray[np.bool_], at: int, width: int, columns: Columns, long: npt.NDArray[np.bool_], any_long: bool
) -> npt.NDArray[np.uint8]:
    """Tag and value in the columns at..at+1+width; returns the value's length of each row."""
    kinds, bits = columns.kinds, columns.bits
    length = np.zeros(len(kinds), np.uint8)
    if any_long:
        every = bool(long.all())
        rows = slice(None) if every else np.flatnonzero(long)
        part = np.empty((len(bits[rows]), 1 + width), np.uint8)
        part_keep = np.ones(part.shape, np.bool_)
        part[:, 0] = 0x58
        length[rows] = _put_varints(part, part_keep, 1, width, bits[rows])
        table[rows, at:] = part
        keep[rows, at:] = part_keep
        if every:
            return length
    for kind, tag, size in ((DOUBLE, 0x69, 8), (FLOAT, 0x65, 4), (BOOL, 0x70, 1)):
        mine = kinds == kind
        if not mine.any():
            continue
        every = bool(mine.all())
        rows = slice(None) if every else np.flatnonzero(mine)
        raw = bits[rows]
        if kind == FLOAT:
            raw = raw.view(np.float64).astype(np.float32).view(np.uint32)
        elif kind == BOOL:
            raw = (raw != 0).astype(np.uint8)
        table[rows, at] = tag
        table[rows, at + 1 : at + 1 + size] = np.ascontiguousarray(raw).view(np.uint8).reshape(-1, raw.itemsize)[:, :size]
        if size < width:
            keep[rows, at + 1 + size :] = False
        length[rows] = size
    return length


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
