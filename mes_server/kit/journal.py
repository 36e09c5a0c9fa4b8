"""The append-only journal: one record for every business act, written in the transaction of its effect.

One log, many readers, each with its own cursor (audit trail, ERP outbox, alerts, live screens). The database refuses UPDATE and DELETE on it
(triggers, see mes_server/migrations). Soon after commit it is sealed: h(i) = SHA-256(h(i-1) || canonical JSON of record i), in a table of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from edge_agent.contract.clock import iso
from mes_server.kit.db import BIG_ID, MILLIS, Base
from mes_server.kit.hot import Hot
from mes_server.kit.paging import Page, decode_cursor, encode_cursor

GENESIS = "0" * 64


def guards(dialect: str) -> list[str]:
    """DDL that makes the database itself refuse to change or delete what the journal and its seals hold. Used by the migration."""
    statements: list[str] = []
    if dialect == "postgresql":
        statements.append(
            "CREATE OR REPLACE FUNCTION gemba_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN RAISE EXCEPTION 'the journal is append-only'; END$$"
        )
    for table in ("journal", "journal_seal"):
        if dialect == "postgresql":
            statements.append(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION gemba_append_only()"
            )
            statements.append(f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION gemba_append_only()")
        else:
            statements += [
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
                for verb in ("UPDATE", "DELETE")
            ]
    return statements


class JournalRecord(Base):
    """`subject` names what it is about, e.g. "operation:WO-1001/20"; `payload` and `answer` are JSON text."""

    __tablename__ = "journal"

    seq: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    event_id: Mapped[str] = mapped_column(sa.String(36), unique=True)
    type: Mapped[str] = mapped_column(sa.String(60), index=True)
    subject: Mapped[str] = mapped_column(sa.String(160), index=True)
    occurred_ms: Mapped[int] = mapped_column(MILLIS, index=True)
    recorded_ms: Mapped[int] = mapped_column(MILLIS)
    person: Mapped[str | None] = mapped_column(sa.String(40))
    device: Mapped[str | None] = mapped_column(sa.String(64))
    body_hash: Mapped[str] = mapped_column(sa.String(64))
    payload: Mapped[str] = mapped_column(sa.Text)
    answer: Mapped[str] = mapped_column(sa.Text)

    __table_args__ = ({"sqlite_autoincrement": True},)


class JournalSeal(Base):
    """One link of the chain; kept apart so that the journal itself is never updated."""

    __tablename__ = "journal_seal"

    seq: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=False)
    hash: Mapped[str] = mapped_column(sa.String(64))


class JournalCursor(Base):
    """How far one reader of the journal has come."""

    __tablename__ = "journal_cursor"

    reader: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    seq: Mapped[int] = mapped_column(BIG_ID)


@dataclass(frozen=True, slots=True)
class Prior:
    """What the journal holds of an event id."""

    seq: int
    body_hash: str
    answer: str


_TABLE = cast(sa.Table, JournalRecord.__table__)
_GONE = sa.select(sa.func.min(JournalSeal.seq)).where(JournalSeal.seq > sa.bindparam("after"), JournalSeal.seq < sa.bindparam("before"))
_CHAIN = (
    sa.select(_TABLE, JournalSeal.hash.label("seal"))
    .join(JournalSeal, JournalSeal.seq == _TABLE.c.seq, isouter=True)
    .where(_TABLE.c.seq > sa.bindparam("after"))
    .order_by(_TABLE.c.seq)
    .limit(sa.bindparam("chunk"))
)
_FIND = Hot(sa.select(_TABLE.c.seq, _TABLE.c.body_hash, _TABLE.c.answer).where(_TABLE.c.event_id == sa.bindparam("event_id")))
_COLUMNS = ("event_id", "type", "subject", "occurred_ms", "recorded_ms", "person", "device", "payload", "answer", "body_hash")
_APPEND = Hot(sa.insert(_TABLE).values({name: sa.bindparam(name) for name in _COLUMNS}).returning(_TABLE.c.seq))


def body_hash(type: str, body: str) -> str:
    """What tells a repeat from another body under the same id: of the command's JSON without its event id."""
    return hashlib.sha256(f"{type}\n{body}".encode()).hexdigest()


def find(session: Session, event_id: str) -> Prior | None:
    row = _FIND.one_or_none(session, {"event_id": event_id})
    return None if row is None else Prior(row.seq, row.body_hash, row.answer)


def subject_of(session: Session, event_id: str) -> str | None:
    """What the record with this event id is about ("device:D-1"); None where there is none."""
    found: str | None = session.execute(sa.select(_TABLE.c.subject).where(_TABLE.c.event_id == event_id)).scalar_one_or_none()
    return found


def append(
    session: Session,
    *,
    event_id: str,
    type: str,
    subject: str,
    occurred_ms: int,
    recorded_ms: int,
    person: str | None,
    device: str | None,
    payload: str,
    answer: str = "{}",
    body_hash: str | None = None,
) -> int:
    """Appends one record and returns its seq. The caller (kit.acts, or an ingest transaction) commits."""
    row = {
        "event_id": event_id,
        "type": type,
        "subject": subject,
        "occurred_ms": occurred_ms,
        "recorded_ms": recorded_ms,
        "person": person,
        "device": device,
        "payload": payload,
        "answer": answer,
        "body_hash": body_hash if body_hash is not None else hashlib.sha256(payload.encode()).hexdigest(),
    }
    seq = int(_APPEND.one(session, row).seq)
    session.info["journal_seq"] = seq
    return seq


def canonical(record: sa.Row[Any] | JournalRecord) -> bytes:
    """The bytes that are sealed: JSON with sorted keys, no spaces, every column but none of the chain's."""
    fields = ("seq", "event_id", "type", "subject", "occurred_ms", "recorded_ms", "person", "device", "body_hash", "payload", "answer")
    return json.dumps({name: getattr(record, name) for name in fields}, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def link(previous: str, record: sa.Row[Any] | JournalRecord) -> str:
    return hashlib.sha256(previous.encode() + canonical(record)).hexdigest()


def seal_pending(session: Session, *, batch_max: int = 5_000) -> int:
    """Seals up to `batch_max` records after the last sealed one; returns how many. Called in the writer."""
    last = session.execute(sa.select(JournalSeal.seq, JournalSeal.hash).order_by(JournalSeal.seq.desc()).limit(1)).one_or_none()
    previous, after = (last.hash, last.seq) if last else (GENESIS, 0)
    seals: list[dict[str, object]] = []
    for record in session.execute(sa.select(_TABLE).where(_TABLE.c.seq > after).order_by(_TABLE.c.seq).limit(batch_max)):
        previous = link(previous, record)
        seals.append({"seq": record.seq, "hash": previous})
    if seals:
        session.execute(sa.insert(JournalSeal), seals)
    return len(seals)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of `verify`: `bad_seq` is the first record that does not fit its seal (None: all fit)."""

    sealed: int
    unsealed: int
    bad_seq: int | None
    why: str
    head: str


def head(session: Session) -> JournalSeal | None:
    """The newest link of the chain."""
    return session.execute(sa.select(JournalSeal).order_by(JournalSeal.seq.desc()).limit(1)).scalar_one_or_none()


def verify(session: Session, *, anchors: Mapping[int, str] | None = None, chunk: int = 10_000) -> Verdict:
    """Walks the whole chain. A changed, missing or inserted record, or a changed seal, is named by its seq.

    `anchors` (seq → hash, kept outside the database) also tell when the end was cut off or the chain was made anew.
    """
    known = dict(anchors or {})
    previous, checked, after = GENESIS, 0, 0
    while True:
        rows = session.execute(_CHAIN, {"after": after, "chunk": chunk}).all()
        for row in rows:
            if row.seal is None:
                return _end(session, checked, previous, row.seq, known)
            expected = link(previous, row)
            if expected != row.seal:
                gone = session.execute(_GONE, {"after": after, "before": row.seq}).scalar_one_or_none()
                if gone is not None:
                    return Verdict(checked, 0, gone, "the record is missing but its seal is there", previous)
                return Verdict(checked, 0, row.seq, "the record does not fit its seal", previous)
            if known.pop(row.seq, expected) != expected:
                return Verdict(checked, 0, row.seq, "the chain is not the one that was anchored outside the database", previous)
            previous, checked, after = expected, checked + 1, row.seq
        if len(rows) < chunk:
            return _end(session, checked, previous, after + 1, known)


def _end(session: Session, checked: int, head: str, first_unsealed: int, anchors_left: Mapping[int, str]) -> Verdict:
    orphan = session.execute(sa.select(sa.func.min(JournalSeal.seq)).where(~sa.exists().where(_TABLE.c.seq == JournalSeal.seq))).scalar_one_or_none()
    if orphan is not None:
        return Verdict(checked, 0, orphan, "the record is missing but its seal is there", head)
    late = session.execute(sa.select(sa.func.min(JournalSeal.seq)).where(JournalSeal.seq >= first_unsealed)).scalar_one_or_none()
    if late is not None:
        return Verdict(checked, 0, first_unsealed, "the record has no seal although a later one has", head)
    if anchors_left:
        return Verdict(checked, 0, min(anchors_left), "an anchor outside the database names this record, but it is gone", head)
    unsealed = session.execute(sa.select(sa.func.count()).select_from(_TABLE).where(_TABLE.c.seq >= first_unsealed)).scalar_one()
    return Verdict(checked, int(unsealed), None, "", head)


def read_after(session: Session, seq: int, *, types: Iterable[str] | None = None, limit: int = 500) -> Sequence[sa.Row[Any]]:
    """Records after `seq`, oldest first: what a reader with a cursor calls."""
    query = sa.select(_TABLE).where(_TABLE.c.seq > seq).order_by(_TABLE.c.seq).limit(limit)
    if types is not None:
        query = query.where(_TABLE.c.type.in_(list(types)))
    return session.execute(query).all()


def page(
    session: Session,
    *,
    type: str | None = None,
    subject: str | None = None,
    subjects: Sequence[str] | None = None,
    person: str | None = None,
    after: int | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[dict[str, Any]]:
    """Records for a screen, newest first; with `after` oldest first from there.

    `subject` ending in `*` matches its beginning; `subjects`: any of them.
    """
    query = sa.select(_TABLE)
    if type is not None:
        query = query.where(_TABLE.c.type == type)
    if subject is not None:
        like = _TABLE.c.subject.startswith(subject[:-1], autoescape=True) if subject.endswith("*") else _TABLE.c.subject == subject
        query = query.where(like)
    if subjects is not None:
        query = query.where(_TABLE.c.subject.in_(subjects))
    if person is not None:
        query = query.where(_TABLE.c.person == person)
    mark = decode_cursor(cursor, 1)
    start = int(mark[0]) if mark is not None else after
    if after is not None:
        query = query.where(_TABLE.c.seq > start).order_by(_TABLE.c.seq)
    else:
        query = query.order_by(_TABLE.c.seq.desc())
        if start is not None:
            query = query.where(_TABLE.c.seq < start)
    rows = session.execute(query.limit(limit + 1)).all()
    items = [_view(row) for row in rows[:limit]]
    return Page(items=items, next=encode_cursor([rows[limit - 1].seq]) if len(rows) > limit else None)


def _view(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "seq": row.seq,
        "event_id": row.event_id,
        "type": row.type,
        "subject": row.subject,
        "occurred_at": iso(row.occurred_ms),
        "recorded_at": iso(row.recorded_ms),
        "person": row.person,
        "device": row.device,
        "payload": json.loads(row.payload),
    }


def cursor(session: Session, reader: str) -> int:
    return int(session.execute(sa.select(JournalCursor.seq).where(JournalCursor.reader == reader)).scalar_one_or_none() or 0)


def move_cursor(session: Session, reader: str, seq: int) -> None:
    if session.execute(sa.update(JournalCursor).where(JournalCursor.reader == reader).values(seq=seq)).rowcount == 0:  # type: ignore[attr-defined]
        session.execute(sa.insert(JournalCursor).values(reader=reader, seq=seq))
