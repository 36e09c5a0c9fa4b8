"""What follows from everything booked on an order, worked out anew: its status, when it began, which operations may begin.

Called whenever something may have changed it, so that no arrival order of acts and counts leaves another state behind.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from mes_server.work_orders import repository, rules


def refresh_order(session: Session, order_id: int, *, only_began: bool = False) -> str:
    """Returns the order's status. The hot paths call it only where something turns: first pieces, last pieces gone.

    `only_began`: all that happened is that work began or paused, so the order's beginning can only have moved to an earlier moment.
    """
    order = repository.order_by_id(session, order_id)
    operations = repository.operations_of(session, order_id)
    _refresh_readiness(session, order.status, operations)
    booked_ms = order.started_ms if only_began else repository.first_booked_ms(session, order_id)
    begun = only_began or booked_ms is not None or repository.has_marks(session, order_id)
    started = [at_ms for at_ms in (booked_ms, *(one.started_ms for one in operations)) if at_ms is not None]
    started_ms = min(started, default=None)
    status = rules.order_status(order.status, [one.status for one in operations], begun)
    if status != order.status:
        ended = [one.ended_ms for one in operations if one.ended_ms is not None]
        since_ms = max(ended) if status == "completed" and ended else started_ms if started_ms is not None else order.status_ms
        repository.move_order(session, order_id, [order.status], status, since_ms, started_ms=started_ms)
    elif started_ms != order.started_ms:
        repository.update_order(session, order_id, started_ms=started_ms)
    return status


def _refresh_readiness(session: Session, order_status: str, operations: Sequence[repository.Row]) -> None:
    """An operation that nobody has touched is ready when pieces can come to it: it is the first, or the one before has begun or made some."""
    previous: repository.Row | None = None
    for operation in operations:
        if operation.status in ("pending", "ready"):
            open_ = order_status not in ("draft", *rules.ORDER_ENDED)
            ready = open_ and (previous is None or previous.started_ms is not None or previous.good > 0 or previous.status in rules.OPERATION_ENDED)
            status = "ready" if ready else "pending"
            if status != operation.status:
                repository.move_operation(session, operation.id, [operation.status], status=status)
        previous = operation


def began(session: Session, order_id: int, order_status: str, order_started_ms: int | None, at_ms: int) -> None:
    """The short way for one booking: the order is in progress and began no later than `at_ms`."""
    if order_status == "released":
        repository.move_order(session, order_id, ["released"], "in_progress", at_ms)
    if order_started_ms is None or at_ms < order_started_ms:
        repository.started_no_later(session, order_id, at_ms)
