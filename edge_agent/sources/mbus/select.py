"""Which record of a meter is which of our metrics, and its value in our units. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Literal

from edge_agent.sources.mbus.records import Record, Value

# Units of the norm -> ours: factor. What is not here stays as it is.
TO_OURS: Final[dict[str, tuple[str, float]]] = {
    "J": ("Wh", 1 / 3600),
    "J/h": ("W", 1 / 3600),
    "m3/min": ("m3/h", 60.0),
    "m3/s": ("m3/h", 3600.0),
    "bar": ("Pa", 1e5),
}
_PHASES: Final = ("L1", "L2", "L3")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A record as a metric asks for it; None: automatic (the plain one: instantaneous, storage 0, the total, the lowest subunit)."""

    quantity: str
    qualifiers: tuple[tuple[str, ...], ...] | None = ((),)  # any of these sets, in this order; None: whatever they are
    function: str | None = None
    storage: int | None = None
    tariff: int | Literal["sum"] | None = None
    subunit: int | None = None


def _known() -> dict[str, Wanted]:
    out = {
        "energy_import_wh": Wanted("energy", ((), ("forward",))),
        "energy_export_wh": Wanted("energy", (("backward",),)),
        "energy_reactive_varh": Wanted("reactive energy", ((), ("Q1",), ("forward",))),
        "power_w": Wanted("power"),
        "power_reactive_var": Wanted("reactive power"),
        "power_apparent_va": Wanted("apparent power"),
        "frequency_hz": Wanted("frequency"),
        "volume_m3": Wanted("volume", ((), ("forward",))),
        "volume_backward_m3": Wanted("volume", (("backward",),)),
        "flow_m3h": Wanted("volume flow"),
        "mass_kg": Wanted("mass"),
        "mass_flow_kgh": Wanted("mass flow"),
        "temperature_flow_c": Wanted("flow temperature"),
        "temperature_return_c": Wanted("return temperature"),
        "temperature_difference_k": Wanted("temperature difference"),
        "temperature_external_c": Wanted("external temperature"),
        "pressure_pa": Wanted("pressure"),
        "humidity_percent": Wanted("relative humidity"),
        "heat_cost_units": Wanted("heat cost allocator"),
        "operating_time_s": Wanted("operating time"),
        "on_time_s": Wanted("on time"),
        "error_flags": Wanted("error flags"),
    }
    for number, phase in enumerate(_PHASES, 1):
        own = (f"manufacturer {number:02X}h",)  # as EMU, Saia-Burgess, Finder and others say the phase
        plain: tuple[tuple[str, ...], ...] = ((phase,), own, ()) if number == 1 else ((phase,), own)
        out[f"voltage_l{number}_v"] = Wanted("voltage", plain)
        out[f"current_l{number}_a"] = Wanted("current", plain)
        out[f"power_l{number}_w"] = Wanted("power", ((phase,), own))
    for tariff in (1, 2, 3, 4):
        out[f"energy_import_t{tariff}_wh"] = Wanted("energy", ((), ("forward",)), tariff=tariff)
    return out


KNOWN: Final[dict[str, Wanted]] = _known()


class SeveralTariffs(ValueError):
    """The meter has no total, only tariffs: which of them is meant cannot be guessed."""

    def __init__(self, tariffs: Sequence[int]) -> None:
        shown = ", ".join(map(str, tariffs))
        en = f'the meter has no total but tariffs {shown}: write tariff = a number, or tariff = "sum"'
        super().__init__(f'{en} / 表计没有总量,只有费率 {shown}:请写 tariff 为费率号或 "sum"')


def find(records: Sequence[Record], wanted: Wanted) -> Record | None:
    """The record that is meant, the plain one before others; of several tariffs only a chosen one, or their sum. Raises SeveralTariffs."""
    fits = _fitting(records, wanted)
    if wanted.tariff == "sum":
        return _sum([record for record in fits if record.tariff])
    if wanted.tariff is not None:
        return next((record for record in fits if record.tariff == wanted.tariff), None)
    total = next((record for record in fits if not record.tariff), None)
    if total is not None:
        return total
    tariffs = sorted({record.tariff for record in fits})
    if len(tariffs) > 1:
        raise SeveralTariffs(tariffs)
    return next(iter(fits), None)


def _fitting(records: Sequence[Record], wanted: Wanted) -> list[Record]:
    """Everything of `wanted` but the tariff, best qualifiers first; of several subunits only the lowest unless one is asked for."""
    fits = [record for record in records if record.quantity == wanted.quantity]
    fits = [record for record in fits if record.function == (wanted.function or "instantaneous") and record.storage == (wanted.storage or 0)]
    if wanted.qualifiers is not None:
        best = next((one for one in wanted.qualifiers if any(record.qualifiers == one for record in fits)), None)
        fits = [record for record in fits if record.qualifiers == best]
    subunit = wanted.subunit if wanted.subunit is not None else min((record.subunit for record in fits), default=0)
    return [record for record in fits if record.subunit == subunit]


def _sum(tariffs: Sequence[Record]) -> Record | None:
    """One record with what all of them say together; no value where one of them has none."""
    if not tariffs:
        return None
    values = [record.value for record in tariffs if isinstance(record.value, float)]
    return replace(tariffs[0], value=sum(values) if len(values) == len(tariffs) else None, tariff=0)


def ours(record: Record) -> tuple[str, Value]:
    """(unit, value) in our units."""
    unit, factor = TO_OURS.get(record.unit, (record.unit, 1.0))
    value = record.value
    return unit, value * factor if isinstance(value, float) else value


def names_of(records: Sequence[Record], record: Record) -> Iterator[str]:
    """The metric names that mean this record without any further setting."""
    for name, wanted in KNOWN.items():
        with suppress(SeveralTariffs):
            if find(records, wanted) is record:
                yield name


def words(record: Record) -> str:
    """The record as people read it: power L1, maximum, storage 1 …"""
    parts = [record.quantity, *record.qualifiers]
    if record.function != "instantaneous":
        parts.append(record.function)
    parts += [f"{name} {number}" for name, number in (("storage", record.storage), ("tariff", record.tariff), ("subunit", record.subunit)) if number]
    return ", ".join(parts)
