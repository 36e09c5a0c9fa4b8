"""`make demo` in short: a day of history through the front doors, then life; ends by itself when the history is in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.system.test_check import ROOT


def test_a_day_of_history_comes_in_late_and_is_told_truly(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    command = [sys.executable, "-m", "simulators", "run", "--data", str(folder), "--history-days", "1", "--for-s", "200", "--end-when-complete"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=290, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "OEE by machine and shift" in output and "WRONG" not in output
    assert "/dashboards/" in output and "Badge " in output and "history complete" in output
    for log in ("server.log", "EDGE-L1.log", "EDGE-L2.log"):
        assert "Traceback" not in (folder / log).read_text(encoding="utf-8"), log
