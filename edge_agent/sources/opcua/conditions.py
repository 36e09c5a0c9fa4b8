"""Alarm conditions as events: what is asked of the server, and what its EventNotificationList says (OPC 10000-9; OPC 40501-1, AlertType).

One item on the Server object tells the events of all machines behind it (OPC 10000-3, 4.7.2); whose one is tells its source, a node of the machine.
Events are rare: they are read by asyncua, an object each. One that cannot be read is passed over.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from asyncua import Client, ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary

from edge_agent.pipeline.columns import STRING, Value
from edge_agent.sources.opcua import alarms
from edge_agent.sources.opcua.client import Connection, ms_of
from edge_agent.sources.opcua.companion import MACHINE_TOOL
from edge_agent.sources.opcua.walk import read

Place = tuple[str, object]  # namespace URI and identifier of a node
Row = tuple[int, int, int, Value]
SERVER = "nsu=http://opcfoundation.org/UA/;i=2253"
REFRESH_TRIES, REFRESH_WAIT_S = 10, 0.2
WAIT_S = 2.0  # for what is active; a server that takes longer tells it later
SUBSCRIBE_TO_EVENTS = 0x01  # bit of EventNotifier (OPC 10000-3, 8.59)
_ALERT_TYPE = 39  # in the namespace of OPC 40501-1
_UNREADABLE = (ua.UaError, struct.error, ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError)

_BASE, _CONDITION, _ALARM = ua.ObjectIds.BaseEventType, ua.ObjectIds.ConditionType, ua.ObjectIds.AlarmConditionType
_FIELDS: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("type", _BASE, ("EventType",)),
    ("source", _BASE, ("SourceNode",)),
    ("source_name", _BASE, ("SourceName",)),
    ("time", _BASE, ("Time",)),
    ("message", _BASE, ("Message",)),
    ("severity", _BASE, ("Severity",)),
    ("condition", _CONDITION, ()),  # the node of the condition itself
    ("name", _CONDITION, ("ConditionName",)),
    ("branch", _CONDITION, ("BranchId",)),
    ("retain", _CONDITION, ("Retain",)),
    ("active", _ALARM, ("ActiveState", "Id")),
    ("code", _ALERT_TYPE, ("ErrorCode",)),  # of OPC 40501-1, where the server has it
)
_SPECIAL: Mapping[int, str] = {
    ua.ObjectIds.RefreshStartEventType: alarms.REFRESH_START,
    ua.ObjectIds.RefreshEndEventType: alarms.REFRESH_END,
    ua.ObjectIds.EventQueueOverflowEventType: alarms.LOST,
}


def event_filter(namespaces: Sequence[str]) -> ua.EventFilter:
    """All events, with the fields that an alarm is made of. What is no condition is left out here: not every server has a WhereClause."""
    clauses = []
    for name, type_id, path in _FIELDS:
        if name == "code" and MACHINE_TOOL not in namespaces:
            continue
        index = list(namespaces).index(MACHINE_TOOL) if name == "code" else 0
        wanted = ua.SimpleAttributeOperand(TypeDefinitionId=ua.NodeId(type_id, index))
        wanted.AttributeId = ua.AttributeIds.Value if path else ua.AttributeIds.NodeId
        wanted.BrowsePath = [ua.QualifiedName(part, index) for part in path]
        clauses.append(wanted)
    return ua.EventFilter(SelectClauses=clauses)


async def tells_events(client: Client) -> bool:
    """Whether the server says that it has events. Raises asyncua's and the transport's errors."""
    (notifier,) = await read(client, [ua.NodeId(ua.ObjectIds.Server)], ua.AttributeIds.EventNotifier)
    bits = notifier.Value.Value if notifier.Value is not None else None
    return isinstance(bits, int) and bool(bits & SUBSCRIBE_TO_EVENTS)


async def refresh(connection: Connection, subscription: int) -> bool:
    """Asks for the events of all conditions that are active; they come as notifications (OPC 10000-9, 5.5.7). False: the server cannot."""
    number = ua.Variant(subscription, ua.VariantType.UInt32)
    method = ua.CallMethodRequest(ua.NodeId(ua.ObjectIds.ConditionType), ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh), [number])
    for _ in range(REFRESH_TRIES):
        status = await connection.call(method)
        if status.value != ua.StatusCodes.BadRefreshInProgress:
            return bool(status.is_good())
        await asyncio.sleep(REFRESH_WAIT_S)  # for somebody else
    return False


def place(node: ua.NodeId, namespaces: Sequence[str]) -> Place:
    index = node.NamespaceIndex
    return namespaces[index] if index < len(namespaces) else "", node.Identifier


@dataclass(slots=True)
class Told:
    """What events say: rows for the inputs, those of them before which events were dropped; `ask_again`: for all that is active."""

    rows: list[Row] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    ask_again: bool = False
    unreadable: int = 0


class Desk:
    """`places`: input number -> the nodes of its machine. Times go up in the order of arrival, for a condition is what was said of it last."""

    def __init__(self, places: Mapping[int, frozenset[Place]], namespaces: Sequence[str]) -> None:
        self._places, self._namespaces = places, namespaces
        self._newest_ms = 0
        self._since_ms, self._until_s = 0, 0.0  # what is active is on its way: as of when, waited for until when

    def __bool__(self) -> bool:
        return bool(self._places)

    def expect(self, since_ms: int) -> None:
        """What is active was asked for and is on its way: it was so at `since_ms` already, when the new subscription began."""
        self._since_ms, self._until_s = since_ms, time.monotonic() + WAIT_S

    @property
    def awaits(self) -> bool:
        return time.monotonic() < self._until_s

    def told(self, bodies: Iterable[bytes], arrived_ms: int, skew_ms: float) -> Told:
        """`bodies`: EventNotificationLists. A time that is off by more than `skew_ms` is that of the arrival."""
        out = Told()
        for body in bodies:
            try:
                events = [_fields(one.EventFields) for one in struct_from_binary(ua.EventNotificationList, Buffer(body)).Events]
            except _UNREADABLE:
                out.unreadable += 1
                continue
            for event in events:
                self._take(event, arrived_ms, skew_ms, out)
        return out

    def unknown(self, at_ms: int) -> list[Row]:
        """Rows that say: what is active cannot be known."""
        return [(number, at_ms, STRING, alarms.UNKNOWN) for number in self._places]

    def _take(self, event: Mapping[str, Any], arrived_ms: int, skew_ms: float, out: Told) -> None:
        kind = event.get("type")
        kind_id = kind.Identifier if isinstance(kind, ua.NodeId) and kind.NamespaceIndex == 0 else None
        if kind_id == ua.ObjectIds.RefreshRequiredEventType:
            out.ask_again = True
            return
        special = _SPECIAL.get(kind_id) if isinstance(kind_id, int) else None
        numbers = self._machine_of(event) if special is None else list(self._places)
        told = _condition(event, arrived_ms) if special is None else special
        if not numbers or told is None:
            return
        t_ms = _ms(event.get("time"), arrived_ms, skew_ms)
        self._newest_ms = t_ms = max(t_ms, min(self._newest_ms, arrived_ms))
        if self.awaits:
            t_ms = self._since_ms
            if special == alarms.REFRESH_END:
                self._until_s = 0.0
        if special == alarms.LOST:
            out.ask_again = True
            out.lost += range(len(out.rows), len(out.rows) + len(numbers))
        out.rows += [(number, t_ms, STRING, told) for number in numbers]

    def _machine_of(self, event: Mapping[str, Any]) -> list[int]:
        nodes = [event.get("source"), event.get("condition")]
        places = {place(node, self._namespaces) for node in nodes if isinstance(node, ua.NodeId)}
        return [number for number, mine in self._places.items() if places & mine]


def _fields(values: Sequence[ua.Variant]) -> dict[str, Any]:
    return {name: value.Value for (name, _, _), value in zip(_FIELDS, values, strict=False)}


def _condition(event: Mapping[str, Any], arrived_ms: int) -> str | None:
    """What an event says of a condition; None for what is no alarm, and for a branch: an earlier state that waits for acknowledgement."""
    node, branch, active = event.get("condition"), event.get("branch"), event.get("active")
    if not isinstance(node, ua.NodeId) or not isinstance(active, bool) or (isinstance(branch, ua.NodeId) and not branch.is_null()):
        return None
    condition = node.to_string()
    if not active or event.get("retain") is False:
        return alarms.is_over(condition)
    severity = event.get("severity")
    t_ms = _ms(event.get("time"), arrived_ms, float("inf"))
    return alarms.is_active(condition, severity if isinstance(severity, int) else 0, t_ms, _code(event) or condition)


def _code(event: Mapping[str, Any]) -> str:
    """The machine's own code where the event has one (OPC 40501-1), else what the condition is called, else what it says."""
    message = event.get("message")
    words = (event.get("code"), event.get("name"), message.Text if isinstance(message, ua.LocalizedText) else None, event.get("source_name"))
    return next((text for word in words if isinstance(word, str) and (text := word.strip())), "")


def _ms(stamp: Any, arrived_ms: int, skew_ms: float) -> int:
    try:
        t_ms = ms_of(stamp)
    except (AttributeError, TypeError, OverflowError):
        return arrived_ms
    return t_ms if abs(t_ms - arrived_ms) <= skew_ms else arrived_ms
