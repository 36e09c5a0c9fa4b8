"""The supervisor's list: refused acts of the tablets, to be booked after all or dropped. Nothing leaves it by itself unless it was booked."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.kit import journal
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Done, recorded_ms
from mes_server.kit.errors import Lang
from mes_server.kit.http import Page, decode_cursor, encode_cursor
from mes_server.scans import repository
from mes_server.scans.errors import AlreadyDecided, RefusedUnknown
from mes_server.scans.schemas import DropRefused, RefusedView, RetryRefused
from mes_server.scans.service.batch import parse
from mes_server.scans.service.registry import ACTS
from mes_server.work_orders.service import SETTLED_BY


def retry_refused(session: Session, actor: Actor, command: RetryRefused) -> Done:
    """Books the act as its own person's, at its own time, under the supervisor's right. Raises what still forbids it."""
    row = _open(session, command.refused)
    act = parse(row.act)
    booked = journal.find(session, row.event_id)
    live: list[tuple[str, dict[str, Any]]] = []
    if booked is None:
        person = Actor(row.person, row.device, actor.rights, lang=actor.lang, via=actor.via)
        session.info[SETTLED_BY] = actor.person or "-"
        try:
            done = ACTS[act.act][1](session, person, act)  # type: ignore[attr-defined]
        finally:
            session.info.pop(SETTLED_BY, None)
        session.flush()
        live = done.live
        body = act.model_dump_json(exclude={"event_id"})
        effect = json.dumps({**done.effect, "settled_by": actor.person}, ensure_ascii=False, separators=(",", ":"), default=str)
        journal.append(
            session,
            event_id=row.event_id,
            type=act.type,
            subject=done.subject,
            occurred_ms=act.occurred_ms,
            recorded_ms=recorded_ms(session),
            person=row.person,
            device=row.device,
            payload=f'{{"command":{body},"effect":{effect}}}',
            answer=json.dumps(done.answer, ensure_ascii=False, separators=(",", ":"), default=str),
            body_hash=journal.body_hash(act.type, body),
        )
    repository.decide(session, row.id, "booked", actor.person, recorded_ms(session))
    return Done(
        f"decide:{row.event_id}", {"event_id": row.event_id, "status": "booked"}, {"type": row.type}, [*live, ("decide", {"decided": row.event_id})]
    )


def drop_refused(session: Session, actor: Actor, command: DropRefused) -> Done:
    row = _open(session, command.refused)
    repository.decide(session, row.id, "dropped", actor.person, recorded_ms(session))
    return Done(
        f"decide:{row.event_id}",
        {"event_id": row.event_id, "status": "dropped"},
        {"type": row.type, "act": row.act},
        [("decide", {"decided": row.event_id})],
    )


def _open(session: Session, event_id: str) -> sa.Row[Any]:
    row: sa.Row[Any] | None = repository.refused(session, event_id)
    if row is None:
        raise RefusedUnknown(what="entry", key=event_id, event=event_id)
    if row.status != "open":
        raise AlreadyDecided(person=row.decided_by or "-")
    return row


def decide_page(session: Session, lang: Lang, *, status: str, limit: int, cursor: str | None) -> Page[RefusedView]:
    key = decode_cursor(cursor, 1)
    rows = repository.refused_page(session, status, None if key is None else int(key[0]), limit + 1)
    items = [
        RefusedView(
            event_id=row.event_id,
            type=row.type,
            person=row.person,
            device=row.device,
            occurred_at=iso(row.occurred_ms),
            refused_at=iso(row.refused_ms),
            problem=row.problem_zh if lang == "zh" else row.problem_en,
            act=row.act,
            status=row.status,
        )
        for row in rows[:limit]
    ]
    return Page(items=items, next=encode_cursor([rows[limit - 1].id]) if len(rows) > limit else None)
