"""`gemba-sim run | check`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

try:
    from simulators.check import CheckOptions, check
    from simulators.compare import table
    from simulators.faults import NAMES as FAULTS
    from simulators.mutants import KINDS as MUTANTS
    from simulators.scenario import ScenarioError
    from simulators.stack import StackError
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] in ("simulators", "edge_agent"):
        raise
    sys.stderr.write(f"此安装缺少 {missing.name}。请运行 pip install gemba-mes[sim,server,edge]\n")
    sys.stderr.write(f"{missing.name} is missing in this installation. Install it: pip install gemba-mes[sim,server,edge]\n")
    sys.exit(2)

OK, WRONG, FAILED = 0, 1, 2
WHAT = "The simulated plant around the real product: a demo to look at, a check that every figure is true."


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        "gemba-sim", description="The simulated plant around the real product: a demo to look at, a check that every figure is true."
    )
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="plant and product, alive until Ctrl-C (this is what `make demo` does)")
    run.add_argument("--scenario", default="demo", help="demo, check, quiet, or a TOML file (default: demo)")
    run.add_argument("--data", type=Path, default=Path(".demo"), help="folder of this run; emptied first (default: .demo)")
    run.add_argument("--history-days", type=float, help="days of history before now (default: the scenario's)")
    run.add_argument("--seed", type=int, help="another plant of the same kind")
    run.add_argument("--speed", type=float, default=1.0, help="plant seconds a real second (default: 1)")
    run.add_argument("--for-s", type=float, help="end after this many real seconds (default: Ctrl-C)")
    run.add_argument("--end-when-complete", action="store_true", help="end as soon as the history is in and compared with the truth")
    one = commands.add_parser("check", help="run, drain, compare the product's public API with the ledger of truth; exit 0 only if all holds")
    one.add_argument("--scenario", default="check", help="demo, check, quiet, or a TOML file (default: check)")
    one.add_argument("--hours", type=float, default=1.0, help="plant hours (default: 1)")
    one.add_argument("--speed", type=float, default=60.0, help="plant seconds a real second (default: 60)")
    one.add_argument("--faults", choices=FAULTS, default="", help="kill, cut and restart at seeded moments")
    one.add_argument("--seed", type=int, help="another plant of the same kind")
    one.add_argument("--json", type=Path, dest="json_file", help="write the findings here")
    one.add_argument("--keep", type=Path, help="work in this folder and leave it")
    one.add_argument(
        "--mutant", default="", help=f"break what the plant says on purpose, the check must then fail: {', '.join(MUTANTS)}; several with +"
    )
    for command in (run, one):
        command.add_argument("--verbose", action="store_true", help="log what the simulators do")
    return top


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO if args.verbose else logging.CRITICAL, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell started it in the background, which ignores Ctrl-C
    signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))  # ends as Ctrl-C does: in order, children first
    try:
        if args.command == "run":
            from simulators.demo import DemoOptions, run  # imported here: a check needs none of it

            options = DemoOptions(args.scenario, args.data, args.history_days, args.seed, args.for_s, args.speed, args.end_when_complete)
            asyncio.run(run(options))
            return OK
        return asyncio.run(_check(args))
    except (ScenarioError, StackError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return OK


HOURS_MIN, HOURS_MAX = 0.1, 1_000.0  # the server refuses windows of next to nothing


async def _check(args: argparse.Namespace) -> int:
    if not HOURS_MIN <= args.hours <= HOURS_MAX:
        raise ValueError(f"--hours must lie between {HOURS_MIN:g} and {HOURS_MAX:g}, not {args.hours:g}")
    if args.json_file:
        args.json_file.write_text("", encoding="utf-8")  # a path that cannot be written is said before the hours, not after them
    options = CheckOptions(args.scenario, args.hours, args.speed, args.seed, args.faults, args.mutant, args.keep)
    print(f"check {args.scenario}: {args.hours:g} plant hours at ×{args.speed:g}{' with faults ' + args.faults if args.faults else ''}", flush=True)
    report = await check(options, lambda text: print(text, flush=True))
    print(table(report.findings))
    if args.json_file:
        args.json_file.write_text(report.json() + "\n", encoding="utf-8")
    print(f"{'ALL HOLDS' if report.ok else 'NOT TRUE'} (seed {report.facts['seed']}, {report.facts['real_s']} s)")
    return OK if report.ok else WRONG


if __name__ == "__main__":
    sys.exit(main())
