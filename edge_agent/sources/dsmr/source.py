"""Listening to a P1 port: the meter sends by itself; each good telegram is one reading of all its devices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import cast

from edge_agent.contract.names import GapCause
from edge_agent.errors import SourceLost
from edge_agent.events import Batch, Lost, Resumed
from edge_agent.pipeline.columns import DOUBLE, STRING, Columns, Value
from edge_agent.sources.bus.line import Line
from edge_agent.sources.dsmr import telegram, values
from edge_agent.sources.dsmr.config import DsmrConfig, DsmrMetric
from edge_agent.sources.dsmr.telegram import BadTelegram, Telegram
from edge_agent.sources.kind import Setup
from edge_agent.sources.source import Browsed, ReadResult, Sink

CLOCK_OFF_S = 120.0  # a meter's own time that is farther off is not believed
EARLY = 0.9  # of a period: a telegram that comes a little early is taken all the same
MISSED_S = 60.0  # telegrams missed for this long while we could not listen are a gap


@dataclass(frozen=True, slots=True)
class _Metric:
    device: str
    key: str
    tag: int
    index: int
    obis: str | None

    @property
    def where(self) -> str:
        return self.obis or values.KNOWN[self.key].en


class DsmrSource:
    def __init__(self, setup: Setup) -> None:
        self.name, self.clock, self.health = setup.name, setup.clock, setup.health
        self.config = cast("DsmrConfig", setup.config)
        self.devices = tuple(setup.indices.values())
        self._line = Line(self.config)
        self._buffer = bytearray()
        self._last_ms = 0
        self._metrics: list[_Metric] = []
        for device_id, index in setup.indices.items():
            for key, metric in cast("Mapping[str, DsmrMetric]", setup.devices[device_id].metrics).items():
                self._metrics.append(_Metric(device_id, key, setup.tags[device_id, key].number, index, metric.obis))

    # --- one session ---------------------------------------------------------------------------------------------------------
    async def session(self, sink: Sink) -> None:
        self._buffer.clear()
        resumed = False
        try:
            await self._line.open()
            while True:
                waited = sink.full
                await sink.room()
                found = await self._telegram()
                arrived_ms = self.clock.now_ms()
                if resumed and arrived_ms - self._last_ms < self.config.period_s * 1000.0 * EARLY:
                    continue
                if resumed and arrived_ms - self._last_ms > max(MISSED_S, 3 * self.config.period_s) * 1000.0 * self.clock.speed:
                    cause, why = (GapCause.BUFFER_FULL, "the buffer was full") if waited else (GapCause.EDGE_DOWN, "telegrams were missed")
                    sink.put(Lost(self.devices, cause, why))
                    resumed = False
                self._last_ms = arrived_ms
                t_ms = self._time(found, arrived_ms)
                if not resumed:
                    resumed = True
                    self.health.status, self.health.error, self.health.error_zh = "connected", "", ""
                    sink.put(Resumed(self.devices, t_ms))
                rows = self._rows(found, t_ms)
                self.health.values += len(rows)
                sink.put(Batch(self.devices, Columns.of(rows), t_ms, t_ms))
        finally:
            await self._line.close()

    async def _telegram(self) -> Telegram:
        """The next good telegram. Raises SourceLost when none comes in `timeout_s`."""
        end_s = time.monotonic() + self.config.timeout_s
        while True:
            raw = telegram.take(self._buffer)
            if raw is not None:
                try:
                    found = telegram.decode(raw)
                except BadTelegram as error:
                    self.health.note("telegram", f"a telegram was passed over: {error}.", f"丢弃一条报文:{error}。")
                    continue
                self.health.notes.pop("telegram", None)
                return found
            if time.monotonic() >= end_s:  # noise may come without end
                raise self._silent()
            try:
                async with asyncio.timeout(end_s - time.monotonic()):
                    self._buffer += await self._line.receive()
            except TimeoutError as error:
                raise self._silent() from error

    def _silent(self) -> SourceLost:
        where, limit_s = self.config.where, self.config.timeout_s
        return SourceLost(
            f"No good P1 telegram on {where} for {limit_s:g} s.",
            f"{where} 已 {limit_s:g} 秒没有有效的 P1 报文。",
            "Check the P1 cable (it must ask for data on pin 2), baud rate and parity: 115200 8N1, or 9600 7E1 for versions 2 and 3.",
            "请检查 P1 线(2 脚须置高请求数据)、波特率和校验:115200 8N1,2、3 版为 9600 7E1。",
        )

    def _time(self, found: Telegram, arrived_ms: int) -> int:
        """The telegram's own time where it has one that can be believed."""
        own_ms = found.time_ms(self.config.winter_offset_h) if self.config.meter_time else None
        if own_ms is None:
            return arrived_ms
        self.health.clock_offset_ms = float(own_ms - arrived_ms)
        off_s = (own_ms - arrived_ms) / 1000.0
        if abs(off_s) > CLOCK_OFF_S * self.clock.speed:
            self.health.note(
                "clock",
                f"the meter's clock is off by {off_s:.0f} s (or winter_offset_h is wrong); the moment of arrival is taken.",
                f"表计时钟相差 {off_s:.0f} 秒(或 winter_offset_h 有误),改用到达时刻。",
            )
            return arrived_ms
        self.health.notes.pop("clock", None)
        return own_ms

    def _rows(self, found: Telegram, t_ms: int) -> list[tuple[int, int, int, Value]]:
        rows: list[tuple[int, int, int, Value]] = []
        for metric in self._metrics:
            value = _value(found, metric)
            named = f"{metric.device}.{metric.key} ({metric.where})"
            if value is None:
                self.health.failed[named] = "the telegram does not have it / 报文中没有"
            else:
                self.health.failed.pop(named, None)
                rows.append((metric.tag, t_ms, STRING if isinstance(value, str) else DOUBLE, value))
        return rows

    # --- for people ----------------------------------------------------------------------------------------------------------
    async def _once(self) -> Telegram:
        self._buffer.clear()
        try:
            await self._line.open()
            return await self._telegram()
        finally:
            await self._line.close()

    async def read_once(self) -> list[ReadResult]:
        found = await self._once()
        t_ms = self._time(found, self.clock.now_ms())
        out = []
        for metric in self._metrics:
            value = _value(found, metric)
            words = "" if value is not None else "the telegram does not have it / 报文中没有"
            out.append(ReadResult(metric.device, metric.key, metric.where, value, t_ms if value is not None else None, words))
        return out

    async def browse(self) -> AsyncIterator[Browsed]:
        """The known names that this meter has, then every object of one telegram."""
        found = await self._once()
        yield Browsed(found.identification, "-", "meter", found.text("0-0:96.1.1") or "")
        for name, known in values.KNOWN.items():
            value = values.value_of(found, name)
            if value is not None:
                yield Browsed(f"{known.en} / {known.zh}", name, "number", f"{value:.12g}")
        for code, groups in found.objects.items():
            measured = found.measured(code)
            kind = measured[1] or "number" if measured is not None else "text"
            yield Browsed(code, f'obis = "{code}"', kind, f"{measured[0]:.12g}" if measured is not None else " ".join(groups)[:80])


def _value(found: Telegram, metric: _Metric) -> float | str | None:
    if metric.obis is None:
        return values.value_of(found, metric.key)
    measured = found.measured(metric.obis)
    return measured[0] if measured is not None else found.text(metric.obis) or None
