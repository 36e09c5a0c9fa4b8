"""What machines counted, and whose it is. Never refused: pieces of an unknown order are kept until the order is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.work_orders import repository
from mes_server.work_orders.rules import Claim, Claims
from mes_server.work_orders.schemas import CountedRow, CountRow
from mes_server.work_orders.service.settle import began, refresh_order

NUMBER_MAX = 2_147_483_647


def record_machine_counts(session: Session, machine: str, rows: Sequence[CountRow]) -> list[CountedRow]:
    """Books the pieces of one machine (in time order) and returns what each operation gained. How rows are cut into calls changes nothing."""
    tagged = _Tagged(session, machine, {row.order for row in rows if row.order})
    claims = _claims(session, machine, rows[0].at_ms, rows[-1].at_ms) if any(not row.order for row in rows) else Claims([])
    owners = [tagged.owner(row) if row.order else claims.owner(row.at_ms) for row in rows]
    known = _operations(session, {owner for owner in owners if owner is not None})
    tally = _Tally(known)
    inserts: list[dict[str, Any]] = []
    for row, owner in zip(rows, owners, strict=True):
        booked = tally.add(owner, row.good, row.scrap, row.at_ms)
        inserts.append(
            {
                "machine": machine,
                "at_ms": row.at_ms,
                "good": row.good,
                "scrap": row.scrap,
                "order_no": row.order[:64] or None,
                "op_no": _number(row.operation),
                "operation_id": owner,
                "booked": booked,
            }
        )
    repository.insert_counts(session, inserts)
    return tally.book(session)


def reattribute_machine(session: Session, machine: str, from_ms: int, to_ms: int | None) -> list[CountedRow]:
    """After runs on `machine` changed in [from_ms, to_ms]: gives its untagged pieces to whom they now belong. Returns signed differences."""
    rows = repository.untagged_counts(session, machine, from_ms, to_ms)
    if not rows:
        return []
    claims = _claims(session, machine, from_ms, to_ms)
    moved = [(row, owner) for row in rows if (owner := claims.owner(row.at_ms)) != row.operation_id]
    return _move(session, moved)


def adopt_homeless(session: Session, order_number: str) -> list[CountedRow]:
    """A new order takes the pieces that machines had counted for it before it was known."""
    rows = repository.homeless_counts(session, order_number)
    if not rows:
        return []
    by_machine = {row.machine: _Tagged(session, row.machine, {order_number}) for row in rows}
    moved = [(row, owner) for row in rows if (owner := by_machine[row.machine].find(order_number, row.op_no)) is not None]
    return _move(session, moved)


def _move(session: Session, moved: Sequence[tuple[sa.Row[Any], int | None]]) -> list[CountedRow]:
    ids = {one for row, owner in moved for one in (row.operation_id, owner) if one is not None}
    tally = _Tally(_operations(session, ids))
    changes = []
    for row, owner in moved:
        if row.booked:
            tally.add(row.operation_id, -row.good, -row.scrap, row.at_ms)
        booked = tally.add(owner, row.good, row.scrap, row.at_ms)
        changes.append({"count_id": row.id, "new_operation": owner, "new_booked": booked})
    repository.reattribute(session, changes)
    return tally.book(session)


def counted_json(row: CountedRow) -> dict[str, Any]:
    return {"operation": row.operation, "good": row.good, "scrap": row.scrap, "from": iso(row.from_ms), "to": iso(row.to_ms)}


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text) <= NUMBER_MAX else None


def _claims(session: Session, machine: str, from_ms: int, to_ms: int | None) -> Claims:
    return Claims(Claim(run.operation_id, run.from_ms, run.to_ms) for run in repository.runs_on_machine(session, machine, from_ms, to_ms))


def _operations(session: Session, ids: set[int]) -> dict[int, sa.Row[Any]]:
    return {row.id: row for row in repository.operations_by_id(session, sorted(ids))} if ids else {}


class _Tagged:
    """Finds the operation a machine's own tags name: order and operation number, or the order's only operation on this machine."""

    def __init__(self, session: Session, machine: str, orders: set[str]) -> None:
        self._by_number: dict[tuple[str, int], int] = {}
        self._by_machine: dict[str, list[int]] = {}
        for row in repository.operations_named(session, sorted(orders)) if orders else []:
            self._by_number[row.order_number, row.number] = row.id
            if machine in row.machines:
                self._by_machine.setdefault(row.order_number, []).append(row.id)

    def owner(self, row: CountRow) -> int | None:
        return self.find(row.order, _number(row.operation))

    def find(self, order: str, number: int | None) -> int | None:
        if number is not None:
            return self._by_number.get((order, number))
        fitting = self._by_machine.get(order, [])
        return fitting[0] if len(fitting) == 1 else None


class _Tally:
    """Sums differences per operation and books them once each, in id order (two writers never lock crosswise)."""

    def __init__(self, operations: dict[int, sa.Row[Any]]) -> None:
        self._operations = operations
        self._sums: dict[int, list[int]] = {}  # id -> [good, scrap, first_ms, last_ms]

    def add(self, operation_id: int | None, good: int, scrap: int, at_ms: int) -> bool:
        """Whether the pieces are booked on the operation: one that a person counts takes no machine's pieces. Nobody's pieces count as booked."""
        if operation_id is None:
            return True
        if self._operations[operation_id].counting == "person":
            return False
        entry = self._sums.setdefault(operation_id, [0, 0, at_ms, at_ms])
        entry[0] += good
        entry[1] += scrap
        entry[2] = min(entry[2], at_ms)
        entry[3] = max(entry[3], at_ms)
        return True

    def book(self, session: Session) -> list[CountedRow]:
        booked = []
        for operation_id, (good, scrap, first_ms, last_ms) in sorted(self._sums.items()):
            if not (good or scrap):
                continue
            row = self._operations[operation_id]
            total = repository.add_counted(session, operation_id, good, scrap)
            if good < 0 or scrap < 0 or (total > 0) != (total - good > 0):
                refresh_order(session, row.order_id)
            else:
                began(session, row.order_id, row.order_status, row.order_started_ms, first_ms)
            booked.append(CountedRow(f"{row.order_number}/{row.number}", good, scrap, first_ms, last_ms))
        return booked
