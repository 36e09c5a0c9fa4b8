"""From the journal to the ERP: which orders were touched, what has to be said of them, and each message exactly once in order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.erp_sync import repository
from mes_server.erp_sync.connector import OutMessage
from mes_server.erp_sync.models import ErpMessage
from mes_server.erp_sync.rules import URGENT_TYPES, Holding, backoff_s, confirmation_parts, key, orders_touched, to_json
from mes_server.kit import ids, journal
from mes_server.materials import service as materials
from mes_server.work_orders import service as work_orders

READER = "erp_sync"
JOURNAL_BATCH = 1_000
ORDERS_BATCH = 50
LATE_MS = 120_000


def read_journal(session: Session) -> int:
    """Notes the orders the journal touched since last time; moves the cursor in the same transaction. Returns how many records were read."""
    after = journal.cursor(session, READER)
    records = journal.read_after(session, after, limit=JOURNAL_BATCH)
    touched: dict[str, repository.Touch] = {}
    for record in records:
        if record.type.startswith("erp."):
            continue
        # since when it waits is when we learned of it: a backlog of days is gathered like a minute's work, and while it still comes in, pieces
        # may change their operation; an end reported late is therefore no reason to hurry
        late = record.recorded_ms - record.occurred_ms > LATE_MS
        touch = repository.Touch(record.recorded_ms, record.occurred_ms, record.type in URGENT_TYPES and not late, record.person)
        for order in orders_touched(record.subject, record.payload):
            touched[order] = touched[order].then(touch) if order in touched else touch
    repository.touch_all(session, touched)
    if records:
        journal.move_cursor(session, READER, records[-1].seq)
    return len(records)


def write_messages(session: Session, now_ms: int, *, confirm_every_s: float) -> int:
    """For every order that is due: one message with the difference between what is and what was handed over. Returns how many."""
    written = 0
    for touched in repository.due_orders(session, now_ms - round(confirm_every_s * 1000), ORDERS_BATCH):
        number = touched.order_number
        holding = _holding(session, number)
        if holding is not None:
            before = repository.handed(session, number)
            segments, lines, after = confirmation_parts(holding, before)
            if segments or lines:
                _append(session, number, segments, lines, holding, now_ms, touched.occurred_ms, touched.reporter)
                repository.set_handed(session, number, before, after)
                written += 1
        session.delete(touched)
        session.flush()
    return written


def _holding(session: Session, number: str) -> Holding | None:
    """None for an order the ERP does not know (made by hand on the floor): there is nobody to tell."""
    if not repository.knows_order(session, number):
        return None
    found = work_orders.order_holding(session, number)
    quantities: dict[str, float] = {}
    times: dict[int, tuple[str | None, str | None]] = {}
    for operation, good, scrap, rework, started_ms, ended_ms in found.operations:
        for name, value in (("good", good), ("scrap", scrap), ("rework", rework)):
            if value:
                quantities[key("op", operation, name)] = float(value)
        times[operation] = (None if started_ms is None else iso(started_ms), None if ended_ms is None else iso(ended_ms))
    consumed, produced = materials.order_materials(session, number)
    for operation, item, lot, quantity in consumed:
        name = key("lot", operation, item, lot or "")
        quantities[name] = quantities.get(name, 0.0) + quantity
    items: dict[str, str] = {}
    for serial, _lot, item, quantity in produced:
        if serial is not None and quantity > 0:
            quantities[key("serial", serial, item)] = 1.0
            items[serial] = item
    return Holding(quantities, times, items, found.final)


def _append(
    session: Session,
    number: str,
    segments: list[dict[str, Any]],
    lines: list[dict[str, Any]],
    holding: Holding,
    now_ms: int,
    occurred_ms: int,
    reporter: str | None,
) -> None:
    sequence = repository.last_sequence(session, number) + 1
    negative = any(row["good"] < 0 or row["scrap"] < 0 for row in segments)
    kind = "correction" if negative else ("complete" if holding.final else ("progress" if segments else "issue"))
    message_id = str(ids.uuid7(now_ms))
    reference = f"GEMBA/{number}/{sequence}"
    body = {
        "message_id": message_id,
        "reference": reference,
        "sequence": sequence,
        "kind": kind,
        "order": number,
        "occurred_at": iso(occurred_ms),
        "posting_date": None,
        "reporter": reporter,
        "final": holding.final,
        "reversal_of": None,
        "segments": segments,
        "materials": lines,
        "equipment": [],
    }
    session.add(
        ErpMessage(
            message_id=message_id,
            reference=reference,
            order_number=number,
            sequence=sequence,
            kind=kind,
            status="waiting",
            attempts=0,
            next_try_ms=now_ms,
            created_ms=now_ms,
            payload=to_json(body),
        )
    )
    session.flush()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one delivery ended: `status` as in ErpMessage; `retry_s` plant seconds until the next try for "waiting"."""

    status: str
    document: str | None = None
    code: str = ""
    words_en: str = ""
    words_zh: str = ""
    retry_s: float | None = None


def claim(session: Session, now_ms: int, limit: int) -> list[OutMessage]:
    """Marks the next message of every free order as tried, before anything is sent: after a crash it is looked up first."""
    claimed = []
    for row in repository.deliverable(session, now_ms, limit):
        row.attempts += 1
        claimed.append(OutMessage(row.message_id, row.reference, row.order_number, row.sequence, row.kind, json.loads(row.payload)))
        claimed[-1].read_back = {"attempts": row.attempts}
    return claimed


def settle(session: Session, message_id: str, outcome: Outcome, now_ms: int, jitter: float) -> None:
    """Writes how it ended."""
    row = session.execute(select(ErpMessage).where(ErpMessage.message_id == message_id)).scalar_one()
    row.status, row.error_code = outcome.status, outcome.code[:60]
    row.erp_words_en, row.erp_words_zh = outcome.words_en[:500], outcome.words_zh[:500]
    if outcome.document is not None:
        row.erp_document = outcome.document[:80]
    if outcome.status in ("posted", "different"):
        row.posted_ms = now_ms
    elif outcome.status == "waiting":
        wait_s = backoff_s(row.attempts, jitter) if outcome.retry_s is None else max(outcome.retry_s, 1.0)
        row.next_try_ms = now_ms + round(wait_s * 1000)
