"""The files by which a machine starts the agent: what systemd itself says of the unit, and what stands in the Compose file, also with odd paths."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.__main__ import main

CONFIG = 'group = "P"\nedge = "E"\n[sources.M]\ntype = "modbus"\n[sources.M.devices.M-1]\nkind = "meter"\nmodel = "eastron_sdm630"\n'
ODD = 'line 1 100% $HOME "a"'


@pytest.fixture(params=["plain", ODD])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / request.param
    folder.mkdir()
    file = folder / "edge.toml"
    file.write_text(CONFIG)
    return file


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["unit", *arguments]) == 0
    return capsys.readouterr().out


def test_the_unit_is_one_that_systemd_takes(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "systemd", "--config", str(config), "--user", "root")
    assert "Restart=always" in text and "User=root" in text and "-m edge_agent run --config" in text
    if config.parent.name == "plain":
        assert f'ExecStart="{sys.executable}" -m edge_agent run --config "{config}"' in text and f'ReadWritePaths="{config.parent}"' in text
    program = shutil.which("systemd-analyze")
    if program is not None:  # not on every machine; the text stands above
        unit = tmp_path / "gemba-edge.service"
        unit.write_text(text)
        found = subprocess.run([program, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False, timeout=120)
        about_us = [line for line in found.stderr.splitlines() if "gemba-edge" in line]
        assert (found.returncode, about_us) == (0, [])


def test_the_compose_file_shows_the_container_the_folder_of_the_config(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.strip() for line in printed(capsys, "compose", "--config", str(config)).splitlines()]
    (source,) = [line.removeprefix("source: ") for line in lines if line.startswith("source: ")]
    assert json.loads(source).replace("$$", "$") == str(config.parent), "YAML reads JSON's strings, Compose reads $$ as $"
    assert "target: /data" in lines and "restart: always" in lines
    assert 'command: ["gemba-edge", "run", "--config", "/data/edge.toml"]' in lines


def test_a_buffer_that_the_container_would_not_see_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(CONFIG.replace("[sources.M]", '[buffer]\npath = "/var/lib/elsewhere/b"\n[sources.M]', 1))
    assert main(["unit", "compose", "--config", str(config)]) == 1
    assert "beside the config" in capsys.readouterr().err
