"""OEE over many windows: shifts and days, with what is closed taken from memory while its facts are the same (windows.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy.orm import Session

from mes_server.machine_states.rules import Span
from mes_server.oee import rules, service, windows
from mes_server.oee.schemas import DayRecord, ShiftRecord
from mes_server.plant import service as plant
from mes_server.plant.schemas import Machine


@dataclass(frozen=True, slots=True)
class Many:
    """Machines over windows: `parts[window][i]` and `times[code, window]` belong to `workers[i]`."""

    workers: list[service.OnMachine]
    parts: dict[Span, list[rules.Parts]]
    times: dict[tuple[str, Span], windows.Times]
    finished: dict[Span, int]  # good pieces of last operations on these machines


def measure(session: Session, machines: Sequence[Machine], spans: Sequence[Span], now_ms: int) -> Many:
    """`spans` ascending and disjoint."""
    times = windows.times(session, machines, spans, now_ms)
    runs = service.runs(session, machines, spans[0][0], spans[-1][1]) if spans else {}
    parts, finished = {}, {}
    for span in spans:
        made, finished[span] = service.counts(session, machines, *span)
        parts[span] = [rules.with_pieces(times[machine.code, span].parts, made[machine.code]) for machine in machines]
    return Many([service.OnMachine(machine, runs.get(machine.code, [])) for machine in machines], parts, times, finished)


def shifts(session: Session, scope: str, from_day: date, to_day: date, now_ms: int) -> list[ShiftRecord]:
    """GET /oee/shifts: one record a machine and shift of the production days, both ends included; shifts that have not begun are left out."""
    model = plant.model(session)
    low, high = model.calendar.day_window(from_day)[0], model.calendar.day_window(to_day)[1]
    found = [one for one in model.calendar.shift_windows(low, high) if from_day <= one.day <= to_day and one.from_ms < now_ms]
    many = measure(session, model.machines_in(scope), [(one.from_ms, one.to_ms) for one in found], now_ms)
    out = []
    for shift in found:
        window = (shift.from_ms, shift.to_ms)
        for worker, part in zip(many.workers, many.parts[window], strict=True):
            name = f"machine:{worker.machine.code}"
            record = service.record(name, service.target_of(model, name), [worker], [part], window)
            out.append(ShiftRecord(**dict(record), day=shift.day.isoformat(), shift=shift.shift))
    return out


def days(session: Session, scope: str, from_day: date, to_day: date, now_ms: int) -> list[DayRecord]:
    """GET /oee/days: one record of the whole scope a production day; days that have not begun are left out."""
    model = plant.model(session)
    found: list[tuple[date, Span]] = []
    day = from_day
    while day <= to_day:
        window = model.calendar.day_window(day)
        if window[0] < now_ms:
            found.append((day, window))
        day += timedelta(days=1)
    many = measure(session, model.machines_in(scope), [window for _, window in found], now_ms)
    target = service.target_of(model, scope)
    return [DayRecord(**dict(service.record(scope, target, many.workers, many.parts[window], window)), day=day.isoformat()) for day, window in found]
