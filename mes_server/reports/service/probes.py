"""What the doors above this slice know and the screens want: the composition root hands it down, so that reports import no door."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from mes_server.kit.faults import Fault

Watts = tuple[float | None, float | None]


def _no_edges(session: Session) -> list[dict[str, Any]]:
    return []


def _no_progress(session: Session) -> dict[str, Any]:
    return {"expected": None, "stored": 0, "done": True}


def _no_outboxes() -> list[dict[str, Any]]:
    return []


def _nothing_coming() -> int:
    return 0


def _no_values(codes: Iterable[str]) -> dict[str, dict[str, Any]]:
    return {}


def _no_erp(session: Session) -> dict[str, Any] | None:
    return None


def _no_broker() -> dict[str, Any]:
    return {"connected": False, "since": None, "restarts": 0}


def _no_faults() -> list[Fault]:
    return []


def _no_quarantine(session: Session) -> dict[str, Any]:
    return {"records": 0, "newest": None, "reason": ""}


def _no_samples(device: str, metric: str, from_ms: int, to_ms: int, bucket_ms: int) -> dict[int, Watts]:
    return {}


@dataclass(frozen=True)
class Probes:
    """Each field answers "nothing there" until the composition root says better.

    edges(session): rows of GET /health/system; progress(session): {expected, stored, done}; last_values(codes): code → {power_w, at_ms, stale, …};
    outboxes(): {device, waiting, heard_s} of tablets with acts on them; acts_coming(): how many of those are on their way in;
    erp(session): GET /erp/status or None; broker(): {connected, since, restarts};
    faults(): what is wrong with the server's own parts, the gravest first;
    quarantine(session): {records, newest, reason} of payloads put aside;
    extremes(device, metric, from_ms, to_ms, bucket_ms): bucket start → (min, max).
    """

    edges: Callable[[Session], list[dict[str, Any]]] = _no_edges
    progress: Callable[[Session], dict[str, Any]] = _no_progress
    outboxes: Callable[[], list[dict[str, Any]]] = _no_outboxes
    acts_coming: Callable[[], int] = _nothing_coming
    last_values: Callable[[Iterable[str]], dict[str, dict[str, Any]]] = _no_values
    erp: Callable[[Session], dict[str, Any] | None] = _no_erp
    broker: Callable[[], dict[str, Any]] = _no_broker
    faults: Callable[[], list[Fault]] = _no_faults
    quarantine: Callable[[Session], dict[str, Any]] = _no_quarantine
    extremes: Callable[[str, str, int, int, int], dict[int, Watts]] = _no_samples
    telemetry: str = "none"
    database: str = "sqlite"
    version: str = ""
    started_s: float = 0.0  # time.monotonic at start
