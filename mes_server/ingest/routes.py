"""The edges' door over HTTP: a box becomes this plant's by a one-time code; and what came from edges and could not be read or booked."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request

from edge_agent.contract.clock import iso
from edge_agent.contract.topics import ID_PATTERN
from mes_server.identity import access
from mes_server.identity.routes import IdempotencyKey, IdentityDep, address_of
from mes_server.ingest import repository
from mes_server.ingest.desk import Desk
from mes_server.ingest.edge_access import EdgeAccess, invite
from mes_server.ingest.schemas import EdgeEnrolIn, EdgeEnrolled, EdgeInvitation, EdgeInviteIn, PutAsideView, RetryAnswer, RetryPutAside
from mes_server.kit.actor import Actor
from mes_server.kit.http import OPEN, CursorQuery, KitDep, LimitQuery, Page, allow, decode_cursor, encode_cursor

router = APIRouter(tags=["ingest"])
EdgeId = Annotated[str, Path(pattern=f"^{ID_PATTERN}$")]


@router.get("/ingest/quarantine", operation_id="ingest_quarantine")
def quarantine(kit: KitDep, actor: Actor = allow("admin"), limit: LimitQuery = 100, cursor: CursorQuery = None) -> Page[PutAsideView]:
    """Payloads put aside, newest first, each with its reason."""
    seen = decode_cursor(cursor, 1)
    with kit.db.read() as session:
        rows = repository.put_aside_rows(session, after=int(seen[0]) if seen else None, limit=limit)
    views = [PutAsideView(id=row.id, at=iso(row.at_ms), topic=row.topic, reason=row.reason, mark=row.mark, bytes=row.bytes) for row in rows]
    return Page(items=views, next=encode_cursor([views[-1].id]) if len(views) == limit else None)


@router.post("/ingest/quarantine/{record}/retry", operation_id="ingest_quarantine_retry")
async def retry(request: Request, record: int, command: RetryPutAside, kit: KitDep, actor: Actor = allow("admin")) -> RetryAnswer:
    """Takes a record in again after its cause was mended: its states and gaps are booked; its pieces were carried by the next running total."""
    desk = Desk(request.app.state.ingest)
    return RetryAnswer.of((await kit.acts.run(desk.retry, actor, command.model_copy(update={"record": record}))).body)


@router.post("/edges/{edge}/enrolment", operation_id="invite_edge")
def invite_edge(
    request: Request,
    identity: IdentityDep,
    edge: EdgeId,
    body: EdgeInviteIn | None = None,
    key: IdempotencyKey = None,
    actor: Actor = allow("admin", everywhere=True),
) -> EdgeInvitation:
    """A one-time code (ten minutes) for the box that shall speak as this edge. One that was put out is let in again by `readmit` alone."""
    edges: EdgeAccess = request.app.state.edges
    now_ms, good_s = identity.real.now_ms(), identity.times.enrolment_s
    readmit = body is not None and body.readmit
    made = invite(identity.kit.acts, edges.folder, edge, readmit=readmit, real_now_ms=now_ms, good_s=good_s, actor=actor, key=key)
    server = str(request.base_url).rstrip("/")
    return EdgeInvitation(**made.model_dump(), command=f"gemba-edge enrol {server} {made.code}")


@router.post("/edges/enrol", operation_id="enrol_edge", dependencies=[OPEN])
def enrol_edge(request: Request, identity: IdentityDep, body: EdgeEnrolIn) -> EdgeEnrolled:
    """What the box needs to deliver. The code is spent by it."""
    edges: EdgeAccess = request.app.state.edges
    return edges.sign_in(access.enrol_edge(identity, body.code.get_secret_value(), address=address_of(request)))
