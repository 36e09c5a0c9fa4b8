"""The contract loads no driver, and the agent needs nothing of the server."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"asyncua", "serial", "fastapi", "sqlalchemy", "duckdb", "paho", "numpy"}
SERVER = {"fastapi", "sqlalchemy", "duckdb", "uvicorn", "mes_server", "simulators"}


def loaded(code: str) -> set[str]:
    command = [sys.executable, "-c", f"{code}\nimport sys, json; print(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"]
    return set(json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", ["names", "topics", "delivery", "payload", "clock"])
def test_the_contract_loads_nothing_heavy(module: str) -> None:
    assert loaded(f"import edge_agent.contract.{module}") & HEAVY == set()


def test_the_agent_loads_nothing_of_the_server() -> None:
    code = "import edge_agent.app, edge_agent.commands, edge_agent.backfill, edge_agent.sources.opcua.source, edge_agent.sources.modbus.source"
    code += ", edge_agent.sources.mtconnect.source"
    assert loaded(code) & SERVER == set()


def test_a_config_can_be_checked_without_any_driver() -> None:
    assert loaded("import edge_agent.config_text") & {"asyncua", "serial", "httpx"} == set()


# What a declared package brings with it and we import by name; and packages whose module is called otherwise.
BROUGHT = {
    "pydantic_core": "pydantic",
    "cryptography": "asyncua",
    "google": "protobuf",
    "serial": "pyserial",
    "paho": "paho-mqtt",
    "snap7": "python-snap7",
}


def test_whatever_the_edge_imports_is_declared() -> None:
    """A box with `gemba-mes[edge]` alone has nothing else: an import in a rare path ends in a traceback there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = {re.split(r"[<>=\[ ]", one)[0] for one in (*project["dependencies"], *extras["edge"], *extras["s7"])}
    imported: dict[str, str] = {}
    for path in sorted((ROOT / "edge_agent").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [node.module]
                if isinstance(node, ast.ImportFrom) and node.module
                else [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else []
            )
            imported |= {name.partition(".")[0]: str(path.relative_to(ROOT)) for name in names if name}
    foreign = {name: where for name, where in imported.items() if name not in sys.stdlib_module_names and name != "edge_agent"}

    assert {"asyncua", "paho", "pydantic"} <= set(foreign)
    assert {name: where for name, where in foreign.items() if BROUGHT.get(name, name) not in declared} == {}


@pytest.mark.parametrize(
    ("missing", "module", "asked", "expected"),
    [
        ("sqlalchemy", "mes_server", ["check-config"], "pip install gemba-mes[server]"),
        ("psycopg", "mes_server", ["verify"], "pip install gemba-mes[postgres]"),
        ("asyncua", "edge_agent", ["browse", "opc.tcp://127.0.0.1:1"], "pip install gemba-mes[edge]"),
        ("pymodbus", "simulators", ["check"], "pip install gemba-mes[sim,server,edge]"),
    ],
)
def test_a_command_of_another_installation_says_what_to_install(missing: str, module: str, asked: list[str], expected: str) -> None:
    """The wheel brings all three commands; which extras are there is the box's choice."""
    code = f"import sys; sys.modules[{missing!r}] = None\nfrom {module}.__main__ import main\nsys.exit(main({asked!r}))"
    environment = {"PATH": "/usr/bin:/bin", "GEMBA_DATABASE__URL": "postgresql://gemba@127.0.0.1:1/gemba"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert expected in done.stderr and "Traceback" not in done.stderr
