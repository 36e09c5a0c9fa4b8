"""What every client needs before any slice: the plant's time, the live stream, the journal and its proof."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from edge_agent.contract.clock import iso
from mes_server.kit import journal
from mes_server.kit.actor import Actor
from mes_server.kit.errors import NotSignedIn
from mes_server.kit.http import OPEN, Authenticate, CursorQuery, KitDep, LimitQuery, Page, allow

router = APIRouter(tags=["server"])
ASK_AGAIN_S = 5.0


class ClockView(BaseModel):
    """Plant time and how fast it runs (plant seconds a real second)."""

    now: str
    speed: float


class VerdictView(BaseModel):
    """Outcome of the chain's proof; `bad_seq` names the first bad record."""

    ok: bool
    sealed: int
    unsealed: int
    bad_seq: int | None
    why: str
    head: str


@router.get("/clock", operation_id="get_clock", dependencies=[OPEN])
async def get_clock(kit: KitDep) -> ClockView:
    return ClockView(now=iso(kit.clock.now_ms()), speed=kit.clock.speed)


@router.get("/live", operation_id="listen_live", response_class=StreamingResponse)
async def listen_live(
    request: Request, kit: KitDep, topics: Annotated[str, Query(min_length=1, max_length=4_000)], actor: Actor = allow("read")
) -> StreamingResponse:
    """Server-sent events: `hello`, a `beat` each 10 s, then one event per change of a topic. `Last-Event-ID` resumes."""
    last = request.headers.get("last-event-id", "")
    stream = kit.live.listen(frozenset(topics.split(",")), last_id=int(last) if last.isdigit() else None)
    return StreamingResponse(
        _while_signed_in(request, stream), media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


async def _while_signed_in(request: Request, stream: AsyncIterator[str]) -> AsyncIterator[str]:
    """Ends the stream when the session does: asked again with what goes out, at most every few seconds."""
    authenticate: Authenticate = request.app.state.authenticate
    asked = time.monotonic()
    async for text in stream:
        if time.monotonic() - asked > ASK_AGAIN_S:
            asked = time.monotonic()
            try:
                await authenticate(request)
            except NotSignedIn:
                yield "event: signed-out\ndata: {}\n\n"
                return
        yield text


@router.get("/journal", operation_id="list_journal")
def list_journal(
    kit: KitDep,
    type: Annotated[str | None, Query(max_length=60)] = None,
    subject: Annotated[str | None, Query(max_length=160)] = None,
    person: Annotated[str | None, Query(max_length=64)] = None,
    after: Annotated[int | None, Query(ge=0, description="Records with a greater seq, oldest first; without it newest first")] = None,
    limit: LimitQuery = 100,
    cursor: CursorQuery = None,
    actor: Actor = allow("supervise.correct"),
) -> Page[dict[str, Any]]:
    with kit.db.read() as session:
        return journal.page(session, type=type, subject=subject, person=person, after=after, limit=limit, cursor=cursor)


@router.get("/journal/verify", operation_id="verify_journal")
def verify_journal(kit: KitDep, actor: Actor = allow("admin", everywhere=True)) -> VerdictView:
    """Walks the whole chain (≤ 60 s a million records)."""
    with kit.db.read() as session:
        found = journal.verify(session)
    return VerdictView(ok=found.bad_seq is None, sealed=found.sealed, unsealed=found.unsealed, bad_seq=found.bad_seq, why=found.why, head=found.head)
