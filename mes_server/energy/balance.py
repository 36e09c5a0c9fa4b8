"""The site's energy over a window beside states and orders: per meter, machines against incomer, per good piece, idle waste."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.energy import rules, service
from mes_server.energy.schemas import MeterSummary, Summary
from mes_server.machine_states import service as states
from mes_server.machine_states.rules import PRODUCING, Span, intersect, merge, subtract
from mes_server.plant import service as plant
from mes_server.plant.schemas import Machine, Meter
from mes_server.work_orders import service as work_orders


def summary(session: Session, from_ms: int, to_ms: int, zone: ZoneInfo, now_ms: int, meters: Sequence[str] | None = None) -> Summary:
    """GET /energy/summary. `meters` None: all of the plant."""
    model = plant.model(session)
    chosen = [one for one in model.meters.values() if meters is None or one.code in meters]
    codes = [one.code for one in chosen]
    active = service.series(session, codes, from_ms, to_ms)
    reactive = service.series(session, codes, from_ms, to_ms, "reactive_varh")
    idle = idle_spans(session, model, from_ms, min(to_ms, now_ms))
    borders = rules.bucket_borders(from_ms, to_ms, rules.QUARTER_S, zone, whole=True)
    rows, spent = [], {}
    for meter in chosen:
        spent[meter.code] = used = rules.used(active[meter.code], from_ms, to_ms)
        varh = rules.used(reactive[meter.code], from_ms, to_ms).total
        wasted = rules.used_in(active[meter.code], idle[meter.machine]) if meter.machine in idle else None
        peak = rules.demand_block(active[meter.code], borders)
        rows.append(_row(meter, used, varh, wasted, peak, min(to_ms, max(now_ms, from_ms)) - from_ms))
    good = good_pieces(session, from_ms, to_ms)
    return _whole(rows, chosen, good, active, borders)


def _row(meter: Meter, used: rules.Used, varh: float | None, wasted: float | None, peak: rules.Demand | None, elapsed_ms: int) -> MeterSummary:
    return MeterSummary(
        meter=meter.code,
        name_zh=meter.name_zh,
        name_en=meter.name_en,
        kind=meter.kind,
        machine=meter.machine,
        line=meter.line,
        wh=_round(used.total),
        varh=_round(varh),
        pf=_round(rules.power_factor(used.total, varh), 6),
        w_max_15min=_round(peak.w, 1) if peak else None,
        w_max_at=iso(peak.at_ms) if peak else None,
        estimated_share=_round(used.estimated / used.total, 6) if used.total else None,
        coverage=_round(min(1.0, used.known_ms / elapsed_ms), 6) if elapsed_ms > 0 else None,
        idle_wh=_round(wasted),
    )


def _whole(
    rows: Sequence[MeterSummary], meters: Sequence[Meter], good: int, active: dict[str, rules.Series | None], borders: Sequence[int]
) -> Summary:
    machines = _sum(row.wh for row in rows if row.kind == "machine")
    utilities = _sum(row.wh for row in rows if row.kind == "utility")
    incomer = _sum(row.wh for row in rows if row.kind == "incomer")
    below = None if machines is None else machines + (utilities or 0.0)
    unmetered = None if incomer is None or below is None else incomer - below
    whole = incomer if incomer is not None else below
    covered = [row.coverage for row in rows if row.coverage is not None]
    incomers = [one.code for one in meters if one.kind == "incomer"]
    peak = rules.demand_block(active[incomers[0]], borders) if len(incomers) == 1 else None
    return Summary(
        meters=list(rows),
        machines_wh=_round(machines),
        utilities_wh=_round(utilities),
        incomer_wh=_round(incomer),
        unmetered_wh=_round(unmetered),
        good=good,
        wh_per_good=_round(whole / good) if whole is not None and good > 0 else None,
        idle_wh=_round(_sum(row.idle_wh for row in rows)),
        coverage=min(covered) if covered else None,
        w_max_15min=_round(peak.w, 1) if peak else None,
        w_max_at=iso(peak.at_ms) if peak else None,
        how_zh=_how_zh(machines, utilities, incomer, unmetered, good, whole),
        how_en=_how_en(machines, utilities, incomer, unmetered, good, whole),
    )


def _kwh(wh: float | None) -> str:
    return "—" if wh is None else f"{wh / 1000:,.1f} kWh"


def _how_en(machines: float | None, utilities: float | None, incomer: float | None, unmetered: float | None, good: int, whole: float | None) -> str:
    per = f"{whole / good / 1000:.3f} kWh" if whole is not None and good > 0 else "—"
    return (
        f"Unmetered = incomer {_kwh(incomer)} − machines {_kwh(machines)} − utilities {_kwh(utilities)} = {_kwh(unmetered)}. "
        f"Per good piece = {_kwh(whole)} ÷ {good} pieces of last operations = {per}. Idle = energy while a machine neither produced nor had an order."
    )


def _how_zh(machines: float | None, utilities: float | None, incomer: float | None, unmetered: float | None, good: int, whole: float | None) -> str:
    per = f"{whole / good / 1000:.3f} kWh" if whole is not None and good > 0 else "—"
    return (
        f"未分表 = 总进线 {_kwh(incomer)} − 设备 {_kwh(machines)} − 公用 {_kwh(utilities)} = {_kwh(unmetered)}。"
        f"每件合格 = {_kwh(whole)} ÷ 末道工序 {good} 件 = {per}。待机 = 设备既不生产也无工单时的用电。"
    )


def _sum(values: object) -> float | None:
    """Sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]  # type: ignore[attr-defined]
    return float(sum(known)) if known else None


def _round(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)


def good_pieces(session: Session, from_ms: int, to_ms: int) -> int:
    """Good pieces that left the plant's last operations in the window."""
    return sum(row.good for row in work_orders.counts(session, None, from_ms, to_ms) if row.last)


def idle_spans(session: Session, model: plant.PlantModel, from_ms: int, to_ms: int) -> dict[str, list[Span]]:
    """Machine → spans of the window in which it was known not to produce and no operation ran on it."""
    machines: list[Machine] = list(model.machines.values())
    if to_ms <= from_ms or not machines:
        return {}
    running: dict[str, list[Span]] = {}
    for run in work_orders.run_intervals(session, [one.code for one in machines], from_ms, to_ms):
        running.setdefault(run.machine, []).append((run.from_ms, run.to_ms if run.to_ms is not None else to_ms))
    out = {}
    for history in states.histories(session, machines, from_ms, to_ms):
        still = merge((one.from_ms, one.to_ms) for one in history.intervals if one.known and one.state != PRODUCING)
        out[history.machine] = subtract(intersect(still, [(from_ms, to_ms)]), merge(running.get(history.machine, ())))
    return out
