"""The morning meeting on one page: lines, largest losses, late orders, energy against its baseline, actions."""

from __future__ import annotations

from datetime import date, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.kit.http import Kit
from mes_server.kit.journal import JournalRecord
from mes_server.oee import rules
from mes_server.oee import service as oee
from mes_server.plant import service as plant
from mes_server.reports.schemas import LateOrder, LineRow, LossRow, ShiftOut, Spark, Yesterday
from mes_server.reports.service import actions
from mes_server.reports.service.day_energy import energy_block
from mes_server.reports.service.now import line_ends
from mes_server.work_orders import service as work_orders
from mes_server.work_orders.schemas import OrderView

SPARK_DAYS = 14
LOSSES_MAX = 5
LATE_MAX = 20
_JOURNAL = JournalRecord.__table__
Window = tuple[int, int]


def yesterday(session: Session, kit: Kit, day: date | None) -> Yesterday:
    """GET /yesterday; without a day the production day before the running one."""
    model = plant.model(session)
    now_ms = kit.clock.now_ms()
    day = day if day is not None else model.calendar.production_day(now_ms) - timedelta(days=1)
    days = [day - timedelta(days=back) for back in range(SPARK_DAYS - 1, -1, -1)]
    windows = {one: model.calendar.day_window(one) for one in days}
    window = windows[day]
    prepared = oee.prepare(session, list(model.machines.values()), windows[days[0]][0], window[1])
    parts = {one: oee.measure(session, prepared, windows[one], now_ms) for one in days}
    losses = _losses(model, prepared, parts[day], windows[days[0]][0], window)
    return Yesterday(
        day=day.isoformat(),
        from_=iso(window[0]),
        to=iso(window[1]),
        shifts=_shifts(model, day, window),
        closed=now_ms >= window[1] and all((one.history.known_until_ms or 0) >= window[1] for one in prepared),
        late_acts=_late_acts(session, window),
        lines=[_line(model, code, prepared, parts, day, windows) for code in model.lines],
        losses=losses,
        late_orders=_late_orders(session, model, prepared, window, min(window[1], now_ms)),
        energy=energy_block(session, kit, model, days, windows),
        actions=actions.of_day(session, day, now_ms, model),
        focus_machine=losses[0].machine if losses else None,
    )


def _shifts(model: plant.PlantModel, day: date, window: Window) -> list[ShiftOut]:
    out = []
    for one in model.calendar.shift_windows(*window):
        if one.day == day:
            named = model.shift(one.shift)
            out.append(
                ShiftOut(
                    shift=one.shift,
                    name_zh=named.name_zh,
                    name_en=named.name_en,
                    day=day.isoformat(),
                    from_=iso(one.from_ms),
                    to=iso(one.to_ms),
                    planned_s=one.planned_ms / 1000,
                )
            )
    return out


def _late_acts(session: Session, window: Window) -> int:
    """Acts of people that happened in the day and came in after it was over: they restated it."""
    query = sa.select(sa.func.count()).where(
        _JOURNAL.c.occurred_ms >= window[0],
        _JOURNAL.c.occurred_ms < window[1],
        _JOURNAL.c.recorded_ms >= window[1],
        _JOURNAL.c.person.is_not(None),
    )
    return int(session.execute(query).scalar_one())


def _line(
    model: plant.PlantModel, code: str, prepared: list[oee.Prepared], parts: dict[date, list[rules.Parts]], day: date, windows: dict[date, Window]
) -> LineRow:
    line = model.line(code)
    mine = [index for index, one in enumerate(prepared) if one.machine.line == code]
    spark = []
    for one, found in parts.items():
        figures = rules.figures(rules.add(found[index] for index in mine))
        spark.append(Spark(day=one.isoformat(), oee=_round(figures.oee)))
    record = oee.record(f"line:{code}", line.oee_target, [prepared[i] for i in mine], [parts[day][i] for i in mine], windows[day])
    ends = [index for index in mine if prepared[index].machine.code in line_ends(model, code)]
    return LineRow(
        line=code,
        name_zh=line.name_zh,
        name_en=line.name_en,
        oee=record.oee,
        target=line.oee_target,
        spark=spark,
        coverage=record.coverage,
        good=sum(parts[day][index].good for index in ends),
        plan=_plan(prepared, parts[day], ends, line.oee_target, windows[day]),
        a=record.tpm.a,
        p=record.tpm.p,
        q=record.tpm.q,
        flags=record.flags,
        how_zh=record.how_zh,
        how_en=record.how_en,
    )


def _plan(prepared: list[oee.Prepared], parts: list[rules.Parts], ends: list[int], goal: float | None, window: Window) -> int | None:
    """Good pieces the whole day's planned time of the line's last machines should give at the target; None where one has no cycle."""
    if goal is None or not ends:
        return None
    total = 0.0
    for index in ends:
        cycle = oee.cycle_of(prepared[index], parts[index], window)
        if not cycle:
            return None
        total += parts[index].planned_ms / 1000 * goal / cycle
    return round(total)


def _losses(model: plant.PlantModel, prepared: list[oee.Prepared], parts: list[rules.Parts], first_ms: int, window: Window) -> list[LossRow]:
    planned = rules.Cover(model.calendar.planned_intervals(*window))
    before = rules.Cover(model.calendar.planned_intervals(first_ms, window[0]))
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    known_before: set[tuple[str, str]] = set()
    cycles: dict[str, float | None] = {}
    for one, part in zip(prepared, parts, strict=True):
        cycles[one.machine.code] = oee.cycle_of(one, part, window)
        for stop in one.stops:
            key = (stop.cause, one.machine.code)
            ms = oee.planned_ms(planned, stop.stop, window)
            if ms > 0:
                total, count = sums.get(key, (0, 0))
                sums[key] = (total + ms, count + 1)
            if oee.planned_ms(before, stop.stop, (first_ms, window[0])) > 0:
                known_before.add(key)
    out = []
    for (cause, machine), (ms, count) in sorted(sums.items(), key=lambda row: (-row[1][0], row[0]))[:LOSSES_MAX]:
        zh, en = oee.cause_name(model, cause)
        cycle = cycles[machine]
        out.append(
            LossRow(
                reason=cause,
                zh=zh,
                en=en,
                machine=machine,
                minutes=round(ms / 60_000, 1),
                count=count,
                pieces=round(ms / 1000 / cycle, 1) if cycle else None,
                money=None,
                new=(cause, machine) not in known_before,
            )
        )
    return out


def _late_orders(session: Session, model: plant.PlantModel, prepared: list[oee.Prepared], window: Window, at_ms: int) -> list[LateOrder]:
    """Open orders past their due date at the end of the day, latest first, each with the cause that is open on it."""
    rows = []
    for order in work_orders.orders_overview(session, at_ms, statuses=["released", "in_progress", "on_hold"]):
        if not order.late_by_s or order.late_by_s <= 0:
            continue
        zh, en = _why_late(model, prepared, window, order)
        rows.append(
            LateOrder(
                order=order.number,
                item=order.item.code,
                late_by_s=order.late_by_s,
                good=order.good,
                quantity=order.quantity,
                cause_zh=zh,
                cause_en=en,
                new_promise=None,
            )
        )
    return sorted(rows, key=lambda row: (-row.late_by_s, row.order))[:LATE_MAX]


def _why_late(model: plant.PlantModel, prepared: list[oee.Prepared], window: Window, order: OrderView) -> tuple[str, str]:
    if order.status == "on_hold":
        return "工单已暂挂", "The order is on hold"
    open_ = next((one for one in order.operations if one.status not in ("completed", "skipped", "aborted")), None)
    if open_ is None:
        return "所有工序已完成，工单未关闭", "Every operation is done, the order is not closed"
    name_zh, name_en = f"工序 {open_.number} {open_.name_zh}", f"operation {open_.number} {open_.name_en}"
    if open_.held:
        return f"{name_zh}被质量冻结", f"{name_en} is held by quality"
    if open_.status in ("pending", "ready"):
        return f"{name_zh}未开工，{open_.good}/{open_.planned}", f"{name_en} has not begun, {open_.good}/{open_.planned}"
    machine = next((run.machine for run in reversed(open_.runs)), None)
    worst = _worst_stop(model, prepared, window, machine)
    done = f"{open_.good}/{open_.planned}"
    if worst is None:
        return f"{name_zh}进行中，{done}", f"{name_en} is at {done}"
    zh, en, minutes = worst
    return f"{name_zh} {done}，{machine} {zh} {minutes:.0f} 分", f"{name_en} at {done}; {machine} lost {minutes:.0f} min to {en}"


def _worst_stop(model: plant.PlantModel, prepared: list[oee.Prepared], window: Window, machine: str | None) -> tuple[str, str, float] | None:
    one = next((one for one in prepared if one.machine.code == machine), None)
    if one is None:
        return None
    planned = rules.Cover(model.calendar.planned_intervals(*window))
    sums: dict[str, int] = {}
    for stop in one.stops:
        ms = oee.planned_ms(planned, stop.stop, window)
        if ms > 0 and not stop.micro:
            sums[stop.cause] = sums.get(stop.cause, 0) + ms
    if not sums:
        return None
    cause = max(sorted(sums), key=lambda key: sums[key])
    return (*oee.cause_name(model, cause), sums[cause] / 60_000)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
