"""SQL of the door: refused acts, calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mes_server.kit import journal
from mes_server.scans.models import HelpCall, RefusedAct

Row = Any  # a result row: its columns are attributes
REFUSED = cast(sa.Table, RefusedAct.__table__)
CALL = cast(sa.Table, HelpCall.__table__)


def refused(session: Session, event_id: str) -> Row | None:
    return session.execute(sa.select(REFUSED).where(REFUSED.c.event_id == event_id)).one_or_none()


def keep_refused(session: Session, row: dict[str, Any]) -> None:
    """Keeps it once; a repeat renews the problem of an open one."""
    known = refused(session, row["event_id"])
    if known is None:
        session.execute(sa.insert(REFUSED), row)
    elif known.status == "open":
        session.execute(
            sa.update(REFUSED)
            .where(REFUSED.c.id == known.id)
            .values(problem_zh=row["problem_zh"], problem_en=row["problem_en"], refused_ms=row["refused_ms"])
        )


def decide(session: Session, refused_id: int, status: str, person: str | None, at_ms: int) -> bool:
    statement = sa.update(REFUSED).where(REFUSED.c.id == refused_id, REFUSED.c.status == "open")
    return int(session.execute(statement.values(status=status, decided_by=person, decided_ms=at_ms)).rowcount) == 1  # type: ignore[attr-defined]


def settle_booked(session: Session, event_ids: Sequence[str], at_ms: int) -> None:
    """Acts that a later sending booked after all leave the list."""
    session.execute(sa.update(REFUSED).where(REFUSED.c.event_id.in_(event_ids), REFUSED.c.status == "open").values(status="booked", decided_ms=at_ms))


def open_among(session: Session, event_ids: Sequence[str]) -> list[str]:
    return list(session.execute(sa.select(REFUSED.c.event_id).where(REFUSED.c.event_id.in_(event_ids), REFUSED.c.status == "open")).scalars())


def refused_page(session: Session, status: str, after: int | None, limit: int) -> Sequence[Row]:
    query = sa.select(REFUSED).where(REFUSED.c.status == status).order_by(REFUSED.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(REFUSED.c.id < after)
    return session.execute(query).all()


def open_call(session: Session, machine: str, kind: str) -> Row | None:
    return session.execute(sa.select(CALL).where(CALL.c.machine == machine, CALL.c.kind == kind, CALL.c.answered_ms.is_(None)).limit(1)).one_or_none()


def open_calls(session: Session, machines: Sequence[str]) -> Sequence[Row]:
    return session.execute(sa.select(CALL).where(CALL.c.machine.in_(machines), CALL.c.answered_ms.is_(None)).order_by(CALL.c.at_ms)).all()


def call(session: Session, event_id: str) -> Row | None:
    return session.execute(sa.select(CALL).where(CALL.c.event_id == event_id)).one_or_none()


def insert_call(session: Session, row: dict[str, Any]) -> None:
    session.execute(sa.insert(CALL), row)


def answer_call(session: Session, call_id: int, person: str | None, at_ms: int) -> bool:
    statement = sa.update(CALL).where(CALL.c.id == call_id, CALL.c.answered_ms.is_(None)).values(answered_ms=at_ms, answered_by=person)
    return int(session.execute(statement).rowcount) == 1  # type: ignore[attr-defined]


JOURNAL = cast(sa.Table, journal.JournalRecord.__table__)
RECENT_WINDOW = 5_000  # newest records looked at: own last acts are always among them, and the search stays short on a journal of millions


def recent_acts(session: Session, person: str, types: Sequence[str], since_ms: int, limit: int) -> Sequence[Row]:
    newest = sa.select(sa.func.coalesce(sa.func.max(JOURNAL.c.seq), 0)).scalar_subquery()
    columns = (JOURNAL.c.event_id, JOURNAL.c.type, JOURNAL.c.occurred_ms, JOURNAL.c.person, JOURNAL.c.payload)
    return session.execute(
        sa.select(*columns)
        .where(JOURNAL.c.seq > newest - RECENT_WINDOW, JOURNAL.c.person == person, JOURNAL.c.type.in_(types), JOURNAL.c.occurred_ms >= since_ms)
        .order_by(JOURNAL.c.seq.desc())
        .limit(limit)
    ).all()
