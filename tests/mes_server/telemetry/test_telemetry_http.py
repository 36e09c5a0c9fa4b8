"""GET /telemetry and the series list."""

from __future__ import annotations

import numpy as np
import pytest

from edge_agent.contract.clock import iso
from mes_server.telemetry.store import Samples
from tests.support.server import RunningServer

T0 = 1_772_409_600_000


def fill(server: RunningServer) -> np.ndarray:
    store = server.app.state.telemetry
    number = store.register("M-SAW-01", "power_w")
    ts = T0 + np.arange(7_200) * 1_000
    value = 100.0 + np.arange(7_200) % 50
    store.append(Samples(np.full(7_200, number, np.int32), ts, value), {})
    return value


def ask(server: RunningServer, **more: object) -> dict[str, object]:
    query = {"device": "M-SAW-01", "metric": "power_w", "from": iso(T0), "to": iso(T0 + 7_200_000), **more}
    answer = server.client("read").get("/telemetry", params={key: str(value) for key, value in query.items()})
    assert answer.status_code == 200, answer.text
    body: dict[str, object] = answer.json()
    return body


def test_a_window_comes_as_min_mean_max(server: RunningServer) -> None:
    fill(server)
    body = ask(server, points=72)
    points = body["points"]
    assert isinstance(points, list) and len(points) == 72 and body["bucket_ms"] == 100_000
    assert points[0] == [T0, 100.0, 124.5, 149.0]


def test_long_windows_come_from_rollups_and_are_the_same(server: RunningServer) -> None:
    value = fill(server)
    body = ask(server, points=130)
    points = body["points"]
    assert isinstance(points, list) and body["bucket_ms"] == 60_000 and len(points) == 120
    assert points[3] == [T0 + 180_000, value[180:240].min(), pytest.approx(value[180:240].mean(), rel=1e-12), value[180:240].max()]


def test_nothing_known_is_an_empty_chart(server: RunningServer) -> None:
    assert ask(server, device="NOBODY")["points"] == []


def test_series_are_listed(server: RunningServer) -> None:
    fill(server)
    answer = server.client("read").get("/telemetry/series", params={"device": "M-SAW-01"})
    assert answer.json() == {"items": [{"device": "M-SAW-01", "metric": "power_w"}], "next": None}


def test_bad_windows_and_strangers_are_refused(server: RunningServer) -> None:
    query = {"device": "M-SAW-01", "metric": "power_w", "from": iso(T0), "to": iso(T0)}
    refused = server.client("read").get("/telemetry", params=query)
    assert refused.status_code == 422 and refused.json()["code"] == "bad_window" and refused.json()["next_step"]
    assert server.client(None).get("/telemetry", params=query).status_code == 401
    assert server.client("read").get("/telemetry", params={**query, "points": 5_000}).status_code == 422
