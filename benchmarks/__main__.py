"""python -m benchmarks [NAME ...] [--json FILE]: runs the benchmarks and prints a table; the file gets one JSON object a row."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
from pathlib import Path
from typing import Any

import benchmarks

EPILOG = "GEMBA_BENCH_MEMORY_S=3600: how long edge_memory watches (default 600 s; the goal's hour is 3600)."


def names() -> list[str]:
    return sorted(one.name for one in pkgutil.iter_modules(benchmarks.__path__) if not one.name.startswith("_"))


def main() -> int:
    about = "Measures Gemba beside what the engines below give alone."
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=about, epilog=EPILOG)
    parser.add_argument("name", nargs="*", help=f"which ones (default: all): {', '.join(names())}")
    parser.add_argument("--json", type=Path, help="write one JSON object a row to this file")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.name if name not in names()]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(names())}", file=sys.stderr)
        return 2
    rows: list[dict[str, Any]] = []
    print(f"{'name':58} {'figure':>14} {'unit':14} {'limit':>14} {'ratio':>8}")
    for name in chosen.name or names():
        for one in importlib.import_module(f"benchmarks.{name}").run():
            rows.append(one)
            limit = "" if one["limit"] is None else f"{one['limit']:,.1f}"
            ratio = "" if one["ratio"] is None else f"{one['ratio']:.3f}"
            print(f"{one['name']:58} {one['figure']:>14,.2f} {one['unit']:14} {limit:>14} {ratio:>8}", flush=True)
    if chosen.json:
        chosen.json.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
