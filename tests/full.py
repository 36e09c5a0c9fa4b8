"""`make test-full`: every test, in slices, with what is done, what is to come and how long it takes.

    python -m tests.full                 the everyday tests, then every slice of the long ones
    python -m tests.full --slice links   one slice
    python -m tests.full --list          the slices and their time

The output of each slice (seeds, counts of what was done) is also in a file of the folder that is named at the start. A slice that fails does not end
the run. Times are those of 2 cores with little else to do; each test has its own limit (timeout) far above them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Slice:
    name: str
    about: str
    minutes: int  # on 2 cores
    paths: tuple[str, ...] = ()  # none: everything that no other slice has


def _faults(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/faults/test_{name}.py" for name in names)


SLICES = (
    Slice(
        "links", "bad links: edge to broker, edge to PLC and meter, server to broker (R15)", 5, _faults("link_broker", "link_sources", "link_server")
    ),
    Slice("broker", "the broker away, killed, emptied (R01-R03); repeats and disorder (R12)", 18, _faults("broker", "disorder")),
    Slice("edge", "500 SIGKILLs of the edge under load (R04)", 14, _faults("edge_500_kills")),
    Slice("server", "200 SIGKILLs of the server under load, 2,000 at every point of a commit (R06)", 35, _faults("server_kill", "server_points")),
    Slice("opcua", "the edge killed beside OPC UA servers (R04)", 16, _faults("opcua_restart", "opcua_stalled_link", "opcua_history_over_restart")),
    Slice(
        "disk",
        "every call on the buffer's files fails or kills, full disk, flipped bits (R04, R08, R09, R14)",
        27,
        _faults("edge_disk", "edge_disk_full", "edge_bit_flips"),
    ),
    Slice("power", "every legal state of the disk after a power cut (R05)", 15, _faults("power_cut")),
    Slice("outage", "288,000 records after eight hours without the server (R13)", 5, _faults("outage", "outage_figures")),
    Slice("faults", "the other faults: clocks, identities, new disks (R11, R16-R19)", 3, ("tests/faults",)),
    Slice("reconnects", "1,000 reconnects of every kind of source", 75, ("tests/suites/test_sources.py",)),
    Slice("plants", "whole shifts of simulated plants, a real year of energy, real orders", 150, ("tests/system",)),
    Slice("input", "bad input without end, laws at length, and whatever else is long", 30),
)
EVERYDAY = Slice("everyday", "the tests of `make test`", 15, ("tests",))


def arguments(one: Slice, workers: int) -> list[str]:
    """What pytest is called with. A folder leaves out what other slices have of it."""
    if one is EVERYDAY:
        return ["tests", "-m", "not full", "-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder", "-q"]
    mine = one.paths or ("tests",)
    others = [path for other in SLICES if other is not one for path in other.paths if any(path.startswith(f"{folder}/") for folder in mine)]
    ignored = [f"--ignore={path}" for path in others]
    return [*mine, *ignored, "-m", "full", "-v", "--capture=tee-sys", "--timeout", "5400", "--durations", "5"]


def run(one: Slice, workers: int, log: Path) -> int:
    """pytest's exit code; 5 (nothing to run) is none of its faults."""
    command = [sys.executable, "-m", "pytest", *arguments(one, workers)]
    environment = os.environ | ({"GEMBA_TEST_FLOOR": "1"} if one is EVERYDAY else {})
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            print(line, end="", flush=True)
    return process.wait()


def hours(minutes: float) -> str:
    return f"{round(minutes)} min" if minutes < 90 else f"{int(minutes // 60)} h {round(minutes % 60):02d} min"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.full", description="every test, in slices")
    every = (EVERYDAY, *SLICES)
    parser.add_argument("--slice", choices=[one.name for one in every], help="only this one")
    parser.add_argument("--workers", type=int, default=2, help="processes for the everyday tests")
    parser.add_argument("--list", action="store_true", help="print the slices and their time")
    asked = parser.parse_args()
    chosen = [one for one in every if asked.slice in (None, "", one.name)]
    print(f"» {len(chosen)} slice(s), about {hours(sum(one.minutes for one in chosen))} on 2 cores")
    for one in chosen:
        print(f"    {one.name:<11} {hours(one.minutes):>10}  {one.about}")
    if asked.list:
        return 0
    folder = Path(tempfile.mkdtemp(prefix="gemba-test-full-"))
    print(f"» output also in {folder}", flush=True)
    results: list[str] = []
    failed = 0
    for number, one in enumerate(chosen):
        left = sum(other.minutes for other in chosen[number:])
        print(f"\n» {number + 1} of {len(chosen)}: {one.about} (about {hours(one.minutes)}; {hours(left)} to go)", flush=True)
        began = time.monotonic()
        code = run(one, asked.workers, folder / f"{one.name}.log")
        failed += code not in (0, 5)
        results.append(f"    {one.name:<11} {hours((time.monotonic() - began) / 60):>10}  {'passed' if code in (0, 5) else 'FAILED'}")
        print("\n".join(["» so far:", *results]), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
