"""HTTP of the quarantine: what came from the edges and could not be read or booked."""

from __future__ import annotations

from fastapi import APIRouter, Request

from edge_agent.contract.clock import iso
from mes_server.ingest import repository
from mes_server.ingest.desk import Desk
from mes_server.ingest.schemas import PutAsideView, RetryAnswer, RetryPutAside
from mes_server.kit.actor import Actor
from mes_server.kit.http import CursorQuery, KitDep, LimitQuery, Page, allow, decode_cursor, encode_cursor

router = APIRouter(tags=["ingest"])


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
