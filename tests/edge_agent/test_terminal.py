"""What a person must look at is red on a terminal, and plain everywhere else."""

from __future__ import annotations

import pytest

from edge_agent.terminal import red_alarms

PAGE = "PLC (opcua)  connected\n  SAW-01   0.1 s behind\n  ! unencrypted by choice"


def test_alarms_of_a_page_are_red_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert red_alarms(PAGE) == PAGE, "a pipe"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert red_alarms(PAGE).splitlines() == [*PAGE.splitlines()[:2], "\x1b[1;31m  ! unencrypted by choice\x1b[0m"]
    monkeypatch.setenv("NO_COLOR", "1")
    assert red_alarms(PAGE) == PAGE
