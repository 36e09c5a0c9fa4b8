"""The vectorised decoder against the protobuf runtime: the same columns for whatever is a payload, the same refusal for what is not."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.contract.payload import DataType, set_value
from edge_agent.contract.sparkplug_b_pb2 import Payload
from mes_server.ingest import codec

T0 = 1_772_409_600_000
NUMERIC = [
    DataType.INT8, DataType.INT16, DataType.INT32, DataType.INT64, DataType.UINT8, DataType.UINT16, DataType.UINT32, DataType.UINT64,
    DataType.FLOAT, DataType.DOUBLE, DataType.BOOLEAN,
]  # fmt: skip


def same(left: codec.Columns, right: codec.Columns) -> None:
    for name in ("counts", "alias", "ts", "kind", "raw", "historical", "bad"):
        assert np.array_equal(getattr(left, name), getattr(right, name)), name
    assert left.texts == right.texts and left.names == right.names
    assert (left.mark, left.seq, left.sent_ms, left.errors) == (right.mark, right.seq, right.sent_ms, right.errors)


@st.composite
def metrics(draw: st.DrawFn) -> Payload.Metric:
    metric = Payload.Metric()
    if draw(st.integers(0, 9)):
        metric.alias = draw(st.one_of(st.integers(0, 300), st.integers(0, 2**22), st.integers(0, 2**64 - 1)))
    if draw(st.integers(0, 9)) == 0:
        metric.name = draw(st.text(max_size=20))
    if draw(st.integers(0, 9)):
        metric.timestamp = draw(st.one_of(st.integers(T0, T0 + 10**9), st.integers(0, 2**64 - 1)))
    if draw(st.booleans()):
        metric.datatype = draw(st.one_of(st.integers(0, 34), st.integers(0, 2**32 - 1)))
    if draw(st.booleans()):
        metric.is_historical = draw(st.booleans())
    if draw(st.integers(0, 9)) == 0:
        metric.is_transient = True
    kind = draw(st.integers(0, 12))
    if kind <= 7:
        datatype = draw(st.sampled_from(NUMERIC))
        if datatype in (DataType.FLOAT, DataType.DOUBLE):
            set_value(metric, datatype, draw(st.floats(width=32 if datatype is DataType.FLOAT else 64)))
        else:
            set_value(metric, datatype, draw(st.booleans() if datatype is DataType.BOOLEAN else st.integers(-(2**63), 2**63 - 1)))
    elif kind <= 9:
        metric.string_value = draw(st.text(max_size=200))
    elif kind == 10:
        metric.bytes_value = draw(st.binary(max_size=20))
    elif kind == 11:
        metric.is_null = True
    if draw(st.integers(0, 9)) == 0:
        metric.properties.keys.append("Quality")
        metric.properties.values.add().int_value = draw(st.sampled_from([0, 192, 500]))
    return metric


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    payload = Payload()
    payload.metrics.extend(draw(st.lists(metrics(), max_size=12)))
    if draw(st.integers(0, 4)):
        payload.timestamp = draw(st.one_of(st.integers(T0, T0 + 10**9), st.integers(0, 2**64 - 1)))
    if draw(st.integers(0, 4)):
        payload.seq = draw(st.one_of(st.integers(0, 255), st.integers(0, 2**64 - 1)))
    if draw(st.integers(0, 4)):
        long = st.integers(0, 5_000).map(lambda size: "0123456789abcdef:" + "1x1," * (size // 4) + "1" * (size % 4))
        payload.uuid = draw(st.one_of(st.integers(1, 2**40).map(lambda n: f"0123456789abcdef:{n}"), st.text(max_size=60), long))
    if draw(st.integers(0, 9)) == 0:
        payload.body = b"x"
    return payload.SerializeToString()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(payloads(), min_size=1, max_size=8))
def test_fast_and_slow_agree_on_every_payload(group: list[bytes]) -> None:
    same(codec.decode_group(group), codec.decode_by_upb(group))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(payloads(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_broken_payloads_are_refused_alike_and_their_neighbours_read(group: list[bytes], rng: random.Random) -> None:
    broken = []
    for data in group:
        octets = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            what = rng.randrange(3)
            place = rng.randrange(len(octets) + 1)
            if what == 0 and octets:
                octets[place % len(octets)] = rng.randrange(256)
            elif what == 1:
                octets[place:place] = bytes([rng.randrange(256)])
            else:
                del octets[place:]
        broken.append(bytes(octets))
    mixed = [one for pair in zip(group, broken, strict=True) for one in pair]
    left, right = codec.decode_group(mixed), codec.decode_by_upb(mixed)
    for index in range(len(mixed)):  # the slow way may refuse a whole message where the fast one refuses a metric; never the other way round
        if index not in right.errors:
            assert index not in left.errors
            one, two = codec.decode_group([mixed[index]]), codec.decode_by_upb([mixed[index]])
            same(one, two)
    assert len(left.counts) == len(mixed)


@pytest.mark.parametrize("size", [0, 1, 33, 34, 35, 127, 128, 129, 4_351, 4_352, 4_400, 4_479, 4_480, codec.MARK_MAX])
def test_marks_of_every_length_are_found_from_the_end(size: int) -> None:
    """A length may itself contain the octet that begins the field (34)."""
    text = ("0123456789abcdef:" + "101x3,111x3," * 2_000)[:size]
    data = Payload(timestamp=T0, seq=7, uuid=text, metrics=[Payload.Metric(alias=3, timestamp=T0, long_value=34)]).SerializeToString()
    columns = codec.decode_group([data])
    assert codec.mark_of(data) == text and columns.mark == [text] and columns.by_upb == 0 and columns.seq == [7]


def test_a_part_of_a_message_is_a_message() -> None:
    metrics = [Payload.Metric(alias=n, timestamp=T0 + n, string_value="泵") for n in range(5)]
    whole = Payload(timestamp=T0, seq=7, uuid="0123456789abcdef:1x2,2x2,3x1", metrics=metrics)
    part = Payload.FromString(codec.part_of(whole.SerializeToString(), 2, 2, "0123456789abcdef:2"))
    assert (list(part.metrics), part.uuid, part.timestamp) == (metrics[2:4], "0123456789abcdef:2", T0)


def message(n: int, rng: random.Random, mark: int) -> bytes:
    payload = Payload(timestamp=T0 + mark, seq=mark % 256, uuid=f"0123456789abcdef:{mark}")
    for index in range(n):
        metric = payload.metrics.add()
        metric.alias, metric.timestamp, metric.is_historical = (
            rng.choice([index, index + 200, index + 20_000]),
            T0 + rng.randrange(10**9),
            rng.random() < 0.5,
        )
        set_value(metric, *rng.choice([(DataType.DOUBLE, rng.random()), (DataType.INT64, rng.randrange(10**9)), (DataType.BOOLEAN, True)]))
    return payload.SerializeToString()


def test_ordinary_messages_take_the_fast_way() -> None:
    rng = random.Random(5)
    group = [message(50, rng, mark) for mark in range(1, 200)]
    found = codec.decode_group(group)
    assert found.by_upb == 0 and found.odd == 0
    same(found, codec.decode_by_upb(group))


def test_a_gap_record_or_a_negative_number_does_not_slow_its_neighbours() -> None:
    rng = random.Random(5)
    group = [message(50, rng, mark) for mark in range(1, 50)]
    odd = Payload(timestamp=T0, seq=1, uuid="0123456789abcdef:50")
    for alias, datatype, value in ((1, DataType.STRING, "x" * 180), (2, DataType.INT64, -5), (3, DataType.DOUBLE, 2.5)):
        metric = odd.metrics.add()
        metric.alias, metric.timestamp = alias, T0
        set_value(metric, datatype, value)
    group.append(odd.SerializeToString())
    found = codec.decode_group(group)
    assert found.by_upb == 0 and found.odd == 2
    assert found.texts[len(found.ts) - 3] == "x" * 180


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        (DataType.INT8, -5),
        (DataType.INT16, -30_000),
        (DataType.INT32, -1),
        (DataType.INT64, -(2**62)),
        (DataType.UINT32, 4_294_967_295),
        (DataType.UINT8, 200),
    ],
)
def test_signed_numbers_come_back(datatype: DataType, value: int) -> None:
    payload = Payload()
    metric = payload.metrics.add()
    metric.alias, metric.timestamp = 1, T0
    set_value(metric, datatype, value)
    columns = codec.decode_group([payload.SerializeToString()])
    bits = {DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64}.get(datatype, 0)
    found, numeric = codec.numbers(columns, np.array([bits], np.uint8))
    assert numeric[0] and found[0] == value


def test_not_a_number_is_no_sample() -> None:
    payload = Payload()
    for value in (float("nan"), float("inf"), 1.5):
        metric = payload.metrics.add()
        metric.alias, metric.timestamp, metric.double_value = 1, T0, value
    _, numeric = codec.numbers(codec.decode_group([payload.SerializeToString()]), np.zeros(3, np.uint8))
    assert numeric.tolist() == [False, False, True]


@pytest.mark.parametrize("data", [b"", b"\xff" * 50, b"\x12" * 500, b"\x12\x7f\x10" * 300, bytes(range(256)) * 40, b"\x12\x02\x10\x01" * 25_000])
def test_nonsense_is_quick(data: bytes) -> None:
    def took_s() -> float:
        began = time.thread_time()
        codec.decode_group([data] * 3)
        return time.thread_time() - began

    assert min(took_s() for _ in range(3)) < 0.5
