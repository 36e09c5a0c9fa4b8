"""What every act on an operation needs: the operation, its order's state at that time, the right in the machine's area."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.kit.actor import Actor
from mes_server.kit.acts import recorded_ms
from mes_server.plant import service as plant
from mes_server.work_orders import repository, rules
from mes_server.work_orders.errors import OperationCompleted, OperationUnknown, OrderNotOpen

SETTLED_BY = "settled_by"  # session.info: the supervisor who books an act from the decide list; the order's state no longer forbids it


def operation_ref(row: Any) -> str:
    return f"{row.order_number}/{row.number}"


def find_operation(session: Session, ref: str) -> sa.Row[Any]:
    order, _, number = ref.rpartition("/")
    row: sa.Row[Any] | None = repository.operation(session, order, int(number))
    if row is None:
        raise OperationUnknown(what="operation", key=ref, operation=ref)
    return row


def require(session: Session, actor: Actor, right: str, machine: str | None) -> None:
    """The right everywhere, or in the line of the machine."""
    if not actor.may(right):
        actor.require(right, plant.model(session).machine(machine).line if machine is not None else None)


def when(session: Session, occurred_ms: int) -> tuple[int, bool]:
    """(when the act counts as done, whether it is too late to ask about it)."""
    now_ms = recorded_ms(session)
    at_ms = rules.effective_ms(occurred_ms, now_ms)
    return at_ms, rules.is_late(at_ms, now_ms)


def settled_by(session: Session) -> str | None:
    return session.info.get(SETTLED_BY)


def check_open(session: Session, row: sa.Row[Any], at_ms: int, *, late: bool, starting: bool = False) -> list[str]:
    """Whether work at `at_ms` may be booked on the operation; returns warnings. Raises OrderNotOpen, OperationCompleted.

    What happened before the order was held or ended is booked whenever it arrives. After a hold or a cancellation nothing new is started, but what
    runs may be finished and reported: parts made are never lost. What is late and falls after the completion is booked and flagged.
    """
    status = row.order_status
    warnings: list[str] = []
    if status == "draft" or (status in ("on_hold", "closed", "cancelled") and at_ms > row.order_status_ms):
        finishing = status in ("on_hold", "cancelled") and not starting and row.started_ms is not None
        if status == "draft" or not (finishing or settled_by(session)):
            raise OrderNotOpen(order=row.order_number, status=status, since=iso(row.order_status_ms))
        warnings.append(f"order_{status}")
    if row.status in rules.OPERATION_ENDED and row.ended_ms is not None and at_ms > row.ended_ms:
        if not late and settled_by(session) is None:
            raise OperationCompleted(operation=operation_ref(row), since=iso(row.ended_ms), person=row.ended_by or "-")
        warnings.append("after_completion")
    return warnings
