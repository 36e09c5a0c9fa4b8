"""One Modbus TCP connection: one request at a time, its reply matched by transaction id, unit, function and length.

A client that keeps a connection after a time-out takes the late reply for the next answer (pymodbus issue 2777 and many like it). Here a time-out, a
reply that does not match, and bytes that nobody asked for end the connection.
"""

from __future__ import annotations

import asyncio
import struct

from edge_agent.sources.modbus import frames
from edge_agent.sources.modbus.link import NoAnswer, Wire, connect
from edge_agent.sources.modbus.plan import Request

_HEAD = struct.Struct(">HHHB")  # transaction, protocol (0), bytes from the unit on, unit


class ModbusTcp:
    """See link.Link."""

    def __init__(self, host: str, port: int, timeout_s: float, pause_after_connect_s: float = 0.0) -> None:
        self._host, self._port = host, port
        self._timeout_s, self._pause_s = timeout_s, pause_after_connect_s
        self._transaction = 0
        self._wire: Wire | None = None

    async def open(self) -> None:
        if self._wire is not None and (self._wire.lost or self._wire.data):
            await self.close()
        if self._wire is None:
            self._wire = await connect(self._host, self._port, self._timeout_s)
            if self._pause_s:
                await asyncio.sleep(self._pause_s)

    async def close(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    async def read(self, unit: int, request: Request) -> list[int]:
        await self.open()
        assert self._wire is not None
        self._transaction = self._transaction % 0xFFFF + 1
        pdu = frames.ask(request)
        self._wire.write(_HEAD.pack(self._transaction, 0, len(pdu) + 1, unit) + pdu)
        try:
            reply = await self._reply(self._wire, unit)
        except (TimeoutError, ConnectionError) as error:
            await self.close()
            raise NoAnswer(
                f"{self._host}:{self._port} unit {unit}: {error}.",
                f"{self._host}:{self._port} 从站 {unit}:{error}。",
                "Check unit id and cabling.",
                "请检查站号和接线。",
            ) from error
        except frames.BadReply as error:
            raise await self._mismatch(unit, error) from error
        except asyncio.CancelledError:  # its reply may still come
            await self.close()
            raise
        try:
            return frames.answer(reply, request)
        except frames.BadReply as error:
            raise await self._mismatch(unit, error) from error

    async def _reply(self, wire: Wire, unit: int) -> bytes:
        """The PDU that belongs to the newest request. Raises BadReply, TimeoutError, ConnectionError."""
        until_s = asyncio.get_running_loop().time() + self._timeout_s
        data = wire.data
        while len(data) < _HEAD.size:
            await wire.more(until_s)
        transaction, protocol, length, replier = _HEAD.unpack_from(data)
        if protocol != 0 or not 3 <= length <= 254:
            raise frames.BadReply("no Modbus header")
        if transaction != self._transaction or replier != unit:
            raise frames.BadReply(f"a reply to another request (transaction {transaction}, unit {replier})")
        end = length + _HEAD.size - 1
        while len(data) < end:
            await wire.more(until_s)
        reply = bytes(data[_HEAD.size : end])
        del data[:end]
        return reply

    async def _mismatch(self, unit: int, why: frames.BadReply) -> NoAnswer:
        await self.close()
        return NoAnswer(
            f"{self._host}:{self._port} unit {unit} sent {why}.",
            f"{self._host}:{self._port} 从站 {unit} 应答不匹配({why})。",
            "Connecting anew.",
            "正在重连。",
        )
