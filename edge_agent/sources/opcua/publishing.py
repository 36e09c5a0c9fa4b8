"""The publish loop: requests out, responses in, for as long as a connection lives; what was missed while there was none is asked for first.

A response is acknowledged with the next request after the worker has stored it; while too many are not stored yet no request is sent, and the
server's queues hold what comes (their overflow bit becomes a gap record). A notification that got lost on the way is asked for again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edge_agent.errors import SourceLost
from edge_agent.events import Batch, Continued, Resumed
from edge_agent.pipeline.columns import Columns, joined
from edge_agent.sources.opcua import client, decode
from edge_agent.sources.opcua.history import Afterwards
from edge_agent.sources.opcua.resume import Held, following
from edge_agent.sources.opcua.watch import Watch
from edge_agent.sources.source import Sink

if TYPE_CHECKING:
    from edge_agent.sources.opcua.source import OpcUaSource

INITIAL_WAIT_S = 10.0  # what has no value by then is left to come when it comes
BACKLOG_S = 10.0  # seconds of notifications that may be received and not yet stored
FIRST_WAIT_S = 4.0  # a subscription that was taken over speaks within this time (or three keep-alives), or is dead: a busy server is no dead one
REPUBLISHED_MAX = 10_000


class NotResumed(SourceLost):
    """A subscription could not be gone on with; the next session makes a new one."""


@dataclass(frozen=True, slots=True)
class Start:
    """How a loop begins. `missed`: what came while there was no connection, None for a new subscription; `fresh`: tags whose first value is due."""

    missed: list[decode.Response] | None
    fresh: frozenset[int]
    resumed_ms: int
    afterwards: Afterwards | None = None  # reads the time between from the server's history


class PublishLoop:
    def __init__(
        self,
        source: OpcUaSource,
        connection: client.Connection,
        server: client.Server,
        held: Held,
        sink: Sink,
        start: Start,
        watch: Watch,
        asked: Sequence[asyncio.Future[Any]] = (),
    ) -> None:
        """`asked`: PublishRequests that are on their way already."""
        self._source, self._connection, self._held, self._sink, self._start = source, connection, held, sink, start
        self._watch = watch
        self._clock, self._config = source.clock, source.config
        self._tags: npt.NDArray[np.uint32] = source.tag_numbers
        self._fresh = np.zeros(int(self._tags.max(initial=0)) + 1, np.bool_)
        self._fresh[list(start.fresh)] = True
        self._fresh_left = len(start.fresh)
        self._fresh_until_s = time.monotonic() + INITIAL_WAIT_S
        self._first_ms: dict[int, int] | None = {} if start.afterwards is not None else None  # tag -> time of its first value
        self._kept: list[Batch] = []  # first values, until what was before them has been read
        self._until_before_ms = held.until_ms
        self._loop = asyncio.get_running_loop()
        self._requests: deque[tuple[asyncio.Future[Any], list[int]]] = deque((request, []) for request in asked)
        self._in_flight = server.profile.publishes
        made = held.subscription
        self._unstored_max = max(64, round(BACKLOG_S / made.publishing_s))
        settle_s = max(self._config.settle_s, 2 * made.publishing_s + self._config.sampling_interval_s) if self._config.settle_s else 0.0
        self._settle_ms = settle_s * 1000.0 * self._clock.speed
        self._silence_s = 3 * made.keep_alive_s + self._config.timeout_s
        self._delay_ms = 0.0
        self._conditions_due = False  # what is active must be asked for again
        self._durable_ms = 0  # when the proven moment has reached this, everything handed in is durable

    async def run(self) -> None:
        """Ends with SourceLost, NotResumed or by being cancelled."""
        try:
            if self._start.missed is not None:
                await self._go_on(self._start.missed)
            while True:
                while len(self._requests) < self._in_flight and self._held.unstored < self._unstored_max and not self._sink.full:
                    self._request()
                if not self._requests:
                    self._held.progress.clear()
                    await self._let_go()
                    with suppress(asyncio.TimeoutError):
                        async with asyncio.timeout(0.05):
                            await self._held.progress.wait()
                    continue
                response = await self._response(self._silence_s)
                if response is not None:
                    await self._take(response)
        finally:
            if self._kept:  # they wait for what was before them, and nobody has them: the next connection must not go on behind them
                self._source.forget()
                self._held.until_ms = self._until_before_ms
            for request, _ in self._requests:
                request.cancel()

    # --- requests and responses ----------------------------------------------------------------------------------------------
    def _request(self) -> None:
        acknowledge, self._held.to_acknowledge = self._held.to_acknowledge, []
        self._requests.append((self._connection.publish(self._held.subscription.id, acknowledge), acknowledge))

    async def _response(self, timeout_s: float) -> decode.Response | None:
        """The oldest request's answer; None when the server wants fewer at once."""
        try:
            response = await self._connection.response(self._requests[0][0], timeout_s)
        except client.TooManyPublishes:
            _, acknowledge = self._requests.popleft()
            self._held.to_acknowledge = acknowledge + self._held.to_acknowledge
            if self._in_flight == 1:
                raise SourceLost("The server takes no PublishRequest.", "服务器拒绝发布请求。", "Connecting anew.", "正在重连。") from None
            self._in_flight -= 1
            return None
        self._requests.popleft()
        return response

    async def _go_on(self, missed: list[decode.Response]) -> None:
        """Takes the subscription up again: what was missed is handed in once the server has shown that it is all."""
        held = self._held
        following_missed = held.next_sequence
        held.try_again_at(missed[0].sequence if missed else following_missed)  # whatever ends this early: nothing of it has been handed in
        while len(self._requests) < self._in_flight:
            self._request()
        first = await self._first()
        missed += await self._between(first, following_missed)
        held.tries = 0
        self._sink.put(Continued(self._source.devices, self._start.resumed_ms))
        self._source.connected()
        for response in missed:
            self._hand_in(response, repeated=response.sequence <= held.repeated_to)
        held.next_sequence = following(missed[-1].sequence) if missed else following_missed
        await self._take(first)

    async def _first(self) -> decode.Response:
        """What shows that the subscription lives. Raises NotResumed when the server is silent or says no."""
        try:
            while True:
                first = await self._response(max(FIRST_WAIT_S, 3 * self._held.subscription.keep_alive_s))
                if first is not None:
                    return first
        except client.Broken:
            raise
        except SourceLost as error:
            raise await self._not_resumed(error.en, error.zh) from error

    async def _between(self, response: decode.Response, expected: int | None) -> list[decode.Response]:
        """The notifications from `expected` to before this one. Raises NotResumed when the server does not have them any more."""
        out: list[decode.Response] = []
        while expected is not None and 0 < (response.sequence - expected) % 2**32 < 2**31:
            again = await self._connection.republish(self._held.subscription.id, expected)
            if again is None or len(out) >= REPUBLISHED_MAX:
                words = f"Notification {expected} is missing (got {response.sequence})."
                raise await self._not_resumed(words, f"缺少通知 {expected}。")
            expected = following(expected)
            out.append(again)
        return out

    async def _not_resumed(self, en: str, zh: str) -> NotResumed:
        self._source.forget()
        await self._connection.delete(self._held.subscription.id)
        return NotResumed(en, zh, "Connecting anew.", "正在重连。")

    async def _take(self, response: decode.Response) -> None:
        arrived_ms = self._clock.now_ms()
        self._delay_ms = self._source.delay.of(response.published_ms, time.monotonic() * 1000.0)
        held = self._held
        if response.status is not None:
            self._source.forget()
            raise SourceLost(
                f"The server ended the subscription (status 0x{response.status:08X}).", "服务器终止了订阅。", "Connecting anew.", "正在重连。"
            )
        if response.is_keep_alive:
            until_ms = self._until(response, arrived_ms)
            if until_ms is not None:
                held.until_ms = until_ms
                await self._put(Batch(self._source.devices, Columns.empty(), until_ms))
            return
        for again in await self._between(response, held.next_sequence):
            held.next_sequence = following(again.sequence)
            await self._put(self._batch(again, arrived_ms, None))
        if held.next_sequence is not None and response.sequence != held.next_sequence:
            return  # an old one once more: taken already
        held.next_sequence = following(response.sequence)
        await self._put(self._batch(response, arrived_ms, self._until))
        if self._conditions_due:
            self._conditions_due = False
            await self._source.refresh(self._connection, held.subscription.id, self._sink)

    def _hand_in(self, response: decode.Response, *, repeated: bool) -> None:
        self._source.put(self._sink, self._batch(response, self._clock.now_ms(), None, repeated=repeated))

    async def _put(self, batch: Batch) -> None:
        if self._first_ms is None:
            self._source.put(self._sink, batch)
            return
        self._kept.append(batch)
        if not self._fresh_left or time.monotonic() >= self._fresh_until_s:
            first_ms, self._first_ms = self._first_ms, None
            assert self._start.afterwards is not None
            self._source.history_tries += 1
            events = await self._start.afterwards.before(first_ms, self._start.resumed_ms)
            self._source.history_tries = 0
            for event in events:
                self._sink.put(event)
            self._held.until_run = None
            self._source.connected()
            for kept in self._kept:
                self._source.put(self._sink, self._start.afterwards.without_known(kept, events))
            self._kept.clear()

    # --- values --------------------------------------------------------------------------------------------------------------
    def _batch(self, response: decode.Response, arrived_ms: int, until: Any, *, repeated: bool = False) -> Batch:
        """All changes of a response. `until`: what tells up to when everything has arrived, None for what comes late."""
        held, config = self._held, self._config
        columns, overflow = decode.joined(response.changes)
        self._to_tags(columns)
        overflow += self._watch.note(columns)
        if response.events is not None:
            columns, overflow = self._with_events(response.events, columns, overflow, arrived_ms)
        self._source.health.values += len(columns)
        initial = self._initial(columns)
        t_ms = columns.t_ms
        replace = self._unusable(t_ms, arrived_ms, initial)
        if replace.any():
            columns.t_ms = t_ms = np.where(replace, arrived_ms, t_ms)
        if initial is None and until is not None and len(columns) and not replace.all():
            held.offset.seen(int(t_ms.max()), arrived_ms)
            self._source.health.clock_offset_ms = held.offset.known_ms
        until_ms = until(response, arrived_ms) if until is not None else None
        if until_ms is not None:
            held.until_ms = until_ms
        # A stamp farther ahead than the clock's offset may never be reached: it is as durable as what arrived with it.
        ahead_ms = max(0.0, held.offset.ms) + held.offset.tolerance_ms
        durable_ms = int(min(int(t_ms.max(initial=0)), arrived_ms + ahead_ms))
        if initial is not None:
            durable_ms = max(durable_ms, self._start.resumed_ms)
        self._durable_ms = max(self._durable_ms, durable_ms)
        held.unstored += 1
        sequence = response.sequence
        stored = partial(self._loop.call_soon_threadsafe, held.on_stored, sequence)
        memory = held.memory(sequence) if config.resume_s else None
        return Batch(self._source.devices, columns, until_ms, durable_ms, initial, self._start.resumed_ms, overflow, stored, memory, repeated)

    def _with_events(self, bodies: Sequence[bytes], columns: Columns, overflow: list[int], arrived_ms: int) -> tuple[Columns, list[int]]:
        """Columns and dropped rows, with what the events say behind them."""
        told = self._source.events.told(bodies, arrived_ms, self._config.max_clock_skew_s * 1000.0)
        self._conditions_due |= told.ask_again
        if told.unreadable:
            self._source.health.note("events", "events of the server cannot be understood and are passed over.", "服务器的部分事件无法解读,已忽略。")
        return joined([columns, Columns.of(told.rows)]), overflow + [len(columns) + row for row in told.lost]

    def _to_tags(self, columns: Columns) -> None:
        """Client handles -> tag numbers."""
        if len(columns) and int(columns.ids.max()) >= len(self._tags):
            raise SourceLost("The server sent a value that nobody asked for.", "服务器发送了未订阅的值。", "Connecting anew.", "正在重连。")
        columns.ids = self._tags[columns.ids]

    def _unusable(self, t_ms: npt.NDArray[np.int64], arrived_ms: int, initial: Any) -> npt.NDArray[np.bool_]:
        """Rows without a source time, or with one that is wrong by more than a clock may be."""
        skew_ms = self._config.max_clock_skew_s * 1000.0
        old = t_ms < arrived_ms - skew_ms
        if initial is not None:
            old &= ~initial
        untimed = t_ms == decode.NO_TIME
        wrong = (t_ms > arrived_ms + skew_ms) | (old & ~untimed)
        if wrong.any():
            self._source.health.note(
                "clock",
                "its clock is wrong by more than max_clock_skew_s; values are stamped on arrival. Set the PLC's clock.",
                "时钟偏差超过 max_clock_skew_s,按到达时间记录。请校准 PLC 时钟。",
            )
        found: npt.NDArray[np.bool_] = untimed | wrong
        return found

    def _initial(self, columns: Columns) -> Any:
        """Mask of the rows that are their item's first value of this subscription, None when there is none."""
        if not self._fresh_left:
            return None
        first = np.zeros(len(columns), np.bool_)
        numbers, rows = np.unique(columns.ids, return_index=True)
        news = self._fresh[numbers]
        first[rows[news]] = True
        self._fresh[numbers] = False
        self._fresh_left -= int(news.sum())
        if self._first_ms is not None:
            self._first_ms.update(zip(numbers[news].tolist(), columns.t_ms[rows[news]].tolist(), strict=True))
        return first if news.any() else None

    def _initial_due(self) -> bool:
        return (bool(self._fresh_left) and time.monotonic() < self._fresh_until_s) or self._source.events.awaits

    async def _let_go(self) -> None:
        """As much is received and not stored as may be, and nothing is on its way that could move the proven moment: it moves to the newest value.

        So it is with a server that announces more and more (it is late, or we are): otherwise nothing would become durable, so nothing be
        acknowledged and nothing asked for any more. What then comes with an older time is kept, stamped with the proven moment.
        """
        if self._held.unstored >= self._unstored_max and not self._initial_due():
            await self._put(Batch(self._source.devices, Columns.empty(), self._durable_ms))

    def _until(self, response: decode.Response, arrived_ms: int) -> int | None:
        """Up to when everything has arrived; None while more is announced or initial values are missing."""
        if response.more or self._initial_due():
            return None
        return int(arrived_ms + self._held.offset.ms - self._settle_ms - self._delay_ms * self._clock.speed)


def opening(source: OpcUaSource, resumed_ms: int, *, restarted: bool) -> list[Resumed | Batch]:
    """What goes before the values of a new subscription: the old one must not be gone on with any more."""
    return [Resumed(source.devices, resumed_ms, restarted), Batch(source.devices, Columns.empty(), memory=b"")]
