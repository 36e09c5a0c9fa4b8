"""GET/PUT /plant, GET /shifts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from edge_agent.contract.clock import iso
from mes_server.kit.actor import Actor
from mes_server.kit.acts import ms_of
from mes_server.kit.http import KitDep, WindowTooWide, allow
from mes_server.plant import service
from mes_server.plant.errors import ZoneDiffers
from mes_server.plant.rules import ShiftWindow
from mes_server.plant.schemas import PlantView, PutPlant, ShiftView

router = APIRouter(tags=["plant"])
DAYS_MAX = 400


@router.get("/plant", operation_id="get_plant")
def get_plant(kit: KitDep, actor: Actor = allow("read")) -> PlantView:
    """The active model. Before the first one is saved: no site and empty lists."""
    with kit.db.read() as session:
        return service.view(service.model(session))


@router.put("/plant", operation_id="put_plant")
async def put_plant(kit: KitDep, command: PutPlant, actor: Actor = allow("model.edit", everywhere=True)) -> dict[str, Any]:
    """Saves the whole model: upserts by code, retires what is no longer named. Every fault of it is named at once."""
    if command.model.site.zone != kit.zone.key:
        raise ZoneDiffers(model_zone=command.model.site.zone, server_zone=kit.zone.key)
    answer = await kit.acts.run(service.put_plant, actor, command)
    return answer.body


@router.get("/shifts", operation_id="list_shifts")
def list_shifts(
    kit: KitDep,
    from_: Annotated[AwareDatetime, Query(alias="from")],
    to: Annotated[AwareDatetime, Query()],
    actor: Actor = allow("read"),
) -> list[ShiftView]:
    """Shifts that touch the window, resolved in UTC, whole."""
    from_ms, to_ms = ms_of(from_), ms_of(to)
    if to_ms - from_ms > DAYS_MAX * 86_400_000:
        raise WindowTooWide(days_max=DAYS_MAX)
    with kit.db.read() as session:
        windows = service.model(session).calendar.shift_windows(from_ms, to_ms)
    return [_shift_view(one) for one in windows]


def _shift_view(window: ShiftWindow) -> ShiftView:
    values = {
        "shift": window.shift,
        "day": window.day.isoformat(),
        "from": iso(window.from_ms),
        "to": iso(window.to_ms),
        "planned_s": window.planned_ms / 1000,
        "breaks": [{"from": iso(a), "to": iso(b)} for a, b in window.breaks],
    }
    return ShiftView.model_validate(values)
