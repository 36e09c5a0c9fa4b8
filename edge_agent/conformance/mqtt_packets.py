"""MQTT 3.1, 3.1.1 and 5 control packets as far as Sparkplug asks about them. Pure: bytes in, values out, BadPacket for everything malformed.

Only what a grader looks at is read: CONNECT with its will, CONNACK, PUBLISH, SUBSCRIBE, SUBACK, DISCONNECT. The rest is passed as `Other`.
Source: MQTT 3.1.1 (OASIS 2014) sections 2 and 3, MQTT 5 (OASIS 2019) sections 2 and 3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

PACKET_BYTES_MAX = 16 * 1024 * 1024  # a packet that claims more is taken for a broken stream; a proxy must not hoard it
CONNECT, CONNACK, PUBLISH, SUBSCRIBE, SUBACK, DISCONNECT = 1, 2, 3, 8, 9, 14
_ALLOWED_FLAGS = {6: 2, 8: 2, 10: 2}  # PUBREL, SUBSCRIBE, UNSUBSCRIBE; the others but PUBLISH have 0
# MQTT 5 properties: identifier -> how long its value is (0: UTF-8 or binary with a length, -1: two strings, -2: variable byte integer)
_PROPERTIES = {1: 1, 2: 4, 3: 0, 8: 0, 9: 0, 11: -2, 17: 4, 18: 0, 19: 2, 21: 0, 22: 0, 23: 1, 24: 4, 25: 1, 26: 0, 28: 0, 31: 0, 33: 2, 34: 2, 35: 2}
_PROPERTIES |= {36: 1, 37: 1, 38: -1, 39: 4, 40: 1, 41: 1, 42: 1}
_SESSION_EXPIRY = 17


class BadPacket(ValueError):
    """Bytes that are no MQTT packet; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Connect:
    """`session_expiry_s` is MQTT 5's, 0 when absent; `will_topic` None: no will."""

    level: int
    client_id: str
    clean: bool
    keepalive_s: int
    session_expiry_s: int = 0
    will_topic: str | None = None
    will_payload: bytes = b""
    will_qos: int = 0
    will_retain: bool = False


@dataclass(frozen=True, slots=True)
class Connack:
    reason: int


@dataclass(frozen=True, slots=True)
class Publish:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool


@dataclass(frozen=True, slots=True)
class Subscribe:
    packet_id: int
    filters: tuple[tuple[str, int], ...]  # (filter, QoS)


@dataclass(frozen=True, slots=True)
class Suback:
    packet_id: int
    reasons: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Disconnect:
    reason: int  # MQTT 5; 0 before


@dataclass(frozen=True, slots=True)
class Other:
    kind: int


Packet = Connect | Connack | Publish | Subscribe | Suback | Disconnect | Other


class Splitter:
    """A byte stream cut into whole packets. Raises BadPacket where no more packet can be found."""

    def __init__(self, bytes_max: int = PACKET_BYTES_MAX) -> None:
        self._waiting = bytearray()
        self._bytes_max = bytes_max

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """(first byte, body) of every packet that is complete now."""
        self._waiting += data
        while (found := self._next()) is not None:
            yield found

    def _next(self) -> tuple[int, bytes] | None:
        length = shift = 0
        for at in range(1, 5):
            if at >= len(self._waiting):
                return None
            byte = self._waiting[at]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        else:
            raise BadPacket("a remaining length of more than four bytes")
        if length > self._bytes_max:
            raise BadPacket(f"a packet of {length} bytes; at most {self._bytes_max} are taken")
        start = at + 1
        if len(self._waiting) < start + length:
            return None
        first, body = self._waiting[0], bytes(self._waiting[start : start + length])
        del self._waiting[: start + length]
        return first, body


class _Reader:
    def __init__(self, body: bytes) -> None:
        self._body, self._at = body, 0

    @property
    def left(self) -> int:
        return len(self._body) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise BadPacket(f"{count} bytes are expected, {self.left} are left")
        self._at += count
        return self._body[self._at - count : self._at]

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def binary(self) -> bytes:
        return self.take(self.u16())

    def text(self) -> str:
        raw = self.binary()
        try:
            found = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadPacket(f"a string that is no UTF-8: {raw[:40]!r}") from error
        if "\0" in found:
            raise BadPacket("a string with U+0000")
        return found

    def varint(self) -> int:
        value = shift = 0
        for _ in range(4):
            byte = self.u8()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
        raise BadPacket("a variable byte integer of more than four bytes")

    def properties(self) -> dict[int, bytes]:
        """MQTT 5 properties: identifier -> raw value (of a repeated one the last)."""
        end = self.varint()
        inner = _Reader(self.take(end))
        found: dict[int, bytes] = {}
        while inner.left:
            name = inner.varint()
            size = _PROPERTIES.get(name)
            if size is None:
                raise BadPacket(f"property {name} does not exist")
            if size > 0:
                found[name] = inner.take(size)
            elif size == 0:
                found[name] = inner.binary()
            elif size == -1:
                found[name] = inner.binary() + b"=" + inner.binary()
            else:
                found[name] = struct.pack(">I", inner.varint())
        return found


def parse(first: int, body: bytes, level: int) -> Packet:
    """One packet. `level`: 3, 4 or 5 of the connection (4 until CONNECT said it). Raises BadPacket."""
    kind, flags = first >> 4, first & 15
    if kind == 0:
        raise BadPacket("packet type 0 does not exist")
    if kind != PUBLISH and flags != _ALLOWED_FLAGS.get(kind, 0) and level >= 4:
        raise BadPacket(f"flags {flags} in a packet of type {kind}")
    reader = _Reader(body)
    if kind == CONNECT:
        return _connect(reader)
    if kind == CONNACK:
        reader.u8()
        return Connack(reader.u8())
    if kind == PUBLISH:
        return _publish(reader, flags, level)
    if kind == SUBSCRIBE:
        return _subscribe(reader, level)
    if kind == SUBACK:
        packet_id = reader.u16()
        if level >= 5:
            reader.properties()
        return Suback(packet_id, tuple(reader.take(reader.left)))
    if kind == DISCONNECT:
        return Disconnect(reader.u8() if level >= 5 and reader.left else 0)
    return Other(kind)


def _connect(reader: _Reader) -> Connect:
    name, level = reader.text(), reader.u8()
    if (name, level & 127) not in (("MQIsdp", 3), ("MQTT", 4), ("MQTT", 5)):
        raise BadPacket(f"protocol {name[:20]!r} version {level}")
    level &= 127  # the high bit marks a bridge
    flags, keepalive_s = reader.u8(), reader.u16()
    if flags & 1 and level > 3:
        raise BadPacket("the reserved flag of CONNECT is set")
    expiry_s = 0
    if level == 5:
        expiry_s = int.from_bytes(reader.properties().get(_SESSION_EXPIRY, b""), "big")
    client_id = reader.text()
    will_qos = flags >> 3 & 3
    if will_qos == 3:
        raise BadPacket("a will with QoS 3")
    topic, payload = None, b""
    if flags & 4:
        if level == 5:
            reader.properties()
        topic, payload = reader.text(), reader.binary()
    elif flags & 0x38:
        raise BadPacket("a will's QoS or retain without a will")
    if flags & 0x80:
        reader.text()
    if flags & 0x40:
        reader.binary()
    return Connect(level, client_id, bool(flags & 2), keepalive_s, expiry_s, topic, payload, will_qos, bool(flags & 0x20))


def _publish(reader: _Reader, flags: int, level: int) -> Publish:
    qos = flags >> 1 & 3
    if qos == 3:
        raise BadPacket("QoS 3")
    topic = reader.text()
    if "+" in topic or "#" in topic:
        raise BadPacket(f"a wildcard in the topic {topic[:60]!r}")
    if qos:
        reader.u16()
    if level >= 5:
        reader.properties()
    return Publish(topic, reader.take(reader.left), qos, bool(flags & 1), bool(flags & 8))


def _subscribe(reader: _Reader, level: int) -> Subscribe:
    packet_id = reader.u16()
    if level >= 5:
        reader.properties()
    filters: list[tuple[str, int]] = []
    while reader.left:
        name, options = reader.text(), reader.u8()
        if options & 3 == 3:
            raise BadPacket("a subscription with QoS 3")
        filters.append((name, options & 3))
    if not filters:
        raise BadPacket("a SUBSCRIBE without a filter")
    return Subscribe(packet_id, tuple(filters))
