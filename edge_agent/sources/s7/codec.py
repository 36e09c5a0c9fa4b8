"""Bytes of a PLC -> values. Pure. S7 is big endian; types as in STEP 7 / TIA Portal (IEC 61131-3 names)."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime
from typing import Final

from edge_agent.contract.clock import iso
from edge_agent.pipeline.columns import Value
from edge_agent.sources.s7.address import Address

_CODES: Final = {
    "BYTE": ">B",
    "USINT": ">B",
    "SINT": ">b",
    "WORD": ">H",
    "UINT": ">H",
    "INT": ">h",
    "DWORD": ">I",
    "UDINT": ">I",
    "DINT": ">i",
    "TIME": ">i",
    "REAL": ">f",
    "LREAL": ">d",
    "LWORD": ">Q",
    "ULINT": ">Q",
    "LINT": ">q",
}


class ValueInvalid(ValueError):
    """The bytes are no value of their type; says why."""


def decode(address: Address, raw: bytes) -> Value:
    """`raw` has `address.size` bytes. Numbers come as floats, TIME as seconds, dates as ISO 8601 texts. Raises ValueInvalid."""
    kind = address.type
    if kind == "BOOL":
        return bool(raw[0] >> address.bit & 1)
    if kind in _CODES:
        number = float(struct.unpack(_CODES[kind], raw)[0])
        if not math.isfinite(number):
            raise ValueInvalid(f"it is no number ({number})")
        return number / 1000.0 if kind == "TIME" else number
    if kind == "CHAR":
        return raw.decode("latin-1")
    if kind in ("STRING", "WSTRING"):
        return _text(address, raw)
    return _date(raw) if kind == "DT" else _dtl(raw)


def _text(address: Address, raw: bytes) -> str:
    """Head: greatest and actual length (bytes for STRING, words for WSTRING)."""
    wide = address.type == "WSTRING"
    most, actual = struct.unpack(">HH" if wide else ">BB", raw[: 4 if wide else 2])
    if actual > most or actual > address.length:
        raise ValueInvalid(
            f"it is no {address.type}: its head says {actual} of {most} characters, the address {address.length}; check byte and length"
        )
    if wide:
        return raw[4 : 4 + 2 * actual].decode("utf-16-be", "replace")
    data = raw[2 : 2 + actual]
    for encoding in ("utf-8", "gb18030"):  # what HMIs put into a STRING where names are Chinese
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def _bcd(byte: int) -> int:
    if byte >> 4 > 9 or byte & 15 > 9:
        raise ValueInvalid(f"it is no DATE_AND_TIME (byte {byte:02X}H is no BCD)")
    return (byte >> 4) * 10 + (byte & 15)


def _date(raw: bytes) -> str:
    """DATE_AND_TIME: BCD year (90 to 89 = 1990 to 2089), month, day, hour, minute, second, ms and weekday."""
    year, month, day, hour, minute, second = (_bcd(byte) for byte in raw[:6])
    ms = _bcd(raw[6]) * 10 + (raw[7] >> 4)
    return _iso(year + (1900 if year >= 90 else 2000), month, day, hour, minute, second, ms)


def _dtl(raw: bytes) -> str:
    year, month, day, _, hour, minute, second, nanos = struct.unpack(">HBBBBBBI", raw)
    return _iso(year, month, day, hour, minute, second, nanos // 1_000_000)


def _iso(year: int, month: int, day: int, hour: int, minute: int, second: int, ms: int) -> str:
    """A PLC's clock says no zone: shown as it stands, taken for UTC."""
    try:
        when = datetime(year, month, day, hour, minute, second, min(ms, 999) * 1000, UTC)
    except ValueError as error:
        raise ValueInvalid(f"it is no date ({error})") from error
    return iso(round(when.timestamp() * 1000))
