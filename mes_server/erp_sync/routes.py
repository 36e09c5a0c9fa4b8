"""HTTP of the ERP desk."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Query, Request

from edge_agent.contract.clock import iso
from mes_server.erp_sync import repository
from mes_server.erp_sync.schemas import DecideChange, DropMessage, ErpChangeView, ErpMessageView, ErpStatus, PostedByHand, RetryMessage
from mes_server.erp_sync.service import desk
from mes_server.kit.actor import Actor
from mes_server.kit.http import CursorQuery, KitDep, LimitQuery, Page, allow, decode_cursor, encode_cursor

router = APIRouter(tags=["erp"])


@router.get("/erp/status", operation_id="erp_status")
def status(request: Request, kit: KitDep, actor: Actor = allow("read")) -> ErpStatus:
    """The link, the queue and its age. `connected` false with words when no ERP is configured or it does not answer."""
    sync = getattr(request.app.state, "erp", None)
    with kit.db.read() as session:
        found = repository.figures(session)
        refused_in = len(repository.refused_inbound(session, 500))
    counts: dict[str, int] = found["counts"]
    oldest = found["oldest_ms"]
    link = sync.link if sync is not None else None
    return ErpStatus(
        connected=link.connected if link else False,
        since=iso(link.since_ms) if link and link.since_ms is not None else None,
        error_en=(link.error_en if link else "No ERP is configured."),
        error_zh=(link.error_zh if link else "未配置 ERP。"),
        last_in=None if found["last_in_ms"] is None else iso(found["last_in_ms"]),
        last_out=None if found["last_out_ms"] is None else iso(found["last_out_ms"]),
        outbox_waiting=sum(counts.get(one, 0) for one in repository.UNSETTLED),
        oldest_waiting_s=None if oldest is None else max(0.0, (kit.clock.now_ms() - oldest) / 1000),
        refused=counts.get("refused", 0),
        refused_in=refused_in,
        not_yet_sent=found["touched"],
        counts=counts,
    )


@router.get("/erp/messages", operation_id="erp_messages")
def messages(
    kit: KitDep,
    actor: Actor = allow("read"),
    direction: Literal["in", "out"] = "out",
    status: str | None = Query(None, max_length=12),
    order: str | None = Query(None, max_length=40),
    limit: LimitQuery = 100,
    cursor: CursorQuery = None,
) -> Page[ErpMessageView]:
    """Newest first."""
    seen = decode_cursor(cursor, 1)
    after = int(seen[0]) if seen else None
    with kit.db.read() as session:
        if direction == "out":
            out = list(repository.messages(session, status=status, order=order, after=after, limit=limit))
            views, last = desk.message_views(session, out), out[-1].id if out else None
        else:
            incoming = list(repository.inbound_page(session, status=status, order=order, after=after, limit=limit))
            views, last = [desk.inbound_view(row) for row in incoming], incoming[-1].id if incoming else None
    return Page(items=views, next=encode_cursor([last]) if last is not None and len(views) == limit else None)


@router.post("/erp/messages/{message}/retry", operation_id="erp_message_retry")
async def retry(message: str, command: RetryMessage, kit: KitDep, actor: Actor = allow("erp.desk")) -> dict[str, Any]:
    return (await kit.acts.run(desk.retry, actor, command.model_copy(update={"message": message}))).body


@router.post("/erp/messages/{message}/drop", operation_id="erp_message_drop")
async def drop(message: str, command: DropMessage, kit: KitDep, actor: Actor = allow("erp.desk")) -> dict[str, Any]:
    return (await kit.acts.run(desk.drop, actor, command.model_copy(update={"message": message}))).body


@router.post("/erp/messages/{message}/posted-by-hand", operation_id="erp_message_posted_by_hand")
async def posted_by_hand(message: str, command: PostedByHand, kit: KitDep, actor: Actor = allow("erp.desk")) -> dict[str, Any]:
    return (await kit.acts.run(desk.posted_by_hand, actor, command.model_copy(update={"message": message}))).body


@router.get("/erp/changes", operation_id="erp_changes")
def changes(
    kit: KitDep, actor: Actor = allow("read"), open: bool = False, limit: LimitQuery = 100, cursor: CursorQuery = None
) -> Page[ErpChangeView]:
    """Changes of running orders, newest first; open ones wait for the planner."""
    seen = decode_cursor(cursor, 1)
    with kit.db.read() as session:
        rows = list(repository.changes(session, open_only=open, after=int(seen[0]) if seen else None, limit=limit))
    return Page(items=[desk.change_view(row) for row in rows], next=encode_cursor([rows[-1].id]) if len(rows) == limit else None)


@router.post("/erp/changes/{change}/{decision}", operation_id="erp_change_decide")
async def decide(
    change: int, decision: Literal["apply", "refuse"], command: DecideChange, kit: KitDep, actor: Actor = allow("plan.orders")
) -> dict[str, Any]:
    chosen = command.model_copy(update={"change": change, "accept": decision == "apply"})
    return (await kit.acts.run(desk.decide_change, actor, chosen)).body
