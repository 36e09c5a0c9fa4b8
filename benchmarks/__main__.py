"""python -m benchmarks [NAME ...] [--json FILE]: runs the benchmarks one after the other, prints every row and at the end the goals.

A benchmark that cannot run (a service is missing, a port is taken) says why and the next one follows; the exit code is then 1. A goal that is not
met is shown and is no error.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import benchmarks
from benchmarks import _goals

EPILOG = "GEMBA_BENCH_MEMORY_S=3600: how long edge_memory watches (default 600 s; the goal's hour is 3600)."


def names() -> list[str]:
    return sorted(one.name for one in pkgutil.iter_modules(benchmarks.__path__) if not one.name.startswith("_"))


def main() -> int:
    about = "Measures Gemba beside what the engines below give alone, and beside peers."
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=about, epilog=EPILOG)
    parser.add_argument("name", nargs="*", help=f"which ones (default: all): {', '.join(names())}")
    parser.add_argument("--json", type=Path, help="write one JSON object a row to this file")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.name if name not in names()]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(names())}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    wanted, rows, failed = chosen.name or names(), [], []
    began = time.monotonic()
    print(f"{'name':58} {'figure':>14} {'unit':14} {'limit':>14} {'ratio':>8}")
    for number, name in enumerate(wanted, 1):
        print(f"» {name} ({number} of {len(wanted)}, {_took(began)} so far)", flush=True)
        try:
            for one in importlib.import_module(f"benchmarks.{name}").run():
                rows.append(one)
                _show(one)
        except Exception as error:  # noqa: BLE001 - whatever one benchmark lacks, the others are to be measured
            failed.append(name)
            print(f"  {name} ended early: {type(error).__name__}: {error}", flush=True)
        if chosen.json:  # after each: a run that is broken off has not been for nothing
            chosen.json.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    print("", *_goals.table(wanted, rows), sep="\n")
    print(f"{len(wanted) - len(failed)} of {len(wanted)} benchmarks in {_took(began)}" + (f"; ended early: {', '.join(failed)}" if failed else ""))
    load = os.getloadavg()[2]
    print(f"load average over 15 minutes: {load:.1f} on {os.cpu_count()} cores (rates and times need a quiet machine)")
    return 1 if failed else 0


def _took(since_s: float) -> str:
    minutes, seconds = divmod(round(time.monotonic() - since_s), 60)
    return f"{minutes}:{seconds:02} min"


def _show(one: dict[str, Any]) -> None:
    limit = "" if one["limit"] is None else f"{one['limit']:,.1f}"
    ratio = "" if one["ratio"] is None else f"{one['ratio']:.3f}"
    print(f"{one['name']:58} {one['figure']:>14,.2f} {one['unit']:14} {limit:>14} {ratio:>8}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
