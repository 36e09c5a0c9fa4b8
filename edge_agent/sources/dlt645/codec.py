"""DL/T 645-2007 frames <-> values. Pure. Sources: DL/T 645-2007 chapters 5 to 7 and annex A; golden frames beside the tests.

    FE FE FE FE | 68 | A0..A5 | 68 | C | L | DATA | CS | 16

The address is 12 BCD digits, low byte first. On the line 33H is added to every data byte. CS is the sum from the first 68H, modulo 256.
C: bit 7 from the meter, bit 6 refused, bit 5 more frames follow, bits 4..0 the function.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

PREAMBLE: Final = b"\xfe\xfe\xfe\xfe"
START, END, OFFSET = 0x68, 0x16, 0x33
READ, READ_MORE, READ_ADDRESS = 0x11, 0x12, 0x13
ANSWER, REFUSED, MORE, FUNCTION = 0x80, 0x40, 0x20, 0x1F
ANY_ADDRESS: Final = "A" * 12
_ADDRESS = re.compile(r"A*[0-9]{0,12}")
_ERRORS: Final = (  # bits of the error byte, annex A.3 (ERR)
    ("other error", "其他错误"),
    ("no such data", "无请求数据"),
    ("wrong password or no permission", "密码错或未授权"),
    ("the baud rate cannot be changed", "通信速率不能更改"),
    ("too many annual time zones", "年时区数超"),
    ("too many daily periods", "日时段数超"),
    ("too many tariffs", "费率数超"),
)


class BadFrame(ValueError):
    """Data that do not have the form the standard gives them."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; `data` without the 33H."""

    address: str  # 12 digits, high first
    control: int
    data: bytes

    @property
    def function(self) -> int:
        return self.control & FUNCTION

    @property
    def is_answer(self) -> bool:
        return bool(self.control & ANSWER)

    @property
    def is_refused(self) -> bool:
        return bool(self.control & REFUSED)

    @property
    def more(self) -> bool:
        return bool(self.control & MORE)


def pack_address(address: str) -> bytes:
    """Six bytes, low first. Short addresses are filled with zeros; A stands for any digit. Raises BadFrame."""
    if not address or len(address) > 12 or not _ADDRESS.fullmatch(address):
        raise BadFrame(f"{address!r} is no address: up to 12 digits, or A for any")
    return bytes.fromhex(address.rjust(12, "0"))[::-1]


def build(address: str, control: int, data: bytes = b"") -> bytes:
    """A frame without preamble."""
    body = bytes((START,)) + pack_address(address) + bytes((START, control, len(data))) + bytes((byte + OFFSET) & 0xFF for byte in data)
    return body + bytes((sum(body) & 0xFF, END))


def read_request(address: str, data_id: str, block: int = 0) -> bytes:
    """Asks for `data_id` (8 hex digits); `block` 1, 2, … asks for what follows (12H)."""
    wanted = bytes.fromhex(data_id)[::-1]
    return build(address, READ_MORE, wanted + bytes((block,))) if block else build(address, READ, wanted)


def take(buffer: bytearray) -> Frame | None:
    """The next good frame; what stands before it (preamble, noise, broken frames) is eaten. None: more bytes are needed."""
    at = 0
    while True:
        at = buffer.find(START, at)
        if at < 0:
            buffer.clear()
            return None
        if len(buffer) < at + 10:
            del buffer[:at]
            return None
        length = buffer[at + 9]
        end = at + 12 + length
        if buffer[at + 7] != START or length > 200:
            at += 1
            continue
        if len(buffer) < end:
            # A broken length must not hide a whole frame behind it.
            behind = bytearray(buffer[at + 1 :])
            found = take(behind) if behind.count(START) > 1 else None
            if found is not None:
                buffer[:] = behind
                return found
            del buffer[:at]
            return None
        raw = bytes(buffer[at:end])
        if raw[-1] != END or sum(raw[:-2]) & 0xFF != raw[-2]:
            at += 1
            continue
        del buffer[:end]
        return Frame(raw[1:7][::-1].hex().upper(), raw[8], bytes((byte - OFFSET) & 0xFF for byte in raw[10:-2]))


def refusal(frame: Frame) -> tuple[str, str]:
    """The meter's error byte in words (en, zh)."""
    code = frame.data[0] if frame.data else 0
    named = [words for bit, words in enumerate(_ERRORS) if code >> bit & 1] or [(f"error {code}", f"错误 {code}")]
    return "refused: " + ", ".join(en for en, _ in named), "拒绝:" + "、".join(zh for _, zh in named)


@dataclass(frozen=True, slots=True)
class Format:
    """How a value stands in its bytes, in the standard's own notation: XXXXXX.XX is 4 bytes of BCD with two decimals."""

    digits: int
    decimals: int
    signed: bool = False  # the highest bit is the sign

    @classmethod
    def of(cls, text: str, signed: bool = False) -> Format:
        """Raises BadFrame."""
        whole, _, part = text.partition(".")
        digits = len(whole) + len(part)
        if not digits or digits % 2 or digits > 24 or not set(whole + part) <= {"X", "N"}:
            raise BadFrame(f"{text!r} is no format: X or N for each digit, an even number of them, such as XXXXXX.XX")
        return cls(digits, len(part), signed)

    @property
    def size(self) -> int:
        return self.digits // 2

    def decode(self, raw: bytes) -> float | None:
        """The value of the first `size` bytes, low first; None where the meter has nothing (all FF). Raises BadFrame."""
        if len(raw) < self.size:
            raise BadFrame(f"{len(raw)} byte(s) instead of {self.size}")
        raw = raw[: self.size]
        if raw == b"\xff" * self.size:
            return None
        negative = self.signed and raw[-1] & 0x80
        if negative:
            raw = raw[:-1] + bytes((raw[-1] & 0x7F,))
        text = raw[::-1].hex()
        if not text.isdigit():
            raise BadFrame(f"{text} is no decimal number")
        value = float(int(text)) / 10.0**self.decimals
        return -value if negative else value

    def encode(self, value: float) -> bytes:
        """The inverse: what a test meter answers."""
        raw = bytearray(bytes.fromhex(f"{round(abs(value) * 10**self.decimals):0{self.digits}d}")[::-1])
        if value < 0:
            raw[-1] |= 0x80
        return bytes(raw)
