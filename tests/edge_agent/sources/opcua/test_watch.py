"""Dead while connected: an item, a server loaded anew, a node refused before. Against a real server whose insides the test breaks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua

from edge_agent.app import build_agent, build_sources
from edge_agent.config import AgentConfig
from edge_agent.contract.clock import PlantClock
from edge_agent.errors import SourceLost
from edge_agent.events import Batch, Resumed
from edge_agent.sources.opcua import watch
from edge_agent.sources.opcua.source import OpcUaSource
from edge_agent.sources.source import Sink
from edge_agent.worker import Intake
from tests.support.edge import NAMESPACE, Plc
from tests.support.wait import eventually_async, free_port


@pytest.fixture(scope="module")
def one_plc() -> Iterator[Plc]:
    with Plc() as made:
        made.add("M.State", 6, ua.VariantType.Int32)
        made.add("M.Good", 3, ua.VariantType.UInt32)
        yield made


@pytest.fixture
def plc(one_plc: Plc) -> Plc:
    one_plc.set_many([("M.State", 6, None), ("M.Good", 3, None)])
    return one_plc


def config_of(url: str, metrics: dict[str, object], folder: Path | None = None) -> AgentConfig:
    device = {"namespace": NAMESPACE, "metrics": metrics}
    source = {"type": "opcua", "url": url, "security": "none", "publishing_interval_s": 0.05, "devices": {"M": device}}
    raw: dict[str, object] = {"group": "P", "edge": "E", "sources": {"PLC": source}}
    if folder is not None:
        raw |= {"brokers": [{"host": "127.0.0.1", "port": 1}], "buffer": {"path": folder / "edge.buffer"}}
    return AgentConfig.model_validate(raw)


def source_of(plc: Plc, **state: object) -> OpcUaSource:
    metrics = {"state": {"node": "s=M.State"} | state, "good": {"node": "s=M.Good"}}
    made = build_sources(config_of(plc.url, metrics), PlantClock())[1][0]
    assert isinstance(made, OpcUaSource)
    return made


class Running:
    """A session in the background; `rows` is what it told."""

    def __init__(self, made: OpcUaSource) -> None:
        self.intake = Intake()
        self.events: list[Any] = []
        self.task = asyncio.create_task(made.session(Sink(self.intake)))

    def rows(self) -> list[tuple[int, Any]]:
        while (event := self.intake.get(0)) is not None:
            self.events.append(event)
            if isinstance(event, Batch) and event.stored is not None:
                event.stored()
        return [(row[0], row[3]) for event in self.events if isinstance(event, Batch) for row in event.columns.rows()]

    async def until(self, probe: Callable[[], Any], why: str = "") -> None:
        await eventually_async(probe, 30, why=why)


@contextlib.asynccontextmanager
async def session(made: OpcUaSource) -> AsyncIterator[Running]:
    running = Running(made)
    try:
        await running.until(lambda: len(running.rows()) >= 2 or running.task.done(), "first values")
        yield running
    finally:
        running.task.cancel()
        await asyncio.gather(running.task, return_exceptions=True)


def drop_first_item(plc: Plc) -> None:
    """The server forgets the first monitored item, as servers do that are said to be connected and dead."""

    async def drop() -> None:
        for subscription in plc._server.iserver.subscription_service.subscriptions.values():
            items = subscription.monitored_item_srv
            items.delete_monitored_items([number for number, item in items._monitored_items.items() if item.client_handle == 0])

    assert plc._loop is not None
    plc._loop.call(drop())


def test_an_item_that_died_is_made_anew_and_the_time_before_is_told(plc: Plc) -> None:
    made = source_of(plc, max_silence_s=1.0)

    async def main() -> None:
        async with session(made) as running:
            drop_first_item(plc)
            plc.set("M.State", 5)
            await running.until(lambda: (0, 5) in running.rows(), "the value after the item was made anew")
            told = next(e for e in running.events if isinstance(e, Batch) and any(row[3] == 5 for row in e.columns.rows()))
            assert list(told.overflow) == [0]
            assert "watched anew" in made.health.words()
            plc.set("M.State", 4)
            await running.until(lambda: (0, 4) in running.rows(), "the new item lives")

    asyncio.run(main())


def test_an_item_that_is_merely_quiet_is_left_alone(plc: Plc) -> None:
    made = source_of(plc, max_silence_s=1.0)

    async def main() -> None:
        async with session(made) as running:
            await asyncio.sleep(2.0)
            assert running.rows() == [(0, 6), (1, 3)]
            assert "anew" not in made.health.words()

    asyncio.run(main())


def test_a_server_started_anew_under_us_ends_the_session_and_is_told_to_the_pipeline(plc: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "CHECK_S", 0.2)
    made = source_of(plc)

    async def main() -> None:
        async with session(made) as running:
            node = plc._server.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_StartTime))
            assert plc._loop is not None
            plc._loop.call(node.write_value(datetime.now() + timedelta(hours=1)))
            await running.until(running.task.done, "the session ends")
            assert "started anew" in str(running.task.exception())
        async with session(made) as running:
            (resumed,) = [event for event in running.events if isinstance(event, Resumed)]
            assert resumed.restarted

    asyncio.run(main())


def test_namespaces_that_change_end_the_session(plc: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "CHECK_S", 0.2)
    made = source_of(plc)

    async def main() -> None:
        async with session(made) as running:
            await asyncio.sleep(0.6)
            assert plc._loop is not None
            plc._loop.call(plc._server.register_namespace("urn:another"))
            await running.until(running.task.done, "the session ends")
            assert isinstance(running.task.exception(), SourceLost)
        async with session(made) as running:
            assert running.rows() == [(0, 6), (1, 3)]
            assert not [event for event in running.events if isinstance(event, Resumed) and event.restarted]

    asyncio.run(main())


def test_a_node_that_was_refused_is_tried_again(plc: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "RETRY_REFUSED_S", 0.2)
    monkeypatch.setattr(watch, "CHECK_S", 0.2)
    metrics: dict[str, object] = {"state": {"node": "s=M.State"}, "good": {"node": "s=M.Later"}}
    (made,) = build_sources(config_of(plc.url, metrics), PlantClock())[1]
    assert isinstance(made, OpcUaSource)

    async def main() -> None:
        running = Running(made)
        await running.until(lambda: running.rows() == [(0, 6)])
        assert "M.good" in made.health.failed
        plc.add("M.Later", 9, ua.VariantType.UInt32)
        await running.until(running.task.done, "the session ends")
        async with session(made) as again:
            assert (1, 9) in again.rows()
            assert made.health.failed == {}

    asyncio.run(main())


def test_a_server_that_is_back_is_found_whatever_the_pause(tmp_path: Path) -> None:
    """The pause between two tries may have grown to minutes: the agent knocks."""
    port = free_port()
    url = f"opc.tcp://127.0.0.1:{port}/test/"

    async def main() -> None:
        agent = build_agent(config_of(url, {"state": {"node": "s=M.State"}, "good": {"node": "s=M.Good"}}, tmp_path), PlantClock())
        (made,) = agent.sources
        assert isinstance(made, OpcUaSource)
        assert not await made.knock()  # it has not failed yet
        with pytest.raises(SourceLost):
            await made.session(Sink(Intake()))
        assert not await made.knock()  # nobody there
        waiting = asyncio.create_task(agent._waited_for(made, 600.0))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        with Plc(port) as plc:
            assert await asyncio.wait_for(waiting, 60)
            plc.add("M.State", 6, ua.VariantType.Int32)
            plc.add("M.Good", 3, ua.VariantType.UInt32)
            async with session(made) as running:
                assert not await made.knock()
                assert running.rows() == [(0, 6), (1, 3)]
        agent.worker.buffer.close()

    asyncio.run(main())
