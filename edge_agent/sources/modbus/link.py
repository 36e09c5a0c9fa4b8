"""What both ways to a Modbus bus have in common: their interface, the bytes that came so far, and words for a slave that does not answer."""

from __future__ import annotations

import asyncio
from typing import Protocol

from edge_agent.errors import SourceLost
from edge_agent.sources.modbus.plan import Request

BACKLOG_MAX = 4096  # bytes nobody asked for: the peer does not speak Modbus


class NoAnswer(SourceLost):
    """Nothing, or something else, came back in time."""


class Link(Protocol):
    """One bus: one request at a time. Opened at the first request; `close` and use again opens anew."""

    async def open(self) -> None:
        """Raises SourceLost."""
        ...

    async def close(self) -> None: ...

    async def read(self, unit: int, request: Request) -> list[int]:
        """Registers (or bits as 0 and 1) of one request. Raises DeviceError, NoAnswer, SourceLost."""
        ...


class Wire(asyncio.Protocol):
    """Bytes of a connection or a serial line: `data` holds what came and was not yet used."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.lost = ""  # why the connection has ended; "" while it stands
        self.heard_s = 0.0  # loop time of the newest byte
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.heard_s = self._loop.time()
        if len(self.data) > BACKLOG_MAX:
            self.end("it sends what is not Modbus")
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self.end(str(error) if error else "the connection was closed")

    def end(self, why: str) -> None:
        self.lost = self.lost or why
        self.close()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    async def more(self, until_s: float) -> None:
        """Waits for bytes beyond those in `data`. Raises TimeoutError at the loop's `until_s`, ConnectionError when the connection has ended."""
        if self.lost:
            raise ConnectionError(self.lost)
        self._waiter = waiter = self._loop.create_future()
        timer = self._loop.call_at(until_s, _expire, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None
        if self.lost:
            raise ConnectionError(self.lost)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError("no answer in time"))


async def connect(host: str, port: int, timeout_s: float) -> Wire:
    """A TCP connection. Raises SourceLost."""
    try:
        async with asyncio.timeout(timeout_s):
            _, wire = await asyncio.get_running_loop().create_connection(Wire, host, port)
    except (TimeoutError, OSError) as error:
        words = str(error) or "time-out"
        raise SourceLost(
            f"The Modbus device {host}:{port} cannot be reached: {words}.",
            f"无法连接 Modbus 设备 {host}:{port}:{words}。",
            "Check address, cable and device.",
            "请检查地址、网线和设备。",
        ) from error
    return wire
