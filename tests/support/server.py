"""A whole running server for tests: real HTTP on a free port, real store in a temporary folder, a clock that stands until it is moved.

    def test_something(server):                                   # SQLite; `any_server` runs the test over SQLite and PostgreSQL
        ann = server.client("read", "floor.report", person="P-ann")   # signed in with exactly these rights; server.client() has all of them
        answer = server.act(ann, "/plant", "PUT", model={...})        # adds event_id and occurred_at; returns the body, fails on an error
        assert server.client(None).get("/plant").status_code == 401   # not signed in

`server.kit` is the running app's kit (acts, db, live, clock); `server.app.state` holds the slices' services.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI, Request

from edge_agent.contract.clock import ManualClock, iso, parse_iso_ms
from mes_server import migrations
from mes_server.app import Server, create_app, make_server
from mes_server.config import Settings, load
from mes_server.kit.actor import Actor
from mes_server.kit.db import Database
from mes_server.kit.http import Kit
from mes_server.kit.ids import uuid7
from tests.support.wait import eventually

ALL_RIGHTS = (
    "read", "floor.report", "floor.start", "floor.stop_reason", "floor.material", "quality.defect", "quality.hold", "quality.release",
    "supervise.correct", "plan.orders", "model.edit", "people.edit", "erp.desk", "energy.read", "admin",
)  # fmt: skip
START = "2026-03-02T06:00:00+08:00"  # a Monday, start of the early shift in Shanghai


@dataclass
class TestSignIn:
    """Wraps the app's `authenticate`: knows the tests' own tokens and asks the real one for every other."""

    real: Any
    actors: dict[str, Actor] = field(default_factory=dict)
    __test__ = False

    async def __call__(self, request: Request) -> Actor:
        actor = self.actors.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        return actor if actor is not None else await self.real(request)


@dataclass
class RunningServer:
    """One server on `url` (API under /api/v1)."""

    app: FastAPI
    settings: Settings
    clock: ManualClock
    real: ManualClock  # sessions and sign-in limits only
    url: str
    sign_in: TestSignIn
    clients: list[httpx.Client] = field(default_factory=list)

    @property
    def kit(self) -> Kit:
        kit: Kit = self.app.state.kit
        return kit

    def client(self, *rights: str | None, person: str = "P-test", device: str | None = None, lang: str = "en") -> httpx.Client:
        """An HTTP client (base URL …/api/v1). No argument: every right. `None`: not signed in. "right@area" limits a right to an area."""
        headers = {"X-Lang": lang}
        if rights != (None,):
            token = f"test-{len(self.sign_in.actors)}"
            held = frozenset(str(right) for right in (rights or ALL_RIGHTS))
            self.sign_in.actors[token] = Actor(person, device, held, lang="en" if lang == "en" else "zh")
            headers["Authorization"] = f"Bearer {token}"
        made = httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=30)
        self.clients.append(made)
        return made

    def now(self) -> str:
        return iso(self.clock.now_ms())

    def envelope(self, **fields: Any) -> dict[str, Any]:
        """An act's body: fresh event id, occurred now unless told otherwise."""
        return {"event_id": str(uuid7(self.clock.now_ms())), "occurred_at": self.now(), **fields}

    def act(self, client: httpx.Client, path: str, method: str = "POST", **fields: Any) -> dict[str, Any]:
        """Sends one act and returns the answer's JSON; an error answer fails the test with its words."""
        answer = client.request(method, path, json=self.envelope(**fields))
        assert answer.status_code < 300, f"{method} {path} → {answer.status_code}: {answer.text[:1000]}"
        body: dict[str, Any] = answer.json() if answer.content else {}
        return body


def make_settings(folder: Path, *, database_url: str | None = None, **overrides: Any) -> Settings:
    """Settings for a test server: free port, no broker, telemetry in memory, cheap argon2. `overrides` use __ for dots: `identity__wrong_max=3`."""
    values: Mapping[str, Any] = {
        "data_dir": folder,
        "http.port": 0,
        "database.url": database_url,
        "telemetry.kind": "memory",
        "broker.kind": "none",
        "identity.argon2_memory_kib": 64,
        "identity.argon2_passes": 1,
        "identity.tries_per_minute_max": 10_000,
        **{key.replace("__", "."): value for key, value in overrides.items()},
    }
    return load(None, {}, overrides=values)


@contextmanager
def running_server(settings: Settings, clock: ManualClock | None = None, real: ManualClock | None = None) -> Iterator[RunningServer]:
    """Runs the app as `serve` does (uvicorn, lifespan) in a thread. The store must be migrated."""
    clock = clock if clock is not None else ManualClock(parse_iso_ms(START))
    real = real if real is not None else ManualClock(parse_iso_ms("2026-11-24T06:00:00Z"))
    app = create_app(settings, clock=clock, real=real)
    sign_in = TestSignIn(app.state.authenticate)
    app.state.authenticate = sign_in
    server: Server = make_server(app, settings)
    thread = threading.Thread(target=server.run, name="test-server", daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started or not thread.is_alive(), 20)
        assert server.started, "the server did not start; see the log"
        running = RunningServer(app, settings, clock, real, f"http://127.0.0.1:{server.port}", sign_in)
        yield running
        for client in running.clients:
            client.close()
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the server did not stop"


def sqlite_template(folder: Path) -> Path:
    """A migrated, empty SQLite store to copy from."""
    path = folder / "template.db"
    db = Database(f"sqlite:///{path}")
    migrations.upgrade(db.writer)
    db.close()
    return path


def copy_sqlite(template: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(template, folder / "gemba.db")
