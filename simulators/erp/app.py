"""The ERP's HTTP face (FastAPI). The contract is the ERP's own; the product's connector has to live with it."""

from __future__ import annotations

import asyncio
import secrets
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from edge_agent.contract.clock import Clock, iso
from simulators.erp.books import Books, Posted, Refused

SLOW_ANSWER_S = 1.5  # a gateway's patience: it answers 504 though the document is posted
Entity = Literal["items", "boms", "routings", "orders", "lots"]


class Segment(BaseModel):
    model_config = ConfigDict(extra="allow")
    operation: int
    good: int = 0
    scrap: int = 0
    rework: int = 0


class Material(BaseModel):
    model_config = ConfigDict(extra="allow")
    use: Literal["consumed", "produced", "returned"]
    item: str
    lot: str | None = None
    serials: list[str] = Field(default_factory=list)
    quantity: float
    operation: int | None = None


class Confirmation(BaseModel):
    model_config = ConfigDict(extra="allow")
    message_id: str = Field(min_length=1, max_length=64)
    reference: str | None = Field(None, max_length=80)
    sequence: int | None = None
    kind: Literal["progress", "complete", "issue", "scrap", "correction", "reversal"]
    order: str
    occurred_at: str
    reversal_of: str | None = None
    segments: list[Segment] = Field(default_factory=list)
    materials: list[Material] = Field(default_factory=list)


class _Cut(Exception):
    """The connection is to break after the document was posted."""


def _error(status: int, code: str, message: str, message_zh: str, **headers: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message, "message_zh": message_zh}}, status, headers=headers)


def build_app(books: Books, clock: Clock, api_key: str, company: str) -> FastAPI:
    """The app over these books. Every call needs the key."""

    def key(x_api_key: Annotated[str, Header()] = "", authorization: Annotated[str, Header()] = "") -> None:
        if not secrets.compare_digest(x_api_key or authorization.removeprefix("Bearer "), api_key):
            raise HTTPException(401)

    app = FastAPI(title="SimERP", openapi_url=None, docs_url=None, dependencies=[Depends(key)])
    app.add_exception_handler(HTTPException, _plain)
    app.add_exception_handler(RequestValidationError, _bad)
    app.add_exception_handler(Refused, _refused)
    app.include_router(_routes(books, clock, company))
    return app


async def _plain(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = {401: ("unauthorized", "Wrong or no X-Api-Key", "密钥错误"), 404: ("not_found", "Not here", "不存在")}
    return _error(status, *words.get(status, ("error", str(error), str(error))))


async def _bad(request: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    place = ".".join(str(part) for part in first["loc"])
    return _error(422, "bad_message", f"{place}: {first['msg']}", f"报文有误：{place}")


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, Refused):
        raise error
    return _error(422, error.code, error.message, error.message_zh)


def _routes(books: Books, clock: Clock, company: str) -> APIRouter:
    router = APIRouter(prefix="/api")

    @router.get("/info")
    def info() -> dict[str, Any]:
        capabilities = ["changes", "confirmations", "lookup", "stock", "reversal"]
        return {"name": "SimERP", "version": "1.4.0", "company": company, "time": iso(clock.now_ms()), "capabilities": capabilities}

    @router.get("/changes/{entity}")
    def changes(entity: Entity, cursor: str = "", limit: Annotated[int, Query(ge=1, le=500)] = 200) -> dict[str, Any]:
        return books.changes(entity, cursor, limit)

    @router.get("/orders/{number}/totals")
    def totals(number: str) -> dict[str, Any]:
        return books.order_totals(number)

    @router.get("/stock")
    def stock(item: str | None = None, lot: str | None = None) -> dict[str, Any]:
        return {"items": books.stock(item, lot)}

    @router.get("/confirmations")
    def lookup(message_id: str | None = None, reference: str | None = None, order: str | None = None) -> dict[str, Any]:
        for name, value in (("message_id", message_id), ("reference", reference), ("order", order)):
            if value is not None:
                return {"items": books.find(name, value)}
        raise HTTPException(404)

    @router.post("/confirmations", response_model=None)
    async def confirm(message: Confirmation, idempotency: Annotated[str, Header()] = "") -> Response:
        return await _confirm(books, message.model_dump(), idempotency == "on")

    @router.get("/{entity}/{record_id}")
    def fetch(entity: Entity, record_id: str) -> dict[str, Any]:
        record = books.fetch(entity, record_id)
        if record is None:
            raise HTTPException(404)
        return record

    return router


async def _confirm(books: Books, message: dict[str, Any], idempotent: bool) -> Response:
    mess, draw = books.mess, books.rng.random()
    if draw < mess.erp_busy:
        return _error(503, "busy", "The ERP is busy, try again", "系统繁忙，请重试", **{"Retry-After": "1"})
    document, new = books.post(message, idempotent)
    draw -= mess.erp_busy
    if new and draw < mess.erp_timeout_after_commit:
        await asyncio.sleep(SLOW_ANSWER_S)
        return _error(504, "timeout", "The gateway gave up waiting", "网关超时")
    if new and draw < mess.erp_timeout_after_commit + mess.erp_cut_after_commit:
        raise _Cut  # uvicorn answers 500 and closes: the caller cannot know whether it is posted
    return JSONResponse(_answer(document), 201 if new else 200)


def _answer(document: Posted) -> dict[str, Any]:
    return {"document": document.document, "status": document.status, "message_id": document.message["message_id"], "posted_at": document.posted_at}
