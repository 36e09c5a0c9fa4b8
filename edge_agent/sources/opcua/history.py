"""The time without a connection, read afterwards from the server's own history, where the server kept one.

A device's time is known again when every fact of it has a history that the server gave whole and that reaches to the first value of the new
subscription; samples that have one are read in any case. What cannot be read stays a gap.

A server that was started anew meanwhile recorded nothing while it was down. What its history holds from before is known up to the device's last
value that it surely recorded then; what it holds from after, from the moment on when every fact has been told once. In between is the gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from asyncua import ua

from edge_agent.contract.names import GapCause
from edge_agent.events import Batch, Continued, Lost, Resumed
from edge_agent.pipeline.columns import Columns, Value
from edge_agent.pipeline.tags import Tag
from edge_agent.sources.opcua import client
from edge_agent.sources.opcua.history_read import history

Row = tuple[int, int, int, Value]
Event = Continued | Resumed | Lost | Batch
Told = Mapping[int, list[Row]]  # tag number -> what its history holds, in the order of time; tags whose history was not given are not there
LATER_S = (0.1, 0.3, 1.0)  # then a history that does not yet hold the first value is read again
_NO_VALUES = frozenset({ua.StatusCodes.BadBoundNotFound, ua.StatusCodes.BadNoData})  # what stands for a bound that there is none of


@dataclass(frozen=True, slots=True)
class Recorded:
    """An item whose history the server offers."""

    tag: Tag
    node: ua.NodeId


@dataclass(frozen=True, slots=True)
class Known:
    """What was known before: up to when everything had been handed in, and of each tag (by number) when its newest value was that had."""

    until_ms: int
    newest_ms: Mapping[int, int]
    restarted: bool = False  # the server was, since then


@dataclass(frozen=True, slots=True)
class Afterwards:
    """Reads what happened since. `tags` are all of the source, `recorded` those with a history."""

    connection: client.Connection
    server: client.Server
    devices: Sequence[int]
    tags: Sequence[Tag]
    recorded: Sequence[Recorded]
    known: Known

    async def before(self, first_ms: Mapping[int, int], resumed_ms: int) -> list[Event]:
        """Events to put before the first values (tag number -> its time) of the new subscription. Raises SourceLost."""
        to_ms = max([*first_ms.values(), self.known.until_ms]) + 1
        told: dict[int, list[Row]] = {}
        wanted = self.recorded
        for pause_s in (*LATER_S, None):
            found = await history(self.connection, [one.node for one in wanted], self.known.until_ms, to_ms, self.server.profile)
            for one, values in zip(wanted, found, strict=True):
                if values is not None:
                    end_ms = first_ms.get(one.tag.number, to_ms - 1)
                    told[one.tag.number] = [row for row in _rows(one.tag.number, values) if self.known.until_ms < row[1] <= end_ms]
            # a historian stores a value a little later than the subscription tells it
            wanted = [one for one in wanted if one.tag.is_fact and one.tag.number in told and not self._goes_on(one.tag.number, told, first_ms)]
            if not wanted or pause_s is None:
                break
            await asyncio.sleep(pause_s)
        events: list[Event] = [Batch(self.devices, Columns.empty(), memory=b"")]
        for device in self.devices:
            events += (
                self._over_restart(device, told, first_ms, resumed_ms) if self.known.restarted else self._device(device, told, first_ms, resumed_ms)
            )
        return events

    def _goes_on(self, number: int, told: Told, first_ms: Mapping[int, int]) -> bool:
        return _reaches(told[number], first_ms.get(number), self.server.run.started_ms if self.known.restarted else self.known.until_ms)

    def without_known(self, batch: Batch, events: Sequence[object]) -> Batch:
        """First values of devices whose time is whole: those from before it are known already, the others stand at their own time."""
        gaps = {index for event in events if isinstance(event, Resumed) for index in event.devices}
        whole = {index for event in events if isinstance(event, Continued) for index in event.devices} - gaps
        if batch.initial is None or not whole:
            return batch
        numbers = [tag.number for tag in self.tags if tag.device in whole]
        mine = np.isin(batch.columns.ids, np.array(numbers, np.uint32))
        stays = ~(mine & batch.initial & (batch.columns.t_ms <= self.known.until_ms))
        place = np.cumsum(stays) - 1
        overflow = [int(place[row]) for row in batch.overflow if stays[row]]
        return replace(batch, columns=batch.columns.take(stays), initial=(batch.initial & ~mine)[stays], overflow=overflow)

    # --- one device ----------------------------------------------------------------------------------------------------------
    def _of(self, device: int) -> tuple[list[int], list[int]]:
        """Its tags that are facts, and the others."""
        mine = [tag for tag in self.tags if tag.device == device]
        return [tag.number for tag in mine if tag.is_fact], [tag.number for tag in mine if not tag.is_fact]

    def _device(self, device: int, told: Told, first_ms: Mapping[int, int], resumed_ms: int) -> list[Event]:
        facts, samples = self._of(device)
        known = bool(facts) and all(_reaches(told.get(number), first_ms.get(number), self.known.until_ms) for number in facts)
        rows = self._news(told, [*facts, *samples] if known else samples, first_ms)
        if known:
            first: Event = Continued([device], resumed_ms, f"{len(rows)} values read from the server's history")
        else:
            first = Resumed([device], resumed_ms)
        return [first, Batch([device], _columns(rows), repeated=True)]

    def _over_restart(self, device: int, told: Told, first_ms: Mapping[int, int], resumed_ms: int) -> list[Event]:
        facts, samples = self._of(device)
        rows = self._news(told, [*facts, *samples], first_ms)
        events: list[Event] = []
        until_ms = self._ran_until(told, [*facts, *samples])
        if facts and until_ms and all(number in told for number in facts):
            known = [row for row in rows if row[1] <= until_ms]
            rows = [row for row in rows if row[1] > until_ms]
            events += [
                Continued([device], until_ms, f"{len(known)} values read from the server's history"),
                Batch([device], _columns(known), until_ms, repeated=True),
                Lost([device], GapCause.SOURCE_LOST, "the server was started anew"),
            ]
        proven_ms = self._proven_again(facts, told, first_ms)
        if proven_ms is None:
            rows = [row for row in rows if row[0] in samples]
        events.append(Resumed([device], resumed_ms if proven_ms is None else min(proven_ms, resumed_ms), restarted=True))
        events.append(Batch([device], _columns(rows), repeated=True))
        return events

    def _ran_until(self, told: Told, numbers: Iterable[int]) -> int:
        """Until when the server's earlier run surely recorded: the newest of what its history holds from before the start, and of what was handed in.
        0 where the history holds nothing from before.

        A tag's last value before the start proves nothing: the new run may have found it, in a PLC that went on without its server.
        """
        started_ms = self.server.run.started_ms
        before = {number: [row[1] for row in told.get(number, ()) if row[1] < started_ms] for number in numbers}
        sure = [t_ms for times in before.values() for t_ms in times[:-1]]
        handed_in = [t_ms for number in before if 0 < (t_ms := self.known.newest_ms.get(number, 0)) < started_ms]
        return max([*sure, *handed_in]) if sure else 0

    def _news(self, told: Told, numbers: Iterable[int], first_ms: Mapping[int, int]) -> list[Row]:
        """What was not handed in yet. The first value itself is told by the subscription."""
        out: list[Row] = []
        for number in numbers:
            end_ms, newest_ms = first_ms.get(number), self.known.newest_ms.get(number, 0)
            out += [row for row in told.get(number, ()) if row[1] > newest_ms and (end_ms is None or row[1] < end_ms)]
        return out

    def _proven_again(self, facts: Sequence[int], told: Told, first_ms: Mapping[int, int]) -> int | None:
        """Since when every fact is known in the server's new run; None where its history does not tell."""
        started_ms = self.server.run.started_ms
        if not all(_reaches(told.get(number), first_ms.get(number), started_ms) for number in facts):
            return None
        news = {number: [row[1] for row in told[number] if row[1] >= started_ms] for number in facts}
        if not any(news.values()):
            return None
        return max(max(started_ms, min([first_ms[number], *times])) for number, times in news.items())


def _reaches(rows: Sequence[Row] | None, first: int | None, from_ms: int) -> bool:
    """Whether a history was given and goes on to the first value that was told, which may also stand since before `from_ms`."""
    return rows is not None and first is not None and first >= 0 and (first <= from_ms or any(row[1] == first for row in rows))


def _columns(rows: list[Row]) -> Columns:
    return Columns.of(sorted(rows, key=lambda row: row[1]))


def _rows(number: int, values: Iterable[ua.DataValue]) -> list[Row]:
    """In the order of time, what was told twice once: servers repeat a value at the seam of two answers, and add bounds that nobody asked for."""
    out: dict[tuple[int, str], Row] = {}
    for value in values:
        status = value.StatusCode
        if value.SourceTimestamp is None or (status is not None and status.value in _NO_VALUES):
            continue
        kind, plain = client.plain(value)
        t_ms = client.ms_of(value.SourceTimestamp)
        out.setdefault((t_ms, repr(plain)), (number, t_ms, kind, plain))
    return sorted(out.values(), key=lambda row: row[1])


def afterwards(
    connection: client.Connection,
    server: client.Server,
    devices: Sequence[int],
    items: Sequence[tuple[Tag, ua.NodeId]],
    recorded: frozenset[ua.NodeId],
    known: Known,
) -> Afterwards | None:
    """`recorded`: nodes with a history. None where no item has one."""
    mine = [Recorded(tag, node) for tag, node in items if node in recorded]
    return Afterwards(connection, server, devices, [tag for tag, _ in items], mine, known) if mine else None
