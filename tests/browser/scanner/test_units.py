"""The pure modules of the scanner app, by Node's own test runner; the own codes against the server's implementation."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from mes_server.scans.codes import own_code, parse
from tests.support.node import node_path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
VECTORS = HERE / "codes_vectors.json"
LEAST = 37
FIRST_LOAD_BYTES_MAX = 60_000


def test_pure_modules(web_apps: Path, tmp_path: Path) -> None:
    """Wedge, codes, outbox rules, plausibility, pad, start check."""
    node = node_path()
    if node is None:
        pytest.skip("no Node.js here: the unit tests of the scanner did not run")
    env = {**os.environ, "GEMBA_UNIT_OUT": str(tmp_path), "GEMBA_VECTORS": str(VECTORS)}
    vite = ROOT / "node_modules" / "vite" / "bin" / "vite.js"
    built = subprocess.run(
        [node, vite, "build", "-c", HERE / "unit" / "vite.config.ts"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, check=False
    )
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    command = [node, "--test", "--test-reporter=tap", *sorted(tmp_path.glob("*.mjs"))]  # later versions of Node print something else by default
    ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stdout[-4000:]
    passed = re.search(r"^# pass (\d+)", ran.stdout, re.M)
    assert passed and int(passed.group(1)) >= LEAST, "unit tests were lost"


def test_the_first_load_is_small_and_names_nobody(web_apps: Path) -> None:
    """At most 60 kB packed before the sign-in shows; the barcode reader comes later; no address of another host in anything."""
    app = web_apps / "scanner"
    page = (app / "index.html").read_text()
    files = ["index.html", *re.findall(r'(?:src|href)="/scanner/(assets/[^"]+)"', page)]
    packed = sum(len(gzip.compress((app / name).read_bytes(), 9)) for name in files)
    assert len(files) > 2 and packed <= FIRST_LOAD_BYTES_MAX, f"{packed} bytes: {files}"
    assert not any("zxing" in name for name in files)
    kept = (app / "sw.js").read_text()
    assert all(f'"{path.relative_to(app)}"' in kept for path in app.rglob("*.js") if path.name != "sw.js"), (
        "a file that the offline shell does not keep"
    )


@pytest.mark.parametrize("vector", json.loads(VECTORS.read_text()), ids=lambda one: one["code"])
def test_own_codes_are_the_servers(vector: dict[str, str]) -> None:
    """The vectors the tablet is tested with say what the server says."""
    assert own_code(vector["kind"], vector["text"]) == vector["code"]
    found = parse(vector["code"])
    assert found is not None and (found.kind, found.text) == (vector["kind"], vector["text"])
