"""The bytes of a bus: a TCP gateway that passes them through, or a serial port (pyserial). One question at a time.

A time-out leaves the line open (other devices answer on it), but what still trickles in is thrown away before the next question, so that a
late answer is not taken for the next one (the fault behind pymodbus issue 2777); the codecs besides match every answer to its question.
"""

from __future__ import annotations

import asyncio
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeVar

import serial

from edge_agent.errors import SourceLost
from edge_agent.sources.bus.config import LineConfig

T = TypeVar("T")
CHUNK = 4096
BUFFER_MAX = 65536  # an answer that is longer is none
BABBLE = 5
QUIET_S, QUIET_TRIES = 0.02, 50  # before a question nothing may be under way, but a line that never rests is asked all the same
_PARITY = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}


class LineBroken(SourceLost):
    """The gateway or port is gone."""


class NoAnswer(SourceLost):
    """Nothing usable came back in time; the line itself still stands."""


class _Port(Protocol):
    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...


class _Tcp:
    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    def close(self) -> None:
        self._writer.transport.abort()  # what a dead link has not taken is not waited for


class _Serial:
    """pyserial, woken by the event loop where there is something to read (POSIX)."""

    def __init__(self, config: LineConfig, reader: asyncio.StreamReader) -> None:
        self._port = serial.Serial(
            config.serial,
            config.baud_rate,
            bytesize=config.data_bits,
            parity=_PARITY[config.parity],
            stopbits=config.stop_bits,
            timeout=0,
            write_timeout=1,
            exclusive=True,
        )
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._port.fileno(), self._readable)

    def _readable(self) -> None:
        try:
            data = self._port.read(CHUNK)
        except (OSError, serial.SerialException):
            data = b""
        if data:
            self._reader.feed_data(data)
        else:  # readable and nothing there: the adapter was pulled out
            self._loop.remove_reader(self._port.fileno())
            self._reader.feed_eof()

    def write(self, data: bytes) -> None:
        self._port.write(data)

    def close(self) -> None:
        with suppress(OSError, ValueError):
            self._loop.remove_reader(self._port.fileno())
        with suppress(OSError, serial.SerialException):
            self._port.close()


class Line:
    """Opened at first use; `close` and use again opens anew."""

    def __init__(self, config: LineConfig) -> None:
        self._config = config
        self._port: _Port | None = None
        self._reader: asyncio.StreamReader | None = None
        self._unanswered = False

    async def open(self) -> None:
        """Raises LineBroken."""
        if self._port is not None:
            return
        config = self._config
        try:
            if config.serial is not None:
                self._reader = asyncio.StreamReader(limit=BUFFER_MAX)
                self._port = _Serial(config, self._reader)
            else:
                async with asyncio.timeout(config.timeout_s):
                    self._reader, writer = await asyncio.open_connection(config.host, config.port, limit=BUFFER_MAX)
                self._port = _Tcp(writer)
        except (TimeoutError, OSError, ValueError, termios.error) as error:  # termios.error: a setting this adapter has not, or it is out again
            words = str(error) or "time-out"
            raise LineBroken(
                f"The line {config.where} cannot be opened: {words}.",
                f"无法打开总线 {config.where}:{words}。",
                "Check address, cable and device; a serial port must be there, free, and ours to use.",
                "请检查地址、网线和设备;串口应存在、未被占用且有权限。",
            ) from error

    async def close(self) -> None:
        port, self._port, self._reader = self._port, None, None
        if port is not None:
            port.close()
            await asyncio.sleep(0)  # lets the transport go

    async def _broken(self, words: str) -> LineBroken:
        await self.close()
        where = self._config.where
        return LineBroken(
            f"The line {where} broke: {words}.",
            f"总线 {where} 中断:{words}。",
            "Check gateway or adapter; connecting anew.",
            "请检查网关或转换器;正在重连。",
        )

    async def receive(self) -> bytes:
        """What comes next, at least one byte. Raises LineBroken; the caller bounds the wait."""
        await self.open()
        assert self._reader is not None
        try:
            data = await self._reader.read(CHUNK)
        except OSError as error:
            raise await self._broken(str(error)) from error
        if not data:
            raise await self._broken("closed by the other side")
        return data

    async def send(self, data: bytes) -> None:
        """Raises LineBroken."""
        await self.open()
        assert self._port is not None
        try:
            self._port.write(data)
        except (OSError, serial.SerialException) as error:
            raise await self._broken(str(error)) from error

    async def hush(self) -> None:
        """Throws away what has come in; after a question without answer also what is still coming, until the line rests."""
        await self.open()
        for _ in range(QUIET_TRIES):
            try:
                async with asyncio.timeout(QUIET_S if self._unanswered else 0.0):
                    await self.receive()
            except TimeoutError:
                return

    async def ask(self, request: bytes, find: Callable[[bytearray], T | None], timeout_s: float) -> T:
        """Sends and waits until `find` (which eats from the buffer what it has looked at) has the answer. Raises TimeoutError, LineBroken.

        `timeout_s` bounds silence, as a long answer at 300 baud takes its time; a line that babbles is given up after BABBLE times that.
        """
        await self.hush()
        await self.send(request)
        self._unanswered = True
        buffer = bytearray()
        async with asyncio.timeout(timeout_s * BABBLE):
            while True:
                async with asyncio.timeout(timeout_s):
                    buffer += await self.receive()
                found = find(buffer)
                if found is not None:
                    self._unanswered = False
                    return found
                if len(buffer) > BUFFER_MAX:
                    buffer.clear()
