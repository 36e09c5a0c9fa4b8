"""The link between edge and broker can be cut and mended."""

from __future__ import annotations

import asyncio

import pytest

from simulators.link import Link
from tests.support.ports import free_port


def test_link_carries_is_cut_and_mended() -> None:
    asyncio.run(_link())


async def _link() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    target = free_port()
    server = await asyncio.start_server(echo, "127.0.0.1", target)
    link = Link(free_port(), target)
    await link.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        writer.write(b"before")
        assert await reader.read(100) == b"before"
        link.cut()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        hanging, silent = await asyncio.open_connection("127.0.0.1", link.port)
        silent.write(b"lost")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(hanging.read(1), 0.2)
        link.mend()
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        writer.write(b"after")
        assert await reader.read(100) == b"after"
    finally:
        await link.stop()
        server.close()
