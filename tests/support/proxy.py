"""A TCP proxy that misbehaves on demand: the bad link of the fault tests, in a thread of its own, switchable while it runs.

    with FaultProxy(broker.port, seed=7) as proxy:       # clients connect to proxy.port
        proxy.delay_s = 2.0                               # every byte comes this much later (throughput stays)
        proxy.slice_bytes = 1                             # written in pieces of so many bytes, each its own segment
        proxy.bytes_per_s = 2_000                         # bandwidth of each direction of each connection
        proxy.reset_after_bytes = 500                     # every new connection is reset (RST) after so many bytes, both directions together
        proxy.reset_chance = 0.3                          # so many of the new connections are reset, somewhere in their first 20 kB
        proxy.half_open("up" | "down" | "both")           # stops forwarding, closes nothing: the send buffers of the ends fill up
        proxy.black_hole()                                # accepts, reads and swallows everything, says nothing
        proxy.refuse()                                    # nothing listens; living connections are reset
        proxy.pass_on()                                   # a good link again (half-open connections go on where they stopped)
        proxy.reset_all()                                 # RST to both ends of every connection: what a middle box does that forgot them
    proxy.accepted, proxy.resets, proxy.bytes_up, proxy.bytes_down, proxy.living

"up" is from the client to the target. The seed decides the random resets; print it where a test fails by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
import time
from typing import Any, Literal

from tests.support.ports import free_port

Direction = Literal["up", "down"]
CHUNK = 65_536
QUEUED_MAX = 64  # chunks under way in one direction: a delayed link holds at most 4 MB, then the sender feels it
RANDOM_RESET_WITHIN = 20_000  # bytes


class _Connection:
    """One client and its way to the target; `budget` bytes until it is reset, None: never."""

    def __init__(self, client: asyncio.StreamWriter, budget: int | None) -> None:
        self.writers = [client]
        self.tasks: list[asyncio.Task[None]] = []
        self.budget = budget

    def reset(self) -> None:
        for writer in self.writers:
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        for task in self.tasks:
            task.cancel()


class FaultProxy:
    """Listens on `port` of loopback and forwards to `target_port`. The settings above may be changed by any thread at any time."""

    def __init__(self, target_port: int, *, port: int = 0, seed: int = 0, host: str = "127.0.0.1") -> None:
        self.host = host
        self.target_port = target_port
        self.port = port or free_port()
        self.delay_s = 0.0
        self.slice_bytes = 0
        self.bytes_per_s = 0.0
        self.reset_after_bytes: int | None = None
        self.reset_chance = 0.0
        self.accepted = self.resets = self.bytes_up = self.bytes_down = self.bytes_swallowed = 0
        self._dice = random.Random(seed)
        self._swallow = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{self.port}", daemon=True)
        self._flow: dict[Direction, asyncio.Event] = {}
        self._living: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    # --- life ----------------------------------------------------------------------------------------------------------------------
    def __enter__(self) -> FaultProxy:
        self._thread.start()
        self._call(self._open())
        return self

    def __exit__(self, *exc: object) -> None:
        self._call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(120)

    async def _open(self) -> None:
        if not self._flow:
            self._flow = {"up": asyncio.Event(), "down": asyncio.Event()}
        for event in self._flow.values():
            event.set()
        await self._listen()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=CHUNK)

    async def _close_listener(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _shut(self) -> None:
        await self._close_listener()
        tasks = [task for connection in self._living for task in connection.tasks]
        self._reset_living()
        await asyncio.gather(*tasks, return_exceptions=True)
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    # --- switches ------------------------------------------------------------------------------------------------------------------
    @property
    def living(self) -> int:
        """Connections that are not closed."""
        return len(self._living)

    def half_open(self, direction: Literal["up", "down", "both"] = "both") -> None:
        async def switch() -> None:
            for name in ("up", "down") if direction == "both" else (direction,):
                self._flow[name].clear()  # type: ignore[index]

        self._call(switch())

    def black_hole(self) -> None:
        async def switch() -> None:
            self._swallow = True
            await self._listen()

        self._call(switch())

    def refuse(self) -> None:
        async def switch() -> None:
            await self._close_listener()
            self._reset_living()

        self._call(switch())

    def pass_on(self) -> None:
        """A good link: every fault above is off."""
        self.delay_s, self.slice_bytes, self.bytes_per_s = 0.0, 0, 0.0
        self.reset_after_bytes, self.reset_chance, self._swallow = None, 0.0, False
        self._call(self._open())

    def reset_all(self) -> None:
        async def switch() -> None:
            self._reset_living()

        self._call(switch())

    def _reset_living(self) -> None:
        for connection in list(self._living):
            self._reset(connection)

    def _reset(self, connection: _Connection) -> None:
        if connection in self._living:
            self._living.discard(connection)
            self.resets += 1
            connection.reset()

    # --- one connection ------------------------------------------------------------------------------------------------------------
    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        budget = self.reset_after_bytes
        if budget is None and self._dice.random() < self.reset_chance:
            budget = self._dice.randrange(1, RANDOM_RESET_WITHIN)
        connection = _Connection(writer, budget)
        self._living.add(connection)
        try:
            if self._swallow:
                while await reader.read(CHUNK):
                    pass
                return
            far_reader, far_writer = await asyncio.open_connection(self.host, self.target_port, limit=CHUNK)
            for end in (writer, far_writer):
                end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.writers.append(far_writer)
            pumps = (("up", reader, far_writer), ("down", far_reader, writer))
            connection.tasks = [asyncio.create_task(self._pump(connection, *pump)) for pump in pumps]
            await asyncio.gather(*connection.tasks, return_exceptions=True)
        except OSError:
            self._reset(connection)  # the target refuses: so do we, a moment later
        finally:
            self._living.discard(connection)
            for end in connection.writers:
                end.close()

    async def _pump(self, connection: _Connection, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Reads into a bounded queue with due times, so that a delay costs no throughput."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUED_MAX)
        sender = asyncio.create_task(self._send(connection, direction, queue, writer))
        connection.tasks.append(sender)
        try:
            while True:
                await self._flow[direction].wait()
                chunk = await reader.read(CHUNK)
                await queue.put((time.monotonic() + self.delay_s, chunk))
                if not chunk:
                    break
            await sender
        except OSError:
            sender.cancel()
            self._reset(connection)

    async def _send(
        self, connection: _Connection, direction: Direction, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        while True:
            due_s, chunk = await queue.get()
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            await self._flow[direction].wait()
            if not chunk:
                if not self._swallow:
                    writer.close()
                return
            if self._swallow:
                self.bytes_swallowed += len(chunk)
                continue
            step = self.slice_bytes or len(chunk)
            for at in range(0, len(chunk), step):
                if not await self._piece(connection, direction, chunk[at : at + step], writer):
                    return

    async def _piece(self, connection: _Connection, direction: Direction, piece: bytes, writer: asyncio.StreamWriter) -> bool:
        """False: the connection was reset."""
        if connection.budget is not None:
            connection.budget -= len(piece)
            if connection.budget < 0:
                self._reset(connection)
                return False
        writer.write(piece)
        try:
            await writer.drain()
        except OSError:
            self._reset(connection)
            return False
        if direction == "up":
            self.bytes_up += len(piece)
        else:
            self.bytes_down += len(piece)
        await asyncio.sleep(len(piece) / self.bytes_per_s if self.bytes_per_s else 0)
        return True
