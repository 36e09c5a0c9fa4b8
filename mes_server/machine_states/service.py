"""Recording of facts (called by ingest in its transaction), histories for the slices above, and the acts on stops.

Nothing derived is stored: a history is worked out from the facts each time, so a stretch that arrives late, or fills another source's gap, restates
by itself and gives the same rows as if it had never been late.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Command, Done, ms_of
from mes_server.kit.http import Page, decode_cursor, encode_cursor
from mes_server.machine_states import repository, rules
from mes_server.machine_states.errors import SplitOutsideStop, UnknownReason
from mes_server.machine_states.schemas import (
    DONT_KNOW,
    ExplainStop,
    GapFact,
    GapOut,
    History,
    LiveFact,
    SplitStop,
    StateFact,
    StateOut,
    StopAnswer,
    Tile,
    WatchFact,
)
from mes_server.plant import service as plant
from mes_server.plant.schemas import Machine

__all__ = [
    "ACTS",
    "GapFact",
    "LiveFact",
    "StateFact",
    "WatchFact",
    "gap_ends",
    "gaps",
    "histories",
    "known",
    "newly_open",
    "open_stops",
    "record_gaps",
    "record_live",
    "record_states",
    "record_watch",
    "states",
    "tiles",
]

STATES = frozenset({"producing", "idle", "stopped", "fault", "setup", "blocked", "starved", "maintenance", "off", "no_data"})
OPEN_LOOKBACK_MS = 12 * 3_600_000  # unexplained stops older than this are the supervisor's list, not the tablet's banner
STALE_S = 25.0
DAY_MS = 86_400_000

# cause of no_data → zh, en
CAUSES: dict[str, tuple[str, str]] = {
    "edge_down": ("边缘网关未运行", "the edge agent was not running"),
    "source_lost": ("控制器或电表失联", "the PLC or meter could not be reached"),
    "overflow": ("数据源队列溢出", "the source's queue dropped values"),
    "buffer_full": ("边缘缓存已满", "the edge's disk bound was reached"),
    "bad_quality": ("数据源标记为坏值", "the source itself said the value is bad"),
    "damaged": ("边缘缓存数据损坏", "what the edge's buffer held was damaged on its disk"),
    "clock": ("边缘网关时钟被调整", "the edge's clock was set"),
    "new_buffer": ("边缘更换了存储", "the edge has a new disk"),
    rules.NOT_YET_KNOWN: ("尚未收到", "not yet known"),
    rules.NOT_WATCHED: ("未接入", "not watched"),
    rules.NO_STATE: ("设备未报告状态", "the machine said no state"),
}


# --- recording ----------------------------------------------------------------------------------------------------------------------
def record_states(session: Session, facts: Sequence[StateFact]) -> None:
    """Change points, in any order. A state word nobody knows is kept as `no_data`: it is not known what the machine did."""
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for machine, at_ms, state, raw, alarm in facts:
        if state is not None and state not in STATES:
            state = rules.NO_DATA
        row = rows.get((machine, at_ms))
        if row is None:
            rows[machine, at_ms] = {"machine": machine, "at_ms": at_ms, "state": state, "state_raw": raw, "alarm": alarm and alarm[:64]}
            continue
        row["state"] = state if state is not None else row["state"]
        row["state_raw"] = raw if raw is not None else row["state_raw"]
        row["alarm"] = alarm[:64] if alarm is not None else row["alarm"]
    if rows:
        repository.put_points(session, list(rows.values()))
        repository.touch(session, ((machine, at_ms // DAY_MS) for machine, at_ms in rows))


def record_watch(session: Session, marks: Sequence[WatchFact]) -> None:
    """What each source had in view; stretches of one source grow together (its own gap records cut holes into them)."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for subject, source, from_ms, until_ms in marks:
        row = rows.setdefault((subject, source), {"subject": subject, "source": source, "from_ms": from_ms, "until_ms": until_ms})
        row["from_ms"], row["until_ms"] = min(row["from_ms"], from_ms), max(row["until_ms"], until_ms)
    if not rows:
        return
    held = repository.watches(session, sorted({subject for subject, _ in rows}))
    touched: list[tuple[str, int]] = []
    for (subject, source), row in rows.items():
        low, high = row["from_ms"], row["until_ms"]
        for old in held[subject]:
            if old.source == source:  # the stretch between what was held and what is new becomes known, too
                low, high = min(low, old.until_ms), max(high, old.from_ms)
        touched += _days(subject, low, high)
    repository.put_watches(session, [rows[key] for key in sorted(rows)])
    repository.touch(session, touched)


def record_gaps(session: Session, gaps: Sequence[GapFact]) -> None:
    rows = [{**gap._asdict(), "detail": gap.detail[:400], "cause": gap.cause[:24]} for gap in gaps if gap.to_ms > gap.from_ms]
    if rows:
        repository.put_gaps(session, rows)
        repository.touch(session, (day for gap in gaps for day in _days(gap.subject, gap.from_ms, gap.to_ms)))


def _days(subject: str, from_ms: int, to_ms: int) -> list[tuple[str, int]]:
    return [(subject, day) for day in range(from_ms // DAY_MS, max(from_ms, to_ms) // DAY_MS + 1)]


def record_live(session: Session, facts: Sequence[LiveFact]) -> None:
    """The newest word of each machine, for tiles while its booked history is still on the way."""
    rows = [
        {
            "machine": one.machine,
            "at_ms": one.at_ms,
            "since_ms": one.at_ms,
            "state": one.state,
            "state_raw": one.state_raw,
            "alarm": one.alarm and one.alarm[:64],
            "order_no": one.order and one.order[:64],
            "op_no": one.operation and one.operation[:64],
        }
        for one in facts
    ]
    if rows:
        repository.put_live(session, rows)


def gap_ends(session: Session, subjects: Sequence[str], from_ms: int, to_ms: int) -> set[tuple[str, int]]:
    """(subject, moment) where a gap ended in [from_ms, to_ms]: readings there are borders energy keeps."""
    found = repository.holes(session, subjects, from_ms - 1, to_ms + 1)
    return {(subject, hole.to_ms) for subject, holes in found.items() for hole in holes if from_ms <= hole.to_ms <= to_ms}


def known(session: Session, subjects: Sequence[str]) -> dict[str, list[rules.Span]]:
    """Known time of machines or meters, all of it."""
    watches = repository.watches(session, subjects)
    holes = repository.holes(session, subjects, -(1 << 60), 1 << 60)
    return {subject: rules.known_spans(watches[subject], holes[subject]) for subject in subjects}


# --- histories ----------------------------------------------------------------------------------------------------------------------
def histories(session: Session, machines: Sequence[Machine], from_ms: int, to_ms: int) -> list[History]:
    """Each machine's history over the window, widened so that stops at its borders are whole."""
    codes = [machine.code for machine in machines]
    if not codes:
        return []
    watches = repository.watches(session, codes)
    seen = {code: rules.known_spans(watches[code], ()) for code in codes}
    usual = _usual_reasons(session)
    reach = {code: _reach(session, code, from_ms, to_ms, seen[code]) for code in codes}
    low, high = min(one[0] for one in reach.values()), max(one[1] for one in reach.values())
    holes = repository.holes(session, codes, low - 1, high + 1)
    notes = repository.notes(session, codes, low - rules.EARLY_REASON_MS, high)
    splits = repository.splits(session, codes, low, high)
    out = []
    for machine in machines:
        code = machine.code
        start, end = reach[code]
        known_spans = rules.known_spans(watches[code], holes[code])
        points = repository.points(session, code, start, end)
        intervals = rules.timeline(points, known_spans, holes[code], start, end)
        until = known_spans[-1][1] if known_spans else None
        stops = rules.stops(intervals, splits[code], until)
        answers = _answers(stops, notes[code], usual(machine.machine_class))
        unsaid = [(one.from_ms, one.to_ms) for one in intervals if one.cause == rules.NO_STATE]
        lit = rules.subtract(rules.intersect(known_spans, [(start, end)]), unsaid)
        said = [point.at_ms for point in points if point.state == rules.PRODUCING]
        out.append(History(code, machine.machine_class, machine.line, machine.micro_stop_s, intervals, lit, until, stops, answers, said))
    return out


def _reach(session: Session, code: str, from_ms: int, to_ms: int, seen: Sequence[rules.Span]) -> tuple[int, int]:
    """The window widened back to where the machine last produced and on to where it next does, within what was seen."""
    start = repository.last_producing(session, code, from_ms)
    if start is None:
        start = min(from_ms, seen[0][0]) if seen else from_ms
    end = repository.first_producing(session, code, to_ms)
    if end is None:
        end = max(to_ms, seen[-1][1]) if seen else to_ms
    return start, end


def _usual_reasons(session: Session) -> Callable[[str], dict[str, str]]:
    """machine class → {alarm code: reason}; an alarm of that very class goes before one of every class."""
    alarms = plant.model(session).alarms

    def of(machine_class: str) -> dict[str, str]:
        every = {code: one.reason for (group, code), one in alarms.items() if not group and one.reason}
        own = {code: one.reason for (group, code), one in alarms.items() if group == machine_class and one.reason}
        return {**every, **own}

    return of


def _answers(stops: Sequence[rules.Stop], notes: Iterable[rules.Note], usual: dict[str, str]) -> dict[int, StopAnswer]:
    by_alarm = {alarm: StopAnswer(reason, "alarm", None, "") for alarm, reason in usual.items()}
    out = {stop.from_ms: by_alarm[stop.alarm] for stop in stops if stop.alarm in by_alarm}
    for start, note in rules.explain(stops, notes).items():
        out[start] = StopAnswer(note.reason, note.person, note.occurred_ms, note.note)
    return out


def states(session: Session, machine: Machine, from_ms: int, to_ms: int, now_ms: int) -> list[StateOut]:
    """The rows of GET /states: clipped to the window and to the present."""
    end = min(to_ms, max(now_ms, from_ms))
    if end <= from_ms:
        return []
    (history,) = histories(session, [machine], from_ms, end)
    by_from = {stop.from_ms: stop for stop in history.stops}
    starts = sorted(by_from)
    out = []
    for one in rules.cut(rules.clip(history.intervals, from_ms, end), [edge for stop in history.stops for edge in (stop.from_ms, stop.to_ms)]):
        index = bisect_right(starts, one.from_ms) - 1
        stop = by_from[starts[index]] if index >= 0 else None
        answer = history.reasons.get(stop.from_ms) if stop is not None and one.from_ms < stop.to_ms and one.known else None
        out.append(
            StateOut(
                from_=iso(one.from_ms),
                to=None if one.to_ms >= end and to_ms > now_ms else iso(one.to_ms),
                state=one.state,
                state_raw=one.state_raw,
                alarm=one.alarm,
                known=one.known,
                cause=one.cause,
                reason=answer.reason if answer else None,
                reason_by=answer.by if answer else None,
            )
        )
    return out


def gaps(session: Session, *, machine: str | None, device: str | None, from_ms: int, to_ms: int, limit: int, cursor: str | None) -> Page[GapOut]:
    """Gap records that touch the window, oldest first."""
    after = decode_cursor(cursor, 5)
    rows = repository.gap_rows(session, machine=machine, device=device, from_ms=from_ms, to_ms=to_ms, after=after, limit=limit + 1)
    items = [
        GapOut(
            device=row.device,
            machine=row.machine,
            from_=iso(row.from_ms),
            to=iso(row.to_ms),
            cause=row.cause,
            zh=CAUSES.get(row.cause, (row.cause, row.cause))[0],
            en=CAUSES.get(row.cause, (row.cause, row.cause))[1],
            detail=row.detail,
            counter_reset=bool(row.counter_reset),
            parts_max=row.parts_max,
        )
        for row in rows[:limit]
    ]
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(items=items, next=encode_cursor([last.from_ms, last.subject, last.source, last.to_ms, last.cause]) if last is not None else None)


def revisions(session: Session, machines: Sequence[str], from_ms: int, to_ms: int) -> dict[str, dict[int, int]]:
    """Machine → {UTC day: revision} over the days of [from_ms, to_ms]. A day whose revision is the same has the same facts."""
    return repository.revisions(session, machines, from_ms // DAY_MS, to_ms // DAY_MS)


def open_stops(session: Session, machines: Sequence[Machine], now_ms: int) -> list[dict[str, Any]]:
    """Stops at or above the micro-stop limit that wait for a person's word, newest first. Only planned time counts: nobody is asked for a break.

    One that the alarm's usual reason or the machine's own state (waiting for parts, or for room for them) answers is listed while it lasts (the tile
    shows the suggestion), not afterwards: the losses count it under that answer.
    Shape: {machine, from_ms, to_ms|None, state, alarm, suggested_reason|None}.
    """
    usual, model = _usual_reasons(session), plant.model(session)
    out = []
    for machine, history in zip(machines, histories(session, machines, now_ms - OPEN_LOOKBACK_MS, now_ms + 1), strict=True):
        by_alarm = usual(machine.machine_class)
        for stop in history.stops:
            if stop.to_ms <= now_ms - OPEN_LOOKBACK_MS or stop.state == rules.SETUP or rules.is_micro(stop, machine.micro_stop_s):
                continue
            if stop.state in rules.ANSWERS_ITSELF and not stop.open:
                continue
            if model.shifts and _planned_s(model, stop) < machine.micro_stop_s:
                continue
            answer = history.reasons.get(stop.from_ms)
            if answer is not None and (answer.by != "alarm" or not stop.open):
                continue
            suggestion = rules.suggested(stop.alarm, by_alarm)
            out.append(
                {
                    "machine": machine.code,
                    "from_ms": stop.from_ms,
                    "to_ms": None if stop.open else stop.to_ms,
                    "state": stop.state,
                    "alarm": stop.alarm,
                    "suggested_reason": suggestion,
                }
            )
    return sorted(out, key=lambda one: (-one["from_ms"], one["machine"]))


def _planned_s(model: plant.PlantModel, stop: rules.Stop) -> float:
    return sum(end - start for start, end in model.calendar.planned_intervals(stop.from_ms, stop.to_ms)) / 1000


def newly_open(
    session: Session, machines: Sequence[Machine], now_ms: int, told: dict[str, int], speed: float = 1.0
) -> list[tuple[str, dict[str, Any]]]:
    """`stop:<machine>` events for stops that passed the micro-stop limit since last asked. `told` (machine → stop start) is the caller's memory.

    A machine whose history is still coming in has no news: its last booked stop is long past.
    """
    out = []
    for machine, history in zip(machines, histories(session, machines, now_ms - 1, now_ms), strict=True):
        last = history.stops[-1] if history.stops else None
        if last is None or not last.open or last.state == rules.SETUP or rules.is_micro(last, machine.micro_stop_s):
            continue
        if now_ms - last.to_ms > STALE_S * 1000 * max(1.0, speed):
            continue
        if told.get(machine.code) == last.from_ms:
            continue
        told[machine.code] = last.from_ms
        answer = history.reasons.get(last.from_ms)
        out.append(
            (
                f"stop:{machine.code}",
                {
                    "machine": machine.code,
                    "from_ms": last.from_ms,
                    "state": last.state,
                    "alarm": last.alarm,
                    "suggested_reason": answer.reason if answer is not None and answer.by == "alarm" else None,
                },
            )
        )
    return out


def tiles(session: Session, machines: Sequence[Machine], now_ms: int, speed: float = 1.0) -> dict[str, Tile]:
    """The present of each machine. While a backlog is still on its way the newest word wins over the booked past."""
    live = repository.live(session, [machine.code for machine in machines])
    out = {}
    for history in histories(session, machines, now_ms - 1, now_ms):
        code, until = history.machine, history.known_until_ms
        lit = [one for one in history.intervals if one.known]
        last = lit[-1] if lit else None
        word = live.get(code)
        tile = Tile(code, rules.NO_DATA, until, "", None, until, True, "", "")
        if last is not None and until is not None and last.to_ms >= until:
            same = [one for one in history.intervals if one.state == last.state and one.known]
            since = _since(same, last)
            stop = next((one for one in history.stops if one.from_ms <= last.from_ms < one.to_ms), None)
            answer = history.reasons.get(stop.from_ms) if stop is not None else None
            tile = Tile(code, last.state, since, last.alarm, answer.reason if answer else None, until, False, "", "")
        if word is not None:
            if word.state is not None and (until is None or word.at_ms > until):
                tile = tile._replace(state=word.state, since_ms=word.since_ms, alarm=word.alarm or "", reason=None, known_until_ms=word.at_ms)
            tile = tile._replace(order=word.order_no or "", operation=word.op_no or "")
        proven = tile.known_until_ms
        out[code] = tile._replace(stale=proven is None or now_ms - proven > STALE_S * 1000 * max(1.0, speed))
    return out


def _since(same: Sequence[rules.Interval], last: rules.Interval) -> int:
    """Start of the unbroken run of the same state that ends with `last` (its alarm may have changed meanwhile)."""
    since = last.from_ms
    for one in reversed(same):
        if one.to_ms == since:
            since = one.from_ms
    return since


# --- acts ---------------------------------------------------------------------------------------------------------------------------
def explain_stop(session: Session, actor: Actor, command: ExplainStop) -> Done:
    """Books why a machine stopped; the latest answer for a stop counts, all are kept."""
    known = plant.model(session)
    machine = known.machine(command.machine)
    actor.require(command.right, machine.line)
    reason = known.reasons.get(command.reason)
    if (reason is None or reason.kind != "stop") and command.reason != DONT_KNOW:
        raise UnknownReason(reason=command.reason)
    from_ms = ms_of(command.stop_from)
    row = {
        "event_id": str(command.event_id),
        "machine": machine.code,
        "stop_from_ms": from_ms,
        "reason": command.reason,
        "note": command.note,
        "person": actor.person,
        "occurred_ms": command.occurred_ms,
    }
    repository.put_reason(session, row)
    repository.touch(session, _days(machine.code, from_ms, from_ms + rules.EARLY_REASON_MS))
    told = {"machine": machine.code, "from_ms": from_ms, "reason": command.reason, "by": actor.person}
    return Done(subject=f"machine:{machine.code}", answer=told, live=[(f"stop:{machine.code}", told)])


def split_stop(session: Session, actor: Actor, command: SplitStop) -> Done:
    """Sets a border inside a stop; an answer given for the whole stays with the first part."""
    machine = plant.model(session).machine(command.machine)
    actor.require(command.right, machine.line)
    from_ms, at_ms = ms_of(command.stop_from), ms_of(command.at)
    if at_ms <= from_ms:
        raise SplitOutsideStop
    row = {
        "event_id": str(command.event_id),
        "machine": machine.code,
        "stop_from_ms": from_ms,
        "at_ms": at_ms,
        "person": actor.person,
        "occurred_ms": command.occurred_ms,
    }
    repository.put_split(session, row)
    repository.touch(session, _days(machine.code, from_ms, at_ms))
    told = {"machine": machine.code, "from_ms": from_ms, "at_ms": at_ms}
    return Done(subject=f"machine:{machine.code}", answer=told, live=[(f"stop:{machine.code}", told)])


ACTS: dict[str, tuple[type[Command], Callable[[Session, Actor, Any], Done]]] = {
    "stop.explain": (ExplainStop, explain_stop),
    "stop.split": (SplitStop, split_stop),
}
