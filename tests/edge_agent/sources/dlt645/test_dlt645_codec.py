"""DL/T 645-2007 frames: golden vectors, noise, formats."""

from __future__ import annotations

import random

import pytest

from edge_agent.sources.dlt645 import codec
from edge_agent.sources.dlt645.catalogue import KNOWN
from edge_agent.sources.dlt645.codec import BadFrame, Format, Frame

REQUEST = bytes.fromhex("68 12 90 78 56 34 12 68 11 04 33 33 34 33 68 16")
REPLY = bytes.fromhex("68 12 90 78 56 34 12 68 91 08 33 33 34 33 9A 78 56 34 88 16")


def test_the_golden_request_and_reply() -> None:
    """Meter 123456789012, forward active energy, 12345.67 kWh."""
    assert codec.read_request("123456789012", "00010000") == REQUEST
    frame = codec.take(bytearray(b"\xfe\xfe\xfe\xfe" + REPLY))
    assert frame == Frame("123456789012", 0x91, bytes.fromhex("00 00 01 00 67 45 23 01"))
    assert frame.is_answer and not frame.is_refused and not frame.more and frame.function == codec.READ
    assert Format.of("XXXXXX.XX").decode(frame.data[4:]) == 12345.67


def test_follow_up_and_address_requests() -> None:
    more = codec.take(bytearray(codec.read_request("123456789012", "00010000", 3)))
    assert more == Frame("123456789012", 0x12, bytes.fromhex("00 00 01 00 03"))
    assert codec.build(codec.ANY_ADDRESS, codec.READ_ADDRESS).hex(" ") == "68 aa aa aa aa aa aa 68 13 00 df 16"


@pytest.mark.parametrize(
    ("address", "packed"),
    [("123456789012", "129078563412"), ("42", "420000000000"), ("AAAAAAAAAAAA", "aaaaaaaaaaaa"), ("AAAAAA000042", "420000aaaaaa")],
)
def test_addresses(address: str, packed: str) -> None:
    assert codec.pack_address(address).hex() == packed


@pytest.mark.parametrize("address", ["", "1234567890123", "12AB", "-1", "1A", "表"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(BadFrame, match="no address"):
        codec.pack_address(address)


@pytest.mark.parametrize(
    ("form", "signed", "raw", "value"),
    [
        ("XXXXXX.XX", False, "67452301", 12345.67),
        ("XX.XXXX", True, "563412", 12.3456),
        ("XX.XXXX", True, "563492", -12.3456),
        ("N.NNN", True, "0010", 1.0),
        ("N.NNN", True, "5089", -0.950),
        ("XX.XX", False, "9949", 49.99),
        ("XXXX", False, "ffff", None),
        ("XXXXXX.XX", True, "00000080", 0.0),
    ],
)
def test_formats(form: str, signed: bool, raw: str, value: float | None) -> None:
    made = Format.of(form, signed)
    assert made.decode(bytes.fromhex(raw)) == value
    if value:
        assert made.encode(value).hex() == raw


@pytest.mark.parametrize(("form", "raw", "why"), [("XXXX", "12", "1 byte"), ("XXXX", "1a2b", "no decimal number")])
def test_values_that_are_none(form: str, raw: str, why: str) -> None:
    with pytest.raises(BadFrame, match=why):
        Format.of(form).decode(bytes.fromhex(raw))


@pytest.mark.parametrize("form", ["", "X", "X.XX", "YY", "XX.X.X"])
def test_formats_that_are_none(form: str) -> None:
    with pytest.raises(BadFrame, match="no format"):
        Format.of(form)


def test_every_known_value_goes_there_and_back() -> None:
    for name, known in KNOWN.items():
        assert len(known.id) == 8 and known.en and known.zh, name
        value = 10 ** (known.format.digits - known.format.decimals - 1) + 0.0
        assert known.format.decode(known.format.encode(value)) == value, name


@pytest.mark.parametrize(
    ("data", "en", "zh"),
    [
        (b"\x02", "no such data", "无请求数据"),
        (b"\x06", "no such data, wrong password", "密码错"),
        (b"\x80", "error 128", "128"),
        (b"", "error 0", "0"),
    ],
)
def test_refusals_in_words(data: bytes, en: str, zh: str) -> None:
    found = codec.refusal(Frame("1", 0xD1, data))
    assert en in found[0] and zh in found[1]


def test_a_frame_is_found_in_noise_and_never_twice() -> None:
    """Noise before, between and inside; every good frame comes out once, whatever the cuts."""
    seed = 645
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(300):
        noise = bytes(rng.choice([0xFE, 0x68, 0x16, rng.randrange(256)]) for _ in range(rng.randrange(12)))
        stream = noise + REPLY + REQUEST + REPLY
        buffer, found = bytearray(), []
        while stream:
            cut = rng.randrange(1, 9)
            buffer += stream[:cut]
            stream = stream[cut:]
            while (frame := codec.take(buffer)) is not None:
                found.append(frame.control)
        assert found[-2:] == [0x11, 0x91] and len(found) <= 3


def test_mutated_frames_are_passed_over() -> None:
    """Any one byte changed: no wrong value comes out, and the good frame behind is found."""
    good = codec.take(bytearray(REPLY))
    for at in range(len(REPLY)):
        for change in (0x01, 0x10, 0x80, 0xFF):
            broken = bytearray(REPLY)
            broken[at] ^= change
            buffer = broken + bytearray(200) + bytearray(REPLY)
            frames = []
            while (frame := codec.take(buffer)) is not None:
                frames.append(frame)
            assert frames[-1:] == [good] and len(frames) == 1, (at, change)


def test_nonsense_never_raises() -> None:
    seed = 20071
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(2000):
        buffer = bytearray(rng.choice([0x68, 0x16, 0xFE, rng.randrange(256)]) for _ in range(rng.randrange(80)))
        while codec.take(buffer) is not None:
            pass
