"""A PLC over OPC UA: subscription, own publish loop, acknowledgement after the values are on disk.

A session is: connect, who answers (`profiles.py`), namespaces by URI; then the subscription of before is taken up with what was missed, or a
new one is made (what was between is read from the server's history where it keeps one); then publish responses (`publishing.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from urllib.parse import urlsplit

import numpy as np
from asyncua import ua

from edge_agent.contract.clock import Clock
from edge_agent.errors import SourceMisconfigured
from edge_agent.events import Batch, Remembered
from edge_agent.health import SourceHealth
from edge_agent.pipeline.columns import Columns
from edge_agent.pipeline.tags import Tag
from edge_agent.sources.kind import Setup
from edge_agent.sources.opcua import client, decode, left_sessions, security
from edge_agent.sources.opcua.alarms import EVENTS
from edge_agent.sources.opcua.browse import browse_variables
from edge_agent.sources.opcua.conditions import Desk, event_filter, refresh
from edge_agent.sources.opcua.config import OpcUaConfig, OpcUaMetric
from edge_agent.sources.opcua.filters import Deadband, Filters
from edge_agent.sources.opcua.history import Afterwards, Known, afterwards
from edge_agent.sources.opcua.history_read import recorded
from edge_agent.sources.opcua.model_devices import ModelDevices, Wanted
from edge_agent.sources.opcua.offset import ClockOffset, Delay
from edge_agent.sources.opcua.publishing import REPUBLISHED_MAX, PublishLoop, Start, opening
from edge_agent.sources.opcua.resume import Held, Subscription, following, items_hash, recalled, tolerance_ms
from edge_agent.sources.opcua.watch import Watch, first_of
from edge_agent.sources.source import Browsed, ReadResult, Sink

KNOCK_S = 0.25
HISTORY_TRIES = 2  # connections in a row that ended while the history was read
REFUSALS = frozenset({"BadUserAccessDenied", "BadServiceUnsupported", "BadNotImplemented", "BadInsufficientClientProfile"})


class OpcUaSource:
    clock: Clock
    health: SourceHealth

    def __init__(self, setup: Setup, config: OpcUaConfig) -> None:
        self.name, self.edge, self.clock = setup.name, setup.edge, setup.clock
        self.devices, self.health = tuple(setup.indices.values()), setup.health
        self._models = ModelDevices(setup, config)
        self.config = config
        self._fixed: list[Wanted] = [
            (setup.tags[device_id, key], device, metric, f"{device_id}.{key}")
            for device_id, device in config.devices.items()
            for key, metric in device.metrics.items()
            if metric.node is not None
        ]
        self._want(self._fixed)
        self.delay = Delay()
        self.filters = Filters()
        self._held: Held | None = None
        self._met = security.Met()
        self._sessions = left_sessions.LeftSessions(left_sessions.path_of(config, setup.name))
        self._looked_up: tuple[list[str], list[client.Item]] = ([], [])  # namespaces, and what the config's nodes are by them
        self._watch = Watch(self, [(tag.number, metric.max_silence_s, bool(_deadband(tag, metric).percent)) for tag, _, metric, _ in self._wanted])
        self._away = False
        self.history_tries = 0
        self._recorded: frozenset[ua.NodeId] | None = None  # nodes with a history; None: not asked yet
        self._newest_ms = np.zeros(0, np.int64)  # by tag number, where a history may be read: the newest value handed in

    # --- for people ----------------------------------------------------------------------------------------------------------
    async def read_once(self) -> list[ReadResult]:
        async with client.connect(self.config, self.name, self.edge) as connection:
            items = await self._resolved(connection, await connection.namespaces())
            values = await connection.read([item.node for item in items])
        out = []
        for (tag, _, _, words), item, value in zip(self._wanted, items, values, strict=True):
            if item.events is not None or self._models.takes(tag, client.plain(value)[1]):
                continue
            device, _, metric = words.partition(".")
            _, raw = client.plain(value)
            error = "" if raw is not None else f"{value.StatusCode.name} ({value.StatusCode.doc})"
            stamp = None if value.SourceTimestamp is None else client.ms_of(value.SourceTimestamp)
            out.append(ReadResult(device, metric, item.node.to_string(), raw, stamp, error))
        return out + self._models.results()

    async def browse(self) -> AsyncIterator[Browsed]:
        async with client.connect(self.config, self.name, self.edge) as connection:
            async for found in browse_variables(connection.client, await connection.namespaces()):
                yield found

    def _want(self, wanted: list[Wanted]) -> None:
        self._wanted = wanted
        self.tag_numbers = np.array([tag.number for tag, _, _, _ in wanted], np.uint32)  # by client handle

    async def _resolved(self, connection: client.Connection, namespaces: list[str], *, as_before: bool = False) -> list[client.Item]:
        """The items of a session: the config's nodes, and those that companion models have on this server (`as_before`: it has not restarted)."""
        if self._models:
            with client.in_words(self.config):
                self._want(self._fixed + await self._models.resolve(connection.client, namespaces, self._fixed, as_before=as_before))
        elif self._looked_up[0] == namespaces:
            return self._looked_up[1]
        self._looked_up = namespaces, self._items(namespaces)
        return self._looked_up[1]

    def _items(self, namespaces: list[str]) -> list[client.Item]:
        return [
            client.Item(
                handle,
                client.node_id(str(metric.node), device.namespace, device.node_prefix, namespaces),
                words,
                _deadband(tag, metric),
                event_filter(namespaces) if tag.role == EVENTS else None,
            )
            for handle, (tag, device, metric, words) in enumerate(self._wanted)
        ]

    @property
    def events(self) -> Desk:
        """Where events become rows of this session's inputs."""
        return self._models.desk

    # --- what outlives a session ---------------------------------------------------------------------------------------------
    def recall(self, found: Remembered) -> None:
        held = self._held = recalled(found.durable, found.received, self.clock.speed)
        if held is not None and self._models:
            until_ms = self._models.recall(found.durable)  # what is put together goes on where it is certain
            if until_ms is None:
                self._held = None
            else:
                held.until_ms = until_ms

    def forget(self) -> None:
        """The subscription of before cannot be gone on with; up to when it was known stays known."""
        if self._held is not None:
            self._held.next_sequence = None

    async def knock(self) -> bool:
        if not self._away:
            return False
        address = urlsplit(self.config.url)
        try:
            async with asyncio.timeout(KNOCK_S):
                _, writer = await asyncio.open_connection(address.hostname, address.port or 4840)
        except (OSError, ValueError):  # the latter for a name that can be none (an empty or too long label)
            return False
        writer.close()
        return True

    # --- one session ---------------------------------------------------------------------------------------------------------
    async def session(self, sink: Sink) -> None:
        self._away = False
        connection: client.Connection | None = None
        try:
            async with client.connect(self.config, self.name, self.edge, self._met) as connection:
                await self._session(connection, sink)
        except client.SourceAway:
            self._away = True
            raise
        finally:
            if connection is not None and not connection.is_left:
                self._sessions.ended(connection.client)

    async def _session(self, connection: client.Connection, sink: Sink) -> None:
        self.health.standing = connection.standing
        server = await connection.server(self.config.items_per_call)
        left = self._sessions.opened(connection.client, server.run)
        self.delay.of(server.now_ms, time.monotonic() * 1000.0)
        as_before = self._held is not None and self._held.run == server.run
        items = await self._resolved(connection, list(server.namespaces), as_before=as_before)
        sink = self._models.sink(sink)
        resumed = await self._resumed(connection, server, items, sink)
        loop = resumed or await self._anew(connection, server, items, sink)
        connection.keeps_subscriptions = self.config.resume_s > 0
        tidying = asyncio.create_task(self._end_left(connection, left, delete_subscriptions=resumed is None))
        try:
            await first_of(loop.run(), self._watch.run())
        finally:
            tidying.cancel()
            await asyncio.gather(tidying, return_exceptions=True)

    async def _end_left(self, connection: client.Connection, left: Sequence[left_sessions.Session], *, delete_subscriptions: bool) -> None:
        """Closes what earlier connections left open at the server."""
        for one in left:
            if await left_sessions.end(self.config, self.name, self.edge, connection.client, one, delete_subscriptions=delete_subscriptions):
                self._sessions.forget(one)

    def _hash(self, items: Sequence[client.Item]) -> str:
        config = self.config
        settings = (config.publishing_interval_s, config.sampling_interval_s, config.queue_size)
        words = [f"{item.node.to_string()} {item.deadband if item.events is None else item.events}" for item in items]
        return items_hash(settings, [(item.handle, text) for item, text in zip(items, words, strict=True)])

    async def _resumed(self, connection: client.Connection, server: client.Server, items: Sequence[client.Item], sink: Sink) -> PublishLoop | None:
        """Takes up the subscription of before, with what was missed meanwhile; None when a new one is needed."""
        held = self._held
        if held is None or held.next_sequence is None or held.run != server.run or not self.config.resume_s:
            return None
        next_sequence, held.next_sequence = held.next_sequence, None  # until it has gone well
        try:
            return await self._taken_up(connection, server, items, sink, held, next_sequence)
        except client.Broken:
            held.try_again_at(next_sequence)
            raise

    async def _taken_up(
        self, connection: client.Connection, server: client.Server, items: Sequence[client.Item], sink: Sink, held: Held, next_sequence: int
    ) -> PublishLoop | None:
        made = held.subscription
        if not server.profile.transfers:
            await connection.delete(made.id)
            return None
        refusal, available = await connection.transfer(made.id)
        if refusal:
            if refusal in REFUSALS:
                self.health.note(
                    "restart",
                    f"the server hands no subscription over ({refusal}): a restart of the agent leaves a gap. Use security and a user.",
                    f"服务器不移交订阅({refusal}):网关重启会留下数据缺口。请使用加密连接和用户登录。",
                )
            return None
        if held.items != self._hash(items):
            await connection.delete(made.id)
            return None
        missed: list[decode.Response] = []
        while len(missed) < REPUBLISHED_MAX and (response := await connection.republish(made.id, next_sequence)) is not None:
            missed.append(response)
            next_sequence = following(next_sequence)
        held.to_acknowledge = [sequence for sequence in available if sequence <= held.stored]
        again = [item for item in items if item.handle in held.refused]
        watched = await connection.watch(made, again, self.config, server, self.filters)
        refused = watched.refused
        held.refused = tuple(refused)
        held.ids |= watched.ids
        self._say_refused(items, refused)
        held.next_sequence = next_sequence
        fresh = frozenset(int(self.tag_numbers[item.handle]) for item in again if item.handle not in refused)
        self._watch.start(connection, server, held, items)
        return PublishLoop(self, connection, server, held, sink, Start(missed, fresh, self.clock.now_ms()), self._watch)

    async def _anew(self, connection: client.Connection, server: client.Server, items: Sequence[client.Item], sink: Sink) -> PublishLoop:
        made = await connection.subscribe(self.config)
        asked = [connection.publish(made.id, ()) for _ in range(server.profile.publishes)]  # they wait at the server for the first values
        try:
            start = await self._watched(connection, server, made, items, sink)
        except BaseException:
            for request in asked:
                request.cancel()
            raise
        assert self._held is not None
        return PublishLoop(self, connection, server, self._held, sink, start, self._watch, asked)

    async def _watched(
        self, connection: client.Connection, server: client.Server, made: Subscription, items: Sequence[client.Item], sink: Sink
    ) -> Start:
        """Makes the items of a new subscription; the time before it becomes a gap, or is read from the server's history."""
        held = self._held
        before = held if held is not None and held.run == server.run else None
        restarted = held is not None and held.restarted_since(server.run)
        watched = await connection.watch(made, items, self.config, server, self.filters)
        refused = watched.refused
        self._say_refused(items, refused)
        self._say_short(watched.short)
        resumed_ms = self.clock.now_ms()
        from_ms = held.until_ms if held is not None and (before is not None or restarted) else 0
        reader = await self._reader(connection, server, items, refused, from_ms, restarted=restarted) if from_ms else None
        if reader is None:
            for event in opening(self, resumed_ms, restarted=restarted):
                sink.put(event)
            self.connected()
        offset = before.offset if before is not None else ClockOffset(tolerance_ms(made.publishing_s, self.clock.speed))
        made_anew = Held(made, server.run, self._hash(items), tuple(refused), offset, ids=watched.ids)
        if held is not None and (reader is not None or not restarted):
            made_anew.until_ms, made_anew.until_run = from_ms, held.until_run or held.run
        self._held = made_anew
        self._watch.start(connection, server, self._held, items)
        fresh = frozenset(int(self.tag_numbers[item.handle]) for item in items if item.handle not in refused and item.events is None)
        if any(item.events is not None and item.handle not in refused for item in items):
            await self.refresh(connection, made.id, sink, resumed_ms)
        return Start(None, fresh, resumed_ms, reader)

    async def _reader(
        self,
        connection: client.Connection,
        server: client.Server,
        items: Sequence[client.Item],
        refused: Mapping[int, str],
        from_ms: int,
        *,
        restarted: bool,
    ) -> Afterwards | None:
        """What reads the time since `from_ms` from the server's history; None where that cannot be."""
        if restarted and (self.clock.speed != 1.0 or from_ms >= server.run.started_ms):
            return None  # the moment of the start is told by the server's own clock: values of another time cannot be set against it
        if self.history_tries >= HISTORY_TRIES:
            self.history_tries = 0
            self.health.note(
                "history",
                "the server's history could not be read: the connection ended in it. The time without a connection stays a gap.",
                "读取服务器历史数据时连接中断,断线期间的数据留为缺口。",
            )
            return None
        mine = [item for item in items if item.handle not in refused and item.events is None]
        if self._recorded is None:
            self._recorded = await recorded(connection, [item.node for item in mine], server.profile)
        tags = [(self._wanted[item.handle][0], item.node) for item in mine]
        newest_ms = {number: int(t_ms) for number, t_ms in enumerate(self._newest_ms)}
        return afterwards(connection, server, self.devices, tags, self._recorded, Known(from_ms, newest_ms, restarted))

    async def look_for_history(self, connection: client.Connection, server: client.Server, items: Iterable[client.Item]) -> None:
        """Once a session stands: a server that comes back need not be asked in a hurry which nodes have a history."""
        if self._recorded is None:
            nodes = [item.node for item in items if item.events is None]
            self._recorded = await recorded(connection, nodes, server.profile)

    async def refresh(self, connection: client.Connection, subscription: int, sink: Sink, since_ms: int = 0) -> None:
        """Asks what conditions are active; where the server cannot say, what was known of them is not known any more.

        `since_ms`: when the subscription began; 0: it goes on.
        """
        if await refresh(connection, subscription):
            if since_ms:
                self.events.expect(since_ms)
        else:
            sink.put(Batch(self.devices, Columns.of(self.events.unknown(self.clock.now_ms()))))

    def put(self, sink: Sink, batch: Batch) -> None:
        """Hands values in, and takes note of their times: what a history tells of them again is known."""
        columns = batch.columns
        if self._recorded != frozenset() and len(columns):
            size = int(columns.ids.max()) + 1
            if size > len(self._newest_ms):
                self._newest_ms = np.append(self._newest_ms, np.zeros(size - len(self._newest_ms), np.int64))
            self._newest_ms[columns.ids] = columns.t_ms
        sink.put(batch)

    def connected(self) -> None:
        self.health.status, self.health.error, self.health.error_zh = "connected", "", ""

    def _say_refused(self, items: Sequence[client.Item], refused: Mapping[int, str]) -> None:
        values = [item for item in items if item.events is None]
        self.health.failed = {item.words: refused[item.handle] for item in values if item.handle in refused}
        for item in items:
            if item.events is not None and item.handle in refused:
                self.health.note(
                    "alarms",
                    f"the server tells no events ({refused[item.handle]}); name the nodes of the alarms: alarm = {{ node = … }}.",
                    f"服务器不提供事件({refused[item.handle]});请用 alarm = {{ node = … }} 指定报警节点。",
                )
        if values and len(self.health.failed) == len(values):
            raise SourceMisconfigured(
                f"None of the {len(items)} nodes can be watched ({next(iter(self.health.failed.items()))}).",
                f"{len(items)} 个节点都无法订阅。",
                "Correct namespace, node_prefix and nodes; `browse` lists what is there.",
                "请修改 namespace、node_prefix 和 node;`browse` 可列出现有节点。",
            )

    def _say_short(self, short: Sequence[str]) -> None:
        if short:
            self.health.note(
                "queue",
                f"the server keeps fewer values between two sendings than come: {'; '.join(short[:3])}"
                f"{f' and {len(short) - 3} more' if len(short) > 3 else ''}. Lower publishing_interval_s or raise sampling_interval_s.",
                f"服务器队列过短,两次发送之间的值放不下:{';'.join(short[:3])}(共 {len(short)} 项)。"
                "请缩短 publishing_interval_s 或加大 sampling_interval_s。",
            )


def _deadband(tag: Tag, metric: OpcUaMetric) -> Deadband:
    """What the server may leave out of a plain sample, in the node's own units."""
    if tag.is_fact or not metric.deadband_percent:
        return Deadband()
    return Deadband(metric.deadband_percent, metric.deadband / abs(metric.scale) if metric.scale else 0.0)
