"""A record's columns as bytes, with a checksum: n | strings | ids u4 | times i8 | values u8 | kinds u1 | texts, little endian."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from edge_agent.pipeline.columns import Columns

_HEAD = struct.Struct("<BIII")  # version, crc of the rest, n, bytes of texts
_VERSION = 1


class BlobDamaged(ValueError):
    """Bytes that are no record, or not the ones that were written."""


def pack(columns: Columns) -> bytes:
    texts = b"".join(struct.pack("<I", len(raw)) + raw for raw in (text.encode() for text in columns.strings))
    body = b"".join((columns.ids.tobytes(), columns.t_ms.tobytes(), columns.bits.tobytes(), columns.kinds.tobytes(), texts))
    return _HEAD.pack(_VERSION, zlib.crc32(body), len(columns), len(texts)) + body


def unpack(blob: bytes) -> Columns:
    """Raises BlobDamaged."""
    if len(blob) < _HEAD.size:
        raise BlobDamaged("shorter than its head")
    version, crc, n, text_bytes = _HEAD.unpack_from(blob)
    body = memoryview(blob)[_HEAD.size :]
    if version != _VERSION or len(body) != n * 21 + text_bytes or zlib.crc32(body) != crc:
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
