"""What every route needs: who asks (deny by default), the kit, problem+json in the person's language, cursor pages.

Knows no slice: the composition root puts `Kit` and an `Authenticate` function into app.state.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime
from starlette.exceptions import HTTPException

from edge_agent.contract.clock import Clock
from mes_server.kit import wording
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Acts
from mes_server.kit.db import Database
from mes_server.kit.errors import Forbidden, Lang, MesError, NotStorable, Refused, StorageFailed, wanted_lang
from mes_server.kit.live import Live
from mes_server.kit.paging import CursorQuery, LimitQuery, Page, decode_cursor, encode_cursor, page_of

__all__ = [
    "OPEN",
    "Authenticate",
    "CursorQuery",
    "FromQuery",
    "Kit",
    "KitDep",
    "LimitQuery",
    "Page",
    "ToQuery",
    "allow",
    "decode_cursor",
    "encode_cursor",
    "install_problem_handlers",
    "kit_of",
    "lang_of",
    "page_of",
]
Authenticate = Callable[[Request], Awaitable[Actor]]  # raises NotSignedIn


@dataclass(frozen=True)
class Kit:
    """The server's shared parts, made once by the composition root. `zone` and `lang` are the plant's."""

    db: Database
    acts: Acts
    clock: Clock
    live: Live
    zone: ZoneInfo
    lang: Lang = "zh"


async def kit_of(request: Request) -> Kit:  # async: a sync dependency would go through the thread pool (250 us)
    kit: Kit = request.app.state.kit
    return kit


KitDep = Annotated[Kit, Depends(kit_of)]


def allow(right: str, *, everywhere: bool = False) -> Any:
    """A route's dependency: the actor, who holds `right` somewhere (or, for what concerns the whole plant, everywhere).

    tests/mes_server/identity/test_routes_walk.py walks every route and fails on one without it.
    """

    async def guard(request: Request) -> Actor:
        authenticate: Authenticate = request.app.state.authenticate
        actor = await authenticate(request)
        request.state.actor = actor  # a refusal speaks this person's language
        if not (actor.may(right) if everywhere else actor.may_somewhere(right)):
            raise Forbidden(right=right)
        return actor

    guard.gemba_right = right  # type: ignore[attr-defined]
    return Depends(guard)


async def open_to_all(request: Request) -> None:
    """Marks a route that needs no sign-in, on purpose (health, sign-in, set-up)."""


OPEN = Depends(open_to_all)
FromQuery = Annotated[AwareDatetime, Query(alias="from")]
ToQuery = Annotated[AwareDatetime, Query(alias="to")]


def lang_of(request: Request) -> Lang:
    """The language of the answer: what the request asks for (`X-Lang`, then Accept-Language), else the signed-in person's, else the plant's."""
    kit: Kit = request.app.state.kit
    actor: Actor | None = getattr(request.state, "actor", None)
    own = actor.lang if actor is not None and actor.via == "session" else kit.lang
    return wanted_lang(request.headers.get("x-lang"), request.headers.get("accept-language")) or own


class BadRequestBody(Refused):
    """The request itself is malformed; `fields` names each bad field and why, in the reader's language."""

    def __init__(self, faults: Sequence[Mapping[str, Any]]) -> None:
        """`faults`: what pydantic's `errors()` gives."""
        self._faults = list(faults)
        super().__init__(fields=writable(wording.listed(self._faults, "en")))

    def _in(self, lang: Lang) -> dict[str, object]:
        return {**self.params, "fields": writable(wording.listed(self._faults, lang))}

    def say(self, lang: Lang) -> str:
        return (self.zh if lang == "zh" else self.en).format(**(self._in(lang) if self._faults else self.params))

    def problem(self, lang: Lang) -> dict[str, object]:
        return {**super().problem(lang), "params": self._in(lang)}

    code = "bad_request_body"
    en = "The entry is not complete or not readable: {fields}"
    zh = "内容不完整或无法识别：{fields}"
    next_en = "Correct the named fields and send again."
    next_zh = "请更正所列字段后重新提交。"


class WindowTooWide(Refused):
    """A read asked for more time than one answer may hold."""

    code = "window_too_wide"
    en = "The window is longer than {days_max} days."
    zh = "时间范围超过 {days_max} 天。"
    next_en = "Ask for a shorter window."
    next_zh = "请缩短时间范围。"


class PathDiffers(Refused):
    """The path and the body name different things."""

    code = "path_differs"
    en = "The path says {path}, the entry says {body}."
    zh = "路径为 {path}，内容为 {body}。"
    next_en = "Use the same code in both."
    next_zh = "请使用相同的代码。"


class Internal(MesError):
    """Something unexpected; the words say nothing of the inside."""

    code = "internal"
    status = 500
    en = "The server met something it did not expect."
    zh = "服务器发生意外错误。"
    next_en = "Nothing was booked by this request. Try again; tell your administrator if it comes back."
    next_zh = "本次请求未记录任何内容。请重试；若再次出现请联系管理员。"


def writable(text: str) -> str:
    """Half characters (lone surrogates) become question marks, so that the answer itself can be written."""
    return text.encode("utf-8", "replace").decode()


def install_problem_handlers(app: FastAPI) -> None:
    """One place that turns errors into application/problem+json. Nothing internal leaks."""

    def answer(request: Request, error: MesError) -> JSONResponse:
        headers = {"Retry-After": str(error.params.get("retry_s", 2))} if error.status in (429, 503) else {}
        body = {**error.problem(lang_of(request)), "instance": request.url.path}
        return JSONResponse(body, error.status, headers, media_type="application/problem+json")

    @app.exception_handler(MesError)
    async def _expected(request: Request, error: MesError) -> JSONResponse:
        return answer(request, error)

    @app.exception_handler(RequestValidationError)
    async def _malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        return answer(request, BadRequestBody(error.errors()))

    @app.exception_handler(sa.exc.DataError)
    async def _not_storable(request: Request, error: sa.exc.DataError) -> JSONResponse:
        return answer(request, NotStorable())  # a sign no text column takes (NUL), a number beyond its column

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        return answer(request, Internal())

    @app.exception_handler(sa.exc.OperationalError)
    async def _store(request: Request, error: sa.exc.OperationalError) -> JSONResponse:
        return answer(request, StorageFailed())

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:  # the framework could not read the body at all
            return answer(request, BadRequestBody([{"type": "json_invalid", "loc": ("body",)}]))
        zh, en = _HTTP_WORDS.get(error.status_code, (f"服务器以状态 {error.status_code} 拒绝。", f"Refused with status {error.status_code}."))
        body = {
            "type": "about:blank",
            "title": zh if lang_of(request) == "zh" else en,
            "status": error.status_code,
            "code": f"http_{error.status_code}",
            "next_step": _HTTP_NEXT[0 if lang_of(request) == "zh" else 1],
            "params": {},
            "instance": request.url.path,
        }
        return JSONResponse(body, error.status_code, error.headers, media_type="application/problem+json")


_HTTP_WORDS = {
    404: ("此地址不存在。", "There is nothing at this address."),
    405: ("此地址不支持该操作。", "This address does not know this method."),
    406: ("无法按所要求的格式回答。", "The answer does not exist in the format asked for."),
    415: ("不支持此内容类型。", "This content type is not taken here."),
}
_HTTP_NEXT = ("所有地址及其用法见 /api/v1/openapi.json。", "Every address and what it takes is in /api/v1/openapi.json.")
