"""Kinds of servers: a real one that names itself as they do and refuses what they refuse. Whatever it refuses, one bad node stays one failed node."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError

from edge_agent.app import build_sources
from edge_agent.config import AgentConfig
from edge_agent.contract.clock import PlantClock
from edge_agent.sources.opcua.filters import ABSOLUTE, NONE, PERCENT, Deadband
from edge_agent.sources.opcua.source import OpcUaSource
from tests.edge_agent.sources.opcua.test_watch import session
from tests.support.edge import NAMESPACE, Plc

SAMPLES = 120
WANTED = Deadband(1.0, 0.5)


class Behaving:
    """The server as another kind would be. `calls`: items in each call of CreateMonitoredItems; `filters`: deadbands that were asked for."""

    def __init__(self, plc: Plc) -> None:
        self._plc = plc
        self._server = plc._server
        self._service = self._server.iserver.subscription_service
        self._truly = self._service.create_monitored_items
        self._service.create_monitored_items = self._create
        read = self._server.iserver.attribute_service.read
        self._server.iserver.attribute_service.read = lambda params, *more: self._read(read, params, *more)
        self.be("", "")

    def be(self, maker: str, product: str, at_once: int = 10_000, refused: dict[int, int] | None = None, queue: int | None = None) -> None:
        """`refused`: type of deadband -> the status code that answers it."""
        self.calls: list[int] = []
        self.filters: list[int] = []
        self._at_once, self._refused, self._queue = at_once, refused or {}, queue
        assert self._plc._loop is not None
        self._plc._loop.call(self._name(maker, product))

    async def _name(self, maker: str, product: str) -> None:
        for leaf, value in (("ManufacturerName", maker), ("ProductName", product)):
            node = self._server.get_node(ua.NodeId(int(getattr(ua.ObjectIds, f"Server_ServerStatus_BuildInfo_{leaf}"))))
            await node.write_value(value, ua.VariantType.String)

    def _read(self, truly: Any, params: Any, *more: Any) -> Any:
        if len(params.NodesToRead) > self._at_once:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        return truly(params, *more)

    async def _create(self, params: Any, *more: Any) -> list[Any]:
        items = params.ItemsToCreate
        self.calls.append(len(items))
        if len(items) > self._at_once:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        answers = {at: self._refusal(item.RequestedParameters.Filter) for at, item in enumerate(items)}
        params.ItemsToCreate = [item for at, item in enumerate(items) if answers[at] is None]
        made = iter(await self._truly(params, *more))
        results = [next(made) if code is None else ua.MonitoredItemCreateResult(StatusCode=ua.StatusCode(code)) for code in answers.values()]
        for result in results:
            result.RevisedQueueSize = self._queue or result.RevisedQueueSize
        return results

    def _refusal(self, wanted: Any) -> int | None:
        kind = getattr(wanted, "DeadbandType", None)
        if kind is None:
            return None
        self.filters.append(int(kind))
        return self._refused.get(int(kind))


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Plc, Behaving]]:
    with Plc() as plc:
        plc.add("M.State", 6, ua.VariantType.Int32)
        for i in range(SAMPLES):
            plc.add(f"M.T{i}", float(i), ua.VariantType.Double)
        yield plc, Behaving(plc)


def source_of(plc: Plc) -> OpcUaSource:
    metrics: dict[str, Any] = {"state": {"node": "s=M.State"}, "bad": {"node": "s=M.Gone"}}
    metrics |= {f"t{i}": {"node": f"s=M.T{i}", "deadband_percent": WANTED.percent, "deadband": WANTED.absolute} for i in range(SAMPLES)}
    source: dict[str, Any] = {"type": "opcua", "url": plc.url, "security": "none", "devices": {"M": {"namespace": NAMESPACE, "metrics": metrics}}}
    source["resume_s"] = 0  # asyncua answers a subscription it handed over to the connection of before
    made = build_sources(AgentConfig.model_validate({"group": "P", "edge": "E", "sources": {"PLC": source}}), PlantClock())[1][0]
    assert isinstance(made, OpcUaSource)
    return made


def everything_comes(made: OpcUaSource) -> None:
    async def main() -> None:
        async with session(made) as running:
            await running.until(lambda: len({row[0] for row in running.rows()}) == SAMPLES + 1, "every value but the bad one")
            assert list(made.health.failed) == ["M.bad"]
            assert "BadNodeIdUnknown" in made.health.failed["M.bad"]

    asyncio.run(main())


UNSUPPORTED, INVALID = ua.StatusCodes.BadMonitoredItemFilterUnsupported, ua.StatusCodes.BadDeadbandFilterInvalid
PERCENT_TYPE, ABSOLUTE_TYPE = int(ua.DeadbandType.Percent), int(ua.DeadbandType.Absolute)


@pytest.mark.parametrize(
    ("maker", "product", "at_once", "refused", "calls", "asked", "step"),
    [
        ("Siemens AG", "SIMATIC S7-1200", 100, {PERCENT_TYPE: UNSUPPORTED}, [100, 22], set(), NONE),
        ("Siemens", "S7-1500", 500, {PERCENT_TYPE: UNSUPPORTED, ABSOLUTE_TYPE: UNSUPPORTED}, [122, 120, 120], {PERCENT_TYPE, ABSOLUTE_TYPE}, NONE),
        ("Kepware", "KEPServerEX", 1000, {PERCENT_TYPE: INVALID}, [122, 120], {PERCENT_TYPE, ABSOLUTE_TYPE}, ABSOLUTE),
        ("Somebody", "OPC UA Server", 500, {}, [122], {PERCENT_TYPE}, PERCENT),
    ],
)
def test_what_a_kind_of_server_refuses_is_not_asked_or_asked_once(
    server: tuple[Plc, Behaving], maker: str, product: str, at_once: int, refused: dict[int, int], calls: list[int], asked: set[int], step: str
) -> None:
    plc, behaving = server
    behaving.be(maker, product, at_once, refused)
    made = source_of(plc)
    everything_comes(made)
    assert behaving.calls == calls
    assert set(behaving.filters) == asked
    assert made.filters.step(5, WANTED) == step
    behaving.calls.clear()
    everything_comes(made)
    assert len(behaving.calls) == -(-122 // min(at_once, 122)), "the next session asks only for what is taken"


def test_a_server_that_takes_fewer_at_once_than_it_says_and_keeps_short_queues(server: tuple[Plc, Behaving]) -> None:
    plc, behaving = server
    behaving.be("", "Small PLC", 9, queue=1)  # less than the first read of any session asks for
    made = source_of(plc)
    everything_comes(made)
    assert "the server keeps fewer values between two sendings" in made.health.words()
    taken = [call for call in behaving.calls if call <= 9]
    assert sum(taken) == SAMPLES + 2, "none was asked for twice, none was left out"
    behaving.calls.clear()
    everything_comes(made)
    assert max(behaving.calls) <= 9, "it is remembered"


def test_nodes_are_looked_up_anew_when_the_namespaces_moved(server: tuple[Plc, Behaving]) -> None:
    """A download to a PLC gives a namespace another index."""
    made = source_of(server[0])

    async def indices(*uris: str) -> set[int]:
        return {item.node.NamespaceIndex for item in await made._resolved(None, list(uris))}  # type: ignore[arg-type]  # asked only for companion models

    async def main() -> None:
        assert await indices("ua", "app", NAMESPACE) == {2}
        assert await indices("ua", "app", "new", NAMESPACE) == {3}
        assert await indices("ua", "app", NAMESPACE) == {2}

    asyncio.run(main())
