"""Reports of pieces, their undo and their correction. `report_production` is the hot path: few Core statements, no ORM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Done, recorded_ms
from mes_server.work_orders import repository, rules
from mes_server.work_orders.errors import AlreadyReversed, CorrectTooLate, NeedsConfirmation, NotYours, OperationUnknown, ReasonMissing, UndoTooLate
from mes_server.work_orders.schemas import CorrectProduction, ReportProduction, UndoProduction
from mes_server.work_orders.service import work
from mes_server.work_orders.service.common import check_open, operation_ref, require, settled_by, when
from mes_server.work_orders.service.settle import began, refresh_order
from mes_server.work_orders.values import Change, Pieces

UNDO_GRACE_S = 5  # the bar stands ten seconds after the last merged tap; the act carries the first


def report_production(session: Session, actor: Actor, command: ReportProduction) -> Done:
    """Books what a person says. Raises the plausibility's refusals, OrderNotOpen, OperationCompleted, MachineCounts, ReasonMissing."""
    order, _, number = command.operation.rpartition("/")
    row = repository.operation_for_report(session, order, int(number))
    if row is None:
        raise OperationUnknown(what="operation", key=command.operation, operation=command.operation)
    require(session, actor, command.right, command.machine)
    at_ms, late = when(session, command.occurred_ms)
    said = rules.pieces_said(command.good, command.scrap, command.rework, row.order_quantity)
    if said.scrap and command.reason is None:
        raise ReasonMissing
    pieces = rules.booked(row.counting, said, command.operation)
    warnings = check_open(session, row, at_ms, late=late)
    if not (late or command.confirmed or settled_by(session)):
        _ask(row, said, at_ms)
    warnings += _warnings(row, said, late)
    event_id = str(command.event_id)
    early = _valid_changes(repository.changes_of(session, event_id), actor.person, command.occurred_ms)
    repository.insert_report(session, _row(command, actor, row.id, at_ms, said, pieces))
    net = pieces
    if early:  # taken back or corrected before it arrived
        net = rules.booked(row.counting, rules.settled(said, map(repository.change_of_row, early)), command.operation)
        for index, change in enumerate(early):  # the first of them carries the difference
            repository.place_change(session, change.id, row.id, command.machine, at_ms, net - pieces if index == 0 else Pieces())
    totals = repository.add_pieces(session, row.id, net, at_ms)
    began(session, row.order_id, row.order_status, row.order_started_ms, at_ms)
    _turned(session, row, totals)
    return _done(row, command.machine, actor, net, totals, at_ms, warnings, command.reason)


def _turned(session: Session, row: Any, totals: Any) -> None:
    """First good pieces let the next operation begin; when the last are gone it waits again."""
    if (row.good > 0) != (totals.good > 0):
        refresh_order(session, row.order_id)


def _ask(row: sa.Row[Any], said: Pieces, at_ms: int) -> None:
    """Asks once (G2); machine-counted: scrap beyond what the machine has counted so far."""
    if row.counting == "person":
        rules.ask_if_over(said, row.good + row.scrap, row.planned)
        rules.ask_if_too_fast(said, row.cycle_s, row.last_report_ms or row.started_ms, at_ms)
    elif said.scrap + said.rework > max(0, row.good) + rules.PACE_FREE_PIECES:
        raise NeedsConfirmation(value=said.scrap + said.rework, remaining=max(0, row.good))


def _warnings(row: sa.Row[Any], said: Pieces, late: bool) -> list[str]:
    found = []
    made = row.good + row.scrap + said.total
    if row.counting == "person" and made > row.planned + rules.tolerance(row.planned):
        found.append("over_planned")
    if row.counting == "person" and row.previous_good is not None and made > row.previous_good:
        found.append("beyond_available")
    if row.started_ms is None:
        found.append("not_started")
    if late:
        found.append("late")
    return found


def _row(command: ReportProduction, actor: Actor, operation_id: int, at_ms: int, said: Pieces, pieces: Pieces) -> dict[str, Any]:
    return {
        "event_id": str(command.event_id),
        "kind": "report",
        "operation_id": operation_id,
        "machine": command.machine,
        "person": actor.person,
        "at_ms": at_ms,
        "acted_ms": command.occurred_ms,
        "good": pieces.good,
        "scrap": pieces.scrap,
        "rework": pieces.rework,
        "said_good": said.good,
        "said_scrap": said.scrap,
        "said_rework": said.rework,
        "reason": command.reason,
        "origin": command.origin,
        "note": None,
        "serials": list(command.serials) or None,
        "reverses": None,
    }


def _done(
    row: sa.Row[Any], machine: str | None, actor: Actor, net: Pieces, totals: sa.Row[Any], at_ms: int, warnings: list[str], reason: str | None
) -> Done:
    ref = operation_ref(row)
    answer = {
        "operation": ref,
        "booked": {"good": net.good, "scrap": net.scrap, "rework": net.rework},
        "good": totals.good,
        "scrap": totals.scrap,
        "rework": totals.rework,
        "planned": row.planned,
        "remaining": max(0, row.planned - totals.good),
        "warnings": warnings,
    }
    booked = {
        "operation": ref,
        "order": row.order_number,
        "number": row.number,
        "machine": machine,
        "person": actor.person,
        "good": net.good,
        "scrap": net.scrap,
        "rework": net.rework,
        "at": iso(at_ms),
        "reason": reason,
    }
    live = {"operation": ref, "machine": machine, "good": net.good, "scrap": net.scrap, "at": iso(at_ms), "total_good": totals.good}
    return Done(
        subject=f"operation:{ref}",
        answer=answer,
        effect={"booked": [booked], **({"warnings": warnings} if warnings else {})},
        live=[(f"operation:{ref}", live), (f"order:{row.order_number}", live), (f"acts:{actor.person}", {"operation": ref})],
    )


# --- taking back and correcting -----------------------------------------------------------------------------------------------------------
def undo_production(session: Session, actor: Actor, command: UndoProduction) -> Done:
    """Takes back an own report, start, interrupt or completion. An undo that overtook its act waits for it."""
    marks = repository.marks_of_event(session, command.reverses)
    if marks:
        mark = marks[0]
        _check_own(actor, mark.person)
        _check_in_time(actor, command.occurred_ms, mark.at_ms)
        return work.undo_marks(session, actor, marks)
    return _change(session, actor, command, "undo", Pieces(), None, None)


def correct_production(session: Session, actor: Actor, command: CorrectProduction) -> Done:
    said = Pieces(rules.whole_pieces(command.good), rules.whole_pieces(command.scrap), rules.whole_pieces(command.rework))
    return _change(session, actor, command, "correct", said, command.reason, command.note)


def _change(
    session: Session, actor: Actor, command: UndoProduction | CorrectProduction, kind: str, said: Pieces, reason: str | None, note: str | None
) -> Done:
    original = repository.report_by_event(session, command.reverses)
    change = Change("undo" if kind == "undo" else "correct", command.occurred_ms, str(command.event_id), said, actor.person)
    if original is None or original.kind != "report":
        repository.insert_report(session, _change_row(change, actor, command.reverses, None, None, recorded_ms(session), Pieces(), reason, note))
        return Done(subject=f"event:{command.reverses}", answer={"waiting": True, "reverses": command.reverses}, effect={"waiting": True})
    _check_own(actor, original.person)
    if kind == "undo":
        _check_in_time(actor, command.occurred_ms, original.acted_ms)
    elif not actor.may_somewhere("supervise.correct") and command.occurred_ms - original.acted_ms > rules.OWN_CORRECTION_H * 3_600_000:
        raise CorrectTooLate(hours=rules.OWN_CORRECTION_H)
    row = repository.operation_by_id(session, original.operation_id)
    require(session, actor, command.right, original.machine)
    placed = _valid_changes(repository.changes_of(session, original.event_id), original.person, original.acted_ms)
    before = [repository.change_of_row(one) for one in placed]
    if any(one.kind == "undo" for one in before):
        raise AlreadyReversed
    if isinstance(command, CorrectProduction):
        _check_correction(session, row, original, command, said)
    first = Pieces(original.said_good, original.said_scrap, original.said_rework)
    old = rules.booked(row.counting, rules.settled(first, before))
    new = rules.booked(row.counting, rules.settled(first, [*before, change]), operation_ref(row))
    net = new - old
    repository.insert_report(
        session, _change_row(change, actor, original.event_id, row.id, original.machine, original.at_ms, net, reason or original.reason, note)
    )
    totals = repository.add_pieces(session, row.id, net, original.at_ms)
    _turned(session, row, totals)
    done = _done(row, original.machine, actor, net, totals, original.at_ms, [], reason or original.reason)
    done.answer["reverses"] = done.effect["reverses"] = original.event_id
    return done


def _check_correction(session: Session, row: sa.Row[Any], original: sa.Row[Any], command: CorrectProduction, said: Pieces) -> None:
    if said.total:
        rules.pieces_said(command.good, command.scrap, command.rework, row.order_quantity)
    _, late = when(session, command.occurred_ms)
    if row.counting == "person" and not (late or command.confirmed):
        rules.ask_if_over(said, row.good + row.scrap - original.said_good - original.said_scrap, row.planned)


def _check_own(actor: Actor, person: str | None) -> None:
    if person != actor.person and not actor.may_somewhere("supervise.correct"):
        raise NotYours(person=person or "-")


def _check_in_time(actor: Actor, occurred_ms: int, acted_ms: int) -> None:
    if occurred_ms - acted_ms > (rules.UNDO_S + UNDO_GRACE_S) * 1000 and not actor.may_somewhere("supervise.correct"):
        raise UndoTooLate(seconds=rules.UNDO_S)


def _valid_changes(rows: Sequence[sa.Row[Any]], person: str | None, acted_ms: int) -> list[sa.Row[Any]]:
    """Changes that overtook their report were not checked when they came: those of other people or too late count only if they were placed."""
    valid = []
    for row in rows:
        placed = row.operation_id is not None
        own = row.person == person
        in_time = row.kind != "undo" or row.acted_ms - acted_ms <= (rules.UNDO_S + UNDO_GRACE_S) * 1000
        if placed or (own and in_time):
            valid.append(row)
    return valid


def _change_row(
    change: Change,
    actor: Actor,
    reverses: str,
    operation_id: int | None,
    machine: str | None,
    at_ms: int,
    net: Pieces,
    reason: str | None,
    note: str | None,
) -> dict[str, Any]:
    return {
        "event_id": change.event_id,
        "kind": change.kind,
        "operation_id": operation_id,
        "machine": machine,
        "person": actor.person,
        "at_ms": at_ms,
        "acted_ms": change.acted_ms,
        "good": net.good,
        "scrap": net.scrap,
        "rework": net.rework,
        "said_good": change.said.good,
        "said_scrap": change.said.scrap,
        "said_rework": change.said.rework,
        "reason": reason,
        "origin": "pad",
        "note": note,
        "serials": None,
        "reverses": reverses,
    }
