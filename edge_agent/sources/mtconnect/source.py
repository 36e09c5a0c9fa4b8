"""An MTConnect source: which session it holds, and what both kinds of session share."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import cast

import numpy as np

from edge_agent.errors import SourceLost
from edge_agent.events import Batch, Remembered
from edge_agent.pipeline.columns import Columns
from edge_agent.sources.kind import Setup
from edge_agent.sources.mtconnect.adapter import AdapterSession
from edge_agent.sources.mtconnect.agent import AgentSession, Position
from edge_agent.sources.mtconnect.config import MtconnectConfig, MtconnectMetric
from edge_agent.sources.mtconnect.documents import DataItem
from edge_agent.sources.mtconnect.http import Agent
from edge_agent.sources.mtconnect.items import Mapper, Row, Target
from edge_agent.sources.mtconnect.observation import Observation
from edge_agent.sources.mtconnect.shdr import Reader
from edge_agent.sources.source import Browsed, ReadResult, Sink

FLUSH_S = 5.0
LISTEN_S = 2.0  # how long read_once and browse listen to an adapter, which tells what it has by itself


class MtconnectSource:
    def __init__(self, setup: Setup) -> None:
        self.name, self.clock, self.health = setup.name, setup.clock, setup.health
        self.config = cast("MtconnectConfig", setup.config)
        self.devices = tuple(setup.indices.values())
        self.position: Position | None = None  # of an agent: kept from session to session, and over a restart
        self.recalled = False  # the position is that of an earlier run, whose active conditions are not known here
        self.repeated_before = 0  # observations below this number were handed in by that run
        targets = []
        for device_id, device in self.config.devices.items():
            for key, metric in setup.devices[device_id].metrics.items():
                item, kind = cast("MtconnectMetric", metric).item, cast("MtconnectMetric", metric).type
                words = f"{device_id}.{key} ({item})"
                text = None if kind is None else kind == "text"
                targets.append(Target(setup.tags[device_id, key], item, words, device.device, text, "state" in device.metrics))
        self.mapper = Mapper(targets)
        self._asked = hashlib.sha256(repr(sorted((one.words, one.device) for one in targets)).encode()).hexdigest()[:16]
        self._is_adapter = self.config.url.startswith("shdr:")

    async def session(self, sink: Sink) -> None:
        if self._is_adapter:
            self.mapper.keys()
            await AdapterSession(self, sink).run()
            return
        agent = Agent(self.config)
        try:
            await AgentSession(self, agent, sink).run()
        finally:
            await agent.close()

    # --- over a restart of the edge ------------------------------------------------------------------------------------------
    def memory(self) -> bytes:
        """Where an agent is read on, and what was read: with other metrics in the config it starts anew, because a new one needs its first value."""
        return f"{self._asked} {self.position.next} {self.position.instance}".encode() if self.position is not None else b""

    def recall(self, memory: Remembered) -> None:
        durable, received = _position(memory.durable, self._asked), _position(memory.received, self._asked)
        if durable is not None and not self._is_adapter:
            self.position, self.recalled = durable, True
            self.repeated_before = received.next if received is not None and received.instance == durable.instance else durable.next

    # --- what sessions share -------------------------------------------------------------------------------------------------
    def connected(self) -> None:
        if self.health.status != "connected":
            self.health.status, self.health.error, self.health.error_zh = "connected", "", ""

    def say_failed(self, bad_lines: int = 0) -> None:
        self.health.failed = dict(self.mapper.failed)
        if bad_lines:
            self.health.failed[f"{self.name} lines"] = f"{bad_lines} line(s) are not SHDR and were passed over"

    def wrong_clock(self) -> None:
        self.health.note(
            "clock",
            "its clock is wrong by more than max_clock_skew_s; its stamps are corrected. Set its clock.",
            "时钟偏差超过 max_clock_skew_s,时间戳已修正。请校准时钟。",
        )

    def until_ms(self, arrived_ms: int) -> int:
        """Up to when everything has come that is waited for."""
        return int(arrived_ms - max(self.config.settle_s * self.clock.speed, self.config.late_s) * 1000.0)

    def put(
        self,
        sink: Sink,
        rows: list[Row],
        *,
        until_ms: int | None,
        arrived_ms: int,
        initial_ms: int = 0,
        memory: bytes | None = None,
        repeated: bool = False,
    ) -> None:
        """Hands rows in; with `initial_ms` they are first values."""
        if not rows and until_ms is None and memory is None:
            return
        self.health.values += len(rows)
        columns = Columns.of(rows) if rows else Columns.empty()
        initial = np.ones(len(columns), np.bool_) if initial_ms else None
        sink.put(Batch(self.devices, columns, until_ms, arrived_ms, initial, initial_ms, memory=memory, repeated=repeated))

    async def flush(self, sink: Sink, heard_ms: int) -> None:
        """With a wide margin for late values: nothing more comes in this session, so what waits is stored before the source is said to be lost."""
        if self.config.late_s and heard_ms:
            loop, stored = asyncio.get_running_loop(), asyncio.Event()
            sink.put(Batch(self.devices, Columns.empty(), heard_ms, heard_ms, stored=lambda: loop.call_soon_threadsafe(stored.set)))
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await stored.wait()

    # --- for people ----------------------------------------------------------------------------------------------------------
    async def read_once(self) -> list[ReadResult]:
        seen, items = await (self._listen() if self._is_adapter else self._current())
        if self._is_adapter:
            self.mapper.keys()
        else:
            self.mapper.resolve(items)
        self.mapper.begin()
        newest: dict[int, Row] = {}
        for one in seen:
            for row in self.mapper.rows(one, one.t_ms if one.t_ms is not None else self.clock.now_ms()):
                newest[row[0]] = row
        out = []
        for target in self.mapper.targets:
            device, _, rest = target.words.partition(".")
            found = newest.get(target.tag.number)
            value = found[3] if found is not None else None
            none = self.mapper.failed.get(target.words, "UNAVAILABLE" if found is not None else "nothing was said of it")
            out.append(
                ReadResult(device, rest.partition(" ")[0], target.item, value, found[1] if found is not None else None, none if value is None else "")
            )
        return out

    async def _current(self) -> tuple[list[Observation], list[DataItem]]:
        agent = Agent(self.config)
        try:
            items = (await agent.ask("probe")).items
            return (await agent.ask("current")).observations, items
        finally:
            await agent.close()

    async def _listen(self) -> tuple[list[Observation], list[DataItem]]:
        """What an adapter tells within a moment."""
        session = AdapterSession(self, cast("Sink", None))
        reader, writer = await session.open()
        lines = Reader(self.mapper.condition_keys())
        out: list[Observation] = []
        try:
            with suppress(TimeoutError, OSError):
                async with asyncio.timeout(LISTEN_S):
                    while line := await reader.readline():
                        out += lines.line(line.decode("utf-8", "replace"), self.clock.now_ms())
        except ValueError as error:
            raise session.lost("a line without end") from error
        finally:
            writer.transport.abort()
        return out, []

    async def browse(self) -> AsyncIterator[Browsed]:
        if self._is_adapter:
            seen, _ = await self._listen()
            for item, value in {one.item: one.level or one.value for one in seen}.items():
                yield Browsed(item, item, "CONDITION" if value in ("NORMAL", "WARNING", "FAULT") else "", value)
            return
        observations, items = await self._current()
        values = {one.item: one.level or one.value for one in observations}
        for found in items:
            yield Browsed(f"{found.path}/{found.name or found.id}", found.id, found.type, values.get(found.id, ""))
        if not items:
            raise SourceLost(
                f"The agent {self.config.url} lists no data items.",
                f"代理 {self.config.url} 没有任何数据项。",
                "Check its device file.",
                "请检查代理的设备文件。",
            )


def _position(memory: bytes, asked: str) -> Position | None:
    """Raises nothing: a memory of another version or config is none."""
    what, _, rest = memory.decode("utf-8", "replace").partition(" ")
    number, _, instance = rest.partition(" ")
    return Position(instance, int(number)) if what == asked and number.isdigit() else None
