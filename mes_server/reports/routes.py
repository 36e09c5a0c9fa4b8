"""The screens' one-call reads and the acts on actions."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from mes_server.kit.actor import Actor
from mes_server.kit.acts import Answer
from mes_server.kit.http import KitDep, allow
from mes_server.reports import service
from mes_server.reports.schemas import ChangeAction, MachineDay, MakeAction, PlantNow, Progress, SystemHealth, Wall, Yesterday
from mes_server.reports.service import Probes

router = APIRouter(tags=["reports"])


async def probes_of(request: Request) -> Probes:
    probes: Probes = request.app.state.reports
    return probes


ProbesDep = Annotated[Probes, Depends(probes_of)]
CodePath = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


def _answer(answer: Answer) -> dict[str, Any]:
    return {"event_id": answer.event_id, "seq": answer.seq, "replay": answer.replay, "body": answer.body}


@router.get("/plant/now", operation_id="get_plant_now")
def get_plant_now(kit: KitDep, probes: ProbesDep, actor: Actor = allow("read")) -> PlantNow:
    with kit.db.read() as session:
        return service.plant_now(session, kit, probes)


@router.get("/machines/{code}/day", operation_id="get_machine_day")
def get_machine_day(kit: KitDep, probes: ProbesDep, code: CodePath, day: date | None = None, actor: Actor = allow("read")) -> MachineDay:
    """A production day; without `day` the running one."""
    with kit.db.read() as session:
        return service.machine_day(session, kit, probes, code, day)


@router.get("/yesterday", operation_id="get_yesterday")
def get_yesterday(kit: KitDep, day: date | None = None, actor: Actor = allow("read")) -> Yesterday:
    """A production day in the morning meeting; without `day` the one before the running one."""
    with kit.db.read() as session:
        return service.yesterday(session, kit, day)


@router.get("/wall", operation_id="get_wall")
def get_wall(
    kit: KitDep, probes: ProbesDep, line: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = None, actor: Actor = allow("read")
) -> Wall:
    with kit.db.read() as session:
        return service.wall(session, kit, probes, line)


@router.post("/actions", operation_id="make_action")
async def make_action(kit: KitDep, command: MakeAction, actor: Actor = allow("read")) -> dict[str, Any]:
    return _answer(await kit.acts.run(service.make_action, actor, command))


@router.patch("/actions/{action}", operation_id="change_action")
async def change_action(
    kit: KitDep, action: Annotated[str, Path(pattern=r"^[0-9a-fA-F-]{36}$")], command: ChangeAction, actor: Actor = allow("read")
) -> dict[str, Any]:
    return _answer(await kit.acts.run(partial(service.change_action, action), actor, command))


@router.get("/health/system", operation_id="get_system_health")
def get_system_health(kit: KitDep, probes: ProbesDep, actor: Actor = allow("read")) -> SystemHealth:
    with kit.db.read() as session:
        return service.system_health(session, kit, probes)


@router.get("/history/progress", operation_id="get_history_progress")
def get_history_progress(kit: KitDep, probes: ProbesDep, actor: Actor = allow("read")) -> Progress:
    with kit.db.read() as session:
        return service.progress(session, probes)
