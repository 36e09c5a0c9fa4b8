"""The law of late acts: duplicated, reordered, split, whenever the machines' counts arrive: the state is the same."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mes_server.kit.errors import MesError
from mes_server.kit.ids import derived_id
from mes_server.work_orders.schemas import CountRow
from tests.support.postgres import Cluster
from tests.support.shop import Shop, shop

HOUR = 3_600_000
BEGIN = 1_772_000_000_000
NOW = BEGIN + 48 * HOUR
PERSONS = ("P-ann", "P-bob")
RUNS = (("WO-1/10", "SAW-01"), ("WO-1/20", "LAT-01"), ("WO-1/20", "LAT-02"), ("WO-1/40", "DEB-01"))

Step = tuple[str, Any, str]  # (kind, what, person)

_moments = st.integers(0, 8 * 3600).map(lambda second: BEGIN + second * 1000)


@st.composite
def _shift(draw: st.DrawFn) -> list[Step]:
    """A shift's acts in the order they happened to be drawn: starts, stops, reports with later undo or corrections, material, machine counts."""
    steps: list[Step] = []
    size = draw(st.integers(3, 22))
    for index in range(size):
        person = draw(st.sampled_from(PERSONS))
        at_ms = draw(_moments)
        kind = draw(st.sampled_from(["start", "interrupt", "complete", "report", "report", "scrap", "consume", "produce", "count", "count"]))
        operation, machine = draw(st.sampled_from(RUNS))
        event = str(derived_id("law", index, kind, at_ms, person))
        base = {"event_id": event, "occurred_at": at_ms, "operation": operation}
        if kind in ("start", "interrupt"):
            steps.append(("act", {"type": f"operation.{kind}", "machine": machine, **base}, person))
            if draw(st.integers(0, 9)) == 0:
                steps.append(_undo(event, at_ms, person, index))
        elif kind == "complete":
            if draw(st.booleans()):
                steps.append(("act", {"type": "operation.complete", **base}, person))
        elif kind in ("report", "scrap"):
            steps += _report(draw, base, kind, person, index)
        elif kind == "consume":
            base["operation"] = "WO-1/10"
            steps.append(("act", {"type": "material.consume", "lot": "BAR-L", "quantity": draw(st.integers(1, 9)) / 4, **base}, person))
        elif kind == "produce":
            base["operation"] = "WO-1/90"
            steps.append(("act", {"type": "material.produce", "machine": "EOL-01", "serial": f"S{index}", **base}, person))
        else:
            tag = draw(st.sampled_from([("", ""), ("WO-1", operation.rpartition("/")[2])]))
            row = CountRow(at_ms, draw(st.integers(0, 3)), draw(st.integers(0, 1)), *tag, at_ms - 1000)
            steps.append(("count", (machine, row), person))
    return steps


def _report(draw: st.DrawFn, base: dict[str, Any], kind: str, person: str, index: int) -> list[Step]:
    base = {**base, "type": "production.report"}
    if kind == "report":
        base |= {"operation": "WO-1/40", "machine": "DEB-01", "good": draw(st.integers(1, 20))}
    else:
        base |= {"operation": "WO-1/20", "machine": "LAT-01", "scrap": draw(st.integers(1, 3)), "reason": "burr"}
    steps: list[Step] = [("act", base, person)]
    for number in range(draw(st.integers(0, 2))):
        event = str(derived_id("correct", base["event_id"], number))
        good = draw(st.integers(0, 9)) if kind == "report" else 0
        correct = {"type": "production.correct", "event_id": event, "occurred_at": base["occurred_at"] + 60_000 * (number + 1), "good": good}
        steps.append(("act", {**correct, "reverses": base["event_id"], "scrap": draw(st.integers(0, 2)), "reason": "burr"}, person))
    if draw(st.integers(0, 3)) == 0:
        steps.append(_undo(base["event_id"], base["occurred_at"], person, index))
    return steps


def _undo(event: str, at_ms: int, person: str, index: int) -> Step:
    undo = {"type": "production.undo", "event_id": str(derived_id("undo", event, index)), "occurred_at": at_ms + 4_000, "reverses": event}
    return ("act", undo, person)


def _play(one: Shop, steps: list[Step]) -> list[str]:
    """Codes of what was refused."""
    refused = []
    for kind, what, person in steps:
        if kind == "count":
            one.count(what[0], [what[1]])
        else:
            answer = one.act(what, person)
            if isinstance(answer, MesError):
                refused.append(answer.code)
    return refused


def _mixed(steps: list[Step], seed: int) -> list[Step]:
    """Another arrival: shuffled, acts sent again (counts are applied once by their marks, they are never doubled)."""
    rng = random.Random(seed)
    again = [step for step in steps if step[0] == "act" and rng.random() < 0.4]
    mixed = [*steps, *again]
    rng.shuffle(mixed)
    return mixed


def _law(fresh: Callable[[], str], steps: list[Step], seed: int, *, furnished: bool) -> None:
    with shop(fresh(), NOW, furnished=furnished) as straight, shop(fresh(), NOW, furnished=furnished) as other:
        first = _play(straight, steps)
        second = _play(other, _mixed(steps, seed))
        assert set(first) <= {"already_reversed"} and set(second) <= {"already_reversed"}
        assert straight.state() == other.state()
        assert straight.hash() == other.hash()


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory, empty_sqlite: Path) -> Path:
    path = tmp_path_factory.mktemp("shop") / "furnished.db"
    shutil.copy(empty_sqlite, path)
    with shop(f"sqlite:///{path}", NOW):
        pass  # the last connection that closes writes the WAL back into the file
    return path


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=_shift(), seed=st.integers(0, 1_000))
def test_duplicated_reordered_acts_leave_the_same_state_on_sqlite(tmp_path: Path, furnished: Path, steps: list[Step], seed: int) -> None:
    def fresh() -> str:
        path = tmp_path / f"{random.getrandbits(64):x}.db"
        shutil.copy(furnished, path)
        return f"sqlite:///{path}"

    _law(fresh, steps, seed, furnished=True)


@pytest.mark.services
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=_shift(), seed=st.integers(0, 1_000))
def test_duplicated_reordered_acts_leave_the_same_state_on_postgresql(postgres: Cluster, steps: list[Step], seed: int) -> None:
    _law(postgres.database, steps, seed, furnished=False)
