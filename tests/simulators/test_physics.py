"""The physics: the same seed gives the same plant in whatever steps; nothing is lost between machines; the oracle adds up."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from simulators.ledger import Ledger
from simulators.oracle import Truth
from simulators.oracle.truth import overlap, union
from simulators.physics import ActEvent, CountEvent, ErpEvent, Event, LotEvent, MinuteEvent, PieceEvent, Plant, PowerEvent, StateEvent, VarEvent
from simulators.physics.events import uuid7
from simulators.physics.orders import OPERATIONS
from simulators.physics.plant import PlcOutage
from simulators.scenario import ScenarioError, load

START = 1_772_401_500_000  # 2026-03-02 05:45 in Shanghai
DAY = 86_400_000


@pytest.fixture(scope="module")
def two_days() -> tuple[Plant, list[Event]]:
    plant = Plant(load("check"), START)
    return plant, plant.advance(START + 2 * DAY)


def test_same_seed_same_events_in_whatever_steps(two_days: tuple[Plant, list[Event]]) -> None:
    plant = Plant(load("check"), START)
    stepped: list[Event] = []
    at = START
    while at < START + DAY:
        at += 777_777
        stepped += plant.advance(min(at, START + DAY))
    whole = [e for e in two_days[1] if e.at_ms <= START + DAY]
    assert stepped == whole
    assert Plant(load("check", seed=2), START).advance(START + 3_600_000) != [e for e in whole if e.at_ms <= START + 3_600_000]


def test_events_come_in_time_order_in_whole_milliseconds(two_days: tuple[Plant, list[Event]]) -> None:
    events = two_days[1]
    assert all(isinstance(e.at_ms, int) for e in events)
    assert all(a.at_ms <= b.at_ms for a, b in itertools.pairwise(events))


def test_pieces_are_neither_made_nor_lost_between_operations(two_days: tuple[Plant, list[Event]]) -> None:
    plant, events = two_days
    good, scrap = Counter[int](), Counter[int]()
    for event in events:
        if isinstance(event, PieceEvent):
            (scrap if event.result == "scrap" else good)[event.operation] += 1
    for before, after in itertools.pairwise(OPERATIONS):
        inside = len(plant.buffers[after])
        inside += sum(m.blocked is not None for m in plant.of_operation[before])
        inside += sum(m.cycle is not None for m in plant.of_operation[after])
        assert good[before] == good[after] + scrap[after] + inside, f"between {before} and {after}"
    assert good[90] > 1000 and sum(scrap.values()) > 40


def test_a_piece_is_never_at_two_places(two_days: tuple[Plant, list[Event]]) -> None:
    last: dict[int, tuple[int, int]] = {}
    busy: dict[str, int] = {}
    for event in two_days[1]:
        if isinstance(event, PieceEvent):
            if event.piece in last:
                operation, at_ms = last[event.piece]
                assert event.operation == operation + 10 and event.started_ms >= at_ms
            assert event.started_ms >= busy.get(event.machine, 0)
            last[event.piece], busy[event.machine] = (event.operation, event.at_ms), event.at_ms


def test_counters_show_their_mess(two_days: tuple[Plant, list[Event]]) -> None:
    values: dict[tuple[str, str], list[int]] = defaultdict(list)
    for event in two_days[1]:
        if isinstance(event, VarEvent) and event.name in ("GoodCount", "ScrapCount"):
            assert isinstance(event.value, int)
            values[event.machine, event.name].append(event.value)
    saw = values["SAW-01", "GoodCount"]
    assert 65535 in saw and saw[saw.index(65535) + 1] == 0, "the saw's counter rolls over"
    assert values["MC-02", "GoodCount"].count(0) > 5, "one counter starts anew with every order"
    assert values["EOL-01", "GoodCount"].count(0) >= 2, "a restart of the assembly PLC forgets the count"
    assert values["LAT-02", "GoodCount"].count(0) == 1
    vendor = {e.value for e in two_days[1] if isinstance(e, VarEvent) and e.machine == "LAT-02" and e.name == "StateCurrent"}
    assert vendor <= {0, 10, 11, 20, 21, 30, 40, 41, 50} and 20 in vendor


def test_nothing_moves_around_a_plc_restart() -> None:
    outage = PlcOutage("L1", START + 7_200_000, START + 7_260_000, fault=True)
    events = Plant(load("check"), START, (outage,)).advance(START + 3 * 3_600_000)
    lines = {m.code: m.line for m in load("check").machines}
    begin, end = outage.frozen
    seen = [e for e in events if isinstance(e, CountEvent | StateEvent) and lines[e.machine] == "L1" and begin < e.at_ms < end]
    assert seen == []
    after = [e for e in events if isinstance(e, CountEvent) and lines[e.machine] == "L1" and e.at_ms > end]
    assert len(after) > 20


def test_people_tell_everything_before_they_complete(two_days: tuple[Plant, list[Event]]) -> None:
    """The reports of a completed person-counted operation are its pieces, and no act about an operation follows its completion."""
    made, told, over = Counter[str](), Counter[str](), set[str]()
    reports: dict[str, tuple[str, int]] = {}
    for event in two_days[1]:
        if isinstance(event, PieceEvent) and event.operation in (40, 70, 80):
            made[f"{event.order}/{event.operation}"] += 1
        elif isinstance(event, ActEvent):
            operation = event.body.get("operation", "")
            if event.type == "production.report":
                reports[event.event_id] = (operation, event.body["good"] + event.body["scrap"])
            elif event.type == "production.correct":
                reports[event.body["reverses"]] = (reports[event.body["reverses"]][0], event.body["good"] + event.body["scrap"])
            elif event.type == "production.undo":
                del reports[event.body["reverses"]]
            assert operation not in over or event.stray, event
            if event.type == "operation.complete":
                over.add(operation)
    for operation, pieces in reports.values():
        told[operation] += pieces
    finished = [operation for operation in made if operation in over]
    assert len(finished) > 20
    assert {o: told[o] for o in finished} == {o: made[o] for o in finished}


def test_machine_counts_fall_into_a_run_of_their_operation(two_days: tuple[Plant, list[Event]]) -> None:
    """Whoever attributes pieces by the operators' runs finds them all: start before, completion after."""
    open_runs: dict[str, set[str]] = defaultdict(set)
    for event in two_days[1]:
        if isinstance(event, ActEvent) and not event.stray:
            operation = event.body.get("operation", "")
            if event.type == "operation.start":
                open_runs[event.body["machine"]].add(operation)
            elif event.type == "operation.interrupt":
                open_runs[event.body["machine"]].discard(operation)
            elif event.type == "operation.complete":
                for runs in open_runs.values():
                    runs.discard(operation)
        elif isinstance(event, CountEvent):
            assert open_runs[event.machine] == {f"{event.order}/{event.operation}"}, event


def test_energy_minutes_are_the_integral_of_the_load(two_days: tuple[Plant, list[Event]]) -> None:
    load_w: dict[str, tuple[int, float]] = {}
    sums: dict[str, float] = defaultdict(float)
    first: dict[str, float] = {}
    last: dict[str, tuple[int, float]] = {}
    for event in two_days[1]:
        if isinstance(event, PowerEvent):
            at, watts = load_w.get(event.meter, (event.at_ms, 0.0))
            sums[event.meter] += watts * (event.at_ms - at) / 3_600_000
            load_w[event.meter] = (event.at_ms, event.watts)
        elif isinstance(event, MinuteEvent):
            for meter, (wh, _) in event.totals.items():
                at, watts = load_w.get(meter, (event.at_ms, 0.0))
                now = sums[meter] + watts * (event.at_ms - at) / 3_600_000
                first.setdefault(meter, wh - now)
                last[meter] = (event.at_ms, wh - now)
    for meter, (_, rest) in last.items():
        assert rest == pytest.approx(first[meter], abs=1e-3), meter


def test_incomer_is_the_sum_and_the_base_load(two_days: tuple[Plant, list[Event]]) -> None:
    plant = two_days[0]
    parts = sum(load.watts for code, load in plant.meters.loads.items() if code != "INC-01")
    assert plant.meters.loads["INC-01"].watts - parts > 1000


def test_material_is_enough_and_lots_are_not_overdrawn(two_days: tuple[Plant, list[Event]]) -> None:
    delivered = {e.data["data"]["lot"]: e.data["data"]["quantity"] for e in two_days[1] if isinstance(e, ErpEvent) and e.kind == "lot"}
    used: dict[str, float] = defaultdict(float)
    pieces, carried = Counter[str](), defaultdict[str, float](float)
    for event in two_days[1]:
        if isinstance(event, LotEvent):
            used[event.lot] += event.quantity
            carried[f"{event.order}/{event.operation}"] += event.quantity
        elif isinstance(event, PieceEvent) and event.operation == 30:
            pieces[f"{event.order}/30"] += 1
    assert all(amount <= delivered.get(lot, 1e9) + 1e-6 for lot, amount in used.items())
    assert all(carried[operation] >= count for operation, count in pieces.items())


def test_event_ids_are_uuid7_and_unique(two_days: tuple[Plant, list[Event]]) -> None:
    ids = [e.event_id for e in two_days[1] if isinstance(e, ActEvent)]
    assert len(ids) == len(set(ids)) > 1000
    made = uuid7(1_772_401_500_123, "x")
    assert made[14] == "7" and made[19] in "89ab" and int(made.replace("-", "")[:12], 16) == 1_772_401_500_123


def test_oracle_agrees_with_the_plant(two_days: tuple[Plant, list[Event]], tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", new=True)
    ledger.add(two_days[1])
    truth = Truth(ledger, load("check"), START, START + 2 * DAY)
    ledger.close()
    made: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for event in two_days[1]:
        if isinstance(event, CountEvent):
            held = made[f"{event.order}/{event.operation}"]
            held[0] += event.good
            held[1] += event.scrap
    for operation, (good, scrap) in truth.operations().items():
        if int(operation.split("/")[1]) not in (40, 70, 80):
            assert good + scrap == sum(made[operation]), operation
    for machine in ("SAW-01", "MC-02", "EOL-01"):
        for _, _, begin, end in truth.shifts():
            assert sum(truth.state_seconds(machine, begin, end).values()) == pytest.approx((end - begin) / 1000)
            figures = truth.oee(machine, begin, end)
            if figures.oee and figures.a and figures.p and figures.q:
                assert figures.oee == pytest.approx(figures.a * figures.p * figures.q)
                assert 0 < figures.oee < 1.05
    assert [(b - a) // 60_000 for a, b in truth.planned(START, START + DAY)[:3]] == [15, 150, 165]  # night's rest, then between breaks


def test_spans() -> None:
    assert union([(5, 9), (1, 3), (2, 4), (9, 10)]) == [(1, 4), (5, 10)]
    assert overlap((2, 8), [(1, 4), (5, 10)]) == 5


def test_scenarios_say_what_is_wrong(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('base = "plant.toml"\nhistory_days = 0\nseed = 1\n[mess]\nnonsense = 1\n')
    with pytest.raises(ScenarioError, match="nonsense"):
        load(str(bad))
    with pytest.raises(ScenarioError, match="nowhere"):
        load("nowhere")
