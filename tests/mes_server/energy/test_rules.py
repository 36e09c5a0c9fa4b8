"""Energy arithmetic: linear between readings, estimated over gaps, silence up to the last proof, demand, buckets on the plant's clock."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mes_server.energy import rules
from mes_server.energy.rules import Series

MIN = 60_000
HOUR = 60 * MIN
SHANGHAI, BERLIN, KATHMANDU = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kathmandu")


def series(rows: list[tuple[int, float]], known: list[tuple[int, int]]) -> Series:
    made = Series.of([(at * MIN, total) for at, total in rows], [(a * MIN, b * MIN) for a, b in known])
    assert made is not None
    return made


def ms(text: str, zone: ZoneInfo = SHANGHAI) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def test_energy_is_linear_between_readings_and_windows_add_up() -> None:
    one = series([(0, 100.0), (10, 200.0), (20, 260.0)], [(0, 20)])
    assert rules.used(one, 5 * MIN, 15 * MIN) == rules.Used(80.0, 0.0, 10 * MIN)
    assert rules.used(one, 0, 20 * MIN).total == 160.0


def test_the_part_over_a_gap_is_marked_estimated() -> None:
    """MyEMS gap case 1: 38312088 at 23:59:48 to 38315900 at 06:14:49: 3812 over 6.25 h, then +28."""
    start, end = ms("2018-01-01T23:59:48"), ms("2018-01-02T06:14:49")
    one = Series.of([(start, 38312088.0), (end, 38315900.0), (end + HOUR, 38315928.0)], [(start - HOUR, start), (end, end + HOUR)])
    whole = rules.used(one, start, end + HOUR)
    assert (whole.total, whole.estimated, whole.known_ms) == (3840.0, 3812.0, HOUR)
    half = rules.used(one, start, (start + end) // 2)
    assert half.total == half.estimated == pytest.approx(1906.0)


def test_silence_up_to_the_last_proof_means_nothing_was_used_and_later_is_unknown() -> None:
    one = series([(0, 100.0), (10, 100.0)], [(0, 60)])
    assert rules.used(one, 0, 60 * MIN) == rules.Used(0.0, 0.0, 60 * MIN)
    assert rules.used(one, 60 * MIN, 70 * MIN).total is None
    assert rules.used(one, 30 * MIN, 90 * MIN).known_ms == 30 * MIN


def test_before_the_first_reading_and_without_a_meter_nothing_is_known() -> None:
    one = series([(10, 5.0), (20, 9.0)], [(10, 20)])
    assert rules.used(one, 0, 10 * MIN).total is None
    assert rules.used(one, 0, 20 * MIN) == rules.Used(4.0, 0.0, 10 * MIN)
    assert rules.used(None, 0, 10).total is None
    assert Series.of([], [(0, 5)]) is None


def test_a_total_that_falls_never_gives_negative_energy() -> None:
    one = series([(0, 100.0), (1, 90.0), (2, 110.0)], [(0, 2)])
    assert [bucket.wh for bucket in rules.load(one, [0, MIN, 2 * MIN])] == [0.0, 10.0]


def test_load_says_what_is_unknown_and_what_is_estimated() -> None:
    one = series([(0, 0.0), (10, 100.0), (30, 300.0)], [(0, 10), (20, 30)])
    found = rules.load(one, [0, 10 * MIN, 20 * MIN, 30 * MIN, 40 * MIN])
    assert [(bucket.wh, bucket.estimated) for bucket in found] == [(100.0, False), (100.0, True), (100.0, False), (None, False)]
    assert found[0].w_mean == 600.0


def test_demand_of_blocks_is_the_highest_whole_block_and_the_first_of_equals() -> None:
    one = series([(0, 0.0), (15, 150_000.0), (30, 300_000.0), (45, 350_000.0)], [(0, 45)])
    borders = [0, 15 * MIN, 30 * MIN, 45 * MIN, 60 * MIN]
    assert rules.demand_block(one, borders) == rules.Demand(600_000.0, 0)


def test_150_kwh_in_30_minutes_is_300_kw() -> None:
    one = series([(0, 0.0), (30, 150_000.0)], [(0, 30)])
    found = rules.demand_block(one, [0, 30 * MIN])
    assert found is not None and found.w == 300_000.0


def test_sliding_demand_finds_what_blocks_cut_in_half() -> None:
    """5 minutes at 400 kW then 10 at 600 kW: 533.33 kW over the full quarter (Niagara's example); a block border in the middle shows less."""
    one = series([(0, 0.0), (10, 0.0), (15, 400_000 / 12), (25, 400_000 / 12 + 100_000), (60, 400_000 / 12 + 100_000)], [(0, 60)])
    sliding = rules.demand_sliding(one, 0, 60 * MIN)
    block = rules.demand_block(one, [0, 15 * MIN, 30 * MIN, 45 * MIN, 60 * MIN])
    assert sliding is not None and block is not None
    assert sliding.w == pytest.approx(533_333.33, abs=1) and sliding.at_ms == 10 * MIN
    assert block.w == pytest.approx(400_000.0)


def test_the_power_factor_of_a_month_comes_from_its_energies() -> None:
    assert rules.power_factor(300.0, 400.0) == 0.6
    assert rules.power_factor(0.0, 0.0) is None and rules.power_factor(None, 1.0) is None
    assert rules.power_factor(5.0, 0.0) == 1.0


def test_buckets_lie_on_the_plants_clock_even_where_it_is_off_by_a_quarter() -> None:
    start = ms("2026-03-02T10:20", KATHMANDU)  # UTC+5:45
    found = rules.bucket_borders(start, start + 2 * HOUR, 3600, KATHMANDU)
    assert [datetime.fromtimestamp(one / 1000, KATHMANDU).strftime("%H:%M") for one in found] == ["10:20", "11:00", "12:00", "12:20"]
    whole = rules.bucket_borders(start, start + 2 * HOUR, 3600, KATHMANDU, whole=True)
    assert [datetime.fromtimestamp(one / 1000, KATHMANDU).strftime("%H:%M") for one in whole] == ["11:00", "12:00"]


def test_a_day_with_a_clock_change_has_23_or_25_hours() -> None:
    for day, hours in (("2026-03-29", 23), ("2026-10-25", 25)):
        start = ms(f"{day}T00:00", BERLIN)
        end = rules.day_borders(start, start + 1, BERLIN)[1]
        assert (end - start) // HOUR == hours
        borders = rules.bucket_borders(start, end, 900, BERLIN, whole=True)
        assert len(borders) - 1 == hours * 4
        assert rules.bucket_borders(start, end + HOUR, 86_400, BERLIN) == [start, end, end + HOUR]


def test_a_reading_on_a_minute_border_closes_the_minute_before() -> None:
    assert rules.slot(60_000) == 60_000 and rules.slot(60_001) == 120_000 and rules.slot(59_999) == 60_000


@given(
    st.lists(st.tuples(st.integers(0, 500), st.floats(0, 1e6)), min_size=1, max_size=20),
    st.lists(st.integers(-50, 600), min_size=2, max_size=8, unique=True).map(sorted),
)
def test_parts_of_a_window_add_up_to_the_whole(rows: list[tuple[int, float]], borders: list[int]) -> None:
    one = Series.of([(at * MIN, total) for at, total in rows], [(0, 550 * MIN)])
    edges = [edge * MIN for edge in borders]
    parts = [bucket.wh or 0.0 for bucket in rules.load(one, edges)]
    whole = rules.used(one, edges[0], edges[-1]).total
    assert sum(parts) == pytest.approx(whole or 0.0, abs=1e-6)
    assert all(part >= 0 for part in parts)
