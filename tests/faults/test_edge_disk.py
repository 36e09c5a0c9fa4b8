"""The buffer file under every failing system call: killed at each flush, a disk that errs, a disk that is full. strace injects the faults."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.buffer.store import Buffer

STRACE = shutil.which("strace")
ROOT = Path(__file__).parents[2]
COMMITS = 12
pytestmark = pytest.mark.skipif(STRACE is None, reason="strace is not installed: apt-get install strace")

WRITER = """
import sys
from pathlib import Path
from edge_agent.buffer.store import Buffer
from edge_agent.pipeline.columns import Columns
from edge_agent.pipeline.device import Memory
buffer = Buffer(Path(sys.argv[1]), 10**9)
for k in range(int(sys.argv[2])):
    columns = Columns.of([(1, 1000 + k, 10, float(buffer.last_n + 1))] * 40)
    stored = buffer.commit([("A", columns)], [("A", Memory(1000 + k, {}, {"k": str(buffer.last_n + 1)}))], answered_n=max(0, buffer.last_n - 5))
    print(stored[0].n, flush=True)  # the acknowledgement: from here on it must be there
"""


def write_under(path: Path, *inject: str) -> tuple[int, list[int]]:
    """Exit code and acknowledged record numbers of a writer with faults injected."""
    command = [str(STRACE), "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync,pwrite64", *inject]
    command += [sys.executable, "-c", WRITER, str(path), str(COMMITS)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, [int(line) for line in done.stdout.split()]


def check(path: Path, acknowledged: list[int]) -> None:
    """Opens without repair; every acknowledged record is there, whole and consistent with what the pipeline remembers."""
    buffer = Buffer(path, 10**9)
    assert buffer.set_aside is None
    newest = max(acknowledged, default=0)
    assert buffer.last_n >= newest
    present = {s.n: s.columns for s in buffer.read(0, 1000)}
    assert set(present) == set(range(buffer.answered_n + 1, buffer.last_n + 1))
    assert all(len(columns) == 40 and columns.rows()[0][3] == float(n) for n, columns in present.items())
    if buffer.last_n:
        assert buffer.memories()["A"].texts == {"k": str(buffer.last_n)}
    buffer.close()


@pytest.mark.parametrize("when", range(1, COMMITS + 4, 2))
def test_killed_at_a_flush(tmp_path: Path, when: int) -> None:
    path = tmp_path / "edge.buffer"
    _, acknowledged = write_under(path, "-e", f"inject=fdatasync,fsync:signal=SIGKILL:when={when}")
    check(path, acknowledged)
    code, more = write_under(path)
    assert code == 0 and len(more) == COMMITS
    check(path, more)


@pytest.mark.parametrize("when", [5, 14, 29])
def test_killed_at_a_write(tmp_path: Path, when: int) -> None:
    path = tmp_path / "edge.buffer"
    _, acknowledged = write_under(path, "-e", f"inject=pwrite64:signal=SIGKILL:when={when}")
    check(path, acknowledged)


def test_a_flush_that_fails_ends_the_process_and_nothing_is_acknowledged_after_it(tmp_path: Path) -> None:
    path = tmp_path / "edge.buffer"
    code, acknowledged = write_under(path, "-e", "inject=fdatasync:error=EIO:when=6+")
    assert code != 0 and len(acknowledged) < COMMITS
    check(path, acknowledged)


def test_no_space_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "edge.buffer"
    code, acknowledged = write_under(path, "-e", "inject=pwrite64:error=ENOSPC:when=20+")
    assert code != 0
    check(path, acknowledged)
