"""The composed views: every figure on them equals the list or the record under it, and what is unknown is null."""

from __future__ import annotations

from typing import Any

import pytest

from edge_agent.contract.clock import iso
from mes_server.energy.schemas import ReadingFact
from mes_server.machine_states.schemas import WatchFact
from tests.support.orders import do
from tests.support.seeing import SOURCE, Facts, feed, gap, history, pieces, rows, set_up
from tests.support.server import RunningServer

MIN = 60_000
HOUR = 60 * MIN
DAY = 24 * HOUR


def meter(code: str, start: int, end: int, watts: float) -> Facts:
    """A meter that draws `watts` all the time, read each minute."""
    readings = [ReadingFact(code, at, watts * (at - start) / HOUR, None, 0.3 * watts * (at - start) / HOUR) for at in range(start, end + 1, MIN)]
    return Facts(readings=readings, watches=[WatchFact(code, SOURCE, start, end)])


def one_day(server: RunningServer) -> int:
    """A production day of SAW-01 (with a stop of 30 minutes) and EOL-01, their meters and the incomer; the clock is at 09:00 of the next day."""
    start = server.clock.now_ms()
    set_up(server)
    end = start + DAY
    saw = history("SAW-01", [(start, "producing", ""), (start + 2 * HOUR, "fault", "17"), (start + 2 * HOUR + 30 * MIN, "producing", "")], start, end)
    saw.counts["SAW-01"] = pieces(range(start + 20_000, start + 2 * HOUR, 20_000), scrap_every=100)
    saw.gaps.append(gap("SAW-01", start + 20 * HOUR, start + 21 * HOUR, "edge_down"))
    eol = history("EOL-01", [(start, "producing", ""), (start + 4 * HOUR, "idle", "")], start, end)
    eol.counts["EOL-01"] = pieces(range(start + 90_000, start + 4 * HOUR, 90_000), operation="90")
    powers = [meter("M-SAW-01", start, end, 2_000), meter("M-EOL-01", start, end, 500), meter("INC-01", start, end, 5_000)]
    do(server, server.client(person="P-ann"), "operation.start", operation="WO-1001/10", machine="SAW-01")
    server.clock.advance(27 * 3600)
    feed(server, [saw, eol, *powers])
    return start


def test_plant_now_shows_the_present_and_the_shift_so_far(any_server: RunningServer) -> None:
    start = any_server.clock.now_ms()
    set_up(any_server)
    any_server.clock.advance(4 * 3600)
    now = any_server.clock.now_ms()
    saw = history("SAW-01", [(start, "producing", ""), (now - 10 * MIN, "fault", "17")], start, now)
    saw.counts["SAW-01"] = pieces(range(start + 20_000, start + 2 * HOUR, 20_000))
    feed(any_server, [saw])
    found = rows(any_server, "/plant/now")
    tiles = {one["code"]: one for one in found["machines"]}
    tile = tiles["SAW-01"]
    assert (tile["state"], tile["since"], tile["alarm"], tile["alarm_en"]) == ("fault", iso(now - 10 * MIN), "17", "Blade alarm")
    assert (tile["reason"], tile["reason_zh"], tile["stale"], tile["good_shift"]) == ("blade", "锯条断裂", False, 359)
    assert tile["target_shift"] == round(4 * 3600 * 0.75 / 20)
    record = rows(any_server, "/oee", scope="machine:SAW-01", from_=found["shift"]["from"], to=found["shift"]["to"])
    assert tile["oee_shift"] == record["oee"]
    dark = tiles["LAT-01"]
    assert (dark["state"], dark["stale"], dark["oee_shift"], dark["good_shift"], dark["power_w"]) == ("no_data", True, None, None, None)
    assert (found["shift"]["code"], found["totals"]["power_known"], found["totals"]["power_w"]) == ("early", False, None)
    assert found["totals"]["good"] == 0 and found["totals"]["oee"] == record["oee"]


def test_a_machines_day_is_one_axis_whose_parts_agree(any_server: RunningServer) -> None:
    start = one_day(any_server)
    day = rows(any_server, "/machines/SAW-01/day", day="2026-03-02")
    window = {"from_": day["from"], "to": day["to"]}
    assert (day["from"], day["to"]) == (iso(start), iso(start + DAY))
    assert day["states"] == rows(any_server, "/states", machine="SAW-01", **window)
    assert day["oee"] == rows(any_server, "/oee", scope="machine:SAW-01", **window)
    assert day["stops"] == rows(any_server, "/stops", scope="machine:SAW-01", **window)["items"]
    assert (sum(one["good"] for one in day["counts"]), sum(one["scrap"] for one in day["counts"])) == (day["oee"]["good"], day["oee"]["scrap"])
    assert iso(start + 20 * HOUR) not in {one["from"] for one in day["counts"]}  # an hour nothing is known of has no bar
    assert [(one["code"], one["en"], one["from"], one["to"]) for one in day["alarms"]] == [
        ("17", "Blade alarm", iso(start + 2 * HOUR), None if day["alarms"][0]["to"] is None else day["alarms"][0]["to"])
    ]
    assert [one["cause"] for one in day["gaps"]] == ["edge_down"]
    assert (day["meter"], len(day["power"]), day["power"][0]["w_mean"], day["power"][0]["known"]) == ("M-SAW-01", 288, 2000.0, True)
    assert [(one["operation"], one["item"], one["good"]) for one in day["orders"]] == [("WO-1001/10", "P-310", day["oee"]["good"])]
    assert day["target_per_h"] == 135.0


def test_yesterday_is_the_day_before_and_its_blocks_open_into_lists(any_server: RunningServer) -> None:
    start = one_day(any_server)
    found = rows(any_server, "/yesterday")
    assert (found["day"], found["from"], found["to"]) == ("2026-03-02", iso(start), iso(start + DAY))
    assert [one["shift"] for one in found["shifts"]] == ["early", "late", "night"]
    assert found["closed"] is False  # three machines were never seen
    (line,) = found["lines"]
    record = rows(any_server, "/oee", scope="line:L1", from_=found["from"], to=found["to"])
    assert (line["oee"], line["a"], line["p"], line["q"]) == (record["oee"], record["tpm"]["a"], record["tpm"]["p"], record["tpm"]["q"])
    assert (line["coverage"], line["target"], line["good"]) == (record["coverage"], 0.75, 159)
    assert line["plan"] == round(22.5 * 3600 * 0.75 / 90)
    assert len(line["spark"]) == 14 and line["spark"][-1] == {"day": "2026-03-02", "oee": record["oee"]}
    assert {one["oee"] for one in line["spark"][:-1]} == {None}  # days nobody saw are not zero
    for loss in found["losses"]:
        scope = f"machine:{loss['machine']}"
        stops = rows(any_server, "/stops", scope=scope, reason=loss["reason"], from_=found["from"], to=found["to"])["items"]
        assert (round(sum(one["planned_s"] for one in stops) / 60, 1), len(stops)) == (loss["minutes"], loss["count"])
        assert loss["new"] is True and loss["money"] is None
    assert [(one["reason"], one["machine"]) for one in found["losses"]] == [("no_order", "EOL-01"), ("blade", "SAW-01")]
    assert found["focus_machine"] == "EOL-01"


def test_yesterdays_energy_equals_the_summary_and_has_no_baseline_before_there_were_days(any_server: RunningServer) -> None:
    start = one_day(any_server)
    found = rows(any_server, "/yesterday")["energy"]
    summary = rows(any_server, "/energy/summary", from_=iso(start), to=iso(start + DAY))
    assert summary["incomer_wh"] == pytest.approx(120_000) and summary["machines_wh"] is not None
    assert summary["machines_wh"] == pytest.approx(60_000)
    assert summary["unmetered_wh"] == pytest.approx(60_000)
    assert found["wh_per_good"] == {"value": summary["wh_per_good"], "baseline": None, "days": 0}
    assert summary["wh_per_good"] == pytest.approx(120_000 / 159, abs=0.001)
    # EOL-01: idle for 20 h without an order; SAW-01 has its order all day
    assert summary["idle_wh"] == pytest.approx(500 * 20, rel=1e-6)
    assert found["idle_wh"]["value"] == pytest.approx(summary["idle_wh"], abs=0.1)
    assert (found["demand_w_max"]["value"], summary["w_max_15min"]) == (5000.0, 5000.0)
    meters = {one["meter"]: one for one in summary["meters"]}
    assert (meters["M-SAW-01"]["pf"], meters["M-LAT-01"]["wh"], meters["M-LAT-01"]["coverage"]) == (pytest.approx(0.957826, abs=1e-6), None, 0.0)


def test_the_wall_has_what_is_wrong_first_and_three_numbers(any_server: RunningServer) -> None:
    start = any_server.clock.now_ms()
    set_up(any_server)
    any_server.clock.advance(3600)
    now = any_server.clock.now_ms()
    facts = [history("SAW-01", [(start, "producing", "")], start, now), history("LAT-02", [(start, "starved", "")], start, now)]
    feed(any_server, [*facts, history("EOL-01", [(start, "fault", "")], start, now), meter("INC-01", start, now, 5_000)])
    found = rows(any_server, "/wall", line="L1")
    assert [one["code"] for one in found["tiles"]] == ["EOL-01", "LAT-02", "SAW-01", "LAT-01", "DEB-01"]
    assert [one["key"] for one in found["numbers"]] == ["output", "oee", "demand"]
    everywhere = rows(any_server, "/wall")
    assert everywhere["numbers"][2]["value"] == 5000.0
    assert rows(any_server, "/wall")["line"] is None


def test_actions_are_made_changed_and_kept(any_server: RunningServer) -> None:
    one_day(any_server)
    client = any_server.client(person="P-boss")
    made = any_server.act(client, "/actions", text="Other supplier for L-88", person="Li", due="2026-03-02", topic="blade", day="2026-03-02")
    action = made["body"]["id"]
    (found,) = rows(any_server, "/yesterday")["actions"]
    assert (found["id"], found["done"], found["overdue"], found["topic"]) == (action, False, True, "blade")
    any_server.act(client, f"/actions/{action}", "PATCH", done=True)
    (found,) = rows(any_server, "/yesterday")["actions"]
    assert (found["done"], found["overdue"], found["text"]) == (True, False, "Other supplier for L-88")
    any_server.act(client, f"/actions/{action}", "PATCH", done=False, due=None)
    (found,) = rows(any_server, "/yesterday")["actions"]
    assert (found["done"], found["due"]) == (False, None)
    missing = client.patch("/actions/00000000-0000-7000-8000-000000000000", json=any_server.envelope(done=True))
    assert (missing.status_code, missing.json()["code"]) == (404, "action_unknown")


def test_health_and_progress_answer_without_any_edge(server: RunningServer) -> None:
    set_up(server)
    health = rows(server, "/health/system")
    assert (health["server"]["db"], health["server"]["telemetry"], health["server"]["broker"]["connected"]) == ("sqlite", "memory", False)
    assert health["server"]["journal"]["records"] > 0
    progress: dict[str, Any] = rows(server, "/history/progress")
    assert progress["stored"] == 0
