"""The station's home in one call: machines, running jobs, what comes next, tiles, open stops, loaded lots, own last acts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso, parse_iso_ms
from mes_server.machine_states import service as machine_states
from mes_server.materials import service as materials
from mes_server.plant import service as plant
from mes_server.plant.schemas import Machine
from mes_server.quality import service as quality
from mes_server.scans import repository
from mes_server.scans.schemas import (
    CallView,
    HomeMachine,
    HomeView,
    HourView,
    JobView,
    LastAct,
    NextView,
    Notice,
    OpenStopView,
    OrderHead,
    ReasonTile,
)
from mes_server.scans.service import words
from mes_server.work_orders import service as work_orders
from mes_server.work_orders.schemas import OperationView, OrderView

HOUR_MS = 3_600_000
NEXT_MAX = 5
JOBS_MAX = 12
LAST_ACTS_MAX = 20
SHIFT_FALLBACK_MS = 8 * HOUR_MS
UNDO_MS = 15_000
Power = Callable[[Sequence[str]], Mapping[str, float | None]]  # meter codes → newest power, W


def home(session: Session, station_code: str, person: str | None, now_ms: int, *, speed: float = 1.0, power: Power | None = None) -> HomeView:
    """Raises NotInPlant for an unknown station."""
    model = plant.model(session)
    station = model.station(station_code)
    machines = [model.machine(code) for code in station.machines]
    codes = [machine.code for machine in machines]
    shift = model.calendar.shift_at(now_ms)
    since_ms = shift.from_ms if shift is not None else now_ms - SHIFT_FALLBACK_MS
    running = work_orders.queue_for_machines(session, codes, ["running"], JOBS_MAX, now_ms)
    jobs = _jobs(session, running, codes, since_ms, now_ms)
    waiting = work_orders.queue_for_machines(session, codes, ["ready", "interrupted"], NEXT_MAX, now_ms)
    classes = sorted({machine.machine_class for machine in machines})
    refs = [job.operation.id for job in jobs]
    loaded = materials.loaded_lots(session, refs)
    return HomeView(
        station={"code": station.code, "name_zh": station.name_zh, "name_en": station.name_en},
        at=iso(now_ms),
        machines=_machines(session, model, machines, now_ms, speed, power),
        jobs=jobs,
        next=[NextView(operation=operation, order=_head(order)) for operation, order in waiting],
        scrap_reasons=_tiles(model.scrap_reasons, classes),
        stop_reasons=_tiles(model.stop_reasons, classes),
        open_stops=[_stop(one) for one in machine_states.open_stops(session, machines, now_ms)],
        loaded=loaded,
        last_acts=_last_acts(session, person, since_ms, now_ms),
        holds=quality.holds_on(session, "operation", refs) + quality.holds_on(session, "lot", [lot.lot for lot in loaded]),
        calls=[
            CallView(call=row.event_id, machine=row.machine, kind=row.kind, person=row.person, since=iso(row.at_ms))
            for row in repository.open_calls(session, codes)
        ],
    )


def _tiles(reasons_of: Callable[[str], Sequence[Any]], classes: Sequence[str]) -> list[ReasonTile]:
    """Reasons of the station's machine classes, each once, in their stable order."""
    found: dict[str, ReasonTile] = {}
    for machine_class in classes:
        for one in reasons_of(machine_class):
            found.setdefault(one.code, ReasonTile(code=one.code, zh=one.zh, en=one.en))
    return list(found.values())


def _machines(
    session: Session, model: plant.PlantModel, machines: list[Machine], now_ms: int, speed: float, power: Power | None
) -> list[HomeMachine]:
    tiles = machine_states.tiles(session, machines, now_ms, speed)
    meters = {machine.code: [meter.code for meter in model.meters_of(machine.code)] for machine in machines}
    watts = power([code for codes in meters.values() for code in codes]) if power is not None else {}
    views = []
    for machine in machines:
        tile = tiles[machine.code]
        alarm = model.alarm(machine.machine_class, tile.alarm) if tile.alarm else None
        views.append(
            HomeMachine(
                code=machine.code,
                name_zh=machine.name_zh,
                name_en=machine.name_en,
                state=tile.state,
                since=None if tile.since_ms is None else iso(tile.since_ms),
                alarm=tile.alarm or None,
                alarm_zh=alarm.zh if alarm else None,
                alarm_en=alarm.en if alarm else None,
                power_w=next((watts[code] for code in meters[machine.code] if watts.get(code) is not None), None),
                stale=tile.stale,
            )
        )
    return views


def _head(order: OrderView) -> OrderHead:
    item = {**order.item.model_dump(), "tracking": order.tracking, "unit": order.unit, "box_quantity": order.box_quantity}
    return OrderHead(number=order.number, quantity=order.quantity, due=order.due, status=order.status, item=item)


def _jobs(session: Session, running: list[tuple[OperationView, OrderView]], codes: list[str], since_ms: int, now_ms: int) -> list[JobView]:
    jobs = []
    for operation, order in running:
        hours = _hours(session, operation, codes, since_ms, now_ms)
        for run in operation.runs:
            if run.to is not None or run.machine not in codes:
                continue
            jobs.append(
                JobView(
                    operation=operation,
                    order=_head(order),
                    machine=run.machine,
                    last_cycle_s=work_orders.last_cycle_s(session, run.machine, operation.id),
                    eta=_eta(operation, hours, now_ms, since_ms),
                    hours=hours,
                    chips=[1, 5, 10, *([order.box_quantity] if order.box_quantity and order.box_quantity not in (1, 5, 10) else [])],
                    notice=_notice(order),
                )
            )
    return sorted(jobs, key=lambda job: codes.index(job.machine))


def _hours(session: Session, operation: OperationView, codes: list[str], since_ms: int, now_ms: int) -> list[HourView]:
    """This shift's hours up to now, the empty ones too; the target is what the ideal cycle allows."""
    start = since_ms - since_ms % HOUR_MS
    buckets = {one.from_ms: one.good for one in work_orders.operation_buckets(session, operation.id, codes, start, now_ms + 1, HOUR_MS)}
    target = int(3600 / operation.cycle_s) if operation.cycle_s else None
    return [HourView(hour=iso(at_ms), good=buckets.get(at_ms, 0), target=target) for at_ms in range(start, now_ms + 1, HOUR_MS)]


def _eta(operation: OperationView, hours: Sequence[HourView], now_ms: int, since_ms: int) -> str | None:
    """When the rest is made at the pace of this shift, or of the operation's own time in it; without one yet, at the ideal cycle."""
    remaining = operation.planned - operation.good
    if remaining <= 0:
        return None
    began_ms = max(since_ms, min((parse_iso_ms(run.from_) for run in operation.runs), default=since_ms))
    made, passed_s = sum(one.good for one in hours), (now_ms - began_ms) / 1000
    pace_s = passed_s / made if made > 2 else operation.cycle_s
    return iso(now_ms + round(remaining * pace_s * 1000)) if pace_s else None


def _notice(order: OrderView) -> Notice | None:
    """The ERP or the planner changed the order while it runs."""
    if order.status == "cancelled":
        return Notice(id=f"{order.number}:cancelled", kind="cancel", zh="工单已取消：做完手上这件后停", en="Order cancelled: stop after this piece")
    if order.status == "on_hold":
        return Notice(id=f"{order.number}:on_hold", kind="hold", zh="工单已暂停", en="Order on hold")
    if order.quantity_before is not None:
        old, new = order.quantity_before, order.quantity
        return Notice(id=f"{order.number}:quantity:{new}", kind="quantity", zh=f"数量改为 {new}（原 {old}）", en=f"Quantity now {new} (was {old})")
    return None


def _stop(one: Mapping[str, Any]) -> OpenStopView:
    return OpenStopView(
        machine=one["machine"],
        from_=iso(one["from_ms"]),
        to=None if one["to_ms"] is None else iso(one["to_ms"]),
        state=one["state"],
        alarm=one["alarm"] or None,
        suggested_reason=one["suggested_reason"],
    )


def _last_acts(session: Session, person: str | None, since_ms: int, now_ms: int) -> list[LastAct]:
    if person is None:
        return []
    records = repository.recent_acts(session, person, list(words.ACT_WORDS), since_ms, LAST_ACTS_MAX)
    ids = [record.event_id for record in records]
    gone = work_orders.reversed_among(session, ids) | materials.reversed_among(session, ids)
    acts = []
    for record in records:
        zh, en = words.sentence(record.type, json.loads(record.payload), session)
        fresh = now_ms - record.occurred_ms <= UNDO_MS
        acts.append(
            LastAct(
                event_id=record.event_id,
                type=record.type,
                at=iso(record.occurred_ms),
                person=record.person,
                text_zh=zh,
                text_en=en,
                undoable=fresh and record.event_id not in gone and record.type in words.UNDOABLE,
                reversed=record.event_id in gone,
            )
        )
    return acts
