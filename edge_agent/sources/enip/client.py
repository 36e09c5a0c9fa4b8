"""One EtherNet/IP session: registered, then one unconnected message at a time, each answer matched by session and context.

Own, and not pycomm3: that one blocks a thread, reads for ever when the peer closes within an answer, and uploads every tag of the controller
before the first read. A time-out or an answer to another question ends the connection.
"""

from __future__ import annotations

import asyncio

from edge_agent.sources.bus.line import LineBroken
from edge_agent.sources.enip import cip
from edge_agent.sources.enip.cip import FrameInvalid, Reply
from edge_agent.sources.enip.config import EnipConfig


class EnipConnection:
    def __init__(self, config: EnipConfig) -> None:
        self._config = config
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._session = 0
        self._context = 0

    @property
    def where(self) -> str:
        return f"{self._config.host}:{self._config.port}"

    async def open(self) -> None:
        """Raises LineBroken."""
        try:
            async with asyncio.timeout(self._config.timeout_s):
                self._streams = await asyncio.open_connection(self._config.host, self._config.port)
        except (TimeoutError, OSError) as error:
            raise self._broken(str(error) or "time-out") from error
        self._session = 0
        self._context += 1
        await self._exchange(cip.register(self._context), cip.REGISTER)
        if not self._session:
            await self.close()
            raise self._broken("it gave no session")

    async def close(self) -> None:
        """At once; a controller ends the session with its connection."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].transport.abort()

    async def ask(self, message: bytes) -> Reply:
        """The controller's reply, whatever its status. Raises LineBroken."""
        self._context += 1
        routed = message if self._config.slot < 0 else cip.routed(message, self._config.slot)
        data = await self._exchange(cip.send(self._session, self._context, routed), cip.SEND_RR)
        try:
            found = cip.reply(cip.message_of(data))
        except FrameInvalid as error:
            raise await self._unreadable(error) from error
        if found.service == cip.UNCONNECTED_SEND and self._config.slot >= 0 and message[0] != cip.UNCONNECTED_SEND:
            await self.close()
            raise self._broken(f"it cannot pass the question on to slot {self._config.slot}: {found.words()}")
        if found.service != message[0]:
            raise await self._unreadable(FrameInvalid(f"a reply to service {found.service:02X}H"))
        return found

    async def ask_all(self, messages: list[bytes]) -> list[Reply]:
        """Replies to several requests sent as one. Raises LineBroken."""
        if len(messages) == 1:
            return [await self.ask(messages[0])]
        found = await self.ask(cip.multiple(messages))
        if found.status not in (cip.OK, cip.EMBEDDED):
            return [found] * len(messages)
        try:
            return cip.replies(found, len(messages))
        except FrameInvalid as error:
            raise await self._unreadable(error) from error

    async def _exchange(self, frame: bytes, command: int) -> bytes:
        if self._streams is None:
            raise self._broken("not connected")
        reader, writer = self._streams
        try:
            async with asyncio.timeout(self._config.timeout_s):
                writer.write(frame)
                head = cip.HEADER.unpack(await reader.readexactly(cip.HEADER.size))
                data = await reader.readexactly(head[1])
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            await self.close()
            words = {TimeoutError: "no answer in time", asyncio.IncompleteReadError: "the connection was closed"}.get(type(error), str(error))
            raise self._broken(words) from error
        if head[0] != command or head[4] != self._context or (self._session and head[2] != self._session):
            raise await self._unreadable(FrameInvalid("an answer to another question"))
        if head[3]:
            await self.close()
            raise self._broken(f"it refused with EtherNet/IP status {head[3]:X}H")
        self._session = head[2]
        return data

    async def _unreadable(self, error: FrameInvalid) -> LineBroken:
        await self.close()
        return self._broken(f"an answer that cannot be read: {error}")

    def _broken(self, words: str) -> LineBroken:
        return LineBroken(
            f"The controller {self.where} cannot be read: {words}.",
            f"无法读取控制器 {self.where}:{words}。",
            "Check address, cable and `slot`.",
            "请检查地址、网线和 `slot`(槽号)。",
        )
