"""Companion models: what each standard's states and counters become, and how values of several nodes are put together. Pure."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge_agent.contract.names import MachineState as S
from edge_agent.events import Batch
from edge_agent.pipeline.columns import Columns, Value
from edge_agent.sources.opcua.combine import Combination, Combiner
from edge_agent.sources.opcua.companion import MACHINE_TOOL, MACHINERY, MODELS, PACKML, keys_of, recognised, state_name, states_of
from edge_agent.sources.opcua.packml_counts import counts


def said(model: str, key: str, **known: Value) -> Value:
    (output,) = [output for output in MODELS[model].outputs if output.key == key]
    return output.rule(known)


def state(model: str, **known: Value) -> S | None:
    text = said(model, "state", **known)
    return None if text is None else states_of(model)[str(text)]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"item": "Executing"}, S.PRODUCING),
        ({"item": "Executing", "mode": "None"}, S.PRODUCING),
        ({"item": "Executing", "mode": "Processing"}, S.PRODUCING),
        ({"item": "Executing", "mode": "Setup"}, S.SETUP),
        ({"item": "NotExecuting", "mode": "Processing"}, S.IDLE),
        ({"item": "NotExecuting", "mode": "Maintenance"}, S.MAINTENANCE),
        ({"item": "OutOfService", "mode": "Processing"}, S.FAULT),
        ({"item": "OutOfService", "mode": "Setup"}, S.FAULT),
        ({"item": "NotAvailable", "mode": "Maintenance"}, S.OFF),
        ({"mode": "Setup"}, None),
    ],
)
def test_opc_40001_states(known: dict[str, Value], expected: S | None) -> None:
    assert state("opc40001", **known) == expected


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"program": "Running", "operation_mode": 1}, S.PRODUCING),
        ({"program": "Running", "operation_mode": 3}, S.PRODUCING),
        ({"program": "Running", "operation_mode": 0}, S.SETUP),
        ({"program": "Running", "operation_mode": 2}, S.SETUP),
        ({"program": "Interrupted", "operation_mode": 1}, S.STOPPED),
        ({"program": "Ended", "operation_mode": 1}, S.IDLE),
        ({"program": "Aborted", "operation_mode": 1}, S.STOPPED),
        ({"program": "Initializing"}, S.IDLE),
        ({"program": "Ended", "operation_mode": 4}, S.MAINTENANCE),
        ({"program": "Running", "operation_mode": 1, "item": "OutOfService"}, S.FAULT),
        ({"program": "Ended", "operation_mode": 1, "item": "NotAvailable"}, S.OFF),
        ({"item": "Executing", "mode": "Processing"}, S.PRODUCING),
        ({"item": "Executing", "operation_mode": 2}, S.SETUP),
        ({"operation_mode": 1}, None),
    ],
)
def test_opc_40501_states(known: dict[str, Value], expected: S | None) -> None:
    assert state("opc40501", **known) == expected


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"base": "Cleared", "machine": "Running", "execute": "Execute"}, S.PRODUCING),
        ({"base": "Cleared", "machine": "Running", "execute": "Held"}, S.STOPPED),
        ({"base": "Cleared", "machine": "Running", "execute": "Suspended"}, S.STARVED),
        ({"base": "Cleared", "machine": "Running", "execute": "Suspended", "blocked": True}, S.BLOCKED),
        ({"base": "Cleared", "machine": "Stopped", "execute": None}, S.STOPPED),
        ({"base": "Cleared", "machine": "Clearing"}, S.SETUP),
        ({"base": "Aborted", "machine": None, "execute": None}, S.FAULT),
        ({"base": "Aborted", "machine": "Running", "execute": "Execute"}, S.FAULT),
        ({"base": "Cleared", "machine": "Running", "execute": "Execute", "unit_mode": 3}, S.SETUP),
        ({"base": "Cleared", "machine": "Running", "execute": "Idle", "unit_mode": 2}, S.MAINTENANCE),
        ({"base": "Cleared", "machine": "Running", "execute": "Execute", "unit_mode": 7}, S.PRODUCING),
        ({"current": 6}, S.PRODUCING),
        ({"current": 9, "base": "Cleared"}, S.FAULT),
        ({"base": "Cleared", "machine": "Running", "execute": None}, None),
    ],
)
def test_packml_states(known: dict[str, Value], expected: S | None) -> None:
    assert state("packml", **known) == expected


def test_every_state_of_every_model_has_its_place() -> None:
    for model in MODELS.values():
        assert set(model.states.values()) <= set(S)
        for wanted in model.inputs:
            if wanted.machine is not None:
                assert set(wanted.machine.ids.values()) == set(wanted.machine.names)
    assert {key for model in MODELS for key in keys_of(model)} == set(keys_of("auto"))
    assert all(states_of("auto")[text] == meant for model in MODELS for text, meant in states_of(model).items()), "one text, one meaning"


def test_packml_counts_processed_products_and_what_of_them_is_defective() -> None:
    assert said("packml", "good", processed=120, defective=7) == 113
    assert said("packml", "good", processed=120) == 120
    assert said("packml", "good", defective=7) is None
    assert said("packml", "scrap", defective=7) == 7
    assert counts([]) is None and counts([None]) is None and counts([b"\x00" * 20]) is None


@pytest.mark.parametrize(
    ("raw", "uri", "name"),
    [
        (3, "", "Executing"),
        ("i=5006", MACHINERY, "Executing"),
        ("i=5006", PACKML, None),
        ("i=1", MACHINERY, None),
        ("Not Executing", "", "NotExecuting"),
        ("Ausführend", "", None),
        (None, "", None),
        (True, "", None),
        (9, "", None),
    ],
)
def test_a_current_state_by_number_node_or_text(raw: Value, uri: str, name: str | None) -> None:
    machine = MODELS["opc40001"].inputs[0].machine
    assert machine is not None and state_name(machine, raw, uri) == name


def test_recognised_by_own_type_by_supertype_and_by_parts() -> None:
    tool, item = (MACHINE_TOOL, "MachineToolType"), (MACHINERY, "MachineryItemState_StateMachineType")

    def name(types: list[tuple[str, str]], below: list[list[tuple[str, str]]]) -> str | None:
        found = recognised(types, below)
        return found.name if found is not None else None

    assert name([tool], [[item]]) == "opc40501"
    assert name([("urn:vendor", "MyLathe"), tool], []) == "opc40501"
    assert name([("urn:vendor", "Press")], [[], [item]]) == "opc40001"
    assert name([(PACKML, "PackMLBaseObjectType")], []) == "packml"
    assert name([("urn:somebody", "MachineToolType")], [[("urn:somebody", "PackMLBaseStateMachineType")]]) is None, "the namespace counts"


# --- putting together --------------------------------------------------------------------------------------------------------------
INT, TEXT = 4, 12
BASE = 10


def combiner(base: int = BASE) -> Combiner:
    good = Combination(1, {"processed": base, "defective": base + 1}, lambda known: said("packml", "good", **known), 0, "FILL.good")
    scrap = Combination(2, {"defective": base + 1}, lambda known: known.get("defective"), 0, "FILL.scrap")
    return Combiner(base, [good, scrap], {}, {base: "FILL.processed", base + 1: "FILL.defective"})


def batch(rows: list[tuple[int, int, int, Value]], initial: list[int] | None = None, overflow: tuple[int, ...] = ()) -> Batch:
    marks = None if initial is None else np.isin(np.arange(len(rows)), initial)
    return Batch((0,), Columns.of(rows), initial=marks, overflow=overflow)


def rows(made: Batch) -> list[tuple[int, int, Value]]:
    return [(number, t_ms, value) for number, t_ms, _, value in made.columns.rows()]


def test_a_metric_is_said_when_all_its_parts_are_known_and_when_it_changes() -> None:
    made = combiner()
    first = made.take(batch([(0, 5, TEXT, "x"), (BASE, 7, INT, 100)], initial=[0, 1]))
    assert rows(first) == [(0, 5, "x")] and first.initial is not None and first.initial.tolist() == [True]
    second = made.take(batch([(BASE + 1, 9, INT, 3)], initial=[0]))
    assert rows(second) == [(1, 9, 97), (2, 9, 3)] and second.initial is not None and second.initial.tolist() == [True, True]
    assert rows(made.take(batch([(BASE, 11, INT, 101)]))) == [(1, 11, 98)]
    both = made.take(batch([(BASE, 12, INT, 102), (BASE, 13, INT, 103), (BASE + 1, 13, INT, 4)]))
    assert rows(both) == [(1, 12, 99), (2, 13, 4)], "one moment, one value: 103 - 4 is 99 still"


def test_parts_come_in_the_order_of_their_times_and_a_bad_part_makes_it_bad() -> None:
    made = combiner()
    made.take(batch([(BASE, 1, INT, 10), (BASE + 1, 1, INT, 0)]))
    late = made.take(batch([(BASE, 30, INT, 13), (BASE, 10, INT, 11), (BASE + 1, 20, INT, 1)]))
    assert rows(late) == [(1, 10, 11), (1, 20, 10), (2, 20, 1), (1, 30, 12)]
    assert rows(made.take(batch([(BASE, 40, INT, None)]))) == [(1, 40, None)]


def test_what_is_known_goes_on_after_a_restart_by_names_and_is_forgotten_after_a_gap() -> None:
    before, after = combiner(), combiner(BASE + 5)  # the config has more tags now
    before.take(batch([(BASE, 1, INT, 10), (BASE + 1, 1, INT, 2)]))
    after.go_on(json.loads(json.dumps(before.state())))
    assert rows(after.take(batch([(BASE + 6, 2, INT, 3)]))) == [(1, 2, 7), (2, 2, 3)], "one part changed, the other is known"
    assert rows(after.take(batch([(BASE + 6, 3, INT, 3)]))) == []
    after.forget([1])
    assert rows(after.take(batch([(BASE + 6, 4, INT, 3)]))) == [], "another device's gap"
    after.forget([0])
    assert rows(after.take(batch([(BASE + 6, 5, INT, 3)]))) == [(2, 5, 3)], "said anew; the other part is not known yet"
    assert rows(after.take(batch([(BASE + 5, 5, INT, 10)]))) == [(1, 5, 7)]


def test_what_was_dropped_is_told_of_the_metric_and_other_values_pass_untouched() -> None:
    made = combiner()
    made.take(batch([(BASE, 1, INT, 10), (BASE + 1, 1, INT, 0)]))
    lost = made.take(batch([(0, 2, TEXT, "x"), (BASE, 2, INT, 10)], overflow=(1,)))
    assert rows(lost) == [(0, 2, "x"), (1, 2, 10)] and lost.overflow == [1]
    plain = batch([(0, 3, TEXT, "y")], overflow=(0,))
    assert made.take(plain) is plain
