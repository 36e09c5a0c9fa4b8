"""The values of a DL/T 645-2007 meter by our names: data identifier, format, and the factor to SI units.

Identifiers and formats: DL/T 645-2007 annex A, tables A.1 (energies), A.2 (demands) and A.3 (variables).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge_agent.sources.dlt645.codec import Format


@dataclass(frozen=True, slots=True)
class Known:
    """`id`: DI3 DI2 DI1 DI0 as hex. `scale` leads from the meter's unit to ours. `ratio`: which transformers multiply it (c current, v voltage)."""

    id: str
    format: Format
    scale: float
    en: str
    zh: str
    ratio: str = ""


_ENERGY = Format(8, 2)
_POWER = Format(6, 4, signed=True)


def _energies() -> dict[str, Known]:
    out = {
        "energy_import_wh": Known("00010000", _ENERGY, 1000.0, "forward active energy", "正向有功总电能", "cv"),
        "energy_export_wh": Known("00020000", _ENERGY, 1000.0, "reverse active energy", "反向有功总电能", "cv"),
        "energy_reactive_varh": Known("00050000", _ENERGY, 1000.0, "reactive energy, quadrant I", "第一象限无功总电能", "cv"),
        "energy_reactive_q2_varh": Known("00060000", _ENERGY, 1000.0, "reactive energy, quadrant II", "第二象限无功总电能", "cv"),
        "energy_reactive_q3_varh": Known("00070000", _ENERGY, 1000.0, "reactive energy, quadrant III", "第三象限无功总电能", "cv"),
        "energy_reactive_q4_varh": Known("00080000", _ENERGY, 1000.0, "reactive energy, quadrant IV", "第四象限无功总电能", "cv"),
        "energy_net_wh": Known("00000000", Format(8, 2, signed=True), 1000.0, "combined active energy", "组合有功总电能", "cv"),
        "energy_reactive_1_varh": Known("00030000", Format(8, 2, signed=True), 1000.0, "combined reactive energy 1", "组合无功1总电能", "cv"),
        "energy_reactive_2_varh": Known("00040000", Format(8, 2, signed=True), 1000.0, "combined reactive energy 2", "组合无功2总电能", "cv"),
    }
    for tariff, (en, zh) in enumerate((("sharp", "尖"), ("peak", "峰"), ("flat", "平"), ("valley", "谷")), 1):
        out[f"energy_import_{en}_wh"] = Known(
            f"0001{tariff:02X}00", _ENERGY, 1000.0, f"forward active energy, tariff {tariff} ({en})", f"正向有功费率{tariff}({zh})电能", "cv"
        )
    return out


def _phases(name: str, unit: str, group: str, form: Format, scale: float, words: tuple[str, str], ratio: str) -> dict[str, Known]:
    return {
        f"{name}_l{phase}_{unit}": Known(
            f"{group}{phase:02X}00", form, scale, f"{words[0]} of phase {'ABC'[phase - 1]}", f"{'ABC'[phase - 1]}相{words[1]}", ratio
        )
        for phase in (1, 2, 3)
    }


KNOWN: Final[dict[str, Known]] = {
    **_energies(),
    **_phases("voltage", "v", "0201", Format(4, 1), 1.0, ("voltage", "电压"), "v"),
    **_phases("current", "a", "0202", Format(6, 3, signed=True), 1.0, ("current", "电流"), "c"),
    "power_w": Known("02030000", _POWER, 1000.0, "active power", "总有功功率", "cv"),
    **_phases("power", "w", "0203", _POWER, 1000.0, ("active power", "有功功率"), "cv"),
    "power_reactive_var": Known("02040000", _POWER, 1000.0, "reactive power", "总无功功率", "cv"),
    "power_apparent_va": Known("02050000", _POWER, 1000.0, "apparent power", "总视在功率", "cv"),
    "power_factor": Known("02060000", Format(4, 3, signed=True), 1.0, "power factor", "总功率因数"),
    "current_neutral_a": Known("02800001", Format(6, 3, signed=True), 1.0, "neutral current", "零线电流", "c"),
    "frequency_hz": Known("02800002", Format(4, 2), 1.0, "frequency", "电网频率"),
    "demand_w": Known("02800004", _POWER, 1000.0, "present demand", "当前有功需量", "cv"),
    "temperature_c": Known("02800007", Format(4, 1, signed=True), 1.0, "temperature inside the meter", "表内温度"),
    "demand_max_w": Known("01010000", Format(6, 4), 1000.0, "highest demand of the month", "正向有功最大需量", "cv"),
}
DEFAULT: Final = ("energy_import_wh", "power_w", "voltage_l1_v", "current_l1_a", "power_factor")
