"""Register maps of four real makes and how their numbers are coded.

Addresses are zero based. Sources: Eastron SDM630, Schneider iEM3000, Siemens PAC3200 as in volkszaehler/mbmd and the makers' manuals;
Carlo Gavazzi EM340 from its communication protocol document (32-bit values, low word first).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_FORMATS = {"uint16": ">H", "int16": ">h", "int32": ">i", "uint32": ">I", "int64": ">q", "float32": ">f", "float64": ">d"}
_LIMITS = {"uint16": (0, 65535), "int16": (-32768, 32767), "int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1), "int64": (-(2**63), 2**63 - 1)}


@dataclass(frozen=True, slots=True)
class Register:
    """`quantity` (SI: W, Wh, varh, V, A, -, Hz) is shown as quantity / unit, e.g. unit 1000 for a register in kW or kWh."""

    quantity: str
    address: int
    type: str
    unit: float

    def resolution(self, value: float) -> float:
        """Smallest step of the register near `value`, in the quantity's own unit."""
        shown = abs(value / self.unit)
        if self.type == "float32":
            (bits,) = struct.unpack(">I", struct.pack(">f", shown))
            (following,) = struct.unpack(">f", struct.pack(">I", bits + 1))
            return float((following - shown) * self.unit)
        return 0.0 if self.type == "float64" else self.unit


@dataclass(frozen=True, slots=True)
class MeterMap:
    make: str
    table: str  # input | holding: the function the maker documents; the simulator answers both
    word_order: str  # ABCD: high word first, CDAB: low word first
    registers: tuple[Register, ...]

    def register(self, quantity: str) -> Register:
        return next(r for r in self.registers if r.quantity == quantity)

    def raw(self, quantity: str, value: float) -> float | int:
        """`value` as the register shows it: its unit, its steps."""
        register = self.register(quantity)
        shown = value / register.unit
        return int(shown + 1e-9) if register.type in _LIMITS else round(shown, 6)

    def encode(self, register: Register, value: float) -> list[int]:
        """The 16-bit words of `value` as this make sends them."""
        shown: float | int = value / register.unit
        if register.type in _LIMITS:
            low, high = _LIMITS[register.type]
            whole = int(shown + 1e-9) if shown >= 0 else int(shown)
            span = high - low + 1
            shown = (whole - low) % span + low  # a full register starts over
        raw = struct.pack(_FORMATS[register.type], shown)
        words = [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]
        return words[::-1] if self.word_order == "CDAB" else words


def _phases(name: str, addresses: tuple[int, int, int], kind: str, unit: float) -> tuple[Register, ...]:
    unit_name = name[-1]
    return tuple(Register(f"{name[:-2]}_l{i + 1}_{unit_name}", address, kind, unit) for i, address in enumerate(addresses))


EASTRON = MeterMap(
    "eastron_sdm630",
    "input",
    "ABCD",
    (
        *_phases("voltage_v", (0, 2, 4), "float32", 1),
        *_phases("current_a", (6, 8, 10), "float32", 1),
        Register("power_w", 52, "float32", 1),
        Register("power_apparent_va", 56, "float32", 1),
        Register("power_reactive_var", 60, "float32", 1),
        Register("power_factor", 62, "float32", 1),
        Register("frequency_hz", 70, "float32", 1),
        Register("energy_import_wh", 72, "float32", 1000),
        Register("energy_export_wh", 74, "float32", 1000),
        Register("energy_reactive_varh", 76, "float32", 1000),
    ),
)
SCHNEIDER = MeterMap(
    "schneider_iem3000",
    "holding",
    "ABCD",
    (
        *_phases("current_a", (2999, 3001, 3003), "float32", 1),
        *_phases("voltage_v", (3027, 3029, 3031), "float32", 1),
        Register("power_w", 3059, "float32", 1000),
        Register("power_reactive_var", 3067, "float32", 1000),
        Register("power_apparent_va", 3075, "float32", 1000),
        Register("power_factor", 3083, "float32", 1),
        Register("frequency_hz", 3109, "float32", 1),
        Register("energy_import_wh", 3203, "int64", 1),
        Register("energy_export_wh", 3207, "int64", 1),
        Register("energy_reactive_varh", 3219, "int64", 1),
    ),
)
SIEMENS = MeterMap(
    "siemens_pac3200",
    "input",
    "ABCD",
    (
        *_phases("voltage_v", (1, 3, 5), "float32", 1),
        *_phases("current_a", (13, 15, 17), "float32", 1),
        Register("frequency_hz", 55, "float32", 1),
        Register("power_apparent_va", 63, "float32", 1),
        Register("power_w", 65, "float32", 1),
        Register("power_reactive_var", 67, "float32", 1),
        Register("power_factor", 69, "float32", 1),
        Register("energy_import_wh", 801, "float64", 1),
        Register("energy_export_wh", 809, "float64", 1),
        Register("energy_reactive_varh", 817, "float64", 1),
    ),
)
GAVAZZI = MeterMap(
    "gavazzi_em340",
    "holding",
    "CDAB",
    (
        *_phases("voltage_v", (0, 2, 4), "int32", 0.1),
        *_phases("current_a", (12, 14, 16), "int32", 0.001),
        Register("power_w", 40, "int32", 0.1),
        Register("power_apparent_va", 42, "int32", 0.1),
        Register("power_reactive_var", 44, "int32", 0.1),
        Register("power_factor", 49, "int16", 0.001),
        Register("frequency_hz", 51, "int16", 0.1),
        Register("energy_import_wh", 52, "int32", 100),
        Register("energy_reactive_varh", 54, "int32", 100),
        Register("energy_export_wh", 78, "int32", 100),
    ),
)
MAPS = {one.make: one for one in (EASTRON, SCHNEIDER, SIEMENS, GAVAZZI)}
