"""Deny by default: every route says which right it asks for, or that it is open on purpose; every role meets exactly its rights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import RouteContext, iter_route_contexts

from edge_agent.contract.clock import ManualClock
from mes_server.app import create_app
from mes_server.identity import rules
from mes_server.kit.http import open_to_all
from tests.support.server import RunningServer, make_settings

SCREENS = {f"{app}_{part}" for app in ("scanner", "dashboards") for part in ("root", "file")}
OPEN_ROUTES = {"healthz", "readyz", "metrics", "root", "get_clock", "get_setup", "set_up", "sign_in", "enrol_device", "enrol_edge", *SCREENS}


def routes_of(app: Any) -> list[RouteContext]:
    """Every API route as the application serves it; only the OpenAPI document is none."""
    found = list(iter_route_contexts(app.routes))
    assert {one.path for one in found if not hasattr(one, "dependant") or one.dependant is None} == {"/api/v1/openapi.json"}
    return [one for one in found if one.path != "/api/v1/openapi.json"]


def guards(dependant: Any) -> Iterator[Any]:
    for one in dependant.dependencies:
        yield one.call
        yield from guards(one)


def right_of(route: RouteContext) -> str | None:
    """The right a route asks for; "" for one that is open on purpose; None for one that says nothing."""
    for call in guards(route.dependant):
        if hasattr(call, "gemba_right"):
            return str(call.gemba_right)
        if call is open_to_all:
            return ""
    return None


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[RouteContext]:
    folder: Path = tmp_path_factory.mktemp("walk")
    return routes_of(create_app(make_settings(folder), clock=ManualClock(0)))


def test_every_route_is_guarded_or_open_on_purpose(routes: list[RouteContext]) -> None:
    assert len(routes) > 30
    assert [route.path for route in routes if right_of(route) is None] == []
    assert {route.operation_id for route in routes if right_of(route) == ""} == OPEN_ROUTES


def test_rights_are_words_of_the_contract(routes: list[RouteContext]) -> None:
    asked = {right_of(route) for route in routes} - {"", "any session", "enrolled device or read"}
    assert asked <= set(rules.RIGHTS)
    assert all(set(rights) <= set(rules.RIGHTS) for rights in rules.ROLES.values())


def test_operation_ids_are_given_and_unique(routes: list[RouteContext]) -> None:
    ids = [route.operation_id for route in routes]
    assert None not in ids
    assert sorted(one for one in ids if one) == sorted({one for one in ids if one})
    paths = [(method, route.path) for route in routes for method in route.methods]
    assert len(paths) == len(set(paths))


def test_every_role_meets_exactly_its_rights(server: RunningServer) -> None:
    """The matrix role × route: 403 where the role lacks the right, anything else where it has it; 401 for nobody."""
    clients: dict[str, httpx.Client] = {role: server.client(*rights) for role, rights in rules.ROLES.items()}
    nobody = server.client(None)
    wrong: list[str] = []
    for route in routes_of(server.app):
        right = right_of(route)
        if not route.path.startswith("/api/v1/") or right in (None, "", "any session", "enrolled device or read"):
            continue
        path = route.path.removeprefix("/api/v1")
        if path in ("/live",):
            path += "?topics=x"
        path = re.sub(r"\{\w+(:path)?\}", "x", path)
        for method in route.methods - {"HEAD"}:
            if nobody.request(method, path, json={}).status_code != 401:
                wrong.append(f"nobody {method} {path}")
            for role, client in clients.items():
                may = right in rules.ROLES[role]
                with client.stream(method, path, json={}) as answer:
                    denied = answer.status_code == 403
                if denied == may or answer.status_code >= 500:
                    wrong.append(f"{role} {method} {path} → {answer.status_code}")
    assert wrong == []
