"""States and gaps through HTTP, over both databases, with facts fed as ingest feeds them."""

from __future__ import annotations

from typing import Any

from edge_agent.contract.clock import iso
from mes_server.machine_states import service
from mes_server.machine_states.schemas import LiveFact, StateFact, WatchFact
from mes_server.plant import service as plant
from tests.support.plant_model import SMALL_PLANT
from tests.support.seeing import SOURCE, Facts, feed, gap, history, rows
from tests.support.server import RunningServer

MIN = 60_000


def ready(server: RunningServer) -> int:
    """The small plant is saved; returns 06:00 of the production day in ms. The clock is moved to 14:00."""
    start = server.clock.now_ms()
    server.act(server.client(), "/plant", "PUT", model=SMALL_PLANT)
    server.clock.advance(8 * 3600)
    return start


def states(server: RunningServer, start: int, minutes: int, machine: str = "SAW-01") -> list[tuple[int, int | None, str, Any]]:
    found = rows(server, "/states", machine=machine, from_=iso(start), to=iso(start + minutes * MIN))
    back = {iso(start + m * MIN): m for m in range(minutes + 1)}
    return [(back[one["from"]], back.get(one["to"]), one["state"], one["cause"]) for one in found]


def test_states_are_contiguous_and_a_gap_is_no_data(any_server: RunningServer) -> None:
    start = ready(any_server)
    said = [(start, "producing", ""), (start + 60 * MIN, "fault", "17"), (start + 75 * MIN, "producing", "")]
    day = history("SAW-01", said, start, start + 120 * MIN)
    day.gaps.append(gap("SAW-01", start + 20 * MIN, start + 30 * MIN))
    feed(any_server, [day])
    assert states(any_server, start, 180) == [
        (0, 20, "producing", None),
        (20, 30, "no_data", "source_lost"),
        (30, 60, "producing", None),
        (60, 75, "fault", None),
        (75, 120, "producing", None),
        (120, 180, "no_data", "not_yet_known"),
    ]
    fault = rows(any_server, "/states", machine="SAW-01", from_=iso(start), to=iso(start + 180 * MIN))[3]
    assert (fault["reason"], fault["reason_by"]) == ("ST-TOOL", "alarm")
    (hole,) = rows(any_server, "/gaps", machine="SAW-01", from_=iso(start), to=iso(start + 180 * MIN))["items"]
    assert (hole["cause"], hole["en"]) == ("source_lost", "the PLC or meter could not be reached")


def test_another_source_that_arrives_later_fills_the_gap(any_server: RunningServer) -> None:
    start = ready(any_server)
    day = history("SAW-01", [(start, "producing", "")], start, start + 120 * MIN)
    day.gaps.append(gap("SAW-01", start + 20 * MIN, start + 60 * MIN, "edge_down"))
    feed(any_server, [day, history("SAW-01", [(start + 20 * MIN, "fault", "")], start + 20 * MIN, start + 60 * MIN, "EDGE-B:00000000000000bb")])
    assert [row[2] for row in states(any_server, start, 120)] == ["producing", "fault"]


def test_the_last_state_still_lasts_and_nothing_is_said_of_the_future(any_server: RunningServer) -> None:
    start = ready(any_server)
    feed(any_server, [history("SAW-01", [(start, "producing", "")], start, any_server.clock.now_ms())])
    assert states(any_server, start, 600) == [(0, None, "producing", None)]


def test_one_call_with_all_rows_equals_a_call_a_row_in_any_order(any_server: RunningServer) -> None:
    start = ready(any_server)
    words = ["producing", "fault", "producing", "setup", "idle", "producing"]
    facts = [StateFact("LAT-01", start + 7 * index * MIN, word, index, "" if word != "fault" else "17") for index, word in enumerate(words)]
    halves = [StateFact("SAW-01", fact.at_ms, fact.state, None, None) for fact in facts] + [
        StateFact("SAW-01", fact.at_ms, None, fact.state_raw, fact.alarm) for fact in facts
    ]
    feed(any_server, [Facts(states=facts, watches=[WatchFact("LAT-01", SOURCE, start, start + 60 * MIN)])])
    feed(any_server, [Facts(states=[one]) for one in reversed(halves)])
    feed(any_server, [Facts(watches=[WatchFact("SAW-01", SOURCE, start + m * MIN, start + (m + 5) * MIN)]) for m in range(0, 60, 5)])
    whole = rows(any_server, "/states", machine="LAT-01", from_=iso(start), to=iso(start + 60 * MIN))
    pieces = rows(any_server, "/states", machine="SAW-01", from_=iso(start), to=iso(start + 60 * MIN))
    strip = [{key: value for key, value in one.items() if not key.startswith("reason")} for one in pieces]
    assert strip == [{key: value for key, value in one.items() if not key.startswith("reason")} for one in whole]


def test_strange_words_are_kept_as_not_known_and_never_stop_the_edge(any_server: RunningServer) -> None:
    start = ready(any_server)
    feed(any_server, [history("SAW-01", [(start, "dancing", "x" * 500)], start, start + 60 * MIN)])
    assert states(any_server, start, 60) == [(0, 60, "no_data", "no_state")]


def test_a_tile_shows_the_newest_word_while_the_backlog_is_on_its_way(any_server: RunningServer) -> None:
    start = ready(any_server)
    now = any_server.clock.now_ms()
    feed(any_server, [history("SAW-01", [(start, "producing", "")], start, start + 60 * MIN)])

    def live(session: Any) -> None:
        service.record_live(session, [LiveFact("SAW-01", now - 9000, "fault", 2, "17", "WO-1", "20")])
        service.record_live(session, [LiveFact("SAW-01", now - 1000, None, None, None, None, None)])
        service.record_live(session, [LiveFact("SAW-01", now - 5000, "idle", None, None, None, None)])  # older: does not count

    any_server.kit.acts.run_system_sync(live)
    with any_server.kit.db.read() as session:
        found = service.tiles(session, list(plant.model(session).machines.values()), now)
    tile = found["SAW-01"]
    assert (tile.state, tile.since_ms, tile.alarm) == ("fault", now - 9000, "17")
    assert (tile.known_until_ms, tile.stale, tile.order) == (now - 1000, False, "WO-1")
    assert (found["LAT-01"].state, found["LAT-01"].stale) == ("no_data", True)


def test_stops_that_pass_the_limit_are_told_once_and_wait_for_a_reason(any_server: RunningServer) -> None:
    start = ready(any_server)
    now = any_server.clock.now_ms()
    feed(any_server, [history("LAT-01", [(start, "producing", ""), (now - 119_000, "stopped", "")], start, now)])
    told: dict[str, int] = {}

    def look() -> list[Any]:
        with any_server.kit.db.read() as session:
            return service.newly_open(session, list(plant.model(session).machines.values()), any_server.clock.now_ms(), told)

    assert look() == []
    any_server.clock.advance(2)
    feed(any_server, [Facts(watches=[WatchFact("LAT-01", SOURCE, now, now + 2000)])])
    assert [topic for topic, _ in look()] == ["stop:LAT-01"]
    assert look() == []
    with any_server.kit.db.read() as session:
        (waiting,) = service.open_stops(session, list(plant.model(session).machines.values()), now + 2000)
    assert (waiting["machine"], waiting["from_ms"], waiting["to_ms"]) == ("LAT-01", now - 119_000, None)


def test_nobody_is_asked_for_a_break_or_for_what_the_machine_said_itself(server: RunningServer) -> None:
    """Early shift with a break from 10:00 to 10:30. Waiting for parts is asked while it lasts; afterwards the state is the reason."""
    start = ready(server)
    server.clock.advance(5 * 3600)
    hour, now = 3_600_000, server.clock.now_ms()
    points = [
        (start, "producing", ""),
        (start + hour, "starved", ""), (start + hour + 600_000, "producing", ""),
        (start + 2 * hour, "idle", ""), (start + 2 * hour + 600_000, "producing", ""),
        (start + 4 * hour, "idle", ""), (start + 4 * hour + 1_800_000, "producing", ""),
        (now - 200_000, "blocked", ""),
    ]  # fmt: skip
    feed(server, [history("SAW-01", points, start, now)])
    with server.kit.db.read() as session:
        waiting = service.open_stops(session, [plant.model(session).machine("SAW-01")], now)
    assert [(one["state"], one["from_ms"]) for one in waiting] == [("blocked", now - 200_000), ("idle", start + 2 * hour)]


def test_a_bad_window_and_an_unknown_machine_are_said_in_words(server: RunningServer) -> None:
    start = ready(server)
    client = server.client()
    bad = client.get("/states", params={"machine": "SAW-01", "from": iso(start), "to": iso(start)})
    assert (bad.status_code, bad.json()["code"]) == (422, "bad_time_window")
    assert client.get("/states", params={"machine": "NO-1", "from": iso(start), "to": iso(start + 1)}).status_code == 404
    assert server.client(None).get("/states", params={"machine": "SAW-01", "from": iso(start), "to": iso(start + 1)}).status_code == 401
