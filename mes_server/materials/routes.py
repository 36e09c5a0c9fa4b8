"""Lots over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from mes_server.kit.http import CursorQuery, KitDep, LimitQuery, Page, allow
from mes_server.materials import service
from mes_server.materials.schemas import LotView

router = APIRouter(tags=["materials"])


@router.get("/lots", operation_id="list_lots", dependencies=[allow("read")])
def list_lots(
    kit: KitDep,
    item: Annotated[str | None, Query(max_length=64)] = None,
    status: Annotated[str | None, Query(max_length=100, description="quarantine, released, consumed, on_hold; several with commas")] = None,
    limit: LimitQuery = 100,
    cursor: CursorQuery = None,
) -> Page[LotView]:
    """Lots, newest first."""
    with kit.db.read() as session:
        return service.lots_page(session, item=item, statuses=status.split(",") if status else None, limit=limit, cursor=cursor)


@router.get("/lots/{code:path}", operation_id="get_lot", dependencies=[allow("read")])
def get_lot(code: str, kit: KitDep) -> LotView:
    with kit.db.read() as session:
        return service.lot_view(service.lot_row(session, code))
