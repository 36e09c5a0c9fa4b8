"""A check that passes when the product is broken is not a check: each breakage is named by it, and each alone makes it fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.mutants import KINDS, SHIFT_MS
from tests.system.test_check import overtaxed, run_check

RUN = ("--scenario", "check", "--hours", "1.2", "--speed", "120")


def test_every_breakage_is_named(tmp_path: Path) -> None:
    """All kinds in one run; each has to be told apart in the findings."""
    code, output, report = run_check(tmp_path, *RUN, "--mutant", "+".join(KINDS))
    if overtaxed(report):
        code, output, report = run_check(tmp_path / "slower", *RUN[:-1], "40", "--mutant", "+".join(KINDS))
    assert code == 1, output
    hits = dict(report["mutant_hits"])
    assert set(hits) == set(KINDS), output
    wrong = {finding["name"]: " ".join(finding["examples"]) for finding in report["findings"] if not finding["ok"]}
    changes, pieces = wrong["changes of state to the millisecond"], wrong["pieces by operation of the order"]
    for kind in ("drop-message", "shift-timestamp"):
        machine, at_ms = hits[kind].split(" at ")
        assert f"{machine} " in changes and f"at {at_ms}: not there" in changes, kind
    assert f"at {int(hits['shift-timestamp'].split(' at ')[1]) + SHIFT_MS}: not true" in changes
    for kind in ("double-scan", "drop-scan"):
        assert f"{hits[kind]}:" in pieces, kind
    assert "ERP: confirmed pieces" in wrong, "what is wrong in the MES is wrong in the ERP"
    assert "state seconds by machine and shift" in wrong
    for unharmed in ("journal chain", "energy by meter (Wh)"):
        assert unharmed not in wrong, output


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_each_breakage_alone_fails_the_check(tmp_path: Path, kind: str) -> None:
    code, output, report = run_check(tmp_path, *RUN, "--mutant", kind)
    assert code == 1, output
    assert [hit[0] for hit in report["mutant_hits"]] == [kind]
