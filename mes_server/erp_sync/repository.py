"""SQL of the ERP border."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mes_server.erp_sync.models import ErpChange, ErpCursor, ErpHanded, ErpInbound, ErpMessage, ErpTouched

UNSETTLED = ("waiting", "refused", "parked")


def cursor(session: Session, entity: str) -> str:
    return session.execute(sa.select(ErpCursor.cursor).where(ErpCursor.entity == entity)).scalar_one_or_none() or ""


def set_cursor(session: Session, entity: str, value: str) -> None:
    row = session.get(ErpCursor, entity)
    if row is None:
        session.add(ErpCursor(entity=entity, cursor=value))
    else:
        row.cursor = value


def inbound(session: Session, entity: str, external_id: str) -> ErpInbound | None:
    return session.execute(sa.select(ErpInbound).where(ErpInbound.entity == entity, ErpInbound.external_id == external_id)).scalar_one_or_none()


def knows_order(session: Session, number: str) -> bool:
    """Whether the ERP sent this order (hand-made ones are nobody's business there)."""
    query = sa.select(ErpInbound.id).where(ErpInbound.entity == "orders", ErpInbound.order_number == number).limit(1)
    return session.execute(query).first() is not None


def refused_inbound(session: Session, limit: int) -> Sequence[ErpInbound]:
    return session.execute(sa.select(ErpInbound).where(ErpInbound.status == "refused").order_by(ErpInbound.id).limit(limit)).scalars().all()


def touch(session: Session, order: str, *, at_ms: int, urgent: bool, reporter: str | None) -> None:
    touch_all(session, {order: Touch(at_ms, at_ms, urgent, reporter)})


class Touch(NamedTuple):
    """What a stretch of the journal says of one order: first and last moment, whether it ended something, who was last."""

    since_ms: int
    occurred_ms: int
    urgent: bool
    reporter: str | None

    def then(self, later: Touch) -> Touch:
        return Touch(self.since_ms, max(self.occurred_ms, later.occurred_ms), self.urgent or later.urgent, later.reporter or self.reporter)


def touch_all(session: Session, touched: Mapping[str, Touch]) -> None:
    """Notes touched orders, one statement to look and one to write each kind."""
    if not touched:
        return
    known = {row.order_number: row for row in session.execute(sa.select(ErpTouched).where(ErpTouched.order_number.in_(list(touched)))).scalars()}
    for order, touch in touched.items():
        row = known.get(order)
        if row is None:
            session.add(ErpTouched(order_number=order, **touch._asdict()))
        else:
            row.urgent, row.reporter = row.urgent or touch.urgent, touch.reporter or row.reporter
            row.occurred_ms = max(row.occurred_ms, touch.occurred_ms)
    session.flush()


def due_orders(session: Session, before_ms: int, limit: int) -> Sequence[ErpTouched]:
    return (
        session.execute(
            sa.select(ErpTouched).where(sa.or_(ErpTouched.since_ms <= before_ms, ErpTouched.urgent)).order_by(ErpTouched.since_ms).limit(limit)
        )
        .scalars()
        .all()
    )


def handed(session: Session, order: str) -> dict[str, float]:
    rows = session.execute(sa.select(ErpHanded.key, ErpHanded.quantity).where(ErpHanded.order_number == order))
    return {row.key: row.quantity for row in rows}


def set_handed(session: Session, order: str, before: Mapping[str, float], after: Mapping[str, float]) -> None:
    for name, quantity in after.items():
        if name not in before:
            session.add(ErpHanded(order_number=order, key=name, quantity=quantity))
        elif before[name] != quantity:
            session.execute(sa.update(ErpHanded).where(ErpHanded.order_number == order, ErpHanded.key == name).values(quantity=quantity))


def last_sequence(session: Session, order: str) -> int:
    return int(session.execute(sa.select(sa.func.max(ErpMessage.sequence)).where(ErpMessage.order_number == order)).scalar_one_or_none() or 0)


def deliverable(session: Session, now_ms: int, limit: int) -> Sequence[ErpMessage]:
    """The first unsettled message of every order, where it may be tried now: a refused one holds back its own order only."""
    heads = (
        sa.select(ErpMessage.order_number, sa.func.min(ErpMessage.sequence).label("head"))
        .where(ErpMessage.status.in_(UNSETTLED))
        .group_by(ErpMessage.order_number)
        .subquery()
    )
    return (
        session.execute(
            sa.select(ErpMessage)
            .join(heads, sa.and_(heads.c.order_number == ErpMessage.order_number, heads.c.head == ErpMessage.sequence))
            .where(ErpMessage.status == "waiting", ErpMessage.next_try_ms <= now_ms)
            .order_by(ErpMessage.next_try_ms, ErpMessage.id)
            .limit(limit)
        )
        .scalars()
        .all()
    )


def waiting_behind(session: Session, orders: Iterable[str]) -> dict[str, int]:
    """How many unsettled messages each order has."""
    rows = session.execute(
        sa.select(ErpMessage.order_number, sa.func.count())
        .where(ErpMessage.status.in_(UNSETTLED), ErpMessage.order_number.in_(list(orders)))
        .group_by(ErpMessage.order_number)
    )
    return {order: int(count) for order, count in rows}


def figures(session: Session) -> dict[str, Any]:
    """Counts by status, the oldest unsettled message, the last ones in and out (ms, None when there is none)."""
    counts: dict[str, int] = {
        status: int(count) for status, count in session.execute(sa.select(ErpMessage.status, sa.func.count()).group_by(ErpMessage.status))
    }
    oldest = session.execute(sa.select(sa.func.min(ErpMessage.created_ms)).where(ErpMessage.status.in_(UNSETTLED))).scalar_one_or_none()
    last_out = session.execute(sa.select(sa.func.max(ErpMessage.posted_ms))).scalar_one_or_none()
    last_in = session.execute(sa.select(sa.func.max(ErpInbound.received_ms))).scalar_one_or_none()
    touched = session.execute(sa.select(sa.func.count()).select_from(ErpTouched)).scalar_one()
    return {"counts": counts, "oldest_ms": oldest, "last_out_ms": last_out, "last_in_ms": last_in, "touched": int(touched)}


def changes(session: Session, *, open_only: bool, after: int | None, limit: int) -> Sequence[ErpChange]:
    query = sa.select(ErpChange).order_by(ErpChange.id.desc()).limit(limit)
    if open_only:
        query = query.where(ErpChange.status == "open")
    if after is not None:
        query = query.where(ErpChange.id < after)
    return session.execute(query).scalars().all()


def messages(session: Session, *, status: str | None, order: str | None, after: int | None, limit: int) -> Sequence[ErpMessage]:
    query = sa.select(ErpMessage).order_by(ErpMessage.id.desc()).limit(limit)
    if status is not None:
        query = query.where(ErpMessage.status == status)
    if order is not None:
        query = query.where(ErpMessage.order_number == order)
    if after is not None:
        query = query.where(ErpMessage.id < after)
    return session.execute(query).scalars().all()


def inbound_page(session: Session, *, status: str | None, order: str | None, after: int | None, limit: int) -> Sequence[ErpInbound]:
    query = sa.select(ErpInbound).order_by(ErpInbound.id.desc()).limit(limit)
    if status is not None:
        query = query.where(ErpInbound.status == status)
    if order is not None:
        query = query.where(ErpInbound.order_number == order)
    if after is not None:
        query = query.where(ErpInbound.id < after)
    return session.execute(query).scalars().all()
