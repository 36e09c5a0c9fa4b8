"""The table of statements is whole: every label of the standard, a test that exists or a reason; and the manual shows it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from edge_agent.conformance.show import page
from edge_agent.conformance.statements import rules

ROOT = Path(__file__).parents[3]
LABELS = (Path(__file__).parent / "statement_ids.txt").read_text().split()


def test_every_statement_of_the_standard_is_in_the_table() -> None:
    named = {label for rule in rules().values() for label in rule.ids}
    assert len(LABELS) == len(set(LABELS)) == 295
    assert named == set(LABELS)


def test_what_is_not_graded_has_a_test_or_a_reason() -> None:
    for key, rule in rules().items():
        assert rule.role in ("edge", "host", "both", "server") and rule.level in ("MUST", "SHOULD", "MAY"), key
        assert rule.how in ("passive", "rebirth", "proxy", "none") and rule.en and rule.zh and rule.ids, key
        assert re.search("[\u4e00-\u9fff]", rule.zh), key
        if rule.how == "none":
            assert rule.why, key
            assert rule.tests or rule.level == "MAY" or key in ("wire_types", "broker"), key


def test_the_tests_it_names_exist() -> None:
    missing = []
    for rule in rules().values():
        for name in rule.tests:
            path, _, function = name.partition("::")
            source = ROOT / path
            if not source.is_file():
                missing.append(name)
            elif function:
                found = {node.name for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)}
                if function not in found:
                    missing.append(name)
    assert missing == []


def test_every_mark_the_grader_gives_is_a_rule_of_the_table() -> None:
    graded = {key for key, rule in rules().items() if rule.how != "none"}
    folder = ROOT / "edge_agent" / "conformance"
    used: set[str] = set()
    for path in folder.glob("*.py"):
        used |= set(re.findall(r'check\(\s*"([a-z0-9_]+)"', path.read_text()))
    assert used and used <= graded, used - graded


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_manual_shows_the_table_of_today(lang: str) -> None:
    shown = (ROOT / "docs" / "manual" / lang / "sparkplug-statements.md").read_text(encoding="utf-8")
    assert shown == page(lang), f"run: python -m edge_agent.conformance.show {lang} > docs/manual/{lang}/sparkplug-statements.md"
