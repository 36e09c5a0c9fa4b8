"""`gemba-sim run`: the living plant. Two weeks of history come in through the same front doors as a late backlog; then life at ×1 until Ctrl-C.

History: the physics runs up to now; what PLCs and meters would have shown becomes one recording a line, which the edge agents take in (`backfill`);
what people entered is uploaded by the tablets' batch door; orders come from the ERP.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import httpx

from edge_agent.contract.clock import PlantClock, iso
from simulators import model
from simulators.check import history_findings
from simulators.compare import table
from simulators.operators import Api, ApiError
from simulators.operators.tablets import act_body
from simulators.oracle import Truth
from simulators.physics import ActEvent, Event, MinuteEvent, Plant, PowerEvent, VarEvent
from simulators.physics.calendar import Calendar
from simulators.processes import Child
from simulators.recording import Recorder
from simulators.scenario import Scenario, load
from simulators.stack import ADMIN_USER, Stack, StackError, StackOptions

CHUNK_MS = 6 * 3_600_000
BATCH = 400
DAY_MS = 86_400_000
DESK_S = 900.0  # planner and supervisor look at their lists this often, real seconds: who watches the demo shall see something on them


@dataclass(frozen=True, slots=True)
class DemoOptions:
    scenario: str
    folder: Path
    history_days: float | None = None
    seed: int | None = None
    for_s: float | None = None
    speed: float = 1.0
    end_when_complete: bool = False


class Progress:
    """One line on the screen that is written over, with the seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._width = 0

    def __call__(self, text: str) -> None:
        line = f"  {time.monotonic() - self._began:5.1f} s  {text}"
        print("\r" + line.ljust(self._width), end="", flush=True)
        self._width = len(line)

    def done(self, text: str) -> None:
        self(text)
        print(flush=True)


async def run(options: DemoOptions) -> None:
    """Until Ctrl-C (or `for_s`). Raises StackError."""
    say = Progress()
    if options.folder.exists():
        shutil.rmtree(options.folder)
    options.folder.mkdir(parents=True)
    folder = options.folder.resolve()
    scenario = load(options.scenario, options.seed)
    days = scenario.history_days if options.history_days is None else options.history_days
    clock = PlantClock()
    if options.speed != 1.0:
        now_ms = clock.now_ms()
        clock = PlantClock(now_ms, now_ms / 1000.0, options.speed)
    plant = Plant(scenario, history_start(scenario, clock.now_ms(), days))
    stack = Stack(folder, scenario, plant, clock, StackOptions(speed=options.speed, fixed_ports=True, desk_every_s=DESK_S))
    try:
        demo = Demo(stack, say)
        await demo.start()
        await demo.greet()
        await demo.live(options.for_s, options.end_when_complete)
    finally:
        say("ending everything")
        await stack.stop()
        say.done("ended")


def history_start(scenario: Scenario, now_ms: int, days: float) -> int:
    """The beginning of the production day that many days ago; without history, now."""
    if days <= 0:
        return now_ms
    calendar = Calendar(scenario)
    back_ms = now_ms - round(days * DAY_MS)
    return calendar.at_local(back_ms, scenario.shifts[0].start)


class Demo:
    def __init__(self, stack: Stack, say: Progress) -> None:
        self.stack, self.say = stack, say
        self._acts: list[ActEvent] = []
        self._past: list[Event] = []
        self._uploaded = 0
        self._history_end_ms = 0
        self._recordings = {line.code: stack.folder / f"history-{line.code}.jsonl.gz" for line in stack.scenario.lines}
        self._upload: asyncio.Task[None] | None = None

    # --- history ------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Server and plant beside each other, then the edges with their backlog, then the people's."""
        stack, say = self.stack, self.say
        server = asyncio.create_task(stack.start_server())
        history = stack.plant.start_ms < stack.clock.now_ms() - 60_000
        say("the plant's history")
        end_ms = stack.clock.now_ms()
        await asyncio.to_thread(self._write_history, end_ms)
        stack.field.adopt(self._past)
        self._past.clear()
        say("server, PLCs, meters, ERP")
        await asyncio.gather(server, stack.start_field())
        await stack.set_up()
        if history:
            say("edge agents take in their recordings")
            await asyncio.gather(*(self._backfill(line) for line in self._recordings))
        say("edge agents and people")
        await stack.start_edges()
        stack.start_people()
        await stack.ready_for_the_first_event()
        if self._acts:
            self._upload = asyncio.create_task(self._upload_acts())

    def _write_history(self, end_ms: int) -> None:
        """Runs the physics up to `end_ms`; runs in a thread beside the server's start."""
        plant, stack = self.stack.plant, self.stack
        self._history_end_ms = end_ms
        recorder = Recorder(stack.scenario, self._recordings, plant.start_ms, end_ms)
        at_ms = plant.start_ms
        while True:
            events = plant.advance(at_ms)
            recorder.add(events)
            self._acts += [e for e in events if isinstance(e, ActEvent)]
            self._past += [e for e in events if not isinstance(e, MinuteEvent | PowerEvent | VarEvent)]
            if at_ms >= end_ms:
                break
            at_ms = min(end_ms, at_ms + CHUNK_MS)
        recorder.finish()

    async def _backfill(self, line: str) -> None:
        stack = self.stack
        config, recording = stack.edge_file(line), self._recordings[line]
        log = stack.folder / f"backfill-{line}.log"
        child = Child(f"backfill {line}", "edge_agent", ["backfill", "--config", str(config), str(recording)], log)
        await child.start()
        if await child.wait(300) != 0:
            raise StackError(f"edge backfill of {line} failed:\n{child.tail()}")
        recording.unlink()

    # --- people's history ---------------------------------------------------------------------------------------------------

    async def _upload_acts(self) -> None:
        """Each shift's acts, a person's as one upload (the tablets were off the network for two weeks, so to say)."""
        calendar = self.stack.plant.calendar
        apis: dict[str, Api] = {}
        badges = {person.code: model.badge(person) for person in self.stack.scenario.people}
        tablet = {act.person: self.stack.devices[act.station] for act in reversed(self._acts)}  # where a person first worked
        left = Counter(tablet[act.person] for act in self._acts)
        try:
            for _, acts in groupby(self._acts, key=lambda act: calendar.shift_at(act.at_ms).from_ms):
                people: dict[str, list[ActEvent]] = {}
                for act in acts:
                    people.setdefault(act.person, []).append(act)
                for person, own in people.items():
                    if person not in apis:
                        apis[person] = Api(self.stack.url, self.stack.clock, device=tablet[person], patience_s=300)
                        await apis[person].sign_in(badge=badges[person])
                    await self._upload_one(apis[person], own, left)
        finally:
            for api in apis.values():
                await api.close()
        day_ago = self._history_end_ms - DAY_MS
        # the supervisor has cleared the list, but for the last day's second scans; lots the ERP has told meanwhile need no receipt
        old = {act.event_id for act in self._acts if (act.stray and act.at_ms < day_ago) or act.type == "material.receive"}
        await self.stack.desk.round(frozenset(old))
        self.stack.desk.start()

    async def _upload_one(self, api: Api, acts: list[ActEvent], left: Counter[str]) -> None:
        """One person's acts of one shift. `left`: acts that still wait on each tablet."""
        for begin in range(0, len(acts), BATCH):
            waiting = acts[begin : begin + BATCH]
            while waiting:
                behind = left[str(api.device)] - len(waiting)
                body = {"device_time": iso(self.stack.clock.now_ms()), "acts": [act_body(act) for act in waiting], "waiting": behind}
                results = (await api.call("POST", "/acts/batch", body))["results"]
                again = [act for act, result in zip(waiting, results, strict=True) if result["status"] == "retry"]
                self._uploaded += len(waiting) - len(again)
                left[str(api.device)] -= len(waiting) - len(again)
                waiting = again

    # --- life ---------------------------------------------------------------------------------------------------------------

    async def greet(self) -> None:
        """Where to look and who to be."""
        scenario, url = self.stack.scenario, self.stack.url
        shift = self.stack.plant.calendar.shift_at(self.stack.clock.now_ms()).shift
        enrolment = await self.stack.api.call("POST", "/devices/enrolment", {"name": "Tablet demo", "station": "ST-ASM", "kind": "tablet"})
        self.say.done("the plant lives")
        print(f"\n  Dashboards   {url}/dashboards/")
        print(f"  Tablet       {url}/scanner/   enrolment code {enrolment['code']} (good for ten minutes; more under People and devices)")
        print(f"  Sign in      {ADMIN_USER} / {self.stack.admin_password}   (administrator)")
        for person in scenario.people:
            if person.user:
                print(f"               {person.user} / {model.password(person)}   ({person.role}, {person.name})")
        for person in scenario.people:
            if person.shift == shift:
                who = f"{person.code} {person.name}, on shift: {', '.join(person.stations)}"
                print(f"  Badge        {model.badge(person)}   PIN {model.pin(person)}   ({who})")
        print(f"  Everything of this run is in {self.stack.folder}; Ctrl-C ends it.\n", flush=True)

    async def live(self, for_s: float | None, end_when_complete: bool) -> None:
        """Says once in a while how it goes, until it is time. Raises StackError when a part ends by itself."""
        began = time.monotonic()
        complete = False
        while for_s is None or time.monotonic() - began < for_s:
            await asyncio.sleep(1.0)
            self.stack.alive()
            if self._upload is not None and self._upload.done() and self._upload.exception() is not None:
                raise StackError(f"the upload of the history's acts failed: {self._upload.exception()}")
            with contextlib.suppress(httpx.HTTPError, ApiError):
                text, done = await self._status()
                if done and not complete:
                    self.say.done(f"history complete: {self._uploaded} acts of people, all of the machines")
                    complete = True
                    if end_when_complete:
                        await self._verify()
                        return
                self.say(text)

    async def _verify(self) -> None:
        """Is the history told truly, though it came two weeks late? Raises StackError with the table when it is not."""
        truth = Truth(self.stack.ledger, self.stack.scenario, self.stack.plant.start_ms, self._history_end_ms)
        findings = await history_findings(self.stack, truth)
        print(table(findings), flush=True)
        if not all(one.ok for one in findings):
            raise StackError("the history is not told truly")

    async def _status(self) -> tuple[str, bool]:
        """(one line, whether the history is in)."""
        waiting = len(self._acts) - self._uploaded
        progress = await self.stack.api.once("GET", "/history/progress")
        if waiting or not progress["done"] or progress["expected"] is None:
            expected = progress["expected"]
            share = f"{100 * progress['stored'] / expected:.0f} %" if expected else "…"
            return f"history: machines {share}, people {self._uploaded} of {len(self._acts)} acts", False
        local = self.stack.plant.calendar.local(self.stack.clock.now_ms()).strftime("%Y-%m-%d %H:%M:%S")
        return f"alive at {local} ({self.stack.scenario.zone}); {self.stack.tablets.sent if self.stack.tablets else 0} acts since the start", True
