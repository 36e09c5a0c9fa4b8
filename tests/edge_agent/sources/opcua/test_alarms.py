"""Alarms from conditions: what is known after each word of the server, and what its events say, as asyncua encodes them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary

from edge_agent.events import Batch, Resumed
from edge_agent.pipeline.columns import STRING, Columns, Value
from edge_agent.sources.opcua import alarms, decode, items
from edge_agent.sources.opcua.combine import Combination, Combiner
from edge_agent.sources.opcua.companion import MACHINE_TOOL
from edge_agent.sources.opcua.conditions import Desk, Told, event_filter, place
from tests.edge_agent.sources.opcua.test_decode import encoded

ON, OFF = alarms.is_active, alarms.is_over
START, END, LOST, UNKNOWN = alarms.REFRESH_START, alarms.REFRESH_END, alarms.LOST, alarms.UNKNOWN
OIL, DOOR = ON("oil", 300, 10, "E1"), ON("door", 700, 20, "E2")


def said(*told: str) -> list[Value]:
    """What the metric is after each; ... where nothing is said."""
    out: list[Any] = []
    known: Value = None
    for one in told:
        known = alarms.folded(known, one)
        try:
            out.append(alarms.alarm({alarms.EVENTS: known}))
        except alarms.NotYet:
            out.append(...)
    return out


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ((OIL, DOOR, OFF("door"), OFF("oil")), ["E1", "E2", "E1", ""]),
        ((DOOR, OIL), ["E2", "E2"]),
        ((ON("a", 500, 1, "A"), ON("b", 500, 2, "B"), ON("a", 500, 3, "A")), ["A", "B", "A"]),
        ((OFF("oil"),), [""]),
        ((START, END), [..., ""]),
        ((START, OIL, END), [..., ..., "E1"]),
        ((OIL, DOOR, START, OIL, END), ["E1", "E2", ..., ..., "E1"]),
        ((OIL, START, DOOR, OFF("door"), END), ["E1", ..., ..., ..., ""]),
        ((UNKNOWN,), [...]),
        ((OIL, UNKNOWN), ["E1", ""]),
        ((LOST, END), [..., ...]),
        ((OIL, LOST, END), ["E1", "E1", "E1"]),
    ],
)
def test_the_alarm_is_the_latest_of_the_gravest_that_are_active(told: tuple[str, ...], expected: list[Any]) -> None:
    assert said(*told) == expected


def test_of_too_many_the_gravest_are_remembered_and_a_code_has_a_bound() -> None:
    known: Value = None
    for number in range(alarms.ACTIVE_MAX + 50):
        known = alarms.folded(known, ON(f"c{number}", number, number, "x" * 500))
    assert isinstance(known, str) and known.count('"c') == alarms.ACTIVE_MAX and '"c0"' not in known
    assert alarms.alarm({alarms.EVENTS: known}) == "x" * alarms.CODE_CHARS_MAX


def test_a_gap_forgets_what_was_said_but_not_what_is_active_and_dropped_events_are_told() -> None:
    def take(text: str, t_ms: int, *, lost: bool = False) -> list[tuple[int, Value]]:
        made = combiner.take(Batch((0,), Columns.of([(10, t_ms, STRING, text)]), overflow=[0] if lost else []))
        assert made.overflow == ([0] if lost else [])
        return [(t, value) for _, t, _, value in made.columns.rows()]

    def new() -> Combiner:
        one = Combination(1, {alarms.EVENTS: 10}, alarms.alarm, 0, "M.alarm")
        return Combiner(10, [one], {}, {10: "M.events"}, {10: alarms.folded})

    combiner = new()
    assert [take(OIL, 1), take(OIL, 2), take(DOOR, 3)] == [[(1, "E1")], [], [(3, "E2")]]
    combiner.forget(Resumed([0], 4).devices)
    assert [take(START, 5), take(OIL, 6), take(END, 7)] == [[], [], [(7, "E1")]]
    assert take(LOST, 8, lost=True) == [(8, "E1")]
    state = combiner.state()
    combiner = new()
    combiner.go_on(state)
    assert [take(OIL, 9), take(OFF("oil"), 10)] == [[], [(10, "")]]


# --- events ------------------------------------------------------------------------------------------------------------------------
NAMESPACES = ["http://opcfoundation.org/UA/", "urn:plc", MACHINE_TOOL]
T0_MS = 1_772_431_200_000
T0 = datetime(2026, 3, 2, 6)
PRESS, LATHE = ua.NodeId("PRESS", 1), ua.NodeId("LATHE", 1)
HANDLE = 3


def event(kind: int = ua.ObjectIds.AlarmConditionType, s: float = 0.0, source: ua.NodeId = PRESS, **given: Any) -> ua.EventFieldList:
    values = {"source_name": "Press", "message": "Oil is low", "severity": 300, "condition": ua.NodeId("Oil", 1), "name": "OilLow"} | {
        "branch": ua.NodeId(), "retain": True, "active": True, "code": None,
    } | given  # fmt: skip
    V = ua.VariantType
    condition = kind == ua.ObjectIds.AlarmConditionType
    fields = [
        ua.Variant(ua.NodeId(kind), V.NodeId),
        ua.Variant(source, V.NodeId),
        ua.Variant(values["source_name"], V.String),
        ua.Variant(T0 + timedelta(seconds=s), V.DateTime),
        ua.Variant(ua.LocalizedText(values["message"]), V.LocalizedText),
        ua.Variant(values["severity"], V.UInt16),
        *(
            ua.Variant(values[name], variant) if condition and values[name] is not None else ua.Variant()
            for name, variant in (("condition", V.NodeId), ("name", V.String), ("branch", V.NodeId), ("retain", V.Boolean), ("active", V.Boolean),
                                  ("code", V.String))
        ),
    ]  # fmt: skip
    return ua.EventFieldList(ClientHandle=HANDLE, EventFields=fields)


def told(*events: ua.EventFieldList, desk: Desk | None = None, arrived_s: float = 100.0) -> Told:
    raw = encoded([], other=[ua.EventNotificationList(Events=list(events))])
    response = decode.decode(raw, 0, decode.Layouts())
    assert response.events is not None and not response.is_keep_alive and response.changes == []
    found = desk if desk is not None else new_desk()
    return found.told(response.events, T0_MS + int(arrived_s * 1000), 3_600_000.0)


def new_desk() -> Desk:
    return Desk({20: frozenset({("urn:plc", "PRESS"), ("urn:plc", "Oil")}), 21: frozenset({("urn:plc", "LATHE")})}, NAMESPACES)


def alarm_of(row: tuple[int, int, int, Value]) -> tuple[int, int, Value]:
    number, t_ms, _, text = row
    return number, t_ms - T0_MS, alarms.alarm({alarms.EVENTS: alarms.folded(None, text)})


def test_an_event_becomes_the_alarm_of_the_machine_that_it_came_from() -> None:
    assert [alarm_of(row) for row in told(event()).rows] == [(20, 0, "OilLow")]
    assert [alarm_of(row) for row in told(event(code="4711")).rows] == [(20, 0, "4711")], "the machine's own code where it has one"
    assert [alarm_of(row) for row in told(event(code=" ", name=None)).rows] == [(20, 0, "Oil is low")]
    assert [alarm_of(row) for row in told(event(source=LATHE, condition=ua.NodeId("Chuck", 1))).rows] == [(21, 0, "OilLow")]
    assert [alarm_of(row) for row in told(event(source=ua.NodeId(2253))).rows] == [(20, 0, "OilLow")], "known by the condition's own node"
    assert [alarm_of(row) for row in told(event(active=False)).rows] == [(20, 0, "")], "over, and not acknowledged yet"
    assert [alarm_of(row) for row in told(event(retain=False)).rows] == [(20, 0, "")]


@pytest.mark.parametrize(
    "one",
    [
        event(source=ua.NodeId("CRANE", 1), condition=ua.NodeId("Rope", 1)),
        event(branch=ua.NodeId("earlier", 1)),
        event(active=None),
        event(ua.ObjectIds.BaseEventType),
        event(ua.ObjectIds.AuditEventType),
    ],
)
def test_what_is_no_alarm_of_a_machine_here_is_passed_over(one: ua.EventFieldList) -> None:
    assert told(one) == Told()


def test_times_go_up_in_the_order_of_arrival_and_a_wrong_clock_is_not_believed() -> None:
    rows = told(event(s=5), event(s=3), event(s=9), event(s=99_999)).rows
    assert [row[1] - T0_MS for row in rows] == [5000, 5000, 9000, 100_000]


def test_a_refresh_tells_what_was_so_when_the_subscription_began() -> None:
    desk = new_desk()
    desk.expect(T0_MS + 50)
    assert desk.awaits
    found = told(event(ua.ObjectIds.RefreshStartEventType, 7), event(s=-500), event(ua.ObjectIds.RefreshEndEventType, 8), event(s=9), desk=desk)
    assert not desk.awaits and not found.ask_again
    assert [(row[0], row[1] - T0_MS) for row in found.rows] == [(20, 50), (21, 50), (20, 50), (20, 50), (21, 50), (20, 9000)]
    assert said(*(str(row[3]) for row in found.rows if row[0] == 20)) == [..., ..., "OilLow", "OilLow"]


def test_dropped_events_and_a_server_that_began_anew_have_all_asked_for_again() -> None:
    found = told(event(), event(ua.ObjectIds.EventQueueOverflowEventType, 1))
    assert found.ask_again and found.lost == [1, 2] and [row[0] for row in found.rows] == [20, 20, 21]
    assert told(event(ua.ObjectIds.RefreshRequiredEventType)) == Told(ask_again=True)


def test_events_that_cannot_be_read_are_passed_over() -> None:
    found = new_desk().told([b"\x01\x00\x00\x00\xff", bytes(struct_to_binary(ua.EventNotificationList(Events=[event()])))], T0_MS, 3_600_000.0)
    assert found.unreadable == 1 and len(found.rows) == 1


def test_values_and_events_come_in_one_notification() -> None:
    value = ua.MonitoredItemNotification(ClientHandle=1, Value=ua.DataValue(ua.Variant(7, ua.VariantType.Int32), SourceTimestamp=T0))
    raw = encoded([], other=[ua.DataChangeNotification(MonitoredItems=[value]), ua.EventNotificationList(Events=[event()])])
    response = decode.decode(raw, 0, decode.Layouts())
    assert np.array_equal(response.changes[0].columns.ids, [1]) and len(response.events or ()) == 1


def test_the_item_asks_for_events_and_for_the_codes_of_machine_tools_where_the_server_has_them() -> None:
    assert len(event_filter(NAMESPACES).SelectClauses) == len(event_filter(NAMESPACES[:2]).SelectClauses) + 1 == 12
    request = ua.CreateMonitoredItemsRequest()
    request.Parameters.SubscriptionId, request.Parameters.TimestampsToReturn = 7, ua.TimestampsToReturn.Source
    made = ua.MonitoredItemCreateRequest()
    made.ItemToMonitor.NodeId, made.ItemToMonitor.AttributeId = ua.NodeId(2253), ua.AttributeIds.EventNotifier
    made.MonitoringMode = ua.MonitoringMode.Reporting
    wanted = made.RequestedParameters
    wanted.ClientHandle, wanted.SamplingInterval, wanted.QueueSize, wanted.DiscardOldest = 3, 0.0, items.EVENT_QUEUE, True
    wanted.Filter = event_filter(NAMESPACES)
    request.Parameters.ItemsToCreate.append(made)
    whole = items.REQUEST + struct_to_binary(request.RequestHeader) + items.request(7, [items.Asked(ua.NodeId(2253), 3, wanted.Filter)], 50.0, 9)
    assert whole == struct_to_binary(request)


def test_a_node_has_its_place_by_the_name_of_its_namespace() -> None:
    assert place(PRESS, NAMESPACES) == ("urn:plc", "PRESS")
    assert place(ua.NodeId(5, 9), NAMESPACES) == ("", 5)
