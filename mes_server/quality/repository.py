"""SQL of quality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mes_server.quality.models import Defect, Hold, Photo

Row = Any  # a result row: its columns are attributes
DEFECT = cast(sa.Table, Defect.__table__)
HOLD = cast(sa.Table, Hold.__table__)
PHOTO = cast(sa.Table, Photo.__table__)


def insert_defect(session: Session, row: dict[str, Any]) -> None:
    session.execute(sa.insert(DEFECT), row)


def insert_hold(session: Session, row: dict[str, Any]) -> None:
    session.execute(sa.insert(HOLD), row)


def hold(session: Session, event_id: str) -> Row | None:
    return session.execute(sa.select(HOLD).where(HOLD.c.event_id == event_id)).one_or_none()


def release(session: Session, hold_id: int, at_ms: int, person: str | None, reason: str) -> bool:
    """The guarded transition open → released; True if this call made it."""
    statement = sa.update(HOLD).where(HOLD.c.id == hold_id, HOLD.c.released_ms.is_(None))
    return int(session.execute(statement.values(released_ms=at_ms, released_by=person, release_reason=reason)).rowcount) == 1  # type: ignore[attr-defined]


def holds_page(session: Session, *, open_only: bool | None, after: int | None, limit: int) -> Sequence[Row]:
    query = sa.select(HOLD).order_by(HOLD.c.id.desc()).limit(limit)
    if open_only is not None:
        query = query.where(HOLD.c.released_ms.is_(None) if open_only else HOLD.c.released_ms.is_not(None))
    if after is not None:
        query = query.where(HOLD.c.id < after)
    return session.execute(query).all()


def holds_on(session: Session, kind: str, codes: Sequence[str], *, open_only: bool) -> Sequence[Row]:
    query = sa.select(HOLD).where(HOLD.c.subject_kind == kind, HOLD.c.subject_code.in_(codes)).order_by(HOLD.c.at_ms)
    return session.execute(query.where(HOLD.c.released_ms.is_(None)) if open_only else query).all()


def defects_page(
    session: Session,
    *,
    subject: tuple[str, str] | None,
    code: str | None,
    from_ms: int | None,
    to_ms: int | None,
    after: int | None,
    limit: int,
) -> Sequence[Row]:
    query = sa.select(DEFECT).order_by(DEFECT.c.id.desc()).limit(limit)
    if subject is not None:
        query = query.where(DEFECT.c.subject_kind == subject[0], DEFECT.c.subject_code == subject[1])
    if code is not None:
        query = query.where(DEFECT.c.code == code)
    if from_ms is not None:
        query = query.where(DEFECT.c.at_ms >= from_ms)
    if to_ms is not None:
        query = query.where(DEFECT.c.at_ms < to_ms)
    if after is not None:
        query = query.where(DEFECT.c.id < after)
    return session.execute(query).all()


def photos_there(session: Session, ids: Sequence[str]) -> set[str]:
    return set(session.execute(sa.select(PHOTO.c.sha256).where(PHOTO.c.sha256.in_(ids))).scalars())


def photo(session: Session, sha256: str) -> Row | None:
    return session.execute(sa.select(PHOTO).where(PHOTO.c.sha256 == sha256)).one_or_none()


def insert_photo(session: Session, row: dict[str, Any]) -> None:
    session.execute(sa.insert(PHOTO), row)
