"""Lines of an adapter."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from edge_agent.sources.mtconnect.observation import Observation, parse_time_ms
from edge_agent.sources.mtconnect.shdr import Reader

NOW = 1_660_000_000_000
CUT = Path(__file__).parent / "okuma_cut.shdr"


def read(*lines: str, reader: Reader | None = None) -> list[tuple[str, int | None, str]]:
    reader = reader or Reader()
    return [(seen.item, seen.t_ms, seen.value) for line in lines for seen in reader.line(line, NOW)]


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2022-08-08T13:51:36.7711738Z", 1_659_966_696_771),
        ("2022-08-08T13:51:36Z", 1_659_966_696_000),
        ("2022-08-08T13:51:36.5", 1_659_966_696_500),
        ("2022-08-08T15:51:36.123+02:00", 1_659_966_696_123),
        ("2022-08-08T13:51:36,25Z", 1_659_966_696_250),
        ("1969-12-31T23:59:59.5Z", -500),
    ],
)
def test_times_with_any_number_of_decimals(text: str, ms: int) -> None:
    assert parse_time_ms(text) == ms


def test_one_line_holds_many_values() -> None:
    assert read("2022-08-08T13:51:36.771Z|exec|ACTIVE|Fact|312.5|program|") == [
        ("exec", 1_659_966_696_771, "ACTIVE"),
        ("Fact", 1_659_966_696_771, "312.5"),
        ("program", 1_659_966_696_771, ""),
    ]


def test_a_line_without_time_is_now_and_relative_times_count_from_the_first() -> None:
    reader = Reader()
    assert read("|exec|READY", reader=reader) == [("exec", NOW, "READY")]
    assert read("1000|a|1", "1250.4|a|2", reader=reader) == [("a", NOW, "1"), ("a", NOW + 250, "2")]
    assert read("10|a|3", reader=reader) == [("a", NOW, "3")], "its count began anew"
    assert read("2022-08-08T13:51:36Z@100.0|a|4", reader=reader) == [("a", 1_659_966_696_000, "4")], "a duration is no part of the time"


def test_conditions_keep_level_code_and_text() -> None:
    reader = Reader()
    fault = "2022-08-08T13:51:36Z|system|FAULT|2250|1|HIGH|door is open"
    assert list(reader.line(fault, NOW)) == [Observation("system", 1_659_966_696_000, "door is open", level="FAULT", code="2250")]
    assert [seen.level for seen in reader.line("2022-08-08T13:51:36Z|system|NORMAL||||", NOW)] == ["NORMAL"]
    assert read("2022-08-08T13:51:36Z|avail|UNAVAILABLE|x|1|y|2") == [
        ("avail", 1_659_966_696_000, "UNAVAILABLE"),
        ("x", 1_659_966_696_000, "1"),
        ("y", 1_659_966_696_000, "2"),
    ], "a value that looks like a level is none"
    short = Reader(frozenset({"system"})).line("|system|warning|77", NOW)
    assert [(seen.level, seen.code) for seen in short] == [("WARNING", "77")]


def test_assets_and_commands_are_passed_over_and_pong_is_a_sign_of_life() -> None:
    reader = Reader()
    lines = ["* PONG 10000", "* adapterVersion: 1.2", "*mtconnectVersion:UNAVAILABLE", "2022-08-08T13:51:36Z|@ASSET@|1.2|CuttingTool|--multiline--AB"]
    lines += [
        "<CuttingTool>a|b|c",
        "2022-08-08T13:51:36Z|exec|NOT THIS",
        "--multiline--AB",
        "|exec|READY",
        "2022-08-08T13:51:36Z|@REMOVE_ALL_ASSETS@|X",
    ]
    assert read(*lines, reader=reader) == [("exec", NOW, "READY")]
    assert reader.pong_ms == 10_000
    assert reader.commands["adapterVersion"] == "1.2"
    assert reader.bad_lines == 0


def test_pipes_in_quotes_and_totals_with_a_reset() -> None:
    assert read('|msg|"a \\| b"|n|0:DAY|t|"plain"') == [("msg", NOW, "a | b"), ("n", NOW, "0"), ("t", NOW, '"plain"')]


def test_the_real_recording_has_no_bad_line() -> None:
    reader = Reader()
    seen = [one for line in CUT.read_text(encoding="utf-8").splitlines() for one in reader.line(line, NOW)]
    assert reader.bad_lines == 0
    assert [one.value for one in seen if one.item == "pexecution"] == ["READY", "ACTIVE", "PROGRAM_COMPLETED", "READY"] * 4
    assert {one.level for one in seen if one.item == "system"} == {"NORMAL"}


def test_nonsense_never_raises() -> None:
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    lines = CUT.read_text(encoding="utf-8").splitlines()
    reader = Reader()
    for _ in range(3000):
        line = list(dice.choice(lines)[:400])
        for _ in range(dice.randrange(1, 6)):
            line.insert(dice.randrange(len(line) + 1), dice.choice('|@*"\\:-\x00\u00e9é1 '))
            del line[dice.randrange(len(line))]
        for seen in reader.line("".join(line), NOW):
            assert seen.item, f"seed {seed}"
    huge = Reader()
    assert list(huge.line("99999-99-99T99:99:99Z|a|1", NOW)) == []
    assert list(huge.line("|".join(["x"] * 100_000), NOW)) == []
    assert huge.bad_lines == 2
