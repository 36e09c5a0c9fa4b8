"""Actions of the morning meeting: who does what by when."""

from __future__ import annotations

from datetime import date

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mes_server.kit.actor import Actor
from mes_server.kit.acts import Done
from mes_server.plant import service as plant
from mes_server.reports.errors import ActionUnknown
from mes_server.reports.models import PlantAction
from mes_server.reports.schemas import ActionOut, ChangeAction, MakeAction

OPEN_MAX = 100


def make_action(session: Session, actor: Actor, command: MakeAction) -> Done:
    made = PlantAction(
        id=str(command.event_id),
        text=command.text,
        person=command.person,
        due=command.due,
        topic=command.topic,
        day=command.day,
        made_by=actor.person,
        made_ms=command.occurred_ms,
        done_ms=None,
        done_by=None,
    )
    session.add(made)
    return Done(subject=f"action:{made.id}", answer={"id": made.id}, live=[("actions", {"id": made.id})])


def change_action(action: str, session: Session, actor: Actor, command: ChangeAction) -> Done:
    """What is left out stays; `done` false opens it again."""
    found = session.get(PlantAction, action)
    if found is None:
        raise ActionUnknown(what="action", key=action, action=action)
    for name in command.model_fields_set & {"text", "person", "due"}:
        setattr(found, name, getattr(command, name))
    if command.done is not None:
        found.done_ms = command.occurred_ms if command.done else None
        found.done_by = actor.person if command.done else None
    session.flush()
    return Done(subject=f"action:{action}", answer={"id": action, "done": found.done_ms is not None}, live=[("actions", {"id": action})])


def of_day(session: Session, day: date, now_ms: int, model: plant.PlantModel) -> list[ActionOut]:
    """What was open on that production day or belongs to it: made before its meeting was over, and not done before it began."""
    low, high = model.calendar.day_window(day)
    until = high + (high - low)  # yesterday's actions are made in today's meeting
    today = model.calendar.production_day(now_ms).isoformat()
    query = (
        sa.select(PlantAction)
        .where(PlantAction.made_ms < until, sa.or_(PlantAction.done_ms.is_(None), PlantAction.done_ms >= low, PlantAction.day == day.isoformat()))
        .order_by(PlantAction.done_ms.is_not(None), PlantAction.due, PlantAction.made_ms, PlantAction.id)
        .limit(OPEN_MAX)
    )
    return [
        ActionOut(
            id=one.id,
            text=one.text,
            person=one.person,
            due=one.due,
            done=one.done_ms is not None,
            topic=one.topic,
            day=one.day,
            overdue=one.done_ms is None and one.due is not None and one.due < today,
        )
        for one in session.execute(query).scalars()
    ]
