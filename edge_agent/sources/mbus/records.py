"""The application layer of M-Bus (EN 13757-3): a telegram's data -> who it is and its records. Pure.

Variable data structure (CI 72h, 76h, short header 7Ah, no header 78h), fixed data structure (73h, 77h), application errors (70h).
Every value is worked out with the factor of its VIF; what the meter marks as missing or wrong becomes None.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from typing import Final

from edge_agent.sources.mbus import units
from edge_agent.sources.mbus.frames import Long
from edge_agent.sources.mbus.units import Meaning

EXTENDED = 0x80
MORE_FIELDS_MAX: Final = 10  # DIFE and VIFE, by the norm
TEXT_UNIT_MAX: Final = 128
FUNCTIONS: Final = ("instantaneous", "maximum", "minimum", "error")
_SIZES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 4, 6: 6, 7: 8, 9: 1, 10: 2, 11: 3, 12: 4, 14: 6}
_BCD: Final = frozenset({9, 10, 11, 12, 14})
_ERRORS: Final = (
    "unspecified error",
    "unimplemented CI field",
    "buffer too long, truncated",
    "too many records",
    "premature end of record",
    "more than 10 DIFE",
    "more than 10 VIFE",
    "reserved",
    "application busy",
    "too many readouts",
)
Value = float | str | None


class BadTelegram(ValueError):
    """Data that do not keep to the norm; the text says where."""


class ApplicationError(ValueError):
    """The meter says that it cannot answer: its words."""


@dataclass(frozen=True, slots=True)
class Header:
    """Who answers: id (8 digits), manufacturer (3 letters), version, medium code, access number, status bits."""

    id: str = ""
    manufacturer: str = ""
    version: int = 0
    medium: int = 0x0F
    access: int = 0
    status: int = 0

    @property
    def medium_name(self) -> str:
        return units.MEDIA.get(self.medium, f"medium {self.medium:02X}h")


@dataclass(frozen=True, slots=True)
class Record:
    """One value. `qualifiers`: what combinable VIFE say of it (L1, backward, per hour …). `vif`: the value information block as hex."""

    quantity: str
    unit: str
    value: Value
    function: str = "instantaneous"
    storage: int = 0
    tariff: int = 0
    subunit: int = 0
    qualifiers: tuple[str, ...] = ()
    vif: str = ""


@dataclass(frozen=True, slots=True)
class Telegram:
    header: Header
    records: tuple[Record, ...]
    more: bool = False  # the next telegram goes on


def decode(frame: Long) -> Telegram:
    """Raises BadTelegram, ApplicationError."""
    data = frame.data
    if frame.ci == 0x70:
        code = data[0] if data else 0
        raise ApplicationError(_ERRORS[code] if code < len(_ERRORS) else f"unspecified error {code}")
    if frame.ci in (0x73, 0x77):
        return _fixed(data, "little" if frame.ci == 0x73 else "big")
    if frame.ci in (0x72, 0x76):
        if len(data) < 12:
            raise BadTelegram(f"the header is too short: {len(data)} of 12 bytes")
        header = Header(data[3::-1].hex(), manufacturer(data[4:6]), data[6], data[7], data[8], data[9])
        _refuse_encrypted(data[10:12], data[12:14])
        return _variable(header, data[12:], frame.ci == 0x76)
    if frame.ci == 0x7A:
        if len(data) < 4:
            raise BadTelegram(f"the header is too short: {len(data)} of 4 bytes")
        _refuse_encrypted(data[2:4], data[4:6])
        return _variable(Header(access=data[0], status=data[1]), data[4:], big=False)
    if frame.ci == 0x78:
        return _variable(Header(), data, big=False)
    raise BadTelegram(f"CI {frame.ci:02X}h is no answer with values")


def _refuse_encrypted(word: bytes, begins: bytes) -> None:
    if word[1] & 0x1F in (5, 7) and begins not in (b"\x2f\x2f", b""):
        raise BadTelegram("the telegram is encrypted")


def manufacturer(raw: bytes) -> str:
    """Three letters packed into 15 bits, low byte first."""
    word = raw[0] | raw[1] << 8
    return "".join(chr((word >> shift & 0x1F) + 64) for shift in (10, 5, 0))


def pack_manufacturer(letters: str) -> bytes:
    word = sum((ord(letter) - 64) << shift for letter, shift in zip(letters.upper(), (10, 5, 0), strict=True))
    return word.to_bytes(2, "little")


# --- variable data structure -----------------------------------------------------------------------------------------------------
class _Bytes:
    """A telegram's bytes, eaten from the front. Raises BadTelegram at their end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def byte(self, what: str) -> int:
        return self.some(1, what)[0]

    def some(self, count: int, what: str) -> bytes:
        if self.at + count > len(self.data):
            raise BadTelegram(f"the telegram ends in {what}")
        self.at += count
        return self.data[self.at - count : self.at]

    def rest(self) -> bytes:
        return self.some(len(self.data) - self.at, "")

    def chain(self, first: int, what: str) -> list[int]:
        """The extensions that follow while the highest bit says so."""
        out: list[int] = []
        last = first
        while last & EXTENDED:
            if len(out) == MORE_FIELDS_MAX:
                raise BadTelegram(f"more than {MORE_FIELDS_MAX} {what}")
            last = self.byte(what)
            out.append(last)
        return out


def _variable(header: Header, data: bytes, big: bool) -> Telegram:
    source = _Bytes(data)
    records: list[Record] = []
    more = False
    while source.at < len(data):
        dif = source.byte("a DIF")
        if dif == 0x2F:
            continue
        if dif & 0x0F == 0x0F:
            if dif not in (0x0F, 0x1F):
                raise BadTelegram(f"DIF {dif:02X}h has no meaning")
            more = dif == 0x1F
            records.append(Record("manufacturer specific", "", source.rest().hex(" ").upper(), "manufacturer"))
            break
        records.append(_record(source, dif, big))
    return Telegram(header, tuple(records), more)


def _record(source: _Bytes, dif: int, big: bool) -> Record:
    storage, tariff, subunit = dif >> 6 & 1, 0, 0
    for place, dife in enumerate(source.chain(dif, "DIFE")):
        storage |= (dife & 0x0F) << (1 + 4 * place)
        tariff |= (dife >> 4 & 3) << (2 * place)
        subunit |= (dife >> 6 & 1) << place
    begin = source.at
    vif = source.byte("a VIF")
    text = ""
    if vif & 0x7F == 0x7C:
        length = source.byte("a unit in plain text")
        if length > TEXT_UNIT_MAX:
            raise BadTelegram(f"a unit in plain text of {length} letters")
        text = source.some(length, "a unit in plain text")[::-1].decode("latin-1")
    extensions = source.chain(vif, "VIFE")
    block = source.data[begin : source.at].hex()
    meaning, rest = _meaning(vif, extensions, text)
    meaning, qualifiers, add, error = _qualified(meaning, rest)
    value = _value(source, dif & 0x0F, meaning, big)
    if isinstance(value, (int, float)):
        value = _scaled(value, meaning.factor) + add
    return Record(meaning.quantity, meaning.unit, None if error else value, FUNCTIONS[dif >> 4 & 3], storage, tariff, subunit, qualifiers, block)


def _scaled(value: float, factor: float) -> float:
    """Division by a whole power of ten is exact to the last digit, multiplication by 0.001 is not."""
    if 0 < factor < 1:
        inverse = round(1 / factor)
        if math.isclose(inverse * factor, 1.0, rel_tol=1e-15):
            return value / inverse
    return value * factor


def _meaning(vif: int, extensions: list[int], text: str) -> tuple[Meaning, list[int]]:
    """What the VIF says, and the VIFE that qualify it."""
    code = vif & 0x7F
    if code == 0x7C:
        return Meaning(text or "plain text", text), extensions
    if vif in (0xFD, 0xFB) and extensions:
        table = units.FD if vif == 0xFD else units.FB
        found = extensions[0] & 0x7F
        return table.get(found, Meaning(f"VIF {vif:02X}{found:02X}h", kind="unsigned")), extensions[1:]
    if code == 0x7F:
        return Meaning("manufacturer specific"), [0x7F, *extensions]
    return units.PRIMARY.get(code, Meaning(f"VIF {code:02X}h")), extensions


def _qualified(meaning: Meaning, extensions: list[int]) -> tuple[Meaning, tuple[str, ...], float, str]:
    """The meaning with corrections worked in; qualifiers; what is to be added; the meter's word for a value that is none."""
    qualifiers: list[str] = []
    add, error = 0.0, ""
    codes = iter([code & 0x7F for code in extensions])
    for code in codes:
        if code == 0x7F:
            own = [f"{rest:02X}h" for rest in codes]
            qualifiers.append(" ".join(["manufacturer", *own]))
        elif code == 0x7C:
            second = next(codes, None)
            if second is not None:
                qualifiers.append(units.EXTENSION.get(second, f"FC{second:02X}h"))
        elif code == 0x7D:
            meaning = replace(meaning, factor=meaning.factor * 1000)
        elif 0x70 <= code <= 0x77:
            meaning = replace(meaning, factor=meaning.factor * float(f"1e{code - 0x76}"))
        elif 0x78 <= code <= 0x7B:
            add += float(f"1e{code - 0x7B}")
        elif code in units.NO_VALUE:
            error = units.NO_VALUE[code]
        elif code:
            qualifiers.append(units.QUALIFIERS.get(code, f"VIFE {code:02X}h"))
    return meaning, tuple(qualifiers), add, error


# --- values ----------------------------------------------------------------------------------------------------------------------
def _value(source: _Bytes, field: int, meaning: Meaning, big: bool) -> Value:
    if field == 0x0D:
        return _variable_length(source, meaning)
    if field in (0, 8):
        return None
    raw = source.some(_SIZES[field], "a value")
    if big:
        raw = raw[::-1]
    if field in _BCD:
        return bcd(raw)
    if field == 5:
        (real,) = struct.unpack("<f", raw)
        return _shortest(real) if math.isfinite(real) else None
    if meaning.kind == "date":
        return date(raw)
    number = int.from_bytes(raw, "little", signed=meaning.kind != "unsigned")
    is_invalid = meaning.kind != "unsigned" and number == -(1 << 8 * len(raw) - 1)
    return None if is_invalid else float(number)


def _shortest(real: float) -> float:
    """The shortest decimal that is this 32-bit number: what the meter shows (41.737434, not 41.73743438720703)."""
    return float(f"{real:.8g}") if struct.pack("<f", float(f"{real:.8g}")) == struct.pack("<f", real) else real


def _variable_length(source: _Bytes, meaning: Meaning) -> Value:
    length = source.byte("a length")
    if length <= 0xBF:
        return source.some(length, "a text")[::-1].decode("latin-1").strip("\0")
    if length <= 0xC9 or 0xD0 <= length <= 0xD9:
        number = bcd(source.some(length & 0x0F, "a number"))
        return -number if number is not None and length >= 0xD0 else number
    if 0xE0 <= length <= 0xEF:
        raw = source.some(length - 0xE0, "a number")
    elif 0xF0 <= length <= 0xF4:
        raw = source.some(4 * (length - 0xEC), "a number")
    elif length in (0xF5, 0xF6):
        raw = source.some(48 if length == 0xF5 else 64, "a number")
    else:
        raise BadTelegram(f"length {length:02X}h has no meaning")
    return float(int.from_bytes(raw, "little", signed=meaning.kind != "unsigned")) if 0 < len(raw) <= 8 else raw[::-1].hex(" ").upper()


def bcd(raw: bytes) -> float | None:
    """Decimal digits, low byte first; F in the highest place is a minus. None where there is another letter: the meter has no value."""
    text = raw[::-1].hex()
    negative = text.startswith("f")
    text = text[1:] if negative else text
    if not text.isdigit():
        return None
    return -float(text) if negative else float(text)


def date(raw: bytes) -> str | None:
    """Types F (4 bytes), G (2), I (6) and J (3) as ISO 8601 without zone: it is the meter's own clock. None where it is not valid."""
    if len(raw) == 3:
        second, minute, hour = raw[0] & 0x3F, raw[1] & 0x3F, raw[2] & 0x1F
        return f"{hour:02d}:{minute:02d}:{second:02d}" if hour < 24 and minute < 60 and second < 60 else None
    if len(raw) == 2:
        return _day(raw[0], raw[1], 0)
    if len(raw) == 4:
        if raw[0] & 0x80:
            return None
        minute, hour, day = raw[0] & 0x3F, raw[1] & 0x1F, _day(raw[2], raw[3], raw[1] >> 5 & 3)
        return f"{day}T{hour:02d}:{minute:02d}:00" if day and hour < 24 and minute < 60 else None
    if len(raw) == 6:
        if raw[1] & 0x80:
            return None
        second, minute, hour, day = raw[0] & 0x3F, raw[1] & 0x3F, raw[2] & 0x1F, _day(raw[3], raw[4], 0)
        return f"{day}T{hour:02d}:{minute:02d}:{second:02d}" if day and hour < 24 and minute < 60 and second < 60 else None
    return None


def _day(low: int, high: int, century: int) -> str | None:
    """A century of 0 means 1900 … but a two-digit year up to 80 is then of the 2000s (note of the norm)."""
    day, month, year = low & 0x1F, high & 0x0F, low >> 5 | high >> 4 << 3
    if not 1 <= day <= 31 or not 1 <= month <= 12 or year > 99:
        return None
    full = 1900 + 100 * century + year if century or year > 80 else 2000 + year
    return f"{full:04d}-{month:02d}-{day:02d}"


# --- fixed data structure ----------------------------------------------------------------------------------------------------------
def _fixed(data: bytes, order: str) -> Telegram:
    """Two counters; the medium is spread over the two unit bytes."""
    if len(data) < 16:
        raise BadTelegram(f"the fixed data structure is too short: {len(data)} of 16 bytes")
    status, codes = data[5], data[6:8]
    header = Header(data[3::-1].hex(), "", 0, codes[0] >> 6 | codes[1] >> 6 << 2, data[4], status)
    stored = status >> 1 & 1
    records: list[Record] = []
    for place, code in enumerate(codes):
        raw = data[8 + 4 * place : 12 + 4 * place]
        raw = raw if order == "little" else raw[::-1]
        value = float(int.from_bytes(raw, "little", signed=True)) if status & 1 else bcd(raw)
        historic = code & 0x3F == 0x3E  # the other counter's unit, at its fixed date
        meaning = units.FIXED.get((codes[1 - place] if historic else code) & 0x3F, Meaning("counter"))
        scaled = _scaled(value, meaning.factor) if value is not None else None
        records.append(Record(meaning.quantity, meaning.unit, scaled, storage=1 if historic else stored))
    return Telegram(header, tuple(records))
