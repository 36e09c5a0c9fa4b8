"""Documents are under test: links lead somewhere, commands exist, the OpenAPI file is today's."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.cli import parser as edge_parser
from mes_server.cli import parser as server_parser
from simulators.__main__ import parser as sim_parser
from tests.repo.tree import ROOT, text, tracked

_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)#\s]+)(?:#[^)]*)?\)|!\[[^\]]*\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"^(?:\$ )?(gemba-(?:server|edge|sim)) ([a-z][a-z-]*)", re.MULTILINE)
_MAKE = re.compile(r"`make ([a-z-]+)`")
MODULES = {"gemba-server": "mes_server", "gemba-edge": "edge_agent", "gemba-sim": "simulators"}


def test_links_lead_somewhere() -> None:
    """Every relative link and picture in a document exists."""
    looked, dead = 0, []
    for name in tracked(".md"):
        for link in (first or second for first, second in _LINK.findall(text(name))):
            if "://" in link or link.startswith("mailto:"):
                continue
            looked += 1
            if not ((ROOT / name).parent / link).exists():
                dead.append(f"{name}: {link}")

    assert looked > 20
    assert dead == []


def commands_in_documents() -> set[tuple[str, str]]:
    return {found for name in tracked(".md") for found in _COMMAND.findall(text(name))}


@pytest.mark.parametrize("program", sorted(MODULES))
def test_commands_in_documents_exist(program: str) -> None:
    """Each `gemba-… command` that a document names is in that program's help."""
    shown = subprocess.run([sys.executable, "-m", MODULES[program], "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = {command for found, command in commands_in_documents() if found == program}

    assert named
    assert {command for command in named if not re.search(rf"\b{re.escape(command)}\b", shown)} == set()


def options_of(parser: argparse.ArgumentParser) -> tuple[set[str], dict[str, argparse.ArgumentParser]]:
    """(its options, its commands)."""
    commands = next((action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)), {})
    return {option for action in parser._actions for option in action.option_strings}, commands


def test_options_in_documents_exist() -> None:
    """Each `--option` that a document gives to one of our commands is one of that command's, also in the middle of a sentence."""
    programs = {"gemba-server": server_parser(), "gemba-edge": edge_parser(), "gemba-sim": sim_parser()}
    looked, unknown = 0, []
    for name in tracked(".md"):
        for program, words in re.findall(r"(gemba-(?:server|edge|sim))((?: [^\s`|;&)，。（]+)*)", text(name).replace("\\\n", " ")):
            options, commands = options_of(programs[program])
            for word in words.split():
                if word in commands:
                    more, commands = options_of(commands[word])
                    options |= more
                elif word.startswith("--"):
                    looked += 1
                    if word.split("=")[0].rstrip(".,:") not in options:
                        unknown.append(f"{name}: {program}{words}: {word}")

    assert looked > 100
    assert unknown == []


def test_make_targets_in_documents_exist() -> None:
    """Each `make target` that a document names is in the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    named = {target for name in tracked(".md") for target in _MAKE.findall(text(name))}

    assert {"demo", "test"} <= named
    assert named <= targets


def test_the_openapi_file_is_current(tmp_path: Path) -> None:
    """docs/openapi.json is what the server says of itself today."""
    made = subprocess.run([sys.executable, "-m", "mes_server", "openapi"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert json.loads(made) == json.loads(text("docs/openapi.json")), "run: gemba-server openapi > docs/openapi.json"


def test_every_setting_is_in_the_manual() -> None:
    """The sample configuration printed by each program names every setting, and the manual points to it."""
    for program, module in (("gemba-server", "mes_server"), ("gemba-edge", "edge_agent")):
        sample = subprocess.run([sys.executable, "-m", module, "sample-config"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert len(sample.splitlines()) > 30
        for lang in ("zh", "en"):
            assert any(f"{program} sample-config" in text(name) for name in tracked(".md") if name.startswith(f"docs/manual/{lang}/"))


def test_the_tests_that_the_table_of_faults_names_exist() -> None:
    """docs/faults.md: each `file::test` is there."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text("docs/faults.md"))

    assert len(named) > 15
    assert [f"{name}::{test}" for name, test in named if not (ROOT / name).exists() or f"def {test}(" not in text(name)] == []
