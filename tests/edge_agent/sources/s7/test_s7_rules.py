"""Addresses, types and the planner: pure."""

from __future__ import annotations

import random
import struct

import pytest

from edge_agent.sources.s7.address import Address, AddressInvalid, parse
from edge_agent.sources.s7.client import _items
from edge_agent.sources.s7.codec import ValueInvalid, decode
from edge_agent.sources.s7.plan import ITEMS_MAX, Field, Piece, plan


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("DB1.DBD4:REAL", Address(0x84, 1, 4, 0, "REAL", 4)),
        ("db10.dbx0.3", Address(0x84, 10, 0, 3, "BOOL", 1)),
        ("%DB1.DBW2", Address(0x84, 1, 2, 0, "WORD", 2)),
        ("DB1.DBB8:LREAL", Address(0x84, 1, 8, 0, "LREAL", 8)),
        ("DB1.DBB20:STRING[32]", Address(0x84, 1, 20, 0, "STRING", 34, 32)),
        ("DB1.DBB20:WSTRING[10]", Address(0x84, 1, 20, 0, "WSTRING", 24, 10)),
        ("DB1.DBB0 : STRING", Address(0x84, 1, 0, 0, "STRING", 256, 254)),
        ("MW10:INT", Address(0x83, 0, 10, 0, "INT", 2)),
        ("M10.7", Address(0x83, 0, 10, 7, "BOOL", 1)),
        ("E0.1", Address(0x81, 0, 0, 1, "BOOL", 1)),
        ("ID4:DINT", Address(0x81, 0, 4, 0, "DINT", 4)),
        ("AB2", Address(0x82, 0, 2, 0, "BYTE", 1)),
        ("QB2:date_and_time", Address(0x82, 0, 2, 0, "DT", 8)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse(text) == address


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("DB1.DBX0", "a bit needs its number"),
        ("M3.8", "a bit needs its number"),
        ("DB1.DBW4:REAL", "REAL has 4 bytes"),
        ("DB1.DBD4:LREAL", "write B for any type"),
        ("DB1.DBB4:BOOL", "addressed by a bit"),
        ("DB1.DBW4.2", "addressed by a bit"),
        ("DB0.DBW4", "numbered from 1"),
        ("DB1.DBB0:STRING[300]", "is no type"),
        ("DB1.DBB0:FLOAT", "is no type; choose one of BOOL"),
        ("40001", "is no S7 address"),
        ("DB1,REAL4", "is no S7 address"),
        ("", "is no S7 address"),
    ],
)
def test_wrong_addresses_say_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(AddressInvalid, match=words) as caught:
        parse(text)
    assert any("\u4e00" <= sign <= "\u9fff" for sign in caught.value.zh)


@pytest.mark.parametrize(
    ("text", "raw", "value"),
    [
        ("M0.0", b"\x01", True),
        ("M0.3", b"\xf7", False),
        ("MB0", b"\xff", 255.0),
        ("MB0:SINT", b"\xff", -1.0),
        ("MW0", b"\xff\xfe", 65534.0),
        ("MW0:INT", b"\xff\xfe", -2.0),
        ("MD0:UDINT", b"\xff\xff\xff\xff", 4294967295.0),
        ("MD0:DINT", b"\xff\xff\xff\xff", -1.0),
        ("MD0:REAL", struct.pack(">f", 1.5), 1.5),
        ("MD0:TIME", struct.pack(">i", 2500), 2.5),
        ("MB0:LREAL", struct.pack(">d", -0.1), -0.1),
        ("MB0:LINT", struct.pack(">q", -5), -5.0),
        ("MB0:CHAR", b"A", "A"),
        ("MB0:STRING[6]", b"\x06\x03WO1xyz", "WO1"),
        ("MB0:STRING[6]", b"\x06\x04" + "泵A".encode() + b"\x00\x00", "泵A"),
        ("MB0:STRING[6]", b"\x06\x04" + "水泵".encode("gb18030") + b"\x00\x00", "水泵"),
        ("MB0:WSTRING[3]", b"\x00\x03\x00\x02" + "水泵".encode("utf-16-be") + b"\x00\x00", "水泵"),
        ("MB0:DT", bytes.fromhex("2403151430598765"), "2024-03-15T14:30:59.876Z"),
        ("MB0:DTL", struct.pack(">HBBBBBBI", 2024, 3, 15, 6, 14, 30, 59, 876_000_000), "2024-03-15T14:30:59.876Z"),
    ],
)
def test_types(text: str, raw: bytes, value: object) -> None:
    address = parse(text)
    if text == "MB0:STRING[6]" and len(raw) > 8:
        raw = raw[:8]
    assert len(raw) == address.size
    assert decode(address, raw) == value


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("MD0:REAL", struct.pack(">f", float("nan"))),
        ("MB0:LREAL", struct.pack(">d", float("inf"))),
        ("MB0:STRING[6]", b"\x06\x07abcdef"),
        ("MB0:STRING[6]", b"\xff\xffabcdef"),
        ("MB0:DT", bytes.fromhex("24AB151430598765")),
        ("MB0:DT", bytes.fromhex("2413151430598765")),
        ("MB0:DTL", bytes(12)),
    ],
)
def test_bytes_that_are_no_value_are_refused_in_words(text: str, raw: bytes) -> None:
    with pytest.raises(ValueInvalid, match="it is no"):
        decode(parse(text), raw)


def _fields(dice: random.Random, count: int) -> list[Field]:
    kinds = ["DB{db}.DBD{b}:REAL", "DB{db}.DBX{b}.3", "DB{db}.DBB{b}:STRING[254]", "MW{b}:INT", "DB{db}.DBB{b}:LREAL", "I{b}.0"]
    return [Field(str(n), parse(dice.choice(kinds).format(db=dice.randrange(1, 4), b=dice.randrange(0, 900)))) for n in range(count)]


def test_every_plan_reads_every_byte_within_the_pdu() -> None:
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    for _ in range(200):
        fields, pdu = _fields(dice, dice.randrange(1, 60)), dice.choice([112, 240, 480, 960])
        alone = frozenset(field.key for field in fields if dice.random() < 0.1)
        found = plan(fields, pdu, max_hole=dice.choice([0, 16, 100]), alone=alone)
        covered: dict[int, set[int]] = {}
        for request in found.requests:
            assert len(request) <= ITEMS_MAX, f"seed {seed}"
            assert 14 + 12 * len(request) <= pdu, f"seed {seed}"
            assert 14 + sum(4 + piece.size + piece.size % 2 for piece in request) <= pdu, f"seed {seed}"
            for piece in request:
                region = found.regions[piece.region]
                assert (piece.area, piece.db, piece.start - piece.at) == (region.area, region.db, region.start)
                covered.setdefault(piece.region, set()).update(range(piece.start, piece.start + piece.size))
        assert sorted(field.key for region in found.regions for field in region.fields) == sorted(field.key for field in fields)
        for number, region in enumerate(found.regions):
            assert covered[number] == set(range(region.start, region.end)), f"seed {seed}"
            assert len(region.fields) == 1 or not alone & {field.key for field in region.fields}
            for field in region.fields:
                assert region.start <= field.address.byte and field.address.byte + field.address.size <= region.end


def test_neighbours_share_a_request() -> None:
    fields = [Field(str(n), parse(f"DB1.DBD{4 * n}:REAL")) for n in range(50)]
    assert [len(request) for request in plan(fields, 240).requests] == [1]
    assert len(plan(fields, 240, alone=frozenset({"7"})).regions) == 3


def test_answers_that_lie_are_refused() -> None:
    pieces = [Piece(0x84, 1, 0, 3, 0, 0), Piece(0x84, 2, 0, 2, 1, 0), Piece(0x83, 0, 0, 1, 2, 0)]
    good = b"\xff\x04\x00\x18abc\x00" + b"\x05\x00\x00\x00" + b"\xff\x04\x00\x08x"
    assert _items(good, pieces) == [b"abc", 5, b"x"]
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    for _ in range(2000):
        data = bytearray(good)
        for _ in range(dice.randrange(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            found = _items(bytes(data[: dice.randrange(len(data) + 1)]), pieces)
        except (ValueError, struct.error):
            continue
        assert all(isinstance(one, int) or len(one) == piece.size for one, piece in zip(found, pieces, strict=True)), f"seed {seed}"
