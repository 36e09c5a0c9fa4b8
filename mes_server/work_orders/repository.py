"""SQL of orders. Hot statements are Core, declared once; nothing here decides anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mes_server.kit.hot import Hot
from mes_server.work_orders.models import MachineCount, Operation, OperationMachine, OperationMark, OperationRun, Report, WorkOrder
from mes_server.work_orders.values import Change, Mark, Pieces, Run

Row = Any  # a result row: its columns are attributes
ORDER = cast(sa.Table, WorkOrder.__table__)
OPERATION = cast(sa.Table, Operation.__table__)
OPERATION_MACHINE = cast(sa.Table, OperationMachine.__table__)
MARK = cast(sa.Table, OperationMark.__table__)
RUN = cast(sa.Table, OperationRun.__table__)
REPORT = cast(sa.Table, Report.__table__)
COUNT = cast(sa.Table, MachineCount.__table__)

NO_DUE_MS = 9_007_199_254_740_991  # an order without a due date sorts last

# --- the hot path: one report -----------------------------------------------------------------------------------------------------------
_ORDER_PART = (
    ORDER.c.status.label("order_status"),
    ORDER.c.status_ms.label("order_status_ms"),
    ORDER.c.started_ms.label("order_started_ms"),
    ORDER.c.quantity.label("order_quantity"),
    ORDER.c.item,
    ORDER.c.tracking,
)
_PREVIOUS = OPERATION.alias("previous")
_JOINED = (
    sa.select(OPERATION, *_ORDER_PART, _PREVIOUS.c.good.label("previous_good"))
    .join(ORDER, ORDER.c.id == OPERATION.c.order_id)
    .join(_PREVIOUS, _PREVIOUS.c.id == OPERATION.c.previous_id, isouter=True)
)
_OPERATION = _JOINED.where(OPERATION.c.order_number == sa.bindparam("order"), OPERATION.c.number == sa.bindparam("number"))
_OPERATION_BY_ID = _JOINED.where(OPERATION.c.id == sa.bindparam("id"))
_HOT = ("id", "order_id", "order_number", "number", "counting", "cycle_s", "planned", "good", "scrap", "status", "started_ms", "ended_ms", "ended_by")
_FOR_REPORT = Hot(
    sa.select(*(OPERATION.c[name] for name in (*_HOT, "last_report_ms")), *_ORDER_PART, _PREVIOUS.c.good.label("previous_good"))
    .join(ORDER, ORDER.c.id == OPERATION.c.order_id)
    .join(_PREVIOUS, _PREVIOUS.c.id == OPERATION.c.previous_id, isouter=True)
    .where(OPERATION.c.order_number == sa.bindparam("order"), OPERATION.c.number == sa.bindparam("number"))
)
_SAID = ("id", "event_id", "kind", "operation_id", "person", "acted_ms", "good", "scrap", "rework", "said_good", "said_scrap", "said_rework")
_CHANGES = Hot(sa.select(*(REPORT.c[name] for name in _SAID)).where(REPORT.c.reverses == sa.bindparam("event_id")))
_ADD = Hot(
    sa.update(OPERATION)
    .where(OPERATION.c.id == sa.bindparam("operation_id"))
    .values(
        good=OPERATION.c.good + sa.bindparam("d_good"),
        scrap=OPERATION.c.scrap + sa.bindparam("d_scrap"),
        rework=OPERATION.c.rework + sa.bindparam("d_rework"),
        last_report_ms=sa.case(
            (sa.or_(OPERATION.c.last_report_ms.is_(None), OPERATION.c.last_report_ms < sa.bindparam("seen_ms")), sa.bindparam("seen_ms")),
            else_=OPERATION.c.last_report_ms,
        ),
    )
    .returning(OPERATION.c.good, OPERATION.c.scrap, OPERATION.c.rework)
)
_ADD_COUNTED = Hot(
    sa.update(OPERATION)
    .where(OPERATION.c.id == sa.bindparam("operation_id"))
    .values(good=OPERATION.c.good + sa.bindparam("d_good"), scrap=OPERATION.c.scrap + sa.bindparam("d_scrap"))
    .returning(OPERATION.c.good)
)
_INSERT_REPORT = Hot(sa.insert(REPORT).values({column.name: sa.bindparam(column.name) for column in REPORT.c if column.name != "id"}))


def operation(session: Session, order: str, number: int) -> Row | None:
    """The operation with its order's status, quantity, item; None if unknown."""
    return session.connection().execute(_OPERATION, {"order": order, "number": number}).one_or_none()


def operation_by_id(session: Session, operation_id: int) -> Row:
    return session.connection().execute(_OPERATION_BY_ID, {"id": operation_id}).one()


def operation_for_report(session: Session, order: str, number: int) -> Row | None:
    """What a report needs of the operation, without its JSON columns."""
    return _FOR_REPORT.one_or_none(session, {"order": order, "number": number})


def changes_of(session: Session, event_id: str) -> Sequence[Row]:
    """Undo and correction rows of one report, in any order."""
    return _CHANGES.all(session, {"event_id": event_id})


def add_pieces(session: Session, operation_id: int, pieces: Pieces, seen_ms: int) -> Row:
    """Adds signed pieces to the operation's totals; returns the new totals."""
    return _ADD.one(
        session,
        {"operation_id": operation_id, "d_good": pieces.good, "d_scrap": pieces.scrap, "d_rework": pieces.rework, "seen_ms": seen_ms},
    )


def add_counted(session: Session, operation_id: int, good: int, scrap: int) -> int:
    """Adds signed machine-counted pieces to the operation's totals; returns its good pieces."""
    row = _ADD_COUNTED.one(session, {"operation_id": operation_id, "d_good": good, "d_scrap": scrap})
    return int(row.good)


def insert_report(session: Session, row: dict[str, Any]) -> None:
    _INSERT_REPORT.execute(session, row)


def report_by_event(session: Session, event_id: str) -> Row | None:
    return session.execute(sa.select(REPORT).where(REPORT.c.event_id == event_id)).one_or_none()


def change_of_row(row: Any) -> Change:
    said = Pieces(row.said_good, row.said_scrap, row.said_rework)
    return Change(row.kind, row.acted_ms, row.event_id, said, row.person)


# --- orders -----------------------------------------------------------------------------------------------------------------------------
def order(session: Session, number: str) -> Row | None:
    return session.execute(sa.select(ORDER).where(ORDER.c.number == number)).one_or_none()


def order_by_id(session: Session, order_id: int) -> Row:
    return session.execute(sa.select(ORDER).where(ORDER.c.id == order_id)).one()


def order_by_erp_id(session: Session, erp_id: str) -> Row | None:
    return session.execute(sa.select(ORDER).where(ORDER.c.erp_id == erp_id)).one_or_none()


def insert_order(session: Session, row: dict[str, Any]) -> int:
    return int(session.execute(sa.insert(ORDER).returning(ORDER.c.id), row).scalar_one())


def insert_operation(session: Session, row: dict[str, Any]) -> int:
    operation_id = int(session.execute(sa.insert(OPERATION).returning(OPERATION.c.id), row).scalar_one())
    if row["machines"]:
        session.execute(sa.insert(OPERATION_MACHINE), [{"machine": machine, "operation_id": operation_id} for machine in row["machines"]])
    return operation_id


def move_order(session: Session, order_id: int, from_status: Iterable[str], to_status: str, at_ms: int, **more: Any) -> bool:
    """The guarded transition: True if this call made it (row count 1), False if the order was in no such state."""
    statement = (
        sa.update(ORDER).where(ORDER.c.id == order_id, ORDER.c.status.in_(list(from_status))).values(status=to_status, status_ms=at_ms, **more)
    )
    return _count(session, statement) == 1


def update_order(session: Session, order_id: int, **values: Any) -> None:
    session.execute(sa.update(ORDER).where(ORDER.c.id == order_id).values(**values))


def operations_of(session: Session, order_id: int) -> Sequence[Row]:
    return session.execute(sa.select(OPERATION).where(OPERATION.c.order_id == order_id).order_by(OPERATION.c.number)).all()


def operations_of_orders(session: Session, order_ids: Sequence[int]) -> Sequence[Row]:
    return session.execute(sa.select(OPERATION).where(OPERATION.c.order_id.in_(order_ids)).order_by(OPERATION.c.order_id, OPERATION.c.number)).all()


def move_operation(session: Session, operation_id: int, from_status: Iterable[str], **values: Any) -> bool:
    """The guarded transition of an operation; True if this call made it."""
    statement = sa.update(OPERATION).where(OPERATION.c.id == operation_id, OPERATION.c.status.in_(list(from_status))).values(**values)
    return _count(session, statement) == 1


def hold_operation(session: Session, operation_id: int, step: int) -> None:
    session.execute(sa.update(OPERATION).where(OPERATION.c.id == operation_id).values(held=OPERATION.c.held + step))


def plan_operations(session: Session, order_id: int, planned: int) -> None:
    session.execute(
        sa.update(OPERATION).where(OPERATION.c.order_id == order_id, OPERATION.c.status.not_in(["skipped", "aborted"])).values(planned=planned)
    )


def _count(session: Session, statement: sa.Update) -> int:
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined]


# --- marks and runs ---------------------------------------------------------------------------------------------------------------------
def marks(session: Session, operation_id: int) -> list[Mark]:
    rows = session.execute(sa.select(MARK).where(MARK.c.operation_id == operation_id, ~MARK.c.voided))
    return [Mark(row.kind, row.at_ms, row.event_id, row.machine, row.person) for row in rows]


def marks_of_event(session: Session, event_id: str) -> Sequence[Row]:
    return session.execute(sa.select(MARK).where(MARK.c.event_id == event_id)).all()


def insert_mark(session: Session, operation_id: int, mark: Mark, *, voided: bool = False) -> None:
    session.execute(
        sa.insert(MARK),
        {
            "event_id": mark.event_id,
            "operation_id": operation_id,
            "kind": mark.kind,
            "machine": mark.machine,
            "person": mark.person,
            "at_ms": mark.at_ms,
            "voided": voided,
        },
    )


def void_mark(session: Session, mark_id: int) -> None:
    session.execute(sa.update(MARK).where(MARK.c.id == mark_id).values(voided=True))


def runs(session: Session, operation_id: int) -> list[Run]:
    rows = session.execute(sa.select(RUN).where(RUN.c.operation_id == operation_id).order_by(RUN.c.from_ms, RUN.c.machine))
    return [Run(row.machine, row.person, row.from_ms, row.to_ms) for row in rows]


def replace_runs(session: Session, operation_id: int, new: Sequence[Run]) -> None:
    session.execute(sa.delete(RUN).where(RUN.c.operation_id == operation_id))
    if new:
        session.execute(
            sa.insert(RUN),
            [{"operation_id": operation_id, "machine": run.machine, "person": run.person, "from_ms": run.from_ms, "to_ms": run.to_ms} for run in new],
        )


def runs_of_operations(session: Session, operation_ids: Sequence[int]) -> Sequence[Row]:
    return session.execute(sa.select(RUN).where(RUN.c.operation_id.in_(operation_ids)).order_by(RUN.c.from_ms, RUN.c.machine)).all()


_RUNS_FROM = (
    sa.select(RUN)
    .where(RUN.c.machine == sa.bindparam("machine"))
    .where(sa.or_(RUN.c.to_ms.is_(None), RUN.c.to_ms > sa.bindparam("from_ms", type_=sa.BigInteger)))
)
_RUNS_BETWEEN = _RUNS_FROM.where(RUN.c.from_ms <= sa.bindparam("to_ms", type_=sa.BigInteger))


def runs_on_machine(session: Session, machine: str, from_ms: int, to_ms: int | None) -> Sequence[Row]:
    """Runs that touch [from_ms, to_ms]; to_ms None: to the end of time."""
    wanted: dict[str, Any] = {"machine": machine, "from_ms": from_ms}
    if to_ms is None:
        return session.connection().execute(_RUNS_FROM, wanted).all()
    return session.connection().execute(_RUNS_BETWEEN, wanted | {"to_ms": to_ms}).all()


# --- machine counts ---------------------------------------------------------------------------------------------------------------------
_INSERT_COUNT = sa.insert(COUNT)


def insert_counts(session: Session, rows: list[dict[str, Any]]) -> None:
    session.connection().execute(_INSERT_COUNT, rows)


def untagged_counts(session: Session, machine: str, from_ms: int, to_ms: int | None) -> Sequence[Row]:
    """Counts whose owner the operator's runs decide: without an order of the machine's own."""
    query = sa.select(COUNT).where(COUNT.c.machine == machine, COUNT.c.at_ms >= from_ms, COUNT.c.order_no.is_(None))
    if to_ms is not None:
        query = query.where(COUNT.c.at_ms <= to_ms)
    return session.execute(query).all()


def homeless_counts(session: Session, order_number: str) -> Sequence[Row]:
    """Counts a machine tagged with an order that was not known yet."""
    return session.execute(sa.select(COUNT).where(COUNT.c.order_no == order_number, COUNT.c.operation_id.is_(None))).all()


_REATTRIBUTE = (
    sa.update(COUNT)
    .where(COUNT.c.id == sa.bindparam("count_id"))
    .values(operation_id=sa.bindparam("new_operation"), booked=sa.bindparam("new_booked"))
)


def reattribute(session: Session, changes: list[dict[str, Any]]) -> None:
    """[{count_id, new_operation, new_booked}]"""
    if changes:
        session.connection().execute(_REATTRIBUTE, changes)


def operations_named(session: Session, order_numbers: Sequence[str]) -> Sequence[Row]:
    columns = (OPERATION.c.id, OPERATION.c.order_id, OPERATION.c.order_number, OPERATION.c.number, OPERATION.c.machines, OPERATION.c.counting)
    return session.execute(sa.select(*columns).where(OPERATION.c.order_number.in_(order_numbers)).order_by(OPERATION.c.number)).all()


def operations_by_id(session: Session, ids: Sequence[int]) -> Sequence[Row]:
    columns = (OPERATION.c.id, OPERATION.c.order_id, OPERATION.c.order_number, OPERATION.c.number, OPERATION.c.machines, OPERATION.c.counting)
    order = (ORDER.c.status.label("order_status"), ORDER.c.started_ms.label("order_started_ms"))
    query = sa.select(*columns, *order).join(ORDER, ORDER.c.id == OPERATION.c.order_id)
    return session.execute(query.where(OPERATION.c.id.in_(ids))).all()


def started_no_later(session: Session, order_id: int, at_ms: int) -> None:
    earlier = sa.or_(ORDER.c.started_ms.is_(None), ORDER.c.started_ms > at_ms)
    session.execute(sa.update(ORDER).where(ORDER.c.id == order_id, earlier).values(started_ms=at_ms))


def first_booked_ms(session: Session, order_id: int) -> int | None:
    """When the first piece of the order was reported or counted; None if none was."""
    own = sa.select(OPERATION.c.id).where(OPERATION.c.order_id == order_id)
    said = session.execute(sa.select(sa.func.min(REPORT.c.at_ms)).where(REPORT.c.operation_id.in_(own), REPORT.c.kind == "report")).scalar_one()
    counted = session.execute(sa.select(sa.func.min(COUNT.c.at_ms)).where(COUNT.c.operation_id.in_(own), COUNT.c.booked)).scalar_one()
    return min((at_ms for at_ms in (said, counted) if at_ms is not None), default=None)


def has_marks(session: Session, order_id: int) -> bool:
    """Whether anybody ever started, paused or ended an operation of it, taken back or not."""
    own = sa.select(OPERATION.c.id).where(OPERATION.c.order_id == order_id)
    return session.execute(sa.select(MARK.c.id).where(MARK.c.operation_id.in_(own)).limit(1)).first() is not None


def place_change(session: Session, report_id: int, operation_id: int, machine: str, at_ms: int, pieces: Pieces) -> None:
    session.execute(
        sa.update(REPORT)
        .where(REPORT.c.id == report_id)
        .values(operation_id=operation_id, machine=machine, at_ms=at_ms, good=pieces.good, scrap=pieces.scrap, rework=pieces.rework)
    )


def drop_operations(session: Session, order_id: int) -> None:
    """Only of an order nobody has touched: the foreign keys refuse anything else."""
    session.execute(sa.update(OPERATION).where(OPERATION.c.order_id == order_id).values(previous_id=None))
    own = sa.select(OPERATION.c.id).where(OPERATION.c.order_id == order_id)
    session.execute(sa.delete(OPERATION_MACHINE).where(OPERATION_MACHINE.c.operation_id.in_(own)))
    session.execute(sa.delete(OPERATION).where(OPERATION.c.order_id == order_id))


# --- reading ----------------------------------------------------------------------------------------------------------------------------
def _booked(machines: Sequence[str] | None, from_ms: int, to_ms: int) -> sa.CompoundSelect[Any]:
    """Signed pieces in [from_ms, to_ms): what machines counted and persons reported, moved or corrected."""
    counted = sa.select(COUNT.c.machine, COUNT.c.operation_id, COUNT.c.at_ms, COUNT.c.good, COUNT.c.scrap, sa.literal(0).label("rework")).where(
        COUNT.c.at_ms >= from_ms, COUNT.c.at_ms < to_ms, COUNT.c.booked
    )
    said = sa.select(REPORT.c.machine, REPORT.c.operation_id, REPORT.c.at_ms, REPORT.c.good, REPORT.c.scrap, REPORT.c.rework).where(
        REPORT.c.at_ms >= from_ms, REPORT.c.at_ms < to_ms, REPORT.c.operation_id.is_not(None)
    )
    if machines is not None:
        counted = counted.where(COUNT.c.machine.in_(machines))
        said = said.where(REPORT.c.machine.in_(machines))
    return sa.union_all(counted, said)


def count_sums(session: Session, machines: Sequence[str] | None, from_ms: int, to_ms: int, order: str | None = None) -> Sequence[Row]:
    """Added up per machine and operation first, joined to the orders afterwards: a third of the time of the other way round."""
    pieces = _booked(machines, from_ms, to_ms).subquery("pieces")
    sums = (
        sa.select(
            pieces.c.machine,
            pieces.c.operation_id,
            sa.func.sum(pieces.c.good).label("good"),
            sa.func.sum(pieces.c.scrap).label("scrap"),
            sa.func.sum(pieces.c.rework).label("rework"),
            sa.func.min(pieces.c.at_ms).label("first_ms"),
            sa.func.max(pieces.c.at_ms).label("last_ms"),
        )
        .group_by(pieces.c.machine, pieces.c.operation_id)
        .subquery("sums")
    )
    query = (
        sa.select(sums, OPERATION.c.order_number, OPERATION.c.number, OPERATION.c.cycle_s, OPERATION.c.last, ORDER.c.item)
        .join(OPERATION, OPERATION.c.id == sums.c.operation_id, isouter=True)
        .join(ORDER, ORDER.c.id == OPERATION.c.order_id, isouter=True)
        .order_by(sums.c.machine, sums.c.first_ms, sums.c.operation_id)
    )
    if order is not None:
        query = query.where(OPERATION.c.order_number == order)
    return session.execute(query).all()


def count_buckets(session: Session, machines: Sequence[str], from_ms: int, to_ms: int, bucket_ms: int) -> Sequence[Row]:
    pieces = _booked(machines, from_ms, to_ms).subquery("pieces")
    index = ((pieces.c.at_ms - from_ms) / sa.literal(bucket_ms, sa.BigInteger)).label("bucket")
    floor = sa.func.floor(index).label("bucket")
    return session.execute(
        sa.select(
            pieces.c.machine, pieces.c.operation_id, floor, sa.func.sum(pieces.c.good).label("good"), sa.func.sum(pieces.c.scrap).label("scrap")
        )
        .group_by(pieces.c.machine, pieces.c.operation_id, floor)
        .order_by(floor)
    ).all()


def run_rows(session: Session, machines: Sequence[str] | None, from_ms: int, to_ms: int) -> Sequence[Row]:
    query = (
        sa.select(RUN, OPERATION.c.order_number, OPERATION.c.number, OPERATION.c.cycle_s, OPERATION.c.setup_s, ORDER.c.item)
        .join(OPERATION, OPERATION.c.id == RUN.c.operation_id)
        .join(ORDER, ORDER.c.id == OPERATION.c.order_id)
        .where(RUN.c.from_ms < to_ms, sa.or_(RUN.c.to_ms.is_(None), RUN.c.to_ms > from_ms))
        .order_by(RUN.c.machine, RUN.c.from_ms, RUN.c.id)
    )
    if machines is not None:
        query = query.where(RUN.c.machine.in_(machines))
    return session.execute(query).all()


def orders_page(
    session: Session,
    *,
    statuses: Sequence[str] | None,
    machines: Sequence[str] | None,
    q: str | None,
    after: Sequence[Any] | None,
    limit: int,
) -> Sequence[Row]:
    """Orders by due date (none last) and id; `after` is the key (due, id) of the last row seen."""
    due = sa.func.coalesce(ORDER.c.due_ms, NO_DUE_MS)
    query = sa.select(ORDER).order_by(due, ORDER.c.id).limit(limit)
    if statuses:
        query = query.where(ORDER.c.status.in_(statuses))
    if machines is not None:
        fitting = (
            sa.select(sa.literal(1))
            .join_from(OPERATION, OPERATION_MACHINE, OPERATION_MACHINE.c.operation_id == OPERATION.c.id)
            .where(OPERATION.c.order_id == ORDER.c.id, OPERATION_MACHINE.c.machine.in_(machines))
        )
        query = query.where(fitting.exists())
    if q:
        query = query.where(
            sa.or_(*(column.icontains(q, autoescape=True) for column in (ORDER.c.number, ORDER.c.item, ORDER.c.item_name_zh, ORDER.c.item_name_en)))
        )
    if after is not None:
        query = query.where(sa.or_(due > after[0], sa.and_(due == after[0], ORDER.c.id > after[1])))
    return session.execute(query).all()


def queue_rows(session: Session, machines: Sequence[str], statuses: Sequence[str], limit: int) -> Sequence[Row]:
    """Operations of open orders that may run on one of the machines: most urgent first."""
    own = sa.select(OPERATION_MACHINE.c.operation_id).where(OPERATION_MACHINE.c.machine.in_(machines))
    return session.execute(
        _JOINED.where(OPERATION.c.id.in_(own), OPERATION.c.status.in_(statuses), ORDER.c.status.in_(["released", "in_progress"]))
        .order_by(ORDER.c.priority, sa.func.coalesce(ORDER.c.due_ms, NO_DUE_MS), ORDER.c.id, OPERATION.c.number)
        .limit(limit)
    ).all()


def orders_by_id(session: Session, ids: Sequence[int]) -> Sequence[Row]:
    return session.execute(sa.select(ORDER).where(ORDER.c.id.in_(ids))).all()


def latest_counts(session: Session, machine: str, operation_id: int, limit: int = 2) -> Sequence[Row]:
    query = sa.select(COUNT.c.at_ms, COUNT.c.good, COUNT.c.scrap).where(COUNT.c.machine == machine, COUNT.c.operation_id == operation_id)
    return session.execute(query.order_by(COUNT.c.at_ms.desc()).limit(limit)).all()


def reversed_among(session: Session, event_ids: Sequence[str]) -> set[str]:
    """Reports that were undone."""
    query = sa.select(REPORT.c.reverses).where(REPORT.c.reverses.in_(event_ids), REPORT.c.kind == "undo")
    voided = sa.select(MARK.c.event_id).where(MARK.c.event_id.in_(event_ids), MARK.c.voided)
    return {str(code) for code in session.execute(query.union(voided)).scalars()}
