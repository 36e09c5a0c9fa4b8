"""What other slices, routes and the tablets' door may ask of orders. Everything takes the session of its caller's transaction."""

from __future__ import annotations

from mes_server.kit.acts import Command, ServiceFunction
from mes_server.work_orders import schemas
from mes_server.work_orders.rules import whole_pieces
from mes_server.work_orders.service.common import SETTLED_BY
from mes_server.work_orders.service.machine_counts import record_machine_counts
from mes_server.work_orders.service.orders import (
    ErpApplied,
    ErpChange,
    ErpOrder,
    OrderHolding,
    apply_erp_order,
    cancel_order,
    change_order,
    close_order,
    complete_order,
    create_order,
    decide_erp_change,
    find_order,
    hold_order,
    order_holding,
    release_order,
    resume_order,
)
from mes_server.work_orders.service.reads import (
    CountBucket,
    CountSum,
    OpenOperation,
    OperationFacts,
    RunInterval,
    count_buckets,
    count_views,
    counts,
    current_operations,
    last_cycle_s,
    open_operation,
    operation_buckets,
    operation_facts,
    order_view,
    orders_overview,
    orders_page,
    queue_for_machines,
    reversed_among,
    run_intervals,
)
from mes_server.work_orders.service.reporting import correct_production, report_production, undo_production
from mes_server.work_orders.service.work import complete_operation, hold_operation, interrupt_operation, start_operation

ACTS: dict[str, tuple[type[Command], ServiceFunction]] = {
    "operation.start": (schemas.StartOperation, start_operation),
    "operation.interrupt": (schemas.InterruptOperation, interrupt_operation),
    "operation.complete": (schemas.CompleteOperation, complete_operation),
    "production.report": (schemas.ReportProduction, report_production),
    "production.undo": (schemas.UndoProduction, undo_production),
    "production.correct": (schemas.CorrectProduction, correct_production),
}

__all__ = [
    "ACTS",
    "SETTLED_BY",
    "CountBucket",
    "CountSum",
    "ErpApplied",
    "ErpChange",
    "ErpOrder",
    "OpenOperation",
    "OperationFacts",
    "OrderHolding",
    "RunInterval",
    "apply_erp_order",
    "cancel_order",
    "change_order",
    "close_order",
    "complete_operation",
    "complete_order",
    "correct_production",
    "count_buckets",
    "count_views",
    "counts",
    "create_order",
    "current_operations",
    "decide_erp_change",
    "find_order",
    "hold_operation",
    "hold_order",
    "interrupt_operation",
    "last_cycle_s",
    "open_operation",
    "operation_buckets",
    "operation_facts",
    "order_holding",
    "order_view",
    "orders_overview",
    "orders_page",
    "queue_for_machines",
    "record_machine_counts",
    "release_order",
    "report_production",
    "resume_order",
    "reversed_among",
    "run_intervals",
    "start_operation",
    "undo_production",
    "whole_pieces",
]
