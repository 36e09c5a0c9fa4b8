"""A session with an MTConnect adapter: its lines over TCP, "* PING" as sign of life.

An adapter tells everything it knows at the connect and then what changes; it keeps nothing. It is known that nothing happened only by what
comes: so it is asked every heartbeat_s, and the moment up to which all is known moves with its answers. One that never answers
(some do not know PING) counts as alive while its connection stands.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge_agent.errors import SourceLost
from edge_agent.events import Resumed
from edge_agent.sources.mtconnect.items import Row
from edge_agent.sources.mtconnect.shdr import LINE_MAX, Reader
from edge_agent.sources.source import Sink

if TYPE_CHECKING:
    from edge_agent.sources.mtconnect.source import MtconnectSource

CHUNK = 262_144
PORT = 7878
PINGS_UNANSWERED_MAX = 5  # and it never answered: it does not know PING


class AdapterSession:
    def __init__(self, source: MtconnectSource, sink: Sink) -> None:
        self._source, self._sink = source, sink
        self._config, self._clock, self._mapper = source.config, source.clock, source.mapper
        where = urlsplit(self._config.url)
        self._host, self._port = where.hostname or "127.0.0.1", where.port or PORT
        self._reader = Reader(self._mapper.condition_keys())
        self._unanswered = 0
        self._first: set[int] = set()  # tags that have had their value in this session
        self._heard_ms = 0

    async def run(self) -> None:
        reader, writer = await self.open()
        pinging = asyncio.create_task(self._ping(writer), name=f"ping {self._host}:{self._port}")
        try:
            self._heard_ms = self._clock.now_ms()
            self._resumed_ms = self._heard_ms
            self._sink.put(Resumed(self._source.devices, self._heard_ms))
            self._mapper.begin()
            await self._read(reader)
        finally:
            pinging.cancel()
            writer.close()
            with suppress(asyncio.CancelledError, OSError):
                await pinging
            writer.transport.abort()  # no good-bye over a link that may be dead
            await self._source.flush(self._sink, self._heard_ms)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(self._config.timeout_s):
                return await asyncio.open_connection(self._host, self._port)
        except (TimeoutError, OSError) as error:
            raise self.lost(str(error) or "time-out") from error

    def lost(self, words: str) -> SourceLost:
        return SourceLost(
            f"The MTConnect adapter {self._host}:{self._port} cannot be read: {words}.",
            f"无法读取 MTConnect 适配器 {self._host}:{self._port}:{words}。",
            "Check address, port and the adapter's service.",
            "请检查地址、端口和适配器服务。",
        )

    async def _ping(self, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"* PING\n")
            self._unanswered += 1
            await asyncio.sleep(min(self._config.heartbeat_s, self._reader.pong_ms / 2000 or self._config.heartbeat_s))

    # --- what comes --------------------------------------------------------------------------------------------------------------
    async def _read(self, reader: asyncio.StreamReader) -> None:
        rest = bytearray()
        while True:
            await self._sink.room()
            chunk = await self._chunk(reader)
            arrived_ms = self._clock.now_ms()
            if chunk is not None:
                rest += chunk
                lines = rest.split(b"\n")
                rest = lines.pop()
                if len(rest) > LINE_MAX:
                    raise self.lost(f"a line longer than {LINE_MAX} bytes")
                self._take([bytes(line) for line in lines], arrived_ms)

    async def _chunk(self, reader: asyncio.StreamReader) -> bytes | None:
        """What came; None while an adapter that does not know PING is silent. Raises SourceLost."""
        silent_s = self._config.heartbeat_s + self._config.timeout_s
        try:
            async with asyncio.timeout(silent_s if self._reader.pong_ms else self._config.heartbeat_s):
                chunk = await reader.read(CHUNK)
        except TimeoutError:
            if self._reader.pong_ms or not self._first:
                if self._reader.pong_ms or self._unanswered * self._config.heartbeat_s > silent_s:
                    raise self.lost("it has fallen silent") from None
            elif self._unanswered > PINGS_UNANSWERED_MAX:  # silent, and its connection stands
                self._source.connected()
                self._advance(self._clock.now_ms())
            return None
        except OSError as error:
            raise self.lost(str(error)) from error
        if not chunk:
            raise self.lost("the connection was closed")
        return chunk

    def _take(self, lines: list[bytes], arrived_ms: int) -> None:
        rows: list[Row] = []
        before = self._reader.pong_ms
        for line in lines:
            for seen in self._reader.line(line.decode("utf-8", "replace"), arrived_ms):
                rows += self._mapper.rows(seen, self._stamp(seen.t_ms, arrived_ms))
        if self._reader.pong_ms or before:
            self._unanswered = 0
        if rows or self._reader.pong_ms:
            self._source.connected()
        self._source.say_failed(self._reader.bad_lines)
        fresh = {row[0] for row in rows} - self._first
        if fresh and not self._config.late_s:
            now, later = _split_first(rows, fresh)
            self._source.put(self._sink, now, until_ms=None, arrived_ms=arrived_ms, initial_ms=self._resumed_ms)
            rows = later
        self._first |= fresh
        self._source.put(self._sink, rows, until_ms=None, arrived_ms=arrived_ms)
        self._advance(arrived_ms)

    def _advance(self, arrived_ms: int) -> None:
        self._heard_ms = arrived_ms
        self._source.put(self._sink, [], until_ms=self._source.until_ms(arrived_ms), arrived_ms=arrived_ms)

    def _stamp(self, t_ms: int | None, arrived_ms: int) -> int:
        """Its own time; the arrival's where it has none or one that cannot be."""
        if t_ms is None:
            return arrived_ms
        skew_ms = max(self._config.max_clock_skew_s, self._config.late_s) * 1000.0
        if t_ms > arrived_ms + skew_ms or (self._config.late_s == 0.0 and self._first and t_ms < arrived_ms - skew_ms):
            self._source.wrong_clock()
            return arrived_ms
        return t_ms


def _split_first(rows: list[Row], fresh: set[int]) -> tuple[list[Row], list[Row]]:
    """The first row of each fresh tag, and the rest."""
    now: list[Row] = []
    later: list[Row] = []
    left = set(fresh)
    for row in rows:
        if row[0] in left:
            left.discard(row[0])
            now.append(row)
        else:
            later.append(row)
    return now, later
