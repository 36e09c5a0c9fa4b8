"""The calendar, with golden nights of the clock change, and the model's checks."""

from __future__ import annotations

import itertools
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mes_server.plant import rules
from mes_server.plant.rules import Calendar
from mes_server.plant.schemas import Break, PlantBody, Shift

EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)


def shift(code: str, start: str, end: str, *breaks: tuple[str, str], weekdays: tuple[int, ...] = EVERY_DAY) -> Shift:
    pauses = tuple(Break(start=a, end=b) for a, b in breaks)
    return Shift(code=code, name_zh=code, name_en=code, start=start, end=end, weekdays=weekdays, breaks=pauses)


THREE = (
    shift("early", "06:00", "14:00", ("10:00", "10:30")),
    shift("late", "14:00", "22:00", ("18:00", "18:30")),
    shift("night", "22:00", "06:00", ("02:00", "02:30")),
)


def calendar(zone: str, *shifts: Shift, day_start: str = "06:00") -> Calendar:
    return Calendar(ZoneInfo(zone), rules.minutes(day_start), shifts or THREE)


def ms(text: str, zone: str = "Europe/Berlin") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(("night", "length_min"), [("2026-03-28", 420), ("2026-10-24", 540), ("2026-03-27", 480), ("2026-10-25", 480)])
def test_a_night_shift_is_as_long_as_it_was(night: str, length_min: int) -> None:
    """Europe/Berlin: the clocks go forward in the night of 28 March 2026 and back in that of 24 October 2026."""
    found = [one for one in calendar("Europe/Berlin").shift_windows(ms(f"{night}T12:00"), ms(f"{night}T23:59")) if one.shift == "night"]
    assert [one.day.isoformat() for one in found] == [night]
    assert (found[0].to_ms - found[0].from_ms) // 60_000 == length_min
    assert found[0].planned_ms // 60_000 == length_min - 30, "the break keeps its written length"


@pytest.mark.parametrize(("day", "hours"), [("2026-03-28", 23), ("2026-10-24", 25), ("2026-06-01", 24)])
def test_a_production_day_has_23_24_or_25_hours(day: str, hours: int) -> None:
    from_ms, to_ms = calendar("Europe/Berlin").day_window(date.fromisoformat(day))
    assert (to_ms - from_ms) / 3_600_000 == hours


def test_the_production_day_of_a_night() -> None:
    plant = calendar("Asia/Shanghai")
    assert plant.production_day(ms("2026-03-03T05:59:59", "Asia/Shanghai")) == date(2026, 3, 2)
    assert plant.production_day(ms("2026-03-03T06:00", "Asia/Shanghai")) == date(2026, 3, 3)
    night = plant.shift_at(ms("2026-03-03T03:00", "Asia/Shanghai"))
    assert night is not None and (night.shift, night.day) == ("night", date(2026, 3, 2))


def test_planned_time_is_clipped_and_without_breaks() -> None:
    plant = calendar("Asia/Shanghai")
    at = lambda text: ms(f"2026-03-02T{text}", "Asia/Shanghai")  # noqa: E731
    assert plant.planned_intervals(at("09:00"), at("15:00")) == [(at("09:00"), at("10:00")), (at("10:30"), at("15:00"))]
    assert plant.planned_intervals(at("10:10"), at("10:20")) == []
    assert plant.planned_intervals(at("10:10"), at("10:10")) == []


def test_weekdays_are_those_of_the_start() -> None:
    plant = calendar("Asia/Shanghai", shift("night", "22:00", "06:00", weekdays=(5,)))
    found = plant.shift_windows(ms("2026-03-01T00:00", "Asia/Shanghai"), ms("2026-03-15T00:00", "Asia/Shanghai"))
    assert [one.day.isoformat() for one in found] == ["2026-03-06", "2026-03-13"]


def test_a_shift_that_starts_in_the_skipped_hour() -> None:
    plant = calendar("Europe/Berlin", shift("odd", "02:30", "10:30"))
    found = plant.shift_windows(ms("2026-03-29T04:00"), ms("2026-03-29T05:00"))
    assert [one.from_ms for one in found] == [ms("2026-03-29T03:30")], "02:30 does not exist: it is 03:30"


@settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(["Europe/Berlin", "Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    start=st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31)),
    hours=st.lists(st.integers(1, 400), min_size=1, max_size=6),
)
def test_cutting_a_window_changes_nothing(zone: str, start: datetime, hours: list[int]) -> None:
    """Law: the planned time of a window is the sum over its pieces; it lies in the window, ascending, disjoint."""
    plant = calendar(zone)
    edges = [round(start.replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)]
    for step in hours:
        edges.append(edges[-1] + step * 1_234_567)
    whole = plant.planned_intervals(edges[0], edges[-1])
    pieces = [part for a, b in itertools.pairwise(edges) for part in plant.planned_intervals(a, b)]
    assert sum(b - a for a, b in whole) == sum(b - a for a, b in pieces)
    assert list(rules.joined(whole)) == whole
    assert all(edges[0] <= a < b <= edges[-1] for a, b in whole)


@settings(max_examples=60, deadline=None)
@given(at=st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31)))
def test_every_moment_is_in_the_window_of_its_day(at: datetime) -> None:
    plant = calendar("Europe/Berlin")
    at_ms = round(at.replace(tzinfo=ZoneInfo("UTC")).timestamp() * 1000)
    from_ms, to_ms = plant.day_window(plant.production_day(at_ms))
    assert from_ms <= at_ms < to_ms
    window = plant.shift_at(at_ms)
    assert window is not None and window.day == plant.production_day(at_ms), "three shifts leave no hole"


def test_covers() -> None:
    spans = [(10, 20), (30, 40)]
    assert [at for at in (9, 10, 19, 20, 29, 30, 40) if rules.covers(spans, at)] == [10, 19, 30]


def body(**parts: Any) -> PlantBody:
    site = {"code": "PUMP", "name_zh": "海通", "name_en": "Haitong", "zone": "Asia/Shanghai"}
    return PlantBody.model_validate({"site": site, **parts})


def machine(code: str, **more: Any) -> dict[str, Any]:
    return {"code": code, "name_zh": code, "name_en": code, "line": "L1", "machine_class": "saw", **more}


LINE = [{"code": "L1", "name_zh": "一线", "name_en": "Line 1"}]


def test_every_fault_is_named_at_once() -> None:
    model = body(
        lines=LINE,
        machines=[machine("A", edge="E", device="D"), machine("A"), machine("B", line="L9", edge="E", device="D"), machine("C", edge="E")],
        stations=[{"code": "S", "name_zh": "站", "name_en": "S", "machines": ["A", "Z"]}],
        meters=[{"code": "M", "name_zh": "表", "name_en": "M", "kind": "machine"}],
        shifts=[
            {
                "code": "x",
                "name_zh": "x",
                "name_en": "x",
                "start": "06:00",
                "end": "14:00",
                "weekdays": [1],
                "breaks": [{"start": "15:00", "end": "15:10"}],
            },
            {"code": "y", "name_zh": "y", "name_en": "y", "start": "13:00", "end": "20:00", "weekdays": [1, 1]},
        ],
        reasons=[{"code": "R", "kind": "stop", "zh": "因", "en": "R", "machine_classes": ["mill"]}],
        alarms=[{"code": "1", "machine_class": "saw", "zh": "警", "en": "a", "reason": "none"}],
        scrap_order=["R"],
    )
    named = {fault.where for fault in rules.faults(model)}
    assert named == {
        "machines.A", "machines.B", "machines.B.line", "machines.C", "stations.S.machines", "meters.M.machine", "shifts.x.breaks",
        "shifts.y.weekdays",
        "shifts.y", "reasons.R.machine_classes", "alarms.1.reason", "scrap_order",
    }  # fmt: skip


def test_a_sunday_night_may_not_run_into_monday_morning() -> None:
    week = [
        {"code": "night", "name_zh": "夜", "name_en": "night", "start": "22:00", "end": "07:00", "weekdays": [7]},
        {"code": "early", "name_zh": "早", "name_en": "early", "start": "06:00", "end": "14:00", "weekdays": [1]},
    ]
    assert [fault.where for fault in rules.faults(body(lines=LINE, shifts=week))] == ["shifts.early"]
