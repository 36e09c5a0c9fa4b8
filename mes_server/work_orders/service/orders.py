"""Orders' own life: created from an item's routing and BOM (copied), released, held, changed, ended; and the ERP's word on all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Done, ms_of, recorded_ms
from mes_server.kit.ids import derived_id
from mes_server.plant import service as plant
from mes_server.products import service as products
from mes_server.work_orders import repository, rules
from mes_server.work_orders.errors import NoRouting, OrderExists, OrderTransition, OrderUnknown, QuantityTooSmall
from mes_server.work_orders.schemas import (
    CancelOrder,
    ChangeOrder,
    CloseOrder,
    CompleteOrder,
    CreateOrder,
    HoldOrder,
    ReleaseOrder,
    ResumeOrder,
)
from mes_server.work_orders.service import work
from mes_server.work_orders.service.machine_counts import adopt_homeless, counted_json
from mes_server.work_orders.service.settle import refresh_order
from mes_server.work_orders.values import Mark, MarkKind


@dataclass(frozen=True, slots=True)
class ErpOrder:
    """An order as the ERP says it; `external_id` is its own id, `version` rises with every change."""

    number: str
    item: str
    quantity: int
    due_ms: int | None
    priority: int
    state: str  # released | cancelled | closed
    bom_revision: str | None
    routing_revision: str | None
    external_id: str
    version: int


@dataclass(frozen=True, slots=True)
class ErpChange:
    """One thing the ERP wants otherwise. `applied` False: held for the planner, `made` says how many pieces are there."""

    kind: str  # quantity | due | cancel | priority | item
    old: str
    new: str
    made: int
    applied: bool


@dataclass(frozen=True, slots=True)
class ErpApplied:
    kind: str  # created | updated | unchanged | held
    changes: list[ErpChange] = field(default_factory=list)
    reattributed: list[dict[str, Any]] = field(default_factory=list)  # pieces that machines had counted for the order before it was known


def find_order(session: Session, number: str) -> sa.Row[Any]:
    row: sa.Row[Any] | None = repository.order(session, number)
    if row is None:
        raise OrderUnknown(what="order", key=number, order=number)
    return row


def create_order(session: Session, actor: Actor, command: CreateOrder) -> Done:
    actor.require(command.right)
    due_ms = ms_of(command.due) if command.due is not None else None
    reattributed = _insert(
        session,
        number=command.number,
        item_code=command.item,
        quantity=command.quantity,
        due_ms=due_ms,
        priority=command.priority,
        status="released" if command.release else "draft",
        at_ms=min(command.occurred_ms, recorded_ms(session)),
    )
    return _order_done(session, command.number, {"reattributed": reattributed} if reattributed else {})


def _insert(
    session: Session,
    *,
    number: str,
    item_code: str,
    quantity: int,
    due_ms: int | None,
    priority: int,
    status: str,
    at_ms: int,
    erp_id: str | None = None,
    erp_version: int | None = None,
) -> list[dict[str, Any]]:
    if repository.order(session, number) is not None:
        raise OrderExists(order=number)
    item = products.item(session, item_code)
    if item.routing is None or not item.routing.operations:
        raise NoRouting(item=item_code)
    order_id = repository.insert_order(
        session,
        {
            "number": number,
            "item": item.code,
            "item_name_zh": item.name_zh,
            "item_name_en": item.name_en,
            "unit": item.unit,
            "tracking": item.tracking,
            "box_quantity": _box(item),
            "quantity": quantity,
            "status": status,
            "priority": priority,
            "due_ms": due_ms,
            "created_ms": at_ms,
            "started_ms": None,
            "status_ms": at_ms,
            "bom_revision": item.bom.revision if item.bom else None,
            "routing_revision": item.routing.revision,
            "bom": _bom(item),
            "erp_id": erp_id,
            "erp_version": erp_version,
            "pending_change": None,
        },
    )
    _insert_operations(session, order_id, number, item.routing.operations, quantity, status)
    return [counted_json(one) for one in adopt_homeless(session, number)]


def _bom(item: Any) -> list[dict[str, Any]]:
    """The copy of the item's BOM; a line without an operation belongs to the first."""
    first = min(one.number for one in item.routing.operations)
    return [{"item": one.item, "quantity": one.quantity, "operation": one.operation or first} for one in item.bom.lines] if item.bom else []


def _box(item: Any) -> int | None:
    return int(item.box_quantity) if item.box_quantity and item.box_quantity == int(item.box_quantity) else None


def _insert_operations(session: Session, order_id: int, number: str, routing: Sequence[Any], quantity: int, status: str) -> None:
    previous: int | None = None
    model = plant.model(session)
    ordered = sorted(routing, key=lambda one: one.number)
    for step in ordered:
        machines = list(step.machines) or [machine.code for machine in model.machines_of_class(step.machine_class)]
        previous = repository.insert_operation(
            session,
            {
                "order_id": order_id,
                "order_number": number,
                "number": step.number,
                "previous_id": previous,
                "last": step is ordered[-1],
                "name_zh": step.name_zh,
                "name_en": step.name_en,
                "machine_class": step.machine_class,
                "machines": machines,
                "counting": step.counting,
                "cycle_s": step.cycle_s,
                "setup_s": step.setup_s,
                "milestone": step.milestone,
                "status": "ready" if previous is None and status == "released" else "pending",
                "planned": quantity,
                "good": 0,
                "scrap": 0,
                "rework": 0,
                "held": 0,
            },
        )


def _order_done(session: Session, number: str, effect: dict[str, Any] | None = None) -> Done:
    row = find_order(session, number)
    state = {"order": number, "status": row.status, "quantity": row.quantity}
    return Done(f"order:{number}", dict(state), {"order": state, **(effect or {})}, [(f"order:{number}", state), ("orders", state)])


# --- acts of the planner ------------------------------------------------------------------------------------------------------------------
def _move(session: Session, actor: Actor, command: Any, to: str, then: Callable[[sa.Row[Any], int], object] | None = None) -> Done:
    actor.require(command.right)
    row = find_order(session, command.order)
    at_ms = min(command.occurred_ms, recorded_ms(session))
    if row.status == to:
        return _order_done(session, command.order)  # the same wish again
    allowed = [status for status, targets in rules.ORDER_TRANSITIONS.items() if to in targets]
    if not repository.move_order(session, row.id, allowed, to, at_ms):
        _refuse(row, to)
    if then is not None:
        then(row, at_ms)
    return _order_done(session, command.order)


def _refuse(row: sa.Row[Any], to: str) -> None:
    raise OrderTransition(order=row.number, status=row.status, wanted=to)


def release_order(session: Session, actor: Actor, command: ReleaseOrder) -> Done:
    return _move(session, actor, command, "released", lambda row, _at_ms: refresh_order(session, row.id))


def hold_order(session: Session, actor: Actor, command: HoldOrder) -> Done:
    return _move(session, actor, command, "on_hold")


def resume_order(session: Session, actor: Actor, command: ResumeOrder) -> Done:
    actor.require(command.right)
    row = find_order(session, command.order)
    if row.status != "on_hold":
        if row.status in rules.ORDER_OPEN:
            return _order_done(session, command.order)
        _refuse(row, "in_progress")
    target = "in_progress" if row.started_ms is not None else "released"
    repository.move_order(session, row.id, ["on_hold"], target, min(command.occurred_ms, recorded_ms(session)))
    refresh_order(session, row.id)
    return _order_done(session, command.order)


def complete_order(session: Session, actor: Actor, command: CompleteOrder) -> Done:
    """Ends what is open: operations that were worked on are completed, the others skipped."""

    def end_all(row: sa.Row[Any], at_ms: int) -> None:
        for operation in repository.operations_of(session, row.id):
            worked = operation.started_ms is not None or operation.good or operation.scrap
            _end(session, operation, "complete" if worked else "skip", at_ms, str(command.event_id), actor.person)

    return _move(session, actor, command, "completed", end_all)


def close_order(session: Session, actor: Actor, command: CloseOrder) -> Done:
    return _move(session, actor, command, "closed")


def cancel_order(session: Session, actor: Actor, command: CancelOrder) -> Done:
    """Nothing new is started; what runs may be finished and reported."""

    def abort(row: sa.Row[Any], at_ms: int) -> None:
        _abort_unstarted(session, row, at_ms, str(command.event_id), actor.person)

    return _move(session, actor, command, "cancelled", abort)


def _abort_unstarted(session: Session, row: sa.Row[Any], at_ms: int, event_id: str, person: str | None) -> None:
    for operation in repository.operations_of(session, row.id):
        if operation.started_ms is None:
            _end(session, operation, "abort", at_ms, event_id, person)


def _end(session: Session, operation: sa.Row[Any], kind: MarkKind, at_ms: int, event_id: str, person: str | None) -> None:
    if operation.status not in rules.OPERATION_ENDED:
        work.mark_operation(session, repository.operation_by_id(session, operation.id), [Mark(kind, at_ms, event_id, None, person)])


def change_order(session: Session, actor: Actor, command: ChangeOrder) -> Done:
    actor.require(command.right)
    row = find_order(session, command.order)
    if row.status in rules.ORDER_ENDED:
        _refuse(row, row.status)
    made = _made(session, row.id)
    if command.quantity is not None and rules.quantity_proposal(made, command.quantity) is not None:
        raise QuantityTooSmall(order=row.number, made=made, quantity=command.quantity)
    if command.quantity is not None:
        _set_quantity(session, row, command.quantity)
    values: dict[str, Any] = {}
    if command.due is not None:
        values["due_ms"] = ms_of(command.due)
    if command.priority is not None:
        values["priority"] = command.priority
    if values:
        repository.update_order(session, row.id, **values)
    return _order_done(session, command.order, {"old_quantity": row.quantity})


def _set_quantity(session: Session, row: sa.Row[Any], quantity: int) -> None:
    repository.update_order(session, row.id, quantity=quantity, quantity_before=row.quantity)
    repository.plan_operations(session, row.id, quantity)


def _made(session: Session, order_id: int) -> int:
    """Pieces that exist: the most that any operation has made good. A quantity below it would leave parts without an order."""
    return max((row.good for row in repository.operations_of(session, order_id)), default=0)


# --- the ERP's word -----------------------------------------------------------------------------------------------------------------------
def apply_erp_order(session: Session, order: ErpOrder) -> ErpApplied:
    """Creates or changes an order as the ERP says; an older version changes nothing.

    Not started: applied. Started: quantity ≥ made, due and priority are applied and shown; less than made or another item is held for the planner.
    Cancelled while running: nothing new starts, parts made stay.
    """
    row = repository.order_by_erp_id(session, order.external_id) or repository.order(session, order.number)
    now_ms = recorded_ms(session)
    if row is None:
        if order.state != "released":
            return ErpApplied("unchanged")
        adopted = _insert(
            session,
            number=order.number,
            item_code=order.item,
            quantity=order.quantity,
            due_ms=order.due_ms,
            priority=order.priority,
            status="released",
            at_ms=now_ms,
            erp_id=order.external_id,
            erp_version=order.version,
        )
        return ErpApplied("created", [], adopted)
    if row.erp_version is not None and order.version <= row.erp_version:
        return ErpApplied("unchanged")
    changes = _erp_changes(session, row, order, now_ms)
    held = {one.kind: {"old": one.old, "new": one.new, "made": one.made} for one in changes if not one.applied}
    repository.update_order(
        session, row.id, erp_id=order.external_id, erp_version=order.version, pending_change={**(row.pending_change or {}), **held} or None
    )
    return ErpApplied("held" if held else "updated" if changes else "unchanged", changes)


def _erp_changes(session: Session, row: sa.Row[Any], order: ErpOrder, now_ms: int) -> list[ErpChange]:
    made = _made(session, row.id)
    started = row.started_ms is not None
    ended = row.status in rules.ORDER_ENDED
    changes: list[ErpChange] = []
    if order.state == "cancelled" and row.status != "cancelled":
        changes.append(ErpChange("cancel", row.status, "cancelled", made, not ended))
        if not ended:
            _apply_cancel(session, row, now_ms, order.version)
        return changes
    if order.quantity != row.quantity:
        fits = not ended and rules.quantity_proposal(made, order.quantity) is None
        if fits:
            _set_quantity(session, row, order.quantity)
        changes.append(ErpChange("quantity", str(row.quantity), str(order.quantity), made, fits))
    if order.due_ms != row.due_ms:
        repository.update_order(session, row.id, due_ms=order.due_ms)
        changes.append(ErpChange("due", _iso(row.due_ms), _iso(order.due_ms), made, True))
    if order.priority != row.priority:
        repository.update_order(session, row.id, priority=order.priority)
        changes.append(ErpChange("priority", str(row.priority), str(order.priority), made, True))
    if order.item != row.item:
        applied = not started and not ended
        if applied:
            _replace_item(session, row, order.item)
        changes.append(ErpChange("item", row.item, order.item, made, applied))
    return changes


def _iso(ms: int | None) -> str:
    return "" if ms is None else iso(ms)


def _apply_cancel(session: Session, row: sa.Row[Any], now_ms: int, version: int | str) -> None:
    allowed = [status for status, targets in rules.ORDER_TRANSITIONS.items() if "cancelled" in targets]
    if repository.move_order(session, row.id, allowed, "cancelled", now_ms):
        _abort_unstarted(session, row, now_ms, str(derived_id("erp-cancel", row.number, version)), None)


def _replace_item(session: Session, row: sa.Row[Any], item_code: str) -> None:
    """An order nobody has started yet is made anew for another item."""
    item = products.item(session, item_code)
    if item.routing is None or not item.routing.operations:
        raise NoRouting(item=item_code)
    fresh = repository.order(session, row.number)
    quantity = fresh.quantity if fresh is not None else row.quantity
    repository.drop_operations(session, row.id)
    repository.update_order(
        session,
        row.id,
        item=item.code,
        item_name_zh=item.name_zh,
        item_name_en=item.name_en,
        unit=item.unit,
        tracking=item.tracking,
        box_quantity=_box(item),
        bom_revision=item.bom.revision if item.bom else None,
        routing_revision=item.routing.revision,
        bom=_bom(item),
    )
    _insert_operations(session, row.id, row.number, item.routing.operations, quantity, row.status)


def decide_erp_change(session: Session, actor: Actor, number: str, kind: str, new: str, accept: bool) -> dict[str, Any]:
    """The planner's word on a held change. A quantity below what is made becomes what is made: parts are never lost. Returns the order's state."""
    actor.require("plan.orders")
    row = find_order(session, number)
    if accept and kind == "quantity":
        _set_quantity(session, row, max(int(new), _made(session, row.id)))
    elif accept and kind == "cancel":
        _apply_cancel(session, row, recorded_ms(session), f"planner-{recorded_ms(session)}")
    elif accept and kind == "item" and row.started_ms is None:
        _replace_item(session, row, new)
    elif accept and kind == "item":
        _refuse(row, "draft")
    pending = {one: change for one, change in (row.pending_change or {}).items() if one != kind}
    repository.update_order(session, row.id, pending_change=pending or None)
    after = find_order(session, number)
    return {"order": number, "status": after.status, "quantity": after.quantity}


@dataclass(frozen=True, slots=True)
class OrderHolding:
    """What the book of record holds of an order now: (operation number, good, scrap, rework, started_ms, ended_ms) each.

    `final`: nothing more will come.
    """

    operations: list[tuple[int, int, int, int, int | None, int | None]]
    final: bool
    item: str


def order_holding(session: Session, number: str) -> OrderHolding:
    row = find_order(session, number)
    operations = repository.operations_of(session, row.id)
    return OrderHolding(
        [(one.number, one.good, one.scrap, one.rework, one.started_ms, one.ended_ms) for one in operations],
        row.status in rules.ORDER_ENDED and all(one.status in rules.OPERATION_ENDED for one in operations),
        row.item,
    )
