"""The tablets' door over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Body, Query, Request, Response

from mes_server.identity import service as identity
from mes_server.kit.actor import Actor
from mes_server.kit.http import CursorQuery, Kit, KitDep, LimitQuery, Page, allow, lang_of
from mes_server.scans import service
from mes_server.scans.schemas import (
    ActAnswer,
    ActsBatch,
    BatchAnswer,
    DecideBody,
    DropRefused,
    HomeView,
    PassportView,
    RefusedView,
    RetryRefused,
    ScanView,
)
from mes_server.work_orders.schemas import EventRef

router = APIRouter(tags=["scans"])
_READER = Annotated[Actor, allow("read")]
_SUPERVISOR = Annotated[Actor, allow("supervise.correct")]


def _badge_holder(kit: Kit) -> Callable[[str, Actor], Awaitable[Actor]]:
    """Who a badge named in an act is: for this act only, in the language of the person who is signed in."""

    def find(badge: str, actor: Actor) -> Actor:
        with kit.db.read() as session:
            return replace(identity.actor_of_badge(session, badge, device=actor.device), lang=actor.lang)

    async def holder(badge: str, actor: Actor) -> Actor:
        return await asyncio.to_thread(find, badge, actor)

    return holder


@router.post("/acts", operation_id="post_act")
async def post_act(act: Annotated[service.AnyAct, Body()], kit: KitDep, actor: _READER) -> ActAnswer:
    """One act. The same event id again gets the same answer."""
    answer = await service.run_act(kit, actor, act, _badge_holder(kit))
    return ActAnswer(event_id=answer.event_id, seq=answer.seq, replay=answer.replay, body=answer.body)


@router.post("/acts/batch", operation_id="post_acts_batch")
async def post_acts_batch(request: Request, batch: ActsBatch, kit: KitDep, actor: _READER) -> BatchAnswer:
    """A tablet's waiting acts, in its order. Refused ones land on the list “To decide”; nothing is dropped."""
    outboxes: service.Outboxes = request.app.state.outboxes
    known = actor.device is not None and batch.waiting is not None
    if known:  # before the acts are booked: whoever sees a figure meanwhile sees that more is on its way
        outboxes.heard(str(actor.device), len(batch.acts) + (batch.waiting or 0))
    answer = await service.run_batch(kit, actor, batch, _badge_holder(kit))
    if known:
        again = sum(result.status == "retry" for result in answer.results)
        outboxes.heard(str(actor.device), again + (batch.waiting or 0))
    return answer


@router.get("/decide", operation_id="list_decide", dependencies=[allow("supervise.correct")])
def list_decide(
    request: Request,
    kit: KitDep,
    status: Literal["open", "booked", "dropped"] = "open",
    limit: LimitQuery = 100,
    cursor: CursorQuery = None,
) -> Page[RefusedView]:
    """Refused acts, newest first."""
    with kit.db.read() as session:
        return service.decide_page(session, lang_of(request), status=status, limit=limit, cursor=cursor)


@router.post("/decide/{refused}/retry", operation_id="retry_refused")
async def retry_refused(refused: EventRef, body: DecideBody, kit: KitDep, actor: _SUPERVISOR) -> ActAnswer:
    command = RetryRefused.model_validate({"refused": refused, "event_id": body.event_id, "occurred_at": body.occurred_at})
    answer = await kit.acts.run(service.retry_refused, actor, command)
    return ActAnswer(event_id=answer.event_id, seq=answer.seq, replay=answer.replay, body=answer.body)


@router.post("/decide/{refused}/drop", operation_id="drop_refused")
async def drop_refused(refused: EventRef, body: DecideBody, kit: KitDep, actor: _SUPERVISOR) -> ActAnswer:
    command = DropRefused.model_validate({"refused": refused, **body.model_dump()})
    answer = await kit.acts.run(service.drop_refused, actor, command)
    return ActAnswer(event_id=answer.event_id, seq=answer.seq, replay=answer.replay, body=answer.body)


@router.get("/scan", operation_id="scan", dependencies=[allow("read")])
def scan(kit: KitDep, code: Annotated[str, Query(min_length=1, max_length=400)]) -> ScanView:
    """What a scanned or typed code means. A code nobody knows is an answer too, not an error."""
    with kit.db.read() as session:
        return service.resolve(session, code, kit.clock.now_ms())


@router.get("/stations/{code}/home", operation_id="get_station_home")
def get_station_home(code: str, request: Request, kit: KitDep, actor: _READER) -> HomeView:
    """All a station's tablet shows, in one call."""
    power = getattr(request.app.state, "last_power", None)
    with kit.db.read() as session:
        return service.home(session, code, actor.person, kit.clock.now_ms(), speed=kit.clock.speed, power=power)


@router.get("/serials/{code:path}", operation_id="get_serial_passport", dependencies=[allow("read")])
def get_serial_passport(code: str, kit: KitDep) -> PassportView:
    """Everything known about one piece: what went into it, who made it where, defects, holds."""
    with kit.db.read() as session:
        return service.passport(session, code, kit.clock.now_ms())


def _pdf(content: bytes, name: str) -> Response:
    return Response(content, media_type="application/pdf", headers={"Content-Disposition": f"inline; filename*=UTF-8''{quote(name, safe='')}.pdf"})


@router.get("/labels/order/{number}.pdf", operation_id="label_order", response_class=Response, dependencies=[allow("floor.report")])
def label_order(number: str, request: Request, kit: KitDep) -> Response:
    """The traveller of an order: one code for the order, one for each operation."""
    with kit.db.read() as session:
        return _pdf(service.order_traveller(session, number, kit.clock.now_ms(), kit.zone, lang_of(request)), number)


@router.get("/labels/lot/{code:path}.pdf", operation_id="label_lot", response_class=Response, dependencies=[allow("floor.report")])
def label_lot(code: str, kit: KitDep) -> Response:
    with kit.db.read() as session:
        return _pdf(service.lot_label(session, code, kit.zone), code)


@router.get("/labels/serial/{code:path}.pdf", operation_id="label_serial", response_class=Response, dependencies=[allow("floor.report")])
def label_serial(code: str, kit: KitDep) -> Response:
    with kit.db.read() as session:
        return _pdf(service.serial_label(session, code, kit.zone), code)


@router.get("/labels/badges.pdf", operation_id="label_badges", response_class=Response, dependencies=[allow("people.edit")])
def label_badges(request: Request, kit: KitDep, people: Annotated[str, Query(max_length=2_000, description="Codes, comma between")]) -> Response:
    """Badge cards; a person whose badge was not made here gets a card that says so."""
    with kit.db.read() as session:
        cards = request.app.state.identity.printable_badges(session, [code for code in people.split(",") if code])
        return _pdf(service.badge_sheet([(person.code, person.name, badge) for person, badge in cards], lang_of(request)), "badges")
