"""Sizes, leaks, broad excepts, unfinished marks, vendor doors. Exception lists can only shrink: an entry no longer needed fails."""

from __future__ import annotations

import ast
import re

import pytest

from tests.repo.tree import PRODUCT, module, text, tracked

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600
LONG_FUNCTIONS: frozenset[str] = frozenset()
LONG_FILES: frozenset[str] = frozenset()

# The supervision boundaries: the only places where any exception is caught, so that one failure is not everybody's.
BROAD_EXCEPTS: frozenset[str] = frozenset(
    {
        "edge_agent/agent.py",
        "edge_agent/publisher/link.py",  # however a connection ends, the node hears it
        "edge_agent/sources/mqtt/client.py",  # the same for a source
        "mes_server/kit/acts.py",
        "mes_server/kit/services.py",
        "mes_server/erp_sync/runner.py",
        "mes_server/ingest/committer.py",  # a record no slice can digest is put aside, the next ones are booked
        "mes_server/app.py",  # in a shutdown each part is ended, whatever another one says
        "mes_server/ingest/embedded_broker.py",  # the watch over the broker goes on
        "mes_server/ingest/mqtt.py",  # the connection to the broker is made anew
        "mes_server/ingest/service.py",  # the ingest thread goes on
    }
)
# A vendor library has one door.
DOORS = {
    "duckdb": ("mes_server/telemetry/duckdb_",),
    "influxdb_client": ("mes_server/telemetry/influx_store.py",),
    "asyncua": ("edge_agent/sources/opcua/", "simulators/"),
    "pymodbus": ("simulators/",),
    "serial": ("edge_agent/sources/",),
    "paho": ("edge_agent/publisher/", "edge_agent/sources/mqtt/", "edge_agent/conformance/connection.py", "mes_server/ingest/", "simulators/"),
}


def functions_too_long(tree: ast.Module, limit: int) -> list[tuple[str, int]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            lines = node.end_lineno - node.lineno + 1
            if lines > limit:
                found.append((node.name, lines))
    return found


def broad_excepts(tree: ast.Module) -> int:
    wide = {"Exception", "BaseException"}
    count = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            names = [node.type] if not isinstance(node.type, ast.Tuple) else node.type.elts
            reraised = bool(node.body) and isinstance(node.body[-1], ast.Raise)
            if not reraised and any(one is None or (isinstance(one, ast.Name) and one.id in wide) for one in names):
                count += 1
    return count


def test_functions_stay_short() -> None:
    """No function is longer than 70 lines."""
    looked, long = 0, set()
    for name in tracked(".py"):
        looked += 1
        long |= {f"{name}:{function}" for function, _ in functions_too_long(module(name), FUNCTION_LINES_MAX)}

    assert looked > 100
    assert long == LONG_FUNCTIONS


def test_files_stay_short() -> None:
    """No source file is longer than 600 lines."""
    long = {name for name in tracked(".py", ".ts", ".vue", ".css") if text(name).count("\n") > FILE_LINES_MAX}

    assert long == LONG_FILES


def test_broad_excepts_stand_only_at_supervision_boundaries() -> None:
    """What catches everything is a supervision boundary, named here."""
    found = {name for name in tracked(".py") if name.startswith(PRODUCT) and broad_excepts(module(name))}

    assert found <= BROAD_EXCEPTS, f"new broad excepts: {sorted(found - BROAD_EXCEPTS)}"
    assert found >= BROAD_EXCEPTS, f"no longer needed: {sorted(BROAD_EXCEPTS - found)}"


@pytest.mark.parametrize("library", sorted(DOORS))
def test_a_vendor_library_has_one_door(library: str) -> None:
    """Vendor code is imported in its one place."""
    outside, inside = [], 0
    for name in tracked(".py"):
        if not name.startswith(PRODUCT):
            continue
        for node in ast.walk(module(name)):
            imported = (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names] if isinstance(node, ast.Import) else []
            )
            if any(one.split(".")[0] == library for one in imported):
                if name.startswith(DOORS[library]):
                    inside += 1
                else:
                    outside.append(name)

    assert inside
    assert outside == []


_HOSTS = r"(p[y]pi\.org|python[h]osted|regist[r]y\.npmjs|deb\.deb[i]an|npmmi[r]ror|\"resolved\": *\"http|index-[u]rl|regist[r]y *= *\"?http)"
_PATHS = r"(/work/[mw]ain|/work/w[t]/|/work/share[d]|/work/ven[v]|/work/contrac[t]|/work/\.librar[y]|/root[/]|/tmp/bash_job[s])"


@pytest.mark.parametrize("pattern", [_HOSTS, _PATHS], ids=["registry hosts", "paths of a machine"])
def test_nothing_leaks(pattern: str) -> None:
    """No tracked text names a package registry's host or a path of somebody's machine."""
    looked, leaks = 0, []
    for name in tracked(".py", ".md", ".toml", ".json", ".ts", ".vue", ".lock", ".sh", ".yml", ".yaml", ".css", ".html", "Makefile", "run"):
        looked += 1
        leaks += [f"{name}: {found.group()}" for found in [re.search(pattern, text(name))] if found]

    assert looked > 150
    assert leaks == []


def test_no_unfinished_marks() -> None:
    """What is not done stands in docs/roadmap.md with an owner, not as a mark in the code."""
    mark = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
    found = [name for name in tracked(".py", ".ts", ".vue") if mark.search(text(name))]

    assert found == []


def test_the_checks_bite() -> None:
    """Each checker fails on a bad sample."""
    long_function = ast.parse("def f():\n" + "    x = 1\n" * 80)
    wide = ast.parse("try:\n    pass\nexcept Exception:\n    pass\n")

    assert functions_too_long(long_function, 70) == [("f", 81)]
    assert broad_excepts(wide) == 1
    assert broad_excepts(ast.parse("try:\n    pass\nexcept Exception:\n    undo()\n    raise\n")) == 0
    assert re.search(_PATHS, "/work/" + "main/x")
    assert re.search(_HOSTS, "https://py" + "pi.org/simple")
