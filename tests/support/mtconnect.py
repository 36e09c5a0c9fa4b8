"""Peers that speak MTConnect: an adapter (SHDR over TCP) and a small agent (probe, current, sample: polled or streamed, a bounded buffer).

    with Adapter() as adapter: adapter.send("2022-08-08T13:51:36Z|execution|ACTIVE"); adapter.first = [lines told at every connect]
    with Agent(ITEMS) as agent: agent.put("exec", "ACTIVE"); agent.buffer_size = 8; agent.streams = False; agent.restart()

Both keep their values over stop() and start().
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape, quoteattr

from tests.support.wait import free_port


def stamp(t_ms: int) -> str:
    whole, ms = divmod(t_ms, 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{ms:03d}0000Z"


class _Served:
    """A TCP server in a thread of its own, on one port over its lives."""

    def __init__(self) -> None:
        self.port = free_port()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.call(self._listen())

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    def call(self, coroutine: Any) -> Any:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(120)

    def stop(self) -> None:
        """Its connections break at once."""
        if self._loop is None or self._thread is None:
            return

        async def end() -> None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.call(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._loop = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self.serve(reader, writer)
        self._writers.discard(writer)
        writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class Adapter(_Served):
    """`first`: lines told at every connect. `pong`: whether it knows PING."""

    def __init__(self) -> None:
        super().__init__()
        self.first: list[str] = []
        self.pong = True
        self.pings = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write("".join(line + "\n" for line in self.first).encode())
        while line := await reader.readline():
            if line.strip() == b"* PING" and self.pong:
                self.pings += 1
                writer.write(b"* PONG 10000\n")

    def send(self, *lines: str) -> None:
        async def write() -> None:
            for writer in self._writers:
                writer.write("".join(line + "\n" for line in lines).encode())

        self.call(write())


@dataclass
class Item:
    id: str
    type: str
    category: str = "EVENT"
    name: str = ""
    element: str = ""  # of its observations


@dataclass
class Seen:
    sequence: int
    item: Item
    t_ms: int
    value: str
    level: str = ""
    code: str = ""


@dataclass
class Agent(_Served):  # type: ignore[misc]
    """`items` of one device LATHE-1. Sequences begin at 1 with every instance."""

    items: list[Item]
    buffer_size: int = 1000
    streams: bool = True
    knows_at: bool = True
    documents: int = 0
    kept: deque[Seen] = field(default_factory=deque)
    instance: int = 1_700_000_000

    def __post_init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._last = 0
        self._now: dict[tuple[str, str], Seen] = {}
        self._before: dict[str, Seen] = {}  # how things stood before the oldest observation that is kept
        self.restart()

    def restart(self) -> None:
        """As after a power cut: another instance, an empty buffer, everything UNAVAILABLE or as it was."""
        with self._lock:
            self.instance += 1
            self.kept.clear()
            self._before.clear()
            self._last = 0
            values = {item.id: seen for (item_id, _), seen in self._now.items() for item in self.items if item.id == item_id}
            self._now.clear()
        for item in self.items:
            old = values.get(item.id)
            self.put(
                item.id, old.value if old else "UNAVAILABLE", level=(old.level if old else "UNAVAILABLE") if item.category == "CONDITION" else ""
            )

    def put(self, item_id: str, value: object, *, t_ms: int | None = None, level: str = "", code: str = "") -> None:
        item = next(item for item in self.items if item.id == item_id)
        with self._lock:
            self._last += 1
            seen = Seen(self._last, item, int(time.time() * 1000) if t_ms is None else t_ms, str(value), level, code)
            self.kept.append(seen)
            while len(self.kept) > self.buffer_size:
                gone = self.kept.popleft()
                self._before[gone.item.id] = gone
            if level in ("NORMAL", "UNAVAILABLE") and not code:
                self._now = {key: old for key, old in self._now.items() if key[0] != item_id}
            self._now[item_id, code] = seen

    # --- documents -----------------------------------------------------------------------------------------------------------------
    def _header(self, after: int) -> str:
        first = self.kept[0].sequence if self.kept else 1
        return (
            f'<Header instanceId="{self.instance}" bufferSize="{self.buffer_size}" version="1.8" sender="test" '
            f'creationTime="{stamp(int(time.time() * 1000))}" '
            f'firstSequence="{first}" lastSequence="{self._last}" nextSequence="{after}"/>'
        )

    def _streams(self, seen: list[Seen], after: int) -> bytes:
        parts = []
        for one in seen:
            item = one.item
            common = f'dataItemId="{item.id}" timestamp="{stamp(one.t_ms)}" sequence="{one.sequence}"'
            if item.category == "CONDITION":
                kind = one.level.title()
                native = f"type={quoteattr(item.type)} nativeCode={quoteattr(one.code)}"
                parts.append(f"<Condition><{kind} {common} {native}>{escape(one.value)}</{kind}></Condition>")
            else:
                box = "Samples" if item.category == "SAMPLE" else "Events"
                name = item.element or "".join(word.title() for word in item.type.split("_"))
                parts.append(f"<{box}><{name} {common}>{escape(one.value)}</{name}></{box}>")
        return (
            '<?xml version="1.0" encoding="UTF-8"?><MTConnectStreams xmlns="urn:mtconnect.org:MTConnectStreams:1.8">'
            f'{self._header(after)}<Streams><DeviceStream name="LATHE-1" uuid="u-1"><ComponentStream component="Controller" componentId="c1">'
            f"{''.join(parts)}</ComponentStream></DeviceStream></Streams></MTConnectStreams>"
        ).encode()

    def _probe(self) -> bytes:
        items = "".join(f'<DataItem id="{i.id}" name="{i.name}" type="{i.type}" category="{i.category}"/>' for i in self.items)
        return (
            '<?xml version="1.0"?><MTConnectDevices xmlns="urn:mtconnect.org:MTConnectDevices:1.8">'
            f'{self._header(1)}<Devices><Device id="d1" name="LATHE-1" uuid="u-1"><DataItems/><Components><Controller id="c1" name="ctl">'
            f"<DataItems>{items}</DataItems></Controller></Components></Device></Devices></MTConnectDevices>"
        ).encode()

    def _error(self, code: str, text: str) -> bytes:
        body = (
            f'<MTConnectError xmlns="urn:mtconnect.org:MTConnectError:1.8">{self._header(1)}<Errors><Error errorCode="{code}">{text}</Error></Errors>'
        )
        return f"{body}</MTConnectError>".encode()

    def _answer(self, path: str, asked: dict[str, str]) -> tuple[int, bytes]:
        with self._lock:
            self.documents += 1
            first = self.kept[0].sequence if self.kept else 1
            if path.endswith("probe"):
                return 200, self._probe()
            at = int(asked.get("from") or asked.get("at") or self._last)
            if at < first or at > self._last + 1:
                return 404, self._error("OUT_OF_RANGE", f"must be between {first} and {self._last}")
            if path.endswith("current"):
                if "at" not in asked:
                    return 200, self._streams(list(self._now.values()), self._last + 1)
                if not self.knows_at:
                    return 400, self._error("UNSUPPORTED", "at is not supported")
                newest = self._before | {one.item.id: one for one in self.kept if one.sequence <= at}
                return 200, self._streams(list(newest.values()), at + 1)
            found = [one for one in self.kept if one.sequence >= at][: int(asked.get("count", 100))]
            return 200, self._streams(found, found[-1].sequence + 1 if found else at)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.readline():
            while (await reader.readline()).strip():
                pass
            where = urlsplit(request.split(b" ")[1].decode())
            asked = {key: values[0] for key, values in parse_qs(where.query).items()}
            if where.path.endswith("sample") and "interval" in asked and self.streams:
                await self._stream(writer, asked)
                return
            status, body = self._answer(where.path, asked)
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()

    async def _stream(self, writer: asyncio.StreamWriter, asked: dict[str, str]) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=5a7f\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent_s = 0.0
        while True:
            status, body = self._answer("/sample", asked)
            after = int(body.split(b'nextSequence="')[1].split(b'"')[0])
            idle = status == 200 and after == int(asked["from"])
            if not idle or time.monotonic() - sent_s >= int(asked["heartbeat"]) / 1000:
                part = b"--5a7f\r\nContent-type: text/xml\r\nContent-length: %d\r\n\r\n" % len(body) + body + b"\r\n"
                writer.write(b"%x\r\n" % len(part) + part + b"\r\n")
                await writer.drain()
                sent_s = time.monotonic()
                if status != 200:
                    writer.write(b"0\r\n\r\n")
                    return
                asked["from"] = str(after)
            await asyncio.sleep(int(asked["interval"]) / 1000 if idle or after > self._last else 0)
