"""Our decoder of publish responses against asyncua's own encoder and decoder."""

from __future__ import annotations

import contextlib
import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.payload import DataType
from edge_agent.errors import SourceLost
from edge_agent.sources.opcua import client, decode

V = ua.VariantType
T0 = datetime(2026, 3, 2, 6)
MAKE = {
    V.Boolean: lambda d: d.random() < 0.5,
    V.SByte: lambda d: d.randint(-128, 127),
    V.Byte: lambda d: d.randint(0, 255),
    V.Int16: lambda d: d.randint(-(2**15), 2**15 - 1),
    V.UInt16: lambda d: d.randint(0, 2**16 - 1),
    V.Int32: lambda d: d.randint(-(2**31), 2**31 - 1),
    V.UInt32: lambda d: d.randint(0, 2**32 - 1),
    V.Int64: lambda d: d.randint(-(2**63), 2**63 - 1),
    V.UInt64: lambda d: d.randint(0, 2**64 - 1),
    V.Float: lambda d: float(d.randint(-1000, 1000)) / 8,
    V.Double: lambda d: d.random() * 1e6,
    V.String: lambda d: d.choice(["", "WO-1001", "泵 P-310"]),
    V.DateTime: lambda d: T0 + timedelta(milliseconds=d.randint(0, 10**9)),
}


def item(dice: random.Random, handle: int, kind: ua.VariantType, status: int = 0, source: bool = True, server: bool = False) -> Any:
    value = ua.DataValue(
        ua.Variant(MAKE[kind](dice), kind),
        ua.StatusCode(status),
        SourceTimestamp=T0 + timedelta(milliseconds=dice.randint(0, 10**9)) if source else None,
        ServerTimestamp=T0 if server else None,
    )
    return ua.MonitoredItemNotification(ClientHandle=handle, Value=value)


def encoded(items: list[Any], sequence: int = 7, more: bool = False, other: list[Any] | None = None) -> bytes:
    response = ua.PublishResponse()
    parameters = response.Parameters
    parameters.SubscriptionId = 5
    parameters.AvailableSequenceNumbers = [3, 4]
    parameters.MoreNotifications = more
    parameters.NotificationMessage.SequenceNumber = sequence
    parameters.NotificationMessage.PublishTime = T0
    parameters.NotificationMessage.NotificationData = other or ([ua.DataChangeNotification(MonitoredItems=items)] if items else [])
    return bytes(struct_to_binary(response))


def by_asyncua(raw: bytes) -> list[tuple[Any, ...]]:
    message = struct_from_binary(ua.PublishResponse, Buffer(raw)).Parameters.NotificationMessage
    out = []
    for one in message.NotificationData[0].MonitoredItems:
        kind, value = client.plain(one.Value)
        stamp = decode.NO_TIME if one.Value.SourceTimestamp is None else client.ms_of(one.Value.SourceTimestamp)
        out.append((one.ClientHandle, stamp, kind, value))
    return out


def by_us(raw: bytes, layouts: decode.Layouts) -> list[tuple[Any, ...]]:
    response = decode.decode(raw, 0, layouts)
    assert (response.subscription, response.sequence) == (5, 7)
    return [(number, t_ms, kind & 0x7F, value) for number, t_ms, kind, value in response.changes[0].columns.rows()]


@pytest.mark.parametrize("kind", list(MAKE))
@pytest.mark.parametrize("n", [1, 200])
def test_every_scalar_type(kind: ua.VariantType, n: int) -> None:
    dice = random.Random(n)
    raw = encoded([item(dice, i, kind) for i in range(n)])
    assert by_us(raw, decode.Layouts()) == by_asyncua(raw)


@given(st.integers(0, 10**6), st.integers(1, 150), st.booleans())
def test_law_any_mix_decodes_as_asyncua_decodes_it(seed: int, n: int, steady: bool) -> None:
    """Mixed types, stamps, states; a steady layout twice (the second time through the remembered layout)."""
    dice = random.Random(seed)
    layouts = decode.Layouts()
    kinds = [dice.choice(list(MAKE)) if not steady else dice.choice([V.Double, V.Int32, V.Float, V.Boolean]) for _ in range(n)]
    for _ in range(2):
        items = []
        for handle, kind in enumerate(kinds):
            status = 0 if steady else dice.choice([0, 0, 0x408F0000, decode.OVERFLOW])
            items.append(item(dice, handle, kind, status, source=steady or dice.random() < 0.9, server=not steady and dice.random() < 0.3))
        raw = encoded(items)
        assert by_us(raw, layouts) == by_asyncua(raw)


def test_a_remembered_layout_is_not_believed_when_it_changed() -> None:
    dice = random.Random(1)
    layouts = decode.Layouts()
    first = encoded([item(dice, i, V.Double if i % 3 else V.Int32) for i in range(100)])
    second = encoded([item(dice, i, V.Double if i % 4 else V.Int16) for i in range(100)])
    for raw in (first, second, first, second[:], first):
        assert by_us(raw, layouts) == by_asyncua(raw)


@pytest.mark.parametrize("mixed", [False, True])
def test_big_notifications_with_states_say_the_same_as_item_by_item(mixed: bool) -> None:
    """Good, uncertain, bad and overflow among 300 items, in every order: structured view, walk and remembered layout against one by one."""
    dice = random.Random(4)
    layouts = decode.Layouts()
    kinds = [dice.choice([V.Double, V.Float, V.UInt16, V.Boolean]) if mixed else V.Double for _ in range(300)]
    for _ in range(4):
        order = dice.sample(range(300), 300)
        states = [dice.choice([0, 0, 0, 0x408F0000, 0x80310000, decode.OVERFLOW]) for _ in order]
        items = [item(dice, handle, kinds[handle], status, server=mixed and handle % 2 == 0) for handle, status in zip(order, states, strict=True)]
        for _ in range(2):
            whole = decode.decode(encoded(items), 0, layouts).changes[0]
            singly = [decode.decode(encoded([one]), 0, decode.Layouts()).changes[0] for one in items]
            assert whole.columns.rows() == [row for one in singly for row in one.columns.rows()]
            assert whole.overflow == [row for row, one in enumerate(singly) if one.overflow]
            assert whole.overflow == [row for row, status in enumerate(states) if status == decode.OVERFLOW]


def test_info_bits_are_masked_and_an_overflow_is_told() -> None:
    dice = random.Random(2)
    raw = encoded([item(dice, 1, V.Double), item(dice, 2, V.Double, decode.OVERFLOW), item(dice, 3, V.Double, 0x80000000)])
    changes = decode.decode(raw, 0, decode.Layouts()).changes[0]
    rows = changes.columns.rows()
    assert changes.overflow == [1]
    assert rows[1][3] is not None and rows[2][3] is None


def test_keep_alive_more_and_status_change() -> None:
    assert decode.decode(encoded([]), 0, decode.Layouts()).is_keep_alive
    assert decode.decode(encoded([], more=True), 0, decode.Layouts()).more
    ended = encoded([], other=[ua.StatusChangeNotification(Status=ua.StatusCode(0x800A0000))])
    assert decode.decode(ended, 0, decode.Layouts()).status == 0x800A0000


def test_what_we_have_no_use_for_is_null_and_a_localized_text_is_a_text() -> None:
    def one(variant: Any) -> list[tuple[Any, ...]]:
        raw = encoded([ua.MonitoredItemNotification(ClientHandle=1, Value=ua.DataValue(variant, SourceTimestamp=T0))])
        return decode.decode(raw, 0, decode.Layouts()).changes[0].columns.rows()

    assert one(ua.Variant([1.0, 2.0], V.Double))[0][3] is None
    assert one(ua.Variant(ua.LocalizedText("läuft"), V.LocalizedText))[0][2:] == (int(DataType.STRING), "läuft")


def test_faults_and_nonsense() -> None:
    fault = struct_to_binary(ua.ServiceFault(ResponseHeader=ua.ResponseHeader(ServiceResult=ua.StatusCode(ua.StatusCodes.BadNoSubscription))))
    with pytest.raises(SourceLost, match="BadNoSubscription"):
        client.decoded(bytes(fault), decode.Layouts())
    fault = struct_to_binary(ua.ServiceFault(ResponseHeader=ua.ResponseHeader(ServiceResult=ua.StatusCode(ua.StatusCodes.BadTooManyPublishRequests))))
    with pytest.raises(client.TooManyPublishes):
        client.decoded(bytes(fault), decode.Layouts())
    with pytest.raises(SourceLost, match="cannot be understood"):
        client.decoded(b"nonsense", decode.Layouts())


@given(st.binary(max_size=200), st.integers(0, 300))
def test_law_garbage_is_refused_not_believed(noise: bytes, cut: int) -> None:
    dice = random.Random(3)
    whole = encoded([item(dice, i, V.Int32) for i in range(5)])
    for raw in (noise, whole[:cut], whole[:40] + noise):
        with contextlib.suppress(decode.Unusual):
            decode.decode(raw, 0, decode.Layouts())


def test_more_items_than_bytes_are_refused() -> None:
    """A count that the bytes cannot hold: refused at once, not walked."""
    raw = encoded([item(random.Random(5), 7, V.Int32)])
    at = raw.index((1).to_bytes(4, "little") + (7).to_bytes(4, "little"))  # the number of items, then the first one's handle
    with pytest.raises(decode.Unusual):
        decode.decode(raw[:at] + (2**31 - 1).to_bytes(4, "little") + raw[at + 4 :], 0, decode.Layouts())
