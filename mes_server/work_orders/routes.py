"""Orders over HTTP: lists, one order, counts, the planner's acts."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from mes_server.kit import journal
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Answer, Command, ServiceFunction, ms_of
from mes_server.kit.http import CursorQuery, KitDep, LimitQuery, Page, allow, page_of
from mes_server.plant import service as plant
from mes_server.work_orders import schemas, service
from mes_server.work_orders.schemas import CountView, OrderView

router = APIRouter(tags=["work orders"])
_PLAN = Annotated[Actor, allow("plan.orders")]


class ActAnswer(BaseModel):
    """What every act answers: its place in the journal, whether it had been recorded before, and what it changed."""

    event_id: str
    seq: int
    replay: bool
    body: dict[str, Any]


def act_answer(answer: Answer) -> ActAnswer:
    return ActAnswer(event_id=answer.event_id, seq=answer.seq, replay=answer.replay, body=answer.body)


@router.get("/work-orders", operation_id="list_work_orders", dependencies=[allow("read")])
def list_work_orders(
    kit: KitDep,
    status: Annotated[str | None, Query(max_length=100, description="One or several, comma between")] = None,
    line: Annotated[str | None, Query(max_length=64)] = None,
    machine: Annotated[str | None, Query(max_length=64)] = None,
    q: Annotated[str | None, Query(max_length=100, description="Part of the number or of the item's code or name")] = None,
    limit: LimitQuery = 50,
    cursor: CursorQuery = None,
) -> Page[OrderView]:
    """Orders by due date."""
    with kit.db.read() as session:
        machines = [machine] if machine else [one.code for one in plant.model(session).machines_in(f"line:{line}")] if line else None
        statuses = status.split(",") if status else None
        return service.orders_page(session, kit.clock.now_ms(), statuses=statuses, machines=machines, q=q, limit=limit, cursor=cursor)


@router.get("/work-orders/{number}", operation_id="get_work_order", dependencies=[allow("read")])
def get_work_order(number: str, kit: KitDep) -> OrderView:
    with kit.db.read() as session:
        return service.order_view(session, number, kit.clock.now_ms())


@router.get("/work-orders/{number}/events", operation_id="list_work_order_events", dependencies=[allow("read")])
def list_work_order_events(number: str, kit: KitDep, limit: LimitQuery = 100, cursor: CursorQuery = None) -> Page[dict[str, Any]]:
    """The order's journal: its own acts and those of its operations, newest first."""
    with kit.db.read() as session:
        order = service.order_view(session, number, kit.clock.now_ms())
        subjects = [f"order:{number}", *(f"operation:{one.id}" for one in order.operations)]
        return journal.page(session, subjects=subjects, limit=limit, cursor=cursor)


@router.get("/counts", operation_id="list_counts", dependencies=[allow("read")])
def list_counts(
    kit: KitDep,
    from_: Annotated[AwareDatetime, Query(alias="from")],
    to: AwareDatetime,
    machine: Annotated[str | None, Query(max_length=64)] = None,
    order: Annotated[str | None, Query(max_length=64)] = None,
    limit: LimitQuery = 500,
    cursor: CursorQuery = None,
) -> Page[CountView]:
    """Pieces per machine and operation with from ≤ time < to: machine and person counts together, after moves and corrections."""
    with kit.db.read() as session:
        found = service.count_views(session, [machine] if machine else None, ms_of(from_), ms_of(to), order)
    return page_of(found, lambda one: (one.machine, one.operation or ""), limit=limit, cursor=cursor)


@router.post("/work-orders", operation_id="create_work_order", status_code=201)
async def create_work_order(command: schemas.CreateOrder, kit: KitDep, actor: _PLAN) -> ActAnswer:
    return act_answer(await kit.acts.run(service.create_order, actor, command))


class OrderActBody(BaseModel):
    """The act's own id and time; what is done is in the path."""

    event_id: UUID
    occurred_at: AwareDatetime
    note: Annotated[str | None, Field(max_length=500)] = None


_ORDER_ACTS: dict[str, tuple[type[Command], ServiceFunction]] = {
    "release": (schemas.ReleaseOrder, service.release_order),
    "hold": (schemas.HoldOrder, service.hold_order),
    "resume": (schemas.ResumeOrder, service.resume_order),
    "complete": (schemas.CompleteOrder, service.complete_order),
    "close": (schemas.CloseOrder, service.close_order),
    "cancel": (schemas.CancelOrder, service.cancel_order),
}


class ChangeBody(OrderActBody):
    quantity: Annotated[int | None, Field(ge=1, le=999_999)] = None
    due: AwareDatetime | None = None
    priority: Annotated[int | None, Field(ge=1, le=9)] = None


@router.post("/work-orders/{number}/change", operation_id="change_work_order")
async def change_work_order(number: schemas.Code, body: ChangeBody, kit: KitDep, actor: _PLAN) -> ActAnswer:
    command = schemas.ChangeOrder.model_validate({"order": number, **body.model_dump(exclude={"note"})})
    return act_answer(await kit.acts.run(service.change_order, actor, command))


def _add_order_act(name: str, command_type: type[Command], function: ServiceFunction) -> None:
    async def act(number: schemas.Code, body: OrderActBody, kit: KitDep, actor: _PLAN) -> ActAnswer:
        command = command_type.model_validate({"order": number, **body.model_dump()})
        return act_answer(await kit.acts.run(function, actor, command))

    router.add_api_route(
        f"/work-orders/{{number}}/{name}", act, methods=["POST"], operation_id=f"{name}_work_order", summary=f"{name.capitalize()} the order"
    )


for _name, (_command, _function) in _ORDER_ACTS.items():
    _add_order_act(_name, _command, _function)
