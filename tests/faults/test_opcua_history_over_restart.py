"""A PLC with a history of its own is killed and started again: what it recorded before and after is read, once; in between is one gap."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.test_opcua_restart import FIRST, Plant, plant
from tests.support.wait import eventually

METRICS = (
    'state = { node = "i=1" }\ngood = { node = "i=2", width_bits = 16, decrease = "rollover" }\n'
    'scrap_kg = { node = "i=3" }\norder = { node = "i=4" }\ntemperature_c = { node = "i=5" }'
)


def made_on(made: Plant, parts: int) -> None:
    wanted = made.machine.made + parts
    eventually(lambda: made.machine.made >= wanted, 60, why="the machine makes parts")


def killed_and_started(made: Plant, **first: object) -> tuple[int, int, int]:
    """(parts made before its end, when its last value was, when its first was): the link was cut before, and is whole a while after."""
    made.link.half_open("both")
    made_on(made, 10)
    with made.machine.hold:
        parts = made.machine.made
        eventually(lambda: made.peer.ask({"history": "Temperature"}) == parts + 1, 30, why="the history has what was made")
        last_ms = made.peer.get("Good")["t_ms"]
        made.peer.kill()
        made.link.refuse()
        made.link.reset_all()
        values = {"State": 5 + parts % 2, "Good": (FIRST + parts) % 65536, "Temperature": float(parts), "Order": "WO-1", "Scrap": 4}
        made.peer.start(**values, **first)
        first_ms = made.peer.get("Good")["t_ms"]
    made_on(made, 10)
    made.link.pass_on()
    seen = made.machine.made
    eventually(lambda: made.host.values("SAW-01", "temperature_c")[-1] > seen, 60, why="values after the restart")
    made.assert_counted()
    return parts, last_ms, first_ms


def assert_one_gap(made: Plant, parts: int, last_ms: int, first_ms: int) -> dict[str, int]:
    """From the last value (or the one before: the last could be the new run's) to what the server held when it started, or to its first change.

    A history that is written too late on a busy machine does not yet prove the new run: then it ends when we were back. Exactly: test_history.py.
    """
    (gap,) = made.gaps()
    facts = made.host.facts("SAW-01", "temperature_c")
    assert gap["cause"] == "source_lost"
    assert gap["from_ms"] in (last_ms, facts[parts - 1].t_ms), (gap, last_ms)
    assert gap["to_ms"] >= first_ms, (gap, first_ms)
    return gap


@pytest.mark.full
def test_what_the_history_holds_of_before_and_after_is_read_and_in_between_is_one_gap(tmp_path: Path) -> None:
    with plant("asyncua-history", tmp_path, "timeout_s = 1.0", metrics=METRICS) as made:
        made_on(made, 10)
        parts, last_ms, first_ms = killed_and_started(made)
        facts = made.host.facts("SAW-01", "temperature_c")
        # what it held when it started stands at its start, too
        assert [fact.value for fact in facts] == [*map(float, range(parts + 1)), *map(float, range(parts, made.machine.made + 1))]
        assert [fact.t_ms for fact in facts] == sorted(fact.t_ms for fact in facts)
        gap = assert_one_gap(made, parts, last_ms, first_ms)
        assert made.host.values("SAW-01", "samples_gap") == []
        (marked,) = [json.loads(text) for text in made.host.values("SAW-01", "read_afterwards")]
        assert marked["to_ms"] == gap["from_ms"]
        states = [fact.t_ms for fact in made.host.facts("SAW-01", "state_raw")]
        assert [t_ms for t_ms in states if t_ms <= last_ms] == [fact.t_ms for fact in facts if fact.t_ms <= marked["to_ms"]]
        assert min(t_ms for t_ms in states if t_ms > last_ms) == gap["to_ms"]


@pytest.mark.full
def test_where_one_fact_has_no_history_the_time_is_a_gap_and_the_samples_are_read(tmp_path: Path) -> None:
    with plant("asyncua-history", tmp_path, "timeout_s = 1.0", metrics=METRICS, forget=["Order"]) as made:
        made_on(made, 10)
        parts, last_ms, first_ms = killed_and_started(made, forget=["Order"])
        values = made.host.values("SAW-01", "temperature_c")
        assert values == [*map(float, range(parts + 1)), *map(float, range(parts, made.machine.made + 1))]
        (gap,) = made.gaps()
        assert gap["from_ms"] < last_ms < first_ms < gap["to_ms"]
        assert made.host.values("SAW-01", "read_afterwards") == []


@pytest.mark.full
def test_killed_together_with_the_agent_it_is_the_same(tmp_path: Path) -> None:
    with plant("asyncua-history", tmp_path, "timeout_s = 1.0", metrics=METRICS) as made:
        made_on(made, 10)
        eventually(lambda: (made.host.last("SAW-01", "good_total") or 0) >= FIRST + 10, 30)
        made.agent.kill()
        made_on(made, 10)
        with made.machine.hold:
            parts = made.machine.made
            eventually(lambda: made.peer.ask({"history": "Temperature"}) == parts + 1, 30)
            last_ms = made.peer.get("Good")["t_ms"]
            made.peer.kill()
            made.peer.start(State=5, Good=(FIRST + parts) % 65536, Temperature=float(parts), Order="WO-1", Scrap=4)
            first_ms = made.peer.get("Good")["t_ms"]
        made.agent.start()
        seen = made.machine.made
        eventually(lambda: made.host.values("SAW-01", "temperature_c")[-1] > seen, 60, why="values after the restart")
        made.assert_counted()
        values = made.host.values("SAW-01", "temperature_c")
        assert values == [*map(float, range(parts + 1)), *map(float, range(parts, made.machine.made + 1))]
        assert_one_gap(made, parts, last_ms, first_ms)
