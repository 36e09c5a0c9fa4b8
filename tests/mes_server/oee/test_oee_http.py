"""OEE, losses and stops through HTTP: one shift worked out by hand, and every list adds up to the figure above it."""

from __future__ import annotations

from typing import Any

import pytest

from edge_agent.contract.clock import iso
from tests.support.orders import do
from tests.support.seeing import feed, gap, history, pieces, rows, set_up
from tests.support.server import RunningServer

MIN = 60_000
HOUR = 60 * MIN


def early_shift(server: RunningServer) -> int:
    """SAW-01, 06:00-14:00, break 10:00-10:30, ideal 20 s a piece. Returns 06:00 in ms; the clock is at 14:00.

    06:00 producing · 07:00-07:10 fault with alarm 17 · 08:00-08:00:40 stopped (micro) · 09:00-09:20 set-up · 10:00-10:15 producing in the break ·
    10:15-10:30 idle (break) · 11:00-11:30 no data · 12:00-12:30 starved · then producing. 1,000 pieces every 20 s from 06:00:20, each 50th scrap.
    """
    start = server.clock.now_ms()
    set_up(server)
    at = lambda h, m, s=0: start + ((h - 6) * 60 + m) * MIN + s * 1000  # noqa: E731
    said = [
        (at(6, 0), "producing", ""),
        (at(7, 0), "fault", "17"),
        (at(7, 10), "producing", ""),
        (at(8, 0), "stopped", ""),
        (at(8, 0, 40), "producing", ""),
        (at(9, 0), "setup", ""),
        (at(9, 20), "producing", ""),
        (at(10, 15), "idle", ""),
        (at(10, 30), "producing", ""),
        (at(12, 0), "starved", ""),
        (at(12, 30), "producing", ""),
    ]
    day = history("SAW-01", said, start, at(14, 0))
    day.gaps.append(gap("SAW-01", at(11, 0), at(11, 30)))
    day.counts["SAW-01"] = pieces((start + n * 20_000 for n in range(1, 1001)), scrap_every=50)
    server.clock.advance(8 * 3600)
    feed(server, [day])
    return start


def window(start: int) -> dict[str, str]:
    return {"from_": iso(start), "to": iso(start + 8 * HOUR)}


def test_a_shift_worked_out_by_hand(any_server: RunningServer) -> None:
    start = early_shift(any_server)
    found = rows(any_server, "/oee", scope="machine:SAW-01", **window(start))
    # T 450; known 450 - 30 of gap; producing in the break 15 → PBT 435. Stops: fault 10, set-up 20, starved 30, micro 40 s.
    assert (found["planned_s"], found["known_s"], found["extra_s"], found["pbt_s"]) == (27_000, 25_200, 900, 26_100)
    assert (found["apt_s"], found["aust_s"]) == (26_100 - 600 - 1200 - 1800 - 40, 1200)
    assert found["coverage"] == pytest.approx(25_200 / 27_000, abs=1e-6)
    assert (found["good"], found["scrap"], found["total"]) == (980, 20, 1000)
    assert (found["ideal_s_good"], found["ideal_s_total"]) == (19_600, 20_000)
    apt = 22_460
    assert found["iso"] == pytest.approx({"a": apt / 26_100, "p": 20_000 / apt, "q": 0.98, "oee": 19_600 / 26_100}, abs=1e-6)
    run = 26_100 - 600 - 1200 - 1800
    assert found["tpm"] == pytest.approx({"a": run / 26_100, "p": 20_000 / run, "q": 0.98}, abs=1e-6)
    assert (found["oee"], found["target"]) == (pytest.approx(19_600 / 26_100, abs=1e-6), 0.75)
    assert found["flags"] == ["low_coverage", "output_in_break"]
    losses = {one["key"]: (one["seconds"], one["pieces"]) for one in found["losses"]}
    assert losses == {
        "no_data": (1800, 90),
        "material": (1800, 90),
        "setup": (1200, 60),
        "breakdown": (600, 30),
        "minor": (40, 2),
        "speed": (2460, 123),
        "scrap": (400, 20),
    }
    assert "19,600 s ÷ PBT 26,100 s = 75.1 %" in found["how_en"] and "26,100 s" in found["how_zh"]


def test_shifts_give_the_same_record_a_machine_and_a_line_adds_times(any_server: RunningServer) -> None:
    start = early_shift(any_server)
    shifts = rows(any_server, "/oee/shifts", from_day="2026-03-02", to_day="2026-03-02", scope="line:L1")
    assert {(one["day"], one["shift"]) for one in shifts} == {("2026-03-02", "early")}  # the late shift has not begun
    saw = next(one for one in shifts if one["scope"] == "machine:SAW-01")
    alone = rows(any_server, "/oee", scope="machine:SAW-01", **window(start))
    assert {key: saw[key] for key in alone} == alone
    line = rows(any_server, "/oee", scope="line:L1", **window(start))
    assert (line["planned_s"], line["pbt_s"], line["good"]) == (5 * 27_000, saw["pbt_s"], 980)
    assert line["oee"] == saw["oee"]  # the other machines were never seen: nothing of them is known, and that is not zero
    (day,) = rows(any_server, "/oee/days", from_day="2026-03-02", to_day="2026-03-02", scope="line:L1")
    assert (day["day"], day["oee"], day["planned_s"]) == ("2026-03-02", line["oee"], 5 * 3 * 27_000)


def test_every_list_adds_up_to_the_figure_above_it(any_server: RunningServer) -> None:
    start = early_shift(any_server)
    losses = rows(any_server, "/losses", scope="machine:SAW-01", **window(start))
    steps = losses["waterfall"]
    assert steps[0]["seconds"] - sum(one["seconds"] for one in steps if one["kind"] == "loss") == pytest.approx(steps[-1]["seconds"])
    record = losses["record"]
    stopped = record["pbt_s"] - record["apt_s"]
    assert sum(one["seconds"] for one in losses["pareto"]) == stopped
    assert [(one["reason"], one["seconds"], one["count"]) for one in losses["pareto"]] == [
        ("state.starved", 1800, 1),
        ("state.setup", 1200, 1),
        ("blade", 600, 1),
        ("micro", 40, 1),
    ]
    for row in losses["pareto"]:
        stops = rows(any_server, "/stops", scope="machine:SAW-01", reason=row["reason"], **window(start))["items"]
        assert (sum(one["planned_s"] for one in stops), len(stops)) == (row["seconds"], row["count"])
        states = rows(any_server, "/states", machine="SAW-01", from_=stops[0]["from"], to=stops[0]["to"])
        assert {one["known"] for one in states} == {True} and all(one["state"] != "producing" for one in states)


def test_stops_are_paged_filtered_and_say_who_said_why(any_server: RunningServer) -> None:
    start = early_shift(any_server)
    every = rows(any_server, "/stops", scope="site", **window(start))
    assert [(one["state"], one["seconds"], one["planned_s"], one["micro"]) for one in every["items"]] == [
        ("fault", 600, 600, False),
        ("stopped", 40, 40, True),
        ("setup", 1200, 1200, False),
        ("idle", 900, 0, False),
        ("starved", 1800, 1800, False),
    ]
    assert every["items"][0]["reason_by"] == "alarm" and every["items"][0]["alarm_en"] == "Blade alarm"
    first = rows(any_server, "/stops", scope="site", limit=3, **window(start))
    rest = rows(any_server, "/stops", scope="site", limit=3, cursor=first["next"], **window(start))
    assert first["items"] + rest["items"] == every["items"] and rest["next"] is None
    assert len(rows(any_server, "/stops", scope="site", min_s=600, **window(start))["items"]) == 4


def explain(server: RunningServer, machine: str, stop_from: str, reason: str, **more: Any) -> None:
    server.clock.advance(1)
    do(server, server.client(person="P-ann"), "stop.explain", machine=machine, stop_from=stop_from, reason=reason, **more)


def test_a_reason_moves_the_loss_and_a_split_divides_it(any_server: RunningServer) -> None:
    start = early_shift(any_server)
    starved = rows(any_server, "/stops", scope="site", reason="state.starved", **window(start))["items"][0]
    explain(any_server, "SAW-01", starved["from"], "blade")
    explain(any_server, "SAW-01", starved["from"], "no-mat", note="bar stock late")
    answered = rows(any_server, "/stops", scope="site", reason="no-mat", **window(start))["items"][0]
    assert (answered["reason"], answered["reason_by"], answered["note"]) == ("no-mat", "P-ann", "bar stock late")
    middle = iso(start + 6 * HOUR + 10 * MIN)
    do(any_server, any_server.client(), "stop.split", machine="SAW-01", stop_from=starved["from"], at=middle)
    explain(any_server, "SAW-01", middle, "blade")
    pareto = {one["reason"]: one["seconds"] for one in rows(any_server, "/losses", scope="machine:SAW-01", **window(start))["pareto"]}
    assert (pareto["no-mat"], pareto["blade"]) == (600, 600 + 1200)
    states = rows(any_server, "/states", machine="SAW-01", from_=starved["from"], to=starved["to"])
    assert [(one["to"], one["reason"]) for one in states] == [(middle, "no-mat"), (starved["to"], "blade")]


def test_a_reason_given_before_the_machine_stops_or_before_its_data_arrive_finds_its_stop(any_server: RunningServer) -> None:
    start = any_server.clock.now_ms()
    set_up(any_server)
    explain(any_server, "SAW-01", iso(start + 9 * MIN), "no-mat")
    explain(any_server, "SAW-01", iso(start + 60 * MIN), "blade")
    any_server.clock.advance(8 * 3600)
    said = [
        (start, "producing", ""), (start + 10 * MIN, "stopped", ""), (start + 20 * MIN, "producing", ""), (start + 50 * MIN, "fault", ""),
        (start + 90 * MIN, "producing", ""),
    ]  # fmt: skip
    feed(any_server, [history("SAW-01", said, start, start + 8 * HOUR)])
    stops = rows(any_server, "/stops", scope="site", **window(start))["items"]
    assert [one["reason"] for one in stops] == ["no-mat", "blade"]


def test_an_unknown_reason_and_a_missing_right_are_refused_in_words(server: RunningServer) -> None:
    start = early_shift(server)
    bad = server.client().post("/acts", json=server.envelope(type="stop.explain", machine="SAW-01", stop_from=iso(start), reason="nonsense"))
    assert (bad.status_code, bad.json()["code"]) == (422, "unknown_stop_reason")
    nobody = server.client("read").post("/acts", json=server.envelope(type="stop.explain", machine="SAW-01", stop_from=iso(start), reason="blade"))
    assert nobody.status_code == 403
    explain(server, "SAW-01", iso(start + 6 * HOUR), "dont_know")
    assert "dont_know" in {one["reason"] for one in rows(server, "/losses", scope="site", **window(start))["pareto"]}


def test_an_operation_without_a_cycle_leaves_oee_unknown(any_server: RunningServer) -> None:
    start = any_server.clock.now_ms()
    set_up(any_server)
    day = history("SAW-01", [(start, "producing", "")], start, start + 8 * HOUR)
    day.counts["SAW-01"] = pieces([start + MIN], order="", operation="")  # nobody's pieces
    any_server.clock.advance(8 * 3600)
    feed(any_server, [day])
    found = rows(any_server, "/oee", scope="machine:SAW-01", **window(start))
    assert (found["oee"], found["tpm"]["p"], found["tpm"]["a"], found["good"]) == (None, None, 1.0, 1)
    assert "no_ideal_cycle" in found["flags"] and found["ideal_s_good"] is None
