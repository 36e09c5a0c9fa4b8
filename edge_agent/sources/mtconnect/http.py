"""Requests to an MTConnect agent. The only door to httpx."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NoReturn

import httpx

from edge_agent.errors import SourceLost, SourceMisconfigured
from edge_agent.sources.mtconnect import documents
from edge_agent.sources.mtconnect.config import MtconnectConfig
from edge_agent.sources.mtconnect.documents import Document, DocumentInvalid
from edge_agent.sources.mtconnect.multipart import Parts, boundary_of


class OutOfRange(Exception):
    """The agent's buffer no longer holds what was asked for, or does not know it."""


class Refused(SourceLost):
    """The agent answered with an error of its own."""


def _broken(url: str, words: str) -> SourceLost:
    return SourceLost(
        f"The MTConnect agent {url} cannot be read: {words}.",
        f"无法读取 MTConnect 代理 {url}:{words}。",
        "Check address, port and the agent's service.",
        "请检查地址、端口和代理服务。",
    )


class Agent:
    """One agent; connections are made as they are needed and closed with `close`."""

    def __init__(self, config: MtconnectConfig) -> None:
        self._config = config
        self.url = config.url.rstrip("/")
        self._longest = config.max_document_mb * 1_000_000
        verify: ssl.SSLContext | bool = self.url.startswith("https:")  # loading the CAs costs 30 ms of CPU at every connect: not for plain HTTP
        if config.ca_file is not None:
            verify = ssl.create_default_context(cafile=str(config.ca_file))
        self._client = httpx.AsyncClient(timeout=config.timeout_s, trust_env=False, verify=verify, limits=httpx.Limits(max_connections=2))

    async def close(self) -> None:
        await self._client.aclose()

    async def ask(self, path: str, **parameters: str | int) -> Document:
        """One document. Raises OutOfRange, SourceLost, SourceMisconfigured."""
        async with self._reading(), self._client.stream("GET", f"{self.url}/{path}", params=parameters) as answer:
            return self._document(await self._body(answer), answer.status_code)

    async def stream(self, path: str, **parameters: str | int) -> AsyncIterator[Document]:
        """Documents as the agent sends them; ends after one where the agent does not stream. Raises as `ask`."""
        silent_s = self._config.heartbeat_s + self._config.timeout_s
        limits = httpx.Timeout(self._config.timeout_s, read=silent_s)
        async with self._reading(), self._client.stream("GET", f"{self.url}/{path}", params=parameters, timeout=limits) as answer:
            boundary = boundary_of(answer.headers.get("content-type", ""))
            if boundary is None or answer.status_code != 200:
                yield self._document(await self._body(answer), answer.status_code)
                return
            parts = Parts(boundary, self._longest)
            async for chunk in answer.aiter_bytes():
                for body in parts.feed(chunk):
                    yield self._document(body, 200)
            raise _broken(self.url, "the agent ended the stream")

    async def _body(self, answer: httpx.Response) -> bytes:
        out = bytearray()
        async for chunk in answer.aiter_bytes():
            out += chunk
            if len(out) > self._longest:
                raise DocumentInvalid(f"it is longer than {self._longest} bytes (max_document_mb)")
        return bytes(out)

    def _document(self, body: bytes, status: int) -> Document:
        try:
            found = documents.parse(body)
        except DocumentInvalid as error:
            if status != 200:
                raise _broken(self.url, f"HTTP status {status}") from error
            raise
        if found.errors or found.kind == "MTConnectError":
            self._refused(found)
        return found

    def _refused(self, answer: Document) -> NoReturn:
        code, text = answer.errors[0] if answer.errors else ("", "an error without words")
        if code == "OUT_OF_RANGE":
            raise OutOfRange(text)
        if code == "NO_DEVICE":
            raise SourceMisconfigured(
                f"The MTConnect agent {self.url} has no such device: {text}.",
                f"MTConnect 代理 {self.url} 没有该设备:{text}。",
                "Correct `device`; `browse` lists what is there.",
                "请修改 `device`;`browse` 可列出现有设备。",
            )
        raise Refused(
            f"The MTConnect agent {self.url} refused: {code} {text}.",
            f"MTConnect 代理 {self.url} 拒绝:{code} {text}。",
            "Look into the agent's log.",
            "请查看代理日志。",
        )

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise _broken(self.url, "no answer in time") from error
        except httpx.HTTPError as error:
            raise _broken(self.url, str(error) or type(error).__name__) from error
        except DocumentInvalid as error:
            raise SourceLost(
                f"What {self.url} sends cannot be taken as MTConnect: {error}.",
                f"{self.url} 返回的内容不是可接受的 MTConnect 文档:{error}。",
                "Open the address in a browser: it must show an MTConnect document.",
                "请用浏览器打开该地址,应显示 MTConnect 文档。",
            ) from error


async def ended(stream: AsyncIterator[Document]) -> None:
    """Closes a stream that is not read on."""
    with suppress(RuntimeError):
        await stream.aclose()  # type: ignore[attr-defined]
