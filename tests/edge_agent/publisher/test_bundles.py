"""A window of the backlog as few messages: nothing missing, nothing twice, in the order the server waits for."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent.buffer import blob
from edge_agent.buffer.store import Buffer, Window
from edge_agent.contract.delivery import RECORDS_MAX, Marks
from edge_agent.contract.payload import decode
from edge_agent.pipeline.columns import BOOL, DOUBLE, FLOAT, INT, STRING, Columns, joined
from edge_agent.publisher import encode
from edge_agent.publisher.bundles import bundles

EPOCH = "0123456789abcdef"
T0 = 1_772_409_600_000
Rows = list[tuple[int, int, int, Any]]
SEEDS = range(40)


def some_rows(dice: random.Random, most: int) -> Rows:
    """Values of every kind, also texts long and short and bad values."""
    make: dict[int, Callable[[], Any]] = {
        INT: lambda: dice.choice([0, -1, 127, 128, dice.randrange(-(2**63), 2**63)]),
        FLOAT: lambda: 0.5 * dice.randrange(-99, 99),
        DOUBLE: lambda: dice.random(),
        BOOL: lambda: dice.random() < 0.5,
        STRING: lambda: "泵 state"[: dice.randrange(9)] * dice.choice([1, 1, 30]),
    }
    rows: Rows = []
    for _ in range(dice.randrange(most + 1)):
        kind = dice.choice([*make, INT, DOUBLE])
        alias = dice.choice([dice.randrange(1, 128), dice.randrange(1, 2**20)])
        rows.append((alias, T0 + dice.randrange(10**9), kind, None if dice.random() < 0.1 else make[kind]()))
    return rows


def some_records(seed: int) -> list[tuple[str, Rows]]:
    dice = random.Random(seed)
    plain = seed % 3 == 0  # all alike, as a backlog of counters is
    return [
        (dice.choice(["SAW-01", "LAT-01", "MC-01"]), [(7, T0 + i, INT, i)] * 2 if plain else some_rows(dice, 5)) for i in range(dice.randrange(1, 41))
    ]


def window(records: list[tuple[str, Rows]], first: int = 1) -> Window:
    columns = [Columns.of(rows) for _, rows in records]
    numbers = list(range(first, first + len(records)))
    return Window(numbers, [device for device, _ in records], [len(one) for one in columns], joined(columns))


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_are_those_of_the_protobuf_runtime_one_by_one(seed: int) -> None:
    columns, historical = Columns.of(some_rows(random.Random(seed), 60)), seed % 2 == 0
    data, ends = encode.rows(columns, historical)
    begin, found = 0, []
    for end in ends.tolist():
        found.append(data[begin:end])
        begin = end
    assert found == [encode.metrics_upb(columns.take(slice(i, i + 1)), historical) for i in range(len(columns))] and begin == len(data)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_record_is_in_one_message_of_its_device_whole(seed: int) -> None:
    records, dice = some_records(seed), random.Random(seed)
    most, size = dice.randrange(1, 7), dice.randrange(1, 400)
    made = bundles(window(records, 101), EPOCH, records_max=most, bytes_max=size)
    found: dict[int, tuple[str, bytes]] = {}
    for one in made:
        message = decode(encode.payload(T0, one.metrics, 3, str(one.marks)))
        marks, metrics = Marks.parse(message.uuid, len(message.metrics)), list(message.metrics)
        assert 1 <= len(marks.numbers) <= most and (len(one.metrics) <= size or len(marks.numbers) == 1)
        assert all(metric.is_historical and metric.timestamp for metric in metrics)
        for n, count in zip(marks.numbers, marks.counts, strict=True):
            assert n not in found
            mine, metrics = metrics[:count], metrics[count:]
            found[n] = one.device, b"".join(type(message)(metrics=[metric]).SerializeToString() for metric in mine)
    alone = [(device, encode.metrics_upb(Columns.of(rows), historical=True)) for device, rows in records]
    assert found == dict(enumerate(alone, 101))


@pytest.mark.parametrize("seed", SEEDS)
def test_each_message_in_its_turn_brings_what_comes_next(seed: int) -> None:
    records, dice = some_records(seed), random.Random(seed)
    mark, ahead = 0, set[int]()
    for one in bundles(window(records), EPOCH, records_max=dice.randrange(1, 7), bytes_max=dice.randrange(1, 400)):
        assert one.marks.numbers[0] == mark + 1
        ahead.update(one.marks.numbers)
        while mark + 1 in ahead:
            mark += 1
    assert mark == len(records)


def test_nothing_is_nothing() -> None:
    assert bundles(window([]), EPOCH) == []
    (one,) = bundles(window([("SAW-01", [])]), EPOCH)
    assert (str(one.marks), one.metrics) == (f"{EPOCH}:1", b"")


@pytest.mark.parametrize("seed", SEEDS)
def test_many_records_are_read_as_each_one_is(seed: int) -> None:
    records, dice = some_records(seed), random.Random(seed)
    damaged = {place for place in range(len(records)) if dice.random() < 0.2}
    rows = []
    for place, (device, values) in enumerate(records):
        packed = blob.pack(Columns.of(values), place + 1, device)
        rows.append((place + 1, device, packed[:-1] if place in damaged else packed))
    instead = Columns.of([(9, T0, STRING, "damaged")])
    devices, counts, columns = blob.unpack_many(rows, lambda place: (f"D{place}", instead))
    wanted = [(f"D{place}", instead) if place in damaged else (device, Columns.of(values)) for place, (device, values) in enumerate(records)]
    assert devices == [device for device, _ in wanted] and counts == [len(one) for _, one in wanted]
    assert columns.rows() == [row for _, one in wanted for row in one.rows()]


def test_a_window_of_the_buffer_is_bounded_by_records_and_bytes(tmp_path: Path) -> None:
    buffer = Buffer(tmp_path / "edge.buffer", 10**9)
    buffer.commit([("SAW-01", Columns.of([(1, T0 + i, DOUBLE, 1.0) for i in range(100)]))] * 10)
    try:
        assert buffer.read_window(0, 4, 10**9).numbers == [1, 2, 3, 4]
        assert buffer.read_window(4, RECORDS_MAX, 4_000).numbers == [5, 6, 7]
        assert buffer.read_window(7, RECORDS_MAX, 1).numbers == [8], "one at least"
        assert buffer.read_window(10, RECORDS_MAX, 1).numbers == []
    finally:
        buffer.close()
