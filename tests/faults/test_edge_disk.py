"""The buffer under every failing system call (R04, R08, R09): killed, told that the disk errs, told that it is full. strace injects the faults.

`make test` tries some calls, `make test-full` every one: the number of calls is taken from a run without a fault, and one run beyond it passes
untouched.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_agent.errors import BufferUnusable
from tests.support import power_cut
from tests.support.broker import mosquitto
from tests.support.buffer_writer import WRITER, check
from tests.support.edge import AgentProcess, Host, Plc, config_text, machine_source
from tests.support.machine import METRICS, MORE, Machine
from tests.support.wait import eventually

STRACE = shutil.which("strace")
ROOT = Path(__file__).parents[2]
ARGUMENTS = ("9", "60000", "[4]", "0")  # commits, checkpoint bytes, new epochs, reserve
pytestmark = [
    pytest.mark.skipif(STRACE is None, reason="strace is not installed: apt-get install strace"),
    pytest.mark.timeout(3600),  # hundreds of processes in the full run
]

FLUSHES, WRITES, REMOVES, CUTS = "fdatasync", "pwrite64", "unlink", "ftruncate"  # strace counts each call by itself
KINDS = {FLUSHES: "flush", WRITES: "write", REMOVES: "remove", CUTS: "cut"}
Ended = tuple[int, list[str], str]


@dataclass(frozen=True)
class Clean:
    """A run without a fault: the calls, and how many words were said before the k-th (from 1) of the flushes."""

    recording: power_cut.Recording

    def said_before_flush(self, k: int) -> int:
        said = flushes = 0
        for call in self.recording.calls:
            flushes += call.kind == "flush"
            if flushes == k:
                return said
            said += call.kind == "say"
        return said

    def is_of_folder(self, k: int) -> bool:
        """The k-th flush is of the folder: SQLite does not look at how it ended (the agent flushes the folder once more)."""
        return [call.name for call in self.recording.calls if call.kind == "flush"][k - 1] == ""

    def count(self, calls: str, *, before_close: bool = False) -> int:
        """`before_close`: without the tidying up at the end, whose errors SQLite keeps to itself (everything is in the WAL by then)."""
        done = self.recording.calls
        end = max(number for number, call in enumerate(done) if call.kind == "say") if before_close else len(done)
        return sum(call.kind == KINDS[calls] for call in done[:end])


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Clean:
    folder = tmp_path_factory.mktemp("clean") / "made"
    folder.mkdir()
    return Clean(power_cut.record(WRITER, folder, str(folder / "edge.buffer"), *ARGUMENTS))


def write_under(path: Path, inject: str | None = None) -> Ended:
    """Exit code, acknowledgements and error text of a writer with a fault injected into calls on the buffer's files."""
    command = [sys.executable, "-c", WRITER, str(path), *ARGUMENTS]
    if inject is not None:
        calls = inject.partition(":")[0]
        watched = [f"-P{path}{suffix}" for suffix in ("", "-wal", "-journal")] + [f"-P{path.parent}"]
        command = [str(STRACE), "-qq", "-o", "/dev/null", *watched, "-e", f"trace={calls}", "-e", f"inject={inject}", *command]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout.split("\n")[:-1], done.stderr


def some_of(total: int, seed: int, some: int | None) -> list[int]:
    """Which calls (from 1) to hit, and the first that does not come any more."""
    every = list(range(1, total + 2))
    print(f"{total} calls, seed {seed}")
    return every if some is None else sorted(random.Random(seed).sample(every, min(some, len(every))))


def runs(tmp_path: Path, which: list[int]) -> Iterator[tuple[int, Path]]:
    for k in which:
        folder = tmp_path / f"at-{k}"
        folder.mkdir()
        yield k, folder / "edge.buffer"
        shutil.rmtree(folder)


def last(said: list[str]) -> str:
    return said[-1] if said else ""


@pytest.mark.parametrize("some", [2, pytest.param(None, marks=pytest.mark.full)], ids=["some", "every"])
@pytest.mark.parametrize("calls", list(KINDS))
def test_killed_at_a_call_nothing_acknowledged_is_lost(tmp_path: Path, clean: Clean, calls: str, some: int | None) -> None:
    which = some_of(clean.count(calls), 4, some)
    assert sum(call.kind in KINDS.values() for call in clean.recording.calls) > 250, "the writer does what it did"
    for k, path in runs(tmp_path, which):
        code, said, _ = write_under(path, f"{calls}:signal=SIGKILL:when={k}")
        check(path, last(said))
        assert code != 0 or k > clean.count(calls), f"call {k} was not reached"
    print(f"killed at {len(which)} of {clean.count(calls)} calls {calls}")


@pytest.mark.parametrize("some", [4, pytest.param(None, marks=pytest.mark.full)], ids=["some", "every"])
def test_a_flush_that_fails_ends_the_process_and_nothing_is_acknowledged_after_it(tmp_path: Path, clean: Clean, some: int | None) -> None:
    which = some_of(clean.count(FLUSHES), 8, some)
    for k, path in runs(tmp_path, which):
        code, said, error = write_under(path, f"{FLUSHES}:error=EIO:when={k}")
        if k <= clean.count(FLUSHES, before_close=True) and not clean.is_of_folder(k):
            assert code == 1 and "disk I/O error" in error, f"flush {k}: {error}"
            assert len(said) <= clean.said_before_flush(k), f"flush {k}: acknowledged after the error"
        check(path, last(said))
    print(f"EIO at {len(which)} of {clean.count(FLUSHES)} flushes")


@pytest.mark.parametrize("some", [2, pytest.param(None, marks=pytest.mark.full)], ids=["some", "every"])
def test_a_write_that_fails_ends_the_process(tmp_path: Path, clean: Clean, some: int | None) -> None:
    which = some_of(clean.count(WRITES), 8, some)
    for k, path in runs(tmp_path, which):
        code, said, error = write_under(path, f"{WRITES}:error=EIO:when={k}")
        assert (code == 1 and "disk I/O error" in error) or k > clean.count(WRITES, before_close=True), f"write {k}: {error}"
        check(path, last(said))
    print(f"EIO at {len(which)} of {clean.count(WRITES)} writes")


@pytest.mark.parametrize("some", [3, pytest.param(None, marks=pytest.mark.full)], ids=["some", "every"])
@pytest.mark.parametrize("for_good", [True, False], ids=["for-good", "once"])
def test_no_space_is_no_damage(tmp_path: Path, clean: Clean, for_good: bool, some: int | None) -> None:
    which = some_of(clean.count(WRITES), 9, some)
    for k, path in runs(tmp_path, which):
        code, said, error = write_under(path, f"{WRITES}:error=ENOSPC:when={k}{'+' if for_good else ''}")
        check(path, last(said))
        if for_good and k <= clean.count(WRITES, before_close=True):
            assert code == 1 and ("full" in error or BufferUnusable.__name__ in error), f"write {k}: {error}"
    print(f"no space at {len(which)} of {clean.count(WRITES)} writes, {'for good' if for_good else 'once'}")


def test_an_agent_whose_disk_errs_goes_down_in_words_and_counts_exactly_after_a_restart(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker, Plc() as plc, Host(broker) as host:
        machine = Machine(plc)
        config = tmp_path / "edge.toml"
        config.write_text(config_text(broker, machine_source(plc, METRICS, device_more=MORE), more="[delivery]\nheartbeat_s = 1.0\nretry_s = 1.0\n"))
        watched = [f"-P{tmp_path / 'edge.buffer'}{suffix}" for suffix in ("", "-wal")]
        command = [str(STRACE), "-f", "-qq", "-o", "/dev/null", *watched, "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=60"]
        command += [sys.executable, "-m", "edge_agent", "run", "--config", str(config)]
        failing = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True)
        agent = AgentProcess(config)
        try:
            eventually(lambda: host.last("SAW-01", "good_total") == machine.first, 30, why="first value")
            machine.start()
            _, words = failing.communicate(timeout=60)
            assert failing.returncode == 1
            assert "failed: disk I/O error" in words and "Check the disk" in words
            marks = {fact.n for fact in host.live}
            agent.start()
            eventually(lambda: (host.last("SAW-01", "good_total") or 0) > machine.first + 20, 30)
            machine.stop()
            eventually(lambda: host.last("SAW-01", "good_total") == machine.first + machine.made, 30, why=f"{machine.made} parts")
            eventually(lambda: host.values("SAW-01", "gap"), 10, why="what was not seen")
        finally:
            machine.stop()
            agent.terminate()
            if failing.poll() is None:
                failing.kill()
        assert host.errors == [] and len(host.booked) == 1 and marks
        assert {json.loads(gap)["cause"] for gap in host.values("SAW-01", "gap")} == {"edge_down"}
