"""What git tracks, read once: the checks below look at the tree, not at the machine."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ("edge_agent/contract/sparkplug_b_pb2.py", "edge_agent/contract/sparkplug_b_pb2.pyi", "web_kit/src/api/schema.d.ts")
MIGRATIONS = "mes_server/migrations/versions/"  # written by Alembic
PRODUCT = ("edge_agent/", "mes_server/", "simulators/")


def _migrations(listed: list[str]) -> tuple[str, ...]:
    return tuple(name for name in listed if name.startswith(MIGRATIONS))


@cache
def tracked(*suffixes: str) -> tuple[str, ...]:
    """Tracked and new files by suffix, generated ones left out."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return tuple(
        name for name in sorted(set(listed)) if name.endswith(suffixes) and name not in GENERATED + _migrations(listed) and (ROOT / name).is_file()
    )


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def module(name: str) -> ast.Module:
    return ast.parse(text(name), name)
