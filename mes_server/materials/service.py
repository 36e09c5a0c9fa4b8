"""Receiving, consuming, producing and taking back material. The acts also tell the movement, so that traceability can write its edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Command, Done, ServiceFunction, ms_of, recorded_ms
from mes_server.kit.http import Page, decode_cursor, encode_cursor
from mes_server.materials import repository, rules
from mes_server.materials.errors import (
    LotExists,
    LotUnknown,
    LotUsedUp,
    MoreThanLot,
    MoreThanNeeded,
    MoreThanOrdered,
    MovementReversed,
    MovementUnknown,
    ReverseNotYours,
    SerialExists,
    SerialHeld,
    SerialNeeded,
    SerialOrLot,
    SerialUnknown,
    WrongItem,
)
from mes_server.materials.schemas import ConsumeMaterial, LoadedLot, LotView, ProduceMaterial, ReceiveLot, ReverseMaterial
from mes_server.products import service as products
from mes_server.work_orders import service as work_orders
from mes_server.work_orders.service import OpenOperation

REVERSE_OWN_MS = 15_000  # ten seconds after the last merged tap; the act carries the first


@dataclass(frozen=True, slots=True)
class Moved:
    """One movement as booked; `quantity_milli` is signed. `reverses`: the event it takes back."""

    event_id: str
    use: str  # consumed | produced
    operation: str
    order: str
    lot: str | None
    serial: str | None
    quantity_milli: int
    unit: str
    person: str | None
    at_ms: int
    reverses: str | None = None


# --- receiving ----------------------------------------------------------------------------------------------------------------------------
def receive_lot(session: Session, actor: Actor, command: ReceiveLot) -> Done:
    actor.require(command.right)
    item = products.item(session, command.item)
    milli = rules.milli(command.quantity, item.unit, item.code)
    known = repository.lot(session, command.lot)
    if known is not None:
        raise LotExists(lot=known.code, item=known.item, quantity=rules.quantity(known.received_milli))
    at_ms = min(command.occurred_ms, recorded_ms(session))
    expires_ms = None if command.expires_at is None else ms_of(command.expires_at)
    _insert_lot(session, command.lot, item.code, item.unit, milli, "released", command.supplier, expires_ms, at_ms, None)
    answer = {"lot": command.lot, "item": item.code, "quantity": rules.quantity(milli), "status": "released"}
    return Done(f"lot:{command.lot}", answer, {"lot": answer}, [("lots", answer)])


def receive_from_erp(session: Session, lot: str, item: str, quantity: float, supplier: str | None, expires_ms: int | None, status: str) -> bool:
    """Goods the ERP received; the same again changes nothing. A lot born at a tablet keeps its quantity. Returns whether anything changed."""
    known = repository.lot(session, lot)
    if known is None:
        found = products.item(session, item)
        milli = rules.milli(quantity, found.unit, found.code)
        _insert_lot(session, lot, found.code, found.unit, milli, status, supplier, expires_ms, recorded_ms(session), None)
        return True
    changed = {
        name: value for name, value in (("supplier", supplier), ("expires_ms", expires_ms)) if value is not None and getattr(known, name) != value
    }
    if changed:
        repository.update_lot(session, known.id, **changed)
    moved = status == "released" and repository.move_lot(session, known.id, ["quarantine"], "released")
    return bool(changed) or moved


def _insert_lot(
    session: Session,
    code: str,
    item: str,
    unit: str,
    milli: int,
    status: str,
    supplier: str | None,
    expires_ms: int | None,
    at_ms: int,
    operation: str | None,
) -> None:
    repository.insert_lot(
        session,
        {
            "code": code,
            "item": item,
            "unit": unit,
            "received_milli": milli,
            "remaining_milli": milli,
            "status": status,
            "holds": 0,
            "supplier": supplier,
            "expires_ms": expires_ms,
            "received_ms": at_ms,
            "operation": operation,
        },
    )


# --- consuming ----------------------------------------------------------------------------------------------------------------------------
def consume_material(session: Session, actor: Actor, command: ConsumeMaterial) -> tuple[Done, Moved]:
    """Books material of a lot into an operation. Raises what is wrong with it; asks once when it is more than lot or order allow."""
    opened = work_orders.open_operation(session, actor, command.right, command.operation, command.machine, command.occurred_ms)
    lot = repository.lot(session, command.lot)
    if lot is None:
        raise LotUnknown(what="lot", key=command.lot, lot=command.lot)
    rules.check_lot(lot.code, lot.status, lot.holds, lot.held_ms, lot.expires_ms, opened.at_ms)
    _check_serial(session, command.serial, opened.at_ms)
    milli = rules.milli(command.quantity, lot.unit, lot.item)
    _check_item(opened, lot, command.operation)
    warnings = opened.warnings + _check_amount(session, opened, lot, milli, asked=opened.late or command.confirmed)
    left = repository.use_lot(session, lot.id, milli)
    moved = Moved(
        str(command.event_id),
        "consumed",
        command.operation,
        opened.facts.order,
        lot.code,
        command.serial,
        milli,
        lot.unit,
        actor.person,
        opened.at_ms,
    )
    _insert(session, moved, opened.facts.number, lot.item, command.machine)
    answer = {
        "operation": command.operation,
        "lot": lot.code,
        "item": lot.item,
        "quantity": rules.quantity(milli),
        "remaining": rules.quantity(left.remaining_milli),
        "unit": lot.unit,
        "lot_status": left.status,
        "warnings": warnings,
    }
    return _done(moved, lot.item, opened.facts.number, answer), moved


def _check_serial(session: Session, code: str | None, at_ms: int) -> None:
    """Nothing is built into a piece on hold. A piece that is not born yet is known by its label."""
    serial = repository.serial(session, code) if code is not None else None
    if serial is not None and serial.holds and at_ms >= (serial.held_ms or 0):
        raise SerialHeld(serial=code, since=iso(serial.held_ms or serial.produced_ms))


def _check_item(opened: OpenOperation, lot: sa.Row[Any], operation: str) -> None:
    bom = opened.facts.bom
    if bom and all(item != lot.item for item, _, _ in bom):
        here = [item for item, _, number in bom if number == opened.facts.number] or [item for item, _, _ in bom]
        raise WrongItem(lot=lot.code, item=lot.item, operation=operation, needed=", ".join(here[:5]))


def _check_amount(session: Session, opened: OpenOperation, lot: sa.Row[Any], milli: int, *, asked: bool) -> list[str]:
    warnings = []
    if lot.remaining_milli <= 0 and not asked:
        raise LotUsedUp(lot=lot.code)
    if milli > lot.remaining_milli:
        if not asked:
            raise MoreThanLot(value=rules.quantity(milli), unit=lot.unit, lot=lot.code, remaining=rules.quantity(lot.remaining_milli))
        warnings.append("lot_overdrawn")
    needed = rules.needed_milli(opened.facts.bom, lot.item, opened.facts.planned)
    if needed is not None:
        used = repository.consumed_milli(session, opened.facts.order, lot.item)
        if used + milli > needed + rules.over_tolerance(needed):
            if not asked:
                remaining = rules.quantity(max(0, needed - used))
                raise MoreThanNeeded(value=rules.quantity(milli), unit=lot.unit, order=opened.facts.order, remaining=remaining, item=lot.item)
            warnings.append("over_consumption")
    if needed is not None and all(number != opened.facts.number for item, _, number in opened.facts.bom if item == lot.item):
        warnings.append("other_operation")
    return warnings


# --- producing ----------------------------------------------------------------------------------------------------------------------------
def produce_material(session: Session, actor: Actor, command: ProduceMaterial) -> tuple[Done, Moved]:
    """Gives a piece its serial, or books pieces into a lot made here."""
    opened = work_orders.open_operation(session, actor, command.right, command.operation, command.machine, command.occurred_ms)
    facts = opened.facts
    if (command.serial is None) == (command.lot is None) or (command.serial is not None and command.quantity != 1):
        raise SerialOrLot
    if command.serial is None and facts.tracking == "serial":
        raise SerialNeeded(item=facts.item)
    warnings = list(opened.warnings)
    item = products.item(session, facts.item)
    milli = rules.milli(command.quantity, item.unit, item.code)
    if command.serial is not None:
        _produce_serial(session, actor, command, opened, warnings)
    else:
        assert command.lot is not None
        _produce_lot(session, command.lot, item.code, item.unit, milli, command.operation, opened.at_ms)
    moved = Moved(
        str(command.event_id), "produced", command.operation, facts.order, command.lot, command.serial, milli, item.unit, actor.person, opened.at_ms
    )
    _insert(session, moved, facts.number, facts.item, command.machine)
    answer = {
        "operation": command.operation,
        "item": facts.item,
        "serial": command.serial,
        "lot": command.lot,
        "quantity": rules.quantity(milli),
        "warnings": warnings,
    }
    return _done(moved, facts.item, facts.number, answer), moved


def _produce_serial(session: Session, actor: Actor, command: ProduceMaterial, opened: OpenOperation, warnings: list[str]) -> None:
    assert command.serial is not None
    facts = opened.facts
    known = repository.serial(session, command.serial)
    if known is not None:
        raise SerialExists(serial=known.code, operation=known.operation, since=iso(known.produced_ms))
    made = repository.serials_of_order(session, facts.order) + 1
    if made > facts.planned + max(1, facts.planned // 20):
        if not (opened.late or command.confirmed):
            raise MoreThanOrdered(made=made - 1, quantity=facts.planned, order=facts.order)
        warnings.append("over_planned")
    repository.insert_serial(
        session,
        {
            "code": command.serial,
            "item": facts.item,
            "order_number": facts.order,
            "operation": command.operation,
            "machine": command.machine,
            "person": actor.person,
            "produced_ms": opened.at_ms,
            "status": "completed",
            "holds": 0,
        },
    )


def _produce_lot(session: Session, code: str, item: str, unit: str, milli: int, operation: str, at_ms: int) -> None:
    known = repository.lot(session, code)
    if known is None:
        _insert_lot(session, code, item, unit, milli, "released", None, None, at_ms, operation)
    elif known.item != item:
        raise LotExists(lot=code, item=known.item, quantity=rules.quantity(known.received_milli))
    else:
        repository.grow_lot(session, known.id, milli)


# --- taking back --------------------------------------------------------------------------------------------------------------------------
def reverse_material(session: Session, actor: Actor, command: ReverseMaterial) -> tuple[Done, Moved]:
    """Takes back a consumption or production: own act for ten seconds, later with supervise.correct."""
    original = repository.movement(session, command.reverses)
    if original is None or original.reverses is not None:
        raise MovementUnknown(what="entry", key=command.reverses)
    own = original.person == actor.person and command.occurred_ms - original.at_ms <= REVERSE_OWN_MS
    if not own and not actor.may_somewhere("supervise.correct"):
        raise ReverseNotYours(person=original.person or "-")
    if repository.reversal_of(session, original.event_id) is not None:
        raise MovementReversed
    moved = Moved(
        str(command.event_id),
        original.use,
        original.operation,
        original.order_number,
        original.lot,
        original.serial,
        -original.quantity_milli,
        original.unit,
        actor.person,
        original.at_ms,
        original.event_id,
    )
    _insert(session, moved, original.number, original.item, original.machine)
    if original.use == "consumed":
        lot = repository.lot(session, original.lot)
        assert lot is not None
        repository.use_lot(session, lot.id, -original.quantity_milli)
    elif original.serial is not None:
        _check_serial_free(session, original.serial)
        repository.delete_serial(session, original.serial)
    else:
        lot = repository.lot(session, original.lot)
        assert lot is not None
        repository.grow_lot(session, lot.id, -original.quantity_milli)
    done = _done(
        moved, original.item, original.number, {"reverses": original.event_id, "use": original.use, "lot": original.lot, "serial": original.serial}
    )
    done.effect["reverses"] = original.event_id
    return done, moved


def _check_serial_free(session: Session, code: str) -> None:
    serial = repository.serial(session, code)
    if serial is not None and serial.holds:
        raise SerialHeld(serial=code, since=iso(serial.held_ms or serial.produced_ms))


def _insert(session: Session, moved: Moved, number: int, item: str, machine: str | None) -> None:
    repository.insert_movement(
        session,
        {
            "event_id": moved.event_id,
            "use": moved.use,
            "operation": moved.operation,
            "order_number": moved.order,
            "number": number,
            "item": item,
            "unit": moved.unit,
            "lot": moved.lot,
            "serial": moved.serial,
            "quantity_milli": moved.quantity_milli,
            "machine": machine,
            "person": moved.person,
            "at_ms": moved.at_ms,
            "reverses": moved.reverses,
        },
    )


def _done(moved: Moved, item: str, number: int, answer: dict[str, Any]) -> Done:
    material = {
        "use": moved.use,
        "item": item,
        "lot": moved.lot,
        "serials": [moved.serial] if moved.serial else [],
        "quantity": rules.quantity(moved.quantity_milli),
        "unit": moved.unit,
        "operation": moved.operation,
        "number": number,
        "order": moved.order,
        "at": iso(moved.at_ms),
    }
    live: list[tuple[str, dict[str, Any]]] = [
        (f"operation:{moved.operation}", {"material": material}),
        (f"acts:{moved.person}", {"operation": moved.operation}),
    ]
    return Done(f"operation:{moved.operation}", answer, {"materials": [material]}, live)


# --- holds (quality calls) ------------------------------------------------------------------------------------------------------------------
def set_hold(session: Session, kind: str, code: str, step: int, at_ms: int) -> None:
    """Quality places (+1) or releases (-1) a hold on a lot or serial. Raises LotUnknown, SerialUnknown."""
    table = repository.LOT if kind == "lot" else repository.SERIAL
    if not repository.hold(session, table, code, step, at_ms):
        raise LotUnknown(what="lot", key=code, lot=code) if kind == "lot" else SerialUnknown(what="serial", key=code, serial=code)


def release_quarantine(session: Session, code: str) -> bool:
    """Quality releases a lot from incoming inspection; False if it was not in quarantine."""
    return repository.move_lot(session, lot_row(session, code).id, ["quarantine"], "released")


def scrap_serials(session: Session, codes: Sequence[str]) -> int:
    """Marks scrapped pieces; unknown ones (not yet born) are left to the report that names them."""
    return repository.scrap_serials(session, codes) if codes else 0


# --- reading --------------------------------------------------------------------------------------------------------------------------------
def lot_row(session: Session, code: str) -> sa.Row[Any]:
    row: sa.Row[Any] | None = repository.lot(session, code)
    if row is None:
        raise LotUnknown(what="lot", key=code, lot=code)
    return row


def find_serial(session: Session, code: str) -> sa.Row[Any] | None:
    return repository.serial(session, code)


def serial_row(session: Session, code: str) -> sa.Row[Any]:
    row: sa.Row[Any] | None = repository.serial(session, code)
    if row is None:
        raise SerialUnknown(what="serial", key=code, serial=code)
    return row


def find_lot(session: Session, code: str) -> LotView | None:
    row = repository.lot(session, code)
    return None if row is None else lot_view(row)


def lot_view(row: sa.Row[Any]) -> LotView:
    return LotView(
        lot=row.code,
        item=row.item,
        unit=row.unit,
        quantity=rules.quantity(row.received_milli),
        remaining=rules.quantity(row.remaining_milli),
        status=row.status,
        on_hold=row.holds > 0,
        supplier=row.supplier,
        expires_at=None if row.expires_ms is None else iso(row.expires_ms),
        received_at=iso(row.received_ms),
        operation=row.operation,
    )


def lots_page(session: Session, *, item: str | None, statuses: Sequence[str] | None, limit: int, cursor: str | None) -> Page[LotView]:
    key = decode_cursor(cursor, 1)
    rows = repository.lots_page(session, item=item, statuses=statuses, after=None if key is None else int(key[0]), limit=limit + 1)
    following = encode_cursor([rows[limit - 1].id]) if len(rows) > limit else None
    return Page(items=[lot_view(row) for row in rows[:limit]], next=following)


def loaded_lots(session: Session, operations: Sequence[str]) -> list[LoadedLot]:
    rows = repository.loaded(session, operations) if operations else []
    return [
        LoadedLot(lot=row.code, item=row.item, operation=row.operation, remaining=rules.quantity(row.remaining_milli), unit=row.unit) for row in rows
    ]


def order_materials(
    session: Session, number: str
) -> tuple[list[tuple[int, str, str | None, float]], list[tuple[str | None, str | None, str, float]]]:
    """(consumed [(operation number, item, lot, quantity)], produced [(serial, lot, item, quantity)]) of an order, net of what was taken back."""
    consumed: dict[tuple[int, str, str | None], int] = {}
    produced: list[tuple[str | None, str | None, str, float]] = []
    for row in repository.order_sums(session, number):
        if row.use == "consumed":
            key = (row.number, row.item, row.lot)
            consumed[key] = consumed.get(key, 0) + int(row.milli)
        else:
            produced.append((row.serial, row.lot, row.item, rules.quantity(int(row.milli))))
    return [(number_, item, lot, rules.quantity(milli)) for (number_, item, lot), milli in consumed.items() if milli], produced


def describe(session: Session, named: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple[str | None, str | None, bool]]:
    """(kind, code) → (item, status, on hold) of the lots and serials among them."""
    lots = [code for kind, code in named if kind == "lot"]
    serials = [code for kind, code in named if kind == "serial"]
    found = {("lot", row.code): (row.item, row.status, row.holds > 0) for row in (repository.lots_named(session, lots) if lots else [])}
    return found | {
        ("serial", row.code): (row.item, row.status, row.holds > 0) for row in (repository.serials_named(session, serials) if serials else [])
    }


def as_quantity(milli: int) -> int | float:
    """Thousandths as the quantity JSON shows."""
    return rules.quantity(milli)


def is_movement(session: Session, event_id: str) -> bool:
    return repository.movement(session, event_id) is not None


def reversed_among(session: Session, event_ids: Sequence[str]) -> set[str]:
    """Those of these movements that were taken back."""
    return repository.reversed_among(session, event_ids) if event_ids else set()


def movements_of_serial(session: Session, serial: str) -> Sequence[sa.Row[Any]]:
    return repository.movements_of_serial(session, serial)


ACTS: dict[str, tuple[type[Command], ServiceFunction]] = {"material.receive": (ReceiveLot, receive_lot)}
