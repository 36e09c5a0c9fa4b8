"""A record's columns as bytes, with a checksum over them, the record's number and its device.

n | bytes of texts | ids u4 | times i8 | values u8 | kinds u1 | texts, little endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence

import numpy as np

from edge_agent.pipeline.columns import STRING, Columns

_HEAD = struct.Struct("<BIII")  # version, crc of the rest, n, bytes of texts
_VERSION = 2  # 1 had no number and device in its checksum


class BlobDamaged(ValueError):
    """Bytes that are no record, or not the ones that were written."""


def _crc(body: bytes | memoryview, number: int, device: str) -> int:
    return zlib.crc32(body, zlib.crc32(f"{number} {device}".encode()))


def pack(columns: Columns, number: int = 0, device: str = "") -> bytes:
    texts = b"".join(struct.pack("<I", len(raw)) + raw for raw in (text.encode() for text in columns.strings))
    body = b"".join((columns.ids.tobytes(), columns.t_ms.tobytes(), columns.bits.tobytes(), columns.kinds.tobytes(), texts))
    return _HEAD.pack(_VERSION, _crc(body, number, device), len(columns), len(texts)) + body


def _checked(blob: bytes, number: int, device: str) -> tuple[memoryview, int, int]:
    """(body, values, bytes of texts). Raises BlobDamaged."""
    if len(blob) < _HEAD.size:
        raise BlobDamaged("shorter than its head")
    version, crc, n, text_bytes = _HEAD.unpack_from(blob)
    body = memoryview(blob)[_HEAD.size :]
    wanted = zlib.crc32(body) if version == 1 else _crc(body, number, device)
    if version not in (1, _VERSION) or len(body) != n * 21 + text_bytes or wanted != crc:
        raise BlobDamaged("checksum or length is wrong")
    return body, n, text_bytes


def unpack(blob: bytes, number: int = 0, device: str = "") -> Columns:
    """Raises BlobDamaged."""
    body, n, _ = _checked(blob, number, device)
    strings = []
    at = n * 21
    while at < len(body):
        (size,) = struct.unpack_from("<I", body, at)
        strings.append(str(body[at + 4 : at + 4 + size], "utf-8"))
        at += 4 + size
    return Columns(
        np.frombuffer(body, np.uint32, n),
        np.frombuffer(body, np.int64, n, n * 4),
        np.frombuffer(body, np.uint64, n, n * 12),
        np.frombuffer(body, np.uint8, n, n * 20),
        strings,
    )


def unpack_many(rows: Sequence[tuple[int, str, bytes]], instead: Callable[[int], tuple[str, Columns]]) -> tuple[list[str], list[int], Columns]:
    """(device of each, values of each, all values joined) of rows (number, device, blob). Records without texts, and those are most, are read by
    numpy, all of one length at once. `instead(row)` says what a damaged one is to be."""
    alike: dict[int, tuple[list[int], list[memoryview]]] = {}  # number of values -> rows, bodies
    single: dict[int, Columns] = {}
    devices, counts = [device for _, device, _ in rows], [0] * len(rows)
    for row, (number, device, blob) in enumerate(rows):
        try:
            body, n, text_bytes = _checked(blob, number, device)
        except BlobDamaged:
            devices[row], single[row] = instead(row)
            counts[row] = len(single[row])
            continue
        counts[row] = n
        if text_bytes:
            single[row] = unpack(blob, number, device)
            continue
        places, bodies = alike.setdefault(n, ([], []))
        places.append(row)
        bodies.append(body)
    starts = np.cumsum([0, *counts])
    total = int(starts[-1])
    out = Columns(np.empty(total, np.uint32), np.empty(total, np.int64), np.empty(total, np.uint64), np.empty(total, np.uint8))
    for n, (places, bodies) in alike.items():
        at = starts[places][:, None] + np.arange(n)
        table = np.frombuffer(b"".join(bodies), np.uint8).reshape(len(places), 21 * n)
        for column, begin, width in ((out.ids, 0, 4), (out.t_ms, 4, 8), (out.bits, 12, 8), (out.kinds, 20, 1)):
            column[at] = np.ascontiguousarray(table[:, begin * n : (begin + width) * n]).view(column.dtype)
    for row, part in single.items():
        here = slice(starts[row], starts[row + 1])
        is_text = part.kinds == STRING
        out.ids[here], out.t_ms[here], out.kinds[here] = part.ids, part.t_ms, part.kinds
        out.bits[here] = np.where(is_text, part.bits + np.uint64(len(out.strings)), part.bits)
        out.strings += part.strings
    return devices, counts, out
