"""Deadband filters: percent, else absolute, else none; a refusal is asked for once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua

from edge_agent.app import build_sources
from edge_agent.config import AgentConfig
from edge_agent.contract.clock import PlantClock
from edge_agent.sources.opcua import client, profiles
from edge_agent.sources.opcua.filters import ABSOLUTE, NONE, PERCENT, Deadband, Filters, of
from edge_agent.sources.opcua.source import OpcUaSource
from tests.edge_agent.sources.opcua.test_watch import session
from tests.support.third_party import Peer

BOTH, SHARE = Deadband(5.0, 0.2), Deadband(5.0)
CODES = ua.StatusCodes


def test_a_server_without_filters_is_asked_once() -> None:
    filters = Filters()
    assert filters.step(1, BOTH) == PERCENT
    assert filters.refused(1, PERCENT, CODES.BadMonitoredItemFilterUnsupported)
    assert (filters.step(1, BOTH), filters.step(2, BOTH), filters.step(2, SHARE)) == (ABSOLUTE, ABSOLUTE, NONE)
    assert filters.refused(2, ABSOLUTE, CODES.BadMonitoredItemFilterUnsupported)
    assert filters.step(3, BOTH) == NONE


def test_an_item_that_allows_none_does_not_speak_for_the_others() -> None:
    filters = Filters()
    assert filters.refused(1, PERCENT, CODES.BadDeadbandFilterInvalid)
    assert (filters.step(1, BOTH), filters.step(2, BOTH)) == (ABSOLUTE, PERCENT)
    assert filters.refused(1, ABSOLUTE, CODES.BadFilterNotAllowed)
    assert filters.step(1, BOTH) == NONE


@pytest.mark.parametrize("code", [CODES.BadNodeIdUnknown, CODES.BadUserAccessDenied])
def test_other_refusals_are_the_items_own(code: int) -> None:
    filters = Filters()
    assert not filters.refused(1, PERCENT, code)
    assert not filters.refused(1, NONE, CODES.BadMonitoredItemFilterUnsupported)


def test_not_wanted_or_not_tried() -> None:
    assert Filters().step(1, Deadband()) == NONE
    assert Filters(supported=False).step(1, BOTH) == NONE
    assert of(NONE, BOTH) is None


def test_what_is_asked_for() -> None:
    percent, absolute = of(PERCENT, BOTH), of(ABSOLUTE, BOTH)
    assert percent is not None
    assert absolute is not None
    assert (percent.DeadbandType, percent.DeadbandValue) == (ua.DeadbandType.Percent, 5.0)
    assert (absolute.DeadbandType, absolute.DeadbandValue) == (ua.DeadbandType.Absolute, 0.2)


def test_a_third_party_server_that_refuses_percent_gives_absolute(tmp_path: Path) -> None:
    """Its temperature has no range: percent is refused, and the item lives with an absolute one."""
    metrics = {"state": {"node": "s=SAW-01.State"}, "temperature_c": {"node": "s=SAW-01.Temperature", "deadband": 1.0, "deadband_percent": 5.0}}
    with Peer("node-opcua-open", tmp_path, State=5, Temperature=20.0) as peer:
        device = {"namespace": "urn:gemba:test:plc", "metrics": metrics}
        source = {"type": "opcua", "url": f"opc.tcp://127.0.0.1:{peer.port}", "security": "none", "devices": {"M": device}}
        raw: dict[str, Any] = {"group": "P", "edge": "E", "sources": {"PLC": source}}
        (made,) = build_sources(AgentConfig.model_validate(raw), PlantClock())[1]
        assert isinstance(made, OpcUaSource)

        async def main() -> None:
            async with session(made) as running:
                assert made.health.failed == {}
                assert made.filters.step(1, Deadband(5.0, 1.0)) == ABSOLUTE
                peer.set(Temperature=20.5)
                peer.set(Temperature=22.0)
                peer.set(State=6)
                await running.until(lambda: (0, 6) in running.rows() and (1, 22.0) in running.rows())
                assert (1, 20.5) not in running.rows()

        asyncio.run(main())


def test_a_server_that_is_asked_too_often_at_once_is_asked_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """node-opcua keeps 100 PublishRequests of a session and refuses the oldest of more."""
    monkeypatch.setattr(profiles, "GENERIC", replace(profiles.GENERIC, publishes=130))
    metrics = {"state": {"node": "s=SAW-01.State"}, "good": {"node": "s=SAW-01.Good"}}
    with Peer("node-opcua-open", tmp_path, State=5, Good=7) as peer:
        device = {"namespace": "urn:gemba:test:plc", "metrics": metrics}
        source = {"type": "opcua", "url": f"opc.tcp://127.0.0.1:{peer.port}", "security": "none", "devices": {"M": device}}
        raw: dict[str, Any] = {"group": "P", "edge": "E", "sources": {"PLC": source}}
        (made,) = build_sources(AgentConfig.model_validate(raw), PlantClock())[1]
        assert isinstance(made, OpcUaSource)
        refused: list[int] = []
        told = client.Connection.response

        async def watched(self: client.Connection, future: Any, timeout_s: float) -> Any:
            try:
                return await told(self, future, timeout_s)
            except client.TooManyPublishes:
                refused.append(1)
                raise

        monkeypatch.setattr(client.Connection, "response", watched)

        async def main() -> None:
            async with session(made) as running:
                for good in range(8, 20):
                    peer.set(Good=good)
                    await running.until(lambda good=good: (1, good) in running.rows())  # type: ignore[misc]
                assert not running.task.done()

        asyncio.run(main())
        assert 20 < len(refused) < 60
