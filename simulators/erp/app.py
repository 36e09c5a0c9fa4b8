"""The ERP's HTTP face (FastAPI). The contract is the ERP's own; the product's connector has to live with it."""

from __future__ import annotations

import asyncio
import secrets
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response
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
    """The app over these books. Every call but none needs the key."""
    app = FastAPI(title="SimERP", openapi_url=None, docs_url=None)

    def key(x_api_key: Annotated[str, Header()] = "") -> None:
        if not secrets.compare_digest(x_api_key, api_key):
            raise HTTPException(401)

    guard = [Depends(key)]

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> JSONResponse:
        words = {401: ("unauthorized", "Wrong or no X-Api-Key", "密钥错误"), 404: ("not_found", "Not here", "不存在")}
        return _error(error.status_code, *words.get(error.status_code, ("error", str(error.detail), str(error.detail))))

    @app.exception_handler(RequestValidationError)
    async def bad(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return _error(422, "bad_message", f"{place}: {first['msg']}", f"报文有误：{place}")

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        return _error(422, error.code, error.message, error.message_zh)

    @app.get("/api/info", dependencies=guard)
    def info() -> dict[str, Any]:
        return {
            "name": "SimERP",
            "version": "1.4.0",
            "company": company,
            "time": iso(clock.now_ms()),
            "capabilities": ["changes", "confirmations", "lookup", "stock", "reversal"],
        }

    @app.get("/api/changes/{entity}", dependencies=guard)
    def changes(entity: Entity, cursor: str = "", limit: Annotated[int, Query(ge=1, le=500)] = 200) -> dict[str, Any]:
        return books.changes(entity, cursor, limit)

    @app.get("/api/orders/{number}/totals", dependencies=guard)
    def totals(number: str) -> dict[str, Any]:
        return books.order_totals(number)

    @app.get("/api/stock", dependencies=guard)
    def stock(item: str | None = None, lot: str | None = None) -> dict[str, Any]:
        return {"items": books.stock(item, lot)}

    @app.get("/api/confirmations", dependencies=guard)
    def lookup(message_id: str | None = None, reference: str | None = None, order: str | None = None) -> dict[str, Any]:
        for name, value in (("message_id", message_id), ("reference", reference), ("order", order)):
            if value is not None:
                return {"items": books.find(name, value)}
        raise HTTPException(404)

    @app.post("/api/confirmations", dependencies=guard, response_model=None)
    async def confirm(message: Confirmation, idempotency: Annotated[str, Header()] = "") -> Response:
        return await _confirm(books, message.model_dump(), idempotency == "on")

    @app.get("/api/{entity}/{record_id}", dependencies=guard)
    def fetch(entity: Entity, record_id: str) -> dict[str, Any]:
        record = books.fetch(entity, record_id)
        if record is None:
            raise HTTPException(404)
        return record

    return app


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
