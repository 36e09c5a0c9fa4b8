"""Which OBIS objects of a P1 telegram are which of our metrics. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.sources.dsmr.telegram import Telegram

GAS, HEAT, WATER = 3, 4, 7  # device types of 24.1.0
CHANNELS: Final = (1, 2, 3, 4)
_SUB_VALUES: Final = ("24.2.1", "24.2.3", "24.3.0", "24.2.0")


@dataclass(frozen=True, slots=True)
class Known:
    """Alternatives in order; each is a sum of objects (`plus`; all must be there) less others (`minus`; those that are there)."""

    ways: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    en: str
    zh: str
    rest: str = ""  # a further tariff of this kind must not be left out of a sum


def _one(*obis: str, en: str, zh: str) -> Known:
    return Known(tuple(((code,), ()) for code in obis), en, zh)


def _register(code: str, en: str, zh: str) -> Known:
    return Known((((f"1-0:{code}.8.0",), ()),), en, zh, f"1-0:{code}.8.")


KNOWN: Final[Mapping[str, Known]] = {
    "energy_import_wh": _register("1", "energy taken, all tariffs", "正向有功总电能"),
    "energy_export_wh": _register("2", "energy fed in, all tariffs", "反向有功总电能"),
    "energy_reactive_varh": Known(((("1-0:5.8.0",), ()), (("1-0:3.8.0",), ())), "inductive reactive energy taken", "感性无功电能", "1-0:3.8."),
    "energy_import_t1_wh": _one("1-0:1.8.1", en="energy taken, tariff 1", zh="正向有功,费率1"),
    "energy_import_t2_wh": _one("1-0:1.8.2", en="energy taken, tariff 2", zh="正向有功,费率2"),
    "energy_export_t1_wh": _one("1-0:2.8.1", en="energy fed in, tariff 1", zh="反向有功,费率1"),
    "energy_export_t2_wh": _one("1-0:2.8.2", en="energy fed in, tariff 2", zh="反向有功,费率2"),
    "power_w": Known(((("1-0:16.7.0",), ()), (("1-0:1.7.0",), ("1-0:2.7.0",))), "power taken less power fed in", "总有功功率(负为送出)"),
    "power_l1_w": Known(((("1-0:21.7.0",), ("1-0:22.7.0",)),), "power of L1", "L1 有功功率"),
    "power_l2_w": Known(((("1-0:41.7.0",), ("1-0:42.7.0",)),), "power of L2", "L2 有功功率"),
    "power_l3_w": Known(((("1-0:61.7.0",), ("1-0:62.7.0",)),), "power of L3", "L3 有功功率"),
    "power_reactive_var": Known(((("1-0:3.7.0",), ("1-0:4.7.0",)),), "reactive power", "无功功率"),
    "voltage_l1_v": _one("1-0:32.7.0", en="voltage of L1", zh="L1 电压"),
    "voltage_l2_v": _one("1-0:52.7.0", en="voltage of L2", zh="L2 电压"),
    "voltage_l3_v": _one("1-0:72.7.0", en="voltage of L3", zh="L3 电压"),
    "current_l1_a": _one("1-0:31.7.0", en="current of L1", zh="L1 电流"),
    "current_l2_a": _one("1-0:51.7.0", en="current of L2", zh="L2 电流"),
    "current_l3_a": _one("1-0:71.7.0", en="current of L3", zh="L3 电流"),
    "frequency_hz": _one("1-0:14.7.0", en="frequency", zh="频率"),
    "demand_w": _one("1-0:1.4.0", en="average demand of the running quarter of an hour", zh="当前一刻钟需量"),
    "demand_max_w": _one("1-0:1.6.0", en="highest demand of the month", zh="本月最大需量"),
    "gas_m3": Known((), "gas meter at the port", "燃气表读数"),
    "water_m3": Known((), "water meter at the port", "水表读数"),
    "heat_wh": Known((), "heat meter at the port", "热量表读数"),
}
_SUB_METERS: Final = {"gas_m3": GAS, "water_m3": WATER, "heat_wh": HEAT}


def value_of(telegram: Telegram, name: str) -> float | None:
    """The value of a known metric; None where the telegram does not have it."""
    kind = _SUB_METERS.get(name)
    if kind is not None:
        return _sub_meter(telegram, kind)
    known = KNOWN[name]
    for plus, minus in known.ways:
        found = _sum(telegram, plus)
        if found is not None:
            return found - sum(measured[0] for code in minus if (measured := telegram.measured(code)) is not None)
    if known.rest:  # no total: all tariffs there are
        tariffs = sorted(code for code in telegram.objects if code.startswith(known.rest) and not code.endswith(".0"))
        return _sum(telegram, tariffs) if tariffs else None
    return None


def _sum(telegram: Telegram, codes: Sequence[str]) -> float | None:
    values = [measured[0] for code in codes if (measured := telegram.measured(code)) is not None]
    return round(sum(values), 9) if len(values) == len(codes) else None


def _sub_meter(telegram: Telegram, kind: int) -> float | None:
    """The first meter of this kind on the port's own M-Bus that has a value."""
    for channel in CHANNELS:
        said = telegram.text(f"0-{channel}:24.1.0")
        if said is None or not said.strip().isdigit() or int(said) != kind:
            continue
        for code in _SUB_VALUES:
            measured = telegram.measured(f"0-{channel}:{code}")
            if measured is not None and measured[1]:
                return measured[0]
    return None
