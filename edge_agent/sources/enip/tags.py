"""Names of tags as a Logix programmer writes them -> the path of a request. Pure.

    Part_Count   Line.Part.Good   Temps[3]   Grid[1,2]   Program:Main.State   Local:1:I.Data.3 (bit 3)   Status.5 (bit 5)
Paths: Logix 5000 Controllers Data Access (1756-PM020), symbolic segment 91H, element segments 28H, 29H, 2AH.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

_SEGMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*(?::[A-Za-z0-9_]+)*)(?:\[(\d{1,10}(?:,\d{1,10}){0,2})\])?")
NAME_MAX = 40  # characters of one name in a controller; with module prefixes it may be longer
BITS_MAX = 64


class TagInvalid(ValueError):
    """In words, English and Chinese: (en, zh)."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.en, self.zh = en, zh


@dataclass(frozen=True, slots=True)
class TagPath:
    """`path`: the segments of a CIP request; `bit`: of a whole number, None: the value itself."""

    path: bytes
    bit: int | None = None


def parse(text: str) -> TagPath:
    """Raises TagInvalid."""
    segments = text.strip().split(".")
    bit = None
    if len(segments) > 1 and segments[-1].isascii() and segments[-1].isdigit():
        bit = int(segments.pop())
        if bit >= BITS_MAX:
            raise TagInvalid(f"{text!r}: a bit is numbered from 0 to {BITS_MAX - 1}", f"{text!r}:位号应为 0~{BITS_MAX - 1}")
    out = b""
    for segment in segments:
        found = _SEGMENT.fullmatch(segment.strip())
        if found is None or len(found[1]) > 2 * NAME_MAX:
            raise TagInvalid(
                f"{text!r} is no tag name; write it like Part_Count, Line.Good, Temps[3] or Program:Main.State",
                f"{text!r} 不是标签名,应如 Part_Count、Line.Good、Temps[3]、Program:Main.State",
            )
        out += symbol(found[1])
        for index in found[2].split(",") if found[2] else ():
            out += _element(int(index))
    return TagPath(out, bit)


def symbol(name: str) -> bytes:
    data = name.encode("ascii")
    return struct.pack("<BB", 0x91, len(data)) + data + b"\x00" * (len(data) % 2)


def _element(index: int) -> bytes:
    if index <= 0xFF:
        return struct.pack("<BB", 0x28, index)
    return struct.pack("<HH", 0x29, index) if index <= 0xFFFF else struct.pack("<HI", 0x2A, index)
