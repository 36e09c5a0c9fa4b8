"""ruff, strict types and import contracts are part of the suite; each is shown to bite."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.repo.tree import ROOT


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
