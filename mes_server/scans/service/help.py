"""Calls for help at a machine."""

from __future__ import annotations

from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Done, recorded_ms
from mes_server.plant import service as plant
from mes_server.scans import repository
from mes_server.scans.errors import CallUnknown
from mes_server.scans.schemas import AnswerHelp, CallHelp


def call_help(session: Session, actor: Actor, command: CallHelp) -> Done:
    """Opens a call; a second press on the same kind at the same machine is the same call."""
    machine = plant.model(session).machine(command.machine)
    actor.require(command.right, machine.line)
    known = repository.open_call(session, command.machine, command.kind)
    at_ms = min(command.occurred_ms, recorded_ms(session))
    if known is None:
        repository.insert_call(
            session,
            {"event_id": str(command.event_id), "machine": command.machine, "kind": command.kind, "person": actor.person, "at_ms": at_ms},
        )
    call = known.event_id if known is not None else str(command.event_id)
    answer = {
        "call": call,
        "machine": command.machine,
        "kind": command.kind,
        "already_called": known is not None,
        "since": iso(known.at_ms if known else at_ms),
    }
    return Done(f"machine:{command.machine}", answer, {"call": call}, [("help", {**answer, "answered": False})])


def answer_help(session: Session, actor: Actor, command: AnswerHelp) -> Done:
    known = repository.call(session, command.call)
    if known is None:
        raise CallUnknown(what="call", key=command.call)
    actor.require(command.right, plant.model(session).machine(known.machine).line)
    first = repository.answer_call(session, known.id, actor.person, min(command.occurred_ms, recorded_ms(session)))
    answer = {"call": command.call, "machine": known.machine, "kind": known.kind, "answered_by": actor.person if first else known.answered_by}
    return Done(f"machine:{known.machine}", answer, dict(answer), [("help", {**answer, "answered": True})])
