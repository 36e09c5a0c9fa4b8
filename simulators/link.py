"""A TCP proxy that stands between an edge and the broker, so that the link can be cut."""

from __future__ import annotations

import asyncio
import contextlib


class Link:
    """Listens on `port` and carries bytes to `target`; while cut it takes connections and lets them hang, as a dead router does."""

    def __init__(self, port: int, target: int) -> None:
        self.port, self._target = port, target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_cut = False

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._drop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """From now on nothing comes through; connections that were open are gone."""
        self.is_cut = True
        self._drop()

    def mend(self) -> None:
        self.is_cut = False
        self._drop()

    def _drop(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        upstream: asyncio.StreamWriter | None = None
        try:
            if self.is_cut:
                await asyncio.sleep(3600)
            answers, upstream = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(upstream)
            await asyncio.gather(self._carry(reader, upstream), self._carry(answers, writer))
        except (OSError, asyncio.CancelledError):
            pass  # either side went away: the other is told by the close below
        finally:
            for one in (writer, upstream):
                if one is not None:
                    self._writers.discard(one)
                    with contextlib.suppress(OSError):
                        one.close()

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.transport.abort()
