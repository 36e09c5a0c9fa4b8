"""Live screens: a hub of topics, one bounded queue a listener, event ids for Last-Event-ID. Fed only after a commit."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False, slots=True)
class _Listener:
    topics: frozenset[str]
    loop: asyncio.AbstractEventLoop
    queue: asyncio.Queue[tuple[int, str, str] | None] = field(default_factory=lambda: asyncio.Queue(1_000))

    def wants(self, topic: str) -> bool:
        return topic in self.topics or topic.split(":", 1)[0] in self.topics


class Live:
    """`publish` may be called from any thread. A listener that cannot keep up is ended; it reconnects and takes a fresh snapshot."""

    def __init__(self, *, replay_max: int = 2_000, listeners_max: int = 500) -> None:
        self._lock = threading.Lock()
        self._seq = 0
        self._recent: deque[tuple[int, str, str]] = deque(maxlen=replay_max)
        self._listeners: set[_Listener] = set()
        self._listeners_max = listeners_max
        self._closed = False

    def publish(self, topic: str, data: dict[str, Any]) -> None:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=str)
        with self._lock:
            self._seq += 1
            item = (self._seq, topic, text)
            self._recent.append(item)
            listeners = [one for one in self._listeners if one.wants(topic)]
        for listener in listeners:
            listener.loop.call_soon_threadsafe(self._offer, listener, item)

    def _offer(self, listener: _Listener, item: tuple[int, str, str]) -> None:
        try:
            listener.queue.put_nowait(item)
        except asyncio.QueueFull:
            with self._lock:
                self._listeners.discard(listener)
            listener.queue.get_nowait()
            listener.queue.put_nowait(None)

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def close(self) -> None:
        """Ends every listener (shutdown); called from the event loop."""
        with self._lock:
            listeners, self._closed = list(self._listeners), True
            self._listeners.clear()
        for listener in listeners:
            if listener.queue.full():
                listener.queue.get_nowait()
            listener.queue.put_nowait(None)

    async def listen(self, topics: frozenset[str], *, last_id: int | None = None, heartbeat_s: float = 10.0) -> AsyncIterator[str]:
        """Server-sent events as text. A topic matches itself or, given without `:detail`, all its details. Heartbeats are real time."""
        listener = _Listener(topics, asyncio.get_running_loop())
        with self._lock:
            if self._closed or len(self._listeners) >= self._listeners_max:
                yield "event: full\ndata: {}\n\n"
                return
            self._listeners.add(listener)
            missed = [item for item in self._recent if last_id is not None and item[0] > last_id and listener.wants(item[1])]
            seq = self._seq
        try:
            yield f"id: {seq}\nevent: hello\ndata: {json.dumps({'seq': seq})}\nretry: 2000\n\n"
            for item in missed:
                yield _sse(item)
            while True:
                try:
                    found = await asyncio.wait_for(listener.queue.get(), heartbeat_s)
                except TimeoutError:
                    yield "event: beat\ndata: {}\n\n"
                    continue
                if found is None:
                    return
                yield _sse(found)
        finally:
            with self._lock:
                self._listeners.discard(listener)


def _sse(item: tuple[int, str, str]) -> str:
    return f"id: {item[0]}\nevent: {item[1]}\ndata: {item[2]}\n\n"
