"""What may be dead while the connection lives: a server that was loaded anew under us, items refused before, and single items that went silent.

Every CHECK_S the server is asked when it started and for its namespaces: a download to a PLC gives node ids another meaning, so the session ends
and the next one looks everything up again. An item with `max_silence_s` that was silent so long is read; if it holds another value than the last
one told, and still does a moment later, its monitored item is dead and is made anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edge_agent.errors import SourceLost
from edge_agent.pipeline.columns import Columns, Value, value_of
from edge_agent.sources.opcua import client
from edge_agent.sources.opcua.resume import Held

if TYPE_CHECKING:
    from edge_agent.sources.opcua.source import OpcUaSource

CHECK_S = 5.0
RETRY_REFUSED_S = 60.0
GRACE_S = 1.0  # a change may be on its way while we read


@dataclass(slots=True)
class _Quiet:
    """An item that must not be silent for long: its limit, when and what it last told."""

    limit_s: float
    seen_s: float
    value: Value = None
    told: bool = False


class Watch:
    """One a source, over all its sessions. `limits`: (tag number, max_silence_s, whether the server filters it) by client handle."""

    def __init__(self, source: OpcUaSource, limits: Sequence[tuple[int, float | None, bool]]) -> None:
        self._source = source
        # Where the server leaves small changes out, another value proves nothing.
        self._quiet = {handle: _Quiet(limit_s, 0.0) for handle, (_, limit_s, filtered) in enumerate(limits) if limit_s is not None and not filtered}
        self._handle_of = {limits[handle][0]: handle for handle in self._quiet}
        self._watched: npt.NDArray[np.uint32] = np.array(list(self._handle_of), np.uint32)
        self._made_anew: set[int] = set()  # tags whose next value follows an unknown time
        self._check_s = min([CHECK_S, *(quiet.limit_s / 4 for quiet in self._quiet.values())])

    def start(self, connection: client.Connection, server: client.Server, held: Held, items: Sequence[client.Item]) -> None:
        """A session begins."""
        self._connection, self._server, self._held = connection, server, held
        self._items = {item.handle: item for item in items}
        self._namespaces: list[str] | None = None
        for quiet in self._quiet.values():
            quiet.seen_s = time.monotonic()

    def note(self, columns: Columns) -> list[int]:
        """Takes note of values (ids are tag numbers). Returns the rows before which values are missing."""
        if not len(self._watched):
            return []
        missing: list[int] = []
        for row in np.flatnonzero(np.isin(columns.ids, self._watched)).tolist():
            number = int(columns.ids[row])
            quiet = self._quiet[self._handle_of[number]]
            quiet.seen_s, quiet.told = time.monotonic(), True
            quiet.value = value_of(int(columns.kinds[row]), int(columns.bits[row]), columns.strings)
            if number in self._made_anew:
                self._made_anew.discard(number)
                missing.append(row)
        return missing

    async def run(self) -> None:
        """Ends with SourceLost when the session must end."""
        refused_s = time.monotonic()
        checked_s = 0.0
        while True:
            await asyncio.sleep(self._check_s)
            if time.monotonic() - checked_s >= CHECK_S:
                checked_s = time.monotonic()
                await self._check_server()
                await self._source.look_for_history(self._connection, self._server, self._items.values())
            if self._held.refused and time.monotonic() - refused_s >= RETRY_REFUSED_S:
                refused_s = time.monotonic()
                await self._try_refused()
            await self._check_silent()

    async def _check_server(self) -> None:
        started_ms, namespaces = await self._connection.run_now()
        if started_ms != self._server.run.started_ms:
            self._source.forget()
            raise SourceLost("The server was started anew.", "服务器已重新启动。", "Connecting anew.", "正在重连。")
        if self._namespaces is not None and namespaces != self._namespaces:
            raise SourceLost(
                "The server's namespaces changed (a download?).", "服务器命名空间已改变(下载了程序?)。", "Connecting anew.", "正在重连。"
            )
        self._namespaces = namespaces

    async def _try_refused(self) -> None:
        """A download may have brought the node, or taken away what forbade it: then everything is looked up anew, without a hole."""
        items = [self._items[handle] for handle in self._held.refused]
        values = await self._connection.read([item.node for item in items], self._server.profile.reads_per_call)
        if any(value.StatusCode is None or value.StatusCode.is_good() for value in values):
            raise SourceLost("A node that was refused can be read now.", "先前被拒绝的节点现已可读。", "Connecting anew.", "正在重连。")

    async def _check_silent(self) -> None:
        now_s = time.monotonic()
        refused = set(self._held.refused)
        silent = [handle for handle, quiet in self._quiet.items() if now_s - quiet.seen_s >= quiet.limit_s and handle not in refused]
        others = await self._differing(silent)
        if not others:
            return
        await asyncio.sleep(2 * self._held.subscription.publishing_s + GRACE_S)
        dead = await self._differing([handle for handle in others if self._quiet[handle].seen_s < now_s])
        if dead:
            await self._make_anew(dead)

    async def _differing(self, handles: Sequence[int]) -> list[int]:
        """Those that hold another value than the last one told; the others are well and get their time again."""
        if not handles:
            return []
        asked_s = time.monotonic()
        values = await self._connection.read([self._items[handle].node for handle in handles], self._server.profile.reads_per_call)
        out = []
        for handle, value in zip(handles, values, strict=True):
            quiet = self._quiet[handle]
            if quiet.seen_s > asked_s:
                continue
            held = client.plain(value)[1]
            if not quiet.told:  # after a restart of the agent: judged from here on
                quiet.value, quiet.told = held, True
            if held == quiet.value or (held != held and quiet.value != quiet.value):  # not-a-number equals nothing
                quiet.seen_s = asked_s
            else:
                out.append(handle)
        return out

    async def _make_anew(self, handles: Sequence[int]) -> None:
        words = ", ".join(self._items[handle].words for handle in handles[:3])
        self._source.health.note(
            "silent",
            f"{words}: the server told nothing although the value had changed; watched anew.",
            f"{words}:数值已变化但服务器未上报;已重新订阅。",
        )
        held = self._held
        if any(handle not in held.ids for handle in handles):
            self._source.forget()
            await self._connection.delete(held.subscription.id)
            raise SourceLost(f"{words}: dead while connected.", f"{words}:连接正常但监控项已失效。", "Subscribing anew.", "正在重新订阅。")
        await self._connection.unwatch(held.subscription.id, [held.ids.pop(handle) for handle in handles])
        self._made_anew.update(number for number, handle in self._handle_of.items() if handle in handles)
        items = [self._items[handle] for handle in handles]
        watched = await self._connection.watch(held.subscription, items, self._source.config, self._server, self._source.filters)
        held.ids |= watched.ids
        for handle in handles:
            self._quiet[handle].seen_s = time.monotonic()


async def first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Runs them beside each other until one ends; its error is raised and the others are cancelled."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
