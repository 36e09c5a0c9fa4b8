"""States and gaps of machines. (Stops are in the oee slice: their planned seconds and operations need the calendar and the orders.)"""

from __future__ import annotations

from fastapi import APIRouter

from mes_server.kit.actor import Actor
from mes_server.kit.http import CursorQuery, FromQuery, KitDep, LimitQuery, Page, ToQuery, allow
from mes_server.machine_states import service
from mes_server.machine_states.schemas import GapOut, StateOut, window_ms
from mes_server.plant import service as plant

router = APIRouter(tags=["machine_states"])


@router.get("/states", operation_id="list_states", response_model_by_alias=True)
def list_states(kit: KitDep, machine: str, from_: FromQuery, to: ToQuery, actor: Actor = allow("read")) -> list[StateOut]:
    """The machine's states over the window, contiguous; `no_data` with its cause where nothing is known. `to` null: still lasting now."""
    low, high = window_ms(from_, to)
    with kit.db.read() as session:
        return service.states(session, plant.model(session).machine(machine), low, high, kit.clock.now_ms())


@router.get("/gaps", operation_id="list_gaps", response_model_by_alias=True)
def list_gaps(
    kit: KitDep,
    from_: FromQuery,
    to: ToQuery,
    machine: str | None = None,
    device: str | None = None,
    limit: LimitQuery = 200,
    cursor: CursorQuery = None,
    actor: Actor = allow("read"),
) -> Page[GapOut]:
    low, high = window_ms(from_, to, 400)
    with kit.db.read() as session:
        return service.gaps(session, machine=machine, device=device, from_ms=low, to_ms=high, limit=limit, cursor=cursor)
