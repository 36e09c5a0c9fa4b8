"""Modbus RTU: a serial line, or its frames through a TCP gateway. Half duplex: one request, then its reply or the time-out, then silence.

RTU has no transaction id, so a late reply looks like the answer to the next question. Hence: what is left on the line is thrown away before a
request; frames of other slaves and of other lengths are dropped while waiting; a unit that ran into the time-out is asked again only when its late
reply has come or cannot come any more (as long again as the time-out), or, through TCP, on a new connection. Noise in front of a frame is skipped by
its CRC; a line adapter that echoes what it sends is recognised. Source: Modbus over Serial Line 1.02, sections 2.4 and 2.5.1.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from edge_agent.errors import SourceLost
from edge_agent.sources.modbus import frames
from edge_agent.sources.modbus.link import NoAnswer, Wire, connect
from edge_agent.sources.modbus.plan import Request

Parity = Literal["none", "even", "odd"]
_CHUNK = 512


@dataclass(frozen=True, slots=True)
class Line:
    """Settings of a serial port. The standard says 19200 baud, even parity; most meters leave the factory with 9600, none."""

    device: str
    baud: int = 9600
    parity: Parity = "none"
    stop_bits: int = 1


class SerialWire(Wire):
    """The bytes of a serial port; the event loop watches its file descriptor."""

    def __init__(self, port: Any) -> None:
        super().__init__()
        self._port = port
        self._loop.add_reader(port.fileno(), self._readable)

    def _readable(self) -> None:
        try:
            data = os.read(self._port.fileno(), _CHUNK)
        except BlockingIOError:
            return
        except OSError as error:  # a USB adapter was unplugged
            self.end(str(error))
            return
        if data:
            self.data_received(data)
        else:
            self.end("the serial port has gone")

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except OSError as error:
            self.end(str(error))

    def close(self) -> None:
        if self._port.is_open:
            self._loop.remove_reader(self._port.fileno())
            with suppress(OSError):
                self._port.close()


def open_serial(line: Line) -> SerialWire:
    """Raises SourceLost with the next step: no such port, no right to it, taken by another program."""
    import termios

    import serial

    port = None
    try:
        port = serial.Serial(
            line.device,
            line.baud,
            parity={"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}[line.parity],
            stopbits=line.stop_bits,
            timeout=0,
            write_timeout=1,
            exclusive=True,
        )
        port.reset_input_buffer()
    except (OSError, ValueError, termios.error) as error:  # termios.error: pulled out again while it was opened
        if port is not None:
            port.close()
        raise SourceLost(
            f"The serial port {line.device} cannot be opened: {error}.",
            f"无法打开串口 {line.device}:{error}。",
            "Check the adapter and its name, the rights (group dialout) and that no other program or source uses it.",
            "请检查适配器及名称、权限(dialout 组),以及是否被其他程序或数据源占用。",
        ) from error
    return SerialWire(port)


class ModbusRtu:
    """See link.Link. `where` is a serial line, or (host, port) of a gateway that passes RTU frames through."""

    def __init__(self, where: Line | tuple[str, int], timeout_s: float, pause_after_connect_s: float = 0.0) -> None:
        self._where, self._timeout_s, self._pause_s = where, timeout_s, pause_after_connect_s
        self._name = where.device if isinstance(where, Line) else f"{where[0]}:{where[1]}"
        self._baud = where.baud if isinstance(where, Line) else 115_200
        self._late: dict[int, float] = {}  # unit -> until when (loop time) a reply to a question given up may come
        self._wire: Wire | None = None

    async def open(self) -> None:
        if self._wire is not None and self._wire.lost:
            await self.close()
        if self._wire is None:
            if isinstance(self._where, Line):
                self._wire = open_serial(self._where)
            else:
                self._wire = await connect(*self._where, self._timeout_s)
                self._late.clear()
            if self._pause_s:
                await asyncio.sleep(self._pause_s)

    async def close(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    async def read(self, unit: int, request: Request) -> list[int]:
        await self.open()
        assert self._wire is not None
        wire, now = self._wire, asyncio.get_running_loop().time
        frame = frames.rtu_frame(unit, frames.ask(request))
        try:
            await self._quiet(wire, unit)
            wire.data.clear()
            wire.write(frame)
            until_s = now() + frames.frame_s(len(frame), self._baud) + self._timeout_s
            return await self._reply(wire, unit, request, frame, until_s)
        except (TimeoutError, ConnectionError) as error:
            await self._given_up(unit)
            raise NoAnswer(
                f"{self._name} unit {unit}: {error}.",
                f"{self._name} 从站 {unit}:{error}。",
                "Check unit id, baud rate, parity and the two wires (A and B are often swapped).",
                "请检查站号、波特率、校验位和两根线(A、B 常接反)。",
            ) from error
        except asyncio.CancelledError:
            await self._given_up(unit)
            raise

    async def _given_up(self, unit: int) -> None:
        """A question has no answer: its reply may still come, and must not meet the next question."""
        if isinstance(self._where, Line) and self._wire is not None and not self._wire.lost:
            self._late[unit] = asyncio.get_running_loop().time() + self._timeout_s
        else:
            await self.close()

    async def _quiet(self, wire: Wire, unit: int) -> None:
        """Until no late reply of this unit can come any more and the line has been silent for 3.5 characters."""
        now, silence_s = asyncio.get_running_loop().time, frames.silence_s(self._baud)
        late_s = self._late.pop(unit, 0.0)
        wire.data.clear()
        while not wire.data and now() < late_s:
            with suppress(TimeoutError):
                await wire.more(late_s)
        while (wait_s := wire.heard_s + silence_s - now()) > 0:
            await asyncio.sleep(wait_s)

    async def _reply(self, wire: Wire, unit: int, request: Request, sent: bytes, until_s: float) -> list[int]:
        """Values of the frame that belongs to the question; all else on the line is dropped. Raises DeviceError, TimeoutError, ConnectionError."""
        data, why = wire.data, ""
        echo = sent if request.table not in frames.BITS else b""  # a reply with bits could look like the question itself
        while True:
            if echo and data[: len(echo)] == echo:
                del data[: len(echo)]
                echo = b""
            replier, pdu, used = (0, None, 0) if echo and echo.startswith(data) else frames.rtu_next(bytes(data), request)
            if used:
                del data[:used]
                if pdu is not None and replier == unit:
                    try:
                        return frames.answer(pdu, request)
                    except frames.BadReply as error:  # the late reply to an older question
                        why = f" (it sent {error})"
                elif pdu is not None:
                    why = f" (unit {replier} answered)"
                continue
            try:
                await wire.more(until_s)
            except TimeoutError:
                heard = f" ({len(data)} bytes that are no frame)" if data and not why else why
                raise TimeoutError(f"no answer in time{heard}") from None
