"""GET /items, GET/PUT /items/{code}."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from mes_server.kit.actor import Actor
from mes_server.kit.http import CursorQuery, KitDep, LimitQuery, Page, PathDiffers, allow, decode_cursor, encode_cursor, page_of
from mes_server.products import repository, service
from mes_server.products.schemas import Item, PutItem, RevisionView

router = APIRouter(tags=["products"])


@router.get("/items", operation_id="list_items")
def list_items(
    kit: KitDep,
    q: Annotated[str | None, Query(max_length=100, description="Part of a code or name")] = None,
    family: Annotated[str | None, Query(max_length=64)] = None,
    limit: LimitQuery = 100,
    cursor: CursorQuery = None,
    actor: Actor = allow("read"),
) -> Page[Item]:
    """Items by code, with their current bill of material and routing."""
    mark = decode_cursor(cursor, 1)
    with kit.db.read() as session:
        rows = repository.page(session, text=q, family=family, after=str(mark[0]) if mark else None, limit=limit + 1)
        found = repository.items(session, rows[:limit])
    return Page(items=found, next=encode_cursor([rows[limit - 1].code]) if len(rows) > limit else None)


@router.get("/items/{code}", operation_id="get_item")
def get_item(kit: KitDep, code: str, actor: Actor = allow("read")) -> Item:
    with kit.db.read() as session:
        return service.item(session, code)


@router.get("/items/{code}/revisions", operation_id="list_item_revisions")
def list_item_revisions(
    kit: KitDep, code: str, limit: LimitQuery = 500, cursor: CursorQuery = None, actor: Actor = allow("read")
) -> Page[RevisionView]:
    """Every revision of its bill of material and routing, newest first."""
    with kit.db.read() as session:
        found = service.revisions(session, code)
    return page_of(found, lambda one: (one.kind, -one.number), limit=limit, cursor=cursor)


@router.put("/items/{code}", operation_id="put_item")
async def put_item(kit: KitDep, code: str, command: PutItem, actor: Actor = allow("model.edit", everywhere=True)) -> dict[str, Any]:
    """Adds or changes an item; what it names and this plant does not know comes back as `warnings`."""
    if command.item.code != code:
        raise PathDiffers(path=code, body=command.item.code)
    answer = await kit.acts.run(service.put_item, actor, command)
    return answer.body
