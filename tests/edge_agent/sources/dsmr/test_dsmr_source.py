"""A P1 port over TCP and a serial port, through the agent's own commands and wire."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge_agent.__main__ import main
from tests.edge_agent.sources.dsmr.test_dsmr_telegrams import RECORDED
from tests.support.broker import mosquitto
from tests.support.edge import Host, config_text, running
from tests.support.p1_meter import P1Meter, telegram
from tests.support.wait import eventually

TEXT = """[sources.SRC]
type = "dsmr"
{line}
timeout_s = {timeout_s}
period_s = 0
{more}
[sources.SRC.devices.D-1]
read = ["energy_import_wh", "power_w"]
rated_power_w = 1e9
{device}
"""
AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def text(meter: P1Meter, more: str = "", device: str = "", timeout_s: float = 10.0) -> str:
    line = f'serial = "{meter.device}"' if meter.device else f'host = "127.0.0.1"\nport = {meter.port}'
    return TEXT.format(line=line, more=more, device=device, timeout_s=timeout_s)


@pytest.fixture(params=["tcp", "pty"])
def meter(request: pytest.FixtureRequest) -> Iterator[P1Meter]:
    with P1Meter(use_pty=request.param == "pty") as made:
        made.put(1000, 50)
        yield made


@pytest.fixture
def tcp() -> Iterator[P1Meter]:
    with P1Meter() as made:
        made.put(1000, 50)
        yield made


def run(tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[list[str]]]:
    (tmp_path / "edge.toml").write_text(f'group = "PUMP"\nedge = "E"\n{config}')
    code = main([*words, "--config", str(tmp_path / "edge.toml")])
    return code, [line.split("\t") for line in capsys.readouterr().out.splitlines()]


def test_read_once_over_tcp_and_a_serial_port(tmp_path: Path, meter: P1Meter, capsys: pytest.CaptureFixture[str]) -> None:
    meter.say = RECORDED["V5"]
    device = '[sources.SRC.devices.GAS-1]\nread = ["gas_m3", "water_m3"]\nmetrics = { failures = { obis = "0-0:96.7.21" } }'
    code, rows = run(tmp_path, text(meter, device=device), capsys, "read-once")
    assert code == 1
    assert [row[1:4] for row in rows] == [
        ["energy_import_wh", "energy taken, all tariffs", "6825.0"],
        ["power_w", "power taken less power fed in", "244.0"],
        ["gas_m3", "gas meter at the port", "0.107"],
        ["water_m3", "water meter at the port", "the telegram does not have it / 报文中没有"],
        ["failures", "0-0:96.7.21", "13.0"],
    ]


def test_browse(tmp_path: Path, tcp: P1Meter, capsys: pytest.CaptureFixture[str]) -> None:
    tcp.say = RECORDED["FLUVIUS_V171"]
    code, rows = run(tmp_path, text(tcp), capsys, "browse", "--source", "SRC")
    assert code == 0
    assert rows[0][0] == "FLU5\\253769484_A"
    assert ["water meter at the port / 水表读数", "water_m3", "number", "872.234"] in rows
    assert ["1-0:1.8.2", 'obis = "1-0:1.8.2"', "Wh", "15758"] in rows


@pytest.mark.parametrize(("lang", "words"), [("en", "pin 2"), ("zh", "2 脚")])
def test_a_silent_port(tmp_path: Path, tcp: P1Meter, capsys: pytest.CaptureFixture[str], lang: str, words: str) -> None:
    tcp.garble = lambda said: said.replace(b"50", b"60")
    code, rows = run(tmp_path, text(tcp, timeout_s=0.5), capsys, "--lang", lang, "read-once")
    assert code == 1 and words in rows[0][0]


def test_values_bad_telegrams_loss_and_return(tmp_path: Path, tcp: P1Meter) -> None:
    with mosquitto(tmp_path) as broker, Host(broker) as host:
        (tmp_path / "edge.toml").write_text(
            config_text(broker, text(tcp, timeout_s=2.0, more="backoff_max_s = 0.5"), more="[delivery]\nheartbeat_s = 0.5\n")
        )
        with running(tmp_path / "edge.toml") as agent:
            eventually(lambda: host.last("D-1", "energy_import_wh") == 1000.0 and host.last("D-1", "power_w") == 50.0, 15, why=f"{agent.logged}")
            health = agent.sources[0].health
            tcp.garble = lambda said: said.replace(b"*kW)", b"*kV)")
            eventually(lambda: "checksum" in health.words() and "丢弃一条报文" in health.words(), 10)
            tcp.garble = bytes
            tcp.put(1010, 60)
            eventually(lambda: host.last("D-1", "energy_import_wh") == 1010.0, 15)
            tcp.stop()
            eventually(lambda: health.status == "lost", 10)
            tcp.start()
            tcp.put(1020, 70)
            eventually(lambda: host.last("D-1", "energy_import_wh") == 1020.0, 15)
            assert health.status == "connected"
            assert all(json.loads(gap)["cause"] == "source_lost" for gap in host.values("D-1", "gap"))


def test_the_telegrams_own_time_counts_when_it_can_be_believed(tmp_path: Path, tcp: P1Meter) -> None:
    """A few seconds behind: its time. Years behind, or the wrong zone: the moment of arrival, and words."""
    own_s = int(time.time()) - 7
    local = datetime.fromtimestamp(own_s, AMSTERDAM)
    stamp = f"{local:%y%m%d%H%M%S}{'S' if local.dst() else 'W'}"
    lines = ("1-0:1.8.0(000001.000*kWh)", "1-0:1.7.0(00.050*kW)")
    tcp.say = telegram(*lines, time=stamp)
    with mosquitto(tmp_path) as broker, Host(broker) as host:
        (tmp_path / "edge.toml").write_text(config_text(broker, text(tcp), more="[delivery]\nheartbeat_s = 0.5\n"))
        with running(tmp_path / "edge.toml") as agent:
            eventually(lambda: host.facts("D-1", "energy_import_wh"), 15, why=f"{agent.logged}")
            assert host.facts("D-1", "energy_import_wh")[0].t_ms == own_s * 1000
            tcp.say = telegram("1-0:1.8.0(000001.100*kWh)", lines[1], time="200101120000W")
            eventually(lambda: host.last("D-1", "energy_import_wh") == 1100.0, 15)
            assert abs(host.facts("D-1", "energy_import_wh")[-1].t_ms / 1000 - time.time()) < 120
            assert "clock is off" in agent.sources[0].health.words() and "时钟" in agent.sources[0].health.words()
