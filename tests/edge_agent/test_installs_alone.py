"""The contract loads no driver, and the agent needs nothing of the server."""

from __future__ import annotations

import json
import subprocess
import sys
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
