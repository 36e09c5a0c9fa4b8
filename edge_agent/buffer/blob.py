"""A record's columns as bytes, with a checksum over them, the record's number and its device.

n | bytes of texts | ids u4 | times i8 | values u8 | kinds u1 | texts, little endian.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

from edge_agent.pipeline.columns import Columns

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


def unpack(blob: bytes, number: int = 0, device: str = "") -> Columns:
    """Raises BlobDamaged."""
    if len(blob) < _HEAD.size:
        raise BlobDamaged("shorter than its head")
    version, crc, n, text_bytes = _HEAD.unpack_from(blob)
    body = memoryview(blob)[_HEAD.size :]
    wanted = zlib.crc32(body) if version == 1 else _crc(body, number, device)
    if version not in (1, _VERSION) or len(body) != n * 21 + text_bytes or wanted != crc:
        raise BlobDamaged("checksum or length is wrong")
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
