"""Everything known about one piece, from all slices that know something."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.kit.errors import NotFound
from mes_server.materials import service as materials
from mes_server.quality import service as quality
from mes_server.scans.schemas import PassportView
from mes_server.traceability import service as traceability
from mes_server.work_orders import service as work_orders

DEFECTS_MAX = 100


def passport(session: Session, code: str, now_ms: int) -> PassportView:
    """Raises SerialUnknown. `kwh` stays null until energy is booked on operations."""
    row = materials.serial_row(session, code)
    order = work_orders.order_view(session, row.order_number, now_ms)
    defects = quality.defects_page(session, subject=("serial", code), limit=DEFECTS_MAX).items
    return PassportView(
        serial=row.code,
        item={"code": order.item.code, "name_zh": order.item.name_zh, "name_en": order.item.name_en},
        order=row.order_number,
        status=row.status,
        on_hold=row.holds > 0,
        produced_at=iso(row.produced_ms),
        machine=row.machine,
        person=row.person,
        lots=_lots(session, code),
        defects=[one.model_dump() for one in defects],
        holds=quality.holds_on(session, "serial", [code], open_only=False),
        kwh=None,
        operations=[
            one.model_dump(include={"id", "number", "name_zh", "name_en", "status", "started_at", "ended_at", "runs"}, by_alias=True)
            for one in order.operations
        ],
    )


def _lots(session: Session, code: str) -> list[dict[str, Any]]:
    """Lots that are or may be in the piece: built into it (serial), or consumed by its order (order)."""
    try:
        walk = traceability.trace(session, "serial", code, "up", traceability.DEPTH_MAX)
    except NotFound:
        return []
    named = {node.id: node for node in walk.nodes}
    found = []
    for edge in walk.edges:
        parent = named.get(edge.parent)
        if parent is not None and parent.kind == "lot":
            exact = edge.child == walk.root.id
            found.append(
                {
                    "lot": parent.code,
                    "item": parent.item,
                    "quantity": edge.quantity,
                    "unit": edge.unit,
                    "operation": edge.operation,
                    "at": edge.at,
                    "person": edge.person,
                    "precision": "serial" if exact else "order",
                }
            )
    return sorted(found, key=lambda one: str(one["at"]))
