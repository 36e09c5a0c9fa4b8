"""ruff, strict types and import contracts are part of the suite; each is shown to bite."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.repo.tree import ROOT, text, tracked


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], cwd=cwd, capture_output=True, text=True, check=False)


def contracts(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as c; c()"
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_ruff_is_clean() -> None:
    """No ruff finding and no unformatted file."""
    lint, form = run("ruff", "check", "."), run("ruff", "format", "--check", ".")

    assert (lint.returncode, lint.stdout[-3000:]) == (0, "All checks passed!\n")
    assert form.returncode == 0, form.stdout[-3000:]


def test_types_are_strict() -> None:
    """mypy in strict mode finds nothing and looked at the whole product."""
    result = run("mypy")

    assert result.returncode == 0, result.stdout[-3000:]
    looked = re.search(r"no issues found in (\d+) source files", result.stdout)
    assert looked is not None
    assert int(looked.group(1)) > 100


def test_import_contracts_hold() -> None:
    """Every arrow of docs/architecture.md runs one way."""
    result = contracts()

    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    assert "0 broken" in result.stdout


def test_the_contracts_name_every_part() -> None:
    """A new module of the edge, a new kind of source: nobody reaches into it because it was forgotten in the list."""
    written = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    named = {one["name"]: one for one in written}
    modules = {name.split("/")[1].removesuffix(".py") for name in tracked(".py") if name.startswith("edge_agent/")} - {"__init__", "contract"}
    kinds = {name.split("/")[2] for name in tracked("/kind.py") if name.startswith("edge_agent/sources/") and name.count("/") == 3}

    assert set(named["Everyone else knows of the edge agent only its wire contract"]["forbidden_modules"]) == {f"edge_agent.{one}" for one in modules}
    assert set(named["Kinds of source do not know each other"]["modules"]) == {f"edge_agent.sources.{one}" for one in kinds}


_REACHES = r"mes_server\.{}(\.(repository|models)\b| import (\([^)]*|[^\n]*)\b(repository|models)\b)"


def test_another_slices_tables_are_its_own() -> None:
    """Who wants something of another slice calls its service; models are gathered for the tables alone."""
    slices = {name.split("/")[1] for name in tracked("/models.py", "/repository.py") if name.startswith("mes_server/")}
    looked, reaching = 0, []
    for name in tracked(".py"):
        if not name.startswith("mes_server/") or name == "mes_server/tables.py":
            continue
        looked += 1
        reaching += [f"{name}: {other}" for other in slices - {name.split("/")[1]} if re.search(_REACHES.format(other), text(name))]

    assert looked > 100 and len(slices) > 8
    assert reaching == []


def test_the_contracts_bite(tmp_path: Path) -> None:
    """A slice that reaches upward breaks a contract."""
    package = tmp_path / "shop"
    for name in ("", "low", "high"):
        folder = package / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").write_text("from shop import high\n" if name == "low" else "")
    (tmp_path / ".importlinter").write_text(
        "[importlinter]\nroot_package = shop\n[importlinter:contract:1]\nname = layers\ntype = layers\nlayers =\n    shop.high\n    shop.low\n"
    )
    code = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as c; c()"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert "1 broken" in result.stdout
