"""Recording of readings (called by ingest in its transaction), series of meters, load profile, months. Knows no orders (see balance.py)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.energy import repository, rules, swaps
from mes_server.energy.schemas import LoadPoint, MeterLoad, MonthOut, ReadingFact
from mes_server.energy.swaps import record_shifts
from mes_server.machine_states import service as states
from mes_server.plant import service as plant
from mes_server.plant.schemas import Meter

__all__ = ["ReadingFact", "load", "months", "record_readings", "record_shifts", "series", "zone_of"]


# --- recording ----------------------------------------------------------------------------------------------------------------------
def record_readings(session: Session, facts: Sequence[ReadingFact]) -> None:
    """Keeps the last reading of each plant minute, the first reading ever and the reading that ends a gap (record gaps before readings)."""
    if not facts:
        return
    slots: dict[tuple[str, int], dict[str, Any]] = {}
    first: dict[str, ReadingFact] = {}
    for fact in facts:
        meter, at_ms, wh, export_wh, varh = fact
        key = (meter, rules.slot(at_ms))
        row = slots.get(key)
        if row is None:
            slots[key] = {"meter": meter, "slot_ms": key[1], "at_ms": at_ms, "import_wh": wh, "export_wh": export_wh, "reactive_varh": varh}
        else:
            _say_later(row, fact)
        if meter not in first or at_ms < first[meter].at_ms:
            first[meter] = fact
    repository.put_readings(session, list(slots.values()))
    known = repository.firsts(session)
    borders = [_border(repository.FIRST, fact) for meter, fact in first.items() if fact.at_ms < known.get(meter, 1 << 62)]
    ends = states.gap_ends(session, list(first), min(fact.at_ms for fact in facts), max(fact.at_ms for fact in facts))
    if ends:
        borders += [_border(fact.at_ms, fact) for fact in facts if (fact.meter, fact.at_ms) in ends]
    if borders:
        repository.put_borders(session, borders)


def _say_later(row: dict[str, Any], fact: ReadingFact) -> None:
    """The later reading of a minute wins; what it did not say stays."""
    later = fact.at_ms >= row["at_ms"]
    for name, value in (("import_wh", fact.import_wh), ("export_wh", fact.export_wh), ("reactive_varh", fact.reactive_varh)):
        if value is not None and (later or row[name] is None):
            row[name] = value
    row["at_ms"] = max(row["at_ms"], fact.at_ms)


def _border(key: int, fact: ReadingFact) -> dict[str, Any]:
    return {
        "meter": fact.meter,
        "key": key,
        "at_ms": fact.at_ms,
        "import_wh": fact.import_wh,
        "export_wh": fact.export_wh,
        "reactive_varh": fact.reactive_varh,
    }


# --- reading ------------------------------------------------------------------------------------------------------------------------
def series(
    session: Session, meters: Sequence[str], from_ms: int, to_ms: int, column: str = "import_wh", grid_s: int = 60
) -> dict[str, rules.Series | None]:
    """Running totals of each meter over the window (with the readings just outside it) and what is known of it. `column` as in ReadingFact.

    `grid_s` > 60 reads only every so many seconds, for long looks back.
    """
    known = states.known(session, meters)
    bridges = swaps.bridges(session, meters, column)
    out = {}
    for meter in meters:
        rows = repository.readings(session, meter, column, from_ms, to_ms, grid_s)
        out[meter] = rules.Series.of(rules.across(rows, bridges[meter]) if meter in bridges else rows, known[meter])
    return out


def zone_of(model: plant.PlantModel, default: ZoneInfo) -> ZoneInfo:
    """The plant's zone: the model's, or the server's where no model is saved yet."""
    return ZoneInfo(model.site.zone) if model.site is not None else default


def meters_in(model: plant.PlantModel, scope: str) -> list[Meter]:
    """Meters of "machine:X" (its own), "line:L1" (its machines' and its own) or "site" (all). Raises NotInPlant."""
    machines = {one.code for one in model.machines_in(scope)}
    kind, _, code = scope.partition(":")
    if kind == "site":
        return list(model.meters.values())
    return [one for one in model.meters.values() if one.machine in machines or (kind == "line" and one.line == code and one.kind != "incomer")]


def load(session: Session, meters: Sequence[str], from_ms: int, to_ms: int, bucket_s: int, zone: ZoneInfo) -> list[MeterLoad]:
    """GET /energy/load: buckets on the plant's clock, the first and last cut to the window."""
    borders = rules.bucket_borders(from_ms, to_ms, bucket_s, zone)
    found = series(session, meters, from_ms, to_ms)
    return [MeterLoad(meter=meter, points=[_point(one) for one in rules.load(found[meter], borders)]) for meter in meters]


def _point(bucket: rules.Bucket) -> LoadPoint:
    return LoadPoint(at=iso(bucket.from_ms), wh=_round(bucket.wh, 3), w_mean=_round(bucket.w_mean, 1), estimated=bucket.estimated)


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def months(session: Session, meter: str, year: int, zone: ZoneInfo, now_ms: int) -> list[MonthOut]:
    """GET /energy/months: the calendar months of a year that have begun."""
    borders = rules.month_borders(year, zone)
    active = series(session, [meter], borders[0], borders[-1])[meter]
    reactive = series(session, [meter], borders[0], borders[-1], "reactive_varh")[meter]
    out = []
    for number, (low, high) in enumerate(pairwise(borders), 1):
        if low >= now_ms:
            break
        wh, varh = rules.used(active, low, high), rules.used(reactive, low, high)
        peak = rules.demand_block(active, rules.bucket_borders(low, high, rules.QUARTER_S, zone, whole=True))
        elapsed = min(high, max(now_ms, low)) - low
        out.append(
            MonthOut(
                month=f"{year:04d}-{number:02d}",
                wh=_round(wh.total, 3),
                varh=_round(varh.total, 3),
                pf=_round(rules.power_factor(wh.total, varh.total), 6),
                demand_w_max_15min=_round(peak.w, 3) if peak else None,
                demand_at=iso(peak.at_ms) if peak else None,
                estimated_share=_round(wh.estimated / wh.total, 6) if wh.total else None,
                coverage=_round(min(1.0, wh.known_ms / elapsed), 6) if elapsed > 0 else None,
            )
        )
    return out
