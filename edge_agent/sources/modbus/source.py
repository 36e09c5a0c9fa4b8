"""Meters over Modbus, TCP or RTU: polls on multiples of the period, one connection, dead devices left out for a while.

A device is read by its plan of requests; its watermark is the tick of its last complete poll. A device that does not answer is lost by
itself (its own gap) and left out for `dead_device_skip_s`, so that its neighbours behind the same gateway stay fast.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from edge_agent.contract.clock import Clock
from edge_agent.contract.names import GapCause
from edge_agent.errors import SourceLost, SourceMisconfigured
from edge_agent.events import Batch, Lost, Resumed
from edge_agent.health import SourceHealth
from edge_agent.pipeline.columns import DOUBLE, STRING, Columns, Value
from edge_agent.pipeline.tags import DeviceSource, Tag
from edge_agent.sources.modbus import codec, frames, sunspec
from edge_agent.sources.modbus.config import ModbusConfig, ModbusMetric
from edge_agent.sources.modbus.link import Link, NoAnswer
from edge_agent.sources.modbus.plan import Field, Request, plan, split
from edge_agent.sources.modbus.rtu import Line, ModbusRtu
from edge_agent.sources.modbus.tcp import ModbusTcp
from edge_agent.sources.polled import reading_ms, tick_of
from edge_agent.sources.source import Browsed, ReadResult, Sink

BUSY_PAUSE_S = 0.1
MISSED_POLLS, MISSED_S = 3, 5.0  # polls missed for longer than both are a gap: the totals carry over, the course between is not known


@dataclass(slots=True)
class _Poll:
    """The fields of one device with one period."""

    period_ms: int
    requests: list[Request]
    told: dict[str, int] = field(default_factory=dict)  # SunSpec: metric key -> tag of the values whose place the device says
    due_ms: int = 0


@dataclass(slots=True)
class _Meter:
    id: str
    index: int
    unit: int
    polls: list[_Poll] = field(default_factory=list)
    alive: bool = False
    last_ms: int = 0
    skip_until_s: float = 0.0
    was_lost: bool = False
    block: sunspec.Block | None = None  # SunSpec: found at the first poll of a session


def link_of(config: ModbusConfig) -> Link:
    """The bus of a config, not yet opened."""
    if config.transport == "tcp":
        return ModbusTcp(config.host, config.port, config.timeout_s, config.pause_after_connect_s)
    where = (config.host, config.port) if config.serial is None else Line(config.serial, config.baud_rate, config.parity, config.stop_bits)
    return ModbusRtu(where, config.timeout_s, config.pause_after_connect_s)


class ModbusSource:
    def __init__(
        self,
        name: str,
        config: ModbusConfig,
        clock: Clock,
        tags: Mapping[tuple[str, str], Tag],
        indices: Mapping[str, int],
        devices: Mapping[str, DeviceSource],
        health: SourceHealth,
    ) -> None:
        self.name, self.config, self.clock, self.health = name, config, clock, health
        self.devices = tuple(indices.values())
        self._kinds: dict[int, int] = {}
        self._words: dict[int, str] = {}
        self._meters = [self._meter(device_id, index, devices[device_id], tags) for device_id, index in indices.items()]
        self._waited = False  # before this round, for room in the buffer
        self._connection = link_of(config)

    def _meter(self, device_id: str, index: int, device: DeviceSource, tags: Mapping[tuple[str, str], Tag]) -> _Meter:
        meter = _Meter(device_id, index, self.config.devices[device_id].unit)
        by_period: dict[int, list[Field]] = {}
        told: dict[int, dict[str, int]] = {}
        for key, metric in cast("Mapping[str, ModbusMetric]", device.metrics).items():
            number = tags[device_id, key].number
            kind = metric.type or ("bool" if metric.table in ("coil", "discrete") else "float32")
            period_s = metric.period_s or self.config.period_s
            if metric.register_ is None:
                by_period.setdefault(max(1, round(period_s * 1000)), [])
                told.setdefault(max(1, round(period_s * 1000)), {})[key] = number
                continue
            wanted = Field(number, key, metric.table, metric.register_, kind, metric.word_order or "ABCD", period_s, metric.not_available == "max")
            by_period.setdefault(max(1, round(period_s * 1000)), []).append(wanted)
            self._kinds[number] = codec.KINDS[kind]
            self._words[number] = f"{device_id}.{key} ({metric.table} {metric.register_})"
        for period_ms, fields in by_period.items():
            requests = plan(fields, max_words=self.config.max_words, max_hole=self.config.max_hole, one_per_field=self.config.one_request_per_field)
            meter.polls.append(_Poll(period_ms, requests, told.get(period_ms, {})))
        return meter

    # --- for people ----------------------------------------------------------------------------------------------------------
    async def read_once(self) -> list[ReadResult]:
        out: list[ReadResult] = []
        now_ms = self.clock.now_ms()
        try:
            for meter in self._meters:
                for poll in meter.polls:
                    try:
                        answers = await self._fetch_all(meter, poll)
                    except NoAnswer as error:
                        fields = [f for request in poll.requests for f in request.fields]
                        out += [ReadResult(meter.id, f.key, f"{f.table} {f.address}", None, None, str(error)) for f in fields]
                        continue
                    for request, words in answers:
                        for f in request.fields:
                            value, why = ("", str(words)) if isinstance(words, frames.DeviceError) else (_value(f, request, words), "")
                            out.append(ReadResult(meter.id, f.key, f"{f.table} {f.address}", None if why else value, None if why else now_ms, why))
                out += await self._read_told_once(meter, now_ms)
        finally:
            await self._connection.close()
        return out

    async def _read_told_once(self, meter: _Meter, now_ms: int) -> list[ReadResult]:
        keys = [key for poll in meter.polls for key in poll.told]
        try:
            found = await self._told(meter, keys) if keys else {}
        except (frames.DeviceError, NoAnswer) as error:
            return [ReadResult(meter.id, key, "sunspec", None, None, str(error)) for key in keys]
        return [ReadResult(meter.id, key, "sunspec", found[key], now_ms) for key in keys if key in found]

    async def browse(self) -> AsyncIterator[Browsed]:
        if self._meters:
            meter = self._meters[0]
            raise SourceMisconfigured(
                f"A Modbus device ({meter.id}) cannot be browsed.",
                f"Modbus 设备({meter.id})不支持浏览。",
                "Choose a `model`, or take the registers from its manual.",
                "请选择 `model` 或查阅手册中的寄存器。",
            )
        yield Browsed("", "", "", "")  # never reached: every source has devices; it makes this an async generator

    # --- one session ---------------------------------------------------------------------------------------------------------
    async def session(self, sink: Sink) -> None:
        config = self.config
        await self._connection.open()
        self.health.status, self.health.error, self.health.error_zh = "connected", "", ""
        for meter in self._meters:
            meter.alive, meter.skip_until_s, meter.block = False, 0.0, None
            for poll in meter.polls:
                poll.due_ms = self._next_tick(poll.period_ms, self.clock.now_ms() - 1)
        try:
            while True:
                due_ms = min(poll.due_ms for meter in self._meters for poll in meter.polls)
                wait_ms = due_ms - self.clock.now_ms()
                if wait_ms > 0:
                    await self.clock.sleep(wait_ms / 1000.0)
                    continue
                self._waited = sink.full
                await sink.room()
                await self._round(sink)
                if config.close_after_poll:
                    await self._connection.close()
        finally:
            await self._connection.close()

    def _next_tick(self, period_ms: int, after_ms: int) -> int:
        """The next multiple of the period (or, unaligned, one period later)."""
        return (after_ms // period_ms + 1) * period_ms if self.config.align else after_ms + period_ms

    async def _round(self, sink: Sink) -> None:
        """Polls everything that is due. Raises SourceLost only when no device answers any more."""
        now_ms = self.clock.now_ms()
        answered, silent = 0, None
        for meter in self._meters:
            due = [poll for poll in meter.polls if poll.due_ms <= now_ms]
            if not due:
                continue
            asked_ms = self.clock.now_ms()
            # Ticks that have passed meanwhile are not made up: the reading is of now, and totals carry over.
            tick_ms = tick_of((poll.period_ms for poll in due), now_ms) if self.config.align else None
            for poll in due:
                poll.due_ms = self._next_tick(poll.period_ms, now_ms)
            if time.monotonic() < meter.skip_until_s:
                continue
            try:
                rows = await self._read(meter, due)
            except NoAnswer as error:
                silent = error
                self._silent(meter, sink, error)
                continue
            answered += 1
            at_ms = reading_ms(tick_ms, asked_ms, self.clock.now_ms(), meter.last_ms)
            self._answered(meter, sink, [(tag, at_ms, kind, value) for tag, kind, value in rows], at_ms)
        if silent is not None and not answered and not any(meter.alive for meter in self._meters):
            raise silent

    def _silent(self, meter: _Meter, sink: Sink, error: SourceLost) -> None:
        meter.skip_until_s = time.monotonic() + (self.config.dead_device_skip_s if len(self._meters) > 1 else 0.0)
        self.health.note(meter.id, error.en, error.zh)
        if meter.alive or not meter.was_lost:
            sink.put(Lost((meter.index,), GapCause.SOURCE_LOST, error.en))
        meter.alive, meter.was_lost = False, True

    def _answered(self, meter: _Meter, sink: Sink, rows: list[tuple[int, int, int, Value]], at_ms: int) -> None:
        missed_ms = at_ms - meter.last_ms
        longest_ms = max(MISSED_POLLS * max(poll.period_ms for poll in meter.polls), MISSED_S * 1000.0 * self.clock.speed)
        if meter.alive and missed_ms > longest_ms:
            cause, why = (GapCause.BUFFER_FULL, "the buffer was full") if self._waited else (GapCause.EDGE_DOWN, "polls were missed")
            sink.put(Lost((meter.index,), cause, why))
            meter.alive = False
        meter.last_ms = at_ms
        if not meter.alive:
            meter.alive, meter.was_lost = True, False
            self.health.notes.pop(meter.id, None)
            sink.put(Resumed((meter.index,), at_ms))
        self.health.values += len(rows)
        sink.put(Batch((meter.index,), Columns.of(rows), at_ms, at_ms))

    async def _read(self, meter: _Meter, due: list[_Poll]) -> list[tuple[int, int, Value]]:
        """Rows (tag, kind, value) of a device; a register it refuses is named in the health and left out."""
        rows: list[tuple[int, int, Value]] = []
        for request, words in [answer for poll in due for answer in await self._fetch_all(meter, poll)]:
            if isinstance(words, frames.DeviceError):
                self._refused(meter, words, [self._words[f.tag] for f in request.fields])
                continue
            for f in request.fields:
                value = _value(f, request, words)
                if value is None and f.highest_is_none:  # it says so itself: nothing is missing that could have been known
                    self.health.failed[self._words[f.tag]] = "the meter says that it has no such value"
                    continue
                self.health.failed.pop(self._words[f.tag], None)
                rows.append((f.tag, self._kinds[f.tag] if value is not None else STRING, value))
        for poll in due:
            if poll.told:
                try:
                    found = await self._told(meter, poll.told)
                except frames.DeviceError as error:
                    self._refused(meter, error, [f"{meter.id} (sunspec)"])
                    continue
                self.health.failed.pop(f"{meter.id} (sunspec)", None)
                rows += [(poll.told[key], DOUBLE, value) for key, value in found.items()]
        return rows

    async def _fetch_all(self, meter: _Meter, poll: _Poll) -> list[tuple[Request, list[int] | frames.DeviceError]]:
        """Every request of a poll with its words, or the exception; a range that is refused is read in parts from now on. Raises NoAnswer."""
        answers = [answer for request in poll.requests for answer in await self._fetch(meter, request)]
        poll.requests = [request for request, _ in answers]
        return answers

    async def _fetch(self, meter: _Meter, request: Request) -> list[tuple[Request, list[int] | frames.DeviceError]]:
        try:
            return [(request, await self._ask(meter, request))]
        except frames.DeviceError as error:
            if error.code in frames.SILENT:
                raise NoAnswer(f"unit {meter.unit}: {error}", f"从站 {meter.unit}:{error}") from error
            if error.code not in frames.RANGE_REFUSED or len(request.fields) < 2:
                return [(request, error)]
        return [answer for part in split(request) for answer in await self._fetch(meter, part)]

    def _refused(self, meter: _Meter, error: frames.DeviceError, what: Iterable[str]) -> None:
        """A register the device refuses is named. Raises NoAnswer where it is a gateway that says its device is silent."""
        if error.code in frames.SILENT:
            raise NoAnswer(f"unit {meter.unit}: {error}", f"从站 {meter.unit}:{error}") from error
        self.health.failed.update(dict.fromkeys(what, str(error)))

    async def _told(self, meter: _Meter, keys: Iterable[str]) -> dict[str, float]:
        """SunSpec values of those of `keys` that the device has, in SI units. Raises DeviceError, and NoAnswer where it does not speak SunSpec."""
        if meter.block is None:
            meter.block = await sunspec.discover(lambda request: self._ask(meter, request))
        if meter.block is None:
            raise NoAnswer(
                f"unit {meter.unit} is no SunSpec meter or inverter (no mark at {', '.join(map(str, sunspec.BASES))})",
                f"从站 {meter.unit} 不是 SunSpec 电表或逆变器",
                "Choose its `model`, or let `probe-meter` look.",
                "请选择 `model`,或用 `probe-meter` 识别。",
            )
        words: list[int] = []
        for request in meter.block.requests(self.config.max_words):
            words += await self._ask(meter, request)
        return sunspec.values(meter.block, words, keys)

    async def _ask(self, meter: _Meter, request: Request) -> list[int]:
        for attempt in range(self.config.busy_retries + 1):
            if self.config.pause_between_requests_s:
                await asyncio.sleep(self.config.pause_between_requests_s)
            try:
                return await self._connection.read(meter.unit, request)
            except frames.DeviceError as error:
                if error.code != frames.BUSY or attempt == self.config.busy_retries:
                    raise
                await asyncio.sleep(BUSY_PAUSE_S)
        raise AssertionError("unreachable")


def _value(wanted: Field, request: Request, words: list[int]) -> Value:
    start = wanted.address - request.address
    value = codec.decode(words[start : start + wanted.words], wanted.type, wanted.word_order)
    return None if wanted.highest_is_none and codec.is_highest(value, wanted.type) else value
