"""Figures from the ledger. Conventions are the product's published ones (ISO 22400-2; see the manual), the code is not.

Times are ms UTC; windows half open. `unknown` are stretches in which the product may say "no data" (checked elsewhere to be explained).
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simulators.ledger import Ledger
from simulators.physics.calendar import Calendar
from simulators.scenario import Scenario

Span = tuple[int, int]
OpKey = tuple[str, int]  # order, operation


@dataclass(frozen=True, slots=True)
class Pieces:
    """`good` and `scrap` that count for this machine and operation at `at_ms`; negative where a person takes back."""

    at_ms: int
    machine: str
    order: str
    operation: int
    good: int
    scrap: int


@dataclass(frozen=True, slots=True)
class OeeTruth:
    """ISO 22400-2 figures of one machine and window; seconds; None where the figure is not defined."""

    planned_s: float
    pbt_s: float
    apt_s: float
    aust_s: float
    good: int
    scrap: int
    a: float | None
    p: float | None
    q: float | None
    oee: float | None


class Truth:
    """Everything up to `end_ms` (exclusive)."""

    def __init__(self, ledger: Ledger, scenario: Scenario, start_ms: int, end_ms: int) -> None:
        self.scenario, self.start_ms, self.end_ms = scenario, start_ms, end_ms
        self.calendar = Calendar(scenario)
        self._states: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
        for at_ms, machine, state, alarm in ledger.rows("state", "at_ms, machine, state, alarm"):
            self._states[machine].append((at_ms, state, alarm))
        self.items: dict[str, str] = {}
        for _, kind, data in ledger.rows("erp", "at_ms, kind, data"):
            if kind == "order":
                order = json.loads(data)["data"]
                self.items[order["number"]] = order["item"]
        self.pieces = sorted(self._counted(ledger) + self._told(ledger), key=lambda p: p.at_ms)
        self.lots: dict[OpKey, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self.lot_item: dict[str, str] = {}
        for _, number, operation, item, lot, quantity in ledger.rows("lot", 'at_ms, "order", operation, item, lot, quantity'):
            self.lots[number, operation][lot] += quantity
            self.lot_item[lot] = item
        self.serials: dict[str, str] = {}
        for _, kind, stray, body in ledger.rows("act", "at_ms, type, stray, body"):
            if kind == "material.produce" and not stray:
                act = json.loads(body)
                self.serials[act["serial"]] = act["operation"].split("/")[0]
        self._power: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
        for at_ms, meter, watts, var in ledger.rows("power", "at_ms, meter, watts, var"):
            self._power[meter].append((at_ms, watts, var))
        self.outages = self._plc_outages(ledger)

    # --- pieces -------------------------------------------------------------------------------------------------------------

    def _counted(self, ledger: Ledger) -> list[Pieces]:
        return [Pieces(*row) for row in ledger.rows("count", 'at_ms, machine, "order", operation, good, scrap')]

    def _told(self, ledger: Ledger) -> list[Pieces]:
        """Reports, corrections and undos as one list of signed pieces. A machine-counted operation's scrap is moved from good to scrap.

        A report taken back or corrected counts with its last figures at the moment of the report.
        """
        told: dict[str, tuple[int, str, str, int, int]] = {}
        for at_ms, kind, event_id, stray, raw in ledger.rows("act", "at_ms, type, event_id, stray, body"):
            if stray:
                continue
            body: dict[str, Any] = json.loads(raw)
            if kind == "production.report":
                told[event_id] = (at_ms, body["operation"], body["machine"], body["good"], body["scrap"])
            elif kind == "production.correct":
                at, operation, machine, _, _ = told[body["reverses"]]
                told[body["reverses"]] = (at, operation, machine, body["good"], body["scrap"])
            elif kind == "production.undo":
                del told[body["reverses"]]
        found = []
        for at_ms, operation, machine, good, scrap in told.values():
            order, _, number = operation.partition("/")
            moved = good - scrap if self.scenario.operation(int(number)).counting == "machine" else good
            found.append(Pieces(at_ms, machine, order, int(number), moved, scrap))
        return found

    def counts(self, from_ms: int, to_ms: int) -> dict[tuple[str, str], tuple[int, int]]:
        """(machine, "WO-1001/20") -> (good, scrap) of the window."""
        sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        for piece in self.pieces:
            if from_ms <= piece.at_ms < to_ms:
                held = sums[piece.machine, f"{piece.order}/{piece.operation}"]
                held[0] += piece.good
                held[1] += piece.scrap
        return {key: (good, scrap) for key, (good, scrap) in sums.items()}

    def operations(self) -> dict[str, tuple[int, int]]:
        """ "WO-1001/20" -> (good, scrap) of everything."""
        sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for (_, operation), (good, scrap) in self.counts(self.start_ms, self.end_ms).items():
            sums[operation][0] += good
            sums[operation][1] += scrap
        return {operation: (good, scrap) for operation, (good, scrap) in sums.items()}

    # --- states -------------------------------------------------------------------------------------------------------------

    def states(self, machine: str, from_ms: int, to_ms: int) -> list[tuple[int, int, str]]:
        """True states of the window, neighbours of the same state joined (an alarm may change inside a state)."""
        found: list[tuple[int, int, str]] = []
        rows = self._states[machine]
        for index, (at_ms, state, _) in enumerate(rows):
            end = rows[index + 1][0] if index + 1 < len(rows) else self.end_ms
            begin, end = max(at_ms, from_ms), min(end, to_ms)
            if begin >= end:
                continue
            if found and found[-1][2] == state and found[-1][1] == begin:
                found[-1] = (found[-1][0], end, state)
            else:
                found.append((begin, end, state))
        return found

    def state_seconds(self, machine: str, from_ms: int, to_ms: int, unknown: Iterable[Span] = ()) -> dict[str, float]:
        """Seconds in each state, the unknown stretches left out."""
        sums: dict[str, int] = defaultdict(int)
        holes = list(unknown)
        for begin, end, state in self.states(machine, from_ms, to_ms):
            sums[state] += end - begin - overlap((begin, end), holes)
        return {state: ms / 1000.0 for state, ms in sums.items() if ms}

    # --- OEE ----------------------------------------------------------------------------------------------------------------

    def shifts(self) -> list[tuple[str, str, int, int]]:
        """(day, shift, from, to) clipped to what is known."""
        return [(w.day, w.shift, max(w.from_ms, self.start_ms), min(w.to_ms, self.end_ms)) for w in self.calendar.between(self.start_ms, self.end_ms)]

    def planned(self, from_ms: int, to_ms: int) -> list[Span]:
        spans: list[Span] = []
        for window in self.calendar.between(from_ms, to_ms):
            at = window.from_ms
            for begin, end in (*window.breaks, (window.to_ms, window.to_ms)):
                clipped = (max(at, from_ms), min(begin, to_ms))
                if clipped[0] < clipped[1]:
                    spans.append(clipped)
                at = end
        return spans

    def oee(self, machine: str, from_ms: int, to_ms: int, unknown: Iterable[Span] = ()) -> OeeTruth:
        holes = list(unknown)
        planned = self.planned(from_ms, to_ms)
        planned_ms = sum(end - begin for begin, end in planned)
        known_ms = planned_ms - sum(overlap(span, holes) for span in planned)
        apt = aust = extra = 0
        for begin, end, state in self.states(machine, from_ms, to_ms):
            if state not in ("producing", "setup"):
                continue
            known = end - begin - overlap((begin, end), holes)
            outside = known - sum(_clip((begin, end), span, holes) for span in planned)
            if state == "producing":
                apt += known
                extra += outside
            else:
                aust += known - outside
        pbt = known_ms + extra
        good = scrap = 0
        ideal_good = ideal_all = 0.0
        for (at_machine, operation), (some_good, some_scrap) in self.counts(from_ms, to_ms).items():
            if at_machine != machine:
                continue
            order, _, number = operation.partition("/")
            cycle = self.scenario.product(self.items[order]).cycle_s[int(number)]
            good, scrap = good + some_good, scrap + some_scrap
            ideal_good += cycle * some_good
            ideal_all += cycle * (some_good + some_scrap)
        return OeeTruth(
            planned_ms / 1000,
            pbt / 1000,
            apt / 1000,
            aust / 1000,
            good,
            scrap,
            a=apt / pbt if pbt else None,
            p=ideal_all / (apt / 1000) if apt else None,
            q=ideal_good / ideal_all if ideal_all else None,
            oee=ideal_good / (pbt / 1000) if pbt else None,
        )

    # --- energy -------------------------------------------------------------------------------------------------------------

    def energy(self, meter: str, from_ms: int, to_ms: int) -> tuple[float, float]:
        """(Wh, varh) of the window: the integral of the piecewise constant load."""
        wh = varh = 0.0
        rows = self._power[meter]
        for index, (at_ms, watts, var) in enumerate(rows):
            begin = max(at_ms, from_ms)
            end = min(rows[index + 1][0] if index + 1 < len(rows) else self.end_ms, to_ms)
            if begin < end:
                hours = (end - begin) / 3_600_000
                wh += watts * hours
                varh += var * hours
        return wh, varh

    def load_at(self, meter: str, at_ms: int) -> float:
        rows = self._power[meter]
        index = bisect_right(rows, at_ms, key=lambda row: row[0]) - 1
        return rows[index][1] if index >= 0 else 0.0

    def calm_edge(self, meter: str, from_ms: int, to_ms: int, step_ms: int = 20_000, around_ms: int = 80_000) -> tuple[int, float]:
        """The moment in [from, to] around which the load varies least, and by how many watts it varies there.

        A window should begin where the load is steady: between two readings a meter says nothing about when its load changed.
        """
        best, best_range = from_ms, float("inf")
        rows = self._power[meter]
        for at in range(from_ms - from_ms % step_ms + step_ms, to_ms, step_ms):
            near = [watts for when, watts, _ in rows if at - around_ms <= when <= at + around_ms]
            near.append(self.load_at(meter, at - around_ms))
            spread = max(near) - min(near)
            if spread < best_range:
                best, best_range = at, spread
        return best, best_range

    # --- genealogy and ERP ----------------------------------------------------------------------------------------------------

    def lots_of_order(self, order: str) -> dict[str, float]:
        """lot -> quantity over all operations of the order."""
        sums: dict[str, float] = defaultdict(float)
        for (number, _), lots in self.lots.items():
            if number == order:
                for lot, quantity in lots.items():
                    sums[lot] += quantity
        return dict(sums)

    def serials_of_order(self, order: str) -> set[str]:
        return {serial for serial, number in self.serials.items() if number == order}

    # --- gaps the plant itself explains ---------------------------------------------------------------------------------------

    def _plc_outages(self, ledger: Ledger) -> list[tuple[str, int, int]]:
        down: dict[str, int] = {}
        found = []
        for at_ms, line, up, _ in ledger.rows("plc", "at_ms, line, up, fault"):
            if up and line in down:
                found.append((line, down.pop(line), at_ms))
            elif not up:
                down[line] = at_ms
        found += [(line, at_ms, self.end_ms) for line, at_ms in down.items()]
        return found


def overlap(span: Span, holes: Iterable[Span]) -> int:
    """How many ms of `span` lie in the (disjoint) holes."""
    return sum(max(0, min(span[1], end) - max(span[0], begin)) for begin, end in holes)


def _clip(span: Span, inside: Span, holes: Iterable[Span]) -> int:
    """Known ms of `span` that lie in `inside`."""
    begin, end = max(span[0], inside[0]), min(span[1], inside[1])
    return max(0, end - begin) - overlap((begin, end), holes) if begin < end else 0


def union(spans: Iterable[Span]) -> list[Span]:
    """Sorted, disjoint."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found
