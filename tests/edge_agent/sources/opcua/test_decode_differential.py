"""Our decoder beside asyncua's own: every built-in type, arrays, matrices, states, every combination of stamps (OPC 10000-6, 5.2.2)."""

from __future__ import annotations

import math
import random
import struct
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.pipeline.columns import Columns
from edge_agent.sources.opcua import client, decode
from tests.edge_agent.sources.opcua.test_decode import MAKE, encoded

V = ua.VariantType
T0 = datetime(2026, 3, 2, 6)
_WORDS = ["", "WO-1001", "泵 P-310", "\x00", "ä" * 200]
_EDGES: dict[ua.VariantType, list[Any]] = {
    V.Float: [0.0, -0.0, math.inf, -math.inf, math.nan, 1.401298464324817e-45],
    V.Double: [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1.7976931348623157e308],
    V.DateTime: [datetime(1601, 1, 1), datetime(1970, 1, 1), datetime(2999, 12, 31, 23, 59, 59, 999999)],
    V.String: _WORDS,
}
# Types that our decoder steps over, whatever stands around them.
ODD: dict[ua.VariantType, Callable[[random.Random], Any]] = {
    V.Guid: lambda d: uuid.UUID(int=d.getrandbits(128)),
    V.ByteString: lambda d: d.randbytes(d.randint(0, 40)),
    V.XmlElement: lambda d: ua.XmlElement("<a/>"),
    V.NodeId: lambda d: d.choice([ua.NodeId(d.randint(0, 2**31), 2), ua.NodeId("泵", 3), ua.NodeId(uuid.UUID(int=5), 1), ua.NodeId(7, 0)]),
    V.ExpandedNodeId: lambda d: ua.ExpandedNodeId(d.randint(0, 2**31), 2),
    V.StatusCode: lambda d: ua.StatusCode(d.choice([0, 0x80310000])),
    V.QualifiedName: lambda d: ua.QualifiedName(d.choice(_WORDS), 2),
    V.LocalizedText: lambda d: ua.LocalizedText(d.choice(_WORDS), d.choice([None, "zh"])),
    V.ExtensionObject: lambda d: ua.Range(Low=d.random(), High=2.0),
    V.DataValue: lambda d: ua.DataValue(ua.Variant(d.random(), V.Double)),
    V.Variant: lambda d: ua.Variant(d.randint(0, 9), V.Int32),
}
STATES = [0, 0, 0, 0x408F0000, 0x80310000, 0x80000000, 0x40000000, decode.OVERFLOW, 0x408F0000 | decode.OVERFLOW, 0x400, 0x1000, 0x80]


def variant(dice: random.Random, kinds: list[ua.VariantType]) -> ua.Variant | None:
    roll = dice.random()
    if roll < 0.03:
        return None
    if roll < 0.06:
        return ua.Variant(None, V.Null)
    kind = dice.choice(kinds)
    make = MAKE.get(kind) or ODD[kind]
    edges = _EDGES.get(kind)
    if kind is V.Variant:
        return ua.Variant([make(dice) for _ in range(3)], kind)
    shape = dice.random() if any(kind in ODD for kind in kinds) or len(kinds) == 1 else 1.0
    if shape < 0.06:
        return ua.Variant([make(dice) for _ in range(dice.randint(0, 5))], kind, is_array=True)
    if shape < 0.09:
        rows, columns = dice.randint(1, 3), dice.randint(1, 3)
        return ua.Variant([[make(dice) for _ in range(columns)] for _ in range(rows)], kind, Dimensions=[rows, columns], is_array=True)
    return ua.Variant(dice.choice(edges) if edges and dice.random() < 0.3 else make(dice), kind)


def data_value(dice: random.Random, kinds: list[ua.VariantType]) -> ua.DataValue:
    """Any of the 64 combinations of what a DataValue may hold."""
    told = dice.getrandbits(4)
    return ua.DataValue(
        variant(dice, kinds),
        ua.StatusCode(dice.choice(STATES)),
        SourceTimestamp=T0 + timedelta(microseconds=dice.randint(0, 10**12)) if told & 1 else None,
        ServerTimestamp=T0 + timedelta(microseconds=dice.randint(0, 10**12)) if told & 2 else None,
        SourcePicoseconds=dice.randint(0, 9999) if told & 4 else None,
        ServerPicoseconds=dice.randint(0, 9999) if told & 8 else None,
    )


def by_asyncua(message: Any, subscription: int, *, more: bool) -> decode.Response:
    """What a notification says, by asyncua's decoder and its classes."""
    out = decode.Response(subscription, message.SequenceNumber, more, [])
    if message.PublishTime is not None and message.PublishTime.year > 1970:
        out.published_ms = float(client.ms_of(message.PublishTime))
    for notification in message.NotificationData or ():
        if isinstance(notification, ua.DataChangeNotification):
            rows, overflow = [], []
            for item in notification.MonitoredItems or ():
                kind, value = client.plain(item.Value)
                rows.append(
                    (
                        item.ClientHandle,
                        decode.NO_TIME if item.Value.SourceTimestamp is None else client.ms_of(item.Value.SourceTimestamp),
                        kind,
                        value,
                    )
                )
                if item.Value.StatusCode is not None and item.Value.StatusCode.value & decode.OVERFLOW == decode.OVERFLOW:
                    overflow.append(len(rows) - 1)
            if rows:
                out.changes.append(decode.Changes(Columns.of(rows), overflow))
        elif isinstance(notification, ua.StatusChangeNotification):
            out.status = notification.Status.value
    return out


def told(response: decode.Response) -> list[tuple[Any, ...]]:
    """Rows with their bits (so that not-a-number equals itself), then the rows with an overflow."""
    if not response.changes:
        return []
    columns, overflow = decode.joined(response.changes)
    rows: list[tuple[Any, ...]] = []
    for number, t_ms, kind, value in columns.rows():
        bits = struct.pack("<d", value) if isinstance(value, float) else value
        rows.append((number, t_ms, kind & 0x7F if value is not None else None, bits))
    return [*rows, overflow]


def both(raw: bytes, layouts: decode.Layouts) -> None:
    message = struct_from_binary(ua.PublishResponse, Buffer(raw)).Parameters
    theirs = by_asyncua(message.NotificationMessage, message.SubscriptionId, more=message.MoreNotifications)
    ours = client.decoded(raw, layouts)
    assert told(ours) == told(theirs)
    assert (ours.subscription, ours.sequence, ours.more, ours.published_ms, ours.status) == (
        theirs.subscription,
        theirs.sequence,
        theirs.more,
        theirs.published_ms,
        theirs.status,
    )


def notifications(seed: int, n: int, kinds: list[ua.VariantType], layouts: decode.Layouts) -> None:
    dice = random.Random(seed)
    items = [ua.MonitoredItemNotification(ClientHandle=dice.getrandbits(32), Value=data_value(dice, kinds)) for _ in range(n)]
    raw = encoded(items, sequence=dice.randint(1, 2**32 - 1), more=dice.random() < 0.5)
    both(raw, layouts)


@given(st.integers(0, 2**32), st.integers(1, 120))
@settings(max_examples=40, deadline=None)
def test_law_what_it_decodes_itself(seed: int, n: int) -> None:
    layouts = decode.Layouts()
    for turn in range(2):
        notifications(seed + turn, n, list(MAKE), layouts)


@given(st.integers(0, 2**32), st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_law_every_built_in_type(seed: int, n: int) -> None:
    notifications(seed, n, [*MAKE, *ODD], decode.Layouts())


@pytest.mark.parametrize("kind", [*MAKE, *ODD])
@pytest.mark.parametrize("n", [1, 100])
def test_every_type_by_itself(kind: ua.VariantType, n: int) -> None:
    for seed in range(5):
        notifications(seed, n, [kind], decode.Layouts())


@pytest.mark.full
@given(st.integers(0, 2**64), st.integers(1, 300))
@settings(max_examples=5_000, deadline=None)
def test_law_at_length(seed: int, n: int) -> None:
    layouts = decode.Layouts()
    for turn in range(2):
        notifications(seed + turn, n, list(MAKE) if seed % 3 else [*MAKE, *ODD], layouts)


def test_several_notifications_in_one_response_keep_their_order_and_their_overflows() -> None:
    def one(handle: int, status: int) -> Any:
        return ua.MonitoredItemNotification(
            ClientHandle=handle, Value=ua.DataValue(ua.Variant(1.5, V.Double), ua.StatusCode(status), SourceTimestamp=T0)
        )

    parts: list[Any] = [ua.DataChangeNotification(MonitoredItems=[one(1, 0), one(2, decode.OVERFLOW)])]
    parts.append(ua.DataChangeNotification(MonitoredItems=[one(3, decode.OVERFLOW), one(4, 0)]))
    raw = encoded([], other=parts)
    both(raw, decode.Layouts())
    columns, overflow = decode.joined(decode.decode(raw, 0, decode.Layouts()).changes)
    assert (columns.ids.tolist(), overflow) == ([1, 2, 3, 4], [1, 2])


def test_republished_is_decoded_alike() -> None:
    items = [ua.MonitoredItemNotification(ClientHandle=i, Value=ua.DataValue(ua.Variant(i, V.Int32), SourceTimestamp=T0)) for i in range(80)]
    message = ua.NotificationMessage(SequenceNumber=9, PublishTime=T0, NotificationData=[ua.DataChangeNotification(MonitoredItems=items)])
    raw = bytes(struct_to_binary(ua.RepublishResponse(NotificationMessage=message)))
    assert told(decode.decode_republished(raw, 0, decode.Layouts(), 5)) == told(by_asyncua(message, 5, more=False))
    assert decode.decode_republished(raw, 0, decode.Layouts(), 5).sequence == 9
