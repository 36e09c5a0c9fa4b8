"""One Modbus TCP connection: one request at a time, its reply matched by transaction id, unit, function and length.

pymodbus makes and parses the messages; the waiting is ours, because a client that keeps a connection after a time-out takes the late reply
for the next answer (its own issue 2777 and many like it). Here a time-out or a reply that does not match ends the connection.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from edge_agent.errors import SourceLost
from edge_agent.sources.modbus.plan import Request

_REQUESTS = {
    "holding": ReadHoldingRegistersRequest,
    "input": ReadInputRegistersRequest,
    "coil": ReadCoilsRequest,
    "discrete": ReadDiscreteInputsRequest,
}
BUSY = 6
NO_TARGET = 11  # gateway: the device behind it does not answer
_WORDS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    BUSY: "device busy",
    10: "gateway path unavailable",
    NO_TARGET: "gateway target did not answer",
}


class DeviceError(Exception):
    """The device answered with an exception."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code} ({_WORDS.get(code, 'unknown')})")
        self.code = code


class NoAnswer(SourceLost):
    """Nothing, or something else, came back in time; the connection has been dropped."""


class ModbusTcp:
    """Opened at the first request; `close` and use again opens anew."""

    def __init__(self, host: str, port: int, timeout_s: float, pause_after_connect_s: float = 0.0) -> None:
        self._host, self._port = host, port
        self._timeout_s, self._pause_s = timeout_s, pause_after_connect_s
        self._framer = FramerSocket(DecodePDU(False))
        self._transaction = 0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> None:
        """Raises SourceLost."""
        if self._streams is not None:
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                self._streams = await asyncio.open_connection(self._host, self._port)
        except (TimeoutError, OSError) as error:
            words = str(error) or "time-out"
            raise SourceLost(
                f"The Modbus device {self._host}:{self._port} cannot be reached: {words}.",
                f"无法连接 Modbus 设备 {self._host}:{self._port}:{words}。",
                "Check address, cable and device.",
                "请检查地址、网线和设备。",
            ) from error
        if self._pause_s:
            await asyncio.sleep(self._pause_s)

    async def close(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with suppress(OSError):
                await streams[1].wait_closed()

    async def read(self, unit: int, request: Request) -> list[int]:
        """Registers (or bits as 0 and 1) of one request. Raises DeviceError, NoAnswer, SourceLost."""
        await self.open()
        assert self._streams is not None
        reader, writer = self._streams
        self._transaction = self._transaction % 0xFFFF + 1
        message = _REQUESTS[request.table](address=request.address, count=request.count, dev_id=unit, transaction_id=self._transaction)
        writer.write(self._framer.buildFrame(message))
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._reply(reader, unit, message)
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            await self.close()
            words = {asyncio.TimeoutError: "no answer in time", asyncio.IncompleteReadError: "the connection was closed"}.get(type(error), str(error))
            raise NoAnswer(
                f"{self._host}:{self._port} unit {unit}: {words}.",
                f"{self._host}:{self._port} 从站 {unit}:{words}。",
                "Check unit id and cabling.",
                "请检查站号和接线。",
            ) from error
        if isinstance(reply, ExceptionResponse):
            raise DeviceError(reply.exception_code)
        values = [int(bit) for bit in reply.bits[: request.count]] if request.table in ("coil", "discrete") else list(reply.registers)
        if len(values) != request.count:
            await self._mismatch(f"{len(values)} values instead of {request.count}", unit)
        return values

    async def _reply(self, reader: asyncio.StreamReader, unit: int, message: ModbusPDU) -> ModbusPDU:
        head = await reader.readexactly(7)
        transaction, protocol, length = (int.from_bytes(head[i : i + 2], "big") for i in (0, 2, 4))
        if protocol != 0 or not 3 <= length <= 254:
            await self._mismatch("no Modbus header", unit)
        body = await reader.readexactly(length - 1)
        if transaction != message.transaction_id or head[6] != unit or body[0] & 0x7F != message.function_code:
            await self._mismatch(f"a reply to another request (transaction {transaction}, unit {head[6]}, function {body[0]})", unit)
        reply = self._framer.decoder.decode(body)
        if reply is None or (not body[0] & 0x80 and body[1] != len(body) - 2):
            await self._mismatch("an unreadable reply", unit)
        return reply

    async def _mismatch(self, words: str, unit: int) -> None:
        await self.close()
        raise NoAnswer(
            f"{self._host}:{self._port} unit {unit} sent {words}.",
            f"{self._host}:{self._port} 从站 {unit} 应答不匹配。",
            "Connecting anew.",
            "正在重连。",
        )
