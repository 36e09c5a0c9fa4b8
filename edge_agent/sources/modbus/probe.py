"""Asks a Modbus unit until it is known which meter it is: SunSpec's mark, then every candidate's first voltage, then all values of those that may be.

What was read is kept, so that candidates share requests. A unit that never answers costs two time-outs. Energy is looked at twice: it must grow.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from edge_agent.sources.modbus import frames, plausible, sunspec
from edge_agent.sources.modbus.link import Link, NoAnswer
from edge_agent.sources.modbus.meters import MeterModel
from edge_agent.sources.modbus.plan import Field, Request, plan
from edge_agent.sources.modbus.plausible import Candidate, Judgement, Verdict

DEAD_AFTER: Final = 2  # time-outs in a row before a first answer
SILENT_MAX: Final = 6  # time-outs in a row later: some meters do not answer for registers they do not have
FINALISTS: Final = 12
WORDS_MAX: Final = 60  # in one request: meters with short buffers are many

Progress = Callable[[str, str, int, int], None]  # what is done (en, zh), how many of how many


class UnitSilent(Exception):
    """Nobody answers for this unit; the text says in which words."""


@dataclass(slots=True)
class Registers:
    """What a unit has said so far. `requests` counts those that went out."""

    link: Link
    unit: int
    words: dict[tuple[str, int], int | None] = field(default_factory=dict)
    requests: int = 0
    _refused: set[tuple[str, int, int]] = field(default_factory=set)
    _answered: bool = False
    _silent: int = 0

    async def ask(self, request: Request) -> list[int]:
        """Raises DeviceError, UnitSilent; a time-out of a unit that has answered before counts as a refusal."""
        self.requests += 1
        try:
            words = await self.link.read(self.unit, request)
        except frames.DeviceError as error:
            if error.code in frames.SILENT:
                raise UnitSilent(str(error)) from error
            self._answered, self._silent = True, 0
            raise
        except NoAnswer as error:
            self._silent += 1
            if self._silent >= (SILENT_MAX if self._answered else DEAD_AFTER):
                raise UnitSilent(error.en) from error
            raise frames.DeviceError(0) from error
        self._answered, self._silent = True, 0
        return words

    async def need(self, fields: Iterable[Field], progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Reads what is not yet known; neighbours share a request, and where that is refused each is asked for alone."""
        unknown = {
            (one.table, one.address, one.words): one
            for one in fields
            if (one.table, one.address, one.words) not in self._refused
            and any((one.table, one.address + i) not in self.words for i in range(one.words))
        }
        wanted = plan(unknown.values(), max_words=WORDS_MAX, max_hole=0)
        for done, request in enumerate(wanted):
            progress(done, len(wanted))
            if not await self._take(request) and len(request.fields) > 1:
                for one in request.fields:
                    await self._take(Request(one.table, one.address, one.words, (one,)))

    async def _take(self, request: Request) -> bool:
        try:
            words = await self.ask(request)
        except frames.DeviceError:
            if len(request.fields) == 1:
                self._refused.add((request.table, request.address, request.count))
            return False
        self.words.update({(request.table, request.address + i): word for i, word in enumerate(words)})
        return True


def _fields(candidate: Candidate, keys: Iterable[str]) -> list[Field]:
    """Of a candidate; those below register 0 are left out."""
    out = []
    for key in keys:
        metric = candidate.model.metrics[key]
        address = candidate.address(metric)
        if address >= 0:
            out.append(Field(0, key, candidate.table, address, metric.type or "float32", candidate.word_order, 0.0))
    return out


@dataclass(frozen=True, slots=True)
class Found:
    """What a unit is: a SunSpec device with its values, or the verdict over the library (None: nothing fits), or silent (`error`)."""

    unit: int
    verdict: Verdict | None = None
    block: sunspec.Block | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    requests: int = 0


async def probe_unit(link: Link, unit: int, models: Mapping[str, MeterModel], seconds: float, progress: Progress) -> Found:
    """`seconds` between the two looks at the energy. Raises SourceLost when the bus itself cannot be reached."""
    registers = Registers(link, unit)
    try:
        progress("looking for SunSpec", "查找 SunSpec 标记", 0, 1)
        block = await sunspec.discover(registers.ask)
        if block is not None:
            return await _told(registers, block)
        judged, later = await _by_library(registers, models, seconds, progress)
    except UnitSilent as silent:
        return Found(unit, error=str(silent), requests=registers.requests)
    return Found(unit, plausible.verdict(judged), requests=registers.requests + later)


async def _told(registers: Registers, block: sunspec.Block) -> Found:
    words: list[int] = []
    for request in block.requests(WORDS_MAX):
        try:
            words += await registers.ask(request)
        except frames.DeviceError as error:
            return Found(registers.unit, None, block, {}, str(error), registers.requests)
    return Found(registers.unit, None, block, sunspec.values(block, words, sunspec.KEYS), "", registers.requests)


async def _by_library(registers: Registers, models: Mapping[str, MeterModel], seconds: float, progress: Progress) -> tuple[list[Judgement], int]:
    """Judgements of all candidates that may be, the best of them after a second look; requests of the second look."""
    every = plausible.candidates(models)
    await registers.need(
        [one for candidate in every for one in _fields(candidate, ["voltage_l1_v"])],
        lambda done, total: progress("looking for a voltage", "查找电压", done, total),
    )
    maybe = [candidate for candidate in every if plausible.may_be(candidate, registers.words)]
    await registers.need(
        [one for candidate in maybe for one in _fields(candidate, candidate.model.metrics)],
        lambda done, total: progress(f"reading {len({c.name for c in maybe})} models", f"读取 {len({c.name for c in maybe})} 个型号", done, total),
    )
    judged = sorted((plausible.judge(candidate, registers.words) for candidate in maybe), key=lambda one: -one.points)
    best, rest = judged[:FINALISTS], judged[FINALISTS:]
    if not best or best[0].points < 1.0:
        return judged, 0
    progress(f"waiting {seconds:.0f} s: energy must grow", f"等待 {seconds:.0f} 秒:电量应增长", 0, 1)
    began = time.monotonic()
    await asyncio.sleep(seconds)
    again = Registers(registers.link, registers.unit)
    again._refused, again._answered = registers._refused, True
    await again.need([one for judgement in best for one in _fields(judgement.candidate, judgement.candidate.model.metrics)])
    apart = time.monotonic() - began
    return [plausible.judge(one.candidate, registers.words, again.words, apart) for one in best] + rest, again.requests
