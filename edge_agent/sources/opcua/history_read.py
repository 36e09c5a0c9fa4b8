"""HistoryRead of raw values (OPC 10000-11, 6.4.3), whole or not at all; and which nodes have a history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import ua

from edge_agent.sources.opcua.client import UNREADABLE, Connection, lost, parts
from edge_agent.sources.opcua.profiles import Profile

HISTORY_VALUES = 10_000  # of a node in one answer; the rest comes by its continuation point
PAGES_MAX = 200  # answers for one node; a server that goes on is not believed
HISTORY_READ = 0x04  # bit of AccessLevel (OPC 10000-3, 8.57)
_EPOCH, _MS = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
_TRANSPORT_ERRORS = (OSError, TimeoutError, ConnectionError)
Found = list[ua.DataValue] | None


async def recorded(connection: Connection, nodes: Sequence[ua.NodeId], profile: Profile) -> frozenset[ua.NodeId]:
    """Those whose history this user may read. Raises SourceLost."""
    levels = await connection.read(nodes, profile.reads_per_call, ua.AttributeIds.UserAccessLevel)
    found = [value.Value.Value if value.Value is not None else None for value in levels]
    return frozenset(node for node, level in zip(nodes, found, strict=True) if isinstance(level, int) and level & HISTORY_READ)


async def history(connection: Connection, nodes: Sequence[ua.NodeId], from_ms: int, to_ms: int, profile: Profile) -> list[Found]:
    """Raw history of each node between the two times; None for a node whose history the server does not have or not give whole. Raises SourceLost."""
    out: list[Found] = []
    for part in parts(nodes, profile.histories_per_call):
        found: list[Found] = [[] for _ in part]
        open_points: dict[int, bytes | None] = dict.fromkeys(range(len(part)))
        for _ in range(PAGES_MAX):
            results = await _call(connection, [(part[i], point) for i, point in open_points.items()], from_ms, to_ms)
            open_points = _gathered(dict(zip(open_points, results, strict=True)), found)
            if not open_points:
                break
        for i in open_points:
            found[i] = None
        out += found
    return out


async def _call(connection: Connection, nodes: Sequence[tuple[ua.NodeId, bytes | None]], from_ms: int, to_ms: int) -> list[Any]:
    params = ua.HistoryReadParameters()
    details = ua.ReadRawModifiedDetails()
    details.IsReadModified = False
    details.StartTime, details.EndTime = _EPOCH + from_ms * _MS, _EPOCH + to_ms * _MS
    details.NumValuesPerNode = HISTORY_VALUES
    details.ReturnBounds = False
    params.HistoryReadDetails = details
    params.TimestampsToReturn = ua.TimestampsToReturn.Source
    params.ReleaseContinuationPoints = False
    params.NodesToRead = [ua.HistoryReadValueId(NodeId=node, ContinuationPoint=point) for node, point in nodes]
    try:
        results = list(await connection.client.uaclient.session.history_read(params))
    except _TRANSPORT_ERRORS as error:
        raise lost(error) from error
    except UNREADABLE:  # refused, or no answer to the question
        results = []
    return results if len(results) == len(nodes) else [None] * len(nodes)


def _gathered(results: dict[int, Any], found: list[Found]) -> dict[int, bytes | None]:
    """Puts the answers of one HistoryRead into `found`; returns where more is to be had, with its continuation point."""
    left: dict[int, bytes | None] = {}
    for i, result in results.items():
        values = found[i]
        if result is None or values is None or not result.StatusCode.is_good() or not isinstance(result.HistoryData, ua.HistoryData):
            found[i] = None
            continue
        values += result.HistoryData.DataValues or []
        if result.ContinuationPoint:
            left[i] = result.ContinuationPoint
    return left
