"""The Unix socket beside the buffer: one JSON line in, JSON lines out, the last one with `done`. Only the agent's own user may open it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from edge_agent.config import AgentConfig
from edge_agent.errors import EdgeError

LINE_MAX = 4_000_000
Say = Callable[[dict[str, Any]], Awaitable[None]]
Handler = Callable[[dict[str, Any], Say], Awaitable[dict[str, Any]]]


class NotRunning(EdgeError):
    """No agent answers for this config."""


def socket_path(config: AgentConfig) -> Path:
    """Beside the buffer."""
    return config.buffer.path.with_name(config.buffer.path.name + ".control")


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of `path` that a Unix socket takes: its own name may have 107 bytes only, the folder is reached through an open handle."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class ControlServer:
    """Answers while the agent runs. An error in a handler is told to who asked; it never reaches the agent."""

    def __init__(self, path: Path, handler: Handler) -> None:
        self._path, self._handler = path, handler
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Raises OSError. A socket left behind by a killed agent is replaced: the buffer's lock tells that nobody else is there."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            with _short(self._path) as name:
                listener.bind(name)
        except OSError:
            listener.close()
            raise
        finally:
            os.umask(before)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LINE_MAX)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(message: dict[str, Any]) -> None:
            writer.write(json.dumps(message, ensure_ascii=False).encode() + b"\n")
            await writer.drain()

        try:
            with contextlib.suppress(ConnectionError, asyncio.LimitOverrunError, ValueError):
                request = json.loads(await reader.readline() or b"{}")
                try:
                    answer = await self._handler(request if isinstance(request, dict) else {}, say)
                except EdgeError as error:
                    answer = {"error": {"en": error.text("en"), "zh": error.text("zh")}}
                await say({**answer, "done": True})
        finally:
            writer.close()


def ask(config: AgentConfig, request: dict[str, Any], timeout_s: float = 120.0) -> Iterator[dict[str, Any]]:
    """The running agent's answers, one by one. Raises NotRunning, and EdgeError with the agent's own words."""
    path = socket_path(config)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(timeout_s)
        try:
            with _short(path) as name:
                link.connect(name)
            link.sendall(json.dumps(request).encode() + b"\n")
            file = link.makefile("rb")
            for line in file:
                answer: dict[str, Any] = json.loads(line)
                if "error" in answer:
                    raise EdgeError(answer["error"]["en"], answer["error"]["zh"])
                yield answer
                if answer.get("done"):
                    return
        except (FileNotFoundError, ConnectionError, TimeoutError) as error:
            raise _not_running(config, error) from error
    raise _not_running(config, None)


def _not_running(config: AgentConfig, error: OSError | None) -> NotRunning:
    why = f" ({error})" if error is not None else ""
    return NotRunning(
        f"No agent answers for edge {config.edge}{why}.",
        f"网关 {config.edge} 的代理没有应答{why}。",
        "Start it with `gemba-edge run --config FILE`, as the same user and on this machine.",
        "请在本机以同一用户运行 `gemba-edge run --config 文件`。",
    )
