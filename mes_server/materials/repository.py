"""SQL of lots, serials and movements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mes_server.materials.models import Lot, Movement, Serial

Row = Any  # a result row: its columns are attributes
LOT = cast(sa.Table, Lot.__table__)
SERIAL = cast(sa.Table, Serial.__table__)
MOVEMENT = cast(sa.Table, Movement.__table__)


def lot(session: Session, code: str) -> Row | None:
    return session.execute(sa.select(LOT).where(LOT.c.code == code)).one_or_none()


def insert_lot(session: Session, row: dict[str, Any]) -> None:
    session.execute(sa.insert(LOT), row)


def use_lot(session: Session, lot_id: int, milli: int) -> Row:
    """Takes `milli` (negative: puts back) and lets the status follow: used up at 0 or below, released again above."""
    left = LOT.c.remaining_milli - milli
    status = sa.case(
        (sa.and_(LOT.c.status == "released", left <= 0), "consumed"), (sa.and_(LOT.c.status == "consumed", left > 0), "released"), else_=LOT.c.status
    )
    statement = sa.update(LOT).where(LOT.c.id == lot_id).values(remaining_milli=left, status=status)
    return session.execute(statement.returning(LOT.c.remaining_milli, LOT.c.status)).one()


def grow_lot(session: Session, lot_id: int, milli: int) -> None:
    """A lot made here gains (negative: loses) pieces."""
    left = LOT.c.remaining_milli + milli
    status = sa.case(
        (sa.and_(LOT.c.status == "released", left <= 0), "consumed"), (sa.and_(LOT.c.status == "consumed", left > 0), "released"), else_=LOT.c.status
    )
    session.execute(sa.update(LOT).where(LOT.c.id == lot_id).values(remaining_milli=left, received_milli=LOT.c.received_milli + milli, status=status))


def move_lot(session: Session, lot_id: int, from_status: Iterable[str], to_status: str) -> bool:
    statement = sa.update(LOT).where(LOT.c.id == lot_id, LOT.c.status.in_(list(from_status))).values(status=to_status)
    return int(session.execute(statement).rowcount) == 1  # type: ignore[attr-defined]


def update_lot(session: Session, lot_id: int, **values: Any) -> None:
    session.execute(sa.update(LOT).where(LOT.c.id == lot_id).values(**values))


def lots_page(session: Session, *, item: str | None, statuses: Sequence[str] | None, after: int | None, limit: int) -> Sequence[Row]:
    query = sa.select(LOT).order_by(LOT.c.id.desc()).limit(limit)
    if item is not None:
        query = query.where(LOT.c.item == item)
    if statuses:
        plain = [status for status in statuses if status != "on_hold"]
        wanted = [LOT.c.status.in_(plain)] if plain else []
        query = query.where(sa.or_(*wanted, *([LOT.c.holds > 0] if "on_hold" in statuses else [])))
    if after is not None:
        query = query.where(LOT.c.id < after)
    return session.execute(query).all()


def serial(session: Session, code: str) -> Row | None:
    return session.execute(sa.select(SERIAL).where(SERIAL.c.code == code)).one_or_none()


def insert_serial(session: Session, row: dict[str, Any]) -> None:
    session.execute(sa.insert(SERIAL), row)


def delete_serial(session: Session, code: str) -> None:
    session.execute(sa.delete(SERIAL).where(SERIAL.c.code == code))


def serials_of_order(session: Session, order: str) -> int:
    return int(session.execute(sa.select(sa.func.count()).select_from(SERIAL).where(SERIAL.c.order_number == order)).scalar_one())


def scrap_serials(session: Session, codes: Sequence[str]) -> int:
    statement = sa.update(SERIAL).where(SERIAL.c.code.in_(codes), SERIAL.c.status == "completed").values(status="scrapped")
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined]


def hold(session: Session, table: sa.FromClause, code: str, step: int, at_ms: int) -> bool:
    """Adds or takes away one hold; remembers since when. False if there is no such code."""
    assert isinstance(table, sa.Table)
    held_ms = sa.case((table.c.holds + step <= 0, None), (table.c.held_ms.is_(None), at_ms), (table.c.held_ms > at_ms, at_ms), else_=table.c.held_ms)
    statement = sa.update(table).where(table.c.code == code).values(holds=table.c.holds + step, held_ms=held_ms)
    return int(session.execute(statement).rowcount) == 1  # type: ignore[attr-defined]


def insert_movement(session: Session, row: dict[str, Any]) -> None:
    session.execute(sa.insert(MOVEMENT), row)


def movement(session: Session, event_id: str) -> Row | None:
    return session.execute(sa.select(MOVEMENT).where(MOVEMENT.c.event_id == event_id)).one_or_none()


def reversal_of(session: Session, event_id: str) -> Row | None:
    return session.execute(sa.select(MOVEMENT).where(MOVEMENT.c.reverses == event_id)).one_or_none()


def consumed_milli(session: Session, order: str, item: str) -> int:
    query = sa.select(sa.func.coalesce(sa.func.sum(MOVEMENT.c.quantity_milli), 0)).where(
        MOVEMENT.c.order_number == order, MOVEMENT.c.use == "consumed", MOVEMENT.c.item == item
    )
    return int(session.execute(query).scalar_one())


def order_sums(session: Session, order: str) -> Sequence[Row]:
    """Net quantities of an order per (use, operation number, item, lot, serial), zeros left out."""
    total = sa.func.sum(MOVEMENT.c.quantity_milli).label("milli")
    keys = (MOVEMENT.c.use, MOVEMENT.c.number, MOVEMENT.c.item, MOVEMENT.c.lot, MOVEMENT.c.serial)
    return session.execute(sa.select(*keys, total).where(MOVEMENT.c.order_number == order).group_by(*keys).having(total != 0).order_by(*keys)).all()


def loaded(session: Session, operations: Sequence[str]) -> Sequence[Row]:
    """Lots used on these operations (net) that still have something left, latest first."""
    used = sa.func.sum(MOVEMENT.c.quantity_milli)
    return session.execute(
        sa.select(LOT.c.code, LOT.c.item, LOT.c.unit, LOT.c.remaining_milli, MOVEMENT.c.operation)
        .join(LOT, LOT.c.code == MOVEMENT.c.lot)
        .where(MOVEMENT.c.operation.in_(operations), MOVEMENT.c.use == "consumed", LOT.c.remaining_milli > 0)
        .group_by(LOT.c.code, LOT.c.item, LOT.c.unit, LOT.c.remaining_milli, MOVEMENT.c.operation)
        .having(used > 0)
        .order_by(sa.func.max(MOVEMENT.c.at_ms).desc())
    ).all()


def movements_of_serial(session: Session, serial: str) -> Sequence[Row]:
    return session.execute(sa.select(MOVEMENT).where(MOVEMENT.c.serial == serial).order_by(MOVEMENT.c.at_ms, MOVEMENT.c.id)).all()


def lots_named(session: Session, codes: Sequence[str]) -> Sequence[Row]:
    return session.execute(sa.select(LOT).where(LOT.c.code.in_(codes))).all()


def serials_named(session: Session, codes: Sequence[str]) -> Sequence[Row]:
    return session.execute(sa.select(SERIAL).where(SERIAL.c.code.in_(codes))).all()


def reversed_among(session: Session, event_ids: Sequence[str]) -> set[str]:
    return {str(one) for one in session.execute(sa.select(MOVEMENT.c.reverses).where(MOVEMENT.c.reverses.in_(event_ids))).scalars()}
