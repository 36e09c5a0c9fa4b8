"""Quality over HTTP: lists and photos. The acts come through the tablets' door."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import FileResponse
from pydantic import AwareDatetime, BaseModel

from edge_agent.contract.clock import iso
from mes_server.kit.actor import Actor
from mes_server.kit.acts import ms_of
from mes_server.kit.http import CursorQuery, KitDep, LimitQuery, Page, allow, page_of
from mes_server.quality import service
from mes_server.quality.schemas import DefectCodeView, DefectView, HoldView, PhotoId, SavePhoto

router = APIRouter(tags=["quality"])


def photo_folder(request: Request) -> Path:
    folder: Path = request.app.state.photo_folder
    return folder


@router.get("/defect-codes", operation_id="list_defect_codes", dependencies=[allow("read")])
def list_defect_codes(kit: KitDep, limit: LimitQuery = 500, cursor: CursorQuery = None) -> Page[DefectCodeView]:
    """The plant's scrap reasons, in the order of their tiles."""
    with kit.db.read() as session:
        found = service.defect_codes(session)
    place = {one.code: number for number, one in enumerate(found)}
    return page_of(found, lambda one: (place[one.code],), limit=limit, cursor=cursor)


@router.get("/defects", operation_id="list_defects", dependencies=[allow("read")])
def list_defects(
    kit: KitDep,
    kind: Literal["serial", "lot", "operation"] | None = None,
    subject: Annotated[str | None, Query(max_length=80, description="Code of the serial, lot or operation; with `kind`")] = None,
    code: Annotated[str | None, Query(max_length=64)] = None,
    from_: Annotated[AwareDatetime | None, Query(alias="from")] = None,
    to: AwareDatetime | None = None,
    limit: LimitQuery = 100,
    cursor: CursorQuery = None,
) -> Page[DefectView]:
    """Defects, newest first."""
    with kit.db.read() as session:
        return service.defects_page(
            session,
            subject=(kind, subject) if kind and subject else None,
            code=code,
            from_ms=ms_of(from_) if from_ else None,
            to_ms=ms_of(to) if to else None,
            limit=limit,
            cursor=cursor,
        )


@router.get("/holds", operation_id="list_holds", dependencies=[allow("read")])
def list_holds(
    kit: KitDep, open_: Annotated[bool | None, Query(alias="open")] = None, limit: LimitQuery = 100, cursor: CursorQuery = None
) -> Page[HoldView]:
    """Holds, newest first; `open=true`: those not yet released."""
    with kit.db.read() as session:
        return service.holds_page(session, open_only=open_, limit=limit, cursor=cursor)


class PhotoAnswer(BaseModel):
    photo: str


@router.post("/photos", operation_id="post_photo", status_code=201)
async def post_photo(
    request: Request,
    kit: KitDep,
    event_id: Annotated[UUID, Header(alias="X-Event-Id")],
    actor: Annotated[Actor, allow("quality.defect")],
) -> PhotoAnswer:
    """The picture's bytes as body (JPEG, PNG or WebP, at most 5 MB). The same picture again is the same photo."""
    content = await request.body()
    photo, mime = await asyncio.to_thread(service.store_photo, photo_folder(request), content)
    # The time belongs to the defect that names the photo; here only the id must answer alike when it is sent again.
    occurred_at = iso((event_id.int >> 80) if event_id.version == 7 else 0)
    command = SavePhoto.model_validate({"event_id": event_id, "occurred_at": occurred_at, "photo": photo, "mime": mime, "size": len(content)})
    await kit.acts.run(service.save_photo, actor, command)
    return PhotoAnswer(photo=photo)


@router.get("/photos/{photo}", operation_id="get_photo", dependencies=[allow("read")], response_class=FileResponse)
def get_photo(photo: PhotoId, request: Request, kit: KitDep) -> FileResponse:
    with kit.db.read() as session:
        path, mime = service.photo_file(session, photo_folder(request), photo)
    return FileResponse(path, media_type=mime, headers={"Cache-Control": "private, max-age=31536000, immutable"})
