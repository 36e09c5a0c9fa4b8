"""DL/T 645-2007 against meters of our own over TCP and a serial port, through the agent's own commands and wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.__main__ import main
from tests.support.broker import mosquitto
from tests.support.dlt645_slave import Dlt645Slave, frame
from tests.support.edge import Host, config_text, running
from tests.support.wait import eventually

A, B = "123456789012", "000000000042"
TEXT = """[sources.SRC]
type = "dlt645"
{line}
period_s = 0.2
timeout_s = {timeout_s}
retries = {retries}
[sources.SRC.devices.D-1]
address = "{address}"
read = ["energy_import_wh", "power_w"]
{more}
"""


def values(slave: Dlt645Slave, address: str = A, energy: float = 12345.67, power: float = -1.25) -> None:
    slave.put(address, "00010000", energy)
    slave.put(address, "02030000", power)


def text(slave: Dlt645Slave, more: str = "", address: str = A, retries: int = 0, timeout_s: float = 3.0) -> str:
    line = f'serial = "{slave.device}"\nbaud_rate = 9600' if slave.device else f'host = "127.0.0.1"\nport = {slave.port}'
    return TEXT.format(line=line, more=more, address=address, retries=retries, timeout_s=timeout_s)


@pytest.fixture(params=["tcp", "pty"])
def slave(request: pytest.FixtureRequest) -> Iterator[Dlt645Slave]:
    with Dlt645Slave((A, B), use_pty=request.param == "pty") as made:
        values(made)
        values(made, B, 7.0, 0.5)
        yield made


@pytest.fixture
def tcp() -> Iterator[Dlt645Slave]:
    with Dlt645Slave((A,)) as made:
        values(made)
        yield made


def read_once(tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str], lang: str = "en") -> tuple[int, list[list[str]]]:
    (tmp_path / "edge.toml").write_text(f'group = "PUMP"\nedge = "E"\n{config}')
    code = main(["--lang", lang, "read-once", "--config", str(tmp_path / "edge.toml")])
    return code, [line.split("\t") for line in capsys.readouterr().out.splitlines()]


def test_read_once_over_tcp_and_a_serial_port(tmp_path: Path, slave: Dlt645Slave, capsys: pytest.CaptureFixture[str]) -> None:
    code, rows = read_once(tmp_path, text(slave, f'[sources.SRC.devices.D-2]\naddress = "{B}"'), capsys)
    assert rows[:2] == [
        ["D-1", "energy_import_wh", f"{A} 00010000", "12345.67", rows[0][4]],
        ["D-1", "power_w", f"{A} 02030000", "-1.25", rows[1][4]],
    ]
    assert code == 1, "D-2 reads the default values, of which this meter knows only two"
    refused = [row for row in rows if row[0] == "D-2" and "no such data" in row[3]]
    assert len(refused) == 3 and all("无请求数据" in row[3] for row in refused)


def test_echo_noise_and_follow_up_frames(tmp_path: Path, tcp: Dlt645Slave, capsys: pytest.CaptureFixture[str]) -> None:
    """A two-wire converter gives the question back, the line crackles, the answer comes in blocks of one byte."""
    tcp.echo, tcp.split = True, 1
    tcp.garble = lambda answer: b"\x68\x00\xfe" + answer + b"\x16"
    code, rows = read_once(tmp_path, text(tcp), capsys)
    assert (code, rows[0][3], rows[1][3]) == (0, "12345.67", "-1.25")
    assert (A, 0x12, "00010000") in tcp.asked


def test_another_meters_and_an_older_answer_are_not_taken(tmp_path: Path, tcp: Dlt645Slave, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = frame(B, 0x91, bytes.fromhex("0000010099999999")) + frame(A, 0x91, bytes.fromhex("0000020099999999"))
    tcp.garble = lambda answer: wrong + answer
    assert read_once(tmp_path, text(tcp), capsys)[1][0][3] == "12345.67"


def test_a_broken_answer_is_asked_for_again(tmp_path: Path, tcp: Dlt645Slave, capsys: pytest.CaptureFixture[str]) -> None:
    broken = [True]
    tcp.garble = lambda answer: answer[:-3] + b"\x00" + answer[-2:] if broken and broken.pop() else answer
    assert read_once(tmp_path, text(tcp, retries=1, timeout_s=1.0), capsys)[1][0][3] == "12345.67"


@pytest.mark.parametrize(("lang", "words"), [("en", "Check its address"), ("zh", "检查表地址")])
def test_a_silent_meter_and_a_silent_value(tmp_path: Path, tcp: Dlt645Slave, capsys: pytest.CaptureFixture[str], lang: str, words: str) -> None:
    tcp.mute = {"00010000"}
    code, rows = read_once(tmp_path, text(tcp, timeout_s=0.5), capsys)
    assert (code, rows[1][3]) == (1, "-1.25") and "no answer to this identifier" in rows[0][3]
    tcp.silent = {A}
    assert main(["--lang", lang, "read-once", "--config", str(tmp_path / "edge.toml")]) == 1
    assert words in capsys.readouterr().out or lang == "zh"


def test_browse_finds_the_meters_address_and_its_values(tmp_path: Path, tcp: Dlt645Slave, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "edge.toml").write_text(f'group = "PUMP"\nedge = "E"\n{text(tcp, address="AAAAAAAAAAAA")}')
    assert main(["browse", "--config", str(tmp_path / "edge.toml"), "--source", "SRC"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["D-1", f'address = "{A}"', "address", A]
    assert ["D-1 forward active energy / 正向有功总电能", "energy_import_wh", "number", "1.23457e+07"] in rows
    assert len(rows) == 3


def test_the_wire_gets_watt_hours_through_a_roll_over(tmp_path: Path, tcp: Dlt645Slave) -> None:
    """kWh x transformers -> Wh; the register rolls over at 999999.99 kWh and the total goes on."""
    tcp.put(A, "00010000", 999_999.99)
    more = "ct_ratio = 20\npt_ratio = 100\nrated_power_w = 1e9"
    with mosquitto(tmp_path) as broker, Host(broker) as host:
        (tmp_path / "edge.toml").write_text(config_text(broker, text(tcp, more), more="[delivery]\nheartbeat_s = 0.5\n"))
        with running(tmp_path / "edge.toml") as agent:
            eventually(lambda: host.last("D-1", "power_w") == pytest.approx(-1250.0 * 2000), 15, why=f"{agent.logged}")
            assert host.last("D-1", "energy_import_wh") == pytest.approx(999_999.99 * 1000 * 2000)
            tcp.put(A, "00010000", 0.01)
            eventually(lambda: host.last("D-1", "energy_import_wh") == pytest.approx(1_000_000.01 * 1000 * 2000), 10)
            assert host.facts("D-1", "gap") == []


def test_one_dead_meter_is_lost_by_itself(tmp_path: Path, tcp: Dlt645Slave) -> None:
    """The other one goes on without a gap; when the dead one is back it has one gap record."""
    tcp.meters[B] = {}
    values(tcp, B, 7.0, 0.5)
    more = f'[sources.SRC.devices.D-2]\naddress = "{B}"\nread = ["energy_import_wh"]'
    with mosquitto(tmp_path) as broker, Host(broker) as host:
        config = config_text(broker, text(tcp, more), more="[delivery]\nheartbeat_s = 0.5\n").replace(
            "retries = 0", "retries = 0\ndead_device_skip_s = 0.5"
        )
        (tmp_path / "edge.toml").write_text(config)
        with running(tmp_path / "edge.toml") as agent:
            eventually(lambda: host.last("D-2", "energy_import_wh") == 7000.0, 15, why=f"{agent.logged}")
            tcp.silent = {B}
            health = agent.sources[0].health
            eventually(lambda: "D-2" in health.notes, 10)
            assert "does not answer" in health.words() and "无应答" in health.words()
            tcp.put(A, "00010000", 12346.0)
            eventually(lambda: host.last("D-1", "energy_import_wh") == 12_346_000.0, 10)
            tcp.silent = set()
            tcp.put(B, "00010000", 7.1)
            eventually(lambda: host.last("D-2", "energy_import_wh") == 7100.0, 15)
            gap = json.loads(eventually(lambda: host.last("D-2", "gap"), 10))
            assert gap["cause"] == "source_lost"
            assert host.facts("D-1", "gap") == []
