"""The people: what they key in at the tablets, when, and what they get wrong.

Every act is planned as a moment of plant time and comes out as an ActEvent. `stray` acts are second scans that must have no effect.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from edge_agent.contract.clock import iso
from simulators.physics.events import ActEvent, uuid7
from simulators.physics.machine import Machine
from simulators.physics.orders import Lot, OpRun, Order

if TYPE_CHECKING:
    from simulators.physics.plant import Plant

LEAKS_UNTIL_HOLD = 4
LONG_STOP_MS = 1_800_000


class Crew:
    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._scenario = plant.scenario
        self._rng = random.Random(f"{plant.scenario.seed}/people")
        self._number = 0
        self._castings: dict[str, Lot] = {}
        self._roster = {
            (person.shift, station): person.code for person in plant.scenario.people if person.role == "operator" for station in person.stations
        }

    # --- the tablet ---------------------------------------------------------------------------------------------------------

    def at_work(self, at_ms: int) -> int:
        """That moment, or the first minute after the break it falls into."""
        end = self._plant.calendar.break_end(at_ms)
        return at_ms if end is None else end + self._rng.randrange(5_000, 40_000)

    def _act(self, at_ms: int, station: str, kind: str, body: dict[str, Any], *, person: str = "", stray: bool = False) -> str:
        """Plans one act; gives its event id at once."""
        self._number += 1
        event_id = uuid7(at_ms, f"{self._scenario.seed}/{self._plant.start_ms}/act/{self._number}")
        who = person or self._roster[self._plant.calendar.shift_at(at_ms).shift, station]
        self._plant.at(at_ms, lambda: self._plant.out.append(ActEvent(at_ms, station, who, kind, body, event_id, stray)))
        return event_id

    def _station(self, machine: Machine) -> str:
        return self._scenario.station_of(machine.spec.code)

    @staticmethod
    def _operation(order: Order, number: int) -> str:
        return f"{order.number}/{number}"

    def _before_shift_end(self, at_ms: int) -> int:
        """At most one to two minutes before the shift of *now* ends (when that still lies ahead), so that a shift's figures are whole."""
        last = self._plant.calendar.shift_at(self._plant.now).to_ms - self._rng.randrange(60_000, 120_000)
        return min(at_ms, last) if last > self._plant.now else at_ms

    # --- operations ---------------------------------------------------------------------------------------------------------

    def start(self, machine: Machine, order: Order, delay_ms: int) -> None:
        number = machine.operation.number
        run = order.runs[number]
        run.started = True
        run.running_on.append(machine.spec.code)
        at_ms = self._plant.now + delay_ms
        body = {"operation": self._operation(order, number), "machine": machine.spec.code}
        self._act(at_ms, self._station(machine), "operation.start", body)
        if self._rng.random() < self._scenario.mess.double_scan:
            self._act(at_ms + 1300, self._station(machine), "operation.start", dict(body), stray=True)

    def leave(self, machine: Machine, order: Order) -> None:
        """The machine goes on to another order: its old operation ends here (interrupted; completed when the last machine is done)."""
        run = order.runs[machine.operation.number]
        if run.completed or machine.spec.code not in run.running_on:
            return
        run.running_on.remove(machine.spec.code)
        if run.done:
            return  # its completion is planned, or just comes
        body = {"operation": self._operation(order, machine.operation.number), "machine": machine.spec.code}
        self._act(self._plant.now, self._station(machine), "operation.interrupt", body)

    def complete(self, order: Order, number: int) -> None:
        """All pieces are through: tell what is untold, then complete."""
        run, plant = order.runs[number], self._plant
        machine = plant.of_operation[number][0]
        when = self.at_work(max(plant.now + self._rng.randrange(15_000, 45_000), run.pending_until + 5_000))
        run.pending_until = when

        def tell() -> None:
            if run.unreported_good or run.unreported_scrap:
                self._report(machine, order, run, plain=True)

        def finish() -> None:
            run.completed = True
            run.running_on.clear()

        plant.at(when - 6_000, tell)
        plant.at(when, finish)
        self._act(when, self._station(machine), "operation.complete", {"operation": self._operation(order, number)})

    # --- pieces -------------------------------------------------------------------------------------------------------------

    def piece_done(self, machine: Machine, order: Order, reason: str, serial: str) -> None:
        number = machine.operation.number
        run = order.runs[number]
        if machine.operation.counting == "person":
            run.unreported_good += not reason
            run.unreported_scrap += bool(reason)
            run.scrap_reason = reason or run.scrap_reason
            self._report_later(machine, order, run)
        elif reason and machine.spec.scrap_by == "person":
            self._found_bad(machine, order, run, reason)
        elif reason and self._rng.random() < 0.3:
            at_ms = self._plan(run, self.at_work(self._plant.now + self._rng.randrange(30_000, 90_000)))
            subject = {"kind": "operation", "code": self._operation(order, number)}
            body = {"subject": subject, "code": reason, "quantity": 1, "hold": False}
            self._act(at_ms, self._station(machine), "defect.log", body)
        if serial:
            at_ms = self._plan(run, self.at_work(self._plant.now + self._rng.randrange(8_000, 20_000)))
            body = {"operation": self._operation(order, number), "machine": machine.spec.code, "serial": serial, "quantity": 1}
            self._act(at_ms, self._station(machine), "material.produce", body)
            if self._rng.random() < self._scenario.mess.double_scan:
                self._act(at_ms + 1500, self._station(machine), "material.produce", dict(body), stray=True)

    @staticmethod
    def _plan(run: OpRun, at_ms: int) -> int:
        run.pending_until = max(run.pending_until, at_ms)
        return at_ms

    def _found_bad(self, machine: Machine, order: Order, run: OpRun, reason: str) -> None:
        """The machine has counted it good; a person takes it out some minutes later."""
        late = self.at_work(self._plant.now + self._rng.randrange(60_000, 500_000))
        at_ms = self._plan(run, max(self._plant.now + 3_000, self._before_shift_end(late)))
        body = {
            "operation": self._operation(order, machine.operation.number),
            "machine": machine.spec.code,
            "good": 0,
            "scrap": 1,
            "reason": reason,
            "origin": "pad",
        }
        self._act(at_ms, self._station(machine), "production.report", body)

    def _report_later(self, machine: Machine, order: Order, run: OpRun) -> None:
        if run.timer:
            return
        run.timer = True
        late = self.at_work(self._plant.now + self._rng.randrange(1_000_000, 2_200_000))
        at_ms = self._before_shift_end(late)

        def fire() -> None:
            run.timer = False
            if not run.done and (run.unreported_good or run.unreported_scrap):
                self._report(machine, order, run, plain=False)

        self._plant.at(at_ms, fire)

    def _report(self, machine: Machine, order: Order, run: OpRun, *, plain: bool) -> None:
        """Says what was made since the last report; sometimes wrongly, and puts it right."""
        plant, mess, rng = self._plant, self._scenario.mess, self._rng
        good, scrap, now = run.unreported_good, run.unreported_scrap, self._plant.now
        run.unreported_good = run.unreported_scrap = 0
        station = self._station(machine)
        body: dict[str, Any] = {
            "operation": self._operation(order, machine.operation.number),
            "machine": machine.spec.code,
            "good": good,
            "scrap": scrap,
            "origin": "chip",
        }
        if scrap:
            body["reason"] = run.scrap_reason
        room = plant.calendar.shift_at(now).to_ms - now > 900_000
        draw = rng.random()
        if plain or not room or draw >= mess.over_report + mess.undo:
            self._act(self._plan(run, now), station, "production.report", body)
        elif draw < mess.over_report:
            wrong = self._act(self._plan(run, now), station, "production.report", {**body, "good": good + rng.randrange(1, 5)})
            later = self._plan(run, self.at_work(now + rng.randrange(120_000, 400_000)))
            fix = {"reverses": wrong, "good": good, "scrap": scrap, "reason": "miscount", "note": "数错了"}
            self._act(later, station, "production.correct", fix)
        else:
            wrong = self._act(self._plan(run, now), station, "production.report", {**body, "good": good + 10})
            self._act(self._plan(run, now + 4_000), station, "production.undo", {"reverses": wrong})
            self._act(self._plan(run, now + 11_000), station, "production.report", body)

    # --- stops --------------------------------------------------------------------------------------------------------------

    def breakdown(self, machine: Machine, from_ms: int, until_ms: int) -> None:
        alarm = next(a for a in machine.alarms if a.code == machine.alarm)
        station = self._station(machine)
        if until_ms - from_ms > 600_000:
            call = self._act(from_ms + 120_000, station, "help.call", {"machine": machine.spec.code, "kind": "maintenance"})
            self._act(from_ms + 480_000, station, "help.answer", {"call": call})  # the fitter is there
        order, number = machine.order, machine.operation.number
        if order is not None and until_ms - from_ms > LONG_STOP_MS and self.at_work(from_ms + 300_000) == from_ms + 300_000:
            body = {"operation": self._operation(order, number), "machine": machine.spec.code}
            self._act(from_ms + 300_000, station, "operation.interrupt", body)
            self._act(until_ms - 2_000, station, "operation.start", dict(body))
        self.explain(machine, from_ms, until_ms, alarm.reason)

    def explain(self, machine: Machine, from_ms: int, until_ms: int, reason: str) -> None:
        if self._rng.random() < 0.85:
            at_ms = self.at_work(until_ms + self._rng.randrange(60_000, 300_000))
            body = {"machine": machine.spec.code, "stop_from": iso(from_ms), "reason": reason}
            self._act(at_ms, self._station(machine), "stop.explain", body)

    # --- material -----------------------------------------------------------------------------------------------------------

    def consume(self, machine: Machine, order: Order, lot: Lot, quantity: float, casting: bool) -> None:
        number = machine.operation.number
        if casting:
            self._castings[order.number] = lot
        amount: float = int(quantity) if float(quantity).is_integer() else quantity
        body = {"operation": self._operation(order, number), "lot": lot.code, "quantity": amount}
        self._act(self._plant.now, self._station(machine), "material.consume", body)

    def casting_of(self, order: Order) -> Lot:
        return self._castings[order.number]

    def receive(self, lot: Lot, operation: int) -> None:
        machine = self._plant.of_operation[operation][0]
        amount: float = int(lot.quantity) if float(lot.quantity).is_integer() else lot.quantity
        body = {"lot": lot.code, "item": lot.item, "quantity": amount, "supplier": lot.supplier}
        self._act(self._plant.now, self._station(machine), "material.receive", body)

    def casting_leaks(self, order: Order) -> None:
        """The leak tester finds a casting porous: after a few of one lot the inspector blocks what is left of it."""
        lot = self._castings.get(order.number)
        if lot is None or lot.on_hold:
            return
        lot.scrap_seen += 1
        if lot.scrap_seen >= LEAKS_UNTIL_HOLD:
            lot.on_hold = True
            body = {"subject": {"kind": "lot", "code": lot.code}, "reason": "POR", "note": "多件泄漏，疑似铸件气孔"}
            self._act(self.at_work(self._plant.now + 240_000), "ST-LEAK", "hold.place", body, person="P201")
