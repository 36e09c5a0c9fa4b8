"""OEE figures for scopes and windows, losses, and the stops under them. Everything is worked out from facts at the moment of asking."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.machine_states import service as states
from mes_server.machine_states.rules import PRODUCING, SETUP, Span, Stop, is_micro, merge
from mes_server.machine_states.schemas import DONT_KNOW, History, StopAnswer
from mes_server.oee import rules, words
from mes_server.oee.schemas import IsoFigures, Losses, LossOut, OeeRecord, ParetoRow, StepOut, TpmFigures
from mes_server.plant import service as plant
from mes_server.plant.schemas import Machine, Reason
from mes_server.work_orders import service as work_orders


class Run(NamedTuple):
    """An operation on a machine; `to_ms` None: still running."""

    operation: str
    item: str
    cycle_s: float | None
    from_ms: int
    to_ms: int | None


class ClassedStop(NamedTuple):
    """A stop with what it costs: `key` the loss class, `cause` the Pareto's row."""

    stop: Stop
    answer: StopAnswer | None
    operation: str | None
    micro: bool
    key: str
    cause: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """One machine's history over a range, ready to be measured over any window inside it."""

    machine: Machine
    history: History
    stops: list[ClassedStop]
    runs: list[Run]
    time: rules.MachineTime
    producing: list[Span]

    def stops_in(self, window: Span) -> list[ClassedStop]:
        """Stops that touch the window; they are ascending and disjoint."""
        low = bisect_right(self.stops, window[0], key=lambda one: one.stop.to_ms)
        high = bisect_left(self.stops, window[1], lo=low, key=lambda one: one.stop.from_ms)
        return self.stops[low:high]


class Worker(Protocol):
    """A machine with the runs on it: what turning lost time into pieces needs."""

    @property
    def machine(self) -> Machine: ...

    @property
    def runs(self) -> list[Run]: ...


class OnMachine(NamedTuple):
    machine: Machine
    runs: list[Run]


def prepare(session: Session, machines: Sequence[Machine], from_ms: int, to_ms: int) -> list[Prepared]:
    """Reads states, reasons and runs of the range once."""
    model = plant.model(session)
    classes = {code: reason.time_class for code, reason in model.reasons.items() if reason.kind == "stop"}
    histories = states.histories(session, machines, from_ms, to_ms)
    seen = [one for history in histories for one in (history.intervals[:1] + history.intervals[-1:])]
    low, high = min((one.from_ms for one in seen), default=from_ms), max((one.to_ms for one in seen), default=to_ms)
    found = runs(session, machines, min(low, from_ms), max(high, to_ms))  # a stop at the border takes the operation of its start
    out = []
    for machine, history in zip(machines, histories, strict=True):
        mine = found.get(machine.code, [])
        stops = _classed(machine, history, mine, classes)
        producing = _spans(history, PRODUCING)
        time = rules.MachineTime(
            known=history.known,
            producing=producing,
            setup=_spans(history, SETUP),
            losses=(rules.Loss(one.stop.from_ms, one.stop.to_ms, one.key) for one in stops),
            running=merge((run.from_ms, run.to_ms if run.to_ms is not None else 1 << 60) for run in mine),
        )
        out.append(Prepared(machine, history, stops, mine, time, producing))
    return out


def _spans(history: History, state: str) -> list[Span]:
    return [(one.from_ms, one.to_ms) for one in history.intervals if one.state == state and one.cause is None]


def runs(session: Session, machines: Sequence[Machine], from_ms: int, to_ms: int) -> dict[str, list[Run]]:
    """Machine → runs of operations that touch the window, by start."""
    out: dict[str, list[Run]] = {}
    for one in work_orders.run_intervals(session, [machine.code for machine in machines], from_ms, to_ms):
        out.setdefault(one.machine, []).append(Run(one.operation, one.item, one.cycle_s, one.from_ms, one.to_ms))
    return {code: sorted(found, key=lambda run: (run.from_ms, run.operation)) for code, found in out.items()}


def run_at(runs: Sequence[Run], at_ms: int) -> Run | None:
    """The run that began last among those that hold `at_ms`."""
    return _run_before(runs, bisect_right(runs, at_ms, key=lambda run: run.from_ms) - 1, at_ms)


def _run_before(runs: Sequence[Run], index: int, at_ms: int) -> Run | None:
    while index >= 0:
        run = runs[index]
        if run.to_ms is None or run.to_ms > at_ms:
            return run
        index -= 1
    return None


def _classed(machine: Machine, history: History, runs: Sequence[Run], classes: Mapping[str, str]) -> list[ClassedStop]:
    out = []
    begun = -1
    for stop in history.stops:  # ascending, as the runs are: one pass
        while begun + 1 < len(runs) and runs[begun + 1].from_ms <= stop.from_ms:
            begun += 1
        answer = history.reasons.get(stop.from_ms)
        micro = is_micro(stop, machine.micro_stop_s)
        run = _run_before(runs, begun, stop.from_ms)
        reason = answer.reason if answer is not None else None
        time_class = classes.get(reason) if reason is not None and reason != DONT_KNOW else None
        key = rules.loss_key(stop.state, time_class, micro, run is not None)
        cause = rules.cause_key(stop.state, reason, micro, run is not None)
        out.append(ClassedStop(stop, answer, run.operation if run else None, micro, key, cause))
    return out


# --- measuring ----------------------------------------------------------------------------------------------------------------------
def counts(session: Session, machines: Sequence[Machine], from_ms: int, to_ms: int) -> tuple[dict[str, list[rules.Count]], int]:
    """Pieces per machine and operation, by their time stamp in [from_ms, to_ms); and the good ones of last operations."""
    out: dict[str, list[rules.Count]] = {machine.code: [] for machine in machines}
    found = work_orders.counts(session, [machine.code for machine in machines], from_ms, to_ms)
    for one in sorted(found, key=lambda row: (row.machine, row.operation or "")):
        out[one.machine].append(rules.Count(one.good, one.scrap, one.cycle_s, one.rework))
    return out, sum(one.good for one in found if one.last)


def measure(
    session: Session, prepared: Sequence[Prepared], window: Span, now_ms: int, made: dict[str, list[rules.Count]] | None = None
) -> list[rules.Parts]:
    """Each machine's parts over one window inside the prepared range."""
    planned = plant.model(session).calendar.planned_intervals(*window)
    made = made if made is not None else counts(session, [one.machine for one in prepared], *window)[0]
    return [rules.measure(one.time, window, planned, now_ms, made[one.machine.code]) for one in prepared]


def lost_pieces(prepared: Sequence[Worker], parts: Sequence[rules.Parts], window: Span) -> dict[str, float | None]:
    """Waterfall key → pieces, each machine by its own ideal cycle; None as soon as one machine's cycle is unknown."""
    out: dict[str, float | None] = {}
    for one, part in zip(prepared, parts, strict=True):
        cycle = cycle_of(one, part, window)
        for step in rules.waterfall(part):
            if step.kind != "loss" or not step.seconds:
                continue
            if step.key == "scrap":
                pieces: float | None = float(part.scrap)
            else:
                pieces = step.seconds / cycle if cycle else None
            before = out.get(step.key, 0.0)
            out[step.key] = None if pieces is None or before is None else before + pieces
    return out


def cycle_of(one: Worker, part: rules.Parts, window: Span) -> float | None:
    """Ideal seconds a piece on this machine in this window: of what it made, else of the operation that ran."""
    cycle = rules.mean_cycle_s(part)
    if cycle is not None or part.no_cycle:
        return cycle
    run = next((run for run in reversed(one.runs) if run.from_ms < window[1] and (run.to_ms is None or run.to_ms > window[0])), None)
    return run.cycle_s if run is not None else None


def record(scope: str, target: float | None, prepared: Sequence[Worker], parts: Sequence[rules.Parts], window: Span) -> OeeRecord:
    """The answer for a scope: parts added, then divided."""
    whole = rules.add(parts)
    found = rules.figures(whole)
    pieces = lost_pieces(prepared, parts, window)
    how_zh, how_en = words.how(whole, found, machines=len(parts))
    known_cycle = not whole.no_cycle
    return OeeRecord(
        scope=scope,
        from_=iso(window[0]),
        to=iso(window[1]),
        planned_s=whole.planned_ms / 1000,
        elapsed_s=whole.elapsed_ms / 1000,
        pbt_s=whole.pbt_ms / 1000,
        known_s=whole.known_ms / 1000,
        coverage=_round(whole.coverage),
        apt_s=whole.apt_ms / 1000,
        aust_s=whole.aust_ms / 1000,
        adet_s=whole.adet_ms / 1000,
        adot_s=whole.adot_ms / 1000,
        extra_s=whole.extra_ms / 1000,
        good=whole.good,
        scrap=whole.scrap,
        total=whole.total,
        ideal_s_good=round(whole.ideal_good_s, 3) if known_cycle else None,
        ideal_s_total=round(whole.ideal_total_s, 3) if known_cycle else None,
        iso=IsoFigures(a=_round(found.a), p=_round(found.p), q=_round(found.q), oee=_round(found.oee)),
        tpm=TpmFigures(a=_round(found.tpm_a), p=_round(found.tpm_p), q=_round(found.q)),
        oee=_round(found.oee),
        target=target,
        flags=rules.flags(whole, found),
        losses=[_loss(step, pieces) for step in rules.waterfall(whole) if step.kind == "loss"],
        how_zh=how_zh,
        how_en=how_en,
    )


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _loss(step: rules.Step, pieces: dict[str, float | None]) -> LossOut:
    zh, en = words.name(step.key)
    lost = pieces.get(step.key)
    return LossOut(key=step.key, zh=zh, en=en, seconds=round(step.seconds, 3), pieces=None if lost is None else round(lost, 1))


def target_of(model: plant.PlantModel, scope: str) -> float | None:
    """A line's target; a machine takes its line's; the site's is theirs weighted by machines (which is by planned time). None where one has none."""
    kind, _, code = scope.partition(":")
    if kind == "line":
        return model.line(code).oee_target
    if kind == "machine":
        return model.line(model.machine(code).line).oee_target
    targets = [model.line(machine.line).oee_target for machine in model.machines.values()]
    known = [target for target in targets if target is not None]
    return round(sum(known) / len(known), 6) if known and len(known) == len(targets) else None


# --- answers ------------------------------------------------------------------------------------------------------------------------
def one(session: Session, scope: str, from_ms: int, to_ms: int, now_ms: int) -> OeeRecord:
    """GET /oee."""
    model = plant.model(session)
    prepared = prepare(session, model.machines_in(scope), from_ms, to_ms)
    window = (from_ms, to_ms)
    return record(scope, target_of(model, scope), prepared, measure(session, prepared, window, now_ms), window)


def losses(session: Session, scope: str, from_ms: int, to_ms: int, now_ms: int) -> Losses:
    """GET /losses."""
    model = plant.model(session)
    window = (from_ms, to_ms)
    prepared = prepare(session, model.machines_in(scope), from_ms, to_ms)
    parts = measure(session, prepared, window, now_ms)
    steps = []
    for step in rules.waterfall(rules.add(parts)):
        zh, en = words.name(step.key)
        steps.append(StepOut(key=step.key, zh=zh, en=en, seconds=round(step.seconds, 3), kind=step.kind))
    return Losses(
        record=record(scope, target_of(model, scope), prepared, parts, window),
        waterfall=steps,
        pareto=pareto(model, prepared, parts, window),
    )


def pareto(model: plant.PlantModel, prepared: Sequence[Prepared], parts: Sequence[rules.Parts], window: Span) -> list[ParetoRow]:
    """Lost planned time by cause, largest first. Equals the sums over GET /stops with the same scope and window."""
    planned = rules.Cover(model.calendar.planned_intervals(*window))
    sums: dict[str, tuple[int, int, float | None]] = {}
    for one_, part in zip(prepared, parts, strict=True):
        cycle = cycle_of(one_, part, window)
        for stop in one_.stops:
            ms = planned_ms(planned, stop.stop, window)
            if ms <= 0:
                continue
            total, count, pieces = sums.get(stop.cause, (0, 0, 0.0))
            lost = None if not cycle or pieces is None else pieces + ms / 1000 / cycle
            sums[stop.cause] = (total + ms, count + 1, lost)
    out = []
    for cause, (ms, count, lost) in sorted(sums.items(), key=lambda row: (-row[1][0], row[0])):
        zh, en = cause_name(model, cause)
        out.append(ParetoRow(reason=cause, zh=zh, en=en, seconds=ms / 1000, count=count, pieces=None if lost is None else round(lost, 1)))
    return out


def planned_ms(planned: rules.Cover, stop: Stop, window: Span) -> int:
    """How much of a stop lies in the window and in planned time."""
    low, high = max(stop.from_ms, window[0]), min(stop.to_ms, window[1])
    return planned.upto(high) - planned.upto(low) if high > low else 0


def cause_name(model: plant.PlantModel, cause: str) -> tuple[str, str]:
    """Words of a Pareto row, a retired reason's too."""
    if cause in words.KEYS:
        return words.name(cause)
    reason = find_reason(model, cause)
    return (reason.zh, reason.en) if reason is not None else (cause, cause)


def find_reason(model: plant.PlantModel, code: str | None) -> Reason | None:
    if code is None or code == DONT_KNOW:
        return None
    found: Reason | None = model.reasons.get(code) or model.retired.get("reasons", {}).get(code)
    return found
