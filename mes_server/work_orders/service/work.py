"""Starting, interrupting and completing operations: every act is a mark; status, runs and whose the machine's pieces are follow from all marks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Done
from mes_server.kit.errors import Conflict
from mes_server.plant import service as plant
from mes_server.work_orders import repository, rules
from mes_server.work_orders.errors import OperationHeld, WrongMachine
from mes_server.work_orders.schemas import CompleteOperation, InterruptOperation, StartOperation
from mes_server.work_orders.service.common import check_open, find_operation, operation_ref, require, settled_by, when
from mes_server.work_orders.service.machine_counts import counted_json, reattribute_machine
from mes_server.work_orders.service.settle import refresh_order
from mes_server.work_orders.values import Mark, Run


def start_operation(session: Session, actor: Actor, command: StartOperation) -> Done:
    """Begins a run on the machine. A start on a machine where it runs already changes nothing and says since when."""
    row = find_operation(session, command.operation)
    require(session, actor, command.right, command.machine)
    at_ms, late = when(session, command.occurred_ms)
    warnings = check_open(session, row, at_ms, late=late, starting=True)
    if command.machine not in row.machines:
        _check_machine(session, actor, row, command, warnings)
    if row.held and not late and settled_by(session) is None:
        raise OperationHeld(operation=command.operation)
    if row.previous_good is not None and row.status == "pending":
        warnings.append("previous_not_started")
    running = [run for run in repository.runs(session, row.id) if run.to_ms is None]
    mark = Mark("start", at_ms, str(command.event_id), command.machine, actor.person)
    done = mark_operation(session, row, [mark])
    done.answer["warnings"] = warnings + (["unverified"] if command.unverified else []) + (["late"] if late else [])
    done.answer["also_running"] = [{"machine": run.machine, "person": run.person, "since": iso(run.from_ms)} for run in running]
    if warnings:
        done.effect["warnings"] = warnings
    return done


def _check_machine(session: Session, actor: Actor, row: sa.Row[Any], command: StartOperation, warnings: list[str]) -> None:
    machine = plant.model(session).machine(command.machine)  # raises if there is no such machine
    if not row.machines and machine.machine_class == row.machine_class:
        return
    if command.unverified or settled_by(session) or (command.confirmed and actor.may("supervise.correct", machine.line)):
        warnings.append("other_machine")
        return
    raise WrongMachine(operation=command.operation, machines=", ".join(row.machines) or row.machine_class, machine=command.machine)


def interrupt_operation(session: Session, actor: Actor, command: InterruptOperation) -> Done:
    row = find_operation(session, command.operation)
    require(session, actor, command.right, command.machine)
    at_ms, late = when(session, command.occurred_ms)
    check_open(session, row, at_ms, late=late)
    return mark_operation(session, row, [Mark("interrupt", at_ms, str(command.event_id), command.machine, actor.person)])


def complete_operation(session: Session, actor: Actor, command: CompleteOperation) -> Done:
    """Ends the operation on all its machines. Completing a completed operation changes nothing."""
    row = find_operation(session, command.operation)
    require(session, actor, command.right, row.machines[0] if row.machines else None)
    at_ms, late = when(session, command.occurred_ms)
    if row.status not in rules.OPERATION_ENDED:
        check_open(session, row, at_ms, late=late)
    return mark_operation(session, row, [Mark("complete", at_ms, str(command.event_id), None, actor.person)])


def undo_marks(session: Session, actor: Actor, marks: Sequence[sa.Row[Any]]) -> Done:
    for mark in marks:
        repository.void_mark(session, mark.id)
    done = mark_operation(session, repository.operation_by_id(session, marks[0].operation_id), [])
    done.answer["reverses"] = done.effect["reverses"] = marks[0].event_id
    return done


def mark_operation(session: Session, row: sa.Row[Any], marks: Sequence[Mark]) -> Done:
    """Adds marks to an operation and books what all its marks now say. Returns what changed."""
    voided = [_undone_early(session, mark) for mark in marks]
    for mark, gone in zip(marks, voided, strict=True):
        repository.insert_mark(session, row.id, mark, voided=gone)
    now = rules.progress(repository.marks(session, row.id))
    status = now.status or (row.status if row.status in ("pending", "ready") else "pending")
    before = repository.runs(session, row.id)
    moved = repository.move_operation(
        session, row.id, [row.status], status=status, started_ms=now.started_ms, ended_ms=now.ended_ms, ended_by=now.ended_by
    )
    if not moved:
        raise Conflict
    reattributed: list[dict[str, Any]] = []
    if list(now.runs) != before:
        repository.replace_runs(session, row.id, now.runs)
        for machine, from_ms, to_ms in _changed_windows(before, now.runs):
            reattributed += [counted_json(one) | {"machine": machine} for one in reattribute_machine(session, machine, from_ms, to_ms)]
    only_began = bool(marks) and not any(voided) and all(mark.kind in ("start", "interrupt") for mark in marks)
    order_status = refresh_order(session, row.order_id, only_began=only_began)
    ref = operation_ref(row)
    state = {
        "operation": ref,
        "order": row.order_number,
        "operation_status": status,
        "order_status": order_status,
        "runs": [
            {"machine": run.machine, "person": run.person, "from": iso(run.from_ms), "to": None if run.to_ms is None else iso(run.to_ms)}
            for run in now.runs
        ],
    }
    live = {"operation": ref, "status": status, "order_status": order_status}
    return Done(
        subject=f"operation:{ref}",
        answer=dict(state),
        effect={"status": state, **({"reattributed": reattributed} if reattributed else {})},
        live=[(f"operation:{ref}", live), (f"order:{row.order_number}", live)],
    )


def _undone_early(session: Session, mark: Mark) -> bool:
    """Whether the undo of this act overtook it."""
    return any(row.kind == "undo" and row.person == mark.person for row in repository.changes_of(session, mark.event_id))


def _changed_windows(before: Sequence[Run], after: Sequence[Run]) -> list[tuple[str, int, int | None]]:
    """Per machine the window in which the operation's runs differ."""
    windows: dict[str, tuple[int, int | None]] = {}
    for run in set(before) ^ set(after):
        from_ms, to_ms = windows.get(run.machine, (run.from_ms, run.from_ms))
        end = None if to_ms is None or run.to_ms is None else max(to_ms, run.to_ms)
        windows[run.machine] = (min(from_ms, run.from_ms), end)
    return [(machine, from_ms, to_ms) for machine, (from_ms, to_ms) in sorted(windows.items())]


def hold_operation(session: Session, ref: str, step: int) -> None:
    """Quality places (+1) or releases (-1) a hold on an operation; a held operation is not started."""
    repository.hold_operation(session, find_operation(session, ref).id, step)
