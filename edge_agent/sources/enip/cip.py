"""CIP messages and their EtherNet/IP frames, as far as reading tags needs them. Pure: bytes and values.

Sources: ODVA, The CIP Networks Library, volume 1 (chapter 3, appendix B and C) and 2 (encapsulation); Rockwell 1756-PM020 (tag services).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.pipeline.columns import Value

REGISTER, SEND_RR = 0x65, 0x6F
READ_TAG, MULTIPLE, ATTRIBUTE_SINGLE, ATTRIBUTE_LIST, UNCONNECTED_SEND = 0x4C, 0x0A, 0x0E, 0x55, 0x52
_ROUTER, _MANAGER, _IDENTITY_STATUS = b"\x20\x02\x24\x01", b"\x20\x06\x24\x01", b"\x20\x01\x24\x01\x30\x05"
HEADER: Final = struct.Struct("<HHIIQI")
FRAME_MAX = 65_511
OK, PARTIAL, EMBEDDED = 0x00, 0x06, 0x1E
_NUMBERS: Final = {
    0xC2: "<b",
    0xC3: "<h",
    0xC4: "<i",
    0xC5: "<q",
    0xC6: "<B",
    0xC7: "<H",
    0xC8: "<I",
    0xC9: "<Q",
    0xCA: "<f",
    0xCB: "<d",
    0xD1: "<B",
    0xD2: "<H",
    0xD3: "<I",
    0xD4: "<Q",
}
TYPE_NAMES: Final = {
    0xC1: "BOOL",
    0xC2: "SINT",
    0xC3: "INT",
    0xC4: "DINT",
    0xC5: "LINT",
    0xC6: "USINT",
    0xC7: "UINT",
    0xC8: "UDINT",
    0xC9: "ULINT",
    0xCA: "REAL",
    0xCB: "LREAL",
    0xD0: "STRING",
    0xD1: "BYTE",
    0xD2: "WORD",
    0xD3: "DWORD",
    0xD4: "LWORD",
    0xDA: "SHORT_STRING",
}
_STRUCTURE, _LOGIX_STRING = 0x02A0, 0x0FCE
_STATUS: Final = {  # what it means for somebody who reads tags
    0x01: "no way to the controller (check `slot`)",
    0x03: "a value of the request is not allowed",
    0x04: "there is no such tag (names of a program are written Program:NAME.TAG)",
    0x05: "there is no such tag or member, or an index is beyond the end",
    0x08: "the controller does not know this service",
    0x0A: "a value of the list is refused",
    0x0F: "access denied: set the tag's External Access to Read Only or Read/Write",
    0x11: "the answer is too large",
    0x13: "the request is too short",
    0x1C: "the list of attributes is too short",
    0x26: "the path is not accepted",
}
_MORE: Final = {
    0x2104: "an index is beyond the end",
    0x2105: "an index is beyond the end",
    0x2107: "it has another data type",
    0x0204: "nobody answers there",
}


class FrameInvalid(ValueError):
    """Bytes that are no answer to what was asked; says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`status` 0: good. `data` follows it."""

    service: int
    status: int
    extended: int
    data: bytes

    def words(self) -> str:
        text = _MORE.get(self.extended) or _STATUS.get(self.status, "refused")
        return f"{text} (status {self.status:02X}H" + (f", {self.extended:04X}H)" if self.extended else ")")


# --- requests ----------------------------------------------------------------------------------------------------------------------
def request(service: int, path: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<BB", service, len(path) // 2) + path + data


def read_tag(path: bytes) -> bytes:
    """One element."""
    return request(READ_TAG, path, struct.pack("<H", 1))


def identity_status() -> bytes:
    return request(ATTRIBUTE_SINGLE, _IDENTITY_STATUS)


def list_tags(program: bytes, start: int) -> bytes:
    """Names (attribute 1) and types (2) of the symbols from instance `start` on; `program`: its segment, b"" for the controller's."""
    return request(ATTRIBUTE_LIST, program + struct.pack("<BBHH", 0x20, 0x6B, 0x25, start), struct.pack("<HHH", 2, 1, 2))


def multiple(requests: Sequence[bytes]) -> bytes:
    """Several requests as one message."""
    at = 2 + 2 * len(requests)
    offsets = []
    for one in requests:
        offsets.append(at)
        at += len(one)
    return request(MULTIPLE, _ROUTER, struct.pack(f"<H{len(requests)}H", len(requests), *offsets) + b"".join(requests))


def routed(message: bytes, slot: int) -> bytes:
    """`message` for the controller in a slot of the backplane (port 1), by Unconnected Send."""
    pad = b"\x00" * (len(message) % 2)
    body = struct.pack("<BBH", 0x0A, 0x0E, len(message)) + message + pad + struct.pack("<BBBB", 1, 0, 1, slot)
    return request(UNCONNECTED_SEND, _MANAGER, body)


def frame(command: int, session: int, context: int, data: bytes) -> bytes:
    return HEADER.pack(command, len(data), session, 0, context, 0) + data


def register(context: int) -> bytes:
    return frame(REGISTER, 0, context, struct.pack("<HH", 1, 0))


def send(session: int, context: int, message: bytes) -> bytes:
    """SendRRData: null address, unconnected data."""
    return frame(SEND_RR, session, context, struct.pack("<IHHHHHH", 0, 0, 2, 0, 0, 0xB2, len(message)) + message)


# --- answers -----------------------------------------------------------------------------------------------------------------------
def message_of(data: bytes) -> bytes:
    """The CIP message in the data of a SendRRData answer. Raises FrameInvalid."""
    try:
        (count,) = struct.unpack_from("<H", data, 6)
        at = 8
        for _ in range(min(count, 8)):
            kind, length = struct.unpack_from("<HH", data, at)
            at += 4
            if kind == 0xB2:
                if at + length > len(data):
                    raise FrameInvalid("its data is cut off")
                return data[at : at + length]
            at += length
    except struct.error as error:
        raise FrameInvalid("its items are cut off") from error
    raise FrameInvalid("it holds no message")


def reply(message: bytes) -> Reply:
    """Raises FrameInvalid."""
    if len(message) < 4 or not message[0] & 0x80:
        raise FrameInvalid("it is no reply")
    end = 4 + 2 * message[3]
    if end > len(message):
        raise FrameInvalid("its status is cut off")
    extended = int.from_bytes(message[4:6], "little") if message[3] else 0
    return Reply(message[0] & 0x7F, message[2], extended, message[end:])


def replies(answer: Reply, count: int) -> list[Reply]:
    """Of a multiple service packet. Raises FrameInvalid."""
    data = answer.data
    try:
        (found,) = struct.unpack_from("<H", data)
        offsets = struct.unpack_from(f"<{found}H", data, 2)
    except struct.error as error:
        raise FrameInvalid("its list of replies is cut off") from error
    if found != count or any(not 2 + 2 * count <= a < b for a, b in zip(offsets, (*offsets[1:], len(data) + 1), strict=True)):
        raise FrameInvalid(f"it holds {found} replies instead of {count}, or in disorder")
    return [reply(data[a:b]) for a, b in zip(offsets, (*offsets[1:], len(data)), strict=True)]


class ValueInvalid(ValueError):
    """The controller answered, but not with one value that can be taken; says why."""


def value(data: bytes, bit: int | None = None) -> Value:
    """Of a Read Tag reply: type, then the element. Numbers come as floats. Raises ValueInvalid."""
    if len(data) < 3:
        raise ValueInvalid("the answer is empty")
    kind, raw = int.from_bytes(data[:2], "little"), data[2:]
    if kind == 0xC1:
        return bool(raw[0])
    if kind in _NUMBERS:
        return _number(kind, raw, bit)
    if bit is not None:
        raise ValueInvalid("it has no bits")
    if kind == _STRUCTURE and raw[:2] == _LOGIX_STRING.to_bytes(2, "little") and len(raw) >= 6:
        length = int.from_bytes(raw[2:6], "little")
        return _text(raw[6:], length)
    if kind in (0xD0, 0xDA):
        head = 2 if kind == 0xD0 else 1
        return _text(raw[head:], int.from_bytes(raw[:head], "little"))
    if kind == _STRUCTURE:
        raise ValueInvalid("it is a structure: name one of its members, such as TAG.Member")
    raise ValueInvalid(f"its data type {kind:04X}H cannot be read")


def _number(kind: int, raw: bytes, bit: int | None) -> Value:
    form = _NUMBERS[kind]
    if len(raw) < struct.calcsize(form):
        raise ValueInvalid("the answer is cut off")
    (found,) = struct.unpack_from(form, raw)
    if bit is None:
        if not math.isfinite(found):
            raise ValueInvalid(f"it is no number ({found})")
        return float(found)
    if isinstance(found, float) or bit >= 8 * struct.calcsize(form):
        raise ValueInvalid(f"a {TYPE_NAMES[kind]} has no bit {bit}")
    return bool(found >> bit & 1)


def _text(raw: bytes, length: int) -> str:
    if length > len(raw):
        raise ValueInvalid(f"its text says it has {length} characters, {len(raw)} came")
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw[:length].decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw[:length].decode("latin-1")


def in_program_mode(data: bytes) -> bool:
    """Of the identity's status word: Logix says 60H in run and 70H in program mode (the device status of 1756-PM020)."""
    return len(data) >= 2 and data[0] & 0xF0 == 0x70


def symbols(data: bytes) -> list[tuple[int, str, int]]:
    """(instance, name, type) of a tag list. Raises FrameInvalid."""
    out: list[tuple[int, str, int]] = []
    at = 0
    try:
        while at < len(data):
            instance, length = struct.unpack_from("<IH", data, at)
            at += 6
            name = data[at : at + length].decode("latin-1")
            (kind,) = struct.unpack_from("<H", data, at + length)
            at += length + 2
            out.append((instance, name, kind))
    except struct.error as error:
        raise FrameInvalid("the list of tags is cut off") from error
    return out


def type_name(kind: int) -> str:
    """Of a symbol's type word: bit 15 structure, bits 13 and 14 dimensions (1756-PM020)."""
    dimensions = kind >> 13 & 3
    base = "STRUCT" if kind & 0x8000 else TYPE_NAMES.get(kind & 0xFF, f"{kind & 0xFFF:03X}H")
    return base + "[]" * dimensions
