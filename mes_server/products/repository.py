"""SQL of items and revisions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mes_server.products.models import ItemRow, RevisionRow
from mes_server.products.schemas import Bom, Item, Routing


def row(session: Session, code: str) -> ItemRow | None:
    return session.get(ItemRow, code)


def rows(session: Session, codes: Collection[str]) -> Sequence[ItemRow]:
    return session.execute(sa.select(ItemRow).where(ItemRow.code.in_(codes)).order_by(ItemRow.code)).scalars().all()


def by_gtin(session: Session, gtin: str) -> ItemRow | None:
    """GTINs of any length name the same item when they are equal with leading zeros."""
    digits = gtin.lstrip("0")
    forms = [digits.rjust(length, "0") for length in (8, 12, 13, 14) if length >= len(digits)]
    return session.execute(sa.select(ItemRow).where(ItemRow.gtin.in_(forms))).scalars().first()


def known(session: Session, codes: Collection[str]) -> set[str]:
    return set(session.execute(sa.select(ItemRow.code).where(ItemRow.code.in_(codes))).scalars())


def revision(session: Session, item: str, kind: str, name: str) -> RevisionRow | None:
    return session.get(RevisionRow, (item, kind, name))


def revisions(session: Session, item: str) -> Sequence[RevisionRow]:
    query = sa.select(RevisionRow).where(RevisionRow.item == item).order_by(RevisionRow.kind, RevisionRow.number.desc())
    return session.execute(query).scalars().all()


def last_number(session: Session, item: str, kind: str) -> int:
    query = sa.select(sa.func.max(RevisionRow.number)).where(RevisionRow.item == item, RevisionRow.kind == kind)
    return int(session.execute(query).scalar() or 0)


def page(session: Session, *, text: str | None, family: str | None, after: str | None, limit: int) -> Sequence[ItemRow]:
    query = sa.select(ItemRow).order_by(ItemRow.code).limit(limit)
    if text:
        like = [column.icontains(text, autoescape=True) for column in (ItemRow.code, ItemRow.name_zh, ItemRow.name_en)]
        query = query.where(sa.or_(*like))
    if family:
        query = query.where(ItemRow.family == family)
    if after is not None:
        query = query.where(ItemRow.code > after)
    return session.execute(query).scalars().all()


def items(session: Session, rows: Sequence[ItemRow]) -> list[Item]:
    """Whole items of these rows, in their order; one more SELECT however many."""
    codes = [one.code for one in rows]
    current = sa.or_(
        sa.and_(RevisionRow.kind == "bom", RevisionRow.revision == ItemRow.bom_revision),
        sa.and_(RevisionRow.kind == "routing", RevisionRow.revision == ItemRow.routing_revision),
    )
    query = sa.select(RevisionRow.item, RevisionRow.kind, RevisionRow.revision, RevisionRow.content)
    query = query.join(ItemRow, ItemRow.code == RevisionRow.item).where(current, RevisionRow.item.in_(codes))
    content: dict[tuple[str, str], Bom | Routing] = {}
    for item, kind, name, parts in session.execute(query):
        content[item, kind] = parse(kind, name, parts)
    return [_item(one, content) for one in rows]


def parse(kind: str, name: str, parts: list[dict[str, Any]]) -> Bom | Routing:
    if kind == "bom":
        return Bom.model_validate({"revision": name, "lines": parts})
    return Routing.model_validate({"revision": name, "operations": parts})


def _item(one: ItemRow, content: dict[tuple[str, str], Bom | Routing]) -> Item:
    values = {name: getattr(one, name) for name in ("code", "name_zh", "name_en", "unit", "tracking", "family", "box_quantity", "gtin")}
    return Item.model_validate({**values, "bom": content.get((one.code, "bom")), "routing": content.get((one.code, "routing"))})
