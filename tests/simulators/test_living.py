"""A part of the simulated plant that ended is said, with what ended it."""

from __future__ import annotations

import asyncio

import pytest

from simulators import living


def test_a_task_that_ended_is_named_and_a_cancelled_or_living_one_is_not() -> None:
    async def fails() -> None:
        raise KeyError("act")

    async def run() -> None:
        tasks = [
            asyncio.create_task(fails(), name="tablet ST-SAW"),
            asyncio.create_task(asyncio.sleep(3600)),
            asyncio.create_task(asyncio.sleep(3600)),
        ]
        tasks[1].cancel()
        await asyncio.wait(tasks[:2])
        living.check(tasks[1:])
        with pytest.raises(RuntimeError, match="tablet ST-SAW ended: KeyError"):
            living.check(tasks)
        tasks[2].cancel()

    asyncio.run(run())
