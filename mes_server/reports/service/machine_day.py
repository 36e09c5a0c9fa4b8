"""A machine's day on one time axis: states, counts, alarms, power, orders, stops, gaps, OEE."""

from __future__ import annotations

from datetime import date

from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.energy import service as energy
from mes_server.energy.rules import bucket_borders
from mes_server.energy.rules import load as load_of
from mes_server.kit.http import Kit
from mes_server.machine_states import service as states
from mes_server.machine_states.rules import clip
from mes_server.oee import rules
from mes_server.oee import service as oee
from mes_server.oee.stops import all_stops
from mes_server.plant import service as plant
from mes_server.reports.schemas import AlarmSpan, HourCount, MachineDay, OrderSpan, PowerPoint
from mes_server.reports.service.probes import Probes
from mes_server.work_orders import service as work_orders

HOUR_MS = 3_600_000
POWER_BUCKET_S = 300
GAPS_MAX = 500


def machine_day(session: Session, kit: Kit, probes: Probes, code: str, day: date | None) -> MachineDay:
    """GET /machines/{code}/day; without a day the running production day."""
    model = plant.model(session)
    machine = model.machine(code)
    now_ms = kit.clock.now_ms()
    day = day if day is not None else model.calendar.production_day(now_ms)
    window = model.calendar.day_window(day)
    low, high = window
    prepared = oee.prepare(session, [machine], low, high)
    parts = oee.measure(session, prepared, window, now_ms)
    scope = f"machine:{code}"
    goal = oee.target_of(model, scope)
    cycle = oee.cycle_of(prepared[0], parts[0], window)
    meters = model.meters_of(code)
    return MachineDay(
        machine=code,
        day=day.isoformat(),
        from_=iso(low),
        to=iso(high),
        states=states.states(session, machine, low, high, now_ms),
        counts=_hours(session, prepared[0], low, min(high, now_ms)),
        target_per_h=round(3600 / cycle * goal, 2) if cycle and goal is not None else None,
        alarms=_alarms(model, prepared[0], low, min(high, now_ms), now_ms),
        power=_power(session, kit, probes, model, meters[0].code if len(meters) == 1 else None, low, high, now_ms),
        orders=_orders(session, prepared[0], low, high),
        stops=all_stops(session, model, scope, low, high),
        gaps=states.gaps(session, machine=code, device=None, from_ms=low, to_ms=high, limit=GAPS_MAX, cursor=None).items,
        oee=oee.record(scope, goal, prepared, parts, window),
        meter=meters[0].code if len(meters) == 1 else None,
    )


def _hours(session: Session, one: oee.Prepared, low: int, high: int) -> list[HourCount]:
    """Hours with pieces or with known time; an hour nothing is known of has no bar, not a bar of zero."""
    made = {row.from_ms: row for row in work_orders.count_buckets(session, [one.machine.code], low, high, HOUR_MS)} if high > low else {}
    known = rules.Cover(one.history.known)
    out = []
    for start in range(low, high, HOUR_MS):
        row = made.get(start)
        if row is not None or known.within([(start, start + HOUR_MS)]) > 0:
            out.append(HourCount(from_=iso(start), good=row.good if row else 0, scrap=row.scrap if row else 0))
    return out


def _alarms(model: plant.PlantModel, one: oee.Prepared, low: int, high: int, now_ms: int) -> list[AlarmSpan]:
    spans: list[tuple[int, int, str]] = []
    for part in clip(one.history.intervals, low, high):
        if not part.known or not part.alarm:
            continue
        if spans and spans[-1][2] == part.alarm and spans[-1][1] == part.from_ms:
            spans[-1] = (spans[-1][0], part.to_ms, part.alarm)
        else:
            spans.append((part.from_ms, part.to_ms, part.alarm))
    until = one.history.known_until_ms
    out = []
    for start, end, code in spans:
        alarm = model.alarm(one.machine.machine_class, code)
        lasting = until is not None and end >= min(until, high) and high >= now_ms
        out.append(
            AlarmSpan(from_=iso(start), to=None if lasting else iso(end), code=code, zh=alarm.zh if alarm else code, en=alarm.en if alarm else code)
        )
    return out


def _power(
    session: Session, kit: Kit, probes: Probes, model: plant.PlantModel, meter: str | None, low: int, high: int, now_ms: int
) -> list[PowerPoint]:
    if meter is None:
        return []
    end = min(high, now_ms)
    if end <= low:
        return []
    series = energy.series(session, [meter], low, end)[meter]
    borders = bucket_borders(low, end, POWER_BUCKET_S, energy.zone_of(model, kit.zone))
    device = model.meter(meter).device or meter
    extremes = probes.extremes(device, "power_w", low, end, POWER_BUCKET_S * 1000)
    out = []
    for bucket in load_of(series, borders):
        least, most = extremes.get(bucket.from_ms, (None, None))
        known = bucket.w_mean is not None and not bucket.estimated
        mean = round(bucket.w_mean, 1) if bucket.w_mean is not None else None
        out.append(PowerPoint(at=iso(bucket.from_ms), w_mean=mean, w_min=least, w_max=most, known=known))
    return out


def _orders(session: Session, one: oee.Prepared, low: int, high: int) -> list[OrderSpan]:
    out = []
    for run in one.runs:
        start, end = max(run.from_ms, low), min(run.to_ms if run.to_ms is not None else high, high)
        if end <= start:
            continue
        made = sum(row.good for row in work_orders.counts(session, [one.machine.code], start, end) if row.operation == run.operation)
        still = run.to_ms is None
        out.append(OrderSpan(operation=run.operation, item=run.item, from_=iso(start), to=None if still else iso(end), good=made))
    return out
