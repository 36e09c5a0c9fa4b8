"""A session with an MTConnect agent: probe, then everything from one sequence number on.

The agent numbers its observations and keeps the newest (bufferSize). After a lost connection the session goes on at the number where it stopped:
nothing is missing, and no gap is recorded, as long as the agent kept it. What it no longer keeps is a gap (overflow) up to the oldest
observation it has, with the state at that moment (`current?at=`). Another instanceId is an agent that was restarted: it starts anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from edge_agent.contract.names import GapCause
from edge_agent.errors import SourceLost, SourceMisconfigured
from edge_agent.events import Continued, Lost, Resumed
from edge_agent.sources.mtconnect.documents import Document, Header
from edge_agent.sources.mtconnect.http import Agent, OutOfRange, Refused
from edge_agent.sources.mtconnect.items import Row
from edge_agent.sources.mtconnect.observation import Observation
from edge_agent.sources.source import Sink

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from edge_agent.sources.mtconnect.source import MtconnectSource

OVERRUN_MARGIN = 50  # observations that may leave the agent's buffer while we ask for the oldest one
OVERRUN_TRIES = 5


@dataclass(frozen=True, slots=True)
class Position:
    """Where the next session goes on: everything before `next` of this instance has been handed in."""

    instance: str
    next: int


class AgentSession:
    def __init__(self, source: MtconnectSource, agent: Agent, sink: Sink) -> None:
        self._source, self._agent, self._sink = source, agent, sink
        self._config, self._clock, self._mapper = source.config, source.clock, source.mapper
        self._shift_ms = 0  # added to stamps of an agent whose clock is plainly wrong
        self._next = 1
        self._header = Header()

    async def run(self) -> None:
        probe = await self._agent.ask("probe")
        self._mapper.resolve(probe.items)
        self._source.say_failed()
        if len(self._mapper.failed) == len(self._mapper.targets):
            raise SourceMisconfigured(
                f"None of the {len(self._mapper.targets)} data items is there ({next(iter(self._mapper.failed.items()))}).",
                f"{len(self._mapper.targets)} 个数据项都不存在。",
                "Correct `item` and `device`; `browse` lists what is there.",
                "请修改 `item` 和 `device`;`browse` 可列出现有数据项。",
            )
        await self._start()
        self._source.connected()
        while True:
            try:
                await self._follow()
            except OutOfRange:
                await self._overrun()

    async def _start(self) -> None:
        now = await self._agent.ask("current")
        header = self._header = now.header
        self._check_clock(header)
        before = self._source.position
        if before is not None and before.instance == header.instance and header.first <= before.next <= _after(now):
            self._next = before.next
            await self._conditions_at(before.next - 1, now)
            self._sink.put(Continued(self._source.devices, self._clock.now_ms()))
            return
        if before is not None and before.instance == header.instance and header.first > before.next:
            self._source.position = None
            await self._overrun()
            return
        self._begin(now, self._clock.now_ms())
        self._next = _after(now)

    async def _conditions_at(self, sequence: int, now: Document) -> None:
        """After a restart of the edge: which conditions were active where it goes on, so that the end of one does not seem the end of all."""
        if not self._source.recalled:
            return
        self._source.recalled = False
        try:
            then = await self._agent.ask("current", at=sequence)
        except (OutOfRange, Refused):
            then = now
        for seen in then.observations:
            if seen.level is not None:
                self._mapper.rows(seen, 0)

    def _begin(self, now: Document, at_ms: int) -> None:
        """What is so at `at_ms`, as first values."""
        self._sink.put(Resumed(self._source.devices, at_ms))
        self._mapper.begin()
        rows = self._rows(now.observations, at_ms)
        self._source.put(self._sink, rows, until_ms=None, arrived_ms=at_ms, initial_ms=at_ms)

    # --- what comes --------------------------------------------------------------------------------------------------------------
    async def _follow(self) -> None:
        if self._config.stream:
            async with aclosing(cast("AsyncGenerator[Document, None]", self._stream())) as documents:
                async for document in documents:
                    await self._take(document)
            # it answered, but with a single document: an agent that does not stream is asked
        while True:
            await self._take(await self._agent.ask("sample", **{"from": self._next, "count": self._config.count}))
            if _caught_up(self._header):
                await asyncio.sleep(self._config.interval_s)

    def _stream(self) -> AsyncIterator[Document]:
        every_ms, beat_ms = round(self._config.interval_s * 1000), round(self._config.heartbeat_s * 1000)
        asked = {"from": self._next, "count": self._config.count, "interval": every_ms, "heartbeat": beat_ms}
        return self._agent.stream("sample", **asked)

    async def _take(self, document: Document) -> None:
        header = document.header
        if header.instance != self._header.instance:
            raise SourceLost(
                "The MTConnect agent was restarted.",
                "MTConnect 代理已重启。",
                "Connecting anew; what it had not sent is a gap.",
                "正在重连,未发送的部分记为缺口。",
            )
        if header.first > self._next and any(seen.sequence > self._next for seen in document.observations):
            raise OutOfRange
        arrived_ms = self._clock.now_ms()
        self._header = header
        self._check_clock(header)
        before = [seen for seen in document.observations if seen.sequence < self._source.repeated_before]
        if before:  # handed in before the edge was stopped; what of it is stored already is left out by the pipeline
            self._source.put(self._sink, self._rows(before, arrived_ms), until_ms=None, arrived_ms=arrived_ms, repeated=True)
        rows = self._rows([seen for seen in document.observations if seen.sequence >= self._source.repeated_before], arrived_ms)
        self._next = max(self._next, _after(document))
        until_ms = self._source.until_ms(arrived_ms) if _caught_up(header) else None
        self._source.position = Position(header.instance, self._next)
        self._source.put(self._sink, rows, until_ms=until_ms, arrived_ms=arrived_ms, memory=self._source.memory())
        await self._sink.room()

    def _rows(self, observations: Iterable[Observation], arrived_ms: int) -> list[Row]:
        out: list[Row] = []
        for seen in observations:
            t_ms = arrived_ms if seen.t_ms is None else seen.t_ms + self._shift_ms
            out += self._mapper.rows(seen, t_ms)
        self._source.say_failed()
        return out

    def _check_clock(self, header: Header) -> None:
        """Its documents say when they were made: a clock that is plainly wrong is corrected by that, and said."""
        if header.created_ms is None:
            return
        offset_ms = header.created_ms - self._clock.now_ms()
        self._source.health.clock_offset_ms = float(offset_ms)
        if abs(offset_ms) <= self._config.max_clock_skew_s * 1000.0:
            self._shift_ms = 0
        elif not self._shift_ms or abs(offset_ms + self._shift_ms) > 2000:
            self._shift_ms = -offset_ms
            self._source.wrong_clock()

    # --- what the agent no longer has ----------------------------------------------------------------------------------------------
    async def _overrun(self) -> None:
        """A gap from what is proven to the oldest observation the agent still has; from there on everything again."""
        source = self._source
        words = "the MTConnect agent's buffer was too small: it dropped observations before they were read"
        self._sink.put(Lost(source.devices, GapCause.OVERFLOW, words))
        source.health.note(
            "buffer", f"{words}. Raise its BufferSize, or `count`.", "MTConnect 代理的缓冲过小,有观测在读取前被丢弃。请增大 BufferSize 或 `count`。"
        )
        for margin in (OVERRUN_MARGIN * 4**n for n in range(OVERRUN_TRIES)):
            header = (await self._agent.ask("current")).header
            if not header.first or header.last - header.first < 2 * margin:
                break  # hardly anything is kept: what is now has to do
            try:
                now = await self._agent.ask("current", at=header.first + margin)
            except (OutOfRange, Refused):
                continue  # it moved on meanwhile, or it is too old for `at`
            self._header = header
            stamps = [seen.t_ms for seen in now.observations if seen.t_ms is not None]
            self._begin(now, (max(stamps) if stamps else self._clock.now_ms()) + (self._shift_ms if stamps else 0))
            self._next = header.first + margin + 1
            return
        now = await self._agent.ask("current")
        self._header = now.header
        self._begin(now, self._clock.now_ms())
        self._next = _after(now)


def _after(document: Document) -> int:
    """The sequence number that follows the document's; an agent that does not say it in the header has it in its observations."""
    return document.header.next or max((seen.sequence for seen in document.observations), default=0) + 1


def _caught_up(header: Header) -> bool:
    return not header.next or not header.last or header.next > header.last
