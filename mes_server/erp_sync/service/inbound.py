"""ERP objects into the book of record: newest version wins, a repeat changes nothing, what cannot be taken is kept and shown in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from edge_agent.contract.clock import parse_iso_ms
from mes_server.erp_sync import repository
from mes_server.erp_sync.connector import ErpRecord
from mes_server.erp_sync.models import ErpChange, ErpInbound
from mes_server.erp_sync.rules import to_json, version_wins
from mes_server.kit import ids, journal
from mes_server.kit.errors import MesError, Refused
from mes_server.materials import service as materials
from mes_server.products import service as products
from mes_server.products.schemas import Bom, BomLine, ItemBody, Routing, RoutingOperation
from mes_server.work_orders import service as work_orders


class UnreadableRecord(Refused):
    code = "erp_unreadable_record"
    en = "The ERP's record {key} lacks or garbles {field}."
    zh = "ERP 记录 {key} 缺少或无法识别字段 {field}。"
    next_en = "Correct it in the ERP; the next change comes in by itself."
    next_zh = "请在 ERP 中更正，更改后会自动传入。"


def take(session: Session, record: ErpRecord, now_ms: int) -> str:
    """Applies one record; returns "applied", "held", "refused", "older" or "same". Never raises for the record's own faults."""
    seen = repository.inbound(session, record.entity, record.id)
    if seen is not None and not version_wins(seen.version, record.version):
        return "same" if seen.version == record.version else "older"
    row = seen or ErpInbound(entity=record.entity, external_id=record.id, version=record.version, status="", received_ms=now_ms, raw="")
    row.version, row.received_ms, row.raw = record.version, now_ms, to_json(dict(record.data))
    row.order_number = str(record.data.get("number")) if record.entity == "orders" else None
    session.add(row)
    session.flush()
    return _apply(session, row, record, now_ms)


def take_again(session: Session, row: ErpInbound, record: ErpRecord, now_ms: int) -> str:
    """Tries a refused record again (what it lacked may be there now)."""
    return _apply(session, row, record, now_ms)


def _apply(session: Session, row: ErpInbound, record: ErpRecord, now_ms: int) -> str:
    try:
        with session.begin_nested():
            row.status = _TAKE[record.entity](session, record, now_ms)
            row.error_en = row.error_zh = ""
    except MesError as error:
        row.status, row.error_en, row.error_zh = "refused", error.say("en")[:500], error.say("zh")[:500]
    except (KeyError, TypeError, ValueError) as error:
        problem = UnreadableRecord(key=record.id, field=str(error)[:200])
        row.status, row.error_en, row.error_zh = "refused", problem.say("en")[:500], problem.say("zh")[:500]
    return row.status


def _item(session: Session, record: ErpRecord, _now_ms: int) -> str:
    fields = {name: record.data.get(name) for name in ("code", "name_zh", "name_en", "unit", "tracking", "family", "box_quantity", "gtin")}
    products.ensure_item(session, ItemBody(**{name: value for name, value in fields.items() if value is not None}))
    return "applied"


def _bom(session: Session, record: ErpRecord, _now_ms: int) -> str:
    lines = tuple(BomLine(item=one["item"], quantity=one["quantity"], operation=one.get("operation")) for one in record.data["lines"])
    _revise(session, str(record.data["item"]), bom=Bom(revision=record.data.get("revision"), lines=lines))
    return "applied"


def _routing(session: Session, record: ErpRecord, _now_ms: int) -> str:
    steps = tuple(RoutingOperation(**one) for one in record.data["operations"])
    _revise(session, str(record.data["item"]), routing=Routing(revision=record.data.get("revision"), operations=steps))
    return "applied"


def _revise(session: Session, code: str, **part: Bom | Routing) -> None:
    """The item as it is, with a new bill of material or routing."""
    known = products.item(session, code)
    products.ensure_item(session, ItemBody(**{**known.model_dump(exclude={"bom", "routing"}), **part}))


def _lot(session: Session, record: ErpRecord, _now_ms: int) -> str:
    data = record.data
    materials.receive_from_erp(
        session,
        lot=str(data["lot"]),
        item=str(data["item"]),
        quantity=float(data["quantity"]),
        supplier=data.get("supplier"),
        expires_ms=_ms(data.get("expires_at")),
        status=str(data.get("status", "released")),
    )
    return "applied"


def _order(session: Session, record: ErpRecord, now_ms: int) -> str:
    data = record.data
    number = str(data["number"])
    applied = work_orders.apply_erp_order(
        session,
        work_orders.ErpOrder(
            number=number,
            item=str(data["item"]),
            quantity=int(data["quantity"]),
            due_ms=_ms(data.get("due")),
            priority=int(data.get("priority", 5)),
            state="cancelled" if record.deleted else str(data.get("state", "released")),
            bom_revision=data.get("bom_revision"),
            routing_revision=data.get("routing_revision"),
            external_id=record.id,
            version=record.version,
        ),
    )
    for change in applied.changes:
        session.add(_change(number, change, data, now_ms))
    if applied.kind != "unchanged":
        _note(session, record, applied, now_ms)
        repository.touch(session, number, at_ms=now_ms, urgent=False, reporter=None)
    return "held" if applied.kind == "held" else "applied"


def _note(session: Session, record: ErpRecord, applied: work_orders.ErpApplied, now_ms: int) -> None:
    """The journal says what the ERP changed and when; the id is the ERP object's version, so that a repeat is a repeat."""
    event_id = str(ids.derived_id("erp", record.entity, record.id, record.version))
    if journal.find(session, event_id) is not None:
        return
    journal.append(
        session,
        event_id=event_id,
        type="erp.order_synced",
        subject=f"order:{record.data['number']}",
        occurred_ms=now_ms,
        recorded_ms=now_ms,
        person=None,
        device=None,
        payload=to_json(
            {
                "order": record.data["number"],
                "version": record.version,
                "outcome": applied.kind,
                "changes": [{"kind": c.kind, "old": c.old, "new": c.new, "made": c.made, "applied": c.applied} for c in applied.changes],
                "reattributed": applied.reattributed,
            }
        ),
    )


def _change(number: str, change: work_orders.ErpChange, data: Mapping[str, Any], now_ms: int) -> ErpChange:
    kind, old, new, made, applied = change.kind, change.old, change.new, change.made, change.applied
    done = ("applied by rule", "已按规则采用") if applied else ("waits for the planner", "待计划员决定")
    return ErpChange(
        order_number=number,
        kind=kind,
        old=str(old),
        new=str(new),
        made=made,
        proposal_en=f"{number}: {kind} {old} → {new}, {made} made so far; {done[0]}",
        proposal_zh=f"{number}：{_KIND_ZH.get(kind, kind)} {old} → {new}，已完成 {made} 件；{done[1]}",
        status="applied" if applied else "open",
        created_ms=now_ms,
        decided_ms=now_ms if applied else None,
        decided_by=None,
        raw=to_json(dict(data)),
    )


def _ms(text: Any) -> int | None:
    return None if text is None else parse_iso_ms(str(text))


def take_all(session: Session, records: Sequence[ErpRecord], now_ms: int) -> dict[str, int]:
    """One page of changes; returns how many ended how."""
    outcome: dict[str, int] = {}
    for record in records:
        status = take(session, record, now_ms)
        outcome[status] = outcome.get(status, 0) + 1
    return outcome


_TAKE = {"items": _item, "boms": _bom, "routings": _routing, "lots": _lot, "orders": _order}
_KIND_ZH = {"quantity": "数量", "due": "交期", "cancel": "取消", "priority": "优先级", "item": "物料", "routing": "工艺路线"}
