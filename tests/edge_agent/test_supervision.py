"""Nothing ends the supervision of a source without a word: neither many tries, nor a driver's odd errors, nor a log that cannot be written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from pathlib import Path

import pytest

from edge_agent import app, config_text
from edge_agent.agent import Agent, pause_s, say
from edge_agent.contract.clock import PlantClock
from edge_agent.errors import EdgeError, SourceLost
from edge_agent.sources.source import Sink, Source
from tests.support.wait import eventually_async, free_port

CONFIG = """group = "G"
edge = "E-1"
host = "gemba"
[buffer]
path = "{folder}/edge.buffer"
[[brokers]]
host = "127.0.0.1"
port = {port}
[sources.M]
type = "modbus"
host = "127.0.0.1"
port = {port}
backoff_max_s = 0.2
[sources.M.devices.D-1.metrics]
power_w = {{ register = 2 }}
"""


class Odd:
    """A driver that does what none should. `sessions` counts."""

    def __init__(self, like: Source, error: BaseException, knock: BaseException | None = None) -> None:
        self.name, self.health, self.devices, self.clock = like.name, like.health, like.devices, like.clock
        self._error, self._knock = error, knock
        self.sessions = 0

    async def session(self, sink: Sink) -> None:
        self.sessions += 1
        raise self._error

    async def knock(self) -> bool:
        if self._knock is not None:
            raise self._knock
        return False


@contextmanager
def agent_with(folder: Path, error: BaseException, knock: BaseException | None = None, *, loud: bool = False) -> Iterator[tuple[Agent, Odd]]:
    path = folder / "edge.toml"
    path.write_text(CONFIG.format(folder=folder, port=free_port()))
    agent = app.build_agent(config_text.load(path), PlantClock(), None if loud else lambda text: None)
    odd = Odd(agent.sources[0], error, knock)
    agent.sources = [odd]  # type: ignore[list-item]
    yield agent, odd


async def _goes_on(agent: Agent, odd: Odd) -> None:
    running = asyncio.create_task(agent.run())
    await eventually_async(lambda: odd.sessions >= 4 or running.done(), 30)
    assert odd.sessions >= 4 and odd.health.status == "lost"
    agent.stop()
    await running


def test_the_pause_after_a_weekend_of_tries() -> None:
    """2.0 ** 1024 is an OverflowError: a PLC that was away for 1,029 tries was never asked again."""
    assert all(0.0 < pause_s(failures, 5.0) <= 6.5 for failures in (0, 1, 5, 6, 1029, 100_000))
    assert pause_s(100_000, 600.0) >= 420.0


@pytest.mark.parametrize(
    ("error", "knock"),
    [
        (SourceLost("away", "断开"), UnicodeError("label empty or too long")),
        (asyncio.CancelledError(), None),  # a request of a driver that was cancelled when its connection fell
        (KeyError("a driver's own error"), ValueError("port out of range")),
    ],
    ids=["knock", "cancelled", "both"],
)
def test_a_drivers_odd_errors_are_losses_like_others(tmp_path: Path, error: BaseException, knock: BaseException | None) -> None:
    with agent_with(tmp_path, error, knock) as (agent, odd):
        asyncio.run(_goes_on(agent, odd))


def test_a_log_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    full = Path("/dev/full").open("w")  # noqa: SIM115 - its close tries once more to write, and fails
    with redirect_stderr(full), agent_with(tmp_path, SourceLost("away", "断开"), loud=True) as (agent, odd):
        say("nobody reads this")
        asyncio.run(_goes_on(agent, odd))
    with suppress(OSError):
        full.close()


def test_a_supervision_that_ends_all_the_same_takes_the_agent_down_in_words(tmp_path: Path) -> None:
    async def run(agent: Agent) -> None:
        running = asyncio.create_task(agent.run())
        await eventually_async(lambda: bool(agent._tasks), 30)
        agent._tasks["M"].cancel()
        with pytest.raises(EdgeError, match="supervision of source M ended"):
            await running

    with agent_with(tmp_path, SourceLost("away", "断开")) as (agent, _):
        asyncio.run(run(agent))
