"""A record's columns as bytes, with a checksum over them, the record's number and its device.

version, crc, n, bytes of texts | layout | ids | times | values u8 | kinds | texts, little endian. Ids take two bytes where they fit, times what
their distance from the first one needs (nothing where all are equal), kinds nothing where all are equal: most records are half as long as their
columns in memory, so that a buffer of the same size lasts longer and a flash disk is written less. Records of before (versions 1 and 2) have no
layout and every column at its full width.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.pipeline.columns import STRING, Columns

_HEAD = struct.Struct("<BIII")  # version, crc of the rest, n, bytes of texts
_LAYOUT = struct.Struct("<BBq")  # how wide, the kind of all, the earliest time
_VERSION = 3  # 1 had no number and device in its checksum, 2 no layout
_TIME_WIDTHS = (0, 2, 4, 8)
_WIDE_IDS, _KIND_EACH = 4, 8  # bits beside the two of the times


class BlobDamaged(ValueError):
    """Bytes that are no record, or not the ones that were written."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Bytes of a row's id, time and kind; what those of width 0 are, and what times count from."""

    id_width: int
    time_width: int
    kind_width: int
    kind: int = 0
    from_ms: int = 0

    @property
    def row(self) -> int:
        return self.id_width + self.time_width + 8 + self.kind_width

    @property
    def alike(self) -> tuple[int, int, int]:
        return self.id_width, self.time_width, self.kind_width


_FULL = _Layout(4, 8, 1)


def _crc(body: bytes | memoryview, number: int, device: str, version: int = _VERSION) -> int:
    """The version is in it: a head that lies about it may fit the length by chance."""
    seed = f"{number} {device}" if version == 2 else f"{version} {number} {device}"
    return zlib.crc32(body, zlib.crc32(seed.encode()))


def pack(columns: Columns, number: int = 0, device: str = "") -> bytes:
    texts = b"".join(struct.pack("<I", len(raw)) + raw for raw in (text.encode() for text in columns.strings))
    body = b"".join((*_packed(columns), texts))
    return _HEAD.pack(_VERSION, _crc(body, number, device), len(columns), len(texts)) + body


def _packed(columns: Columns) -> tuple[bytes, ...]:
    """Layout and columns."""
    if not len(columns):
        return (_LAYOUT.pack(0, 0, 0),)
    ids, t_ms, kinds = columns.ids, columns.t_ms, columns.kinds
    from_ms, kind, code = int(t_ms.min()), int(kinds[0]), 0
    span_ms = int(t_ms.max()) - from_ms
    narrow: list[bytes] = []
    if int(ids.max()) < 1 << 16:
        narrow.append(ids.astype("<u2").tobytes())
    else:
        code |= _WIDE_IDS
        narrow.append(ids.tobytes())
    if span_ms:
        step = 1 if span_ms < 1 << 16 else 2 if span_ms < 1 << 32 else 3
        code |= step
        since_ms = t_ms - from_ms if step < 3 else t_ms
        narrow.append(since_ms.astype(f"<u{_TIME_WIDTHS[step]}").tobytes())
        from_ms = from_ms if step < 3 else 0
    narrow.append(columns.bits.tobytes())
    if not bool((kinds == kind).all()):
        code |= _KIND_EACH
        narrow.append(kinds.tobytes())
    return (_LAYOUT.pack(code, kind, from_ms), *narrow)


def _checked(blob: bytes, number: int, device: str) -> tuple[memoryview, int, int, _Layout]:
    """(columns and texts, values, bytes of texts, layout). Raises BlobDamaged."""
    if len(blob) < _HEAD.size:
        raise BlobDamaged("shorter than its head")
    version, crc, n, text_bytes = _HEAD.unpack_from(blob)
    body = memoryview(blob)[_HEAD.size :]
    wanted = zlib.crc32(body) if version == 1 else _crc(body, number, device, version)
    if not 1 <= version <= _VERSION or wanted != crc or (version == _VERSION and len(body) < _LAYOUT.size):
        raise BlobDamaged("checksum, version or length is wrong")
    layout = _FULL
    if version == _VERSION:
        code, kind, from_ms = _LAYOUT.unpack_from(body)
        layout = _Layout(4 if code & _WIDE_IDS else 2, _TIME_WIDTHS[code & 3], int(code & _KIND_EACH != 0), kind, from_ms)
        body = body[_LAYOUT.size :]
    if len(body) != n * layout.row + text_bytes:
        raise BlobDamaged("length is wrong")
    return body, n, text_bytes, layout


def unpack(blob: bytes, number: int = 0, device: str = "") -> Columns:
    """Raises BlobDamaged."""
    body, n, _, layout = _checked(blob, number, device)
    strings = []
    at = n * layout.row
    while at < len(body):
        (size,) = struct.unpack_from("<I", body, at)
        strings.append(str(body[at + 4 : at + 4 + size], "utf-8"))
        at += 4 + size
    table = np.frombuffer(body, np.uint8, n * layout.row).reshape(1, -1)
    ids, since_ms, bits, kinds = _columns(table, n, layout)
    t_ms = np.full(n, layout.from_ms, np.int64) if since_ms is None else since_ms[0].astype(np.int64) + layout.from_ms
    return Columns(ids[0].astype(np.uint32), t_ms, bits[0], np.full(n, layout.kind, np.uint8) if kinds is None else kinds[0], strings)


def _columns(table: npt.NDArray[np.uint8], n: int, layout: _Layout) -> tuple[Any, Any, Any, Any]:
    """Ids, times since the layout's first, values and kinds of records of `n` values each, a record a row of `table`; None for those of no width."""
    out: list[Any] = []
    begin = 0
    for width in (layout.id_width, layout.time_width, 8, layout.kind_width):
        end = begin + width * n
        out.append(np.ascontiguousarray(table[:, begin:end]).view(f"<u{width}") if width else None)
        begin = end
    return out[0], out[1], out[2], out[3]


def unpack_many(rows: Sequence[tuple[int, str, bytes]], instead: Callable[[int], tuple[str, Columns]]) -> tuple[list[str], list[int], Columns]:
    """(device of each, values of each, all values joined) of rows (number, device, blob). Records without texts, and those are most, are read by
    numpy, all of one shape at once. `instead(row)` says what a damaged one is to be."""
    alike: dict[tuple[int, tuple[int, int, int]], tuple[list[int], list[memoryview], list[_Layout]]] = {}  # values, widths -> rows, bodies, layouts
    single: dict[int, Columns] = {}
    devices, counts = [device for _, device, _ in rows], [0] * len(rows)
    for row, (number, device, blob) in enumerate(rows):
        try:
            body, n, text_bytes, layout = _checked(blob, number, device)
        except BlobDamaged:
            devices[row], single[row] = instead(row)
            counts[row] = len(single[row])
            continue
        counts[row] = n
        if text_bytes:
            single[row] = unpack(blob, number, device)
            continue
        places, bodies, layouts = alike.setdefault((n, layout.alike), ([], [], []))
        places.append(row)
        bodies.append(body)
        layouts.append(layout)
    starts = np.cumsum([0, *counts])
    total = int(starts[-1])
    out = Columns(np.empty(total, np.uint32), np.empty(total, np.int64), np.empty(total, np.uint64), np.empty(total, np.uint8))
    for (n, _), (places, bodies, layouts) in alike.items():
        at = starts[places][:, None] + np.arange(n)
        table = np.frombuffer(b"".join(bodies), np.uint8).reshape(len(places), layouts[0].row * n)
        ids, since_ms, bits, kinds = _columns(table, n, layouts[0])
        from_ms = np.array([layout.from_ms for layout in layouts], np.int64)[:, None]
        out.ids[at], out.bits[at] = ids, bits
        out.t_ms[at] = from_ms if since_ms is None else from_ms + since_ms.astype(np.int64)
        out.kinds[at] = np.array([layout.kind for layout in layouts], np.uint8)[:, None] if kinds is None else kinds
    for row, part in single.items():
        here = slice(starts[row], starts[row + 1])
        is_text = part.kinds == STRING
        out.ids[here], out.t_ms[here], out.kinds[here] = part.ids, part.t_ms, part.kinds
        out.bits[here] = np.where(is_text, part.bits + np.uint64(len(out.strings)), part.bits)
        out.strings += part.strings
    return devices, counts, out
