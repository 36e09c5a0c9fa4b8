"""`gemba-sim check`: runs plant and product, lets them drain, and compares what the product says with the ledger of truth."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge_agent.contract.clock import PlantClock, iso
from simulators import collect, compare
from simulators.compare import Excuse, Finding
from simulators.faults import FaultRun, plan
from simulators.meters import MAPS
from simulators.model import settle_s
from simulators.mutants import Mutant
from simulators.oracle import Truth
from simulators.oracle.truth import Span
from simulators.physics import Plant
from simulators.scenario import Scenario, load
from simulators.stack import Stack, StackError, StackOptions

DRAIN_S = 120.0
READINGS_S = 75.0  # plant seconds between two readings the product keeps (one a minute)
RESOLUTION_S = 5.0  # plant seconds between two proofs that a source is watched (edge heartbeat)
RESOLUTION_REAL_S = 2.0  # what the same costs in real time beside the settling: heartbeat and publishing of a fast plant


class TooSlow(StackError):
    """The plant's first event came before everything stood."""


@dataclass(frozen=True, slots=True)
class CheckOptions:
    scenario: str
    hours: float
    speed: float
    seed: int | None = None
    faults: str = ""
    mutant: str = ""
    folder: Path | None = None


@dataclass(slots=True)
class Report:
    """`ok` only if everything held and everything was compared."""

    findings: list[Finding]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return bool(self.findings) and all(one.ok for one in self.findings)

    def json(self) -> str:
        rows = [{**asdict(one), "ok": one.ok} for one in self.findings]
        return json.dumps({"ok": self.ok, **self.facts, "findings": rows}, ensure_ascii=False, indent=1)


async def check(options: CheckOptions, say: Callable[[str], None] = print) -> Report:
    """Runs it all in `folder` (a temporary one by default). Raises StackError when the stack itself fails."""
    if options.folder is not None:
        if options.folder.exists() and any(options.folder.iterdir()):
            raise StackError(f"{options.folder} is not empty: name a new folder with --keep")
        return await _patient(options, options.folder, say)
    with tempfile.TemporaryDirectory(prefix="gemba-check-", ignore_cleanup_errors=True) as name:
        return await _patient(options, Path(name), say)


async def _patient(options: CheckOptions, folder: Path, say: Callable[[str], None]) -> Report:
    """A second try with twice the time to start, should the machine have been too busy for the first."""
    boot_s = boot_time_s()
    try:
        return await _check(options, folder, boot_s, say)
    except TooSlow as error:
        say(f"  {error}; once more, with more time")
        shutil.rmtree(folder)
        return await _check(options, folder, 2 * boot_s, say)


def boot_time_s() -> float:
    """Real seconds the stack gets before the plant's first event: more on a machine that is busy."""
    return min(90.0, 16.0 + 6.0 * os.getloadavg()[0] / (os.cpu_count() or 1))


async def _check(options: CheckOptions, folder: Path, boot_s: float, say: Callable[[str], None]) -> Report:
    scenario = load(options.scenario, options.seed)
    if scenario.start_ms is None:
        raise StackError(f"scenario {scenario.name} has no start; check needs one")
    start_ms, end_ms = scenario.start_ms, scenario.start_ms + round(options.hours * 3_600_000)
    faults = plan(options.faults, scenario, start_ms, end_ms, options.speed)
    clock = PlantClock(start_ms, PlantClock().now_ms() / 1000.0 + boot_s, options.speed)
    plant = Plant(scenario, start_ms, faults.outages)
    settings = StackOptions(speed=options.speed, links=bool(options.faults), uploads=faults.uploads, desk_every_s=1.5)
    stack = Stack(folder, scenario, plant, clock, settings, end_ms)
    mutant = Mutant(options.mutant) if options.mutant else None
    if mutant is not None:
        mutant.install(stack.field)
    stack.field.adopt(plant.advance(start_ms))
    began = time.monotonic()
    try:
        await stack.start(lambda text: say(f"  starting {text}"))
        await stack.ready_for_the_first_event()
        if clock.now_ms() > start_ms:
            raise TooSlow(f"the stack took longer than {boot_s:.0f} s to start: nothing was compared")
        say(f"  ready after {time.monotonic() - began:.1f} s; {options.hours:g} plant hours at ×{options.speed:g}")
        stack.desk.start()
        run = FaultRun(faults, stack, say)
        await asyncio.gather(_watch(stack, end_ms, say), run.run())
        await stack.desk.stop()
        say("  draining")
        drained = await drain(stack, end_ms)
        if stack.field.late_s > settle_s(options.speed) / 2:
            say(f"  this machine is too busy: the simulated PLCs were up to {stack.field.late_s:.2f} s late")
        say(f"  comparing{'' if drained else ' (it did not drain completely)'}")
        truth = Truth(stack.ledger, scenario, start_ms, end_ms)
        findings = await findings_of(stack, truth, run.excuses(end_ms), scenario, options.speed)
        facts = {
            "scenario": scenario.name,
            "seed": scenario.seed,
            "hours": options.hours,
            "speed": options.speed,
            "faults": options.faults,
            "mutant": options.mutant,
            "mutant_hits": mutant.hits if mutant else [],
            "from": iso(start_ms),
            "to": iso(end_ms),
            "drained": drained,
            "acts": stack.tablets.sent if stack.tablets else 0,
            "replays": stack.tablets.replayed if stack.tablets else 0,
            "refused_at_first": _refused(stack),
            "fault_log": run.log,
            "plc_late_s": round(stack.field.late_s, 3),
            "simulator_stalls_s": [round((to_ms - from_ms) / 1000 / options.speed, 1) for from_ms, to_ms in stack.field.stalls],
            "real_s": round(time.monotonic() - began, 1),
        }
        return Report(findings, facts)
    finally:
        await stack.stop()


def _refused(stack: Stack) -> list[str]:
    """Kinds of acts the server refused when they first came (they went to the supervisor's list)."""
    refused = stack.tablets.refused if stack.tablets else []
    return sorted({f"{one.act.type} {one.problem.get('code', '?')}" for one in refused if not one.act.stray})


async def _watch(stack: Stack, end_ms: int, say: Callable[[str], None]) -> None:
    """Until the plant's end; says how far it is every ten seconds."""
    said = time.monotonic()
    while not stack.field.over:
        await asyncio.sleep(0.2)
        stack.alive()
        if time.monotonic() - said > 10:
            said = time.monotonic()
            waiting = stack.tablets.waiting if stack.tablets else 0
            say(f"  plant {iso(min(stack.clock.now_ms(), end_ms))}  acts sent {stack.tablets.sent if stack.tablets else 0}, waiting {waiting}")


async def drain(stack: Stack, end_ms: int) -> bool:
    """Everything on its way arrives: tablets, edges' buffers, the planner's and supervisor's lists, the ERP's outbox."""
    assert stack.tablets is not None
    strays = frozenset(row[0] for row in stack.ledger.rows("act", "event_id, stray") if row[1])
    deadline = time.monotonic() + DRAIN_S
    if not await stack.tablets.drain(DRAIN_S):
        return False
    while time.monotonic() < deadline:
        await stack.desk.round(strays)
        health = await stack.api.get("/health/system")
        waiting = sum(edge["waiting"] or 0 for edge in health["edges"])
        known = await _known_until(stack, end_ms)
        erp = await stack.api.get("/erp/status")
        erp_waits = erp["outbox_waiting"] + erp["refused"] + erp["not_yet_sent"]
        if known and not erp_waits and not stack.desk.unsettled and waiting <= 4 * len(health["edges"]):
            return True
        await asyncio.sleep(0.5)
    return False


async def _known_until(stack: Stack, end_ms: int) -> bool:
    """The product knows every machine up to the plant's end."""
    for spec in stack.scenario.machines:
        rows = await stack.api.get("/states", machine=spec.code, **{"from": iso(end_ms - 60_000), "to": iso(end_ms)})
        if not rows or not rows[-1]["known"]:
            return False
    return True


async def findings_of(stack: Stack, truth: Truth, excuses: list[Excuse], scenario: Scenario, speed: float) -> list[Finding]:
    """All comparisons."""
    api, start_ms, end_ms = stack.api, truth.start_ms, truth.end_ms
    found_gaps = await collect.gaps(api, start_ms, end_ms)
    missing: dict[str, int] = {}
    for row in found_gaps:
        if row["counter_reset"] and row["machine"]:
            missing[row["machine"]] = missing.get(row["machine"], 0) + (row["parts_max"] or 0)
    findings = [_gaps(found_gaps, excuses, truth, speed)]
    said_states = await _states(stack, truth)
    findings += await _pieces(stack, truth, missing, _holes(said_states))
    findings += await _times(stack, truth, said_states)
    findings += await _energy(stack, truth)
    findings += await _material(stack, truth, missing)
    verdict = await api.get("/journal/verify")
    findings.append(compare.facts("journal chain", {"ok": True, "bad_seq": None}, verdict))
    findings.append(compare.facts("acts left to decide", {"open": 0}, {"open": len(await api.pages("/decide"))}))
    return findings


async def history_findings(stack: Stack, truth: Truth) -> list[Finding]:
    """A history that came in late, compared as if it had never been late: pieces, states, OEE. (Its loads are only kept by the minute.)"""
    api, start_ms, end_ms = stack.api, truth.start_ms, truth.end_ms
    excuses = [
        Excuse(m.code, from_ms, to_ms, "PLC restarted") for line, from_ms, to_ms in truth.outages for m in truth.scenario.machines if m.line == line
    ]
    found = [gap for row in await collect.gaps(api, start_ms, end_ms) if (gap := collect.gap(row, start_ms, end_ms))]
    findings = [compare.gaps("gaps are explained", found, excuses, 0, 0)]
    said_states = await _states(stack, truth)
    findings += await _pieces_by_shift(stack, truth, {}, _holes(said_states))
    findings += await _times(stack, truth, said_states)
    return findings


Said = dict[str, list[compare.Stretch]]  # machine -> its states as the product tells them
Holes = dict[str, list[Span]]  # machine -> when nobody could know anything


async def _states(stack: Stack, truth: Truth) -> Said:
    return {spec.code: await collect.states(stack.api, spec.code, truth.start_ms, truth.end_ms) for spec in truth.scenario.machines}


def _holes(said_states: Said) -> Holes:
    return {machine: [(begin, end) for begin, end, state in said if state == "no_data"] for machine, said in said_states.items()}


def _over_borders(holes: list[Span], begin: int, end: int) -> list[Span]:
    """Those that reach over the beginning or the end of a shift: what was made in them shows behind them, in whichever shift that is."""
    return [(first, last) for first, last in holes if first < begin <= last or first <= end < last]


def _gaps(rows: list[dict[str, Any]], excuses: list[Excuse], truth: Truth, speed: float) -> Finding:
    said = [gap for row in rows if (gap := collect.gap(row, truth.start_ms, truth.end_ms))]
    slack = round((RESOLUTION_S + (RESOLUTION_REAL_S + settle_s(speed)) * speed) * 1000)
    return compare.gaps("gaps are explained", said, excuses, slack, slack)


async def _pieces_by_shift(stack: Stack, truth: Truth, missing: dict[str, int], holes: Holes) -> list[Finding]:
    api, start_ms, end_ms = stack.api, truth.start_ms, truth.end_ms
    true = {key: pair for key, pair in truth.counts(start_ms, end_ms).items() if pair != (0, 0)}
    allowed = {key: missing.get(key[0], 0) for key in true}
    findings = [compare.counts("pieces by machine and operation", true, await collect.counts(api, start_ms, end_ms), allowed)]
    shifts_true: dict[tuple[str, ...], tuple[int, int]] = {}
    shifts_said: dict[tuple[str, ...], tuple[int, int]] = {}
    moved: dict[tuple[str, ...], int] = {}
    for day, shift, begin, end in truth.shifts():
        shifts_true |= {(day, shift, *key): pair for key, pair in truth.counts(begin, end).items() if pair != (0, 0)}
        shifts_said |= {(day, shift, *key): pair for key, pair in (await collect.counts(api, begin, end)).items()}
        for machine, unknown in holes.items():
            for first, last in _over_borders(unknown, begin, end):
                for key, pair in truth.counts(first, last + 1).items():
                    if key[0] == machine:
                        moved[(day, shift, *key)] = moved.get((day, shift, *key), 0) + sum(pair)
    by_machine = {key: missing.get(key[2], 0) for key in shifts_true}
    findings.append(compare.counts("pieces by machine, operation and shift", shifts_true, shifts_said, by_machine, moved))
    return findings


async def _pieces(stack: Stack, truth: Truth, missing: dict[str, int], holes: Holes) -> list[Finding]:
    findings = await _pieces_by_shift(stack, truth, missing, holes)
    orders = await collect.orders(stack.api)
    operations = {key: pair for key, pair in truth.operations().items() if pair != (0, 0)}
    by_operation = _allowed_operations(truth, missing)
    findings.append(compare.counts("pieces by operation of the order", operations, collect.operations(orders), by_operation))
    finished = {key.split("/")[0]: pair for key, pair in operations.items() if key.endswith("/90")}
    said = {number: (order["good"], next(op["scrap"] for op in order["operations"] if op["number"] == 90)) for number, order in orders.items()}
    said = {number: pair for number, pair in said.items() if pair != (0, 0)}
    findings.append(compare.counts("finished pumps by order", finished, said, {n: by_operation.get(f"{n}/90", 0) for n in finished}))
    return findings


def _allowed_operations(truth: Truth, missing: dict[str, int]) -> dict[str, int]:
    """Pieces that may be missing per operation where a counter was reset inside a gap."""
    allowed: dict[str, int] = {}
    for machine, operation in truth.counts(truth.start_ms, truth.end_ms):
        allowed[operation] = allowed.get(operation, 0) + missing.get(machine, 0)
    return allowed


async def _times(stack: Stack, truth: Truth, said_states: Said) -> list[Finding]:
    """States to the millisecond, seconds by shift, OEE by shift: outside what nobody could know."""
    api, holes = stack.api, _holes(said_states)
    true_states = {spec.code: truth.states(spec.code, truth.start_ms, truth.end_ms) for spec in truth.scenario.machines}
    times_only = set()
    seconds_true, seconds_said, oee_true, oee_said = {}, {}, {}, {}
    for day, shift, begin, end in truth.shifts():
        for machine, unknown in holes.items():
            key = f"{day} {shift} {machine}"
            seconds_true[key] = truth.state_seconds(machine, begin, end, unknown)
            seconds_said[key] = collect.seconds(said_states[machine], begin, end)
            oee_true[key] = truth.oee(machine, begin, end, unknown)
            oee_said[key] = await collect.oee(api, machine, begin, end)
            if _over_borders(unknown, begin, end):
                times_only.add(key)
    return [
        compare.changes("changes of state to the millisecond", true_states, said_states, holes),
        compare.states("state seconds by machine and shift", seconds_true, seconds_said),
        compare.figures("OEE by machine and shift", oee_true, oee_said, times_only),
    ]


async def _energy(stack: Stack, truth: Truth) -> list[Finding]:
    """Each meter over the longest window whose borders lie where its load is steady: what is asked is the meter's figure, not its polling."""
    edge_ms = min(20 * 60_000, (truth.end_ms - truth.start_ms) // 6)
    active: dict[str, compare.Energy] = {}
    reactive: dict[str, compare.Energy] = {}
    for meter in truth.scenario.meters:
        begin, first_w = truth.calm_edge(meter.code, truth.start_ms + 180_000, truth.start_ms + 180_000 + edge_ms)
        end, last_w = truth.calm_edge(meter.code, truth.end_ms - 180_000 - edge_ms, truth.end_ms - 180_000)
        between = (first_w + last_w) * READINGS_S / 4 / 3600  # a jump inside the minute of a border, read as a straight line
        true_wh, true_varh = truth.energy(meter.code, begin, end)
        wh, varh = await collect.energy(stack.api, meter.code, begin, end)
        shown_wh, shown_varh = stack.plant.meters.loads[meter.code].totals(truth.end_ms)
        make = MAPS[meter.make]
        active[meter.code] = compare.Energy(true_wh, wh, make.register("energy_import_wh").resolution(shown_wh) + between)
        reactive[meter.code] = compare.Energy(true_varh, varh, make.register("energy_reactive_varh").resolution(shown_varh) + between)
    machines = {m.machine: active[m.code] for m in truth.scenario.meters if m.machine}
    return [
        compare.energy("energy by meter (Wh)", active),
        compare.energy("energy by machine (Wh)", machines),
        compare.energy("reactive energy (varh)", reactive),
    ]


async def _material(stack: Stack, truth: Truth, missing: dict[str, int]) -> list[Finding]:
    """Genealogy from the product, quantities in the ERP's own books."""
    edges_true: dict[tuple[str, str, str], float] = {}
    edges_said: dict[tuple[str, str, str], float] = {}
    consumed_true: dict[tuple[str, str], float] = {}
    consumed_said: dict[tuple[str, str], float] = {}
    confirmed_said: dict[str, tuple[int, int]] = {}
    serials_true: dict[str, object] = {}
    serials_said: dict[str, object] = {}
    touched = {operation.split("/")[0] for operation in truth.operations()} | {order for order, _ in truth.lots} | set(truth.serials.values())
    for order in sorted(touched):
        for (number, operation), lots in truth.lots.items():
            if number == order:
                edges_true |= {(lot, order, f"{order}/{operation}"): amount for lot, amount in lots.items()}
        edges_true |= {(order, serial, f"{order}/90"): 1.0 for serial in truth.serials_of_order(order)}
        edges_said |= await collect.genealogy(stack.api, order)
        consumed_true |= {(order, lot): amount for lot, amount in truth.lots_of_order(order).items()}
        books = stack.field.books.order_totals(order)
        consumed_said |= {(order, row["lot"]): row["quantity"] for row in books["consumed"] if row["quantity"]}
        confirmed_said |= {f"{order}/{row['operation']}": (row["good"], row["scrap"]) for row in books["operations"] if row["good"] or row["scrap"]}
        serials_true[order] = sorted(truth.serials_of_order(order))
        serials_said[order] = sorted(serial for row in books["produced"] for serial in row["serials"])
    lots_true: dict[str, object] = {}
    lots_said: dict[str, object] = {}
    for serial in sorted(truth.serials)[:: max(1, len(truth.serials) // 20)]:
        lots_true[serial] = sorted(truth.lots_of_order(truth.serials[serial]))
        lots_said[serial] = sorted(await collect.lots_of_serial(stack.api, serial))
    operations = {key: pair for key, pair in truth.operations().items() if pair != (0, 0)}
    findings = [
        compare.edges("genealogy edges", edges_true, edges_said),
        compare.counts("ERP: confirmed pieces", operations, confirmed_said, _allowed_operations(truth, missing)),
        compare.edges("ERP: consumed lots", consumed_true, consumed_said),
        compare.facts("ERP: serials by order", serials_true, serials_said),
    ]
    if lots_true:
        findings.insert(1, compare.facts("lots in a serial", lots_true, lots_said))
    return findings
