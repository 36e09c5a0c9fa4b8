"""The list of stops under every loss: filtered, paged, with the seconds that add up to the figures above."""

from __future__ import annotations

from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.kit.http import Page, decode_cursor, encode_cursor
from mes_server.oee import rules, service, words
from mes_server.oee.schemas import StopOut
from mes_server.plant import service as plant


def stops(
    session: Session,
    scope: str,
    from_ms: int,
    to_ms: int,
    *,
    reason: str | None = None,
    min_s: float = 0.0,
    limit: int = 200,
    cursor: str | None = None,
) -> Page[StopOut]:
    """Stops that touch the window, oldest first. With `reason` (a reason's code or a Pareto row's key) only those with planned time in it."""
    model = plant.model(session)
    found = all_stops(session, model, scope, from_ms, to_ms, reason=reason, min_s=min_s)
    after = decode_cursor(cursor, 2)
    if after is not None:
        found = [row for row in found if (row.from_, row.machine) > (str(after[0]), str(after[1]))]
    page = found[:limit]
    more = encode_cursor([page[-1].from_, page[-1].machine]) if len(found) > limit else None
    return Page(items=page, next=more)


def all_stops(
    session: Session, model: plant.PlantModel, scope: str, from_ms: int, to_ms: int, *, reason: str | None = None, min_s: float = 0.0
) -> list[StopOut]:
    prepared = service.prepare(session, model.machines_in(scope), from_ms, to_ms)
    planned = rules.Cover(model.calendar.planned_intervals(from_ms, to_ms))
    out = []
    for one in prepared:
        for stop in one.stops:
            if stop.stop.to_ms <= from_ms or stop.stop.from_ms >= to_ms:
                continue
            ms = service.planned_ms(planned, stop.stop, (from_ms, to_ms))
            if reason is not None and (ms <= 0 or stop.cause != reason):
                continue
            seconds = (min(stop.stop.to_ms, to_ms) - max(stop.stop.from_ms, from_ms)) / 1000
            if seconds >= min_s:
                out.append(view(model, one, stop, seconds, ms / 1000))
    return sorted(out, key=lambda row: (row.from_, row.machine))


def view(model: plant.PlantModel, one: service.Prepared, stop: service.ClassedStop, seconds: float, planned_s: float) -> StopOut:
    answer = stop.answer
    alarm = model.alarm(one.machine.machine_class, stop.stop.alarm) if stop.stop.alarm else None
    said = service.find_reason(model, answer.reason if answer else None)
    code = answer.reason if answer else None
    zh, en = (said.zh, said.en) if said is not None else words.name(code) if code else ("", "")
    return StopOut(
        machine=one.machine.code,
        from_=iso(stop.stop.from_ms),
        to=None if stop.stop.open else iso(stop.stop.to_ms),
        seconds=seconds,
        planned_s=planned_s,
        state=stop.stop.state,
        alarm=stop.stop.alarm,
        alarm_zh=alarm.zh if alarm else stop.stop.alarm,
        alarm_en=alarm.en if alarm else stop.stop.alarm,
        reason=code,
        reason_zh=zh,
        reason_en=en,
        reason_by=answer.by if answer else None,
        reason_at=iso(answer.at_ms) if answer and answer.at_ms is not None else None,
        note=answer.note if answer else "",
        operation=stop.operation,
        micro=stop.micro,
        open=stop.stop.open,
        cause=stop.cause,
    )
