"""Exchanged meters: energy across the exchange is exact whatever the edge made of the jump, told late or early; the act by HTTP."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.clock import iso
from edge_agent.pipeline.counters import CounterRule, CounterState, read
from mes_server.energy.rules import SWAP_LATE_MS, Bridge, Exchange, Series, across, bridge, used
from tests.mes_server.ingest.test_ingest_slices import feed, prepare, stored
from tests.support.ingest import T0, births, data
from tests.support.server import RunningServer
from tests.support.wait import eventually

MINUTE, HOUR = 60_000, 3_600_000
RULE = CounterRule(max_per_s=10.0, slack=600.0, modulus=1_000_000.0)  # 36 kW, in Wh; a display of six digits


def through_the_edge(readings: list[tuple[int, float]], rule: CounterRule = RULE) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """(moment, display) polled -> (moment, total) as the edge says it, and where its offset changed."""
    state: CounterState | None = None
    rows: list[tuple[int, float]] = []
    shifts: list[tuple[int, float]] = []
    last: int | None = None
    for at_ms, raw in readings:
        state = read(rule, state, raw, at_ms, 0.0 if last is None else (at_ms - last) / 1000).state
        last = at_ms
        if state is None:
            continue
        rows.append((at_ms, state.total))
        if state.offset != (shifts[-1][1] if shifts else 0.0):
            shifts.append((at_ms, state.offset))
    return rows, shifts


def exchanged(before: float, end: float, start: float, at_ms: int, *, dark_ms: int = 0, watts: float = 6_000.0) -> list[tuple[int, float]]:
    """One reading a minute from `before` on up to the exchange at which the display shows `end`; the new one begins at `start`, an hour long."""
    per_ms = watts / HOUR
    old = [(t, before + per_ms * t) for t in range(0, at_ms, MINUTE)]
    assert end == pytest.approx(before + per_ms * at_ms)
    first = -(-(at_ms + dark_ms + 1) // MINUTE) * MINUTE
    return old + [(t, start + per_ms * (t - at_ms)) for t in range(first, first + HOUR, MINUTE)]


@pytest.mark.parametrize(
    ("words", "before", "start", "dark_ms"),
    [
        ("a smaller display", 500_000.0, 0.0, 0),
        ("new from the shop", 500_000.0, 12.0, 0),
        ("a used one that shows more", 500_000.0, 730_000.0, 0),
        ("a used one that shows a little more: the edge sees nothing", 500_000.0, 503_200.0, 0),
        ("near the end of the display: looks like a rollover", 994_000.0, 0.0, 0),
        ("half an hour without a meter", 500_000.0, 0.0, 30 * MINUTE),
        ("a day passes for a used one", 500_000.0, 300_000.0, 10 * HOUR),
    ],
)
@pytest.mark.parametrize("told_ms", [0, 4 * MINUTE, -4 * MINUTE])
def test_energy_across_an_exchange_is_what_both_displays_say(words: str, before: float, start: float, dark_ms: int, told_ms: int) -> None:
    """`told_ms`: how far the person's watch is off. The draw is 6 kW all the time, so the truth is known."""
    at_ms = 50 * MINUTE + 17_000
    end = before + 6_000.0 / HOUR * at_ms
    readings = exchanged(before, end, start, at_ms, dark_ms=dark_ms)
    rows, shifts = through_the_edge(readings)
    crossed = across(rows, [bridge(Exchange(at_ms + told_ms, end, start), shifts)])
    series = Series.of(crossed, [(0, crossed[-1][0])])
    last = readings[-1][0]
    assert used(series, 0, last + 1).total == pytest.approx(6_000.0 / HOUR * last, abs=1e-3), (words, shifts)
    totals = [total for _, total in crossed]
    if shifts or told_ms >= 0:  # where the edge saw nothing, a watch that is behind cannot be noticed: only the course of those minutes is off
        assert totals == sorted(totals), "it never falls"


def test_windows_beside_the_exchange_are_untouched_and_windows_add_up() -> None:
    at_ms = 50 * MINUTE + 17_000
    end = 500_000.0 + 6_000.0 / HOUR * at_ms
    rows, shifts = through_the_edge(exchanged(500_000.0, end, 0.0, at_ms))
    series = Series.of(across(rows, [bridge(Exchange(at_ms, end, 0.0), shifts)]), [(0, 3 * HOUR)])
    whole = used(series, 0, 100 * MINUTE).total
    parts = [used(series, a * MINUTE, (a + 10) * MINUTE).total for a in range(0, 100, 10)]
    assert sum(part for part in parts if part is not None) == pytest.approx(whole)
    assert parts[0] == pytest.approx(1_000.0)
    assert parts[9] == pytest.approx(1_000.0)


def test_two_exchanges_and_a_window_after_both() -> None:
    one, two = Bridge(100, 1_000.0, 400.0), Bridge(200, 1_600.0, -50.0)
    rows = [(50, 990.0), (150, 1_050.0), (250, 1_600.0)]
    assert across(rows, [two, one]) == [(50, 990.0), (100, 1_000.0), (150, 1_450.0), (200, 2_000.0), (250, 1_950.0)]
    assert across([(250, 1_600.0), (260, 1_610.0)], [one, two]) == [(250, 1_950.0), (260, 1_960.0)]
    assert across([(50, 990.0)], [one]) == [(50, 990.0)], "nothing has come from the new meter yet"


def test_a_jump_of_another_day_is_not_the_exchange() -> None:
    found = bridge(Exchange(HOUR, 900.0, 0.0), [(HOUR + SWAP_LATE_MS + 1, 500.0)])
    assert found == Bridge(HOUR, 900.0, 900.0)


@given(st.floats(0, 900_000), st.floats(0, 900_000), st.integers(1, 100))
def test_law_any_pair_of_displays(before: float, start: float, minutes: int) -> None:
    at_ms = minutes * MINUTE - 30_000
    end = before + 6_000.0 / HOUR * at_ms
    readings = exchanged(before, end, start, at_ms)
    rows, shifts = through_the_edge(readings)
    found = bridge(Exchange(at_ms, end, start), shifts)
    crossed = across(rows, [found])
    assert crossed[-1][1] - crossed[0][1] == pytest.approx(6_000.0 / HOUR * readings[-1][0], abs=1e-3)


# --- the act -------------------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def metered(any_server: RunningServer) -> Iterator[RunningServer]:
    """M-SAW-01 at 12 kW, a reading each 5 minutes; at minute 30 (200 Wh a minute) the display shows 1,006,000 and is exchanged for one at 40 Wh."""
    prepare(any_server)
    old = [(T0 + m * MINUTE, 1_000_000.0 + 200 * m, 0.0) for m in range(0, 30, 5)]
    new = [(T0 + m * MINUTE, 40.0 + 200 * (m - 30), 1_000_000.0 + 200 * 25) for m in range(35, 65, 5)]  # the edge took it for a reset
    messages = births()
    for n, (at_ms, display, offset) in enumerate(old + new, 1):
        said = [("energy_import_wh", display + offset, at_ms), ("watched_until", at_ms, at_ms)]
        messages.append(data(n, "M-SAW-01", said + ([("energy_import_offset_wh", offset, at_ms)] if offset else [])))
    feed(any_server, messages)
    eventually(lambda: stored(any_server, len(old + new)), 10)
    yield any_server


def swap(**other: Any) -> dict[str, Any]:
    body = {
        "event_id": str(uuid.uuid4()),
        "occurred_at": iso(T0 + 40 * MINUTE),
        "meter": "M-SAW-01",
        "at": iso(T0 + 30 * MINUTE),
        "old_import_wh": 1_006_000.0,
        "new_import_wh": 40.0,
        "reason": "verification period ended",
        "old_serial": "A1",
        "new_serial": "B2",
    }
    return body | other


def hour(server: RunningServer) -> list[float]:
    window = {"from": iso(T0), "to": iso(T0 + 60 * MINUTE)}
    load = server.client("read").get("/energy/load", params={"meters": "M-SAW-01", "bucket_s": 900, **window}).json()
    return [round(point["wh"], 3) for point in load[0]["points"]]


def test_the_act_makes_the_figures_exact(metered: RunningServer) -> None:
    assert sum(hour(metered)) == pytest.approx(25 * 200 + 40 + 30 * 200), "before it is told: what the edge could know"
    client = metered.client("read", "supervise.correct")
    body = swap()
    shown = client.get("/energy/swaps/preview", params={name: body[name] for name in ("meter", "at", "old_import_wh", "new_import_wh")}).json()
    assert shown["wh_after"] - shown["wh_before"] == pytest.approx(1_006_000 - 40 - 1_005_000), "told before it is done"
    assert (shown["seen_wh"], shown["seen_at"]) == (1_005_000.0, iso(T0 + 25 * MINUTE)) and hour(metered) != [3_000.0] * 4
    answer = client.post("/energy/swaps", json=body)
    assert answer.status_code == 200 and answer.json() == {"meter": "M-SAW-01", "at": iso(T0 + 30 * MINUTE)}
    assert hour(metered) == [3_000.0] * 4
    assert client.post("/energy/swaps", json=body).json() == answer.json(), "the same event again: the same answer"
    (row,) = client.get("/energy/swaps", params={"meter": "M-SAW-01"}).json()["items"]
    assert (row["old_serial"], row["new_serial"], row["reason"]) == ("A1", "B2", "verification period ended")
    assert row["shift_wh"] == pytest.approx(1_006_000 - 40 - 1_005_000)
    journal = metered.client("read", "admin").get("/journal", params={"type": "energy.meter_swapped"})
    if journal.status_code == 200:
        assert "B2" in journal.text


def test_what_cannot_be_is_refused_in_words(metered: RunningServer) -> None:
    wrong: list[tuple[dict[str, Any], str | None]] = [
        ({"at": iso(T0 + 90 * HOUR)}, "meter_swap_in_the_future"),
        ({"old_import_wh": 1_004.0}, "meter_swap_end_too_low"),  # kWh instead of Wh
        ({"old_export_wh": 5.0}, "meter_swap_half_a_register"),
        ({"meter": "M-NOWHERE"}, None),
        ({"reason": ""}, None),
        ({"old_import_wh": -1.0}, None),
    ]
    client = metered.client("read", "supervise.correct")
    for change, code in wrong:
        answer = client.post("/energy/swaps", json=swap(**change))
        if code in ("meter_swap_in_the_future", "meter_swap_end_too_low"):
            asked = {name: swap(**change)[name] for name in ("meter", "at", "old_import_wh", "new_import_wh")}
            assert client.get("/energy/swaps/preview", params=asked).json()["code"] == code, "the same words before as after"
        assert 400 <= answer.status_code < 500, (change, answer.text)
        assert code is None or code in answer.text, answer.text
    assert client.get("/energy/swaps").json() == {"items": [], "next": None}


def test_rights_order_and_repeats(metered: RunningServer) -> None:
    assert metered.client("read", "energy.read").post("/energy/swaps", json=swap()).status_code == 403
    client = metered.client("read", "supervise.correct")
    assert client.post("/energy/swaps", json=swap()).status_code == 200
    assert client.post("/energy/swaps", json=swap()).status_code == 409, "another event for the same exchange"
    assert client.post("/energy/swaps", json=swap(at=iso(T0 + 10 * MINUTE))).status_code == 409, "exchanges are told in their order"
