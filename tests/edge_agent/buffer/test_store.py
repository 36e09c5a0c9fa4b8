"""The buffer: numbering, epochs, answers, its bound, damage, a full disk, a second agent."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.buffer import blob
from edge_agent.buffer.store import Buffer
from edge_agent.contract import names
from edge_agent.contract.payload import DataType
from edge_agent.errors import BufferLocked
from edge_agent.pipeline.columns import BOOL, DOUBLE, INT, NULL, STRING, Columns
from edge_agent.pipeline.device import Memory

ROW = st.one_of(
    st.tuples(st.integers(1, 2**32 - 1), st.integers(0, 2**45), st.just(INT), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.integers(1, 2**32 - 1), st.integers(0, 2**45), st.just(DOUBLE), st.floats(allow_nan=False)),
    st.tuples(st.integers(1, 2**32 - 1), st.integers(0, 2**45), st.just(STRING), st.text()),
    st.tuples(st.integers(1, 2**32 - 1), st.integers(0, 2**45), st.just(BOOL), st.booleans()),
)


def open_buffer(folder: Path, max_bytes: int = 10**9) -> Buffer:
    return Buffer(folder / "edge.buffer", max_bytes)


def columns(*values: float, alias: int = 1, t_ms: int = 1000) -> Columns:
    return Columns.of((alias, t_ms + i, DOUBLE, value) for i, value in enumerate(values))


@given(st.lists(ROW, max_size=30))
def test_law_a_record_comes_back_as_it_went_in(rows: list[tuple[int, int, int, object]]) -> None:
    packed = blob.pack(Columns.of(rows))  # type: ignore[arg-type]
    assert blob.unpack(packed).rows() == rows


@given(st.lists(ROW, min_size=1, max_size=10), st.integers(0, 10**6), st.integers(0, 7))
def test_law_one_flipped_bit_is_found(rows: list[tuple[int, int, int, object]], where: int, bit: int) -> None:
    packed = bytearray(blob.pack(Columns.of(rows)))  # type: ignore[arg-type]
    packed[where % len(packed)] ^= 1 << bit
    try:
        assert blob.unpack(bytes(packed)).rows() == rows
    except blob.BlobDamaged:
        return
    raise AssertionError("a flipped bit went unnoticed")


def test_numbers_go_on_over_a_restart_and_the_epoch_stays(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path)
    epoch = buffer.epoch
    assert [s.n for s in buffer.commit([("A", columns(1.0)), ("B", columns(2.0))])] == [1, 2]
    buffer.commit([], answered_n=1)
    buffer.close()
    again = open_buffer(tmp_path)
    assert (again.epoch, again.last_n, again.answered_n, again.waiting) == (epoch, 2, 1, 1)
    assert [s.n for s in again.commit([("A", columns(3.0))])] == [3]
    assert [(s.n, s.device, s.columns.rows()[0][3]) for s in again.read(0, 10)] == [(2, "B", 2.0), (3, "A", 3.0)]
    again.close()


def test_what_the_pipeline_remembers_and_the_aliases_come_back(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path)
    metric = buffer.catalogue.metric("A", "power_w", DataType.DOUBLE)
    buffer.commit([("A", columns(1.0, alias=metric.alias))], [("A", Memory(5, {}, {"order": "WO-1"}, "idle", 4))])
    buffer.commit([], proven=[("A", 99)])
    buffer.close()
    again = open_buffer(tmp_path)
    assert again.catalogue.metric("A", "power_w", DataType.INT64) == metric, "a metric keeps alias and type for ever"
    assert again.memories()["A"] == Memory(99, {}, {"order": "WO-1"}, "idle", 4)
    again.close()


def test_bdseq_counts_every_connect_over_restarts(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path)
    assert [buffer.next_bdseq() for _ in range(3)] == [0, 1, 2]
    buffer.close()
    again = open_buffer(tmp_path)
    assert [again.next_bdseq() for _ in range(254)][-2:] == [255, 0]
    again.close()


def test_a_second_agent_is_refused_in_words(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path)
    with pytest.raises(BufferLocked) as error:
        open_buffer(tmp_path)
    assert "another agent" in error.value.en
    buffer.close()


@pytest.mark.parametrize("damage", ["header", "truncated", "garbage"])
def test_a_damaged_file_is_kept_and_a_new_epoch_begins(damage: str, tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path)
    epoch = buffer.epoch
    for _ in range(50):
        buffer.commit([("A", columns(*range(100)))])
    buffer.close()
    path = tmp_path / "edge.buffer"
    raw = path.read_bytes()
    broken = {"header": b"x" * 100 + raw[100:], "truncated": raw[: len(raw) // 2], "garbage": b"\0" * len(raw)}[damage]
    path.write_bytes(broken)
    again = open_buffer(tmp_path)
    assert again.set_aside is not None and again.set_aside.read_bytes() == broken
    assert again.epoch != epoch and again.last_n == 0
    again.close()


def test_at_the_bound_samples_go_first_oldest_first_and_facts_never(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path, 250_000)
    total = buffer.catalogue.metric("A", names.GOOD_TOTAL, DataType.INT64)
    power = buffer.catalogue.metric("A", "power_w", DataType.DOUBLE)
    for k in range(60):
        rows = [(total.alias, k * 1000, INT, k), *((power.alias, k * 1000 + i, DOUBLE, float(i)) for i in range(1, 400))]
        buffer.commit([("A", Columns.of(rows))])  # type: ignore[arg-type]
        assert buffer.make_room()
        assert buffer.size_bytes() <= 250_000 + 20_000
    gap = buffer.catalogue.find("A", names.SAMPLES_GAP)
    assert gap is not None
    records = list(buffer.read(0, 1000))
    assert [s.n for s in records] == list(range(1, 61))
    assert [value for s in records for alias, _, _, value in s.columns.rows() if alias == total.alias] == list(range(60))
    thinned = [s.n for s in records if power.alias not in s.columns.ids]
    gaps = [json.loads(str(row[3])) for s in records for row in s.columns.rows() if row[0] == gap.alias]
    assert sum(int(said["detail"].split()[0]) for said in gaps) == buffer.thinned_values
    assert gaps[0]["from_ms"] == 1 and gaps[-1]["to_ms"] == (thinned[-1] - 1) * 1000 + 400
    assert thinned == list(range(1, len(thinned) + 1)) and len(records[-1].columns) == 400
    assert buffer.thinned_values == len(thinned) * 399
    buffer.close()


@pytest.mark.parametrize("values", [30, 190, 340, 600, 2_000])
def test_what_is_thinned_gives_its_space_back(tmp_path: Path, values: int) -> None:
    """A record that shrinks in its place leaves its page nearly empty, where it filled most of it: then facts have no room in a small buffer."""
    buffer = open_buffer(tmp_path)
    total = buffer.catalogue.metric("A", names.GOOD_TOTAL, DataType.INT64)
    power = buffer.catalogue.metric("A", "power_w", DataType.DOUBLE)
    empty = buffer.size_bytes()
    for k in range(100):
        rows = [(total.alias, k * 1000, INT, k), *((power.alias, k * 1000 + i, DOUBLE, float(i)) for i in range(1, values))]
        buffer.commit([("A", Columns.of(rows))])  # type: ignore[arg-type]
    buffer.max_bytes = 1
    assert not buffer.make_room(), "all are thin"
    facts = sum(len(blob.pack(s.columns)) for s in buffer.read(0, 1_000))
    assert buffer.size_bytes() - empty < 2 * facts + 3 * 4096
    buffer.close()


def test_only_facts_left_means_stop_reading(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path, 100_000)
    state = buffer.catalogue.metric("A", names.STATE, DataType.STRING)
    for k in range(40):
        buffer.commit([("A", Columns.of((state.alias, k * 1000 + i, STRING, "producing") for i in range(200)))])
    assert not buffer.make_room()
    assert sum(len(s.columns) for s in buffer.read(0, 1000)) == 8000
    buffer.commit([], answered_n=39)
    assert buffer.make_room()
    buffer.close()


def limit(buffer: Buffer, more_pages: int) -> None:
    """A disk that has room for so many pages more."""
    pages = buffer._db.execute("pragma page_count").fetchone()[0]
    buffer._db.execute(f"pragma max_page_count = {pages + more_pages}")


def test_a_full_disk_keeps_facts_and_leaves_samples_out_and_says_so_later(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path)
    power = buffer.catalogue.metric("A", "power_w", DataType.DOUBLE)
    total = buffer.catalogue.metric("A", names.GOOD_TOTAL, DataType.INT64)
    buffer.commit([("A", columns(1.0, alias=power.alias))])
    limit(buffer, 2)
    assert buffer.commit([("A", columns(*np.arange(5000.0), alias=power.alias, t_ms=10_000))]) == [], "nothing but samples: nothing to store"
    assert buffer.lean and buffer.thinned_values == 5001
    (fact,) = buffer.commit([("A", Columns.of([(total.alias, 20_000, INT, 7), (power.alias, 20_000, DOUBLE, 1.0)]))])
    assert fact.n == 2 and (total.alias, 20_000, INT, 7) in fact.columns.rows()
    said = [json.loads(str(row[3])) for row in fact.columns.rows() if row[0] not in (total.alias, power.alias)]
    assert [(gap["from_ms"], gap["to_ms"], gap["cause"], gap["detail"]) for gap in said] == [(10_000, 20_001, "buffer_full", "5001 samples")]
    limit(buffer, 1_000_000)
    assert buffer.tend() and not buffer.lean
    assert [len(s.columns) for s in buffer.commit([("A", columns(2.0, alias=power.alias))])] == [1]
    buffer.close()
    again = open_buffer(tmp_path)
    assert again.set_aside is None and [s.n for s in again.read(0, 10)] == [1, 2, 3]
    again.close()


def test_a_disk_without_even_a_reserve_rolls_back_whole_and_goes_on_when_there_is_space(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path)
    metric = buffer.catalogue.metric("A", names.GOOD_TOTAL, DataType.INT64)
    buffer.commit([("A", Columns.of([(metric.alias, 1, INT, 1)]))])
    limit(buffer, 3)
    late = buffer.catalogue.metric("A", names.STATE, DataType.STRING)
    many = Columns.of([(late.alias, 1000 + k, STRING, "idle") for k in range(5000)])
    with pytest.raises(sqlite3.OperationalError, match="full"):
        buffer.commit([("A", many)])
    assert buffer.last_n == 1
    limit(buffer, 1_000_000)
    assert [s.n for s in buffer.commit([("A", many)])] == [2]
    assert buffer._db.execute("select count(*) from metric where name = 'state'").fetchone()[0] == 1
    buffer.close()


def test_the_reserve_is_used_for_facts_and_filled_again(tmp_path: Path) -> None:
    buffer = Buffer(tmp_path / "edge.buffer", 40_000_000, 6_000_000)
    rows = buffer._db.execute("select count(*) from reserve").fetchone()[0]
    assert rows == 7 and buffer.reserve_missing_bytes == 0 and buffer.size_bytes() < 200_000
    state = buffer.catalogue.metric("A", names.STATE, DataType.STRING)
    limit(buffer, 0)
    stored = 0
    with pytest.raises(sqlite3.OperationalError, match="full"):
        for k in range(10_000):
            buffer.commit([("A", Columns.of([(state.alias, 1000 + k, STRING, "idle")] * 100))])
            stored += 1
    assert stored >= 7 * 60, "a record of this size takes a page; a row of the reserve has 64"
    assert buffer.reserve_missing_bytes > 1_800_000
    limit(buffer, 1_000_000)
    assert buffer.tend() and not buffer.lean and buffer.reserve_missing_bytes == 0
    assert [s.n for s in buffer.read(0, 10_000)] == list(range(1, stored + 1))
    buffer.close()


def test_a_damaged_record_keeps_its_number_and_is_a_gap_of_its_device(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path)
    gap = buffer.catalogue.metric("A", names.GAP, DataType.STRING)
    buffer.commit([("A", columns(1.0, t_ms=1000)), ("A", columns(2.0, t_ms=2000)), ("B", columns(3.0)), ("A", columns(4.0, t_ms=4000))])
    buffer._db.execute("update record set body = ? where n = 2", (b"junk",))
    found = {s.n: s for s in buffer.read(0, 10)}
    assert list(found) == [1, 2, 3, 4] and buffer.damaged_records == 1
    ((alias, at_ms, _, said),) = found[2].columns.rows()
    assert (alias, at_ms) == (gap.alias, 4000)
    assert {key: json.loads(str(said))[key] for key in ("from_ms", "to_ms", "cause")} == {"from_ms": 1000, "to_ms": 4000, "cause": "damaged"}
    buffer.close()


def test_a_record_whose_device_was_damaged_is_known_by_its_sum(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path)
    metric = buffer.catalogue.metric("SAW-01", names.GOOD_TOTAL, DataType.INT64)
    buffer.catalogue.metric("LAT-01", names.GOOD_TOTAL, DataType.INT64)
    buffer.commit([("SAW-01", columns(1.0, alias=metric.alias))])
    buffer._db.execute("update record set device = 'SAW-00'")
    assert [(s.device, len(s.columns)) for s in buffer.read(0, 10)] == [("SAW-01", 1)]
    buffer.close()


def test_null_kinds_are_kept() -> None:
    back = blob.unpack(blob.pack(Columns.of([(1, 5, DOUBLE, None)])))
    assert back.rows() == [(1, 5, DOUBLE | NULL, None)]


def test_a_file_set_back_begins_a_new_epoch_with_what_waits(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path)
    epoch = buffer.epoch
    buffer.commit([("A", columns(float(k))) for k in range(5)])
    buffer.commit([], answered_n=2)
    buffer.begin_epoch()
    assert buffer.epoch != epoch
    assert [(s.n, s.columns.rows()[0][3]) for s in buffer.read(0, 10)] == [(1, 2.0), (2, 3.0), (3, 4.0)]
    assert [s.n for s in buffer.commit([("A", columns(5.0))])] == [4]
    buffer.close()
    again = open_buffer(tmp_path)
    assert (again.last_n, again.answered_n, again.waiting) == (4, 0, 4)
    again.close()


def test_what_a_source_remembers_is_stored_with_its_values_or_not_at_all(tmp_path: Path) -> None:
    buffer = open_buffer(tmp_path)
    buffer.commit([("A", columns(1.0))], source_memories=[("PLC", b"seq 7"), ("M", b"")])
    limit(buffer, 1)
    state = buffer.catalogue.metric("A", names.STATE, DataType.STRING)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        buffer.commit([("A", Columns.of([(state.alias, k, STRING, "idle") for k in range(5000)]))], source_memories=[("PLC", b"seq 8")])
    buffer.close()
    again = open_buffer(tmp_path)
    assert again.source_memories() == {"PLC": b"seq 7", "M": b""}
    again.close()
