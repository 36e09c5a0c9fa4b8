"""The pipeline: order of time, ties, gaps, restarts, bad values; laws over how the same readings arrive."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.config_model import DeviceConfig
from edge_agent.contract import names
from edge_agent.contract.names import GapCause
from edge_agent.contract.payload import DataType
from edge_agent.pipeline.catalogue import Catalogue
from edge_agent.pipeline.columns import Columns, Value
from edge_agent.pipeline.device import Memory
from edge_agent.pipeline.pipeline import Pipeline
from edge_agent.pipeline.tags import DeviceSource, compile_tags

MACHINE = DeviceConfig.model_validate(
    {
        "min_cycle_s": 1.0,
        "metrics": {
            "state": {},
            "good": {"width_bits": 16},
            "order": {},
            "alarm": {},
            "temp_c": {"scale": 0.1},
            "speed_rpm": {"deadband": 5.0},
            "note": {},
        },
    }
)
KIND = {bool: DataType.BOOLEAN, int: DataType.INT64, float: DataType.DOUBLE, str: DataType.STRING}
T0 = 1_700_000_000_000


class Bench:
    """A pipeline of one machine, spoken to by metric names; `seen` collects (t - T0, name, value)."""

    def __init__(self, memories: dict[str, Memory] | None = None, catalogue: Catalogue | None = None, period_ms: int = 0) -> None:
        self.catalogue = catalogue or Catalogue()
        plan = compile_tags({"M": DeviceSource("P", MACHINE, MACHINE.metrics, period_ms)})
        self.tags = {key: tag.number for (_, key), tag in plan.by_key().items()}
        self.problems: list[str] = []
        self.pipeline = Pipeline(plan, self.catalogue, memories or {}, problem=lambda device, en, zh: self.problems.append(en))
        self.seen: list[tuple[int, str, Value]] = []

    def put(self, *rows: tuple[str, int, Value], initial: bool = False, initial_at: int = 0, overflow: list[int] | None = None) -> None:
        columns = Columns.of((self.tags[key], T0 + t, int(KIND.get(type(value), DataType.STRING)), value) for key, t, value in rows)
        mask = np.ones(len(rows), np.bool_) if initial else None
        self.pipeline.push(columns, initial=mask, initial_ms=T0 + initial_at, overflow=overflow or [])

    def until(self, t: int, beat: bool = False) -> list[tuple[int, str, Value]]:
        if beat:
            self.pipeline.beat([0])
        self.pipeline.advance([0], T0 + t)
        out = []
        for record in self.pipeline.drain():
            for alias, t_ms, _, value in record.columns.rows():
                name = self.catalogue.by_alias[alias].name
                out.append((t_ms - T0, name, json.loads(str(value)) if name in (names.GAP, names.SAMPLES_GAP) else value))
        self.seen += out
        return out

    def of(self, name: str) -> list[tuple[int, Value]]:
        return [(t, value) for t, found, value in self.seen if found == name]


def started() -> Bench:
    bench = Bench()
    bench.pipeline.resume([0], T0)
    bench.put(("state", -5000, 6), ("good", -9000, 100), ("order", -99, "WO-1"), ("temp_c", -1, 200), initial=True)
    bench.until(0)
    bench.seen.clear()
    return bench


def test_first_sight_is_stamped_now_and_counts_nothing() -> None:
    bench = Bench()
    bench.pipeline.resume([0], T0)
    bench.put(("state", -5000, 6), ("good", -9000, 100), ("order", -99, "WO-1"), initial=True)
    assert bench.until(10) == [
        (0, names.ORDER, "WO-1"),
        (0, names.GOOD_TOTAL, 100),
        (0, names.GOOD_RAW, 100),
        (0, names.STATE, "producing"),
        (0, names.STATE_RAW, 6),
    ]


def test_a_count_made_while_the_session_was_being_opened_comes_after_the_first_value() -> None:
    """Found by the whole plant under faults: the old value, stamped with the end of the gap, came after the new one and looked like a reset."""
    bench = started()
    bench.put(("good", 400, 102))
    bench.until(1000, beat=True)
    bench.pipeline.lost([0], GapCause.EDGE_DOWN, "")
    bench.pipeline.resume([0], T0 + 5000)
    bench.put(("good", 400, 102), ("state", -5000, 6), ("order", -99, "WO-1"), initial=True, initial_at=5000)
    bench.put(("good", 4800, 103), ("good", 5200, 104))
    out = bench.until(6000)
    assert [(t, value) for t, name, value in out if name == names.GOOD_TOTAL] == [(5000, 102), (5000, 103), (5200, 104)]
    assert not next(value for _, name, value in out if name == names.GAP)["counter_reset"]


def test_values_come_out_in_the_order_of_their_source_time_behind_the_watermark() -> None:
    bench = started()
    bench.put(("good", 300, 103), ("good", 100, 101), ("temp_c", 250, 215), ("state", 200, 2), ("good", 500, 104))
    out = bench.until(400)
    assert [row[0] for row in out] == [100, 100, 200, 200, 250, 300, 300]
    assert bench.of("temp_c") == [(250, 21.5)]
    assert bench.of(names.GOOD_TOTAL) == [(100, 101), (300, 103)]
    assert bench.until(600)[0] == (500, names.GOOD_TOTAL, 104)


def test_at_one_moment_the_order_comes_before_the_counts_and_the_counts_before_the_state() -> None:
    bench = started()
    bench.put(("temp_c", 100, 1), ("state", 100, 4), ("good", 100, 101), ("order", 100, "WO-2"), ("alarm", 100, 17))
    assert [name for _, name, _ in bench.until(200)] == [
        names.ORDER,
        names.GOOD_TOTAL,
        names.GOOD_RAW,
        names.ALARM,
        names.STATE,
        names.STATE_RAW,
        "temp_c",
    ]


def test_a_lost_source_is_a_gap_from_the_last_proven_moment_and_everything_known_is_said_again() -> None:
    bench = started()
    bench.until(1000, beat=True)
    bench.pipeline.lost([0], GapCause.SOURCE_LOST, "cable")
    bench.pipeline.resume([0], T0 + 5000)
    bench.put(("state", -5000, 6), ("good", 3000, 104), ("order", 2000, "WO-2"), initial=True, initial_at=5000)
    out = bench.until(6000)
    gap = {"from_ms": T0 + 1000, "to_ms": T0 + 5000, "cause": "source_lost", "detail": "cable", "counter_reset": False, "parts_max": None}
    assert out == [
        (2000, names.ORDER, "WO-2"),
        (3000, names.GOOD_TOTAL, 104),  # made in the gap: counted at its own time
        (3000, names.GOOD_RAW, 104),
        (5000, names.GAP, gap),
        (5000, names.ORDER, "WO-2"),
        (5000, names.STATE, "producing"),
        (5000, names.STATE_RAW, 6),
    ]
    assert bench.of(names.WATCHED_UNTIL) == [(1000, T0 + 1000)]


def test_a_state_inside_a_gap_is_not_spoken_of_before_its_end() -> None:
    bench = started()
    bench.pipeline.lost([0], GapCause.SOURCE_LOST, "")
    bench.pipeline.resume([0], T0 + 5000)
    bench.put(("state", 2000, 2), ("state", 4000, 4))
    assert [(t, value) for t, name, value in bench.until(6000) if name == names.STATE] == [(5000, "idle")]


def test_losing_it_again_before_it_was_proven_makes_one_gap() -> None:
    bench = started()
    bench.until(1000)
    bench.pipeline.lost([0], GapCause.SOURCE_LOST, "first")
    bench.pipeline.resume([0], T0 + 2000)
    bench.pipeline.lost([0], GapCause.SOURCE_LOST, "second")
    bench.pipeline.resume([0], T0 + 3000)
    bench.until(4000)
    gaps = [value for _, value in bench.of(names.GAP)]
    assert [(gap["from_ms"] - T0, gap["to_ms"] - T0, gap["detail"]) for gap in gaps] == [(1000, 3000, "first")]  # type: ignore[index,call-overload]


def test_a_counter_reset_inside_a_gap_is_said_and_bounded() -> None:
    bench = started()
    bench.until(1000)
    bench.pipeline.lost([0], GapCause.SOURCE_LOST, "")
    bench.pipeline.resume([0], T0 + 61_000)
    bench.put(("good", 50_000, 7), initial=True, initial_at=61_000)
    bench.until(62_000)
    (_, gap) = bench.of(names.GAP)[0]
    assert gap["counter_reset"] is True and gap["parts_max"] == 49 - 7  # type: ignore[index,call-overload]
    assert bench.of(names.GOOD_TOTAL) == [(50_000, 107)]


def test_a_poll_that_was_not_missed_is_no_gap() -> None:
    bench = Bench(period_ms=10_000)
    bench.pipeline.resume([0], T0)
    bench.put(("good", 0, 5), initial=True)
    bench.until(0)
    bench.pipeline.lost([0], GapCause.EDGE_DOWN, "")
    bench.pipeline.resume([0], T0 + 10_000)
    bench.put(("good", 10_000, 6))
    bench.until(10_000)
    assert bench.of(names.GAP) == []
    assert bench.of(names.GOOD_TOTAL)[-1] == (10_000, 6)


def test_bad_values_of_a_fact_are_a_gap_and_of_a_sample_a_null() -> None:
    bench = started()
    bench.put(("state", 100, None), ("temp_c", 150, None))
    bench.until(200)
    bench.put(("state", 300, 6))
    bench.until(400)
    assert bench.of("temp_c") == [(150, None)]
    (t, gap) = bench.of(names.GAP)[0]
    assert (t, gap["from_ms"] - T0, gap["to_ms"] - T0, gap["cause"]) == (300, 100, 300, "bad_quality")  # type: ignore[index,call-overload]
    assert bench.of(names.STATE) == [(300, "producing")]


def test_a_queue_overflow_keeps_the_value_and_names_the_gap() -> None:
    bench = started()
    bench.put(("temp_c", 100, 1), ("state", 120, 2))
    bench.put(("temp_c", 500, 2), ("state", 600, 6), overflow=[0, 1])
    bench.until(1000)
    assert bench.of("temp_c") == [(100, 0.1), (500, 0.2)]
    (_, samples), (_, facts) = bench.of(names.SAMPLES_GAP)[0], bench.of(names.GAP)[0]
    assert (samples["from_ms"] - T0, samples["to_ms"] - T0) == (100, 500)  # type: ignore[index,call-overload]
    assert (facts["from_ms"] - T0, facts["to_ms"] - T0, facts["cause"]) == (120, 600, "overflow")  # type: ignore[index,call-overload]


def test_late_values_are_kept_and_stamped_with_what_was_already_proven() -> None:
    bench = started()
    bench.until(1000)
    bench.put(("good", 900, 101))
    bench.until(2000)
    assert bench.of(names.GOOD_TOTAL) == [(1001, 101)]
    assert bench.pipeline.late == 1


def test_late_values_can_be_told_although_nothing_moves_the_watermark_past_them() -> None:
    bench = started()
    for t in (100, 200):
        bench.put(("temp_c", t, 200))
    bench.until(1000)
    bench.seen.clear()
    bench.put(("good", 900, 101), ("temp_c", 950, 210), ("temp_c", 1500, 220))
    assert bench.pipeline.late_ms == {0: T0 + 1001}
    assert bench.until(1000) == [] and bench.pipeline.late_ms == {0: T0 + 1001}, "they wait"
    bench.pipeline.tell_late([0])
    bench.until(1000)
    assert (bench.of(names.GOOD_TOTAL), bench.of("temp_c")) == ([(1001, 101)], [(1001, 21.0)]), "and nothing that is not yet proven with them"
    assert bench.pipeline.late_ms == {} and bench.pipeline.devices[0].memory.proven_ms == T0 + 1000
    bench.put(("good", 1001, 102))
    bench.pipeline.tell_late([0])
    assert bench.until(1000) == [], "what is news waits for its proof"
    bench.until(2000)
    assert bench.of(names.GOOD_TOTAL) == [(1001, 101), (1001, 102)] and bench.of("temp_c")[1:] == [(1500, 22.0)]


def test_late_values_that_wait_are_told_once_and_follow_a_clock_that_is_set_back() -> None:
    bench = started()
    bench.until(1000)
    bench.put(("good", 1000, 101))
    bench.until(1001)
    assert bench.pipeline.late_ms == {}
    bench.put(("good", 1001, 102))
    bench.pipeline.set_back(T0 + 500)
    bench.pipeline.tell_late([0])
    bench.until(500)
    assert bench.of(names.GOOD_TOTAL) == [(1001, 101), (500, 102)] and bench.pipeline.late_ms == {}


def test_deadband_scale_and_text() -> None:
    bench = started()
    bench.put(*[("speed_rpm", i * 10, value) for i, value in enumerate((100.0, 104.0, 105.0, 103.0, 99.0), 1)], ("note", 60, "ok"))
    bench.until(100)
    assert [value for _, value in bench.of("speed_rpm")] == [100.0, 105.0, 99.0]
    assert bench.of("note") == [(60, "ok")]


def test_an_unknown_state_code_is_no_data_and_a_problem_in_words() -> None:
    bench = started()
    bench.put(("state", 10, 99))
    bench.until(20)
    assert bench.of(names.STATE) == [(10, "no_data")]
    assert bench.of(names.STATE_RAW) == [(10, 99)]
    assert "99 is not mapped" in bench.problems[0]


def test_a_counter_that_stands_still_while_the_machine_produces_is_told() -> None:
    bench = started()
    bench.put(("state", 10, 6))
    bench.until(1_000_000, beat=True)
    assert bench.problems == []
    bench.until(2_000_000, beat=True)
    assert "stood still for 30 minutes" in bench.problems[0]


def test_a_new_process_carries_the_counters_on() -> None:
    first = Bench()
    first.pipeline.resume([0], T0)
    first.put(("good", 10, 65530), initial=True, initial_at=10)
    first.put(("good", 20, 65535), ("state", 20, 6))
    first.until(100)
    device = first.pipeline.devices[0]
    memory = Memory.from_json(device.memory.proven_ms, json.loads(json.dumps(device.memory.to_json())))
    second = Bench({"M": memory}, first.catalogue)
    second.pipeline.lost([0], GapCause.EDGE_DOWN, "")
    second.pipeline.resume([0], T0 + 3000)
    second.put(("good", 2000, 2), ("state", -1, 6), initial=True, initial_at=3000)
    second.until(4000)
    total = device.memory.counters["good"].total
    assert second.of(names.GOOD_TOTAL) == [(2000, total + 3)] == [(2000, 65538)]
    assert [t for t, _ in second.of(names.GAP)] == [3000]


@given(
    st.lists(st.tuples(st.sampled_from(["good", "state", "temp_c", "order"]), st.integers(1, 9999)), min_size=1, max_size=40),
    st.randoms(use_true_random=False),
)
def test_law_the_way_readings_arrive_does_not_matter(plan: list[tuple[str, int]], dice: random.Random) -> None:
    """Shuffled and cut into any notifications, or all in one: the same records."""
    rows: list[tuple[str, int, Any]] = []
    good = 100
    times = sorted({t for _, t in plan})
    for t, (key, _) in zip(times, plan, strict=False):
        good += 1
        rows.append((key, t, {"good": good, "state": t % 18, "temp_c": t, "order": f"WO-{t}"}[key]))
    clean = started()
    clean.put(*rows)
    clean.until(10_000)
    mixed = started()
    shuffled = rows[:]
    dice.shuffle(shuffled)
    while shuffled:
        cut = dice.randint(1, len(shuffled))
        mixed.put(*shuffled[:cut])
        shuffled = shuffled[cut:]
    mixed.until(10_000)
    assert mixed.seen == clean.seen


def test_what_was_added_to_a_meters_display_goes_beside_the_total_where_it_is_not_zero() -> None:
    """A meter that begins at 0 again: its total goes on, and what was added is said, so that an exchange can be reckoned from the displays."""
    meter = DeviceConfig.model_validate({"kind": "meter", "rated_power_w": 36_000, "metrics": {"energy_import_wh": {"scale": 1000.0}}})
    plan = compile_tags({"M": DeviceSource("P", meter, meter.metrics, 60_000)})
    catalogue = Catalogue()
    pipeline = Pipeline(plan, catalogue, {}, problem=lambda device, en, zh: None)
    said: list[list[tuple[str, Value]]] = []
    for minute, raw in enumerate((500.0, 500.1, 0.0, 0.1)):
        pipeline.push(Columns.of([(0, T0 + minute * 60_000, int(DataType.DOUBLE), raw)]))
        pipeline.advance([0], T0 + minute * 60_000)
        names_of = {metric.alias: metric.name for metric in catalogue.by_alias.values()}
        said.append([(names_of[alias], value) for record in pipeline.drain() for alias, _, _, value in record.columns.rows()])
    assert [dict(rows).get("energy_import_offset_wh") for rows in said] == [None, None, 500_100.0, 500_100.0]
    assert [round(dict(rows)["energy_import_wh"]) for rows in said] == [500_000, 500_100, 500_100, 500_200]  # type: ignore[call-overload, arg-type]


def test_a_meter_with_power_whose_energy_stands_still_is_told() -> None:
    meter = DeviceConfig.model_validate({"kind": "meter", "rated_power_w": 36_000, "metrics": {"energy_import_wh": {}, "power_w": {}}})
    plan = compile_tags({"M": DeviceSource("P", meter, meter.metrics, 60_000)})
    problems: list[str] = []
    pipeline = Pipeline(plan, Catalogue(), {}, problem=lambda device, en, zh: problems.append(en + zh))
    for minute in range(12):
        energy = 5_000.0 + 100.0 * min(minute, 5)  # it stops at minute 5
        rows = [(0, energy), (1, 6_000.0)]
        pipeline.push(Columns.of([(tag, T0 + minute * 60_000, int(DataType.DOUBLE), value) for tag, value in rows]))
        pipeline.beat([0])
        pipeline.advance([0], T0 + minute * 60_000)
        pipeline.drain()
        assert bool(problems) == (minute >= 7), (minute, problems)  # 200 Wh are missing
