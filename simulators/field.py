"""The running plant: physics on the plant clock, its PLCs, meters and ERP as real servers, and the ledger. What people do goes to `on_act`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvicorn

from edge_agent.contract.clock import Clock
from simulators import living
from simulators.erp import Books, build_app
from simulators.erp.master import fill
from simulators.ledger import Ledger
from simulators.meters import MAPS, MeterGateway, MeterMap, MeterReading
from simulators.model import units
from simulators.physics import ActEvent, ErpEvent, Event, OfflineEvent, Plant, PlcEvent, VarEvent
from simulators.plc import LinePlc, PlcIdentity
from simulators.scenario import Scenario

_log = logging.getLogger(__name__)
TICK_S = 0.02  # real seconds between two looks at the clock when much happens
IDLE_S = 0.25
STALL_S = 1.5  # real seconds: a machine so busy that the simulator itself does not answer


@dataclass(slots=True)
class Outage:
    """A PLC that went down, and the plant time at which its server listened again."""

    line: str
    from_ms: int
    back_ms: int | None = None
    connected_ms: int | None = None  # when the edge agent had found it again (a fault run watches)


class Field:
    """`end_ms`: the plant stands still from then on (a check ends there); None: it runs on."""

    def __init__(
        self,
        scenario: Scenario,
        plant: Plant,
        clock: Clock,
        ledger: Ledger,
        plcs: dict[str, PlcIdentity],
        modbus: dict[str, int],
        end_ms: int | None = None,
    ) -> None:
        self.scenario, self.plant, self.clock, self.ledger, self.end_ms = scenario, plant, clock, ledger, end_ms
        self.books = Books(scenario, clock, self._closed)
        fill(self.books, scenario)
        self.plcs = {
            code: LinePlc(scenario.line(code), [m for m in plant.machines.values() if m.spec.line == code], identity)
            for code, identity in plcs.items()
        }
        self.gateways = [MeterGateway(port, self._units(line)) for line, port in modbus.items()]
        self.on_act: Callable[[ActEvent], None] = lambda act: None
        self.act_filter: Callable[[ActEvent, Callable[[ActEvent], None]], None] = lambda act, on: on(act)  # mutants break it on purpose
        self.outages_seen: list[Outage] = []
        self.on_offline: Callable[[OfflineEvent], None] = lambda event: None
        self.stalls: list[tuple[int, int]] = []  # plant times in which this process did not run: its PLCs and meters did not answer
        self.late_s = 0.0  # real seconds a PLC value was shown too late at worst
        self._pending: deque[Event] = deque()
        self._restarts: set[asyncio.Task[None]] = set()
        self._erp: uvicorn.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # --- what the servers ask the physics -----------------------------------------------------------------------------------

    def _units(self, line: str) -> dict[int, tuple[MeterMap, Callable[[], MeterReading]]]:
        found: dict[int, tuple[MeterMap, Callable[[], MeterReading]]] = {}
        for code, unit in units(self.scenario, line).items():
            make = next(m.make for m in self.scenario.meters if m.code == code)
            found[unit] = (MAPS[make], partial(self._read, code))
        return found

    def _read(self, meter: str) -> MeterReading:
        now_ms = self.clock.now_ms()
        self._pull(now_ms)
        load = self.plant.meters.loads[meter]
        wh, varh = load.totals(now_ms)
        return MeterReading(load.watts, load.var, wh, varh, now_ms / 1000.0)

    def _closed(self, now_ms: int) -> tuple[str, str] | None:
        local = self.plant.calendar.local(now_ms).strftime("%H:%M")
        for window in self.scenario.mess.erp_closed:
            if window["start"] <= local < window["end"]:
                return window["start"], window["end"]
        return None

    # --- time goes on -------------------------------------------------------------------------------------------------------

    def _pull(self, now_ms: int) -> None:
        to_ms = now_ms if self.end_ms is None else min(now_ms, self.end_ms)
        if to_ms > self.plant.now:
            self._pending.extend(self.plant.advance(to_ms))

    @property
    def over(self) -> bool:
        return self.end_ms is not None and self.plant.now >= self.end_ms and not self._pending

    async def run(self) -> None:
        while True:
            self._pull(self.clock.now_ms())
            await self.dispatch()
            following = self.plant.next_ms()
            pause = IDLE_S
            if following is not None:
                pause = (following - self.clock.now_ms()) / 1000.0 / self.clock.speed
            before = time.monotonic()
            await asyncio.sleep(min(IDLE_S, max(TICK_S, pause)))
            slept_s = time.monotonic() - before
            if slept_s > STALL_S:
                now_ms = self.clock.now_ms()
                self.stalls.append((now_ms - round(slept_s * 1000 * self.clock.speed), now_ms))

    async def dispatch(self) -> None:
        """Lets everything that happened be seen: ledger first, then PLCs, people, ERP."""
        events = list(self._pending)
        self._pending.clear()
        if events:
            self.ledger.add(events)
        for event in events:
            match event:
                case VarEvent(at_ms, machine, name, value):
                    self.late_s = max(self.late_s, (self.clock.now_ms() - at_ms) / 1000.0 / self.clock.speed)
                    await self.plcs[self.plant.machines[machine].spec.line].write(machine, name, value, at_ms)
                case ActEvent():
                    self.act_filter(event, self.on_act)
                case PlcEvent():
                    self._restart(event)
                case ErpEvent(_, kind, data):
                    self.books.put("orders" if kind == "order" else "lots", data["id"], data["data"], data["version"])
                case OfflineEvent():
                    self.on_offline(event)
                case _:
                    pass

    def adopt(self, events: list[Event]) -> None:
        """What the physics did before the servers were up (the beginning, or a history): for ledger and ERP only."""
        self.ledger.add(events)
        for event in events:
            if isinstance(event, ErpEvent):
                self.books.put("orders" if event.kind == "order" else "lots", event.data["id"], event.data["data"], event.data["version"])

    # --- restarts -----------------------------------------------------------------------------------------------------------

    def _restart(self, event: PlcEvent) -> None:
        plc = self.plcs[event.line]
        task = asyncio.create_task(self._switch(plc, event), name=f"PLC {event.line}")
        self._restarts.add(task)
        task.add_done_callback(self._restarted)

    def _restarted(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:  # one that failed is kept for `check`
            self._restarts.discard(task)

    async def _switch(self, plc: LinePlc, event: PlcEvent) -> None:
        async with plc.lock:
            if event.up:
                await plc.start(lambda since_ms: max(since_ms, event.at_ms))
                self.outages_seen[-1].back_ms = self.clock.now_ms()
            else:
                self.outages_seen.append(Outage(event.line, event.at_ms))
                await plc.stop()

    # --- up and down --------------------------------------------------------------------------------------------------------

    async def start(self, erp_port: int, erp_key: str) -> None:
        now_ms = self.clock.now_ms()
        for plc in self.plcs.values():
            await plc.start(lambda since_ms: min(since_ms, now_ms))  # a plant that begins soon stands there already
        for gateway in self.gateways:
            await gateway.start()
        app = build_app(self.books, self.clock, erp_key, self.scenario.site["name_en"])
        self._erp = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=erp_port, log_level="critical", lifespan="off", access_log=False))
        self._erp.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        self._tasks = [
            asyncio.create_task(self._erp._serve(), name="ERP"),
            asyncio.create_task(self.run(), name="plant"),
        ]

    def check(self) -> None:
        """Raises what ended a part of the plant, if one ended."""
        living.check(self._tasks)
        living.check(self._restarts)
        for gateway in self.gateways:
            gateway.check()

    async def stop(self) -> None:
        if self._erp is not None:
            self._erp.should_exit = True
        for task in self._tasks[1:]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._restarts, return_exceptions=True)
        for plc in self.plcs.values():
            await plc.stop()
        for gateway in self.gateways:
            await gateway.stop()


def identity(port: int, folder: Path, password: str) -> PlcIdentity:
    return PlcIdentity(port, "edge", password, folder)
