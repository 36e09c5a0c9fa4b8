"""The server's HTTP API as its clients see it: a token, JSON, problems. Survives a server that is away."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

import httpx

from edge_agent.contract.clock import Clock, iso
from simulators.physics.events import uuid7


class ApiError(Exception):
    """The server said no: HTTP status and its problem+json."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('code', '')}: {problem.get('title', problem)}")
        self.status, self.problem = status, problem

    @property
    def code(self) -> str:
        return str(self.problem.get("code", ""))


class Api:
    """One client with at most one token. Network trouble and 5xx are waited out up to `patience_s` real seconds."""

    def __init__(self, base: str, clock: Clock, *, device: str | None = None, patience_s: float = 60.0) -> None:
        self._http = httpx.AsyncClient(base_url=f"{base}/api/v1", timeout=15.0, trust_env=False)
        self._clock, self.device, self._patience_s = clock, device, patience_s
        self.token: str | None = None

    async def close(self) -> None:
        await self._http.aclose()

    async def once(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """One try. Raises ApiError, httpx.HTTPError."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if self.device:
            headers["X-Device"] = self.device
        answer = await self._http.request(method, path, json=body, params={k: v for k, v in params.items() if v is not None}, headers=headers)
        if answer.status_code >= 400:
            try:
                problem = answer.json()
            except ValueError:
                problem = {"title": answer.text[:300]}
            raise ApiError(answer.status_code, problem)
        return answer.json() if answer.content else None

    async def call(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """Tries again while the server is away or busy; what it refuses is raised at once."""
        until = time.monotonic() + self._patience_s
        pause = 0.1
        while True:
            try:
                return await self.once(method, path, body, **params)
            except httpx.HTTPError:
                if time.monotonic() > until:
                    raise
            except ApiError as error:
                if (error.status < 500 and error.status != 429) or time.monotonic() > until:
                    raise
            await asyncio.sleep(pause)
            pause = min(1.0, pause * 1.7)

    async def get(self, path: str, **params: Any) -> Any:
        return await self.call("GET", path, **params)

    async def act(self, method: str, path: str, **fields: Any) -> Any:
        """A write of the office: envelope with an id of its own and the plant's time."""
        now_ms = self._clock.now_ms()
        return await self.call(method, path, {"event_id": uuid7(now_ms, secrets.token_hex(8)), "occurred_at": iso(now_ms), **fields})

    async def pages(self, path: str, limit: int = 500, **params: Any) -> list[Any]:
        """Every item of a paged list."""
        items: list[Any] = []
        cursor = None
        while True:
            page = await self.get(path, limit=limit, cursor=cursor, **params)
            items += page["items"]
            cursor = page.get("next")
            if cursor is None:
                return items

    async def sign_in(self, **who: Any) -> dict[str, Any]:
        """POST /session with badge, person+pin or user+password; keeps the token."""
        self.token = None
        session: dict[str, Any] = await self.call("POST", "/session", who)
        self.token = session["token"]
        return session
