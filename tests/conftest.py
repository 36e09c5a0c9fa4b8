"""For every test: the count of tests that ran is printed and has a floor; what cannot run says so loudly."""

from __future__ import annotations

import os
import tracemalloc  # noqa: F401 - pytest reaches for it where a warning cannot be raised; a second one in the middle of that import fails the test
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("gemba", deadline=None)  # a law is true or false; how long an example takes depends on who else uses the machine
settings.load_profile("gemba")

FLOOR_FILE = Path(__file__).parent / "floor.txt"


LONG_FIRST = ("tests/system", "tests/browser", "tests/faults")  # files of few and long tests: begun last they would leave one core idle at the end


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, else as collected (with --no-loadscope-reorder, which `make test` says)."""
    root = Path(__file__).parents[1]

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(root).as_posix()
        return next((number for number, folder in enumerate(LONG_FIRST) if name.startswith(folder)), len(LONG_FIRST))

    items.sort(key=place)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Says what did not run and why, then the floor."""
    stats = terminalreporter.stats
    ran = sum(len(stats.get(kind, [])) for kind in ("passed", "failed", "error"))
    skipped = stats.get("skipped", [])
    if skipped:
        terminalreporter.write_sep("=", f"{len(skipped)} TESTS DID NOT RUN", red=True)
        reasons: dict[str, int] = {}
        for report in skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            reasons[reason] = reasons.get(reason, 0) + 1
        for reason, count in sorted(reasons.items()):
            terminalreporter.write_line(f"  {count} x {reason}")
    if os.environ.get("GEMBA_TEST_FLOOR") == "1":
        floor = int(FLOOR_FILE.read_text().split()[0])
        terminalreporter.write_line(f"tests that ran: {ran} (floor {floor})")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With GEMBA_TEST_FLOOR=1 (what `make test` sets) a run that lost tests on the way is a failed run."""
    if os.environ.get("GEMBA_TEST_FLOOR") != "1" or hasattr(session.config, "workerinput"):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    ran = sum(len(reporter.stats.get(kind, [])) for kind in ("passed", "failed", "error"))
    floor = int(FLOOR_FILE.read_text().split()[0])
    if ran < floor and session.exitstatus == 0:
        reporter.write_line(f"only {ran} tests ran, the floor is {floor}: tests were lost (tests/floor.txt)", red=True)
        session.exitstatus = 1
