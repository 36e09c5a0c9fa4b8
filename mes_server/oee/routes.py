"""OEE, losses and stops."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query

from mes_server.kit.actor import Actor
from mes_server.kit.http import CursorQuery, FromQuery, KitDep, LimitQuery, Page, ToQuery, allow
from mes_server.machine_states.errors import BadWindow
from mes_server.machine_states.schemas import window_ms
from mes_server.oee import series, service
from mes_server.oee import stops as stop_list
from mes_server.oee.schemas import DayRecord, Losses, OeeRecord, ShiftRecord, StopOut

router = APIRouter(tags=["oee"])

SCOPE = r"^(site|(line|machine):[A-Za-z0-9._-]{1,64})$"
ScopeQuery = Annotated[str, Query(pattern=SCOPE, description="machine:X, line:L1 or site")]
DAYS_MAX = 31


def _check_days(from_day: date, to_day: date) -> None:
    if not 0 <= (to_day - from_day).days < DAYS_MAX:
        raise BadWindow(days_max=DAYS_MAX)


@router.get("/oee", operation_id="get_oee")
def get_oee(kit: KitDep, scope: ScopeQuery, from_: FromQuery, to: ToQuery, actor: Actor = allow("read")) -> OeeRecord:
    low, high = window_ms(from_, to)
    with kit.db.read() as session:
        return service.one(session, scope, low, high, kit.clock.now_ms())


@router.get("/oee/shifts", operation_id="list_oee_shifts")
def list_oee_shifts(kit: KitDep, from_day: date, to_day: date, scope: ScopeQuery = "site", actor: Actor = allow("read")) -> list[ShiftRecord]:
    """One record a machine and shift."""
    _check_days(from_day, to_day)
    with kit.db.read() as session:
        return series.shifts(session, scope, from_day, to_day, kit.clock.now_ms())


@router.get("/oee/days", operation_id="list_oee_days")
def list_oee_days(kit: KitDep, from_day: date, to_day: date, scope: ScopeQuery = "site", actor: Actor = allow("read")) -> list[DayRecord]:
    _check_days(from_day, to_day)
    with kit.db.read() as session:
        return series.days(session, scope, from_day, to_day, kit.clock.now_ms())


@router.get("/losses", operation_id="get_losses")
def get_losses(kit: KitDep, scope: ScopeQuery, from_: FromQuery, to: ToQuery, actor: Actor = allow("read")) -> Losses:
    low, high = window_ms(from_, to)
    with kit.db.read() as session:
        return service.losses(session, scope, low, high, kit.clock.now_ms())


@router.get("/stops", operation_id="list_stops")
def list_stops(
    kit: KitDep,
    scope: ScopeQuery,
    from_: FromQuery,
    to: ToQuery,
    reason: Annotated[str | None, Query(max_length=64, description="A reason's code or a Pareto row's key")] = None,
    min_s: Annotated[float, Query(ge=0)] = 0.0,
    limit: LimitQuery = 200,
    cursor: CursorQuery = None,
    actor: Actor = allow("read"),
) -> Page[StopOut]:
    low, high = window_ms(from_, to)
    with kit.db.read() as session:
        return stop_list.stops(session, scope, low, high, reason=reason, min_s=min_s, limit=limit, cursor=cursor)
