"""Tag names, CIP messages and the grouping: pure."""

from __future__ import annotations

import random
import struct

import pytest

from edge_agent.sources.enip import cip
from edge_agent.sources.enip.cip import FrameInvalid, ValueInvalid
from edge_agent.sources.enip.plan import MESSAGE_MAX, groups
from edge_agent.sources.enip.tags import TagInvalid, parse


@pytest.mark.parametrize(
    ("text", "path", "bit"),
    [
        ("Good", b"\x91\x04Good", None),
        ("abc", b"\x91\x03abc\x00", None),
        ("Line.Part.Good", b"\x91\x04Line\x91\x04Part\x91\x04Good", None),
        ("Temps[3]", b"\x91\x05Temps\x00\x28\x03", None),
        ("Grid[1,300]", b"\x91\x04Grid\x28\x01\x29\x00\x2c\x01", None),
        ("Big[70000].X", b"\x91\x03Big\x00\x2a\x00\x70\x11\x01\x00\x91\x01X\x00", None),
        ("Status.5", b"\x91\x06Status", 5),
        ("Program:Main.Run", b"\x91\x0cProgram:Main\x91\x03Run\x00", None),
        ("Local:1:I.Data.31", b"\x91\x09Local:1:I\x00\x91\x04Data", 31),
    ],
)
def test_tags_become_paths(text: str, path: bytes, bit: int | None) -> None:
    found = parse(text)
    assert (found.path, found.bit) == (path, bit)
    assert len(path) % 2 == 0


@pytest.mark.parametrize("text", ["", "5", "a..b", "a b", "a[", "a[1,2,3,4]", "a[-1]", "标签", "a.64", "x" * 100, "a[99999999999]"])
def test_what_is_no_tag_is_said_in_both_languages(text: str) -> None:
    with pytest.raises(TagInvalid) as caught:
        parse(text)
    assert any("\u4e00" <= sign <= "\u9fff" for sign in caught.value.zh)


def _reply(kind: int, raw: bytes) -> bytes:
    return struct.pack("<H", kind) + raw


LOGIX_STRING = struct.pack("<HI", 0x0FCE, 7) + b"WO-4711" + bytes(75)


@pytest.mark.parametrize(
    ("data", "bit", "value"),
    [
        (_reply(0xC1, b"\x01"), None, True),
        (_reply(0xC1, b"\xff"), None, True),
        (_reply(0xC2, b"\xff"), None, -1.0),
        (_reply(0xC3, b"\xfe\xff"), None, -2.0),
        (_reply(0xC4, b"\xff\xff\xff\x7f"), None, 2147483647.0),
        (_reply(0xC5, struct.pack("<q", -5)), None, -5.0),
        (_reply(0xC8, b"\xff\xff\xff\xff"), None, 4294967295.0),
        (_reply(0xCA, struct.pack("<f", 1.5)), None, 1.5),
        (_reply(0xCB, struct.pack("<d", -0.1)), None, -0.1),
        (_reply(0xC4, struct.pack("<i", 0b101000)), 3, True),
        (_reply(0xC4, struct.pack("<i", 0b101000)), 4, False),
        (_reply(0xC4, struct.pack("<i", -1)), 31, True),
        (_reply(0xD3, struct.pack("<I", 1 << 31)), 31, True),
        (_reply(0x02A0, LOGIX_STRING), None, "WO-4711"),
        (_reply(0xDA, b"\x02ok"), None, "ok"),
        (_reply(0xD0, b"\x06\x00" + "水泵".encode()), None, "水泵"),
    ],
)
def test_values(data: bytes, bit: int | None, value: object) -> None:
    assert cip.value(data, bit) == value


@pytest.mark.parametrize(
    ("data", "bit", "words"),
    [
        (b"", None, "empty"),
        (_reply(0xC4, b"\x01"), None, "cut off"),
        (_reply(0xC3, b"\x01\x00"), 16, "INT has no bit 16"),
        (_reply(0xCA, bytes(4)), 2, "no bit"),
        (_reply(0xCA, struct.pack("<f", float("nan"))), None, "no number"),
        (_reply(0x02A0, b"\x34\x12" + bytes(20)), None, "name one of its members"),
        (_reply(0x02A0, struct.pack("<HI", 0x0FCE, 9999) + bytes(10)), None, "9999 characters"),
        (_reply(0x77, b"\x01"), None, "data type 0077H"),
        (_reply(0xDA, b"\x02ok"), 1, "no bits"),
    ],
)
def test_what_cannot_be_taken_is_said(data: bytes, bit: int | None, words: str) -> None:
    with pytest.raises(ValueInvalid, match=words):
        cip.value(data, bit)


def test_a_routed_request_is_the_one_of_the_books() -> None:
    """1756-PM020, reading one element of a DINT through slot 0."""
    message = cip.read_tag(parse("rate").path)
    assert message.hex(" ") == "4c 03 91 04 72 61 74 65 01 00"
    assert cip.routed(message, 0).hex(" ") == "52 02 20 06 24 01 0a 0e 0a 00 4c 03 91 04 72 61 74 65 01 00 01 00 01 00"


def test_a_multiple_service_packet_and_its_replies() -> None:
    asked = [cip.read_tag(parse(name).path) for name in ("a", "bb", "ccc")]
    message = cip.multiple(asked)
    assert message[:6] == b"\x0a\x02\x20\x02\x24\x01"
    offsets = struct.unpack_from("<HHHH", message, 6)[1:]
    assert [message[6 + at : 6 + at + len(one)] for at, one in zip(offsets, asked, strict=True)] == asked
    parts = [b"\xcc\x00\x00\x00\xc4\x00\x05\x00\x00\x00", b"\xcc\x00\x04\x01\x00\x00", b"\xcc\x00\x00\x00\xc1\x00\x01"]
    body = struct.pack("<HHHH", 3, 8, 18, 24) + b"".join(parts)
    found = cip.replies(cip.reply(b"\x8a\x00\x1e\x00" + body), 3)
    assert [one.status for one in found] == [0, 4, 0]
    assert cip.value(found[0].data) == 5.0 and "no such tag" in found[1].words()


def test_mutated_answers_are_read_or_refused() -> None:
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    body = struct.pack("<HHH", 2, 6, 16) + b"\xcc\x00\x00\x00\xc4\x00\x05\x00\x00\x00" + b"\xcc\x00\x00\x00\xda\x00\x02ok"
    good = struct.pack("<IHHHHHH", 0, 0, 2, 0, 0, 0xB2, len(body) + 4) + b"\x8a\x00\x00\x00" + body
    for _ in range(5000):
        data = bytearray(good)
        for _ in range(dice.randrange(1, 6)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        data = data[: dice.randrange(len(data) + 1)]
        try:
            for one in cip.replies(cip.reply(cip.message_of(bytes(data))), 2):
                cip.value(one.data, dice.choice([None, 3]))
            cip.symbols(bytes(data))
        except (FrameInvalid, ValueInvalid):
            continue
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error


def test_groups_keep_order_and_stay_within_a_message() -> None:
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    for _ in range(300):
        keys = [str(n) for n in range(dice.randrange(1, 80))]
        requests = {key: dice.randrange(8, 90) for key in keys}
        answers = {key: dice.choice([7, 8, 10, 94, 300, 900]) for key in keys if dice.random() < 0.8}
        found = groups(keys, requests, answers)
        assert [key for group in found for key in group] == keys, f"seed {seed}"
        for group in found:
            assert len(group) == 1 or 10 + sum(requests[key] + 2 for key in group) <= MESSAGE_MAX
            assert len(group) == 1 or 10 + sum(answers.get(key, 98) + 2 for key in group) <= MESSAGE_MAX
    known = {str(n): 8 for n in range(100)}
    assert len(groups(list(known), dict.fromkeys(known, 14), known)) == 4, "30 numbers a message"


def test_modes_and_type_names() -> None:
    assert cip.in_program_mode(b"\x70\x20") and not cip.in_program_mode(b"\x60\x10") and not cip.in_program_mode(b"")
    assert [cip.type_name(kind) for kind in (0x00C4, 0x20CA, 0x8123, 0xA123, 0x00C1, 0x03C1)] == [
        "DINT",
        "REAL[]",
        "STRUCT",
        "STRUCT[]",
        "BOOL",
        "BOOL",
    ]
