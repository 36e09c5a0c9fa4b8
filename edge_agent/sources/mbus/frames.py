"""The link layer of M-Bus (EN 13757-2, FT1.2): acknowledgement, short frames, long and control frames. Pure.

E5 | 10 C A CS 16 | 68 L L 68 C A CI data CS 16        CS: sum over C … data, modulo 256
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ACK_BYTE, SHORT, LONG, END = 0xE5, 0x10, 0x68, 0x16
SND_NKE, REQ_UD2, SND_UD, RSP_UD = 0x40, 0x5B, 0x53, 0x08
FCB: Final = 0x20
SELECTED, ANY_ONE, BROADCAST = 253, 254, 255
SELECT_CI: Final = 0x52


@dataclass(frozen=True, slots=True)
class Ack:
    """E5: the slave has understood."""


@dataclass(frozen=True, slots=True)
class Short:
    control: int
    address: int


@dataclass(frozen=True, slots=True)
class Long:
    """A long frame, or a control frame (no data)."""

    control: int
    address: int
    ci: int
    data: bytes

    @property
    def is_answer(self) -> bool:
        """RSP_UD, with whatever ACD and DFC bits."""
        return self.control & 0xCF == RSP_UD


Frame = Ack | Short | Long


def short(control: int, address: int) -> bytes:
    return bytes((SHORT, control, address, (control + address) & 0xFF, END))


def long(control: int, address: int, ci: int, data: bytes = b"") -> bytes:
    body = bytes((control, address, ci)) + data
    return bytes((LONG, len(body), len(body), LONG)) + body + bytes((sum(body) & 0xFF, END))


def select(secondary: bytes) -> bytes:
    """Selects the slave with this secondary address (8 bytes as on the wire: id, manufacturer, version, medium; F and FF are wildcards)."""
    return long(SND_UD, SELECTED, SELECT_CI, secondary)


def take(buffer: bytearray) -> Frame | None:
    """The next good frame; what stands before it is eaten. None: more bytes are needed. A broken frame hides none behind it."""
    at = 0
    while at < len(buffer):
        found = _at(buffer, at)
        if found is None:
            at += 1
            continue
        frame, size = found
        if frame is None:  # it may become one: what stands behind it is looked at as well
            behind = buffer[at + 1 :]
            hidden = take(behind) if LONG in behind else None
            if isinstance(hidden, Long):
                buffer[:] = behind
                return hidden
            del buffer[:at]
            return None
        del buffer[: at + size]
        return frame
    buffer.clear()
    return None


def _at(buffer: bytearray, at: int) -> tuple[Frame | None, int] | None:
    """(frame, its size) at this place; (None, 0) when more bytes are needed to tell; None when there is no frame here."""
    there = len(buffer) - at
    first = buffer[at]
    if first == ACK_BYTE:
        return Ack(), 1
    if first == SHORT:
        if there < 5:
            return None, 0
        control, address, checksum, end = buffer[at + 1 : at + 5]
        return (Short(control, address), 5) if end == END and (control + address) & 0xFF == checksum else None
    if first != LONG:
        return None
    if there >= 4 and (buffer[at + 1] != buffer[at + 2] or buffer[at + 3] != LONG or buffer[at + 1] < 3):
        return None
    if there < 4 or there < buffer[at + 1] + 6:
        return None, 0
    body = bytes(buffer[at + 4 : at + 4 + buffer[at + 1]])
    checksum, end = buffer[at + 4 + len(body) : at + 6 + len(body)]
    if end != END or sum(body) & 0xFF != checksum:
        return None
    return Long(body[0], body[1], body[2], body[3:]), len(body) + 6
