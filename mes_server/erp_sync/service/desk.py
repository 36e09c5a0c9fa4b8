"""What a person decides at the ERP desk: try again, drop, posted by hand, apply or refuse a held change. Each is an act with its reason."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.erp_sync import repository
from mes_server.erp_sync.connector import ErpRecord
from mes_server.erp_sync.errors import NoSuchChange, NoSuchMessage, NotNow
from mes_server.erp_sync.models import ErpChange, ErpInbound, ErpMessage
from mes_server.erp_sync.schemas import (
    DecideChange,
    DropMessage,
    ErpChangeView,
    ErpMessageView,
    PostedByHand,
    RetryMessage,
)
from mes_server.erp_sync.service import inbound
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Done, recorded_ms
from mes_server.work_orders import service as work_orders

_STATUS_ZH = {
    "waiting": "待发",
    "posted": "已过账",
    "different": "已过账但有差异",
    "refused": "被拒",
    "parked": "搁置",
    "dropped": "已作废",
    "applied": "已采用",
    "held": "待决定",
}
_ENTITY = {
    "items": ("item", "物料"),
    "boms": ("BOM", "物料清单"),
    "routings": ("routing", "工艺路线"),
    "lots": ("lot", "批次"),
    "orders": ("order", "工单"),
}


def _outgoing(session: Session, key: str) -> ErpMessage:
    row = session.get(ErpMessage, int(key[1:])) if key[:1] == "o" and key[1:].isdigit() else None
    if row is None:
        raise NoSuchMessage(key=key)
    return row


def retry(session: Session, actor: Actor, command: RetryMessage) -> Done:
    """A refused or parked message goes to the head of its order's queue again; a refused inbound record is taken again."""
    now_ms = recorded_ms(session)
    if command.message[:1] == "i":
        incoming = session.get(ErpInbound, int(command.message[1:])) if command.message[1:].isdigit() else None
        if incoming is None:
            raise NoSuchMessage(key=command.message)
        record = ErpRecord(incoming.entity, incoming.external_id, incoming.version, False, json.loads(incoming.raw))
        status = inbound.take_again(session, incoming, record, now_ms)
        return Done(f"erp:{command.message}", {"id": command.message, "status": status}, live=[("erp", {"message": command.message})])
    row = _outgoing(session, command.message)
    if row.status not in ("refused", "parked", "waiting", "different"):
        raise NotNow(key=row.reference, status=row.status)
    row.status, row.next_try_ms = "waiting", now_ms
    return Done(f"order:{row.order_number}", {"id": command.message, "status": row.status}, live=[("erp", {"message": command.message})])


def drop(session: Session, actor: Actor, command: DropMessage) -> Done:
    """The ERP will never hear it; the reason stays in the journal."""
    row = _outgoing(session, command.message)
    if row.status not in ("refused", "parked", "waiting"):
        raise NotNow(key=row.reference, status=row.status)
    row.status = "dropped"
    return Done(f"order:{row.order_number}", {"id": command.message, "status": row.status}, live=[("erp", {"message": command.message})])


def posted_by_hand(session: Session, actor: Actor, command: PostedByHand) -> Done:
    """Somebody keyed it into the ERP; the document number links both."""
    row = _outgoing(session, command.message)
    if row.status not in ("refused", "parked", "waiting"):
        raise NotNow(key=row.reference, status=row.status)
    row.status, row.erp_document, row.posted_ms = "posted", command.document, recorded_ms(session)
    return Done(f"order:{row.order_number}", {"id": command.message, "status": row.status}, live=[("erp", {"message": command.message})])


def decide_change(session: Session, actor: Actor, command: DecideChange) -> Done:
    """The planner applies or refuses a held change; parts already made stay either way."""
    row = session.get(ErpChange, command.change)
    if row is None:
        raise NoSuchChange(key=command.change)
    if row.status != "open":
        raise NotNow(key=row.order_number, status=row.status)
    work_orders.decide_erp_change(session, actor, row.order_number, row.kind, row.new, command.accept)
    row.status = "applied" if command.accept else "refused"
    row.decided_ms, row.decided_by = recorded_ms(session), actor.person
    return Done(
        f"order:{row.order_number}",
        {"id": row.id, "status": row.status},
        live=[("erp", {"change": row.id}), (f"order:{row.order_number}", {"change": row.id})],
    )


def message_views(session: Session, rows: list[ErpMessage]) -> list[ErpMessageView]:
    behind = repository.waiting_behind(session, {row.order_number for row in rows})
    return [_view_out(row, behind.get(row.order_number, 0)) for row in rows]


def _view_out(row: ErpMessage, unsettled: int) -> ErpMessageView:
    body: dict[str, Any] = json.loads(row.payload)
    what_en = "; ".join(f"op {s['operation']}: good {s['good']:+d}, scrap {s['scrap']:+d}" for s in body["segments"])
    what_zh = "；".join(f"工序 {s['operation']}：合格 {s['good']:+d}，报废 {s['scrap']:+d}" for s in body["segments"])
    lines = len(body["materials"])
    more_en = f"; {lines} material lines" if lines else ""
    more_zh = f"；{lines} 条物料" if lines else ""
    return ErpMessageView(
        id=f"o{row.id}",
        direction="out",
        kind=row.kind,
        order=row.order_number,
        sequence=row.sequence,
        status=row.status,
        attempts=row.attempts,
        created_at=iso(row.created_ms),
        posted_at=None if row.posted_ms is None else iso(row.posted_ms),
        erp_document=row.erp_document,
        erp_message=row.erp_words_en or None,
        en=f"{row.order_number}: {what_en}{more_en}",
        zh=f"{row.order_number}：{what_zh}{more_zh}",
        payload=body,
        waiting_behind=max(0, unsettled - 1) if row.status in repository.UNSETTLED else 0,
    )


def inbound_view(row: ErpInbound) -> ErpMessageView:
    en, zh = _ENTITY[row.entity]
    return ErpMessageView(
        id=f"i{row.id}",
        direction="in",
        kind=row.entity,
        order=row.order_number,
        sequence=None,
        status=row.status,
        attempts=1,
        created_at=iso(row.received_ms),
        posted_at=None,
        erp_document=f"{row.external_id} v{row.version}",
        erp_message=row.error_en or None,
        en=f"{en} {row.order_number or row.external_id}: {row.error_en or row.status}",
        zh=f"{zh} {row.order_number or row.external_id}：{row.error_zh or _STATUS_ZH.get(row.status, row.status)}",
        payload=json.loads(row.raw),
        waiting_behind=0,
    )


def change_view(row: ErpChange) -> ErpChangeView:
    return ErpChangeView(
        id=row.id,
        order=row.order_number,
        kind=row.kind,
        old=row.old,
        new=row.new,
        made=row.made,
        proposal_zh=row.proposal_zh,
        proposal_en=row.proposal_en,
        status=row.status,
        created_at=iso(row.created_ms),
        decided_at=None if row.decided_ms is None else iso(row.decided_ms),
        decided_by=row.decided_by,
    )
