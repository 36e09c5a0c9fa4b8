"""What screens and other slices read of orders: views, counts, runs. Works in read sessions and in the writer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.kit.actor import Actor
from mes_server.kit.http import Page, decode_cursor, encode_cursor
from mes_server.work_orders import repository
from mes_server.work_orders.errors import OperationHeld
from mes_server.work_orders.schemas import CountView, ErpLink, ItemName, OperationView, OrderView, RunView
from mes_server.work_orders.service.common import check_open, find_operation, operation_ref, require, settled_by, when
from mes_server.work_orders.service.orders import find_order


@dataclass(frozen=True, slots=True)
class CountSum:
    """Pieces of one machine and operation in a window, after moves and corrections. `operation` None: nobody's. `cycle_s` is PRI, s a piece."""

    machine: str
    operation: str | None
    order: str | None
    item: str | None
    cycle_s: float | None
    good: int
    scrap: int
    rework: int
    first_ms: int
    last_ms: int
    last: bool  # the order's last operation: these pieces left the plant


@dataclass(frozen=True, slots=True)
class CountBucket:
    machine: str
    from_ms: int
    good: int
    scrap: int


@dataclass(frozen=True, slots=True)
class RunInterval:
    """An operation on a machine during [from_ms, to_ms); to_ms None while it runs."""

    machine: str
    operation: str
    order: str
    item: str
    person: str | None
    cycle_s: float | None
    setup_s: float | None
    from_ms: int
    to_ms: int | None


def counts(session: Session, machines: Sequence[str] | None, from_ms: int, to_ms: int, order: str | None = None) -> list[CountSum]:
    """Sums per machine and operation of pieces with from_ms ≤ at < to_ms. `machines` None: all."""
    return [
        CountSum(
            row.machine,
            None if row.operation_id is None else operation_ref(row),
            row.order_number,
            row.item,
            row.cycle_s,
            int(row.good),
            int(row.scrap),
            int(row.rework),
            row.first_ms,
            row.last_ms,
            bool(row.last),
        )
        for row in repository.count_sums(session, machines, from_ms, to_ms, order)
    ]


def count_buckets(session: Session, machines: Sequence[str], from_ms: int, to_ms: int, bucket_ms: int) -> list[CountBucket]:
    """Sums per machine and bucket of `bucket_ms`, counted from from_ms; empty buckets are left out."""
    sums: dict[tuple[str, int], list[int]] = {}
    for row in repository.count_buckets(session, machines, from_ms, to_ms, bucket_ms):
        entry = sums.setdefault((row.machine, from_ms + int(row.bucket) * bucket_ms), [0, 0])
        entry[0] += int(row.good)
        entry[1] += int(row.scrap)
    return [
        CountBucket(machine, at_ms, good, scrap) for (machine, at_ms), (good, scrap) in sorted(sums.items(), key=lambda one: (one[0][1], one[0][0]))
    ]


def operation_buckets(session: Session, operation: str, machines: Sequence[str], from_ms: int, to_ms: int, bucket_ms: int) -> list[CountBucket]:
    """The same for one operation, all its machines together."""
    order, _, number = operation.rpartition("/")
    row = repository.operation(session, order, int(number))
    sums: dict[int, list[int]] = {}
    for one in repository.count_buckets(session, machines, from_ms, to_ms, bucket_ms):
        if row is not None and one.operation_id == row.id:
            entry = sums.setdefault(from_ms + int(one.bucket) * bucket_ms, [0, 0])
            entry[0] += int(one.good)
            entry[1] += int(one.scrap)
    return [CountBucket("", at_ms, good, scrap) for at_ms, (good, scrap) in sorted(sums.items())]


def run_intervals(session: Session, machines: Sequence[str] | None, from_ms: int, to_ms: int) -> list[RunInterval]:
    """Runs that touch [from_ms, to_ms), not clipped."""
    return [
        RunInterval(row.machine, operation_ref(row), row.order_number, row.item, row.person, row.cycle_s, row.setup_s, row.from_ms, row.to_ms)
        for row in repository.run_rows(session, machines, from_ms, to_ms)
    ]


def current_operations(session: Session, machines: Sequence[str] | None, now_ms: int) -> dict[str, RunInterval]:
    """What runs on each machine now (the latest begun, where several do)."""
    return {run.machine: run for run in run_intervals(session, machines, now_ms, now_ms + 1) if run.to_ms is None}


# --- views --------------------------------------------------------------------------------------------------------------------------------
def operation_view(row: sa.Row[Any], runs: Sequence[Any], previous_good: int | None) -> OperationView:
    made = row.good + row.scrap + row.rework
    ready = row.planned if row.previous_id is None else previous_good or 0
    return OperationView(
        id=operation_ref(row),
        order=row.order_number,
        number=row.number,
        name_zh=row.name_zh,
        name_en=row.name_en,
        status=row.status,
        machine_class=row.machine_class,
        machines=list(row.machines),
        counting=row.counting,
        cycle_s=row.cycle_s,
        setup_s=row.setup_s,
        planned=row.planned,
        good=max(0, row.good),
        scrap=row.scrap,
        rework=row.rework,
        available=max(0, ready - made),
        over=row.good > row.planned,
        held=row.held > 0,
        started_at=_iso(row.started_ms),
        ended_at=_iso(row.ended_ms),
        runs=[RunView(machine=run.machine, person=run.person, from_=iso(run.from_ms), to=_iso(run.to_ms)) for run in runs],
    )


def _iso(ms: int | None) -> str | None:
    return None if ms is None else iso(ms)


def order_views(session: Session, rows: Sequence[sa.Row[Any]], now_ms: int) -> list[OrderView]:
    by_order: dict[int, list[sa.Row[Any]]] = {}
    operations = repository.operations_of_orders(session, [row.id for row in rows]) if rows else []
    for operation in operations:
        by_order.setdefault(operation.order_id, []).append(operation)
    runs: dict[int, list[sa.Row[Any]]] = {}
    for run in repository.runs_of_operations(session, [one.id for one in operations]) if operations else []:
        runs.setdefault(run.operation_id, []).append(run)
    return [_order_view(row, by_order.get(row.id, []), runs, now_ms) for row in rows]


def _order_view(row: sa.Row[Any], operations: Sequence[sa.Row[Any]], runs: dict[int, list[sa.Row[Any]]], now_ms: int) -> OrderView:
    good_of = {one.id: one.good for one in operations}
    late_s: int | None = None
    if row.due_ms is not None and row.status not in ("closed", "cancelled"):
        until = row.status_ms if row.status == "completed" else now_ms
        late_s = (until - row.due_ms) // 1000 if until > row.due_ms else None
    return OrderView(
        number=row.number,
        item=ItemName(code=row.item, name_zh=row.item_name_zh, name_en=row.item_name_en),
        unit=row.unit,
        tracking=row.tracking,
        box_quantity=row.box_quantity,
        quantity=row.quantity,
        quantity_before=row.quantity_before,
        status=row.status,
        priority=row.priority,
        due=_iso(row.due_ms),
        late_by_s=late_s,
        good=max(0, operations[-1].good) if operations else 0,
        scrap=sum(one.scrap for one in operations),
        created_at=iso(row.created_ms),
        started_at=_iso(row.started_ms),
        since=iso(row.status_ms),
        erp=ErpLink(id=row.erp_id, version=row.erp_version or 0) if row.erp_id is not None else None,
        pending_change=row.pending_change,
        operations=[operation_view(one, runs.get(one.id, []), good_of.get(one.previous_id)) for one in operations],
    )


def order_view(session: Session, number: str, now_ms: int) -> OrderView:
    return order_views(session, [find_order(session, number)], now_ms)[0]


def orders_page(
    session: Session,
    now_ms: int,
    *,
    statuses: Sequence[str] | None = None,
    machines: Sequence[str] | None = None,
    q: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[OrderView]:
    rows = repository.orders_page(session, statuses=statuses, machines=machines, q=q, after=decode_cursor(cursor, 2), limit=limit + 1)
    more, rows = len(rows) > limit, rows[:limit]
    following = encode_cursor([rows[-1].due_ms if rows[-1].due_ms is not None else repository.NO_DUE_MS, rows[-1].id]) if more else None
    return Page(items=order_views(session, rows, now_ms), next=following)


def orders_overview(session: Session, now_ms: int, statuses: Sequence[str] | None = None, limit: int = 500) -> list[OrderView]:
    return orders_page(session, now_ms, statuses=statuses, limit=limit).items


def queue_for_machines(
    session: Session, machines: Sequence[str], statuses: Sequence[str], limit: int, now_ms: int
) -> list[tuple[OperationView, OrderView]]:
    """Operations that run or may run on the machines, most urgent first, each with its order (without the order's other operations)."""
    rows = repository.queue_rows(session, machines, statuses, limit)
    if not rows:
        return []
    runs: dict[int, list[sa.Row[Any]]] = {}
    for run in repository.runs_of_operations(session, [row.id for row in rows]):
        runs.setdefault(run.operation_id, []).append(run)
    orders = {row.id: row for row in repository.orders_by_id(session, sorted({row.order_id for row in rows}))}
    return [
        (
            operation_view(row, runs.get(row.id, []), row.previous_good),
            _order_view(orders[row.order_id], [], {}, now_ms).model_copy(update={"good": 0}),
        )
        for row in rows
    ]


def count_views(session: Session, machines: Sequence[str] | None, from_ms: int, to_ms: int, order: str | None) -> list[CountView]:
    return [
        CountView(machine=one.machine, operation=one.operation, good=one.good, scrap=one.scrap, first_at=iso(one.first_ms), last_at=iso(one.last_ms))
        for one in counts(session, machines, from_ms, to_ms, order)
    ]


def last_cycle_s(session: Session, machine: str, operation: str) -> float | None:
    """Seconds between the machine's last two counts of the operation, a piece; None where it has not counted twice."""
    row = find_operation(session, operation)
    latest = repository.latest_counts(session, machine, row.id)
    if len(latest) < 2:
        return None
    pieces = latest[0].good + latest[0].scrap
    return round((latest[0].at_ms - latest[1].at_ms) / 1000 / pieces, 1) if pieces > 0 else None


def reversed_among(session: Session, event_ids: Sequence[str]) -> set[str]:
    """Those of these acts (reports, starts, completions) that were taken back."""
    return repository.reversed_among(session, event_ids) if event_ids else set()


# --- for acts of other slices ---------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class OperationFacts:
    """What materials, traceability and quality need of an operation."""

    operation_id: int
    ref: str
    order: str
    number: int
    item: str
    tracking: str
    order_quantity: int
    planned: int
    good: int
    held: bool
    last: bool
    machines: tuple[str, ...]
    machine_class: str
    bom: tuple[tuple[str, float, int], ...]  # (item, quantity per piece, operation number)


def operation_facts(session: Session, ref: str) -> OperationFacts:
    """Raises OperationUnknown."""
    row = find_operation(session, ref)
    order = repository.order_by_id(session, row.order_id)
    return OperationFacts(
        row.id,
        ref,
        row.order_number,
        row.number,
        order.item,
        order.tracking,
        order.quantity,
        row.planned,
        row.good,
        row.held > 0,
        row.last,
        tuple(row.machines),
        row.machine_class,
        tuple((line["item"], float(line["quantity"]), int(line["operation"])) for line in order.bom),
    )


@dataclass(frozen=True, slots=True)
class OpenOperation:
    """An operation on which something is booked now: when it counts as done, whether it is too late to ask, what to tell."""

    facts: OperationFacts
    at_ms: int
    late: bool
    warnings: list[str]


def open_operation(session: Session, actor: Actor, right: str, ref: str, machine: str | None, occurred_ms: int) -> OpenOperation:
    """For acts of other slices on an operation. Raises OperationUnknown, OrderNotOpen, Forbidden; a completed operation only warns."""
    row = find_operation(session, ref)
    require(session, actor, right, machine or (row.machines[0] if row.machines else None))
    at_ms, late = when(session, occurred_ms)
    warnings = check_open(session, row, at_ms, late=True)
    if row.held and not late and settled_by(session) is None:
        raise OperationHeld(operation=ref)
    return OpenOperation(operation_facts(session, ref), at_ms, late or settled_by(session) is not None, warnings)
