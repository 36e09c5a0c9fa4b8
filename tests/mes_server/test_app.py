"""The server as a whole: health, figures, headers, limits, screens that are not built."""

from __future__ import annotations

import httpx

from tests.support.server import RunningServer


def test_health_ready_and_figures(any_server: RunningServer) -> None:
    root = httpx.Client(base_url=any_server.url)
    assert root.get("/healthz").json()["status"] == "ok"
    assert root.get("/readyz").json() == {"status": "ready", "faults": []}
    assert "gemba_http_requests_total" in root.get("/metrics").text


def test_deny_by_default(server: RunningServer) -> None:
    answer = server.client(None).get("/journal")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert server.client("read").get("/journal").status_code == 403
    assert server.client("supervise.correct").get("/journal").json() == {"items": [], "next": None}
