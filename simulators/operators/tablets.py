"""Tablets: each has its queue of acts, sends them in order, keeps what the network or the server could not take, and never loses one."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import httpx

from edge_agent.contract.clock import Clock, iso
from simulators import living
from simulators.model import badge
from simulators.operators.api import Api, ApiError
from simulators.physics.events import ActEvent
from simulators.scenario import Scenario

_log = logging.getLogger(__name__)
BATCH = 200
ASKED = "needs_confirmation"  # the server asks "are you sure"


@dataclass(frozen=True, slots=True)
class UploadMess:
    """Faults of the way up: an act is sent twice, or overtakes its neighbour (a batch: is shuffled), this often (a batch: five times)."""

    duplicated: float = 0.0
    reordered: float = 0.0


def act_body(act: ActEvent) -> dict[str, Any]:
    """The act as the API wants it."""
    return {"type": act.type, "event_id": act.event_id, "occurred_at": iso(act.at_ms), **act.body}


@dataclass(slots=True)
class Refusal:
    act: ActEvent
    problem: dict[str, Any]


@dataclass(slots=True)
class _Tablet:
    station: str
    api: Api
    queue: deque[ActEvent] = field(default_factory=deque)
    offline_until_ms: int = 0
    person: str = ""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    asleep: bool = True


class Tablets:
    """`post` puts an act into its station's queue; `run` sends. `refused` collects what the server would not take at all."""

    def __init__(self, base: str, scenario: Scenario, clock: Clock, devices: dict[str, str], mess: UploadMess | None = None) -> None:
        self._clock, self._mess = clock, mess or UploadMess()
        self._rng = random.Random(f"{scenario.seed}/uploads")
        self._badges = {person.code: badge(person) for person in scenario.people}
        self._tablets = {station: _Tablet(station, Api(base, clock, device=token)) for station, token in devices.items()}
        self._tasks: list[asyncio.Task[None]] = []
        self._flush = False
        self._sure: set[str] = set()
        self.sent = 0
        self.replayed = 0
        self.refused: list[Refusal] = []

    def post(self, act: ActEvent) -> None:
        tablet = self._tablets[act.station]
        tablet.queue.append(act)
        if self._mess.reordered and len(tablet.queue) > 1 and self._rng.random() < self._mess.reordered:
            tablet.queue[-1], tablet.queue[-2] = tablet.queue[-2], tablet.queue[-1]
        tablet.wake.set()

    def offline(self, station: str, until_ms: int) -> None:
        self._tablets[station].offline_until_ms = until_ms

    @property
    def waiting(self) -> int:
        return sum(len(t.queue) + (not t.asleep) for t in self._tablets.values())

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._serve(tablet), name=f"tablet {tablet.station}") for tablet in self._tablets.values()]

    def check(self) -> None:
        """Raises what ended a tablet, if one ended."""
        living.check(self._tasks)

    async def drain(self, seconds: float) -> bool:
        """All networks are back; True when everything is sent within `seconds`."""
        self._flush = True
        for tablet in self._tablets.values():
            tablet.wake.set()
        deadline = asyncio.get_running_loop().time() + seconds
        while self.waiting and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
        return not self.waiting

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for tablet in self._tablets.values():
            await tablet.api.close()

    # --- one tablet -----------------------------------------------------------------------------------------------------------

    async def _serve(self, tablet: _Tablet) -> None:
        while True:
            tablet.wake.clear()
            if not tablet.queue:
                tablet.asleep = True
                await tablet.wake.wait()
                continue
            wait_ms = tablet.offline_until_ms - self._clock.now_ms()
            if wait_ms > 0 and not self._flush:
                await asyncio.sleep(min(0.5, wait_ms / 1000.0 / self._clock.speed))
                continue
            tablet.asleep = False
            try:
                await self._send(tablet)
            except (httpx.HTTPError, ApiError) as error:
                _log.info("tablet %s keeps %d acts: %s", tablet.station, len(tablet.queue), error)
                if isinstance(error, ApiError) and error.status == 401:
                    tablet.person = ""
                await asyncio.sleep(0.3)

    async def _send(self, tablet: _Tablet) -> None:
        """Sends the head of the queue: one act by itself, several of one person as a batch."""
        person = tablet.queue[0].person
        if tablet.person != person:
            await tablet.api.sign_in(badge=self._badges[person])
            tablet.person = person
        many: list[ActEvent] = []
        for act in tablet.queue:
            if act.person != person or len(many) == BATCH:
                break
            many.append(act)
        if len(many) == 1:
            await self._one(tablet, many[0])
        else:
            await self._batch(tablet, many)

    def body(self, act: ActEvent) -> dict[str, Any]:
        sure = {"confirmed": True} if act.event_id in self._sure else {}
        return act_body(act) | sure

    async def _one(self, tablet: _Tablet, act: ActEvent) -> None:
        body = self.body(act)
        try:
            answer = await tablet.api.once("POST", "/acts", body)
            if self._mess.duplicated and self._rng.random() < self._mess.duplicated:
                again = await tablet.api.once("POST", "/acts", body)
                self.replayed += bool(again["replay"])
        except ApiError as error:
            if error.status >= 500 or error.status in (401, 429):
                raise
            if error.code == ASKED and act.event_id not in self._sure:
                await self._confirmed(tablet, act, error)
                return
            await self._refused(tablet, act, error.problem)
            return
        self.replayed += bool(answer["replay"])
        self._done(tablet, act)

    async def _confirmed(self, tablet: _Tablet, act: ActEvent, asked: ApiError) -> None:
        """The person is sure. Remembered, so that the same act is sent the same way should the answer get lost."""
        self._sure.add(act.event_id)
        try:
            await tablet.api.once("POST", "/acts", self.body(act))
        except ApiError as error:
            if error.status >= 500 or error.status == 401:
                raise
            await self._refused(tablet, act, asked.problem)
            return
        self._done(tablet, act)

    async def _refused(self, tablet: _Tablet, act: ActEvent, problem: dict[str, Any]) -> None:
        """A tablet's outbox puts what was refused on the supervisor's list, so that it is not lost: the batch door does that."""
        if not act.stray:
            await tablet.api.once("POST", "/acts/batch", {"device_time": iso(self._clock.now_ms()), "acts": [self.body(act)]})
        self.refused.append(Refusal(act, problem))
        self._done(tablet, act)

    async def _batch(self, tablet: _Tablet, acts: list[ActEvent]) -> None:
        sent = list(acts)
        if self._mess.duplicated and self._rng.random() < 5 * self._mess.duplicated:
            sent.insert(self._rng.randrange(len(sent)) + 1, sent[0])
        if self._rng.random() < 5 * self._mess.reordered:
            self._rng.shuffle(sent)
        body = {"device_time": iso(self._clock.now_ms()), "acts": [self.body(act) for act in sent]}
        answer = await tablet.api.once("POST", "/acts/batch", body)
        again = False
        for act, result in zip(sent, answer["results"], strict=True):
            if result["status"] == "retry":
                again = True
                continue
            self.replayed += result["status"] == "replay"
            if act not in tablet.queue:
                continue
            if result["status"] == "refused":
                self.refused.append(Refusal(act, result["problem"]))
            self._done(tablet, act)
        if again:
            await asyncio.sleep(0.2)

    def _done(self, tablet: _Tablet, act: ActEvent) -> None:
        tablet.queue.remove(act)
        self.sent += 1
