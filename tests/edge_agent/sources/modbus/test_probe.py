"""`gemba-edge probe-meter` against real slaves: every model over TCP, some over a serial line; its lines go into a config that check-config takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent.__main__ import main
from edge_agent.sources.modbus.meters import models
from edge_agent.sources.modbus.plausible import table_of
from tests.edge_agent.sources.modbus.test_sunspec import device as sunspec_device
from tests.edge_agent.sources.modbus.test_sunspec import only_what_is_there
from tests.support.live_meter import registers, truth
from tests.support.modbus_slave import Asked, Behaviour, Slave

HEAD = 'group = "P"\nedge = "E"\n[[brokers]]\nhost = "127.0.0.1"\n'


def living(*, word_order: Any = None, offset: int = 0, refuse: Callable[[Asked], list[bytes | float]] | None = None, **units: str) -> Behaviour:
    """Units u1="eastron_sdm630" …: their energy grows with real time, what the model does not have is refused."""
    began = time.monotonic()
    names = {int(unit[1:]): name for unit, name in units.items()}

    def behave(asked: Asked) -> list[bytes | float]:
        if asked.unit not in names:
            return [0.0]
        model = models()[names[asked.unit]]
        values = truth((time.monotonic() - began) * 60, single="voltage_l2_v" not in model.metrics)
        words = registers(model, values, word_order, offset)
        asked.registers[asked.unit] = words
        wanted = range(asked.address, asked.address + asked.count)
        if asked.function != {"holding": 3, "input": 4}[table_of(model)] or not all(at in words for at in wanted):
            return refuse(asked) if refuse is not None else [asked.exception(2)]
        return [asked.good()]

    return behave


def probe(slave: Slave, *more: str, lang: str = "en") -> int:
    where = ["--serial", slave.device] if slave.transport == "serial" else [f"127.0.0.1:{slave.port}"]
    return main(["--lang", lang, "probe-meter", *where, "--seconds", "0.05", "--timeout", "0.3", *more])


def accepted(tmp_path: Path, out: str, lang: str = "en") -> Path:
    """The config that a person would make of the printed lines."""
    _, _, pasted = out.partition("写入配置:" if lang == "zh" else "Put this into the config:")
    path = tmp_path / "edge.toml"
    path.write_text(HEAD + pasted)
    assert main(["check-config", str(path)]) == 0
    return path


@pytest.mark.parametrize("name", sorted(models()))
def test_every_model_is_found_and_its_lines_read_the_truth(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Slave("tcp", {}) as slave:
        slave.behave = living(u1=name)
        assert probe(slave) == 0
        out = capsys.readouterr().out
        assert models()[name].name in out or name in out, out
        path = accepted(tmp_path, out)
        capsys.readouterr()
        assert main(["read-once", "--config", str(path)]) == 0
    shown = {line.split("\t")[1]: line.split("\t")[3] for line in capsys.readouterr().out.splitlines()}
    assert {"power_w", "voltage_l1_v", "energy_import_wh"} <= set(shown)


@pytest.mark.parametrize("order", ["CDAB", "BADC", "DCBA"])
def test_another_word_order_and_offset_is_found_and_written_into_the_lines(tmp_path: Path, order: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Slave("tcp", {}) as slave:
        slave.behave = living(word_order=order, offset=1, u1="inepro_pro380")
        assert probe(slave) == 0
        out = capsys.readouterr().out
        assert "other than documented" in out and f'word_order = "{order}"' in out and "register_offset = 1" in out
        path = accepted(tmp_path, out)
        capsys.readouterr()
        assert main(["read-once", "--config", str(path)]) == 0
    shown = {line.split("\t")[1]: line.split("\t")[3] for line in capsys.readouterr().out.splitlines()}
    assert float(shown["voltage_l1_v"]) == pytest.approx(231.4, abs=0.01)


def test_a_bus_of_several_meters_and_silent_units(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Slave("serial", {}) as slave:
        slave.behave = living(u2="gavazzi_em340", u4="orno_or_we_516")
        assert probe(slave, "--units", "2-4", "--baud", "19200", "--parity", "even") == 0
    out = capsys.readouterr().out
    assert "unit 3: no answer" in out
    assert "Carlo Gavazzi EM330" in out and "(orno_or_we_516), sure" in out
    text = accepted(tmp_path, out).read_text()
    assert 'parity = "even"' in text and "baud_rate = 19200" in text and "M-2]" in text and "M-4]" in text and "M-3]" not in text


def test_a_meter_that_is_silent_for_what_it_does_not_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Some do not answer at all for unknown registers, instead of exception 2. A few time-outs in a row are borne."""
    tries: list[int] = []

    def silent(asked: Asked) -> list[bytes | float]:
        tries.append(asked.address)
        return [0.0] if len(tries) % 4 == 0 else [asked.exception(2)]

    with Slave("tcp", {}) as slave:
        slave.behave = living(u1="bge_ws100", refuse=silent)
        assert probe(slave, "--model", "bge_ws100", "--model", "acrel_adw300") == 0
    assert "(bge_ws100), sure" in capsys.readouterr().out
    assert len(tries) >= 4


def test_sunspec_says_itself_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Slave("tcp", {1: sunspec_device(203, 40000)}) as slave:
        slave.behave = only_what_is_there(slave)
        assert probe(slave) == 0
        out = capsys.readouterr().out
        assert "SunSpec 203, Acme PM-1 S/N 7" in out and 'model = "sunspec"' in out
        path = accepted(tmp_path, out)
        assert main(["read-once", "--config", str(path)]) == 0


def test_what_is_no_meter_is_not_claimed(capsys: pytest.CaptureFixture[str]) -> None:
    with Slave("tcp", {}) as slave:
        slave.behave = lambda asked: [asked.exception(2)]
        assert probe(slave) == 1
        assert "no model of the library fits" in capsys.readouterr().out
        slave.behave = lambda asked: [asked.good()]  # all zeros
        assert probe(slave, lang="zh") == 1
        assert "没有匹配" in capsys.readouterr().out


def test_a_dead_unit_costs_two_time_outs(capsys: pytest.CaptureFixture[str]) -> None:
    with Slave("tcp", {}) as slave:
        slave.behave = lambda asked: [0.0]
        assert probe(slave) == 1
        assert len(slave.asked) == 2
    assert "no answer" in capsys.readouterr().out


def test_an_idle_meter_is_likely_at_most_and_chinese_lines_are_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Slave("tcp", {}) as slave:
        words = registers(models()["eastron_sdm630"], truth(load=0.0))
        slave.registers[1] = words
        slave.behave = lambda asked: [asked.good() if asked.function == 4 and asked.address in words else asked.exception(2)]
        assert probe(slave, lang="zh") == 0
    out = capsys.readouterr().out
    assert "Eastron" in out and "确定)" not in out and "很可能" in out
    accepted(tmp_path, out, "zh")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Say where"),
        (["h:70000"], "is no HOST"),
        (["h", "--units", "9-3"], "are no unit ids"),
        (["h", "--units", "300"], "are no unit ids"),
        (["h", "--model", "nope"], "There is no meter model nope"),
        (["--serial", "/dev/x", "--baud", "7"], "baud"),
    ],
)
def test_wrong_arguments_are_said_with_the_next_step(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe-meter", *arguments]) == 1
    assert words in capsys.readouterr().err
    assert main(["--lang", "zh", "probe-meter", *arguments]) == 1
    assert capsys.readouterr().err


def test_a_bus_that_cannot_be_reached_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe-meter", "--serial", "/dev/no-such-port"]) == 1
    assert "cannot be opened" in capsys.readouterr().err
