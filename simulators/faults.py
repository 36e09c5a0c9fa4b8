"""Faults at seeded moments: processes killed, a link cut, a PLC restarted, uploads doubled and out of order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from simulators.compare import Excuse
from simulators.operators import ApiError, UploadMess
from simulators.physics.plant import PlcOutage
from simulators.processes import kill_pid
from simulators.scenario import Scenario

if TYPE_CHECKING:
    from simulators.stack import Stack

NAMES = ("standard",)
SERVER_DOWN_S, EDGE_DOWN_S, LINK_CUT_S = 3.0, 3.0, 6.0  # real seconds


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """(plant ms, kind, line): kill-server, kill-broker, kill-edge, cut-link. PLC restarts are the physics' own (`outages`)."""

    moments: tuple[tuple[int, str, str], ...] = ()
    outages: tuple[PlcOutage, ...] = ()
    uploads: UploadMess = field(default_factory=UploadMess)


def plan(name: str, scenario: Scenario, start_ms: int, end_ms: int, speed: float) -> FaultPlan:
    """The plan of that name; an empty name is none. Every kind comes at least once, in seeded order, spread over the middle of the run.

    Raises ValueError for an unknown name.
    """
    if not name:
        return FaultPlan()
    if name not in NAMES:
        raise ValueError(f"no faults named {name!r}; there is {', '.join(NAMES)}")
    rng = random.Random(f"{scenario.seed}/faults/{name}")
    lines = [line.code for line in scenario.lines]
    kinds = ["kill-server", "kill-broker", "kill-edge", "cut-link", "restart-plc"]
    rng.shuffle(kinds)
    first, last = start_ms + (end_ms - start_ms) // 6, end_ms - (end_ms - start_ms) // 6
    step = (last - first) / len(kinds)
    moments: list[tuple[int, str, str]] = []
    outages: list[PlcOutage] = []
    for index, kind in enumerate(kinds):
        at_ms = round(first + step * (index + rng.uniform(0.1, 0.5)))
        line = rng.choice(lines)
        if kind == "restart-plc":
            outages.append(PlcOutage(line, at_ms, at_ms + round(2_000 * max(1.0, speed)), fault=True))
        else:
            moments.append((at_ms, kind, line))
    return FaultPlan(tuple(moments), tuple(outages), UploadMess(duplicated=0.05, reordered=0.1))


class FaultRun:
    """Carries a plan out against a running stack; remembers from when to when each source was away."""

    def __init__(self, faults: FaultPlan, stack: Stack, say: Callable[[str], None]) -> None:
        self._plan, self._stack, self._say = faults, stack, say
        self.log: list[str] = []
        self._down: list[tuple[str, int, int, str]] = []  # line, from, to, why

    async def run(self) -> None:
        """Until the last fault is over; then until the plant's end only PLCs are watched."""
        watcher = asyncio.create_task(self._watch_plcs())
        try:
            await self._faults()
            while not self._stack.field.over:
                await asyncio.sleep(0.2)
        finally:
            watcher.cancel()

    async def _watch_plcs(self) -> None:
        """Notes when the edge agent has found a restarted PLC again: until then it was down for all practical purposes."""
        while True:
            await asyncio.sleep(0.3)
            for outage in self._stack.field.outages_seen:
                if outage.back_ms is not None and outage.connected_ms is None:
                    await self._connected(self._stack.scenario.line(outage.line).edge)
                    outage.connected_ms = self._stack.clock.now_ms()

    async def _faults(self) -> None:
        for at_ms, kind, line in sorted(self._plan.moments):
            clock = self._stack.clock
            await asyncio.sleep(max(0.0, (at_ms - clock.now_ms()) / 1000.0 / clock.speed))
            self._note(f"{kind}{' ' + line if kind in ('kill-edge', 'cut-link') else ''}")
            await getattr(self, "_" + kind.replace("-", "_"))(line)

    def _note(self, text: str) -> None:
        self.log.append(text)
        self._say(f"  fault: {text}")

    async def _kill_server(self, line: str) -> None:
        server = self._stack.server
        server.expected_down = True
        await server.kill()
        await asyncio.sleep(SERVER_DOWN_S)
        await server.start()
        server.expected_down = False
        await self._ready()

    async def _kill_broker(self, line: str) -> None:
        """The server's child: it must bring a new one by itself."""
        pid = self._stack.broker_pid()
        if pid is None:
            raise RuntimeError("no embedded broker to kill")
        kill_pid(pid)

    async def _kill_edge(self, line: str) -> None:
        edge, clock = self._stack.edges[line], self._stack.clock
        from_ms = clock.now_ms()
        edge.expected_down = True
        await edge.kill()
        await asyncio.sleep(EDGE_DOWN_S)
        await edge.start()
        edge.expected_down = False
        await self._connected(self._stack.scenario.line(line).edge)
        self._down.append((line, from_ms, clock.now_ms(), "edge agent killed"))

    async def _cut_link(self, line: str) -> None:
        link = self._stack.links[line]
        link.cut()
        await asyncio.sleep(LINK_CUT_S)
        link.mend()

    async def _ready(self) -> None:
        await self._stack.until("the server to come back", self._stack.ready, 40)

    async def _connected(self, edge: str) -> None:
        """Until the agent's sources are connected again (its own health says so)."""
        for _ in range(600):
            try:
                health = await self._stack.api.once("GET", "/health/system")
                sources = [s for one in health["edges"] if one["edge"] == edge and one["online"] for s in one["sources"]]
                if sources and all(source["status"] == "connected" for source in sources):
                    return
            except (httpx.HTTPError, ApiError):
                pass  # the server may be away at the same time
            await asyncio.sleep(0.1)
        raise RuntimeError(f"{edge} did not find its sources again")

    def excuses(self, end_ms: int) -> list[Excuse]:
        """For every device behind a source that was away."""
        scenario = self._stack.scenario
        found: list[Excuse] = []
        for line, from_ms, to_ms, why in self._down:
            devices = [m.code for m in scenario.machines if m.line == line] + [m.code for m in scenario.meters if scenario.meter_line(m) == line]
            found += [Excuse(device, from_ms, to_ms, why) for device in devices]
        for outage in self._stack.field.outages_seen:
            to_ms = outage.connected_ms if outage.connected_ms is not None else end_ms
            found += [Excuse(m.code, outage.from_ms, to_ms, "PLC restarted") for m in scenario.machines if m.line == outage.line]
        for from_ms, to_ms in self._stack.field.stalls:
            devices = [m.code for m in scenario.machines] + [m.code for m in scenario.meters]
            found += [Excuse(device, from_ms, to_ms, "the simulator did not run") for device in devices]
        return found
