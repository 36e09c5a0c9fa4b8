"""What a value information field means: quantity, unit, factor. Pure. Source: EN 13757-3 (2004 and 2013), tables of primary VIF, FDh and FBh.

Units are those of the norm's tables with their prefix taken out: Wh, J, m3, kg, s, W, J/h, m3/h, m3/min, m3/s, kg/h, °C, K, bar, V, A, Hz, var, VA.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Meaning:
    """`kind`: number, unsigned (bit fields and identifiers), date, or text."""

    quantity: str
    unit: str = ""
    factor: float = 1.0
    kind: str = "number"


_SECONDS: Final = (1.0, 60.0, 3600.0, 86400.0)
_YEAR_S: Final = 31_557_600.0
_MONTH_S: Final = _YEAR_S / 12


def _pow10(exponent: int) -> float:
    return float(f"1e{exponent}")


def _powers(out: dict[int, Meaning], first: int, count: int, quantity: str, unit: str, exponent: int) -> None:
    for step in range(count):
        out[first + step] = Meaning(quantity, unit, _pow10(exponent + step))


def _times(out: dict[int, Meaning], first: int, quantity: str, factors: tuple[float, ...] = _SECONDS) -> None:
    for step, factor in enumerate(factors):
        out[first + step] = Meaning(quantity, "s", factor)


def _primary() -> dict[int, Meaning]:
    out: dict[int, Meaning] = {}
    for first, count, quantity, unit, exponent in (
        (0x00, 8, "energy", "Wh", -3),
        (0x08, 8, "energy", "J", 0),
        (0x10, 8, "volume", "m3", -6),
        (0x18, 8, "mass", "kg", -3),
        (0x28, 8, "power", "W", -3),
        (0x30, 8, "power", "J/h", 0),
        (0x38, 8, "volume flow", "m3/h", -6),
        (0x40, 8, "volume flow", "m3/min", -7),
        (0x48, 8, "volume flow", "m3/s", -9),
        (0x50, 8, "mass flow", "kg/h", -3),
        (0x58, 4, "flow temperature", "°C", -3),
        (0x5C, 4, "return temperature", "°C", -3),
        (0x60, 4, "temperature difference", "K", -3),
        (0x64, 4, "external temperature", "°C", -3),
        (0x68, 4, "pressure", "bar", -3),
    ):
        _powers(out, first, count, quantity, unit, exponent)
    for first, quantity in ((0x20, "on time"), (0x24, "operating time"), (0x70, "averaging duration"), (0x74, "actuality duration")):
        _times(out, first, quantity)
    out[0x6C] = Meaning("date", kind="date")
    out[0x6D] = Meaning("date and time", kind="date")
    out[0x6E] = Meaning("heat cost allocator", "units")
    out[0x78] = Meaning("fabrication number", kind="unsigned")
    out[0x79] = Meaning("enhanced identification", kind="unsigned")
    out[0x7A] = Meaning("bus address", kind="unsigned")
    return out


def _fd() -> dict[int, Meaning]:
    out: dict[int, Meaning] = {}
    _powers(out, 0x00, 4, "credit", "currency", -3)
    _powers(out, 0x04, 4, "debit", "currency", -3)
    for code, quantity in {
        0x08: "access number",
        0x09: "medium",
        0x0A: "manufacturer",
        0x0B: "parameter set identification",
        0x0C: "model / version",
        0x0D: "hardware version",
        0x0E: "firmware version",
        0x0F: "software version",
        0x10: "customer location",
        0x11: "customer",
        0x12: "access code user",
        0x13: "access code operator",
        0x14: "access code system operator",
        0x15: "access code developer",
        0x16: "password",
        0x17: "error flags",
        0x18: "error mask",
        0x1A: "digital output",
        0x1B: "digital input",
        0x1C: "baud rate",
        0x1D: "response delay",
        0x1E: "retry",
        0x1F: "remote control",
        0x20: "first storage number",
        0x21: "last storage number",
        0x22: "size of storage block",
        0x60: "reset counter",
        0x61: "cumulation counter",
        0x62: "control signal",
        0x63: "day of week",
        0x64: "week number",
        0x66: "parameter activation state",
        0x67: "special supplier information",
    }.items():
        out[code] = Meaning(quantity, kind="unsigned")
    _times(out, 0x24, "storage interval")
    out[0x28], out[0x29] = Meaning("storage interval", "s", _MONTH_S), Meaning("storage interval", "s", _YEAR_S)
    _times(out, 0x2C, "duration since last readout")
    out[0x30] = Meaning("start of tariff", kind="date")
    _times(out, 0x31, "duration of tariff", _SECONDS[1:])
    _times(out, 0x34, "period of tariff")
    out[0x38], out[0x39] = Meaning("period of tariff", "s", _MONTH_S), Meaning("period of tariff", "s", _YEAR_S)
    out[0x3A] = Meaning("dimensionless")
    _powers(out, 0x40, 16, "voltage", "V", -9)
    _powers(out, 0x50, 16, "current", "A", -12)
    out[0x65] = Meaning("time point of day change", kind="date")
    _times(out, 0x68, "duration since last cumulation", (3600.0, 86400.0, _MONTH_S, _YEAR_S))
    _times(out, 0x6C, "operating time battery", (3600.0, 86400.0, _MONTH_S, _YEAR_S))
    out[0x70] = Meaning("date of battery change", kind="date")
    out[0x71] = Meaning("signal strength", "dBm")
    out[0x74] = Meaning("remaining battery life", "s", 86400.0)
    return out


def _fb() -> dict[int, Meaning]:
    out: dict[int, Meaning] = {}
    for first, count, quantity, unit, exponent in (
        (0x00, 2, "energy", "Wh", 5),
        (0x02, 2, "reactive energy", "varh", 3),
        (0x04, 2, "apparent energy", "VAh", 3),
        (0x08, 2, "energy", "J", 8),
        (0x10, 2, "volume", "m3", 2),
        (0x14, 4, "reactive power", "var", 0),
        (0x18, 2, "mass", "kg", 5),
        (0x1A, 2, "relative humidity", "%", -1),
        (0x28, 2, "power", "W", 5),
        (0x2C, 4, "frequency", "Hz", -3),
        (0x30, 2, "power", "J/h", 8),
        (0x34, 4, "apparent power", "VA", 0),
        (0x74, 4, "temperature limit", "°C", -3),
        (0x78, 8, "cumulated highest power", "W", -3),
    ):
        _powers(out, first, count, quantity, unit, exponent)
    out[0x20], out[0x21] = Meaning("volume", "m3", 0.028316846592), Meaning("volume", "m3", 0.0028316846592)  # cubic feet
    out[0x2A], out[0x2B] = Meaning("phase voltage to voltage", "°"), Meaning("phase voltage to current", "°", 0.1)
    return out


PRIMARY: Final[dict[int, Meaning]] = _primary()
FD: Final[dict[int, Meaning]] = _fd()
FB: Final[dict[int, Meaning]] = _fb()

# Combinable VIFE: they qualify what stands before them. 70h-7Dh (corrections) are worked into the value instead.
QUALIFIERS: Final[dict[int, str]] = {
    0x20: "per second",
    0x21: "per minute",
    0x22: "per hour",
    0x23: "per day",
    0x24: "per week",
    0x25: "per month",
    0x26: "per year",
    0x27: "per revolution",
    0x28: "per input pulse 0",
    0x29: "per input pulse 1",
    0x2A: "per output pulse 0",
    0x2B: "per output pulse 1",
    0x2C: "per litre",
    0x2D: "per m3",
    0x2E: "per kg",
    0x2F: "per K",
    0x30: "per kWh",
    0x31: "per GJ",
    0x32: "per kW",
    0x34: "per V",
    0x35: "per A",
    0x36: "times s",
    0x39: "start of",
    0x3A: "uncorrected",
    0x3B: "forward",
    0x3C: "backward",
    0x3E: "at base conditions",
    0x40: "lower limit",
    0x48: "upper limit",
    0x41: "count below lower limit",
    0x49: "count above upper limit",
    0x68: "while below lower limit",
    0x6C: "while above upper limit",
    0x7E: "future",
}
EXTENSION: Final[dict[int, str]] = {  # behind FCh
    0x01: "L1",
    0x02: "L2",
    0x03: "L3",
    0x04: "N",
    0x05: "L1-L2",
    0x06: "L2-L3",
    0x07: "L3-L1",
    0x08: "Q1",
    0x09: "Q2",
    0x0A: "Q3",
    0x0B: "Q4",
    0x0C: "import minus export",
    0x10: "import plus export",
}
NO_VALUE: Final[dict[int, str]] = {0x15: "no data", 0x16: "overflow", 0x17: "underflow", 0x18: "data error"}  # table of record errors

MEDIA: Final[dict[int, str]] = {
    0x00: "other",
    0x01: "oil",
    0x02: "electricity",
    0x03: "gas",
    0x04: "heat (outlet)",
    0x05: "steam",
    0x06: "warm water",
    0x07: "water",
    0x08: "heat cost allocator",
    0x09: "compressed air",
    0x0A: "cooling (outlet)",
    0x0B: "cooling (inlet)",
    0x0C: "heat (inlet)",
    0x0D: "heat and cooling",
    0x0E: "bus or system",
    0x0F: "unknown",
    0x15: "hot water",
    0x16: "cold water",
    0x17: "dual water",
    0x18: "pressure",
    0x19: "A/D converter",
    0x1A: "smoke detector",
    0x1B: "room sensor",
    0x1C: "gas detector",
    0x28: "waste water",
}

# The unit byte of the fixed data structure (EN 13757-3 annex, table of physical units): quantity, unit, exponent.
FIXED: Final[dict[int, Meaning]] = {0x00: Meaning("time of day", kind="text"), 0x01: Meaning("date", kind="text")}
for _first, _count, _quantity, _unit, _exponent in (
    (0x02, 9, "energy", "Wh", 0),
    (0x0B, 9, "energy", "J", 3),
    (0x14, 9, "power", "W", 0),
    (0x1D, 9, "power", "J/h", 3),
    (0x26, 9, "volume", "m3", -6),
    (0x2F, 9, "volume flow", "m3/h", -6),
):
    _powers(FIXED, _first, _count, _quantity, _unit, _exponent)
FIXED[0x38] = Meaning("temperature", "°C", 1e-3)
FIXED[0x39] = Meaning("heat cost allocator", "units")
