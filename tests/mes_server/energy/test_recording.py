"""Readings as ingest records them: thinned to the minute, exact at the first reading and at a gap's end, the same in whatever portions they come."""

from __future__ import annotations

import random
from typing import Any

import pytest

from edge_agent.contract.clock import iso
from mes_server.energy import repository
from mes_server.energy.schemas import ReadingFact
from mes_server.machine_states.schemas import WatchFact
from tests.support.seeing import SOURCE, Facts, feed, gap, rows, set_up
from tests.support.server import RunningServer

SECOND, MIN = 1000, 60_000
HOUR = 60 * MIN
METER = "M-SAW-01"


def readings(start: int, seconds: range, watts: float = 3_600.0) -> list[ReadingFact]:
    """A steady draw: 1 Wh a second by default."""
    return [ReadingFact(METER, start + s * SECOND, watts * s / 3600, None, None) for s in seconds]


def stored(server: RunningServer) -> list[tuple[int, float]]:
    with server.kit.db.read() as session:
        return sorted(repository.readings(session, METER, "import_wh", 0, 1 << 50))


def load(server: RunningServer, start: int, seconds: int, bucket_s: int = 900) -> list[tuple[Any, Any]]:
    (found,) = rows(server, "/energy/load", meters=METER, from_=iso(start), to=iso(start + seconds * SECOND), bucket_s=bucket_s)
    return [(one["wh"], one["estimated"]) for one in found["points"]]


def test_a_reading_a_second_becomes_one_a_minute_and_no_energy_is_lost(any_server: RunningServer) -> None:
    start = any_server.clock.now_ms()
    set_up(any_server)
    feed(any_server, [Facts(readings=readings(start, range(7, 3608)), watches=[WatchFact(METER, SOURCE, start + 7 * SECOND, start + 3607 * SECOND)])])
    assert len(stored(any_server)) == 61 + 1  # a minute each, and the very first
    any_server.clock.advance(7200)
    assert load(any_server, start, 3600) == [(893.0, False), (900.0, False), (900.0, False), (900.0, False)]
    found = rows(any_server, "/energy/summary", from_=iso(start), to=iso(start + HOUR))
    row = next(one for one in found["meters"] if one["meter"] == METER)
    assert (row["wh"], row["coverage"], row["estimated_share"]) == (3593.0, pytest.approx(3593 / 3600, abs=1e-6), 0.0)


def test_energy_over_a_gap_is_spread_and_marked_and_the_edges_of_the_gap_are_exact(any_server: RunningServer) -> None:
    """Seen 0-599 s, dark to 1805 s (in the middle of a minute), then seen again: 1 Wh a second all the while."""
    start = any_server.clock.now_ms()
    set_up(any_server)
    end = 3600
    facts = Facts(
        gaps=[gap(METER, start + 599 * SECOND, start + 1805 * SECOND, machine=False)],
        readings=readings(start, range(600)) + readings(start, range(1805, end + 1)),
        watches=[WatchFact(METER, SOURCE, start, start + end * SECOND)],
    )
    feed(any_server, [facts])
    assert (start + 1805 * SECOND, 1805.0) in stored(any_server)
    any_server.clock.advance(7200)
    assert load(any_server, start, end) == [(900.0, True), (900.0, True), (900.0, True), (900.0, False)]
    found = rows(any_server, "/energy/summary", from_=iso(start), to=iso(start + HOUR))
    row = next(one for one in found["meters"] if one["meter"] == METER)
    assert row["estimated_share"] == pytest.approx(1206 / 3600, abs=1e-6)
    assert row["coverage"] == pytest.approx((3600 - 1206) / 3600, abs=1e-6)


def test_a_quiet_meter_has_used_nothing_and_a_lost_one_is_unknown(any_server: RunningServer) -> None:
    start = any_server.clock.now_ms()
    set_up(any_server)
    feed(any_server, [Facts(readings=readings(start, range(3)), watches=[WatchFact(METER, SOURCE, start, start + HOUR)])])
    any_server.clock.advance(7200)
    assert load(any_server, start, 7200, 1800) == [(2.0, False), (0.0, False), (None, False), (None, False)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_portions_and_order_do_not_matter(server: RunningServer, seed: int) -> None:
    start = server.clock.now_ms()
    set_up(server)
    dice = random.Random(seed)
    every = readings(start, range(1, 2000, 7))
    halves = [fact._replace(reactive_varh=fact.import_wh) if dice.random() < 0.5 else fact for fact in every]
    feed(server, [Facts(readings=list(halves))])
    at_once = stored(server)
    other = [fact._replace(meter="M-LAT-01") for fact in halves]
    dice.shuffle(other)
    while other:
        size = dice.randrange(1, 60)
        feed(server, [Facts(readings=other[:size])])
        other = other[size:]
    with server.kit.db.read() as session:
        in_portions = sorted(repository.readings(session, "M-LAT-01", "import_wh", 0, 1 << 50))
    assert in_portions == at_once


def test_too_many_points_and_an_unknown_meter_are_refused_in_words(server: RunningServer) -> None:
    set_up(server)
    start = server.clock.now_ms()
    client = server.client()
    many = client.get("/energy/load", params={"from": iso(start), "to": iso(start + 100 * 24 * HOUR), "bucket_s": 60})
    assert (many.status_code, many.json()["code"]) == (422, "too_many_buckets")
    assert client.get("/energy/load", params={"from": iso(start), "to": iso(start + HOUR), "meters": "NO-1"}).status_code == 404
    assert client.get("/energy/months", params={"year": 2026, "meter": "NO-1"}).status_code == 404
