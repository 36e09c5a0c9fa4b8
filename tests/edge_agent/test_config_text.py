"""check-config and sample-config: every error at once, its line, its next step, in both languages."""

from __future__ import annotations

import re
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


NONSENSE = """group = 5
edge = "EDGE L1"
brokers = 7
delivery = { heartbeat_s = -1, wait_for_host = "perhaps" }

[buffer]
max_mb = 10.5

[[sources]]
type = "opcua"
"""
NONSENSE_2 = """group = "PUMP"
edge = "E"
[sources.P]
type = "opcua"
url = 4
settle_s = 99
timeout_s = true
[sources.P.devices."M 1"]
kind = "lathe"
namespace = "urn:x"
metrics = 3
[sources.Q]
type = "modbus"
host = "h"
port = "x"
[sources.Q.devices.M-1]
model = "eastron_sdm630"
[sources.Q.devices.M-1.metrics]
power_w = { register = "one", scale = "many", type = "float23" }
"""


@pytest.mark.parametrize("text", [NONSENSE, NONSENSE_2], ids=["shapes", "values"])
def test_nonsense_is_said_in_words_of_both_languages(tmp_path: Path, text: str) -> None:
    """No sentence of the parser's own: they are a programmer's, and English."""
    config, problems = config_text.check(write(tmp_path, text))
    assert config is None and len(problems) >= 4
    for one in problems:
        assert one.line > 0 and re.search(r"[\u4e00-\u9fff]", one.zh), one
        assert not re.search(r"[\u4e00-\u9fff]", one.en), one
        assert not re.search(
            r"[Ii]nput should|[Ff]ield required|valid (integer|number|string|dict|list)|\{",
            re.sub(r"\{ key = value \}|\{ 项 = 值 \}", "", one.en + one.zh),
        ), one


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_nonsense_at_the_command_line(tmp_path: Path, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "junk.toml").write_bytes(b"\xff\x00[")
    for asked in (
        ["check-config", str(tmp_path / "none.toml")],
        ["check-config", str(tmp_path)],
        ["check-config", str(tmp_path / "junk.toml")],
        ["browse", "nonsense"],
    ):
        assert main(["--lang", lang, *asked]) == 1
        out = capsys.readouterr()
        said = out.out + out.err
        assert bool(re.search(r"[\u4e00-\u9fff]", said)) is (lang == "zh"), said
        assert "Traceback" not in said and "Errno" not in said and "should match" not in said, said
    with pytest.raises(SystemExit, match="2"):
        main(["--lang", lang, "status"])
    assert "gemba-edge status --help" in capsys.readouterr().err
