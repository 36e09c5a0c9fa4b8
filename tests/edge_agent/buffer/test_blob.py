"""A record's bytes: every width of the layout comes back as it went in, one by one and many at once; records of older versions are read."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.buffer import blob
from edge_agent.pipeline.columns import BOOL, DOUBLE, INT, STRING, Columns

T0 = 1_772_409_600_000
SPANS = (0, 1, 2**16 - 1, 2**16, 2**32 - 1, 2**32, 2**44)
Row = tuple[int, int, int, object]


def rows_of(ids: int, span_ms: int, kinds: tuple[int, ...], n: int = 7) -> list[Row]:
    value = {DOUBLE: 0.1, INT: -5, BOOL: True}
    times = [T0 + span_ms * (i % 3) // 2 for i in range(n)]
    return [(ids - i, t_ms, kind, value[kind]) for i, t_ms in enumerate(times) for kind in (kinds[i % len(kinds)],)]


SHAPES = [(ids, span_ms, kinds) for ids in (128, 2**16 - 1, 2**16, 2**32 - 1) for span_ms in SPANS for kinds in ((DOUBLE,), (INT, BOOL))]


def old(version: int, rows: list[Row], number: int, device: str) -> bytes:
    """As agents before the layout wrote it: ids u4, times i8, values u8, kinds u1; version 1 without number and device in its checksum."""
    columns = Columns.of(rows)  # type: ignore[arg-type]
    texts = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in columns.strings)
    body = struct.pack(
        f"<{len(rows)}I{len(rows)}q{len(rows)}Q{len(rows)}B",
        *columns.ids.tolist(),
        *columns.t_ms.tolist(),
        *columns.bits.tolist(),
        *columns.kinds.tolist(),
    )
    crc = zlib.crc32(body + texts, zlib.crc32(f"{number} {device}".encode()) if version == 2 else 0)
    return struct.pack("<BIII", version, crc, len(rows), len(texts)) + body + texts


@pytest.mark.parametrize(("ids", "span_ms", "kinds"), SHAPES)
def test_every_width_comes_back(ids: int, span_ms: int, kinds: tuple[int, ...]) -> None:
    rows = rows_of(ids, span_ms, kinds)
    assert blob.unpack(blob.pack(Columns.of(rows), 7, "A"), 7, "A").rows() == rows  # type: ignore[arg-type]


def test_all_widths_at_once_with_old_records_between_them() -> None:
    records = [rows_of(ids, span_ms, kinds, n) for ids, span_ms, kinds in SHAPES for n in (1, 7)]
    records[3::11] = [[(200 + n, T0 + n, STRING, "水泵 é")] for n in range(len(records[3::11]))]
    packed = [
        blob.pack(Columns.of(rows), n, "A") if n % 3 else old(1 + n // 3 % 2, rows, n, "A")  # type: ignore[arg-type]
        for n, rows in enumerate(records)
    ]
    _, counts, columns = blob.unpack_many([(n, "A", one) for n, one in enumerate(packed)], lambda place: pytest.fail(f"{place} is not damaged"))
    assert counts == [len(rows) for rows in records]
    assert columns.rows() == [row for rows in records for row in rows]


@pytest.mark.parametrize("version", [1, 2])
def test_records_of_older_agents_are_read(version: int) -> None:
    rows: list[Row] = [(1, T0, DOUBLE, 1.5), (70_000, T0 - 9, INT, -7), (3, T0 + 2**40, STRING, "水泵"), (4, T0, BOOL, False)]
    assert blob.unpack(old(version, rows, 9, "A"), 9, "A").rows() == rows
    if version == 2:
        with pytest.raises(blob.BlobDamaged):
            blob.unpack(old(version, rows, 9, "A"), 10, "A")


@pytest.mark.parametrize(("apart_ms", "bytes_a_value"), [(0, 10), (7, 12), (70, 14)])
def test_a_value_takes_what_it_needs(apart_ms: int, bytes_a_value: int) -> None:
    """Against 21 bytes in memory: read at one moment, within a minute, and over a longer time."""
    rows = [(128 + n, T0 + n * apart_ms, DOUBLE, 0.1) for n in range(1_000)]
    assert len(blob.pack(Columns.of(rows))) == 23 + 1_000 * bytes_a_value


@pytest.mark.parametrize("rows", [[], rows_of(128, 9, (DOUBLE,))])
def test_what_is_cut_or_longer_is_damaged(rows: list[Row]) -> None:
    whole = blob.pack(Columns.of(rows), 1, "A")  # type: ignore[arg-type]
    for wrong in (*(whole[:end] for end in range(len(whole))), whole + b"\0"):
        with pytest.raises(blob.BlobDamaged):
            blob.unpack(wrong, 1, "A")


@pytest.mark.parametrize("version", [0, 1, 2, 4, 255])
def test_a_head_that_lies_about_its_version_is_damaged(version: int) -> None:
    """Two records of these widths have the length that version 2 would have with as many."""
    rows: list[Row] = [(1, 65_536, DOUBLE, 0.5), (65_536, 0, DOUBLE, 0.5)]
    packed = bytearray(blob.pack(Columns.of(rows), 1, "A"))  # type: ignore[arg-type]
    assert len(packed) == len(old(2, rows, 1, "A"))
    packed[0] = version
    with pytest.raises(blob.BlobDamaged):
        blob.unpack(bytes(packed), 1, "A")


@given(st.binary(max_size=80), st.sampled_from([1, 2, 3, 4]), st.integers(0, 9))
def test_law_bytes_with_a_right_checksum_are_a_record_or_damaged(body: bytes, version: int, n: int) -> None:
    """What a layout says is checked against the length before anything is read by it."""
    crc = zlib.crc32(body, zlib.crc32({1: b"", 2: b"1 A"}.get(version, b"%d 1 A" % version)))
    packed = struct.pack("<BIII", version, crc, n, 0) + body
    try:
        columns = blob.unpack(packed, 1, "A")
    except blob.BlobDamaged:
        return
    assert len(columns.ids) == len(columns.t_ms) == len(columns.bits) == len(columns.kinds) == n
