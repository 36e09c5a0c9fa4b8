"""A PLC over OPC UA: subscription, own publish loop, acknowledgement after the values are on disk.

A session is: connect, namespaces by URI, subscribe, initial values, then publish responses. Up to IN_FLIGHT PublishRequests wait at the
server. A response is acknowledged with the next request after the worker has stored it; while too many are not stored yet no request is
sent, and the server's queues hold what comes (their overflow bit becomes a gap record).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from edge_agent.contract.clock import Clock
from edge_agent.errors import SourceLost, SourceMisconfigured
from edge_agent.events import Batch, Resumed
from edge_agent.health import SourceHealth
from edge_agent.pipeline.columns import Columns
from edge_agent.pipeline.tags import Tag
from edge_agent.sources.opcua import client, decode
from edge_agent.sources.opcua.browse import browse_variables
from edge_agent.sources.opcua.config import OpcUaConfig, OpcUaDevice, OpcUaMetric
from edge_agent.sources.opcua.offset import ClockOffset, Delay
from edge_agent.sources.source import Browsed, ReadResult, Sink

IN_FLIGHT = 3
INITIAL_WAIT_S = 10.0  # what has no value by then is left to come when it comes
BACKLOG_S = 10.0  # seconds of notifications that may be received and not yet stored


class OpcUaSource:
    def __init__(
        self,
        name: str,
        config: OpcUaConfig,
        edge: str,
        clock: Clock,
        tags: Mapping[tuple[str, str], Tag],
        devices: tuple[int, ...],
        health: SourceHealth,
    ) -> None:
        self.name, self.config, self.edge, self.clock = name, config, edge, clock
        self.devices, self.health = devices, health
        self._wanted: list[tuple[Tag, OpcUaDevice, OpcUaMetric, str]] = [
            (tags[device_id, key], device, metric, f"{device_id}.{key}")
            for device_id, device in config.devices.items()
            for key, metric in device.metrics.items()
            if metric.node is not None
        ]

    # --- for people ----------------------------------------------------------------------------------------------------------
    async def read_once(self) -> list[ReadResult]:
        async with client.connect(self.config, self.name, self.edge) as connection:
            items = self._items(await connection.namespaces())
            values = await connection.read([item.node for item in items])
        out = []
        for (_, _, _, words), item, value in zip(self._wanted, items, values, strict=True):
            device, _, metric = words.partition(".")
            _, raw = client.plain(value)
            error = "" if raw is not None else f"{value.StatusCode.name} ({value.StatusCode.doc})"
            stamp = None if value.SourceTimestamp is None else client.ms_of(value.SourceTimestamp)
            out.append(ReadResult(device, metric, item.node.to_string(), raw, stamp, error))
        return out

    async def browse(self) -> AsyncIterator[Browsed]:
        async with client.connect(self.config, self.name, self.edge) as connection:
            async for found in browse_variables(connection.client, await connection.namespaces()):
                yield found

    def _items(self, namespaces: list[str]) -> list[client.Item]:
        return [
            client.Item(tag.number, client.node_id(str(metric.node), device.namespace, device.node_prefix, namespaces), words)
            for tag, device, metric, words in self._wanted
        ]

    # --- one session ---------------------------------------------------------------------------------------------------------
    async def session(self, sink: Sink) -> None:
        async with client.connect(self.config, self.name, self.edge) as connection:
            self.health.standing = connection.standing
            items = self._items(await connection.namespaces())
            subscription = await connection.subscribe(self.config)
            refused = await connection.watch(subscription, items, self.config)
            self.health.failed = {words: refused[tag.number] for tag, _, _, words in self._wanted if tag.number in refused}
            if len(refused) == len(items):
                raise SourceMisconfigured(
                    f"None of the {len(items)} nodes can be watched ({next(iter(self.health.failed.items()))}).",
                    f"{len(items)} 个节点都无法订阅。",
                    "Correct namespace, node_prefix and nodes; `browse` lists what is there.",
                    "请修改 namespace、node_prefix 和 node;`browse` 可列出现有节点。",
                )
            resumed_ms = self.clock.now_ms()
            sink.put(Resumed(self.devices, resumed_ms))
            self.health.status, self.health.error, self.health.error_zh = "connected", "", ""
            fresh = {item.handle for item in items} - refused.keys()
            await _PublishLoop(self, connection, subscription, sink, resumed_ms, fresh).run()


class _PublishLoop:
    """Requests out, responses in, for as long as the subscription lives."""

    def __init__(
        self, source: OpcUaSource, connection: client.Connection, subscription: client.Subscription, sink: Sink, resumed_ms: int, fresh: set[int]
    ) -> None:
        self._source, self._connection, self._subscription, self._sink = source, connection, subscription, sink
        self._clock, self._config = source.clock, source.config
        self._resumed_ms = resumed_ms
        self._fresh = np.zeros(max(fresh, default=0) + 1, np.bool_)
        self._fresh[list(fresh)] = True
        self._fresh_left = len(fresh)
        self._fresh_until_s = time.monotonic() + INITIAL_WAIT_S
        self._loop = asyncio.get_running_loop()
        self._requests: deque[asyncio.Future[Any]] = deque()
        self._to_acknowledge: list[int] = []
        self._unstored = 0
        self._unstored_max = max(64, round(BACKLOG_S / subscription.publishing_s))
        self._stored = asyncio.Event()
        self._expected: int | None = None
        settle_s = max(self._config.settle_s, 2 * subscription.publishing_s + self._config.sampling_interval_s)
        self._settle_ms = settle_s * 1000.0 * self._clock.speed
        self._silence_s = 3 * subscription.keep_alive_s + self._config.timeout_s
        self._delay, self._delay_ms = Delay(), 0.0
        self._offset = ClockOffset((2 * subscription.publishing_s + 2.0) * 1000.0 * self._clock.speed)

    async def run(self) -> None:
        try:
            while True:
                while len(self._requests) < IN_FLIGHT and self._unstored < self._unstored_max and not self._sink.full:
                    self._request()
                if not self._requests:
                    self._stored.clear()
                    with suppress(asyncio.TimeoutError):
                        async with asyncio.timeout(0.05):
                            await self._stored.wait()
                    continue
                response = await self._connection.response(self._requests[0], self._silence_s)
                self._requests.popleft()
                self._take(response)
        finally:
            for request in self._requests:
                request.cancel()

    def _request(self) -> None:
        acknowledge, self._to_acknowledge = self._to_acknowledge, []
        self._requests.append(self._connection.publish(self._subscription.id, acknowledge))

    def _on_stored(self, sequence: int) -> None:
        """In the event loop, after the worker's commit."""
        self._unstored -= 1
        self._to_acknowledge.append(sequence)
        self._stored.set()

    def _take(self, response: decode.Response) -> None:
        arrived_ms = self._clock.now_ms()
        self._delay_ms = self._delay.of(response.published_ms, time.monotonic() * 1000.0)
        if response.status is not None:
            raise SourceLost(
                f"The server ended the subscription (status 0x{response.status:08X}).", "服务器终止了订阅。", "Connecting anew.", "正在重连。"
            )
        until_ms = None
        if response.is_keep_alive:
            until_ms = self._until(response, arrived_ms)
            if until_ms is not None:
                self._sink.put(Batch(self._source.devices, Columns.empty(), until_ms))
            return
        if self._expected is not None and response.sequence != self._expected:
            raise SourceLost(
                f"Notification {self._expected} is missing (got {response.sequence}).",
                f"缺少通知 {self._expected}。",
                "Connecting anew.",
                "正在重连。",
            )
        self._expected = response.sequence % 0xFFFFFFFF + 1
        last = len(response.changes) - 1
        for number, changes in enumerate(response.changes):
            batch = self._batch(changes, arrived_ms, response, is_last=number == last)
            self._sink.put(batch)

    def _batch(self, changes: decode.Changes, arrived_ms: int, response: decode.Response, *, is_last: bool) -> Batch:
        columns = changes.columns
        self._source.health.values += len(columns)
        initial = self._initial(columns)
        t_ms = columns.t_ms
        untimed = t_ms == decode.NO_TIME
        skew_ms = self._config.max_clock_skew_s * 1000.0
        wrong = (t_ms > arrived_ms + skew_ms) | ((t_ms < arrived_ms - skew_ms) & ~initial if initial is not None else t_ms < arrived_ms - skew_ms)
        if wrong.any():
            self._source.health.note(
                "clock",
                "its clock is wrong by more than max_clock_skew_s; values are stamped on arrival. Set the PLC's clock.",
                "时钟偏差超过 max_clock_skew_s,按到达时间记录。请校准 PLC 时钟。",
            )
        replace = untimed | wrong
        if replace.any():
            columns.t_ms = np.where(replace, arrived_ms, t_ms)
        if initial is None and not replace.all():
            self._offset.seen(int(columns.t_ms.max()), arrived_ms)
            self._source.health.clock_offset_ms = self._offset.ms
        stored = None
        if is_last:
            self._unstored += 1
            stored = partial(self._loop.call_soon_threadsafe, self._on_stored, response.sequence)
        until_ms = self._until(response, arrived_ms) if is_last else None
        durable_ms = min(int(columns.t_ms.max()), arrived_ms) if is_last else arrived_ms
        return Batch(self._source.devices, columns, until_ms, durable_ms, initial, self._resumed_ms, changes.overflow, stored)

    def _initial(self, columns: Columns) -> Any:
        """Mask of the rows that are their item's first value in this session, None when there is none."""
        if not self._fresh_left:
            return None
        first = np.zeros(len(columns), np.bool_)
        handles, rows = np.unique(columns.ids, return_index=True)
        news = self._fresh[handles]
        first[rows[news]] = True
        self._fresh[handles] = False
        self._fresh_left -= int(news.sum())
        return first if news.any() else None

    def _until(self, response: decode.Response, arrived_ms: int) -> int | None:
        """Up to when everything has arrived; None while more is announced or initial values are missing."""
        if response.more or (self._fresh_left and time.monotonic() < self._fresh_until_s):
            return None
        return int(arrived_ms + self._offset.ms - self._settle_ms - self._delay_ms * self._clock.speed)
