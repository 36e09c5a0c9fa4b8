"""Genealogy over HTTP."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from mes_server.kit.http import KitDep, allow
from mes_server.traceability import service
from mes_server.traceability.schemas import TraceView

router = APIRouter(tags=["traceability"])


@router.get("/trace", operation_id="trace", dependencies=[allow("read")])
def trace(
    kit: KitDep,
    code: Annotated[str, Query(min_length=1, max_length=64)],
    kind: Literal["serial", "lot", "order"] | None = None,
    direction: Literal["up", "down", "both"] = "both",
    depth: Annotated[int, Query(ge=1, le=20)] = 20,
) -> TraceView:
    """What went into a serial, lot or order (up) and what it went into (down)."""
    with kit.db.read() as session:
        return service.trace(session, kind, code, direction, depth)
