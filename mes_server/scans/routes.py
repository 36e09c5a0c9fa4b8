"""The tablets' door over HTTP."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Request

from mes_server.kit.actor import Actor
from mes_server.kit.http import CursorQuery, KitDep, LimitQuery, Page, allow, lang_of
from mes_server.scans import service
from mes_server.scans.errors import BadgeUnknown
from mes_server.scans.schemas import ActAnswer, ActsBatch, BatchAnswer, DecideBody, DropRefused, RefusedView, RetryRefused
from mes_server.work_orders.schemas import EventRef

router = APIRouter(tags=["scans"])
_READER = Annotated[Actor, allow("read")]
_SUPERVISOR = Annotated[Actor, allow("supervise.correct")]


async def _badge_holder(badge: str, actor: Actor) -> Actor:
    raise BadgeUnknown


@router.post("/acts", operation_id="post_act")
async def post_act(act: Annotated[service.AnyAct, Body()], kit: KitDep, actor: _READER) -> ActAnswer:
    """One act. The same event id again gets the same answer."""
    answer = await service.run_act(kit, actor, act, _badge_holder)
    return ActAnswer(event_id=answer.event_id, seq=answer.seq, replay=answer.replay, body=answer.body)


@router.post("/acts/batch", operation_id="post_acts_batch")
async def post_acts_batch(batch: ActsBatch, kit: KitDep, actor: _READER) -> BatchAnswer:
    """A tablet's waiting acts, in its order. Refused ones land on the list “To decide”; nothing is dropped."""
    return await service.run_batch(kit, actor, batch, _badge_holder)


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
