"""The morning meeting on one page: lines, largest losses, late orders, energy against its baseline, actions."""

from __future__ import annotations

from datetime import date, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.kit.http import Kit
from mes_server.kit.journal import JournalRecord
from mes_server.machine_states import service as states
from mes_server.oee import rules, series
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
    machines = list(model.machines.values())
    many = series.measure(session, machines, [windows[one] for one in days], now_ms)
    losses = _losses(model, many, [windows[one] for one in days])
    known = states.known(session, [one.code for one in machines])
    return Yesterday(
        day=day.isoformat(),
        from_=iso(window[0]),
        to=iso(window[1]),
        shifts=_shifts(model, day, window),
        closed=now_ms >= window[1] and all(spans and spans[-1][1] >= window[1] for spans in known.values()),
        late_acts=_late_acts(session, window),
        lines=[_line(model, code, many, day, windows) for code in model.lines],
        losses=losses,
        late_orders=_late_orders(session, model, many, window, min(window[1], now_ms)),
        energy=energy_block(session, kit, model, days, windows, many),
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


def _line(model: plant.PlantModel, code: str, many: series.Many, day: date, windows: dict[date, Window]) -> LineRow:
    line = model.line(code)
    mine = [index for index, one in enumerate(many.workers) if one.machine.line == code]
    spark = []
    for one, window in windows.items():
        figures = rules.figures(rules.add(many.parts[window][index] for index in mine))
        spark.append(Spark(day=one.isoformat(), oee=_round(figures.oee)))
    window = windows[day]
    parts = many.parts[window]
    record = oee.record(f"line:{code}", line.oee_target, [many.workers[i] for i in mine], [parts[i] for i in mine], window)
    ends = [index for index in mine if many.workers[index].machine.code in line_ends(model, code)]
    return LineRow(
        line=code,
        name_zh=line.name_zh,
        name_en=line.name_en,
        oee=record.oee,
        target=line.oee_target,
        spark=spark,
        coverage=record.coverage,
        good=sum(parts[index].good for index in ends),
        plan=_plan(many, ends, line.oee_target, window),
        a=record.tpm.a,
        p=record.tpm.p,
        q=record.tpm.q,
        flags=record.flags,
        how_zh=record.how_zh,
        how_en=record.how_en,
    )


def _plan(many: series.Many, ends: list[int], goal: float | None, window: Window) -> int | None:
    """Good pieces the whole day's planned time of the line's last machines should give at the target; None where one has no cycle."""
    if goal is None or not ends:
        return None
    total = 0.0
    for index in ends:
        part = many.parts[window][index]
        cycle = oee.cycle_of(many.workers[index], part, window)
        if not cycle:
            return None
        total += part.planned_ms / 1000 * goal / cycle
    return round(total)


def _losses(model: plant.PlantModel, many: series.Many, windows: list[Window]) -> list[LossRow]:
    """The largest losses of the last window; new where the windows before have none of it."""
    *before, window = windows
    rows = []
    for worker, part in zip(many.workers, many.parts[window], strict=True):
        code = worker.machine.code
        cycle = oee.cycle_of(worker, part, window)
        seen = {cause for span in before for cause in many.times[code, span].causes}
        for cause, (ms, count) in many.times[code, window].causes.items():
            zh, en = oee.cause_name(model, cause)
            pieces = round(ms / 1000 / cycle, 1) if cycle else None
            minutes = round(ms / 60_000, 1)
            row = LossRow(reason=cause, zh=zh, en=en, machine=code, minutes=minutes, count=count, pieces=pieces, money=None, new=cause not in seen)
            rows.append((-ms, cause, code, row))
    return [row for *_, row in sorted(rows, key=lambda one: one[:3])[:LOSSES_MAX]]


def _late_orders(session: Session, model: plant.PlantModel, many: series.Many, window: Window, at_ms: int) -> list[LateOrder]:
    """Open orders past their due date at the end of the day, latest first, each with the cause that is open on it."""
    rows = []
    for order in work_orders.orders_overview(session, at_ms, statuses=["released", "in_progress", "on_hold"]):
        if not order.late_by_s or order.late_by_s <= 0:
            continue
        zh, en = _why_late(model, many, window, order)
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


def _why_late(model: plant.PlantModel, many: series.Many, window: Window, order: OrderView) -> tuple[str, str]:
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
    worst = _worst_stop(model, many, window, machine)
    done = f"{open_.good}/{open_.planned}"
    if worst is None:
        return f"{name_zh}进行中，{done}", f"{name_en} is at {done}"
    zh, en, minutes = worst
    return f"{name_zh} {done}，{machine} {zh} {minutes:.0f} 分", f"{name_en} at {done}; {machine} lost {minutes:.0f} min to {en}"


def _worst_stop(model: plant.PlantModel, many: series.Many, window: Window, machine: str | None) -> tuple[str, str, float] | None:
    found = many.times.get((machine, window)) if machine is not None else None
    sums = {cause: ms for cause, (ms, _) in found.causes.items() if cause != "micro"} if found is not None else {}
    if not sums:
        return None
    cause = max(sorted(sums), key=lambda key: sums[key])
    return (*oee.cause_name(model, cause), sums[cause] / 60_000)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
