"""The edge node over every broker: births, deaths, sequence, rebirth, host state, several brokers. A Modbus meter is the source."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.sources.modbus import codec
from tests.support.broker import KINDS, Broker, broker_of, mosquitto
from tests.support.edge import Host, Meter, config_text, running
from tests.support.wait import eventually

SOURCE = """[sources.M]
type = "modbus"
port = {port}
period_s = 0.1
timeout_s = 1.0
[sources.M.devices.M-1]
kind = "meter"
unit = 1
[sources.M.devices.M-1.metrics]
energy_import_wh = {{ register = 10, type = "uint32", width_bits = 32, scale = 1000.0 }}
power_w = {{ register = 2, type = "float32", deadband = 1.0 }}
"""
FAST = "[delivery]\nheartbeat_s = 0.3\nhealth_s = 0.5\nretry_s = 1.0\n"


@pytest.fixture
def meter() -> Iterator[Meter]:
    with Meter((1,)) as made:
        put(made, 100)
        yield made


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    with broker_of(request.param, tmp_path) as made:
        yield made


def put(meter: Meter, total: int) -> None:
    meter.put(1, 10, codec.encode(total, "uint32"))


def write(folder: Path, broker: Broker, meter: Meter) -> Path:
    path = folder / "edge.toml"
    path.write_text(config_text(broker, SOURCE.format(port=meter.port), more=FAST))
    return path


def bdseq(payload: Any) -> int:
    return next(int(metric.long_value) for metric in payload.metrics if metric.name == "bdSeq")


def of_kind(host: Host, kind: str) -> list[Any]:
    return [payload for topic, payload in list(host.messages) if topic.split("/")[2] == kind]


def total(host: Host, value: int) -> None:
    eventually(lambda: host.last("M-1", "energy_import_wh") == value * 1000.0, 15, why=f"{host.last('M-1', 'energy_import_wh')}")


def test_a_session_from_birth_to_death(tmp_path: Path, broker: Broker, meter: Meter) -> None:
    with Host(broker) as host:
        config = write(tmp_path, broker, meter)
        with running(config):
            total(host, 100)
            put(meter, 105)
            total(host, 105)
            eventually(lambda: len(of_kind(host, "NDATA")) >= 2, 10)
            assert host.kinds()[:2] == ["NBIRTH", "DBIRTH"]
            birth = of_kind(host, "NBIRTH")[0]
            by_name = {metric.name: metric for metric in birth.metrics}
            assert birth.seq == 0 and not by_name["Node Control/Rebirth"].HasField("alias")
            assert {"Buffer/Epoch", "Buffer/Last Record", "Source/M/Status", "Source/M/Last Error"} <= by_name.keys()
            first = bdseq(birth)

            host.command(**{"Node Control/Rebirth": True})
            eventually(lambda: len(of_kind(host, "NBIRTH")) == 2, 10)
            put(meter, 107)
            total(host, 107)
            again = of_kind(host, "NBIRTH")[1]
            assert (again.seq, bdseq(again)) == (0, first), "a rebirth keeps its bdSeq"
            born = of_kind(host, "DBIRTH")[-1]
            assert {"energy_import_wh", "power_w", "watched_until", "gap"} <= {metric.name for metric in born.metrics}
            aliases = [metric.alias for payload in (again, born) for metric in payload.metrics if metric.HasField("alias")]
            assert len(aliases) == len(set(aliases))
        eventually(lambda: of_kind(host, "NDEATH"), 5)
        death = of_kind(host, "NDEATH")[-1]
        assert [metric.name for metric in death.metrics] == ["bdSeq"] and bdseq(death) == first and not death.HasField("seq")
        with running(config):
            eventually(lambda: len(of_kind(host, "NBIRTH")) == 3, 15)
            assert bdseq(of_kind(host, "NBIRTH")[2]) == first + 1, "bdSeq is kept over a restart"
        assert host.errors == []


def test_an_edge_waits_for_its_host_and_then_sends_what_waited(tmp_path: Path, broker: Broker, meter: Meter) -> None:
    with running(write(tmp_path, broker, meter)) as agent:
        eventually(lambda: agent.worker.buffer.last_n >= 3, 15)
        host = Host(broker)
        with host:
            total(host, 100)
            eventually(lambda: agent.worker.buffer.waiting <= 2, 10)
            facts = host.facts("M-1", "energy_import_wh")
            assert facts[0].n == 1 and facts[0].historical
            eventually(lambda: not host.live[-1].historical, 10, why="live again after the backlog")
            assert host.errors == []


def test_a_host_state_older_than_what_was_seen_is_ignored(tmp_path: Path, broker: Broker, meter: Meter) -> None:
    with Host(broker) as host, running(write(tmp_path, broker, meter)):
        total(host, 100)
        host.stamp -= 60_000
        host._state(False)
        time.sleep(0.5)
        put(meter, 101)
        total(host, 101)
        assert "NDEATH" not in host.kinds()


def test_the_next_broker_is_tried_until_one_has_the_host(tmp_path: Path, meter: Meter) -> None:
    with mosquitto(tmp_path / "a") as first, mosquitto(tmp_path / "b") as second, Host(second) as host:
        text = config_text(first, SOURCE.format(port=meter.port), more=FAST)
        other = f'[[brokers]]\ncredentials_file = "{second.credentials_file("EDGE-L1")}"\nkeepalive_s = 5\n\n[buffer]'
        (tmp_path / "edge.toml").write_text(text.replace("[buffer]", other))
        first.kill()
        with running(tmp_path / "edge.toml"):
            total(host, 100)


def test_a_buffer_at_its_bound_keeps_every_total(tmp_path: Path, meter: Meter) -> None:
    """The server is away; the bound is reached; afterwards every total is there and the thinned samples are said to be."""
    with mosquitto(tmp_path) as broker:
        config = write(tmp_path, broker, meter)
        with running(config) as agent:
            agent.worker.buffer.max_bytes = 60_000
            for value in range(101, 141):
                put(meter, value)
                meter.put(1, 2, codec.encode(value * 10.0, "float32"))
                time.sleep(0.1)
            eventually(lambda: agent.worker.buffer.last_n > 30, 10)
            with Host(broker) as host:
                total(host, 140)
                seen = [fact.value for fact in host.facts("M-1", "energy_import_wh")]
                assert seen == sorted(seen) and host.errors == []


def test_a_buffer_set_back_to_an_older_copy_does_not_hide_new_records(tmp_path: Path, meter: Meter) -> None:
    with mosquitto(tmp_path) as broker, Host(broker) as host:
        config = write(tmp_path, broker, meter)
        with running(config):
            total(host, 100)
        (tmp_path / "old").write_bytes((tmp_path / "edge.buffer").read_bytes())
        with running(config):
            put(meter, 104)
            total(host, 104)
            for value in (105, 106, 107):
                put(meter, value)
                total(host, value)
        (tmp_path / "old").replace(tmp_path / "edge.buffer")
        with running(config):
            put(meter, 109)
            total(host, 109)
        assert len(host.booked) == 2, "a new epoch was begun"


def test_only_facts_left_stops_reading_and_says_so(tmp_path: Path, meter: Meter) -> None:
    with mosquitto(tmp_path) as broker:
        config = write(tmp_path, broker, meter)
        with running(config) as agent:
            eventually(lambda: agent.worker.buffer.last_n > 0, 10)
            agent.worker.buffer.max_bytes = 1
            eventually(lambda: agent.worker.intake.closed, 10)
            stopped_at = eventually(lambda: agent.worker.buffer.last_n, 5)
            time.sleep(6.0)
            assert agent.worker.buffer.last_n <= stopped_at + 2
            agent.worker.buffer.max_bytes = 10**9
            put(meter, 150)
            with Host(broker) as host:
                total(host, 150)
                assert '"buffer_full"' in str(host.last("M-1", "gap"))
