"""A line is a gateway or a serial port, and says so at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent import config_text

HEAD = 'group = "P"\nedge = "E"\n[sources.S]\ntype = "dlt645"\n'
DEVICE = "[sources.S.devices.M-1]\n"


@pytest.mark.parametrize("line", ["", 'host = "h"\nserial = "s"\n'])
def test_exactly_one_of_host_and_serial(tmp_path: Path, line: str) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(HEAD + line + DEVICE)
    _, problems = config_text.check(path)
    assert [(p.line, p.where) for p in problems] == [(3, "sources.S")]
    assert "host" in problems[0].en and "二选一" in problems[0].zh


@pytest.mark.parametrize(
    ("device", "where", "en", "zh"),
    [
        ('address = "12345678901234"', "sources.S.devices.M-1.address", "no address", "12 位"),
        ('read = ["volts"]', "sources.S.devices.M-1", "energy_import_wh", "选用"),
        ('metrics = { x_v = { id = "02010100", format = "X" } }', "sources.S.devices.M-1.metrics.x_v.format", "no format", "偶数"),
        ('metrics = { x_v = { id = "0201" } }', "sources.S.devices.M-1.metrics.x_v.id", "wrong form", "格式"),
    ],
)
def test_what_is_wrong_with_a_meter(tmp_path: Path, device: str, where: str, en: str, zh: str) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(HEAD + 'host = "h"\n' + DEVICE + device + "\n")
    _, problems = config_text.check(path)
    assert [p.where for p in problems] == [where]
    assert en in problems[0].en and zh in problems[0].zh and problems[0].line >= 5
