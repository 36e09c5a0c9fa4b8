"""ASGI layers round the whole application: body limits before anything is parsed, security headers, request figures. Plain ASGI: µs a request."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mes_server.kit.errors import MesError, wanted_lang

CSP = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "worker-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: list[tuple[bytes, bytes]] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", CSP.encode()),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
]


class TooLarge(MesError):
    """The body is larger than the bound of this path."""

    code = "body_too_large"
    status = 413
    en = "The entry is larger than {limit} bytes."
    zh = "内容超过 {limit} 字节。"
    next_en = "Send less at a time."
    next_zh = "请减少单次发送的内容。"


class _BodyTooLarge(Exception):
    pass


class BodyLimit:
    """Refuses a body above `limit` bytes (`special`: path prefix → its own limit) with 413, by Content-Length or while it streams in."""

    def __init__(self, app: ASGIApp, *, limit: int, special: Sequence[tuple[str, int]] = ()) -> None:
        self._app = app
        self._limit = limit
        self._special = tuple(special)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        limit = next((bytes_max for prefix, bytes_max in self._special if scope["path"].startswith(prefix)), self._limit)
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not declared.isdigit() or int(declared) > limit:
            await _refuse(scope, send, limit)
            return
        seen, started, over = 0, False, False

        async def counted() -> Message:
            nonlocal seen, over
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                over = True
                raise _BodyTooLarge
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            if over:  # the framework turns our exception into an answer of its own: ours is better
                return
            started = True
            await send(message)

        with suppress(_BodyTooLarge):
            await self._app(scope, counted, watched)
        if over and not started:
            await _refuse(scope, send, limit)


async def _refuse(scope: Scope, send: Send, limit: int) -> None:
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    lang = wanted_lang(headers.get(b"x-lang"), headers.get(b"accept-language")) or scope["app"].state.kit.lang
    body = json.dumps({**TooLarge(limit=limit).problem(lang), "instance": scope["path"]}, ensure_ascii=False).encode()
    answer = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": answer})
    await send({"type": "http.response.body", "body": body})


class SecurityHeaders:
    """Adds the fixed security headers; API answers are never cached unless their route says so."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._headers = [*_HEADERS, (b"strict-transport-security", b"max-age=31536000")] if https else _HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        api = scope["path"].startswith("/api/")

        async def decorated(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                if api and not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message["headers"] = headers + self._headers
            await send(message)

        await self._app(scope, receive, decorated)


class RequestFigures:
    """Counts requests and their seconds by route template (never by raw path: a scanner's codes would make millions of series)."""

    def __init__(self, app: ASGIApp, *, requests: Counter, seconds: Histogram) -> None:
        self._app = app
        self._requests = requests
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, seen)
        finally:
            route = getattr(scope.get("route"), "path", None) or "other"
            self._requests.labels(scope["method"], route, str(status)).inc()
            if not route.endswith("/live"):  # a stream lasts as long as the screen
                self._seconds.labels(route).observe(time.perf_counter() - began)
