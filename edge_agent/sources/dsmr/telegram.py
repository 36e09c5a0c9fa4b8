"""P1 telegrams: bytes -> OBIS objects, with checksum and the meter's own time. Pure.

Source: DSMR P1 companion standard 2.2 to 5.0.2, IEC 62056-21 mode D.

    /XXX5 identification CR LF CR LF  objects …  ! CRC16 CR LF
An object is an OBIS code with groups in brackets; a group is a value, with its unit behind a star. The checksum (CRC16, polynomial A001h, over
/ … !) is there since version 4; some meters do not pad it to four digits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

TELEGRAM_MAX: Final = 65536
_END: Final = re.compile(rb"!([0-9A-Fa-f]{0,4})[ \t]*\r?\n")
_OBJECT: Final = re.compile(r"(\d+-\d+:\d+\.\d+\.\d+)(?:\*\d+)?((?:\([^()]*\))+)")
_GROUP: Final = re.compile(r"\(([^()]*)\)")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_TIME: Final = re.compile(r"(\d{12})([WS]?)")
_TO_SI: Final[Mapping[str, tuple[str, float]]] = {
    "Wh": ("Wh", 1.0), "kWh": ("Wh", 1e3), "MWh": ("Wh", 1e6), "W": ("W", 1.0), "kW": ("W", 1e3), "varh": ("varh", 1.0), "kvarh": ("varh", 1e3),
    "var": ("var", 1.0), "kvar": ("var", 1e3), "VA": ("VA", 1.0), "kVA": ("VA", 1e3), "V": ("V", 1.0), "A": ("A", 1.0), "Hz": ("Hz", 1.0),
    "m3": ("m3", 1.0), "dm3": ("m3", 1e-3), "GJ": ("Wh", 1e9 / 3600), "MJ": ("Wh", 1e6 / 3600), "s": ("s", 1.0),
}  # fmt: skip


class BadTelegram(ValueError):
    """A telegram whose checksum is wrong, or that has no objects; the text says what."""


@dataclass(frozen=True, slots=True)
class Telegram:
    """`objects`: OBIS code -> its groups as text."""

    identification: str
    objects: Mapping[str, tuple[str, ...]]

    def measured(self, obis: str) -> tuple[float, str] | None:
        """(value, unit) of an object in SI units; None where it is not there or has no number. The value is the last group, behind its time."""
        groups = self.objects.get(obis)
        if not groups:
            return None
        number, _, unit = groups[-1].partition("*")
        if not unit and len(groups) > 2 and groups[-2] in _TO_SI:  # versions 2 and 3: the unit has a group of its own, the value a line
            unit = groups[-2]
        if not _NUMBER.fullmatch(number.strip()):
            return None
        name, factor = _TO_SI.get(unit.strip(), (unit.strip(), 1.0))
        return float(number) * factor, name

    def text(self, obis: str) -> str | None:
        groups = self.objects.get(obis)
        return groups[-1] if groups else None

    def time_ms(self, winter_offset_h: float) -> int | None:
        """The meter's own time; W is standard time, S one hour more. None where it says none that is valid."""
        return time_ms(self.text("0-0:1.0.0") or "", winter_offset_h)


def time_ms(text: str, winter_offset_h: float) -> int | None:
    """Milliseconds since 1970 UTC of YYMMDDhhmmssX. Without the letter the hour before the change back is ambiguous: taken as standard time."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    offset = timedelta(hours=winter_offset_h + (1 if found[2] == "S" else 0))
    try:
        moment = datetime.strptime(f"20{found[1]}", "%Y%m%d%H%M%S").replace(tzinfo=timezone(offset))
    except ValueError:
        return None
    return round(moment.timestamp() * 1000)


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0xA001 if byte & 1 else byte >> 1
    return byte


_CRC: Final = tuple(_entry(byte) for byte in range(256))


def crc16(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc


def take(buffer: bytearray) -> bytes | None:
    """The next telegram from / to its last line; what stands before it is eaten. None: more bytes are needed."""
    while True:
        start = buffer.find(b"/")
        if start < 0:
            buffer.clear()
            return None
        del buffer[:start]
        end = _END.search(buffer)
        if end is None:
            if len(buffer) > TELEGRAM_MAX:
                del buffer[: max(1, len(buffer) - TELEGRAM_MAX)]
                continue
            return None
        # A telegram that was cut off by the next one's beginning: the last line that begins with / counts.
        again = buffer.rfind(b"\n/", 0, end.start())
        if again > 0:
            del buffer[: again + 1]
            continue
        found = bytes(buffer[: end.end()])
        del buffer[: end.end()]
        return found


def decode(raw: bytes) -> Telegram:
    """Raises BadTelegram."""
    end = _END.search(raw)
    if end is None or not raw.startswith(b"/"):
        raise BadTelegram("no beginning or no end")
    said = end[1]
    if said:
        computed = crc16(raw[: end.start() + 1])
        if computed != int(said, 16):
            raise BadTelegram(f"the checksum is {computed:04X}, the telegram says {said.decode().upper()}: noise on the line")
    text = raw[: end.start()].decode("latin-1")
    head, _, body = text.partition("\n")
    # A line that begins with a bracket goes on with the object before it; long texts are broken anywhere.
    joined = body.replace("\r", "").replace("\n(", "(")
    objects = {found[1]: tuple(_GROUP.findall(found[2])) for found in _OBJECT.finditer(joined)}
    if not objects:
        raise BadTelegram("no objects in it")
    return Telegram(head[1:].strip(), objects)
