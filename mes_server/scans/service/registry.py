"""Every act type a tablet may send: assembled from what the slices offer, as one union discriminated by `type`, so that OpenAPI shows each."""

from __future__ import annotations

import operator
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, TypeAdapter, create_model
from sqlalchemy.orm import Session

from mes_server.kit.actor import Actor
from mes_server.kit.acts import Command, Done, ServiceFunction
from mes_server.machine_states import service as machine_states
from mes_server.materials import service as materials
from mes_server.materials.schemas import ReverseMaterial
from mes_server.quality import service as quality
from mes_server.scans.schemas import AnswerHelp, CallHelp
from mes_server.scans.service.help import answer_help, call_help
from mes_server.traceability import service as traceability
from mes_server.work_orders import service as work_orders
from mes_server.work_orders.schemas import ReportProduction, UndoProduction


def report_production(session: Session, actor: Actor, command: ReportProduction) -> Done:
    """A report; the serials of scrapped pieces are marked in the same transaction."""
    done = work_orders.report_production(session, actor, command)
    if command.serials and command.scrap:
        materials.scrap_serials(session, list(command.serials))
    return done


def undo(session: Session, actor: Actor, command: UndoProduction) -> Done:
    """One undo for everything a person can tap: a report, a start, a completion, a consumption, a produced serial."""
    if materials.is_movement(session, command.reverses):
        reverse = ReverseMaterial(event_id=command.event_id, occurred_at=command.occurred_at, reverses=command.reverses)
        return traceability.reverse_material(session, actor, reverse)
    return work_orders.undo_production(session, actor, command)


FUNCTIONS: dict[str, tuple[type[Command], ServiceFunction]] = {
    **work_orders.ACTS,
    **materials.ACTS,
    **traceability.ACTS,
    **machine_states.ACTS,
    **quality.ACTS,
    "production.report": (ReportProduction, report_production),
    "production.undo": (UndoProduction, undo),
    "help.call": (CallHelp, call_help),
    "help.answer": (AnswerHelp, answer_help),
}


def _act_model(name: str, command: type[Command]) -> type[Command]:
    """The command as it comes over the wire: `type` names the act, `as_badge` another badge holder for this act only."""
    title = "".join(part.capitalize() for part in name.replace("_", ".").split(".")) + "Act"
    fields: dict[str, Any] = {
        "act": (Literal[name], Field(alias="type")),
        "as_badge": (Annotated[str, Field(max_length=128)] | None, None),
    }
    return create_model(title, __base__=command, __doc__=command.__doc__, **fields)


ACTS: dict[str, tuple[type[Command], ServiceFunction]] = {
    name: (_act_model(name, command), function) for name, (command, function) in FUNCTIONS.items()
}
if TYPE_CHECKING:
    AnyAct = Command
else:
    AnyAct = Annotated[reduce(operator.or_, (model for model, _ in ACTS.values())), Field(discriminator="act")]
ADAPTER: TypeAdapter[Command] = TypeAdapter(AnyAct)
