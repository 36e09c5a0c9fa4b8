"""Tables of orders, operations, marks, runs, reports and machine counts. Quantities are whole pieces; times are ms since 1970 UTC."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mes_server.kit.db import BIG_ID, MILLIS, Base


class WorkOrder(Base):
    """An order with the snapshot of what it was made from: item names, BOM and routing revision at its creation."""

    __tablename__ = "work_order"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    number: Mapped[str] = mapped_column(sa.String(64), unique=True)
    item: Mapped[str] = mapped_column(sa.String(64), index=True)
    item_name_zh: Mapped[str] = mapped_column(sa.String(200))
    item_name_en: Mapped[str] = mapped_column(sa.String(200))
    unit: Mapped[str] = mapped_column(sa.String(20))
    tracking: Mapped[str] = mapped_column(sa.String(10))
    box_quantity: Mapped[int | None]
    quantity: Mapped[int]
    quantity_before: Mapped[int | None]  # before its last change
    status: Mapped[str] = mapped_column(sa.String(20), index=True)
    priority: Mapped[int]
    due_ms: Mapped[int | None] = mapped_column(MILLIS)
    created_ms: Mapped[int] = mapped_column(MILLIS)
    started_ms: Mapped[int | None] = mapped_column(MILLIS)
    status_ms: Mapped[int] = mapped_column(MILLIS)  # since when it has this status
    bom_revision: Mapped[str | None] = mapped_column(sa.String(40))
    routing_revision: Mapped[str | None] = mapped_column(sa.String(40))
    bom: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON)  # [{item, quantity, operation}]
    erp_id: Mapped[str | None] = mapped_column(sa.String(100), unique=True)
    erp_version: Mapped[int | None] = mapped_column(sa.BigInteger)
    pending_change: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)

    __table_args__ = (sa.Index("ix_work_order_queue", "status", "priority", "due_ms", "id"),)


class Operation(Base):
    """One operation of an order. `good`, `scrap`, `rework` are the booked totals (machine counts, reports, moves, corrections together)."""

    __tablename__ = "operation"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    order_id: Mapped[int] = mapped_column(BIG_ID, sa.ForeignKey("work_order.id"), index=True)
    order_number: Mapped[str] = mapped_column(sa.String(64))
    number: Mapped[int]
    previous_id: Mapped[int | None] = mapped_column(BIG_ID, sa.ForeignKey("operation.id"), index=True)
    last: Mapped[bool]
    name_zh: Mapped[str] = mapped_column(sa.String(200))
    name_en: Mapped[str] = mapped_column(sa.String(200))
    machine_class: Mapped[str] = mapped_column(sa.String(40))
    machines: Mapped[list[str]] = mapped_column(sa.JSON)
    counting: Mapped[str] = mapped_column(sa.String(10))
    cycle_s: Mapped[float | None]
    setup_s: Mapped[float | None]
    milestone: Mapped[bool]
    status: Mapped[str] = mapped_column(sa.String(20))
    planned: Mapped[int]
    good: Mapped[int] = mapped_column(default=0)
    scrap: Mapped[int] = mapped_column(default=0)
    rework: Mapped[int] = mapped_column(default=0)
    started_ms: Mapped[int | None] = mapped_column(MILLIS)
    ended_ms: Mapped[int | None] = mapped_column(MILLIS)
    ended_by: Mapped[str | None] = mapped_column(sa.String(40))
    last_report_ms: Mapped[int | None] = mapped_column(MILLIS)
    held: Mapped[int] = mapped_column(default=0)  # open quality holds on it

    __table_args__ = (sa.UniqueConstraint("order_number", "number"), sa.Index("ix_operation_status", "status", "order_id"))


class OperationMachine(Base):
    """The machines an operation may run on, one row each: a station's queue is found by machine."""

    __tablename__ = "operation_machine"

    machine: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    operation_id: Mapped[int] = mapped_column(BIG_ID, sa.ForeignKey("operation.id", ondelete="CASCADE"), primary_key=True, index=True)


class OperationMark(Base):
    """A start, interrupt, complete, skip or abort as it happened. Status and runs are derived from the set of marks, whatever order they came in."""

    __tablename__ = "operation_mark"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    event_id: Mapped[str] = mapped_column(sa.String(36))
    operation_id: Mapped[int] = mapped_column(BIG_ID, sa.ForeignKey("operation.id"), index=True)
    kind: Mapped[str] = mapped_column(sa.String(12))
    machine: Mapped[str | None] = mapped_column(sa.String(64))  # None: all machines
    person: Mapped[str | None] = mapped_column(sa.String(40))
    at_ms: Mapped[int] = mapped_column(MILLIS)
    voided: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (sa.UniqueConstraint("event_id", "operation_id", "machine"),)


class OperationRun(Base):
    """When an operation ran on a machine: [from_ms, to_ms), to_ms null while it runs. Derived from the marks."""

    __tablename__ = "operation_run"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    operation_id: Mapped[int] = mapped_column(BIG_ID, sa.ForeignKey("operation.id"), index=True)
    machine: Mapped[str] = mapped_column(sa.String(64))
    person: Mapped[str | None] = mapped_column(sa.String(40))
    from_ms: Mapped[int] = mapped_column(MILLIS)
    to_ms: Mapped[int | None] = mapped_column(MILLIS)

    __table_args__ = (sa.Index("ix_operation_run_machine", "machine", "from_ms"),)


class Report(Base):
    """What a person reported (or took back, or corrected). `good`, `scrap`, `rework` are the signed pieces this row books on the operation.

    An undo or correction row stands at the time of the entry it changes, so that hours and shifts are restated; `acted_ms` is when it was made.
    """

    __tablename__ = "production_report"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    event_id: Mapped[str] = mapped_column(sa.String(36), unique=True)
    kind: Mapped[str] = mapped_column(sa.String(8))  # report | undo | correct
    operation_id: Mapped[int | None] = mapped_column(BIG_ID, sa.ForeignKey("operation.id"))
    machine: Mapped[str | None] = mapped_column(sa.String(64))
    person: Mapped[str | None] = mapped_column(sa.String(40))
    at_ms: Mapped[int] = mapped_column(MILLIS)
    acted_ms: Mapped[int] = mapped_column(MILLIS)
    good: Mapped[int]
    scrap: Mapped[int]
    rework: Mapped[int]
    said_good: Mapped[int]  # what the person said, before scrap was moved out of the machine's count
    said_scrap: Mapped[int]
    said_rework: Mapped[int]
    reason: Mapped[str | None] = mapped_column(sa.String(64))
    origin: Mapped[str] = mapped_column(sa.String(10))
    note: Mapped[str | None] = mapped_column(sa.String(500))
    serials: Mapped[list[str] | None] = mapped_column(sa.JSON(none_as_null=True))
    reverses: Mapped[str | None] = mapped_column(sa.String(36), index=True)

    __table_args__ = (
        sa.Index("ix_production_report_operation", "operation_id", "at_ms"),
        sa.Index("ix_production_report_machine", "machine", "at_ms"),
    )


class MachineCount(Base):
    """Pieces a machine counted at `at_ms` (difference of its running totals) and the operation they belong to."""

    __tablename__ = "machine_count"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    machine: Mapped[str] = mapped_column(sa.String(64))
    at_ms: Mapped[int] = mapped_column(MILLIS)
    good: Mapped[int]
    scrap: Mapped[int]
    order_no: Mapped[str | None] = mapped_column(sa.String(64))  # as the PLC says
    op_no: Mapped[int | None]
    operation_id: Mapped[int | None] = mapped_column(BIG_ID, sa.ForeignKey("operation.id"))
    booked: Mapped[bool]  # False: the operation is counted by a person, these pieces are not booked on it

    __table_args__ = (
        sa.Index("ix_machine_count_machine", "machine", "at_ms"),
        sa.Index("ix_machine_count_operation", "operation_id"),
        sa.Index(
            "ix_machine_count_homeless", "order_no", sqlite_where=sa.text("operation_id IS NULL"), postgresql_where=sa.text("operation_id IS NULL")
        ),
    )
