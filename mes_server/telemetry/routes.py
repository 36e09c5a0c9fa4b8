"""GET /telemetry: one series, reduced to the points a chart can show."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel

from mes_server.kit.acts import ms_of
from mes_server.kit.http import CursorQuery, LimitQuery, Page, allow, page_of
from mes_server.telemetry.errors import BadWindow
from mes_server.telemetry.store import ROLLUP_MINUTES, Buckets, TelemetryStore

router = APIRouter(tags=["telemetry"])
WINDOW_DAYS_MAX = 400
_CODE = r"^[A-Za-z0-9._-]{1,64}$"


class TelemetryOut(BaseModel):
    """`points`: [start of the bucket in ms since 1970 UTC, min, mean, max]; buckets without a sample are left out."""

    device: str
    metric: str
    bucket_ms: int
    points: list[tuple[int, float, float, float]]


class SeriesOut(BaseModel):
    device: str
    metric: str


@router.get("/telemetry", operation_id="read_telemetry", dependencies=[allow("read")])
def read_telemetry(
    request: Request,
    device: Annotated[str, Query(pattern=_CODE)],
    metric: Annotated[str, Query(min_length=1, max_length=200)],
    from_: Annotated[AwareDatetime, Query(alias="from")],
    to: AwareDatetime,
    points: Annotated[int, Query(ge=1, le=2_000, description="Points at most")] = 600,
) -> TelemetryOut:
    """Min, mean and max per bucket. Long windows are answered from roll-ups of 15 minutes or 1 minute, which equal the raw samples."""
    store: TelemetryStore = request.app.state.telemetry
    low, high = ms_of(from_), ms_of(to)
    if not 0 < high - low <= WINDOW_DAYS_MAX * 86_400_000:
        raise BadWindow(days=WINDOW_DAYS_MAX)
    found = chart(store, device, metric, low, high, points)
    rows = zip(found.start.tolist(), found.low.tolist(), found.mean.tolist(), found.high.tolist(), strict=True)
    return TelemetryOut(device=device, metric=metric, bucket_ms=found.width_ms, points=list(rows))


@router.get("/telemetry/series", operation_id="list_telemetry_series", dependencies=[allow("read")])
def list_series(
    request: Request, device: Annotated[str | None, Query(pattern=_CODE)] = None, limit: LimitQuery = 500, cursor: CursorQuery = None
) -> Page[SeriesOut]:
    """What is sampled, by device and metric."""
    store: TelemetryStore = request.app.state.telemetry
    found = [SeriesOut(device=one.device, metric=one.metric) for one in store.series() if device is None or one.device == device]
    return page_of(found, lambda one: (one.device, one.metric), limit=limit, cursor=cursor)


def chart(store: TelemetryStore, device: str, metric: str, from_ms: int, to_ms: int, points: int) -> Buckets:
    """The coarsest source that still fills the chart: 15-minute or 1-minute roll-ups, else raw samples."""
    for minutes in sorted(ROLLUP_MINUTES, reverse=True):
        wanted = (to_ms - from_ms) / (minutes * 60_000)
        if points / 2 <= wanted <= points:
            return store.rollup(device, metric, from_ms, to_ms, minutes)
    return store.buckets(device, metric, from_ms, to_ms, points)
