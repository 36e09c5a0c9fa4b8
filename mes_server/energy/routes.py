"""Load, summary and months of energy."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from mes_server.energy import balance, rules, service, swap_preview, swaps
from mes_server.energy.errors import TooManyBuckets
from mes_server.energy.schemas import WH_MAX, MeterLoad, MonthOut, Summary, SwapMeter, SwapPreview, SwapView
from mes_server.kit.actor import Actor
from mes_server.kit.acts import ms_of
from mes_server.kit.http import CursorQuery, FromQuery, KitDep, LimitQuery, Page, ToQuery, allow, page_of
from mes_server.machine_states.schemas import window_ms
from mes_server.plant import service as plant

router = APIRouter(tags=["energy"])

POINTS_MAX = 100_000


@router.get("/energy/load", operation_id="get_energy_load")
def get_energy_load(
    kit: KitDep,
    from_: FromQuery,
    to: ToQuery,
    bucket_s: Annotated[int, Query(ge=60, le=86_400, description="Seconds a bucket; on the plant's clock from local midnight")] = 900,
    meters: Annotated[str | None, Query(max_length=4_000, description="Meter codes, comma between")] = None,
    scope: Annotated[str, Query(max_length=80)] = "site",
    actor: Actor = allow("read"),
) -> list[MeterLoad]:
    """Energy of each bucket; `at` is where a bucket BEGINS."""
    low, high = window_ms(from_, to, 400)
    with kit.db.read() as session:
        model = plant.model(session)
        chosen = [model.meter(code).code for code in meters.split(",")] if meters else [one.code for one in service.meters_in(model, scope)]
        if len(chosen) * ((high - low) // (bucket_s * 1000) + 1) > POINTS_MAX:
            raise TooManyBuckets(points_max=POINTS_MAX)
        return service.load(session, chosen, low, high, bucket_s, service.zone_of(model, kit.zone))


@router.get("/energy/summary", operation_id="get_energy_summary")
def get_energy_summary(kit: KitDep, from_: FromQuery, to: ToQuery, actor: Actor = allow("read")) -> Summary:
    low, high = window_ms(from_, to)
    with kit.db.read() as session:
        return balance.summary(session, low, high, service.zone_of(plant.model(session), kit.zone), kit.clock.now_ms())


@router.get("/energy/months", operation_id="list_energy_months")
def list_energy_months(kit: KitDep, year: Annotated[int, Query(ge=2000, le=2200)], meter: str, actor: Actor = allow("read")) -> list[MonthOut]:
    with kit.db.read() as session:
        model = plant.model(session)
        return service.months(session, model.meter(meter).code, year, service.zone_of(model, kit.zone), kit.clock.now_ms())


@router.post("/energy/swaps", operation_id="swap_meter")
async def swap_meter(kit: KitDep, command: SwapMeter, actor: Actor = allow("supervise.correct")) -> dict[str, Any]:
    """Another meter hangs there: with the end reading of the old and the start reading of the new one, energy across the exchange is exact."""
    answer = await kit.acts.run(swaps.swap_meter, actor, command)
    return answer.body


@router.get("/energy/swaps", operation_id="list_meter_swaps")
def list_meter_swaps(
    kit: KitDep, meter: str | None = None, limit: LimitQuery = 500, cursor: CursorQuery = None, actor: Actor = allow("read")
) -> Page[SwapView]:
    """Newest first."""
    with kit.db.read() as session:
        return page_of(swaps.views(session, meter), lambda one: (one.at, one.meter), limit=limit, cursor=cursor, newest_first=True)


@router.get("/energy/swaps/preview", operation_id="preview_meter_swap")
def preview_meter_swap(
    kit: KitDep,
    meter: str,
    at: AwareDatetime,
    old_import_wh: Annotated[float, Query(ge=0, le=WH_MAX)],
    new_import_wh: Annotated[float, Query(ge=0, le=WH_MAX)],
    actor: Actor = allow("supervise.correct"),
) -> SwapPreview:
    """What POST /energy/swaps would do, and whether it would be refused; nothing is stored."""
    with kit.db.read() as session:
        return swap_preview.preview(session, meter, rules.Exchange(ms_of(at), old_import_wh, new_import_wh), kit.clock.now_ms())
