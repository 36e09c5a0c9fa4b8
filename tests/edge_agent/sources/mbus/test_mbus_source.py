"""M-Bus against meters of our own that answer with recorded telegrams, over TCP and a serial port, through the agent's commands and wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent import config_text
from edge_agent.__main__ import main
from edge_agent.sources.mbus import records
from edge_agent.sources.mbus.config import MbusConfig
from edge_agent.sources.mbus.source import MbusBus
from tests.edge_agent.sources.mbus.test_mbus_records import GOOD, telegram
from tests.support.broker import mosquitto
from tests.support.edge import Host, running
from tests.support.edge import config_text as agent_text
from tests.support.mbus_slave import MbusSlave
from tests.support.wait import eventually

HEX = {case["name"]: case["hex"] for case in GOOD}
TEXT = """[sources.SRC]
type = "mbus"
{line}
period_s = 0.2
timeout_s = {timeout_s}
retries = {retries}
pause_between_requests_s = 0.0
[sources.SRC.devices.D-1]
{device}
"""


def text(slave: MbusSlave, device: str = "primary = 5", retries: int = 0, timeout_s: float = 3.0) -> str:
    line = f'serial = "{slave.device}"\nbaud_rate = 9600' if slave.device else f'host = "127.0.0.1"\nport = {slave.port}'
    return TEXT.format(line=line, device=device, retries=retries, timeout_s=timeout_s)


@pytest.fixture(params=["tcp", "pty"])
def slave(request: pytest.FixtureRequest) -> Iterator[MbusSlave]:
    with MbusSlave(use_pty=request.param == "pty") as made:
        made.record(5, [HEX["kamstrup_multical_601"]])
        made.put(7, 1000, 50)
        yield made


@pytest.fixture
def tcp() -> Iterator[MbusSlave]:
    with MbusSlave() as made:
        made.put(5, 1000, -50)
        yield made


def run(tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str], *command: str) -> tuple[int, list[list[str]]]:
    (tmp_path / "edge.toml").write_text(f'group = "PUMP"\nedge = "E"\n{config}')
    code = main([*command, "--config", str(tmp_path / "edge.toml")])
    out = capsys.readouterr()
    return code, [line.split("\t") for line in (out.out + out.err).splitlines()]


def test_a_recorded_heat_meter_over_tcp_and_a_serial_port(tmp_path: Path, slave: MbusSlave, capsys: pytest.CaptureFixture[str]) -> None:
    device = (
        'primary = 5\nread = ["energy_import_wh", "volume_m3", "temperature_flow_c"]\nmetrics = { old_wh = { quantity = "energy", storage = 1 } }'
    )
    code, rows = run(tmp_path, text(slave, device), capsys, "read-once")
    assert code == 0
    assert [row[1:4] for row in rows] == [
        ["energy_import_wh", "5 energy", "37351000.0"],
        ["volume_m3", "5 volume", "561.08"],
        ["temperature_flow_c", "5 flow temperature", "101.69"],
        ["old_wh", "5 energy", rows[3][3]],
    ]
    assert float(rows[3][3]) < 37_351_000.0


@pytest.mark.parametrize("secondary", ["06855817", "0685581F", "068558172D2C0804"])
def test_by_the_number_on_the_plate(tmp_path: Path, slave: MbusSlave, capsys: pytest.CaptureFixture[str], secondary: str) -> None:
    code, rows = run(tmp_path, text(slave, f'secondary = "{secondary}"'), capsys, "read-once")
    assert (code, rows[0][3]) == (0, "37351000.0")


def test_several_telegrams_are_one_readout_each_time(tmp_path: Path, tcp: MbusSlave, capsys: pytest.CaptureFixture[str]) -> None:
    """The first ends with "more records follow": the frame count bit asks for the next; the next readout begins at the first again."""
    tcp.meters[5].telegrams = [
        tcp.meters[5].telegrams[0] + b"\x1f",
        tcp.meters[5].telegrams[0][:13] + bytes.fromhex("04137b000000"),
    ]
    device = 'primary = 5\nread = ["energy_import_wh", "volume_m3"]'
    for _ in range(2):
        code, rows = run(tmp_path, text(tcp, device), capsys, "read-once")
        assert (code, [row[3] for row in rows]) == (0, ["1000.0", "0.123"])
    assert tcp.meters[5].asked == 4


def test_echo_noise_and_a_broken_answer(tmp_path: Path, tcp: MbusSlave, capsys: pytest.CaptureFixture[str]) -> None:
    """The converter gives back what was sent, the line crackles, the first answer has a flipped bit: it is asked for again, with the same bit."""
    tcp.echo = True
    broken = [True]

    def garble(answer: bytes) -> bytes:
        flip = len(answer) > 12 and broken and broken.pop()
        return b"\x68\x10" + (answer[:-4] + bytes([answer[-4] ^ 1]) + answer[-3:] if flip else answer) + b"\xfe"

    tcp.garble = garble
    code, rows = run(tmp_path, text(tcp, retries=1, timeout_s=1.0), capsys, "read-once")
    assert (code, rows[0][3]) == (0, "1000.0")
    assert tcp.meters[5].asked == 2


def test_a_meter_without_a_total_says_what_to_write(tmp_path: Path, tcp: MbusSlave, capsys: pytest.CaptureFixture[str]) -> None:
    tcp.record(5, [HEX["electricity-meter-1"]])
    code, rows = run(tmp_path, text(tcp), capsys, "read-once")
    assert code == 1 and "tariffs 1, 2" in rows[0][3] and "只有费率 1, 2" in rows[0][3]
    device = 'primary = 5\nmetrics = { energy_import_wh = { tariff = "sum" }, late_wh = { record = 2 }, none_w = { record = 99 } }'
    _, rows = run(tmp_path, text(tcp, device), capsys, "read-once")
    assert [row[3] for row in rows[:2]] == ["17756850.0", "17744330.0"] and "no such record" in rows[2][3]


def test_what_the_meter_says_against_us(tmp_path: Path, tcp: MbusSlave, capsys: pytest.CaptureFixture[str]) -> None:
    tcp.meters[5].telegrams = [b"\x70\x08"]
    code, rows = run(tmp_path, text(tcp), capsys, "read-once")
    assert code == 1 and "application busy" in rows[0][3]


@pytest.mark.parametrize(("lang", "words"), [("en", "level converter"), ("zh", "电平转换器")])
def test_a_silent_meter(tmp_path: Path, tcp: MbusSlave, capsys: pytest.CaptureFixture[str], lang: str, words: str) -> None:
    tcp.silent = {5}
    code, rows = run(tmp_path, text(tcp, timeout_s=0.2), capsys, "--lang", lang, "read-once")
    assert code == 1 and "does not answer" in rows[0][3]
    assert words in rows[0][3] or lang == "zh"


def test_browse_names_what_the_config_needs(tmp_path: Path, slave: MbusSlave, capsys: pytest.CaptureFixture[str]) -> None:
    code, rows = run(tmp_path, text(slave), capsys, "browse", "--source", "SRC")
    assert code == 0
    assert rows[0] == ["D-1", 'secondary = "06855817"', "KAM heat (outlet), version 8", "06855817"]
    assert ["D-1 energy", "energy_import_wh", "Wh", "37351000"] in rows
    assert any(row[1].startswith("record = ") and "storage 1" in row[0] for row in rows)


def test_every_recorded_meter_over_the_line() -> None:
    """The slaves answer with the very telegrams; what comes through the line is what the decoder gives."""
    with MbusSlave() as slave:
        for number, case in enumerate(GOOD):
            slave.record(number, [case["hex"]])
        devices = {f"D-{number}": {"primary": number} for number in range(len(GOOD))}
        raw = {"type": "mbus", "host": "127.0.0.1", "port": slave.port, "timeout_s": 5, "telegrams_max": 1, "pause_between_requests_s": 0}
        config = MbusConfig.model_validate(raw | {"devices": devices})

        async def readout() -> list[tuple[records.Record, ...]]:
            bus = MbusBus(config, {})
            try:
                return [tuple((await bus._readout(device))[1]) for device in config.devices.values()]
            finally:
                await bus.close()

        assert asyncio.run(readout()) == [telegram(case).records for case in GOOD]


def test_values_loss_and_return_on_the_wire(tmp_path: Path, tcp: MbusSlave) -> None:
    """One meter dies: it alone is lost, with its words; it comes back with one gap record and its total carried on."""
    tcp.put(6, 500)
    device = 'primary = 5\nread = ["energy_import_wh", "power_w"]\nrated_power_w = 1e9\n[sources.SRC.devices.D-2]\nprimary = 6'
    config = text(tcp, device, timeout_s=1.5).replace("retries = 0", "retries = 0\ndead_device_skip_s = 0.3")
    with mosquitto(tmp_path) as broker, Host(broker) as host:
        (tmp_path / "edge.toml").write_text(agent_text(broker, config, more="[delivery]\nheartbeat_s = 0.5\n"))
        with running(tmp_path / "edge.toml") as agent:
            eventually(lambda: host.last("D-1", "power_w") == -50.0 and host.last("D-2", "energy_import_wh") == 500.0, 15, why=f"{agent.logged}")
            tcp.silent = {6}
            health = agent.sources[0].health
            eventually(lambda: "D-2" in health.notes, 10)
            assert "does not answer" in health.words() and "无应答" in health.words()
            tcp.put(5, 1200, 60)
            eventually(lambda: host.last("D-1", "energy_import_wh") == 1200.0, 10)
            tcp.silent = set()
            tcp.put(6, 510)
            eventually(lambda: host.last("D-2", "energy_import_wh") == 510.0, 15)
            assert json.loads(eventually(lambda: host.last("D-2", "gap"), 10))["cause"] == "source_lost"
            assert host.facts("D-1", "gap") == []


@pytest.mark.parametrize(
    ("device", "en", "zh"),
    [
        ("", "say which meter", "primary"),
        ('primary = 1\nsecondary = "12345678"', "say which meter", "二选一"),
        ('primary = 1\nread = ["energy"]', "browse", "browse"),
    ],
)
def test_what_is_wrong_with_a_meter(tmp_path: Path, device: str, en: str, zh: str) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(f'group = "P"\nedge = "E"\n[sources.S]\ntype = "mbus"\nhost = "h"\n[sources.S.devices.M-1]\n{device}\n')
    _, problems = config_text.check(path)
    assert [(p.where, p.line) for p in problems] == [("sources.S.devices.M-1", 6)]
    assert en in problems[0].en and zh in problems[0].zh
