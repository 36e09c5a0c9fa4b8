"""The time without a connection, read afterwards from the server's own history (HistoryRead, raw), where the server kept one.

A device's time is known again when every fact of it has a history that the server gave whole and that reaches to the first value of the new
subscription; samples that have one are read in any case. What cannot be read stays a gap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from asyncua import ua

from edge_agent.events import Batch, Continued, Resumed
from edge_agent.pipeline.columns import Columns, Value
from edge_agent.pipeline.tags import Tag
from edge_agent.sources.opcua import client

HISTORY_READ = 0x04  # bit of AccessLevel (OPC 10000-3, 8.57)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An item whose history the server offers."""

    tag: Tag
    node: ua.NodeId


@dataclass(frozen=True, slots=True)
class Afterwards:
    """Reads what happened from `from_ms` on. `tags` are all of the source, `recorded` those with a history."""

    connection: client.Connection
    server: client.Server
    devices: Sequence[int]
    tags: Sequence[Tag]
    recorded: Sequence[Recorded]
    from_ms: int

    async def before(self, first_ms: Mapping[int, int], resumed_ms: int) -> list[Continued | Resumed | Batch]:
        """Events to put before the first values (tag number -> its time) of the new subscription. Raises SourceLost."""
        to_ms = max([*first_ms.values(), self.from_ms]) + 1
        nodes = [one.node for one in self.recorded]
        found = await self.connection.history(nodes, self.from_ms, to_ms, self.server.profile)
        rows: dict[int, list[tuple[int, int, int, Value]]] = defaultdict(list)
        whole: set[int] = set()
        for one, values in zip(self.recorded, found, strict=True):
            if values is None:
                continue
            mine = [_row(one.tag.number, value) for value in values if value.SourceTimestamp is not None]
            first = first_ms.get(one.tag.number)
            if first is not None and (first <= self.from_ms or any(row[1] == first for row in mine)):
                whole.add(one.tag.number)
            rows[one.tag.device] += [row for row in mine if self.from_ms < row[1] < (to_ms if first is None else first)]
        return self._events(rows, whole, resumed_ms)

    def without_known(self, batch: Batch, events: Sequence[object]) -> Batch:
        """First values of devices whose time is whole: those from before it are known already, the others stand at their own time."""
        whole = {index for event in events if isinstance(event, Continued) for index in event.devices}
        if batch.initial is None or not whole:
            return batch
        numbers = [tag.number for tag in self.tags if tag.device in whole]
        mine = np.isin(batch.columns.ids, np.array(numbers, np.uint32))
        stays = ~(mine & batch.initial & (batch.columns.t_ms <= self.from_ms))
        place = np.cumsum(stays) - 1
        overflow = [int(place[row]) for row in batch.overflow if stays[row]]
        return replace(batch, columns=batch.columns.take(stays), initial=(batch.initial & ~mine)[stays], overflow=overflow)

    def _events(self, rows: Mapping[int, list[tuple[int, int, int, Value]]], whole: set[int], resumed_ms: int) -> list[Continued | Resumed | Batch]:
        events: list[Continued | Resumed | Batch] = [Batch(self.devices, Columns.empty(), memory=b"")]
        for device in self.devices:
            facts = {tag.number for tag in self.tags if tag.device == device and tag.is_fact}
            known = bool(facts) and facts <= whole
            mine = rows.get(device, [])
            if known:
                events.append(Continued([device], resumed_ms, f"{len(mine)} values read from the server's history"))
            else:
                events.append(Resumed([device], resumed_ms))
                mine = [row for row in mine if row[0] not in facts]
            mine.sort(key=lambda row: row[1])
            events.append(Batch([device], Columns.of(mine), repeated=True))
        return events


def _row(number: int, value: ua.DataValue) -> tuple[int, int, int, Value]:
    kind, plain = client.plain(value)
    return number, client.ms_of(value.SourceTimestamp), kind, plain


async def afterwards(
    connection: client.Connection, server: client.Server, devices: Sequence[int], items: Sequence[tuple[Tag, ua.NodeId]], from_ms: int
) -> Afterwards | None:
    """None where the server keeps no history of any item."""
    levels = await connection.read([node for _, node in items], server.profile.reads_per_call, ua.AttributeIds.UserAccessLevel)
    recorded = [
        Recorded(tag, node)
        for (tag, node), level in zip(items, levels, strict=True)
        if level.Value is not None and isinstance(level.Value.Value, int) and level.Value.Value & HISTORY_READ
    ]
    return Afterwards(connection, server, devices, [tag for tag, _ in items], recorded, from_ms) if recorded else None
