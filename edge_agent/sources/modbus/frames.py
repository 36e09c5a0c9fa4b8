"""Modbus messages as bytes, pure: the request, its reply checked against it, and the RTU frame (CRC, silence between frames).

Everything a slave may send is either the values that were asked for, an exception of the device, or `BadReply` with the reason: nothing else leaves
this module, whatever the bytes are. Sources: Modbus Application Protocol 1.1b3 (section 6), Modbus over Serial Line 1.02 (section 2.5.1).
"""

from __future__ import annotations

import struct
from typing import Final

from edge_agent.sources.modbus.plan import Request

FUNCTIONS: Final = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
BITS: Final = frozenset({"coil", "discrete"})
BUSY: Final = 6
NO_PATH: Final = 10
NO_TARGET: Final = 11  # gateway: the device behind it does not answer
RANGE_REFUSED: Final = frozenset({2, 3})  # one address or the count was wrong: others of the range may be good
SILENT: Final = frozenset({NO_PATH, NO_TARGET})
EXCEPTION_FRAME: Final = 5  # unit, function, code, CRC
_WORDS: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    BUSY: "device busy",
    NO_PATH: "gateway path unavailable",
    NO_TARGET: "gateway target did not answer",
}


class DeviceError(Exception):
    """The device answered with an exception."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code} ({_WORDS.get(code, 'unknown')})")
        self.code = code


class BadReply(Exception):
    """Bytes that are not a reply to the request; the text says why."""


def ask(request: Request) -> bytes:
    """The request's PDU: function, first address, count."""
    return struct.pack(">BHH", FUNCTIONS[request.table], request.address, request.count)


def body_length(request: Request) -> int:
    """Bytes of values in a good reply."""
    return (request.count + 7) // 8 if request.table in BITS else 2 * request.count


def answer(pdu: bytes, request: Request) -> list[int]:
    """Registers (or bits as 0 and 1) of a reply's PDU. Raises DeviceError, BadReply."""
    function = FUNCTIONS[request.table]
    if len(pdu) < 2:
        raise BadReply("a reply without content")
    if pdu[0] == function | 0x80:
        if len(pdu) != 2:
            raise BadReply(f"an exception of {len(pdu)} bytes")
        raise DeviceError(pdu[1])
    if pdu[0] != function:
        raise BadReply(f"a reply to function {pdu[0]}")
    length = body_length(request)
    if pdu[1] != length or len(pdu) != length + 2:
        raise BadReply(f"{max(0, len(pdu) - 2)} bytes of values (it says {pdu[1]}) instead of {length}")
    if request.table in BITS:
        return [pdu[2 + i // 8] >> (i % 8) & 1 for i in range(request.count)]
    return list(struct.unpack_from(f">{request.count}H", pdu, 2))


# --- RTU ------------------------------------------------------------------------------------------------------------------------------------
def _table() -> tuple[int, ...]:
    out = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
        out.append(crc)
    return tuple(out)


_CRC: Final = _table()


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS (polynomial 0x8005 reflected, start 0xFFFF); on the wire its low byte comes first."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    body = bytes((unit,)) + pdu
    return body + crc16(body).to_bytes(2, "little")


def rtu_next(data: bytes, request: Request) -> tuple[int, bytes | None, int]:
    """The first frame in `data`, what came on the line so far: (unit, PDU, bytes used).

    PDU None: not yet whole, or (bytes used > 0) one byte that cannot begin a frame of ours and has to be skipped: noise, or another frame's rest.
    The length is known from the request and the function; a CRC that does not fit says that the byte was no beginning.
    """
    if len(data) < EXCEPTION_FRAME:
        return 0, None, 0
    function = FUNCTIONS[request.table]
    if data[1] == function:
        length = 5 + data[2]
    elif data[1] == function | 0x80:
        length = EXCEPTION_FRAME
    else:
        return 0, None, 1
    if length > 5 + 250:
        return 0, None, 1
    if len(data) < length:
        return 0, None, _ours_at(data, request, length)
    if crc16(data[: length - 2]) != int.from_bytes(data[length - 2 : length], "little"):
        return 0, None, 1
    return data[0], data[1 : length - 2], length


def _ours_at(data: bytes, request: Request, claimed: int) -> int:
    """Where the wanted frame stands whole behind a beginning that claims another length and does not come to its end (0: nowhere)."""
    length = 5 + body_length(request)
    if claimed == length:
        return 0
    function = FUNCTIONS[request.table]
    for at in range(1, len(data) - length + 1):
        whole = data[at : at + length]
        if whole[1] == function and whole[2] == length - 5 and crc16(whole[:-2]) == int.from_bytes(whole[-2:], "little"):
            return at
    return 0


def frame_s(length: int, baud: int) -> float:
    """Seconds that `length` bytes take on the line (11 bits each)."""
    return length * 11 / baud


def silence_s(baud: int) -> float:
    """Silence that parts two frames: 3.5 characters, above 19200 baud fixed 1.75 ms."""
    return frame_s(7, baud) / 2 if baud <= 19200 else 0.00175
