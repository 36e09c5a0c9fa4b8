"""The offices: the planner decides the ERP's changes and sends refused confirmations again, the supervisor clears the tablets' refused acts."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx

from simulators import living
from simulators.operators.api import Api, ApiError

_log = logging.getLogger(__name__)


class Desk:
    """One `api` that may do both jobs. `round` is one look through all lists; `run` looks every `every_s` real seconds."""

    def __init__(self, api: Api, every_s: float = 2.0) -> None:
        self._api, self._every_s = api, every_s
        self._task: asyncio.Task[None] | None = None
        self.decided = 0
        self.unsettled: list[dict[str, Any]] = []

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="desk")

    def check(self) -> None:
        """Raises what ended the desk, if it ended."""
        living.check([self._task] if self._task is not None else [])

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.round()
            except (httpx.HTTPError, ApiError) as error:
                _log.info("desk: %s", error)

    async def round(self, strays: frozenset[str] = frozenset()) -> None:
        await self._changes()
        await self._messages()
        await self._acts(strays)

    async def _changes(self) -> None:
        for change in (await self._api.get("/erp/changes", open=True))["items"]:
            await self._try("POST", f"/erp/changes/{change['id']}/apply")

    async def _messages(self) -> None:
        for message in (await self._api.get("/erp/messages", direction="out", status="refused"))["items"]:
            await self._try("POST", f"/erp/messages/{message['id']}/retry")

    async def _acts(self, strays: frozenset[str]) -> None:
        self.unsettled = []
        for entry in (await self._api.pages("/decide", limit=200))[::-1]:
            what = "drop" if entry["event_id"] in strays else "retry"
            fields = {"note": "scanned twice"} if what == "drop" else {}
            if not await self._try("POST", f"/decide/{entry['event_id']}/{what}", **fields):
                self.unsettled.append(entry)

    async def _try(self, method: str, path: str, **fields: Any) -> bool:
        try:
            await self._api.act(method, path, **fields)
        except ApiError as error:
            if error.status >= 500:
                raise
            _log.info("desk %s: %s", path, error)
            return False
        self.decided += 1
        return True
