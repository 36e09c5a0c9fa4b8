"""The vectorised encoder gives the protobuf runtime's bytes, and columns survive the wire."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.payload import decode, get_value
from edge_agent.pipeline.columns import BOOL, DATETIME, DOUBLE, FLOAT, INT, STRING, UINT, Columns
from edge_agent.publisher.encode import metrics, metrics_numpy, metrics_upb, payload

VALUES = {
    INT: st.integers(-(2**63), 2**63 - 1),
    UINT: st.integers(0, 2**64 - 1),
    FLOAT: st.floats(width=32, allow_nan=False),
    DOUBLE: st.floats(allow_nan=False),
    BOOL: st.booleans(),
    DATETIME: st.integers(0, 2**45),
}
ROW = st.sampled_from(sorted(VALUES)).flatmap(lambda kind: st.tuples(st.integers(1, 2**31), st.integers(0, 2**45), st.just(kind), VALUES[kind]))


@given(st.lists(ROW, min_size=1, max_size=200), st.booleans())
def test_bytes_are_those_of_the_protobuf_runtime(rows: list[tuple[int, int, int, object]], historical: bool) -> None:
    columns = Columns.of(rows)  # type: ignore[arg-type]
    assert metrics_numpy(columns, historical) == metrics_upb(columns, historical)


@pytest.mark.parametrize("kinds", [(DOUBLE,), (INT,), (INT, DOUBLE), (FLOAT,), (BOOL,), (INT, UINT, FLOAT, DOUBLE, BOOL, DATETIME)])
@pytest.mark.parametrize("n", [1, 127, 128, 1000])
def test_big_groups_of_every_mix(kinds: tuple[int, ...], n: int) -> None:
    dice = random.Random(n)
    make = {INT: -5, UINT: 2**63, FLOAT: 1.5, DOUBLE: 0.1, BOOL: True, DATETIME: 1_700_000_000_000}
    columns = Columns.of((dice.randrange(1, 3000), 1_700_000_000_000 + i, kind, make[kind]) for i in range(n) for kind in (dice.choice(kinds),))
    assert metrics_numpy(columns) == metrics_upb(columns) == metrics(columns)


def test_payload_says_what_went_in() -> None:
    rows = [(1, 10, DOUBLE, 1.5), (2, 11, STRING, "泵 é"), (3, 12, INT, -7), (4, 13, BOOL, False), (5, 14, DOUBLE, None)]
    message = decode(payload(99, metrics(Columns.of(rows), historical=True), 255, "0123456789abcdef:7"))
    assert (message.timestamp, message.seq, message.uuid) == (99, 255, "0123456789abcdef:7")
    assert [get_value(metric, kind) for metric, (_, _, kind, _) in zip(message.metrics, rows, strict=True)] == [1.5, "泵 é", -7, False, None]
    assert [metric.alias for metric in message.metrics] == [1, 2, 3, 4, 5]
    assert all(metric.is_historical and not metric.HasField("datatype") and not metric.HasField("name") for metric in message.metrics)
    assert message.metrics[4].is_null and message.metrics[4].properties.values[0].int_value == 0
