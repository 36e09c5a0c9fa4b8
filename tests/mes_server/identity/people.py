"""People for the identity tests."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.server import RunningServer

BADGE = "7Q2K9XH4M3TZ5"
PIN = "402917"
PASSWORD = "the gate opens at six"


def add(server: RunningServer, code: str, *roles: str, **more: Any) -> dict[str, Any]:
    """Adds a person; a role may carry an area: "operator@L1"."""
    held = [{"role": role.partition("@")[0], "area": role.partition("@")[2] or None} for role in roles]
    return server.act(server.client(), "/people", code=code, name=f"Name of {code}", roles=held, **more)


def bearer(server: RunningServer, token: str, **headers: str) -> httpx.Client:
    client = server.client(None)
    client.headers.update({"Authorization": f"Bearer {token}", **headers})
    return client


def sign_in(server: RunningServer, *, device: str | None = None, **body: Any) -> httpx.Client:
    """A client with a real session; fails the test if the sign-in is refused."""
    answer = server.client(None).post("/session", json=body, headers={"X-Device": device} if device else {})
    assert answer.status_code == 200, answer.text
    return bearer(server, answer.json()["token"])
