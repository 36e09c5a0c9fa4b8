"""The way in as a whole, without a broker: quarantine, dirty peers, unknown devices, parked facts, lost stores, live tiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_agent.contract import names
from edge_agent.contract.clock import ManualClock
from edge_agent.contract.payload import DataType, set_value
from edge_agent.contract.sparkplug_b_pb2 import Payload
from mes_server.ingest import service as ingest
from mes_server.ingest.booking import Link
from mes_server.telemetry.memory_store import MemoryStore
from tests.support.ingest import DEVICES, EPOCH, T0, Bench, Recorder, bench, births, data, death, story


@pytest.fixture
def made(tmp_path: Path):  # type: ignore[no-untyped-def]
    with bench(tmp_path) as one:
        yield one


def count(made: Bench, n: int, total: int, at: int) -> tuple[str, bytes]:
    return data(n, "SAW-01", [("good_total", total, T0 + at), ("state", "producing", T0 + at)])


def test_a_poison_record_is_put_aside_and_the_next_ones_flow(made: Bench) -> None:
    made.booking.poison = lambda one: any(count.good == 5 for count in one.facts.counts)
    made.feed(*births(), count(made, 1, 0, 1), count(made, 2, 1, 2), count(made, 3, 6, 3), count(made, 4, 7, 4), count(made, 5, 8, 5))
    made.commit()
    assert made.answers[-1] == (EPOCH, 5)
    assert made.booking.good() == 8, "the next running total carries what the poison record had"
    (row,) = made.rows("select topic, reason, mark from ingest_quarantine")
    assert row[0].endswith("SAW-01") and "no slice can digest" in row[1] and row[2] == f"{EPOCH}:3"
    assert made.service.figures["unbookable"] == 1


def test_unreadable_payloads_are_quarantined_with_their_reason(made: Bench) -> None:
    made.feed(
        *births(),
        ("spBv1.0/PUMP/DDATA/EDGE-L1/SAW-01", b"\xff\xff\xff"),
        ("spBv1.0/PUMP/NBIRTH/EDGE-L2", b"\x12"),
        ("some/other/topic", b"x"),
        count(made, 1, 0, 1),
    )
    made.commit()
    reasons = [row[0] for row in made.rows("select reason from ingest_quarantine order by id")]
    assert len(reasons) == 3 and made.service.figures["quarantined"] == 3
    assert made.answers[-1] == (EPOCH, 1)


def test_the_quarantine_is_bounded(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mes_server.ingest.repository.QUARANTINE_ROWS_MAX", 30)
    for _ in range(4):
        made.feed(*[("spBv1.0/PUMP/DDATA/EDGE-L1/SAW-01", b"\xff" * 9)] * 50)
        made.commit()
    assert made.scalar("select count(*) from ingest_quarantine") == 30 and made.service.figures["quarantined"] == 200


def test_after_a_lost_connection_nothing_is_taken_before_a_new_birth(made: Bench) -> None:
    """A birth that nobody heard may have given the old numbers other meanings (R01: a broker that keeps STATE lets edges be born into the void)."""
    made.feed(*births(), count(made, 1, 10, 1), ("\0connected", b""), count(made, 2, 99, 2))
    made.commit()
    assert made.answers[-1] == (EPOCH, 1) and made.rebirths == 1 and made.booking.good() == 0
    made.feed(*births(), count(made, 2, 12, 2))
    made.commit()
    assert made.answers[-1] == (EPOCH, 2) and made.booking.good() == 2


def test_data_before_a_birth_is_not_taken_and_a_rebirth_is_asked_for(made: Bench) -> None:
    made.feed(count(made, 1, 0, 1))
    made.commit()
    made.service.step()
    assert made.rebirths == 1 and not made.answers and not made.booking.rows["states"]
    made.feed(*births(), count(made, 1, 0, 1))
    made.commit()
    assert made.answers[-1] == (EPOCH, 1)


def test_an_unknown_alias_refuses_the_whole_message(made: Bench) -> None:
    payload = Payload(uuid=f"{EPOCH}:1", timestamp=T0)
    for alias, value in ((10 + DEVICES["SAW-01"].index("temperature_c"), 5.0), (999, 1.0)):
        metric = payload.metrics.add()
        metric.alias, metric.timestamp, metric.double_value = alias, T0, value
    made.feed(*births(), ("spBv1.0/PUMP/DDATA/EDGE-L1/SAW-01", payload.SerializeToString()))
    made.commit()
    made.service.step()
    assert made.answers == [(EPOCH, 0)] and made.rebirths == 1 and made.service.figures["unknown_alias"] == 1
    assert len(made.telemetry.window("SAW-01", "temperature_c", 0, 1 << 60).ts) == 0


def test_a_foreign_node_without_marks_is_shown_and_sampled_but_not_booked(made: Bench) -> None:
    """pysparkplug and its like: names instead of aliases, datatype in DATA, no marks."""
    payload = Payload(timestamp=T0 + 7)
    for name, datatype, value in (("temperature_c", DataType.FLOAT, 20.5), ("good_total", DataType.INT64, 9)):
        metric = payload.metrics.add()
        metric.name, metric.datatype = name, datatype
        set_value(metric, datatype, value)
    made.feed(*births(), ("spBv1.0/PUMP/DDATA/EDGE-L1/SAW-01", payload.SerializeToString()))
    made.commit()
    found = made.telemetry.window("SAW-01", "temperature_c", 0, 1 << 60)
    assert found.ts.tolist() == [T0 + 7] and found.value.tolist() == [20.5], "a metric without timestamp takes the message's"
    assert not made.booking.rows["counts"] and made.service.figures["unmarked"] == 1
    assert ingest.last_values(made.service, ["SAW-01"])["SAW-01"]["good_total"] == 9


def test_records_of_an_unmapped_device_wait_until_somebody_maps_it(tmp_path: Path) -> None:
    recorder = Recorder({("EDGE-L1", "M-SAW-01"): Link(None, "M-SAW-01")})
    with bench(tmp_path, booking=None) as made:
        made.booking = made.service.booking = made.service.committer._booking = recorder
        made.service.committer.links = recorder.links(None)  # type: ignore[arg-type]
        messages = story(5)
        made.feed(*births(), *messages[:30])
        made.commit()
        assert made.answers[-1][1] == 30 and not recorder.rows["counts"]
        parked = made.scalar("select count(*) from ingest_parked")
        assert parked > 0
        with made.db.read() as session:
            rows = ingest.edges_health(made.service, session)
        assert {"device": "SAW-01", "mapped": False, "parked": parked} in rows[0]["devices"]
        made.new_service()
        recorder.map[("EDGE-L1", "SAW-01")] = Link("SAW-01", None)
        made.service._links_again_s = 0.0
        made.feed(*births(), *messages[30:])
        for _ in range(4):
            made.commit()
        assert made.scalar("select count(*) from ingest_parked") == 0
        late = sorted(recorder.rows["counts"])
        with bench(tmp_path / "clean") as clean:
            clean.feed(*births(), *messages)
            clean.commit()
            assert late == sorted(clean.booking.rows["counts"]) and sorted(recorder.rows["states"]) == sorted(clean.booking.rows["states"])


def test_a_lost_telemetry_file_does_not_hold_the_edge_for_ever(tmp_path: Path) -> None:
    messages = story(2)
    with bench(tmp_path) as made:
        made.feed(*births(), *messages[:40])
        made.commit()
        assert made.answers[-1][1] == 40
        made.telemetry = MemoryStore()  # somebody deleted the projection
        made.new_service()
        made.feed(*births(last=40, waiting=0), *messages[40:])
        made.commit()
        assert made.answers[-1] == (EPOCH, 60) and made.service.figures["records_lost"] == 40
        assert made.telemetry.marks() == {("EDGE-L1", EPOCH): 60}


def test_a_restored_backup_goes_on_where_the_edge_is(tmp_path: Path) -> None:
    """The book of record is older than what the edge was answered: the hole is told, the next total carries the count."""
    with bench(tmp_path) as made:
        made.feed(*births(), count(made, 1, 0, 1), count(made, 2, 5, 2))
        made.commit()
        with made.db.writer.begin() as connection:
            connection.exec_driver_sql("update ingest_mark set n = 1")
        state = made.rows("select state from ingest_device")[0][0].replace('"total":5', '"total":0')
        with made.db.writer.begin() as connection:
            connection.exec_driver_sql("update ingest_device set state = ?", (state,))
        made.new_service()
        before = made.booking.good()
        made.feed(*births(last=3, waiting=0), count(made, 4, 9, 4))
        made.commit()
        assert made.answers[-1] == (EPOCH, 4) and made.booking.good() - before == 9


def test_records_ahead_are_shown_at_once_and_booked_in_order(made: Bench) -> None:
    made.feed(*births(), count(made, 3, 7, 30))
    made.commit()
    assert ingest.last_values(made.service, ["SAW-01"])["SAW-01"]["good_total"] == 7 and not made.booking.rows["states"]
    made.feed(count(made, 1, 5, 10), count(made, 2, 6, 20))
    made.commit()
    assert [row[1] for row in made.booking.rows["states"]] == [T0 + 10, T0 + 20, T0 + 30] and made.booking.good() == 2


def test_a_backlog_never_overwrites_what_is_live(made: Bench) -> None:
    made.feed(*births(), count(made, 3, 7, 30), data(1, "SAW-01", [("good_total", 5, T0 + 10), ("state", "idle", T0 + 10)], historical=True))
    made.commit()
    live = ingest.last_values(made.service, ["SAW-01"])["SAW-01"]
    assert (live["good_total"], live["state"]) == (7, "producing")


def test_stale_follows_death_and_silence(tmp_path: Path) -> None:
    clock = ManualClock(T0 + 1_000)
    with bench(tmp_path, clock=clock) as made:
        made.feed(*births(bdseq=7), data(1, "SAW-01", [("state", "idle", T0 + 900), ("watched_until", T0 + 900, T0 + 900)]))
        made.commit()
        stale = lambda: ingest.last_values(made.service, ["SAW-01"])["SAW-01"]["stale"]  # noqa: E731
        assert not stale()
        clock.advance(14)
        assert not stale()
        clock.advance(3)
        assert stale(), "silence"
        made.feed(data(2, "SAW-01", [("watched_until", clock.now_ms(), clock.now_ms())]))
        made.commit()
        assert not stale()
        made.feed(death(6))
        made.commit()
        assert not stale(), "a death of an older session"
        made.feed(death(7))
        made.commit()
        assert stale()


def test_old_samples_are_forgotten_on_time(tmp_path: Path) -> None:
    clock = ManualClock(T0)
    with bench(tmp_path, clock=clock) as made:
        made.service.bounds = ingest.IngestBounds(commit_s=0.0, keep_days=1)
        made.feed(*births(), *story(1))
        made.commit()
        assert len(made.telemetry.window("SAW-01", "temperature_c", 0, 1 << 60).ts) > 0
        clock.advance(2 * 86_400)
        made.service._forget_again_s = 0.0
        made.commit()
        assert len(made.telemetry.window("SAW-01", "temperature_c", 0, 1 << 60).ts) == 0
        assert made.service.figures["samples_forgotten"] > 0


def test_tiles_are_published_at_most_twice_a_second(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(made.live, "publish", lambda topic, _: told.append(topic))
    made.feed(*births())
    for n in range(1, 100):
        made.feed(count(made, n, n, n))
        made.service.step()
    assert 1 <= told.count("machine:SAW-01") <= 12
    assert "edge:EDGE-L1" in told and "operation:WO-1/20" in told


def test_counted_goes_into_the_journal_once(made: Bench) -> None:
    messages = [*births(), count(made, 1, 0, 1), count(made, 2, 4, 2)]
    made.feed(*messages)
    made.commit()
    made.feed(*messages)
    made.commit()
    (row,) = made.rows("select type, subject, occurred_ms, payload from journal")
    assert row[:3] == ("production.counted", "operation:WO-1/20", T0 + 2) and '"good":4' in row[3]


def test_a_second_ingest_on_one_database_is_noticed(made: Bench) -> None:
    made.feed(*births(), count(made, 1, 0, 1))
    made.commit()
    with made.db.writer.begin() as connection:
        connection.exec_driver_sql("update ingest_mark set n = 7")
    made.feed(count(made, 2, 3, 2))
    made.commit()
    assert made.answers[-1] == (EPOCH, 1) and "another server" in str(made.service.committer.facts_fault)
    assert made.booking.good() == 3, "the recorder is no table; what matters is the mark"
    assert made.scalar("select n from ingest_mark") == 7


def test_health_says_what_screens_need(made: Bench) -> None:
    node, *rest = births(last=2, waiting=2)
    payload = Payload.FromString(node[1])
    said = (
        ("Source/PLC-L1/Status", DataType.STRING, "connected"),
        ("Source/PLC-L1/Values Per Second", DataType.DOUBLE, 31.5),
        ("Source/PLC-L1/Lag S", DataType.DOUBLE, -1.0),
        ("Buffer/Hours Left", DataType.DOUBLE, 12.5),
    )
    for name, datatype, value in said:
        metric = payload.metrics.add()
        metric.name, metric.datatype = name, datatype
        set_value(metric, datatype, value)
    made.feed((node[0], payload.SerializeToString()), *rest, count(made, 1, 0, 1))
    made.commit()
    with made.db.read() as session:
        (row,) = ingest.edges_health(made.service, session)
        progress = ingest.history_progress(made.service, session)
    assert row["online"] and row["epoch"] == EPOCH and (row["stored_up_to"], row["last_record"], row["waiting"]) == (1, 2, 1)
    source = {"name": "PLC-L1", "status": "connected", "error": None, "rate": 31.5, "clock_offset_ms": None, "lag_s": None}
    assert row["sources"] == [source] and row["hours_left"] == 12.5
    assert not row["stale"] and row["heard_s"] is not None
    assert progress == {"expected": 2, "stored": 1, "done": True}
    links = made.service.committer.links
    made.service.committer.links = {**links, ("EDGE-L9", "NEW-01"): next(iter(links.values()))}
    with made.db.read() as session:
        assert ingest.history_progress(made.service, session)["done"], "a box that is not installed yet keeps nobody waiting"
    made.service.committer.links = links
    (heard,) = made.service.nodes_of("EDGE-L1")
    assert names.BUFFER_WAITING in heard.health

    unknown = {**source, "rate": None}
    heard.heard_s -= 31.0  # online still, as far as the broker knows, and silent
    assert _row(made)["stale"] and _row(made)["sources"] == [unknown] and _row(made)["heard_s"] >= 31
    made.feed(count(made, 2, 2, 3))
    made.commit()
    assert _row(made)["sources"] == [source]
    made.feed(death())
    made.commit()
    assert _row(made)["stale"] and _row(made)["sources"] == [unknown] and _row(made)["hours_left"] is None
    made.feed(*births(last=2, waiting=0))
    made.commit()
    assert not _row(made)["stale"] and _row(made)["sources"] == [], "a birth says all there is: what was said before is no more"


def _row(made: Bench) -> dict[str, Any]:
    with made.db.read() as session:
        (row,) = ingest.edges_health(made.service, session)
    return row
