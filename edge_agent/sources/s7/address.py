"""Addresses as a Siemens programmer writes them -> area, byte, bit, type. Pure.

    DB1.DBD4:REAL   DB1.DBX0.3   DB10.DBB20:STRING[32]   MW4:INT   M10.3   ID0:DINT (= ED0)   QB2 (= AB2)   %DB1.DBW2
The letter says the size (X or nothing = bit, B = 1 byte, W = 2, D = 4); B fits every type. Without a type: BOOL, BYTE, WORD, DWORD.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

AREAS: Final = {"DB": 0x84, "M": 0x83, "I": 0x81, "E": 0x81, "Q": 0x82, "A": 0x82}
SIZES: Final = {  # of types of fixed length, in bytes
    "BOOL": 1,
    "BYTE": 1,
    "USINT": 1,
    "SINT": 1,
    "CHAR": 1,
    "WORD": 2,
    "UINT": 2,
    "INT": 2,
    "DWORD": 4,
    "UDINT": 4,
    "DINT": 4,
    "REAL": 4,
    "TIME": 4,
    "LWORD": 8,
    "ULINT": 8,
    "LINT": 8,
    "LREAL": 8,
    "DT": 8,
    "DTL": 12,
}
ALIASES: Final = {"DATE_AND_TIME": "DT", "DATETIME": "DT"}
_BY_LETTER: Final = {"X": "BOOL", "": "BOOL", "B": "BYTE", "W": "WORD", "D": "DWORD"}
_BYTES: Final = {"B": 0, "W": 2, "D": 4}  # 0: any size
_PLACE = re.compile(r"%?(?:DB(?P<db>\d{1,5})\.DB(?P<dbletter>[XBWD])|(?P<area>[MIEQA])(?P<letter>[XBWD]?))(?P<byte>\d{1,5})(?:\.(?P<bit>\d))?")
_TEXT = re.compile(r"(STRING|WSTRING)\[(\d{1,5})\]")


class AddressInvalid(ValueError):
    """In words, English and Chinese: (en, zh)."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.en, self.zh = en, zh


@dataclass(frozen=True, slots=True)
class Address:
    """`size` bytes from `byte` on; `bit` for BOOL; `length` characters of a text. `db` is 0 outside data blocks."""

    area: int
    db: int
    byte: int
    bit: int
    type: str
    size: int
    length: int = 0


def parse(text: str) -> Address:
    """Raises AddressInvalid."""
    place_text, _, type_text = text.replace(" ", "").upper().partition(":")
    place = _PLACE.fullmatch(place_text)
    if place is None:
        raise AddressInvalid(
            f"{text!r} is no S7 address; write it like DB1.DBD4:REAL, MW10:INT or I0.3", f"{text!r} 不是 S7 地址,应如 DB1.DBD4:REAL、MW10:INT、I0.3"
        )
    letter = place["dbletter"] or place["letter"] or ""
    kind, size, length = _type(text, type_text or _BY_LETTER[letter])
    if letter in ("X", ""):
        if place["bit"] is None or int(place["bit"]) > 7:
            raise AddressInvalid(f"{text!r}: a bit needs its number 0 to 7, such as {place_text.split('.')[0]}.0", f"{text!r}:位地址需要位号 0~7")
        if kind != "BOOL":
            raise AddressInvalid(f"{text!r}: a bit is a BOOL, not {kind}", f"{text!r}:位只能是 BOOL")
    elif place["bit"] is not None or kind == "BOOL":
        raise AddressInvalid(f"{text!r}: a BOOL is addressed by a bit, such as DB1.DBX0.0 or M0.0", f"{text!r}:BOOL 应写位地址,如 DB1.DBX0.0、M0.0")
    elif _BYTES[letter] not in (0, size):
        raise AddressInvalid(
            f"{text!r}: {kind} has {size} bytes and {letter} {_BYTES[letter]}; write B for any type",
            f"{text!r}:{kind} 为 {size} 字节,与 {letter} 不符,可写 B",
        )
    db = int(place["db"] or 0)
    if place["db"] is not None and not 1 <= db <= 65535:
        raise AddressInvalid(f"{text!r}: data blocks are numbered from 1 to 65535", f"{text!r}:DB 号应为 1~65535")
    return Address(AREAS["DB" if db else place["area"]], db, int(place["byte"]), int(place["bit"] or 0), kind, size, length)


def _type(text: str, name: str) -> tuple[str, int, int]:
    """Name, size in bytes, length in characters."""
    name = ALIASES.get(name, name)
    if name in SIZES:
        return name, SIZES[name], 0
    found = _TEXT.fullmatch("STRING[254]" if name == "STRING" else "WSTRING[254]" if name == "WSTRING" else name)
    most = 254 if name.startswith("S") else 16382
    if found is None or not 1 <= int(found[2]) <= most:
        raise AddressInvalid(
            f"{text!r}: {name} is no type; choose one of {', '.join(SIZES)}, STRING[n], WSTRING[n]",
            f"{text!r}:没有类型 {name},可选 {'、'.join(SIZES)}、STRING[n]、WSTRING[n]",
        )
    length = int(found[2])
    return found[1], length + 2 if found[1] == "STRING" else 2 * length + 4, length
