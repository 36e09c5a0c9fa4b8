"""Tells live screens of a stop as it passes the micro-stop limit: a periodic look, so that nothing has to happen on the machine for it."""

from __future__ import annotations

import asyncio

from mes_server.kit.http import Kit
from mes_server.machine_states import service
from mes_server.plant import service as plant


class StopWatcher:
    """Remembers which stops it told of. A restart tells of the open ones once more; screens take the newest word."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._told: dict[str, int] = {}

    async def look(self) -> None:
        await asyncio.to_thread(self.look_now)

    def look_now(self) -> None:
        with self._kit.db.read() as session:
            machines = list(plant.model(session).machines.values())
            events = service.newly_open(session, machines, self._kit.clock.now_ms(), self._told, self._kit.clock.speed)
        for topic, data in events:
            self._kit.live.publish(topic, data)
