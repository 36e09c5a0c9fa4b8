"""The packet parser: what paho and Mosquitto's own test corpus write is read; what is malformed is refused in words, never a crash."""

from __future__ import annotations

import json
import random
import re
import time
from pathlib import Path

import pytest

from edge_agent.conformance.mqtt_packets import BadPacket, Connect, Disconnect, Packet, Publish, Splitter, Suback, Subscribe, parse

CORPUS = Path(__file__).parents[2] / "data" / "mqtt_packets"


def read(data: bytes, level: int = 4) -> list[Packet]:
    found = []
    for first, body in Splitter().feed(data):
        packet = parse(first, body, level)
        if isinstance(packet, Connect):
            level = packet.level
        found.append(packet)
    return found


def text(value: str) -> bytes:
    return len(value.encode()).to_bytes(2, "big") + value.encode()


def packet(first: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes([first, len(body)]) + body


def test_connect_with_a_will_in_311_and_5() -> None:
    body = text("MQTT") + b"\x04\xce\x00\x14" + text("id") + text("w/t") + b"\x00\x03abc" + text("user") + b"\x00\x02pw"
    assert read(packet(0x10, body)) == [Connect(4, "id", True, 20, 0, "w/t", b"abc", 1, False)]
    five = text("MQTT") + b"\x05\x36\x00\x14" + b"\x05\x11\x00\x00\x0e\x10" + text("id") + b"\x05\x18\x00\x00\x00\x05" + text("w") + b"\x00\x01x"
    assert read(packet(0x10, five)) == [Connect(5, "id", True, 20, 3600, "w", b"x", 2, True)]


def test_publish_subscribe_disconnect() -> None:
    assert read(packet(0x33, text("a/b") + b"\x00\x07hello")) == [Publish("a/b", b"hello", 1, True, False)]
    assert read(packet(0x30, text("a") + b"\x00" + b"x"), level=5) == [Publish("a", b"x", 0, False, False)]
    assert read(packet(0x82, b"\x00\x01" + text("a/#") + b"\x01" + text("b") + b"\x00")) == [Subscribe(1, (("a/#", 1), ("b", 0)))]
    assert read(packet(0x82, b"\x00\x01\x00" + text("a") + b"\x2d"), level=5) == [Subscribe(1, (("a", 1),))]
    assert read(packet(0x90, b"\x00\x01\x01\x80")) == [Suback(1, (1, 128))]
    assert read(b"\xe0\x00") == [Disconnect(0)] and read(b"\xe0\x01\x04", level=5) == [Disconnect(4)]


def test_bytes_may_come_in_any_slices() -> None:
    whole = packet(0x33, text("a/b") + b"\x00\x07hello") * 3 + b"\xe0\x00"
    for size in range(1, len(whole)):
        splitter = Splitter()
        found = [one for at in range(0, len(whole), size) for one in splitter.feed(whole[at : at + size])]
        assert len(found) == 4


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\x30\xff\xff\xff\xff\x01", "four bytes"),
        (b"\x30\xff\xff\xff\x7f", "at most"),
        (packet(0x36, text("a") + b"\x00\x01"), "QoS 3"),
        (packet(0x30, text("a/#")), "wildcard"),
        (packet(0x30, b"\x00\x09abc"), "expected"),
        (packet(0x82, b"\x00\x01"), "without a filter"),
        (packet(0x80, b"\x00\x01" + text("a") + b"\x00"), "flags"),
        (packet(0x10, text("MQTT") + b"\x09\x02\x00\x00" + text("")), "version"),
        (packet(0x10, text("MQTT") + b"\x04\x03\x00\x00" + text("")), "reserved"),
        (packet(0x30, b"\x00\x02\xff\xfe"), "UTF-8"),
    ],
)
def test_malformed_packets_are_refused_in_words(raw: bytes, why: str) -> None:
    with pytest.raises(BadPacket, match=why):
        read(raw)


def corpus() -> list[tuple[bytes, int]]:
    """Packets of Mosquitto's broker tests (EDL-1.0, tests/data/mqtt_packets/ORIGIN.md), with the protocol level of their group."""
    out: list[tuple[bytes, int]] = []
    for path in sorted(CORPUS.glob("*.json")):
        for group in json.loads(path.read_text()):
            for test in group["tests"]:
                out += [(raw, group.get("ver", 4)) for one in test["msgs"] if (raw := _bytes(one.get("payload", ""))) is not None]
    return out


def _bytes(said: str) -> bytes | None:
    """Mosquitto's notation: hex; rN remaining length; sN, kN, mN, iN, vN numbers; HN, LN header and length; 'text'."""
    sizes = {"s": 2, "k": 2, "m": 2, "i": 2, "H": 2, "L": 4}
    raw = b""
    for token in re.findall(r"'[^']*'|\S+", said):
        if token[0] == "'":
            raw += token[1:-1].encode()
        elif re.fullmatch(r"[rv]\d+", token):
            raw += _varint(int(token[1:]))
        elif re.fullmatch(r"[skmiHL]\d+", token):
            raw += int(token[1:]).to_bytes(sizes[token[0]], "big")
        elif re.fullmatch(r"([0-9A-Fa-f]{2})+", token):
            raw += bytes.fromhex(token)
        else:
            return None
    return raw


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


@pytest.mark.parametrize("seed", [1, 2])
def test_mosquittos_packets_and_their_mutations_never_crash_it(seed: int) -> None:
    rng = random.Random(seed)
    print("seed", seed)
    known = corpus()
    assert len(known) > 3_000
    refused = slowest = 0.0
    for raw, level in known:
        for round_ in range(4):
            changed = bytearray(raw)
            for _ in range(round_):
                if changed:
                    changed[rng.randrange(len(changed))] = rng.randrange(256)
            begun = time.perf_counter()
            try:
                read(bytes(changed), level)
            except BadPacket:
                refused += 1
            slowest = max(slowest, time.perf_counter() - begun)
    assert refused > 1_000
    print(f"slowest {slowest * 1000:.2f} ms, {refused:.0f} of {4 * len(known)} refused")
