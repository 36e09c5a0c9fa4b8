"""PublishResponse bytes -> columns, without an object a value (OPC 10000-6, 5.2).

The fastest way that fits: one structured view where all items have the same shape; the layout of the last notification, verified
vectorised; a walk that only finds where each item begins; one precompiled struct an item. Values of other types than numbers, Booleans,
dates, texts and node ids are stepped over (`skip.py`) and become null. What is no PublishResponse raises Unusual.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.pipeline.columns import BOOL, DATETIME, DOUBLE, FLOAT, INT, NULL, STRING, UINT, Columns
from edge_agent.pipeline.columns import joined as columns_joined
from edge_agent.sources.opcua import packml_counts, skip

EPOCH_100NS = 116_444_736_000_000_000  # 1970-01-01 in 100 ns since 1601
SERVICE_FAULT, PUBLISH_RESPONSE, REPUBLISH_RESPONSE, DATA_CHANGE, STATUS_CHANGE, EVENTS = 397, 829, 835, 811, 820, 916
OVERFLOW = 0x480  # InfoType DataValue + Overflow bit (OPC 10000-4, 7.39.1)
_BAD = 0x80000000
NO_TIME = -1
VECTOR_FROM = 64
ITEM_BYTES_MIN = 5  # a handle and a mask

# UA built-in type -> (struct code, kind). Doubles and UInt64 are taken as raw bits, floats are widened afterwards.
_SCALARS: dict[int, tuple[str, int]] = {
    1: ("B", BOOL),
    2: ("b", INT),
    3: ("B", INT),
    4: ("h", INT),
    5: ("H", INT),
    6: ("i", INT),
    7: ("I", INT),
    8: ("q", INT),
    9: ("q", UINT),
    10: ("f", FLOAT),
    11: ("q", DOUBLE),
    13: ("q", DATETIME),
}
_HAS_VALUE, _HAS_STATUS, _HAS_SOURCE, _HAS_SERVER, _HAS_SOURCE_PICO, _HAS_SERVER_PICO = 1, 2, 4, 8, 16, 32


class Unusual(Exception):
    """Bytes that are no publish response, or a damaged one."""


@dataclass(slots=True)
class Changes:
    """The data changes of one response: ids are client handles, t_ms NO_TIME where the source gave none."""

    columns: Columns
    overflow: list[int] = field(default_factory=list)  # rows before which the server dropped values


@dataclass(slots=True)
class Response:
    subscription: int
    sequence: int
    more: bool
    changes: list[Changes]
    status: int | None = None  # of a StatusChangeNotification
    published_ms: float | None = None  # when the server sent it, by the server's clock; None where it does not say
    events: list[bytes] | None = None  # encoded EventNotificationLists (`conditions.py` reads them)

    @property
    def is_keep_alive(self) -> bool:
        return not self.changes and self.status is None and self.events is None


def fault(body: bytes) -> int | None:
    """The code of a ServiceFault or of a response with a bad service result; None for what is neither."""
    if len(body) < 20 or body[:2] != b"\x01\x00" or int.from_bytes(body[2:4], "little") not in (SERVICE_FAULT, PUBLISH_RESPONSE):
        return None
    code = int.from_bytes(body[16:20], "little")
    return code if code & _BAD else None


_NONSENSE = (struct.error, IndexError, KeyError, ValueError, OverflowError)


def decode(body: bytes, at: int, layouts: Layouts) -> Response:
    """`body` from `at` on is the encoded PublishResponse with its type id. Raises Unusual (also for a ServiceFault)."""
    try:
        return _decode(body, at, layouts)
    except _NONSENSE as error:
        raise Unusual(str(error)) from error


def decode_republished(body: bytes, at: int, layouts: Layouts, subscription: int) -> Response:
    """The same for an encoded RepublishResponse, which says neither subscription nor whether more waits."""
    try:
        at = _after_header(body, at, REPUBLISH_RESPONSE)
        return _message(body, at, layouts, Response(subscription, 0, False, []))
    except _NONSENSE as error:
        raise Unusual(str(error)) from error


def _decode(body: bytes, at: int, layouts: Layouts) -> Response:
    at = _after_header(body, at, PUBLISH_RESPONSE)
    subscription, available = struct.unpack_from("<Ii", body, at)
    at += 8 + 4 * max(available, 0)
    return _message(body, at + 1, layouts, Response(subscription, 0, bool(body[at]), []))


def _after_header(body: bytes, at: int, wanted: int) -> int:
    """Where the response of type `wanted` goes on after its ResponseHeader."""
    encoding, namespace, type_id = struct.unpack_from("<BBH", body, at)
    if (encoding, namespace, type_id) != (1, 0, wanted):
        raise Unusual(f"type {type_id}")
    (result,) = struct.unpack_from("<I", body, at + 16)
    if result & _BAD:
        raise Unusual(f"service result 0x{result:08X}")
    at = skip.diagnostic_info(body, at + 20)
    (strings,) = struct.unpack_from("<i", body, at)
    at += 4
    for _ in range(max(strings, 0)):
        at = skip.text(body, at)
    return skip.extension_object(body, at)


def _message(body: bytes, at: int, layouts: Layouts, out: Response) -> Response:
    """`out` with its NotificationMessage, which stands at `at`."""
    out.sequence, published, count = struct.unpack_from("<Iqi", body, at)
    at += 16
    out.published_ms = (published - EPOCH_100NS) / 10_000 if published > EPOCH_100NS else None
    for _ in range(max(count, 0)):
        encoding, namespace, type_id, how, size = struct.unpack_from("<BBHBi", body, at)
        if (encoding, namespace, how) != (1, 0, 1):
            at = skip.extension_object(body, at)  # nothing of ours
            continue
        at += 9
        if not 0 <= size <= len(body) - at:
            raise Unusual("extension object")
        if type_id == DATA_CHANGE:
            (items,) = struct.unpack_from("<i", body, at)
            if items > 0:
                out.changes.append(layouts.items(body, items, at + 4, at + size))
        elif type_id == STATUS_CHANGE:
            (out.status,) = struct.unpack_from("<I", body, at)
        elif type_id == EVENTS:
            out.events = [*(out.events or ()), body[at : at + size]]
        at += size
    return out


def joined(changes: list[Changes]) -> tuple[Columns, list[int]]:
    """All notifications of a response as one: (columns, rows before which the server dropped values)."""
    if len(changes) == 1:
        return changes[0].columns, changes[0].overflow
    overflow: list[int] = []
    before = 0
    for one in changes:
        overflow += [before + row for row in one.overflow]
        before += len(one.columns)
    return columns_joined([one.columns for one in changes]), overflow


_MASK_PARTS = ((_HAS_STATUS, "I"), (_HAS_SOURCE, "q"), (_HAS_SOURCE_PICO, "2x"), (_HAS_SERVER, "8x"), (_HAS_SERVER_PICO, "2x"))


def _item_struct(mask: int, scalar: int) -> struct.Struct:
    return struct.Struct("<IBB" + _SCALARS[scalar][0] + "".join(part for flag, part in _MASK_PARTS if mask & flag))


_Entry = tuple[struct.Struct, int, bool, bool, int]


_ENTRIES: dict[int, _Entry] = {}


def _entry(sig: int) -> _Entry | None:
    """How an item of this mask | type << 8 is read, made when it is first seen (a server sends a handful of the 384); None: not of fixed size."""
    mask, scalar = sig & 0xFF, sig >> 8
    if mask >= 64 or not mask & _HAS_VALUE or scalar not in _SCALARS:
        return None
    made = _item_struct(mask, scalar)
    entry = _ENTRIES[sig] = (made, made.size, bool(mask & _HAS_STATUS), bool(mask & _HAS_SOURCE), _SCALARS[scalar][1])
    return entry


_SIZES = np.zeros(65536, np.uint8)  # by mask | type << 8; 0: not of fixed size
for _mask in range(64):
    if _mask & _HAS_VALUE:
        _rest = sum(struct.calcsize("<" + part) for flag, part in _MASK_PARTS if _mask & flag)
        for _type, (_code, _) in _SCALARS.items():
            _SIZES[_mask | _type << 8] = 6 + struct.calcsize("<" + _code) + _rest
_STEPS = {int(_sig): int(_SIZES[_sig]) for _sig in np.flatnonzero(_SIZES) if _sig & _HAS_SOURCE}  # those a walk may pass: with a source time


@cache
def _steps(mask: int) -> bytes:
    """By type: the size of an item of this mask whose size is fixed and which has a source time; 0 for the others."""
    return bytes(_STEPS.get(mask | kind << 8, 0) for kind in range(256))


class Layouts:
    """Decoders of items, with the layout of the last notification remembered."""

    def __init__(self) -> None:
        self._offsets: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._sigs: npt.NDArray[np.uint16] = np.zeros(0, np.uint16)

    def items(self, body: bytes, n: int, start: int, end: int) -> Changes:
        """n monitored item notifications between `start` and `end` (the diagnostics array ends there)."""
        if n * ITEM_BYTES_MIN > end - start:
            raise IndexError(f"{n} items in {end - start} bytes")
        if n >= VECTOR_FROM:
            found = self._same_shape(body, n, start, end)
            if found is None and (self._is_same_layout(body, n, start, end) or self._walk(body, n, start)):
                found = self._gathered(body, n, start)
            if found is not None:
                return found
        return self._one_by_one(body, n, start)

    def _same_shape(self, body: bytes, n: int, start: int, end: int) -> Changes | None:
        sig = body[start + 4] | body[start + 5] << 8
        size = int(_SIZES[sig])
        if not size or start + n * size > end - 4 or not sig & _HAS_SOURCE:
            return None
        table = np.frombuffer(body, _shape(sig), n, start)
        if not bool((table["s"] == sig).all()):
            return None
        kind = _SCALARS[sig >> 8][1]
        columns = Columns(table["h"].astype(np.uint32), _ms(table["t"]), _bits(table["v"], kind), np.full(n, kind, np.uint8))
        return _judged(columns, table["q"]) if sig & _HAS_STATUS else Changes(columns)

    def _is_same_layout(self, body: bytes, n: int, start: int, end: int) -> bool:
        """Whether the sequence of shapes is that of the notification before."""
        if len(self._sigs) < n or start + int(self._offsets[n - 1]) + int(_SIZES[self._sigs[n - 1]]) > end - 4:
            return False
        sigs = _gather(np.frombuffer(body, np.uint8), "u2", self._offsets[:n] + (start + 4))
        return bool((sigs == self._sigs[:n]).all())

    def _walk(self, body: bytes, n: int, start: int) -> bool:
        """Finds and remembers where each item begins; False when one is not of fixed size or has no source time.

        Servers send one mask with all items, so that a step is told by the type alone; that it is so is looked at afterwards, all at once.
        """
        mask = body[start + 4]
        if not mask & _HAS_SOURCE:
            return False
        steps, at = _steps(mask), start + 5
        offsets: list[int] = []
        put = offsets.append
        try:
            for _ in range(n):
                put(at)
                at += steps[body[at]]
        except IndexError:  # masks differ, and this walk has lost its way
            return self._walk_each(body, n, start)
        found = np.array(offsets, np.int64)
        sigs = _gather(np.frombuffer(body, np.uint8), "u2", found - 1)
        if not bool((sigs & 0xFF == mask).all()) or not bool(_SIZES[sigs].all()):
            return self._walk_each(body, n, start)
        self._offsets, self._sigs = found - (start + 5), sigs
        return True

    def _walk_each(self, body: bytes, n: int, start: int) -> bool:
        """The same where masks differ."""
        offsets: list[int] = []
        at = start
        for _ in range(n):
            offsets.append(at)
            step = _STEPS.get(body[at + 4] | body[at + 5] << 8)
            if step is None:
                return False
            at += step
        self._offsets = np.array(offsets, np.int64) - start
        self._sigs = _gather(np.frombuffer(body, np.uint8), "u2", self._offsets + (start + 4))
        return True

    def _gathered(self, body: bytes, n: int, start: int) -> Changes:
        """Items of mixed types whose layout is known."""
        raw = np.frombuffer(body, np.uint8)
        offsets, sigs = self._offsets[:n] + start, self._sigs[:n]
        types = (sigs >> 8).astype(np.uint8)
        bits = np.empty(n, np.uint64)
        kinds = np.empty(n, np.uint8)
        after = np.empty(n, np.int64)  # where status and time follow the value
        for scalar in np.flatnonzero(np.bincount(types)).tolist():
            code, kind = _SCALARS[scalar]
            mine = np.flatnonzero(types == scalar)
            bits[mine] = _bits(_gather(raw, _NUMPY[code], offsets[mine] + 6), kind)
            kinds[mine] = kind
            after[mine] = offsets[mine] + (6 + struct.calcsize(code))
        told = np.flatnonzero(sigs & _HAS_STATUS)
        status = np.zeros(n, np.uint32)
        status[told] = _gather(raw, "u4", after[told])
        after[told] += 4
        return _judged(Columns(_gather(raw, "u4", offsets), _ms(_gather(raw, "i8", after)), bits, kinds), status)

    def _one_by_one(self, body: bytes, n: int, at: int) -> Changes:
        rows = _Rows(body)
        for row in range(n):
            sig = body[at + 4] | body[at + 5] << 8
            entry = _ENTRIES.get(sig) or _entry(sig)
            if entry is None:
                at = rows.odd(row, at, sig)
                continue
            made, size, has_status, has_time, kind = entry
            rows.put(row, made.unpack_from(body, at), has_status, has_time, kind)
            at += size
        return rows.changes()


_NUMPY = {"B": "u1", "b": "i1", "h": "i2", "H": "u2", "i": "i4", "I": "u4", "q": "i8", "f": "f4"}


@cache
def _shape(sig: int) -> np.dtype[Any]:
    """One item of this mask and type: handle, mask and type, value, status (where the mask has it), source time."""
    code, _ = _SCALARS[sig >> 8]
    after = 6 + struct.calcsize(code)
    status = bool(sig & _HAS_STATUS)
    names, formats, offsets = ["h", "s", "v", "t"], ["<u4", "<u2", f"<{_NUMPY[code]}", "<i8"], [0, 4, 6, after + 4 * status]
    if status:
        names, formats, offsets = [*names, "q"], [*formats, "<u4"], [*offsets, after]
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": int(_SIZES[sig])})


def _judged(columns: Columns, status: npt.NDArray[np.uint32]) -> Changes:
    """Values whose status is bad become null; rows with the overflow bit are named."""
    if not status.any():
        return Changes(columns)
    columns.kinds = np.where(status & _BAD, columns.kinds | NULL, columns.kinds).astype(np.uint8)
    return Changes(columns, np.flatnonzero((status & OVERFLOW) == OVERFLOW).tolist())


def _gather(raw: npt.NDArray[np.uint8], code: str, offsets: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Values of type `code` at arbitrary byte offsets."""
    dtype = np.dtype(f"<{code}")
    view: npt.NDArray[Any] = np.ndarray((len(raw) - dtype.itemsize + 1,), dtype, raw.data, 0, (1,))
    return view[offsets]


def _bits(values: npt.NDArray[Any], kind: int) -> npt.NDArray[np.uint64]:
    if kind == FLOAT:
        return values.astype(np.float64).view(np.uint64)
    signed: npt.NDArray[np.int64] = values.astype(np.int64)
    if kind == DATETIME:
        signed = (signed - EPOCH_100NS) // 10_000
    return signed.view(np.uint64)


def _ms(stamps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """100 ns since 1601 -> ms since 1970; 0 (no time) -> NO_TIME."""
    return np.where(stamps == 0, NO_TIME, (stamps - EPOCH_100NS) // 10_000)


def _said(body: bytes, at: int, scalar: int) -> str | int | None:
    """What an odd Variant means to us (its first byte stands before `at`): a text, a node id, PackML's counts; None for the rest."""
    if scalar == skip.LOCALIZED_TEXT:
        return skip.text_of(body, at)
    if scalar == skip.NODE_ID:
        return skip.node_words(body, at)
    return packml_counts.counts(skip.bodies(body, at)) if scalar == skip.EXTENSION_OBJECTS else None


class _Rows:
    """Collects items one by one."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.ids: list[int] = []
        self.stamps: list[int] = []
        self.words: list[int] = []
        self.kinds: list[int] = []
        self.floats: dict[int, float] = {}
        self.strings: list[str] = []
        self.overflow: list[int] = []

    def put(self, row: int, fields: tuple[Any, ...], has_status: bool, has_time: bool, kind: int) -> None:
        value = fields[3]
        if kind == FLOAT:
            self.floats[row] = value
            value = 0
        elif kind == DATETIME:
            value = (value - EPOCH_100NS) // 10_000
        self._add(row, fields[0], value, kind, fields[4] if has_status else 0, fields[4 + has_status] if has_time else 0)

    def _add(self, row: int, handle: int, word: int, kind: int, status: int, stamp: int) -> None:
        if status:
            if status & OVERFLOW == OVERFLOW:
                self.overflow.append(row)
            if status & _BAD:
                kind |= NULL
        self.ids.append(handle)
        self.stamps.append(stamp)
        self.words.append(word)
        self.kinds.append(kind)

    def odd(self, row: int, at: int, sig: int) -> int:
        """A text, a null, an item without a value or one that we have no use for (it is null). Returns the offset after it."""
        body, mask = self._body, sig & 0xFF
        (handle,) = struct.unpack_from("<I", body, at)
        at += 5
        word, kind = 0, STRING | NULL
        if mask & _HAS_VALUE:
            scalar = body[at]
            at += 1
            if scalar == 12:
                (size,) = struct.unpack_from("<i", body, at)
                at += 4
                self.strings.append(str(body[at : at + max(size, 0)], "utf-8"))
                word, kind = len(self.strings) - 1, STRING
                at += max(size, 0)
            elif scalar != 0:
                said = _said(body, at, scalar)
                if isinstance(said, str):
                    self.strings.append(said)
                    word, kind = len(self.strings) - 1, STRING
                elif said is not None:
                    word, kind = said & 0xFFFFFFFFFFFFFFFF, INT
                at = skip.variant(body, at - 1)
        status = stamp = 0
        if mask & _HAS_STATUS:
            (status,) = struct.unpack_from("<I", body, at)
            at += 4
        if mask & _HAS_SOURCE:
            (stamp,) = struct.unpack_from("<q", body, at)
            at += 8
        at += 2 * bool(mask & _HAS_SOURCE_PICO) + 8 * bool(mask & _HAS_SERVER) + 2 * bool(mask & _HAS_SERVER_PICO)
        self._add(row, handle, word, kind, status, stamp)
        return at

    def changes(self) -> Changes:
        bits = np.array(self.words, np.int64).view(np.uint64)
        if self.floats:
            bits[list(self.floats)] = np.array(list(self.floats.values()), np.float64).view(np.uint64)
        columns = Columns(np.array(self.ids, np.uint32), _ms(np.array(self.stamps, np.int64)), bits, np.array(self.kinds, np.uint8), self.strings)
        return Changes(columns, self.overflow)
