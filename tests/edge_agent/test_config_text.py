"""check-config and sample-config: every error at once, its line, its next step, in both languages."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from edge_agent import config_text
from edge_agent.__main__ import main
from edge_agent.errors import ConfigInvalid

BROKEN = """group = "PUMP"
edge = "EDGE L1"
hots = "gemba"

[[brokers]]
port = 99999
password_file = "nowhere.txt"

[buffer]
max_mb = "many"

[sources.PLC]
type = "opcua"
url = "http://plc"
trust = "fingerprint"

[sources.PLC.devices.SAW-01]
namespace = "urn:x"

[sources.PLC.devices.SAW-01.metrics]
state = { node = "State", states = "packmll" }
good_total = { node = "s=G" }
scrap = { width_bits = 16 }

[sources.M]
type = "modbus"
[sources.M.devices.M-1]
model = "eastron_sdm630"
unit = 300
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "edge.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_error_at_once_with_its_line(tmp_path: Path, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--lang", lang, "check-config", str(write(tmp_path, BROKEN))]) == 1
    out = capsys.readouterr().out
    word = "line" if lang == "en" else "第"
    for line in (2, 3, 6, 10, 14, 21, 22, 23, 29):
        assert f"{word} {line}" in out, out
    assert "host" in out, "the near miss of hots"
    assert "server_fingerprint" in out
    assert not any(word in out for word in ("Extra inputs", "Field required", "Input tag", "dict[")), "a programmer's words"


def test_files_and_models_are_checked_when_the_model_is_content(tmp_path: Path) -> None:
    text = (
        'group = "P"\nedge = "E"\n[[brokers]]\npassword_file = "nowhere.txt"\n[sources.M]\ntype = "modbus"\n[sources.M.devices.M-1]\nmodel = "nope"\n'
    )
    config, problems = config_text.check(write(tmp_path, text))
    assert config is not None
    assert [(p.line, p.where.split(".")[0]) for p in problems] == [(4, "brokers"), (7, "sources")]
    with pytest.raises(ConfigInvalid):
        config_text.load(tmp_path / "edge.toml")


@pytest.mark.parametrize(("text", "line"), [("group = \n", 1), ('group = "a"\nedge = ', 2)])
def test_what_is_no_toml_is_said_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    _, problems = config_text.check(write(tmp_path, text))
    assert [p.line for p in problems] == [line]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_sample_is_a_config(tmp_path: Path, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--lang", lang, "sample-config"]) == 0
    sample = capsys.readouterr().out
    config, problems = config_text.check(write(tmp_path, sample))
    assert problems == [] and config is not None
    assert ("心跳" in sample) == (lang == "zh")


def test_commented_values_are_the_defaults(tmp_path: Path) -> None:
    sample = config_text.sample("en")
    plain, _ = config_text.check(write(tmp_path, sample))
    wanted = []
    for line in sample.splitlines():
        bare = line.removeprefix("# ")
        try:
            is_default = bare != line and bool(tomllib.loads(bare)) and '= ""' not in bare
        except tomllib.TOMLDecodeError:
            is_default = False
        wanted.append(bare if is_default else line)
    assert sum(a != b for a, b in zip(wanted, sample.splitlines(), strict=True)) > 30
    uncommented, problems = config_text.check(write(tmp_path, "\n".join(wanted)))
    assert problems == []
    assert uncommented is not None and plain is not None
    assert uncommented.delivery == plain.delivery
    assert uncommented.sources["PLC-L1"].model_copy(update={"pki_dir": None}) == plain.sources["PLC-L1"].model_copy(update={"pki_dir": None})


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("secret\n")
    head = 'group = "P"\nedge = "E"\n[[brokers]]\npassword_file = "pw"\n'
    text = head + '[sources.M]\ntype = "modbus"\n[sources.M.devices.M-1]\nmodel = "eastron_sdm630"\n'
    config = config_text.load(write(tmp_path, text))
    assert config.brokers[0].password_file == tmp_path / "pw"
    assert config.buffer.path == tmp_path / "edge.buffer"


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", "/nowhere/edge.toml"]) == 1
    assert "sample-config" in capsys.readouterr().out
    assert main(["--lang", "zh", "run", "--config", "/nowhere/edge.toml"]) == 1
