"""Plant now and the wall: every machine's present beside what its shift has given so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.energy import service as energy
from mes_server.energy.rules import bucket_borders, demand_block, used
from mes_server.kit.http import Kit
from mes_server.machine_states import service as states
from mes_server.machine_states.schemas import Tile
from mes_server.oee import rules, words
from mes_server.oee import service as oee
from mes_server.plant import service as plant
from mes_server.reports.schemas import PlantNow, ShiftNow, TileOut, Totals, Wall, WallNumber
from mes_server.reports.service.probes import Probes
from mes_server.work_orders import service as work_orders

TILES_MAX = 8
URGENCY = {"fault": 0, "stopped": 0, "starved": 1, "blocked": 1, "maintenance": 1}
QUARTER_MS = 900_000


@dataclass(frozen=True)
class Moment:
    """Everything both views are made of, read once."""

    model: plant.PlantModel
    now_ms: int
    shift: plant.ShiftWindow | None
    window: tuple[int, int]
    prepared: list[oee.Prepared]
    parts: list[rules.Parts]
    tiles: dict[str, Tile]
    running: dict[str, Any]
    last_good: dict[str, int]  # machine → good pieces of last operations in the shift
    values: dict[str, dict[str, Any]]


def look(session: Session, kit: Kit, probes: Probes, scope: str = "site") -> Moment:
    model = plant.model(session)
    now_ms = kit.clock.now_ms()
    shift = model.calendar.shift_at(now_ms)
    window = (shift.from_ms, shift.to_ms) if shift is not None else model.calendar.day_window(model.calendar.production_day(now_ms))
    machines = model.machines_in(scope)
    prepared = oee.prepare(session, machines, *window)
    codes = [one.code for one in machines]
    made = work_orders.counts(session, codes, *window)
    by_machine: dict[str, list[rules.Count]] = {code: [] for code in codes}
    last_good: dict[str, int] = {}
    for row in made:
        by_machine[row.machine].append(rules.Count(row.good, row.scrap, row.cycle_s, row.rework))
        if row.last:
            last_good[row.machine] = last_good.get(row.machine, 0) + row.good
    return Moment(
        model=model,
        now_ms=now_ms,
        shift=shift,
        window=window,
        prepared=prepared,
        parts=oee.measure(session, prepared, window, now_ms, by_machine),
        tiles=states.tiles(session, machines, now_ms, kit.clock.speed),
        running=work_orders.current_operations(session, codes, now_ms),
        last_good=last_good,
        values=probes.last_values([*codes, *model.meters]),
    )


def plant_now(session: Session, kit: Kit, probes: Probes) -> PlantNow:
    """GET /plant/now."""
    at = look(session, kit, probes)
    return PlantNow(at=iso(at.now_ms), machines=_tiles(at), totals=_totals(session, at), shift=_shift(at))


def _tiles(at: Moment) -> list[TileOut]:
    return [_tile(at, one, part) for one, part in zip(at.prepared, at.parts, strict=True)]


def _tile(at: Moment, one: oee.Prepared, part: rules.Parts) -> TileOut:
    machine, tile = one.machine, at.tiles[one.machine.code]
    run = at.running.get(machine.code)
    alarm = at.model.alarm(machine.machine_class, tile.alarm) if tile.alarm else None
    reason = oee.find_reason(at.model, tile.reason)
    found = rules.figures(part)
    order = run.order if run is not None else tile.order or None
    operation = run.operation if run is not None else f"{tile.order}/{tile.operation}" if tile.order and tile.operation else None
    return TileOut(
        code=machine.code,
        name_zh=machine.name_zh,
        name_en=machine.name_en,
        line=machine.line,
        state=tile.state,
        since=iso(tile.since_ms) if tile.since_ms is not None else None,
        alarm=tile.alarm or None,
        alarm_zh=alarm.zh if alarm else tile.alarm or None,
        alarm_en=alarm.en if alarm else tile.alarm or None,
        reason=tile.reason,
        reason_zh=reason.zh if reason else words.name(tile.reason)[0] if tile.reason else None,
        reason_en=reason.en if reason else words.name(tile.reason)[1] if tile.reason else None,
        order=order,
        operation=operation,
        item=run.item if run is not None else None,
        good_shift=part.good if part.known_ms or part.total else None,
        target_shift=target(at, one, part),
        oee_shift=_round(found.oee),
        coverage_shift=_round(part.coverage),
        power_w=power_of(at, machine.code),
        stale=tile.stale,
        known_until=iso(tile.known_until_ms) if tile.known_until_ms is not None else None,
    )


def target(at: Moment, one: oee.Prepared, part: rules.Parts) -> int | None:
    """Good pieces the planned time gone by should have given: planned s × the line's target OEE ÷ ideal cycle. None without target or cycle."""
    goal = at.model.line(one.machine.line).oee_target
    cycle = oee.cycle_of(one, part, at.window)
    return round(part.elapsed_ms / 1000 * goal / cycle) if goal is not None and cycle else None


def power_of(at: Moment, machine: str) -> float | None:
    """Power of the machine's meters now; None where one of them is silent."""
    meters = at.model.meters_of(machine)
    return _sum_watts(at, [one.code for one in meters]) if meters else _watts(at, machine)


def _watts(at: Moment, code: str) -> float | None:
    value = at.values.get(code)
    if value is None or value.get("stale") or value.get("power_w") is None:
        return None
    return round(float(value["power_w"]), 1)


def _sum_watts(at: Moment, codes: Sequence[str]) -> float | None:
    found = [_watts(at, code) for code in codes]
    return None if any(one is None for one in found) else round(sum(one for one in found if one is not None), 1)


def _site_power(at: Moment) -> tuple[float | None, bool]:
    """The incomer's power; without one the sum of the meters that speak, `known` only where all do."""
    incomers = [one.code for one in at.model.meters.values() if one.kind == "incomer"]
    if incomers:
        whole = _sum_watts(at, incomers)
        return whole, whole is not None
    meters = list(at.model.meters)
    speaking = [watts for code in meters if (watts := _watts(at, code)) is not None]
    return (round(sum(speaking), 1) if speaking else None), bool(meters) and len(speaking) == len(meters)


def _last_machines(session: Session, at: Moment) -> set[str]:
    """Machines that do last operations now or did in this shift."""
    out = set(at.last_good)
    for code, run in at.running.items():
        if work_orders.operation_facts(session, run.operation).last:
            out.add(code)
    return out


def planned_output(session: Session, at: Moment) -> int | None:
    """Target of the machines that finish orders, together; None where one of them has none."""
    last = _last_machines(session, at)
    goals = [target(at, one, part) for one, part in zip(at.prepared, at.parts, strict=True) if one.machine.code in last]
    return None if not goals or any(goal is None for goal in goals) else sum(goal for goal in goals if goal is not None)


def _totals(session: Session, at: Moment) -> Totals:
    whole = rules.add(at.parts)
    found = rules.figures(whole)
    watts, known = _site_power(at)
    how_zh, how_en = words.how(whole, found, machines=len(at.parts))
    return Totals(
        oee=_round(found.oee),
        oee_target=oee.target_of(at.model, "site"),
        coverage=_round(whole.coverage),
        good=sum(at.last_good.values()),
        planned=planned_output(session, at),
        power_w=watts,
        power_known=known,
        how_zh=how_zh,
        how_en=how_en,
    )


def _shift(at: Moment) -> ShiftNow | None:
    if at.shift is None:
        return None
    named = at.model.shift(at.shift.shift)
    return ShiftNow(code=named.code, name_zh=named.name_zh, name_en=named.name_en, from_=iso(at.shift.from_ms), to=iso(at.shift.to_ms))


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


# --- wall ---------------------------------------------------------------------------------------------------------------------------
def wall(session: Session, kit: Kit, probes: Probes, line: str | None) -> Wall:
    """GET /wall: at most eight tiles (what is wrong first, then the line's order, silent machines last) and three numbers. No person's name."""
    scope = f"line:{line}" if line is not None else "site"
    at = look(session, kit, probes, scope)
    tiles = sorted(_tiles(at), key=lambda tile: 3 if tile.stale else URGENCY.get(tile.state, 2))[:TILES_MAX]
    return Wall(at=iso(at.now_ms), line=line, shift=_shift(at), tiles=tiles, numbers=_numbers(session, kit, at, line))


def _numbers(session: Session, kit: Kit, at: Moment, line: str | None) -> list[WallNumber]:
    whole = rules.add(at.parts)
    found = rules.figures(whole)
    good, plan = _output(session, at, line)
    behind = "—" if plan is None else f"{good - plan:+,d}"
    scope = f"line:{line}" if line is not None else "site"
    cover = "—" if whole.coverage is None else f"{whole.coverage * 100:.0f} %"
    return [
        WallNumber(key="output", zh="产出 / 目标", en="Output / target", value=good, target=plan, unit="pcs", note_zh=behind, note_en=behind),
        WallNumber(
            key="oee",
            zh="OEE 本班",
            en="OEE this shift",
            value=_round(found.oee),
            target=oee.target_of(at.model, scope),
            unit="ratio",
            note_zh=f"已知 {cover}",
            note_en=f"{cover} known",
        ),
        _demand(session, kit, at, line, good),
    ]


def _output(session: Session, at: Moment, line: str | None) -> tuple[int, int | None]:
    """Pieces that left: of the site those of last operations, of a line those of its last machines."""
    if line is None:
        return sum(at.last_good.values()), planned_output(session, at)
    ends = line_ends(at.model, line)
    rows = [(one, part) for one, part in zip(at.prepared, at.parts, strict=True) if one.machine.code in ends]
    goals = [target(at, one, part) for one, part in rows]
    known = [goal for goal in goals if goal is not None]
    return sum(part.good for _, part in rows), sum(known) if known and len(known) == len(goals) else None


def line_ends(model: plant.PlantModel, line: str) -> set[str]:
    """The machines a line's pieces leave from: those of the class that stands last in it."""
    machines = model.machines_in(f"line:{line}")
    if not machines:
        return set()
    last = machines[-1].machine_class
    return {one.code for one in machines if one.machine_class == last}


def _demand(session: Session, kit: Kit, at: Moment, line: str | None, good: int) -> WallNumber:
    """Mean power of the last whole quarter hour against the agreed maximum (the meter's rated power), and energy per good piece."""
    meters = energy.meters_in(at.model, f"line:{line}") if line is not None else list(at.model.meters.values())
    incomers = [one for one in meters if one.kind == "incomer"]
    chosen = incomers or [one for one in meters if one.kind == "machine"]
    zone = energy.zone_of(at.model, kit.zone)
    start = at.window[0]
    found = energy.series(session, [one.code for one in chosen], min(start, at.now_ms - 2 * QUARTER_MS), at.now_ms)
    borders = bucket_borders(at.now_ms - 2 * QUARTER_MS, at.now_ms, 900, zone, whole=True)[-2:]
    peaks = [demand_block(found[one.code], borders) for one in chosen]
    spent = [used(found[one.code], start, at.now_ms).total for one in chosen]
    watts = None if not peaks or any(peak is None for peak in peaks) else round(sum(peak.w for peak in peaks if peak is not None), 1)
    wh = None if not spent or any(one is None for one in spent) else sum(one for one in spent if one is not None)
    per = f"{wh / good / 1000:.2f} kWh" if wh is not None and good > 0 else "—"
    limits = [one.rated_power_w for one in incomers]
    limit = sum(one for one in limits if one is not None) if limits and all(one is not None for one in limits) else None
    return WallNumber(
        key="demand",
        zh="电力 15 分钟需量",
        en="Power, 15-min demand",
        value=watts,
        target=limit,
        unit="W",
        note_zh=f"每件 {per}",
        note_en=f"{per} a piece",
    )
