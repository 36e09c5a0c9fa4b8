"""A day's energy beside the mean of the 13 days before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy.orm import Session

from mes_server.energy import rules
from mes_server.energy import service as energy
from mes_server.kit.http import Kit
from mes_server.oee.series import Many
from mes_server.plant import service as plant
from mes_server.reports.schemas import Deviation, EnergyBlock

Window = tuple[int, int]
COVERAGE_MIN = 0.9  # a day of which less is known is no baseline


def energy_block(session: Session, kit: Kit, model: plant.PlantModel, days: Sequence[date], windows: dict[date, Window], many: Many) -> EnergyBlock:
    """`days` ascending, the last one is the day itself. The days before are read at each quarter hour, which is what their demand needs."""
    low = windows[days[0]][0]
    now_ms = kit.clock.now_ms()
    today = windows[days[-1]]
    before = energy.series(session, list(model.meters), low, today[0], grid_s=rules.QUARTER_S)
    own = energy.series(session, list(model.meters), *today)
    incomers = [one.code for one in model.meters.values() if one.kind == "incomer"]
    whole = incomers or [one.code for one in model.meters.values() if one.kind in ("machine", "utility")]
    zone = energy.zone_of(model, kit.zone)
    spent: list[float | None] = []
    per_good: list[float | None] = []
    wasted: list[float | None] = []
    demand: list[float | None] = []
    coverage: float | None = None
    for day in days:
        window = windows[day]
        series = own if day == days[-1] else before
        idle = {worker.machine.code: many.times[worker.machine.code, window].idle for worker in many.workers}
        used = [rules.used(series[code], *window) for code in whole]
        elapsed = min(window[1], max(now_ms, window[0])) - window[0]
        coverage = min((one.known_ms for one in used), default=0) / elapsed if elapsed > 0 and used else None
        solid = coverage is not None and (coverage >= COVERAGE_MIN or day == days[-1])
        total = _whole([one.total for one in used]) if solid else None
        good = many.finished[window]
        spent.append(total)
        per_good.append(total / good if total is not None and good > 0 else None)
        wasted.append(_idle(model, series, idle) if solid else None)
        borders = rules.bucket_borders(*window, rules.QUARTER_S, zone, whole=True)
        peak = rules.demand_block(series[incomers[0]], borders) if len(incomers) == 1 else None
        demand.append(peak.w if peak is not None and solid else None)
    return EnergyBlock(
        wh_per_good=_against(per_good, 3),
        idle_wh=_against(wasted, 1),
        demand_w_max=_against(demand, 1),
        wh=_against(spent, 1),
        coverage=None if coverage is None else round(min(1.0, coverage), 6),
    )


def _whole(values: Sequence[float | None]) -> float | None:
    """The sum; None as soon as one meter is silent (half a sum is no sum)."""
    return None if not values or any(one is None for one in values) else sum(one for one in values if one is not None)


def _idle(model: plant.PlantModel, series: dict[str, rules.Series | None], idle: dict[str, tuple[Window, ...]]) -> float | None:
    found = [rules.used_in(series[meter.code], idle[meter.machine]) for meter in model.meters.values() if meter.machine in idle]
    known = [one for one in found if one is not None]
    return sum(known) if known else None


def _against(values: Sequence[float | None], digits: int) -> Deviation:
    before = [one for one in values[:-1] if one is not None]
    value = values[-1]
    return Deviation(
        value=None if value is None else round(value, digits),
        baseline=round(sum(before) / len(before), digits) if before else None,
        days=len(before),
    )
