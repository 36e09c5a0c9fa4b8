"""Sparkplug DATA payloads to columns: vectorised over a whole group of messages, the standard protobuf runtime wherever that does not fit.

How the fast way stays true: the metric runs of many messages are joined and the chain start + length = next start is *proved* from the first
byte to the last; inside each metric alias, timestamp, [datatype], [is_historical] and one value must use up exactly its bytes. A metric that
does not is read by upb alone, a message whose frame does not is read by upb whole (differential test: tests/mes_server/ingest/test_codec.py).
Values stay raw (unsigned bits); signedness needs the birth's datatype and is applied by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from edge_agent.contract.names import Quality
from edge_agent.contract.payload import BadPayload, decode
from edge_agent.contract.sparkplug_b_pb2 import Payload

U8 = np.uint64
NULL, INT, LONG, FLOAT, DOUBLE, BOOL, STRING, BYTES, OTHER = 0, 10, 11, 12, 13, 14, 15, 16, 17  # value field numbers of the standard
METRICS_MAX = 20_000  # a message with more is refused: bounds memory, an edge sends <= 5,000
STRING_MAX = 65_536
MARK_MAX = (1 << 14) - 1  # a length of two octets
NO_TIME = -1
_LOW7 = U8(0x7F)
_KEEP = np.array([0] + [(1 << 8 * i) - 1 for i in range(1, 8)] + [2**64 - 1], U8)  # keep the first i bytes
_CONTINUED = np.array([0] + [sum(0x80 << 8 * j for j in range(i - 1)) for i in range(1, 9)], U8)  # continuation bits of an i byte varint
_KIND_OF_TAG = np.zeros(256, np.uint8)
_KIND_OF_TAG[[0x50, 0x58, 0x65, 0x69, 0x70, 0x7A]] = [INT, LONG, FLOAT, DOUBLE, BOOL, STRING]
_PAD = bytes(24)


@dataclass(slots=True)
class Columns:
    """Metrics of many messages, in message order. `counts[m]` metrics belong to message m."""

    counts: NDArray[np.int64]
    alias: NDArray[np.int64]  # -1: the metric came by name, see `names`
    ts: NDArray[np.int64]  # ms; NO_TIME where neither metric nor message says one
    kind: NDArray[np.uint8]  # value field number, 0 = null
    raw: NDArray[np.uint64]  # integers as sent (unsigned), booleans 0/1, floats the bits of the double
    historical: NDArray[np.bool_]
    bad: NDArray[np.bool_]  # quality property says the value is not good
    texts: dict[int, str] = field(default_factory=dict)  # metric index -> string value
    names: dict[int, str] = field(default_factory=dict)  # metric index -> name, where sent
    sent_ms: list[int] = field(default_factory=list)  # per message, NO_TIME if absent
    seq: list[int] = field(default_factory=list)  # per message, -1 if absent
    mark: list[str] = field(default_factory=list)  # per message, "" if absent
    errors: dict[int, str] = field(default_factory=dict)  # message index -> why it could not be read (it then has no metrics)
    by_upb: int = 0  # messages that took the slow way
    odd: int = 0  # single metrics that did


@dataclass(slots=True)
class _Frame:
    start: int
    end: int
    sent_ms: int
    seq: int
    mark: str


def decode_group(payloads: Sequence[bytes]) -> Columns:
    """All messages of a commit group. Never raises for content; unreadable messages are named in `errors`."""
    frames = [_frame(data) for data in payloads]
    fast = [index for index, frame in enumerate(frames) if frame is not None]
    parts: list[tuple[list[int], Columns]] = []
    slow = [index for index, frame in enumerate(frames) if frame is None]
    if fast:
        taken, columns, refused = _decode_fast(fast, payloads, frames)
        slow = sorted(slow + refused)
        if taken:
            parts.append((taken, columns))
    if slow:
        parts.append((slow, decode_by_upb([payloads[index] for index in slow])))
    if not parts:
        return _empty()
    return parts[0][1] if len(parts) == 1 else _interleave(parts, len(payloads))


# --- the frame of a message ------------------------------------------------------------------------------------------------------
def _frame(data: bytes) -> _Frame | None:
    """Where the run of metrics lies, if the message is `timestamp? metrics* seq? uuid?` in canonical order. The chain proof judges it."""
    size, at, sent = len(data), 0, NO_TIME
    if size > 6 and data[0] == 0x08:
        sent, shift, at = 0, 0, 1
        while at < size and at < 8:
            byte = data[at]
            sent |= (byte & 0x7F) << shift
            at += 1
            if byte < 0x80:
                break
            shift += 7
        else:
            return None
    end, begin = _mark_place(data, at)
    try:
        mark = data[begin:].decode("ascii")
    except UnicodeDecodeError:
        return None
    seq = -1
    if end - at >= 2 and data[end - 2] == 0x18 and data[end - 1] < 0x80:
        seq, end = data[end - 1], end - 2
    elif end - at >= 3 and data[end - 3] == 0x18 and data[end - 2] >= 0x80 and data[end - 1] < 0x80:
        seq, end = (data[end - 2] & 0x7F) | data[end - 1] << 7, end - 3
    return _Frame(at, end, sent, seq, mark)


def _mark_place(data: bytes, at: int) -> tuple[int, int]:
    """(where the field `uuid` begins, where its text begins) if it ends the payload; else the end, twice. The octet that tells the field may also
    be one of its length, so up to three are tried."""
    size = len(data)
    least = max(at, size - MARK_MAX - 3)
    quote = data.rfind(b'"', least)
    for _ in range(3):
        if quote < 0:
            break
        rest = size - quote - 2
        if 0 <= rest < 128 and data[quote + 1] == rest:
            return quote, quote + 2
        rest -= 1
        if rest >= 128 and data[quote + 1] == rest & 0x7F | 0x80 and data[quote + 2] == rest >> 7:
            return quote, quote + 3
        quote = data.rfind(b'"', least, quote)
    return size, size


def mark_of(data: bytes) -> str:
    """The delivery mark at the end of a payload of which nothing else can be read; "" when there is none."""
    return data[_mark_place(data, 0)[1] :].decode("ascii", "replace")


def part_of(data: bytes, first: int, count: int, mark: str) -> bytes:
    """A payload with `count` metrics of a readable one, from number `first` on, under a mark of their own."""
    whole = decode(data)
    part = Payload(timestamp=whole.timestamp, uuid=mark, metrics=whole.metrics[first : first + count])
    return bytes(part.SerializeToString())


# --- the fast way ----------------------------------------------------------------------------------------------------------------
def _decode_fast(fast: list[int], payloads: Sequence[bytes], frames: list[_Frame | None]) -> tuple[list[int], Columns, list[int]]:
    """(messages taken, their columns, messages refused)."""
    plain = [frame for frame in (frames[index] for index in fast) if frame is not None]
    pieces = [payloads[index][frame.start : frame.end] for index, frame in zip(fast, plain, strict=True)]
    joined = b"".join((*pieces, _PAD))
    length = len(joined) - len(_PAD)
    buffer = np.frombuffer(joined, np.uint8)
    ends = np.cumsum([len(piece) for piece in pieces])
    start = _prove_chain(buffer, length)
    refused: list[int] = []
    if start is not None:
        header = np.full(len(start), 2, np.int64)
        stop = start + 2 + buffer[start + 1]
        counts = np.diff(np.searchsorted(start, ends), prepend=0)
        if len(start) and not np.isin(ends[np.flatnonzero(counts)], stop).all():
            start = None  # a metric reaches over the end of its message
        elif len(counts) and int(counts.max()) > METRICS_MAX:
            start = None
    if start is None:
        walked = [_walk(piece) for piece in pieces]
        good = [index for index, found in enumerate(walked) if found is not None]
        refused = [fast[index] for index, found in enumerate(walked) if found is None]
        fast, plain, pieces = [fast[i] for i in good], [plain[i] for i in good], [pieces[i] for i in good]
        found_all = [found for found in walked if found is not None]
        joined = b"".join((*pieces, _PAD))
        buffer = np.frombuffer(joined, np.uint8)
        bases = np.cumsum([0, *(len(piece) for piece in pieces)])[:-1]
        counts = np.array([len(found) for found in found_all], np.int64)
        triples = np.array([one for found in found_all for one in found], np.int64).reshape(-1, 3)
        base = np.repeat(bases, counts)
        start, header, stop = triples[:, 0] + base, triples[:, 1], triples[:, 2] + base
    columns = _fields(joined, buffer, start, header, stop)
    columns.counts = counts.astype(np.int64)
    columns.sent_ms = [frame.sent_ms for frame in plain]
    columns.seq = [frame.seq for frame in plain]
    columns.mark = [frame.mark for frame in plain]
    missing = columns.ts == NO_TIME
    if missing.any():
        columns.ts[missing] = np.repeat(np.array(columns.sent_ms, np.int64), columns.counts)[missing]
    return fast, columns, refused


def _prove_chain(buffer: NDArray[np.uint8], length: int) -> NDArray[np.int64] | None:
    """Starts of all metrics, proved: each start + its length is the next start and the last ends at `length`. None: no such chain found."""
    if length == 0:
        return np.zeros(0, np.int64)
    at = np.flatnonzero(buffer[:length] == 0x12)
    at = at[(buffer[at + 2] == 0x10) & (buffer[at + 1] < 0x80)]
    for _ in range(4):
        after = at + buffer[at + 1] + 2
        if len(at) == 0:
            return None
        if at[0] == 0 and after[-1] == length and bool((at[1:] == after[:-1]).all()):
            proved: NDArray[np.int64] = at
            return proved
        reached = np.zeros(length + 300, bool)  # prune what no other metric leads to, then what leads to no metric
        reached[0] = True
        reached[after] = True
        at = at[reached[at]]
        reached[:] = False
        reached[at] = True
        reached[length] = True
        at = at[reached[at + buffer[at + 1] + 2]]
    return None


def _walk(piece: bytes) -> list[tuple[int, int, int]] | None:
    """(start, header bytes, end) of each metric of one message, one by one; None if it is not a run of metrics."""
    at, size = 0, len(piece)
    found: list[tuple[int, int, int]] = []
    while at < size:
        if piece[at] != 0x12 or at + 2 > size or len(found) >= METRICS_MAX:
            return None
        header, length = 2, piece[at + 1]
        if length >= 0x80:
            if at + 3 > size or piece[at + 2] >= 0x80:
                return None
            header, length = 3, length & 0x7F | piece[at + 2] << 7
        end = at + header + length
        if end > size:
            return None
        found.append((at, header, end))
        at = end
    return found


def _fields(joined: bytes, buffer: NDArray[np.uint8], start: NDArray[np.int64], header: NDArray[np.int64], stop: NDArray[np.int64]) -> Columns:
    """Alias, timestamp, datatype, is_historical and value of every metric, eight bytes at a time."""
    columns = _empty(len(start))
    if not len(start):
        return columns
    words: NDArray[np.uint64] = np.ndarray((len(buffer) - 7,), "<u8", buffer, 0, (1,))
    body = start + header
    good = (buffer[body] == 0x10) & (header == 2)
    head = words[body + 1]  # an alias of one to three bytes
    more1 = (head >> U8(7)) & U8(1)
    more2 = more1 & (head >> U8(15))
    good &= (more2 & (head >> U8(23)) & U8(1)) == 0
    columns.alias = ((head & _LOW7) | ((head >> U8(8) & _LOW7) * more1) << U8(7) | ((head >> U8(16) & _LOW7) * more2) << U8(14)).view(np.int64)
    at = body + 2 + (more1 + more2).astype(np.int64)
    last = len(words) - 1
    word = words[np.minimum(at, last)]
    good &= (word & U8(0xFF)) == U8(0x18)
    word >>= U8(8)
    good &= (word & U8(0x808080808080)) == U8(0x008080808080)  # six bytes: 1971 to 2109
    stamp = word & _LOW7
    for i in range(1, 6):
        stamp |= (word >> U8(8 * i) & _LOW7) << U8(7 * i)
    columns.ts = stamp.view(np.int64)
    at = np.minimum(at + 7, last)
    has_type = buffer[at] == 0x20
    good &= ~has_type | (buffer[np.minimum(at + 1, last)] < 0x80)
    at = np.minimum(at + 2 * has_type, last)
    flagged = buffer[at] == 0x28
    columns.historical = flagged & (buffer[np.minimum(at + 1, last)] == 1)
    good &= ~flagged | (buffer[np.minimum(at + 1, last)] <= 1)
    at = np.minimum(at + 2 * flagged, last)
    _values(columns, words, buffer, at, stop, good, joined)
    odd = np.flatnonzero(~good)
    columns.odd = len(odd)
    for index in odd.tolist():
        _odd_metric(columns, index, joined[int(body[index]) : int(stop[index])])
    return columns


def _values(
    columns: Columns,
    words: NDArray[np.uint64],
    buffer: NDArray[np.uint8],
    at: NDArray[np.int64],
    stop: NDArray[np.int64],
    good: NDArray[np.bool_],
    joined: bytes,
) -> None:
    tag = buffer[at]
    kind = _KIND_OF_TAG[tag]
    size = stop - at - 1
    value = words[np.minimum(at + 1, len(words) - 1)]
    columns.kind = kind
    fits = np.zeros(len(at), bool)
    doubles = (kind == DOUBLE) & (size == 8)
    columns.raw[doubles] = value[doubles]
    fits |= doubles
    floats = (kind == FLOAT) & (size == 4)
    if floats.any():
        columns.raw[floats] = value[floats].astype("<u4").view("<f4").astype("<f8").view("<u8")
        fits |= floats
    integers = np.flatnonzero(((kind == INT) | (kind == LONG) | (kind == BOOL)) & (size >= 1) & (size <= 8))
    if len(integers):
        length = size[integers]
        word = value[integers] & _KEEP[length]
        whole = (word & U8(0x8080808080808080)) == _CONTINUED[length]
        number = word & _LOW7
        for i in range(1, int(length.max())):
            number |= (word >> U8(8 * i) & _LOW7) << U8(7 * i)
        whole &= (kind[integers] != INT) | (number < U8(1 << 32))
        whole &= (kind[integers] != BOOL) | (number <= U8(1))
        columns.raw[integers] = number
        fits[integers] = whole
    for index in np.flatnonzero((kind == STRING) & good).tolist():
        begin, end = int(at[index]) + 2, int(stop[index])
        if end - begin == joined[begin - 1] < 0x80:
            try:
                columns.texts[index] = joined[begin:end].decode()
            except UnicodeDecodeError:
                continue  # upb judges it
            fits[index] = True
    good &= fits


def _odd_metric(columns: Columns, index: int, data: bytes) -> None:
    """One metric by upb; one that is no metric at all becomes a null of alias -1."""
    columns.texts.pop(index, None)
    try:
        metric = Payload.Metric.FromString(data)
    except (DecodeError, UnicodeDecodeError) as error:
        columns.names[index] = f"\0unreadable: {error}"[:200]
        _put(columns, index, -1, NO_TIME, NULL, 0, False, True)
        return
    _put_metric(columns, index, metric)


# --- the slow way ----------------------------------------------------------------------------------------------------------------
def decode_by_upb(payloads: Sequence[bytes]) -> Columns:
    """The same columns from the protobuf runtime, metric by metric: the reference, and the way for everything unusual."""
    messages: list[Payload | None] = []
    errors: dict[int, str] = {}
    for index, data in enumerate(payloads):
        try:
            message = decode(data)
            if len(message.metrics) > METRICS_MAX:
                raise BadPayload(f"{len(message.metrics)} metrics in one message; at most {METRICS_MAX}")
            messages.append(message)
        except BadPayload as error:
            messages.append(None)
            errors[index] = str(error)
    counts = [0 if message is None else len(message.metrics) for message in messages]
    columns = _empty(sum(counts))
    columns.counts = np.array(counts, np.int64)
    columns.errors = errors
    columns.by_upb = len(payloads)
    index = 0
    for found in messages:
        message = found if found is not None else Payload()
        columns.sent_ms.append(message.timestamp if _has(message, "timestamp") and message.timestamp < 1 << 53 else NO_TIME)
        columns.seq.append(message.seq if _has(message, "seq") and message.seq < 1 << 53 else -1)
        columns.mark.append(text_of(message.uuid))
        for metric in message.metrics:
            _put_metric(columns, index, metric)
            if columns.ts[index] == NO_TIME:
                columns.ts[index] = columns.sent_ms[-1]
            index += 1
    return columns


def _put_metric(columns: Columns, index: int, metric: Any) -> None:
    if _has(metric, "name"):
        columns.names[index] = text_of(metric.name)
    alias = int(metric.alias) if _has(metric, "alias") and metric.alias < 1 << 31 else -1
    stamp = int(metric.timestamp) if _has(metric, "timestamp") and metric.timestamp < 1 << 53 else NO_TIME
    which = None if metric.is_null else metric.WhichOneof("value")
    kind, raw = NULL, 0
    if which in ("int_value", "long_value", "boolean_value"):
        kind, raw = {"int_value": INT, "long_value": LONG, "boolean_value": BOOL}[which], int(getattr(metric, which))
    elif which in ("float_value", "double_value"):
        kind = FLOAT if which == "float_value" else DOUBLE
        raw = int(np.float64(getattr(metric, which)).view(np.uint64))
    elif which == "string_value":
        kind = STRING
        columns.texts[index] = text_of(metric.string_value)[:STRING_MAX]
    elif which is not None:
        kind = BYTES if which == "bytes_value" else OTHER
    _put(columns, index, alias, stamp, kind, raw, bool(metric.is_historical), _is_bad(metric))


def _put(columns: Columns, index: int, alias: int, stamp: int, kind: int, raw: int, historical: bool, bad: bool) -> None:
    columns.alias[index] = alias
    columns.ts[index] = stamp
    columns.kind[index] = kind
    columns.raw[index] = raw
    columns.historical[index] = historical
    columns.bad[index] = bad


def _is_bad(metric: Any) -> bool:
    if not _has(metric, "properties"):
        return False
    for key, value in zip(metric.properties.keys, metric.properties.values, strict=False):
        if key in ("Quality", "quality"):
            quality = value.int_value if value.WhichOneof("value") == "int_value" else value.long_value
            return quality not in (Quality.GOOD, Quality.STALE)
    return False


def text_of(value: str | bytes) -> str:
    """A protobuf string; the runtime gives bytes where a peer sent something that is no UTF-8."""
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _has(message: Any, name: str) -> bool:
    return bool(message.HasField(name))


def _empty(size: int = 0) -> Columns:
    return Columns(
        counts=np.zeros(0, np.int64),
        alias=np.full(size, -1, np.int64),
        ts=np.full(size, NO_TIME, np.int64),
        kind=np.zeros(size, np.uint8),
        raw=np.zeros(size, np.uint64),
        historical=np.zeros(size, bool),
        bad=np.zeros(size, bool),
    )


def _interleave(parts: list[tuple[list[int], Columns]], messages: int) -> Columns:
    """Puts the columns of fast and slow messages back into message order."""
    counts = np.zeros(messages, np.int64)
    sent, seq, mark = [NO_TIME] * messages, [-1] * messages, [""] * messages
    errors: dict[int, str] = {}
    for taken, part in parts:
        for place, index in enumerate(taken):
            counts[index] = part.counts[place]
            sent[index], seq[index], mark[index] = part.sent_ms[place], part.seq[place], part.mark[place]
            if place in part.errors:
                errors[index] = part.errors[place]
    owner = np.concatenate([np.repeat(np.array(taken, np.int64), part.counts) for taken, part in parts])
    order = np.argsort(owner, kind="stable")
    place_of = np.empty(len(order), np.int64)
    place_of[order] = np.arange(len(order))
    columns = [part for _, part in parts]
    merged = Columns(
        counts,
        np.concatenate([part.alias for part in columns])[order],
        np.concatenate([part.ts for part in columns])[order],
        np.concatenate([part.kind for part in columns])[order],
        np.concatenate([part.raw for part in columns])[order],
        np.concatenate([part.historical for part in columns])[order],
        np.concatenate([part.bad for part in columns])[order],
        sent_ms=sent,
        seq=seq,
        mark=mark,
        errors=errors,
        by_upb=sum(part.by_upb for part in columns),
        odd=sum(part.odd for part in columns),
    )
    base = 0
    for _, part in parts:
        merged.texts.update({int(place_of[base + index]): text for index, text in part.texts.items()})
        merged.names.update({int(place_of[base + index]): name for index, name in part.names.items()})
        base += len(part.alias)
    return merged


def numbers(columns: Columns, signed_bits: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(value, is it a finite number) of each metric; `signed_bits` is 8, 16, 32 or 64 for signed birth datatypes, else 0."""
    value = columns.raw.view(np.float64).copy()
    whole = (columns.kind == INT) | (columns.kind == LONG) | (columns.kind == BOOL)
    if whole.any():
        raw = columns.raw[whole]
        bits = signed_bits[whole].astype(np.uint64)
        shift = np.where(bits > 0, U8(64) - bits, U8(0))
        value[whole] = np.where(bits > 0, ((raw << shift).view(np.int64) >> shift.view(np.int64)).astype(np.float64), raw.astype(np.float64))
    numeric = whole | (columns.kind == DOUBLE) | (columns.kind == FLOAT)
    value[~numeric] = np.nan
    return value, numeric & np.isfinite(value)
