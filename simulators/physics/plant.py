"""The plant as a discrete-event model: pieces flow through finite buffers, machines wear and fail, people set up and carry material.

All randomness comes from streams named after the machine or the matter, so that one thing's luck does not depend on another's.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from simulators.physics.calendar import Calendar
from simulators.physics.crew import Crew
from simulators.physics.energy import Meters
from simulators.physics.events import CountEvent, ErpEvent, Event, LotEvent, OfflineEvent, PieceEvent, PlcEvent, StateEvent, Value, VarEvent
from simulators.physics.machine import Cycle, Machine
from simulators.physics.orders import OPERATIONS, Order, OrderBook, Piece, Store, lot_record
from simulators.scenario import MachineSpec, Scenario

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class PlcOutage:
    """The PLC of `line` is away in [from_ms, to_ms). Its machines finish nothing from 150 s before until 60 s after."""

    line: str
    from_ms: int
    to_ms: int
    fault: bool = False

    @property
    def frozen(self) -> tuple[int, int]:
        return self.from_ms - 150_000, self.to_ms + 60_000


class Plant:
    """`advance(to_ms)` gives what happened in (last, to_ms], in time order."""

    def __init__(self, scenario: Scenario, start_ms: int, faults: tuple[PlcOutage, ...] = ()) -> None:
        self.scenario = scenario
        self.start_ms = self.now = start_ms
        self.calendar = Calendar(scenario)
        self.out: list[Event] = []
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._tick = 0
        self._pieces = 0
        self._serials = 0
        self.rng = random.Random(f"{scenario.seed}/plant")
        self.outages: list[PlcOutage] = list(faults)
        self._coming: list[PlcOutage] = []
        self.book = OrderBook(scenario)
        self.store = Store(scenario)
        self.crew = Crew(self)
        self.buffers: dict[int, list[Piece]] = {number: [] for number in OPERATIONS}
        self.machines = {spec.code: self._machine(spec) for spec in scenario.machines}
        self.of_operation = {o.number: [self.machines[code] for code in o.machines] for o in scenario.operations}
        self.meters = Meters(self)
        self._begin()

    # --- the engine ---------------------------------------------------------------------------------------------------------

    def at(self, at_ms: int, what: Callable[[], None]) -> None:
        self._tick += 1
        heapq.heappush(self._heap, (max(at_ms, self.now), self._tick, what))

    def after(self, seconds: float, what: Callable[[], None]) -> int:
        """Plans `what` that many seconds from now; the moment is a whole millisecond and is returned."""
        at_ms = self.now + max(1, round(seconds * 1000))
        self.at(at_ms, what)
        return at_ms

    def advance(self, to_ms: int) -> list[Event]:
        heap = self._heap
        while heap and heap[0][0] <= to_ms:
            self.now, _, what = heapq.heappop(heap)
            what()
        self.now = max(self.now, to_ms)
        events, self.out = self.out, []
        return events

    def next_ms(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    # --- the beginning ------------------------------------------------------------------------------------------------------

    def _machine(self, spec: MachineSpec) -> Machine:
        alarms = tuple(a for a in self.scenario.alarms if a.machine_class == spec.machine_class)
        rng = random.Random(f"{self.scenario.seed}/{spec.code}")
        machine = Machine(spec, self.scenario.operation_of_machine(spec.code), alarms, rng)
        machine.raw_good = spec.counter_start
        machine.draw_failure()
        machine.wear = rng.random() * 0.6 if spec.wear_pieces else 0.0
        return machine

    def _begin(self) -> None:
        for machine in self.machines.values():
            machine.since_ms = self.now
            for name, value in (("GoodCount", machine.raw_good), ("ScrapCount", 0), ("OrderId", ""), ("OperationId", ""), ("AlarmCode", "")):
                self._var(machine, name, value)
            self._var(machine, "CycleTime", 0.0)
            if machine.spec.wear_pieces:
                self._var(machine, "ToolWear", round(machine.wear, 4))
            machine.state = "?"
            self.set_state(machine, "idle", "", "start")
        for product in self.scenario.products:
            for component in self.scenario.components:
                self.out.append(ErpEvent(self.now, "lot", lot_record(self.store.deliver(component, product.code))))
        for _ in range(self.scenario.orders.open):
            self._new_order()
        self._day()
        first = self.book.orders[0]
        for machine in self.machines.values():  # everything stands prepared for the first order
            machine.busy = True
            self.after(machine.rng.uniform(40, 90), lambda m=machine: self._begin_setup(m, first, True))  # type: ignore[misc]

    def _new_order(self) -> None:
        self.out.append(ErpEvent(self.now, "order", self.book.new(self.now).erp()))

    def _day(self) -> None:
        """What chance and the clock bring in the 24 hours from now."""
        mess, rng = self.scenario.mess, self.rng
        if mess.plc_restart_line:
            down = self.calendar.at_local(self.now, mess.plc_restart_at)
            down += DAY_MS if down < self.now + 600_000 else 0
            outage = PlcOutage(mess.plc_restart_line, down, down + mess.plc_restart_s * 1000)
            if all(outage.to_ms != other.to_ms for other in self.outages):
                self.outages.append(outage)
        if self.now == self.start_ms:
            for outage in self.outages:
                self._plan_outage(outage)
        elif mess.plc_restart_line:
            self._plan_outage(self.outages[-1])
        for _ in range(self._poisson(mess.offline_per_day)):
            station = rng.choice(self.scenario.stations).code
            self.after(rng.uniform(600, 85_000), lambda s=station: self._offline(s))  # type: ignore[misc]
        for _ in range(self._poisson(self.scenario.orders.changes_per_day)):
            self.after(rng.uniform(1800, 85_000), self._erp_change)
        for _ in range(self._poisson(self.scenario.orders.cancel_per_day)):
            self.after(rng.uniform(1800, 85_000), self._erp_cancel)
        self.after(86_400, self._day)
        self.book.trim()

    def _poisson(self, mean: float) -> int:
        whole = int(mean)
        return whole + (1 if self.rng.random() < mean - whole else 0)

    # --- disturbances from outside --------------------------------------------------------------------------------------------

    def _plan_outage(self, outage: PlcOutage) -> None:
        self._coming = [one for one in self._coming if one.frozen[1] > self.now] + [outage]
        self.at(outage.from_ms, lambda: self.out.append(PlcEvent(self.now, outage.line, False, outage.fault)))
        self.at(outage.to_ms, lambda: self._plc_up(outage))

    def _plc_up(self, outage: PlcOutage) -> None:
        self.out.append(PlcEvent(self.now, outage.line, True, outage.fault))
        for machine in self.machines.values():
            if machine.spec.line == outage.line and not machine.spec.retentive:
                machine.raw_good = machine.raw_scrap = 0
                self._var(machine, "GoodCount", 0)
                self._var(machine, "ScrapCount", 0)

    def frozen_until(self, line: str) -> int | None:
        for outage in self._coming:
            begin, end = outage.frozen
            if outage.line == line and begin <= self.now < end:
                return end
        return None

    def _offline(self, station: str) -> None:
        self.out.append(OfflineEvent(self.now, station, self.now + self.scenario.mess.offline_s * 1000))

    def _erp_change(self) -> None:
        running = [o for o in self.book.orders if o.state == "released" and o.ahead[10] > 8][:3]
        if not running:
            return
        order = self.rng.choice(running)
        quantity = order.quantity + self.rng.choice((-5, 5, 10, 15))
        order.version += 1
        shown = order.erp()
        shown["data"]["quantity"] = quantity
        self.out.append(ErpEvent(self.now, "order", shown))
        self.after(self.rng.uniform(1200, 2400), lambda: self._adopt(order, quantity))

    def _adopt(self, order: Order, quantity: int) -> None:
        order.change_quantity(quantity)

    def _erp_cancel(self) -> None:
        order = next((o for o in reversed(self.book.orders) if o.state == "released" and not o.runs[10].started), None)
        if order is not None and order.cancel():
            order.version += 1
            self.out.append(ErpEvent(self.now, "order", order.erp()))
            self._new_order()

    # --- states and variables -----------------------------------------------------------------------------------------------

    def _var(self, machine: Machine, name: str, value: Value) -> None:
        machine.variables[name] = (value, self.now)
        self.out.append(VarEvent(self.now, machine.spec.code, name, value))

    def set_state(self, machine: Machine, state: str, alarm: str, cause: str) -> None:
        if machine.state == state and machine.alarm == alarm:
            return
        if machine.alarm != alarm:
            self._var(machine, "AlarmCode", alarm)
        if machine.state != state:
            self._var(machine, "StateCurrent", machine.codes[state])
        machine.state, machine.alarm, machine.since_ms = state, alarm, self.now
        self.out.append(StateEvent(self.now, machine.spec.code, state, alarm, cause))
        self.meters.state_changed(machine)

    # --- the flow -----------------------------------------------------------------------------------------------------------

    def wake(self, machine: Machine) -> None:
        """Looks whether the machine can do something; idempotent, called whenever something near it changed."""
        if machine.busy:
            return
        wait = self.frozen_until(machine.spec.line)
        if wait is not None:
            self._wake_at(machine, wait)
            return
        pause = self.calendar.break_end(self.now)
        if pause is not None and not machine.spec.runs_through_breaks:
            self.set_state(machine, "idle", "", "break")
            self._wake_at(machine, pause)
            return
        number = machine.operation.number
        if machine.order is None or machine.order.exhausted(number):
            following = self.book.next_for(number)
            if following is not None:
                self._changeover(machine, following)
            else:
                self.set_state(machine, "starved" if number > 10 else "idle", "", "no order")
            return
        if pause is None and machine.spec.wear_pieces and machine.wear >= 1.0 and not self.scenario.calm:
            self._change_tool(machine)
            return
        piece = self._take(machine, machine.order)
        if piece is None:
            self.set_state(machine, "starved", "", "no piece")
        else:
            self._start_piece(machine, piece)

    def _wake_at(self, machine: Machine, at_ms: int) -> None:
        if machine.wake_ms != at_ms:
            machine.wake_ms = at_ms
            self.at(at_ms, lambda: self.wake(machine))

    def _take(self, machine: Machine, order: Order) -> Piece | None:
        number = machine.operation.number
        if number == 10:
            self._pieces += 1
            order.sawn += 1
            return Piece(self._pieces, order)
        buffer = self.buffers[number]
        for index, piece in enumerate(buffer):
            if piece.order is order:
                del buffer[index]
                self._space(number)
                return piece
        return None

    def _space(self, number: int) -> None:
        """A place before operation `number` is free: the machine that waits to unload may."""
        for machine in self.of_operation.get(number - 10, []):
            if machine.blocked is not None and self._fits(number, machine.blocked):
                piece, machine.blocked = machine.blocked, None
                self.buffers[number].append(piece)
                machine.busy = False
                self.after(0.5, lambda m=machine: self.wake(m))  # type: ignore[misc]
                return

    def _fits(self, number: int, piece: Piece) -> bool:
        """A straggler of an older order always fits: it would otherwise lock the line."""
        buffer = self.buffers[number]
        return len(buffer) < self.scenario.operation(number).buffer or any(self._older(piece.order, other.order) for other in buffer)

    def _older(self, one: Order, other: Order) -> bool:
        return one is not other and one.number < other.number

    # --- one piece ----------------------------------------------------------------------------------------------------------

    def _start_piece(self, machine: Machine, piece: Piece) -> None:
        order, number = piece.order, machine.operation.number
        order.ahead[number] -= 1
        order.on_machine[number] += 1
        self._material(machine, piece)
        ideal = self.scenario.product(order.item).cycle_s[number]
        machine.busy = True
        machine.cycle = Cycle(piece, self.now, machine.plan_cycle(ideal, self.scenario.calm))
        self.meters.new_piece(machine)
        self._stretch(machine)

    def _stretch(self, machine: Machine) -> None:
        """Begins the next stretch of the cycle, or ends the piece."""
        wait = self.frozen_until(machine.spec.line)
        if wait is not None:  # the PLC is about to restart: nothing moves
            self.at(wait + machine.rng.randrange(2000, 20_000), lambda: self._stretch(machine))
            return
        cycle = machine.cycle
        if cycle is None:
            raise RuntimeError("no cycle to go on with")
        if not cycle.stretches:
            self._end_piece(machine, cycle)
            return
        state, seconds, alarm = cycle.stretches.pop(0)
        self.set_state(machine, state, alarm, "piece" if state == "producing" else alarm)
        until = self.after(seconds, lambda: self._stretch(machine))
        if state == "fault":
            self.crew.breakdown(machine, self.now, until)

    def _end_piece(self, machine: Machine, cycle: Cycle) -> None:
        piece, number, spec = cycle.piece, machine.operation.number, machine.spec
        order = piece.order
        order.on_machine[number] -= 1
        machine.cycle = None
        reason = self._flaw(machine, piece)
        if spec.wear_pieces:
            machine.wear += 1.0 / spec.wear_pieces
            self._var(machine, "ToolWear", round(min(machine.wear, 1.0), 4))
        self._var(machine, "CycleTime", round((self.now - cycle.started_ms) / 1000.0, 3))
        serial = ""
        if number == 90 and not reason:
            self._serials += 1
            serial = f"HT{order.item[2:]}-{order.number[3:]}-{self._serials:05d}"
        self.out.append(
            PieceEvent(self.now, piece.number, order.number, number, spec.code, cycle.started_ms, "scrap" if reason else "good", reason, serial)
        )
        if machine.operation.counting == "machine":
            self._count(machine, order, bool(reason) and spec.scrap_by == "plc")
        self.crew.piece_done(machine, order, reason, serial)
        if reason:
            for later in OPERATIONS[OPERATIONS.index(number) + 1 :]:
                order.ahead[later] -= 1
        self._hand_on(machine, piece, bool(reason))
        for later in OPERATIONS[OPERATIONS.index(number) :]:
            self._check_done(order, later)

    def _count(self, machine: Machine, order: Order, scrap: bool) -> None:
        if scrap:
            machine.raw_scrap = (machine.raw_scrap + 1) % machine.limit
            self._var(machine, "ScrapCount", machine.raw_scrap)
        else:
            machine.raw_good = (machine.raw_good + 1) % machine.limit
            self._var(machine, "GoodCount", machine.raw_good)
        self.out.append(CountEvent(self.now, machine.spec.code, order.number, machine.operation.number, int(not scrap), int(scrap)))

    def _flaw(self, machine: Machine, piece: Piece) -> str:
        """The reason why this piece is scrap here, "" when it is good."""
        spec, rng = machine.spec, machine.rng
        if self.scenario.calm:
            return ""
        draw = rng.random()
        if piece.bad_casting and spec.machine_class == "machining" and draw < self.scenario.mess.casting_scrap:
            return "POR"
        if piece.bad_casting and spec.scrap_bad_lot and draw < spec.scrap_bad_lot:
            self.crew.casting_leaks(piece.order)
            return "LEAKS"
        if draw < spec.scrap_base * (1.0 + 3.0 * machine.wear**3):
            return {"leak": "LEAKS", "eol": "NOISE", "saw": "DIM", "lathe": "DIM", "machining": "DIM"}.get(
                spec.machine_class, rng.choice(("SURF", "DROP"))
            )
        return ""

    def _hand_on(self, machine: Machine, piece: Piece, scrap: bool) -> None:
        number = machine.operation.number
        if scrap or number == 90:
            machine.busy = False
        elif self._fits(number + 10, piece):
            self.buffers[number + 10].append(piece)
            machine.busy = False
        else:
            machine.blocked = piece
            self.set_state(machine, "blocked", "", "buffer full")
        if not scrap and number < 90:
            for following in self.of_operation[number + 10]:
                self.wake(following)
        self.wake(machine)

    def _check_done(self, order: Order, number: int) -> None:
        run = order.runs[number]
        if run.started and not run.done and order.done(number):
            run.done = True
            self.crew.complete(order, number)
        if order.exhausted(number):
            for machine in self.of_operation[number]:
                if machine.order is order:
                    self.wake(machine)

    # --- changeover, tools, material ----------------------------------------------------------------------------------------

    def _changeover(self, machine: Machine, following: Order) -> None:
        """The machine waits for a person, who ends the old order here and sets up the new one."""
        machine.busy = True
        self.set_state(machine, "idle", "", "waits for setup")
        when = self.crew.at_work(self.now + round(machine.rng.uniform(20, 60) * 1000))
        if machine.order is not None:
            when = max(when, machine.order.runs[machine.operation.number].pending_until + 4000)
        wait = self.frozen_until(machine.spec.line)
        self.at(max(when, wait or 0), lambda: self._begin_setup(machine, following, False))

    def _begin_setup(self, machine: Machine, order: Order, cold: bool) -> None:
        wait = self.frozen_until(machine.spec.line)
        if wait is not None:
            self.at(wait + 1000, lambda: self._begin_setup(machine, order, cold))
            return
        number = machine.operation.number
        old = machine.order
        if order.exhausted(number):  # another machine took the last piece meanwhile
            machine.busy = False
            self.wake(machine)
            return
        if old is not None:
            self.crew.leave(machine, old)
        self.crew.start(machine, order, 4000)
        machine.order = order
        factor = self.scenario.setup_factor.get(machine.spec.machine_class, 1.0)
        base = self.scenario.setup_same_s if old is None or old.family == order.family else self.scenario.setup_other_s
        seconds = machine.rng.uniform(110, 150) if cold else max(90.0, base * factor * machine.rng.uniform(0.8, 1.25))

        def begin() -> None:
            self.set_state(machine, "setup", "", f"setup {order.number}")
            if machine.spec.order_tag:
                self._var(machine, "OrderId", order.number)
                self._var(machine, "OperationId", str(number))
            if machine.spec.counter == "per_order":
                machine.raw_good = machine.raw_scrap = 0
                self._var(machine, "GoodCount", 0)
                self._var(machine, "ScrapCount", 0)
            self.after(seconds, lambda: self._ready(machine))

        self.after(4.2, begin)
        if number == 10:
            self._new_order()

    def _ready(self, machine: Machine) -> None:
        wait = self.frozen_until(machine.spec.line)
        if wait is not None:
            self.at(wait + 500, lambda: self._ready(machine))
            return
        machine.busy = False
        self.wake(machine)
        if machine.order is not None:
            self._check_done(machine.order, machine.operation.number)

    def _change_tool(self, machine: Machine) -> None:
        machine.busy = True
        machine.wear = 0.0
        self.set_state(machine, "stopped", "", "tool change")
        until = self.after(machine.rng.uniform(240, 480), lambda: self._ready(machine))
        self.crew.explain(machine, self.now, until, "TOOL")

    def _material(self, machine: Machine, piece: Piece) -> None:
        """Takes the piece's component; carries a new container to the operation when it is empty."""
        number = machine.operation.number
        component = next((c for c in self.scenario.components if c.operation == number), None)
        if component is None:
            return
        order, run = piece.order, piece.order.runs[number]
        if run.material < component.quantity - 1e-9:
            self._carry(machine, order)
        run.material = round(run.material - component.quantity, 6)
        if component.kind == "CST":
            piece.bad_casting = self.crew.casting_of(order).bad

    def _carry(self, machine: Machine, order: Order) -> None:
        number = machine.operation.number
        component = next(c for c in self.scenario.components if c.operation == number)
        item, run = component.item(order.item), order.runs[number]
        need = round((order.ahead[number] + 1) * component.quantity, 6)
        while run.material < component.quantity - 1e-9:
            lot = self.store.current(item)
            if lot is None:
                lot = self.store.deliver(component, order.item)
                self.out.append(ErpEvent(self.now, "lot", lot_record(lot)))
            amount = round(min(component.container, lot.remaining, max(need - run.material, component.quantity)), 6)
            lot.remaining = round(lot.remaining - amount, 6)
            run.material = round(run.material + amount, 6)
            self.out.append(LotEvent(self.now, order.number, number, item, lot.code, amount))
            self.crew.consume(machine, order, lot, amount, component.kind == "CST")
        if self.store.low(item):
            self._deliver(component.operation, order.item)

    def _deliver(self, operation: int, product: str) -> None:
        """A new lot comes: as a rule the ERP's clerk keys it in at once; now and then the floor has it first."""
        component = next(c for c in self.scenario.components if c.operation == operation)
        lot = self.store.deliver(component, product)
        record = lot_record(lot)
        if self.rng.random() < self.scenario.mess.late_lot_per_day / 12.0:
            self.crew.receive(lot, operation)
            self.after(timedelta(hours=1.5).total_seconds(), lambda: self.out.append(ErpEvent(self.now, "lot", record)))
        else:
            self.out.append(ErpEvent(self.now, "lot", record))
