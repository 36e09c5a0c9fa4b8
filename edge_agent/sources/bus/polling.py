"""Devices on a bus, polled on multiples of their periods, one question at a time; a device that is silent is lost by itself and left out a while.

A kind of bus brings a `Bus`: how to open, close, and read some values of one device. Everything else is here. The rules are those of the
Modbus source: the watermark of a device is the moment of its last good poll, ticks that have passed are not made up (totals carry over).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, cast

from edge_agent.config_model import MetricConfig
from edge_agent.contract.clock import Clock
from edge_agent.contract.names import GapCause
from edge_agent.errors import SourceLost
from edge_agent.events import Batch, Lost, Resumed
from edge_agent.health import SourceHealth
from edge_agent.pipeline.columns import BOOL, DOUBLE, STRING, Columns, Value
from edge_agent.pipeline.tags import Tag
from edge_agent.sources.bus.line import LineBroken, NoAnswer
from edge_agent.sources.kind import Setup
from edge_agent.sources.polled import reading_ms, tick_of
from edge_agent.sources.source import Browsed, ReadResult, Sink

MetricT = TypeVar("MetricT", bound=MetricConfig)
MISSED_POLLS, MISSED_S = 3, 5.0  # polls missed for longer than both are a gap: the totals carry over, the course between is not known


@dataclass(frozen=True, slots=True)
class Refused:
    """The device answered, but not with this value: its words."""

    words: str


Answer = Value | Refused


class Polling(Protocol):
    """What this needs of a source's config (BusConfig, or that of a PLC)."""

    @property
    def align(self) -> bool: ...

    @property
    def dead_device_skip_s(self) -> float: ...


class Bus(Protocol):
    """How one kind of bus is read. Numbers are handed out as floats, so that a metric keeps its type."""

    async def open(self) -> None:
        """Raises LineBroken."""
        ...

    async def close(self) -> None: ...

    async def read(self, device_id: str, keys: Sequence[str]) -> Mapping[str, Answer]:
        """Every key's value. Raises NoAnswer (the device is silent), LineBroken, SourceMisconfigured."""
        ...

    def where(self, device_id: str, key: str) -> str:
        """Where the value stands on the bus, for people."""
        ...

    def browse(self) -> AsyncIterator[Browsed]: ...


@dataclass(slots=True)
class _Poll:
    period_ms: int
    keys: list[str]
    due_ms: int = 0


@dataclass(slots=True)
class _Device:
    id: str
    index: int
    tags: Mapping[str, int]
    polls: list[_Poll] = field(default_factory=list)
    alive: bool = False
    last_ms: int = 0
    skip_until_s: float = 0.0
    was_lost: bool = False


def _kind(value: Value) -> int:
    return BOOL if isinstance(value, bool) else DOUBLE if isinstance(value, (int, float)) else STRING


class PolledSource:
    """`periods_s`: device id -> metric key -> plant seconds between its polls."""

    def __init__(
        self,
        name: str,
        config: Polling,
        clock: Clock,
        tags: Mapping[tuple[str, str], Tag],
        indices: Mapping[str, int],
        periods_s: Mapping[str, Mapping[str, float]],
        health: SourceHealth,
        bus: Bus,
    ) -> None:
        self.name, self.config, self.clock, self.health, self.bus = name, config, clock, health, bus
        self.devices = tuple(indices.values())
        self._waited = False  # before this round, for room in the buffer
        self._devices: list[_Device] = []
        for device_id, index in indices.items():
            keys = periods_s[device_id]
            device = _Device(device_id, index, {key: tags[device_id, key].number for key in keys})
            by_period: dict[int, list[str]] = {}
            for key, period_s in keys.items():
                by_period.setdefault(max(1, round(period_s * 1000)), []).append(key)
            device.polls = [_Poll(period_ms, found) for period_ms, found in by_period.items()]
            self._devices.append(device)

    # --- for people ----------------------------------------------------------------------------------------------------------
    async def read_once(self) -> list[ReadResult]:
        out: list[ReadResult] = []
        try:
            await self.bus.open()
            for device in self._devices:
                keys = [key for poll in device.polls for key in poll.keys]
                try:
                    answers = await self.bus.read(device.id, keys)
                except NoAnswer as error:
                    out += [ReadResult(device.id, key, self.bus.where(device.id, key), None, None, error.text()) for key in keys]
                    continue
                now_ms = self.clock.now_ms()
                for key in keys:
                    answer, where = answers[key], self.bus.where(device.id, key)
                    if isinstance(answer, Refused):
                        out.append(ReadResult(device.id, key, where, None, None, answer.words))
                    else:
                        out.append(ReadResult(device.id, key, where, answer, now_ms))
        finally:
            await self.bus.close()
        return out

    async def browse(self) -> AsyncIterator[Browsed]:
        try:
            await self.bus.open()
            async for found in self.bus.browse():
                yield found
        finally:
            await self.bus.close()

    # --- one session ---------------------------------------------------------------------------------------------------------
    async def session(self, sink: Sink) -> None:
        try:
            await self.bus.open()
            now_ms = self.clock.now_ms()
            for device in self._devices:
                device.alive, device.skip_until_s = False, 0.0
                for poll in device.polls:
                    poll.due_ms = now_ms  # once at the start: a person sees at once whether it works
            while True:
                due_ms = min(poll.due_ms for device in self._devices for poll in device.polls)
                wait_ms = due_ms - self.clock.now_ms()
                if wait_ms > 0:
                    await self.clock.sleep(wait_ms / 1000.0)
                    continue
                self._waited = sink.full
                await sink.room()
                await self._round(sink)
        finally:
            await self.bus.close()

    def _next_tick(self, period_ms: int, after_ms: int) -> int:
        """The next multiple of the period (or, unaligned, one period later)."""
        return (after_ms // period_ms + 1) * period_ms if self.config.align else after_ms + period_ms

    async def _round(self, sink: Sink) -> None:
        """Polls every device that is due. Raises SourceLost when no device answers any more."""
        answered, silent = 0, None
        for device in self._devices:
            asked_ms = self.clock.now_ms()
            due = [poll for poll in device.polls if poll.due_ms <= asked_ms]
            if not due:
                continue
            tick_ms = tick_of((poll.period_ms for poll in due), asked_ms) if self.config.align else None
            for poll in due:
                poll.due_ms = self._next_tick(poll.period_ms, asked_ms)
            if time.monotonic() < device.skip_until_s:
                continue
            try:
                answers = await self.bus.read(device.id, [key for poll in due for key in poll.keys])
            except LineBroken:
                raise
            except NoAnswer as error:
                silent = error
                self._silent(device, sink, error)
                continue
            answered += 1
            self._answered(device, sink, answers, reading_ms(tick_ms, asked_ms, self.clock.now_ms(), device.last_ms))
        if silent is not None and not answered and not any(device.alive for device in self._devices):
            raise silent

    def _silent(self, device: _Device, sink: Sink, error: SourceLost) -> None:
        device.skip_until_s = time.monotonic() + (self.config.dead_device_skip_s if len(self._devices) > 1 else 0.0)
        self.health.note(device.id, error.text("en"), error.text("zh"))
        if device.alive or not device.was_lost:
            sink.put(Lost((device.index,), GapCause.SOURCE_LOST, error.en))
        device.alive, device.was_lost = False, True

    def _answered(self, device: _Device, sink: Sink, answers: Mapping[str, Answer], at_ms: int) -> None:
        longest_ms = max(MISSED_POLLS * max(poll.period_ms for poll in device.polls), MISSED_S * 1000.0 * self.clock.speed)
        if device.alive and at_ms - device.last_ms > longest_ms:
            cause, why = (GapCause.BUFFER_FULL, "the buffer was full") if self._waited else (GapCause.EDGE_DOWN, "polls were missed")
            sink.put(Lost((device.index,), cause, why))
            device.alive = False
        device.last_ms = at_ms
        if self.health.status != "connected":
            self.health.status, self.health.error, self.health.error_zh = "connected", "", ""
        if not device.alive:
            device.alive, device.was_lost = True, False
            self.health.notes.pop(device.id, None)
            sink.put(Resumed((device.index,), at_ms))
        rows: list[tuple[int, int, int, Value]] = []
        for key, answer in answers.items():
            named = f"{device.id}.{key} ({self.bus.where(device.id, key)})"
            if isinstance(answer, Refused):
                self.health.failed[named] = answer.words
            else:
                self.health.failed.pop(named, None)
                rows.append((device.tags[key], at_ms, _kind(answer), answer))
        self.health.values += len(rows)
        sink.put(Batch((device.index,), Columns.of(rows), at_ms, at_ms))


def metrics_of(setup: Setup, kind: type[MetricT]) -> dict[str, Mapping[str, MetricT]]:
    """Device id -> its metrics, for the devices of this source."""
    return {device: cast("Mapping[str, MetricT]", setup.devices[device].metrics) for device in setup.indices}


def polled(setup: Setup, bus: Bus, periods_s: Mapping[str, Mapping[str, float]]) -> PolledSource:
    """The source of a setup whose config is a `Polling`."""
    config = cast("Polling", setup.config)
    return PolledSource(setup.name, config, setup.clock, setup.tags, setup.indices, periods_s, setup.health, bus)
