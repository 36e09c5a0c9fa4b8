"""The comparisons notice what they are there for: every input is tampered with once and must be seen."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from simulators import compare
from simulators.compare import Energy, Excuse, Gap
from simulators.oracle import OeeTruth

OEE = OeeTruth(planned_s=27_000.0, pbt_s=27_000.0, apt_s=20_000.0, aust_s=900.0, good=180, scrap=4, a=0.74, p=0.9, q=0.98, oee=0.65)


def test_counts_are_exact_both_ways() -> None:
    truth = {"a": (10, 1), "b": (3, 0)}
    assert compare.counts("n", truth, dict(truth)).ok
    for said in ({"a": (9, 1), "b": (3, 0)}, {"a": (11, 1), "b": (3, 0)}, {"a": (10, 1)}, {**truth, "c": (1, 0)}, {"a": (9, 2), "b": (3, 0)}):
        assert not compare.counts("n", truth, said).ok, said
    assert not compare.counts("n", {}, {}).ok, "nothing compared is not a success"


def test_missing_pieces_are_allowed_only_up_to_the_gaps_bound() -> None:
    truth = {"a": (10, 1)}
    assert compare.counts("n", truth, {"a": (8, 1)}, {"a": 2}).ok
    assert not compare.counts("n", truth, {"a": (7, 1)}, {"a": 2}).ok
    assert not compare.counts("n", truth, {"a": (11, 1)}, {"a": 2}).ok, "a gap never explains too many"


def test_state_seconds() -> None:
    truth = {"M": {"producing": 100.0, "idle": 5.0}}
    assert compare.states("n", truth, {"M": {"producing": 100.0005, "idle": 5.0}}).ok
    assert not compare.states("n", truth, {"M": {"producing": 100.002, "idle": 5.0}}).ok
    assert not compare.states("n", truth, {"M": {"producing": 105.0}}).ok
    assert not compare.states("n", truth, {}).ok


def test_changes_to_the_millisecond_outside_holes() -> None:
    truth = {"M": [(0, 10, "idle"), (10, 50, "producing"), (50, 90, "fault")]}
    assert compare.changes("n", truth, {"M": [(0, 10, "idle"), (10, 50, "producing"), (50, 90, "fault")]}, {}).ok
    shifted = {"M": [(0, 11, "idle"), (11, 50, "producing"), (50, 90, "fault")]}
    assert compare.changes("n", truth, shifted, {}).wrong == 2
    assert not compare.changes("n", truth, {"M": [(0, 50, "idle"), (50, 90, "fault")]}, {}).ok
    hole = {"M": [(0, 10, "idle"), (10, 40, "producing"), (40, 60, "no_data"), (60, 90, "fault")]}
    assert compare.changes("n", truth, hole, {"M": [(40, 60)]}).ok, "inside the hole nobody could know"


def test_pieces_made_in_a_gap_over_the_border_of_two_shifts_may_be_with_either_but_no_more_than_those() -> None:
    truth = {"night": (7, 0), "early": (28, 1)}
    assert compare.counts("n", truth, {"night": (4, 0), "early": (31, 1)}, None, {"night": 3, "early": 3}).ok
    assert not compare.counts("n", truth, {"night": (4, 0), "early": (31, 1)}).ok
    assert compare.counts("n", truth, {"night": (3, 0), "early": (32, 1)}, None, {"night": 3, "early": 3}).wrong == 2
    assert compare.counts("n", truth, {"night": (4, 0), "early": (31, 1)}, None, {"early": 3}).wrong == 1


@pytest.mark.parametrize(("part", "seen"), [("planned_s", True), ("pbt_s", True), ("apt_s", True), ("aust_s", True), ("good", False), ("oee", False)])
def test_then_times_are_compared_and_figures_of_pieces_are_not(part: str, seen: bool) -> None:
    wrong = replace(OEE, **{part: getattr(OEE, part) + 1})
    assert compare.figures("n", {"k": OEE}, {"k": wrong}, {"k"}).wrong == seen
    assert compare.figures("n", {"k": OEE}, {"k": wrong}, {"another"}).wrong == 1


@pytest.mark.parametrize("part", ["planned_s", "pbt_s", "apt_s", "aust_s", "good", "scrap", "a", "p", "q", "oee"])
def test_every_figure_counts(part: str) -> None:
    assert compare.figures("n", {"k": OEE}, {"k": OEE}).ok
    wrong = replace(OEE, **{part: getattr(OEE, part) + (1 if part in ("good", "scrap") else 0.002)})
    assert compare.figures("n", {"k": OEE}, {"k": wrong}).wrong == 1
    if part in ("a", "p", "q", "oee"):
        assert not compare.figures("n", {"k": OEE}, {"k": replace(OEE, **{part: None})}).ok
    assert not compare.figures("n", {"k": OEE}, {}).ok


def test_energy_within_a_thousandth() -> None:
    assert compare.energy("n", {"m": Energy(10_000.0, 10_009.9, 0.0)}).ok
    assert not compare.energy("n", {"m": Energy(10_000.0, 10_010.2, 0.0)}).ok
    assert compare.energy("n", {"m": Energy(100.0, 100.9, 1.0)}).ok
    assert not compare.energy("n", {"m": Energy(100.0, None, 1.0)}).ok
    assert not compare.energy("n", {"m": Energy(0.0, 2.0, 1.0)}).ok


def test_edges_and_facts() -> None:
    truth = {("L", "W"): 5.0}
    assert compare.edges("n", truth, {("L", "W"): 5.0}).ok
    for said in ({}, {("L", "W"): 4.0}, {("L", "W"): 5.0, ("X", "W"): 1.0}):
        assert not compare.edges("n", truth, said).ok
    assert not compare.facts("n", {"ok": True}, {"ok": False}).ok
    assert not compare.facts("n", {"ok": True}, {}).ok


def test_gaps_need_an_excuse_of_their_own_device_and_length() -> None:
    down = [Excuse("M", 1_000, 5_000, "edge killed")]
    assert compare.gaps("n", [], down, 0, 0).ok
    assert compare.gaps("n", [Gap("M", 900, 5_400, "edge_down")], down, 100, 500).ok
    assert not compare.gaps("n", [Gap("M", 800, 5_400, "edge_down")], down, 100, 500).ok
    assert not compare.gaps("n", [Gap("M", 900, 5_600, "edge_down")], down, 100, 500).ok
    assert not compare.gaps("n", [Gap("N", 2_000, 3_000, "edge_down")], down, 100, 500).ok
    assert not compare.gaps("n", [Gap("M", 2_000, 3_000, "edge_down")], [], 100, 500).ok, "a cut link or a dead server leaves no gap"


def test_table_names_what_is_wrong() -> None:
    text = compare.table([compare.counts("pieces", {"a": (1, 0)}, {"a": (2, 0)}), compare.facts("journal", {"ok": True}, {"ok": True})])
    assert "pieces" in text and "WRONG" in text and "a: 2 good 0 scrap instead of 1 and 0" in text and "ok" in text


@pytest.mark.parametrize(
    ("asked", "words"),
    [(["--hours", "-1"], "--hours must lie between 0.1 and 1000"), (["--json", "/proc/none/report.json"], "/proc/none/report.json")],
)
def test_nonsense_is_refused_before_anything_is_started(asked: list[str], words: str) -> None:
    command = [sys.executable, "-m", "simulators", "check", *asked]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert (done.returncode, words in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr
    assert "starting" not in done.stdout
