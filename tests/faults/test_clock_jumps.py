"""The edge's clock jumps (R11): counts stay exact, time never runs backwards on the wire by itself, doubt is said, and the server's time ends it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.contract import names
from edge_agent.contract.payload import get_value
from edge_agent.sources.modbus import codec
from tests.support.broker import Broker, mosquitto
from tests.support.edge import Host, Meter, config_text, running
from tests.support.wait import eventually

HOUR_MS, YEAR_MS = 3_600_000, 365 * 86_400_000
SOURCE = """[sources.M]
type = "modbus"
port = {port}
period_s = 0.2
[sources.M.devices.M-1]
kind = "meter"
unit = 1
[sources.M.devices.M-1.metrics]
energy_import_wh = {{ register = 10, type = "uint32", width_bits = 32, scale = 1000.0, max_per_s = 1000.0 }}
"""
FAST = "[delivery]\nheartbeat_s = 0.5\nhealth_s = 0.5\nretry_s = 1.0\n"


class Jumpy:
    """The machine's clock; a test sets `off_ms`."""

    speed = 1.0

    def __init__(self, off_ms: int = 0) -> None:
        self.off_ms = off_ms

    def now_ms(self) -> int:
        return int(time.time() * 1000) + self.off_ms

    async def sleep(self, plant_s: float) -> None:
        await asyncio.sleep(max(0.0, plant_s))


class Counting(threading.Thread):
    """A meter that counts; `made` is the truth."""

    def __init__(self, meter: Meter) -> None:
        super().__init__(daemon=True)
        self.meter, self.made = meter, 100
        self.end = threading.Event()

    def run(self) -> None:
        while not self.end.wait(0.05):
            self.made += 1
            self.meter.put(1, 10, codec.encode(self.made, "uint32"))


class Witness(threading.Thread):
    """The host says its time, as the server does with every answer."""

    def __init__(self, host: Host) -> None:
        super().__init__(daemon=True)
        self.host, self.end = host, threading.Event()
        self.start()

    def run(self) -> None:
        while not self.end.wait(0.3):
            self.host.command(**{names.HOST_TIME: int(time.time() * 1000)})


@pytest.fixture
def counting() -> Iterator[Counting]:
    with Meter((1,)) as meter:
        meter.put(1, 10, codec.encode(100, "uint32"))
        made = Counting(meter)
        yield made
        made.end.set()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with mosquitto(tmp_path) as made:
        yield made


def config_of(folder: Path, broker: Broker, counting: Counting) -> Path:
    path = folder / "edge.toml"
    path.write_text(config_text(broker, SOURCE.format(port=counting.meter.port), more=FAST))
    return path


def node_word(host: Host, name: str) -> object:
    aliases = {m.alias for _, payload in list(host.messages) for m in payload.metrics if m.name == name}
    said = [get_value(m, m.datatype) for _, payload in list(host.messages) for m in payload.metrics if m.name == name or m.alias in aliases]
    return said[-1] if said else None


def exact(host: Host, counting: Counting) -> None:
    counting.end.set()
    counting.join(10)
    eventually(lambda: host.last("M-1", "energy_import_wh") == counting.made * 1000.0, 20, why=f"{counting.made}")
    totals = host.values("M-1", "energy_import_wh")
    assert totals == sorted(totals) and host.errors == []


def more_counted(host: Host) -> Callable[[], bool]:
    before = host.last("M-1", "energy_import_wh")
    return lambda: host.last("M-1", "energy_import_wh") > before + 10_000


@pytest.mark.parametrize(
    "jump_ms",
    [
        pytest.param(HOUR_MS, id="+1h", marks=pytest.mark.full),
        pytest.param(-HOUR_MS, id="-1h"),
        pytest.param(10 * YEAR_MS, id="+10y", marks=pytest.mark.full),
        pytest.param(-56 * YEAR_MS, id="1970", marks=pytest.mark.full),
    ],
)
def test_a_clock_that_jumps_changes_no_count_and_no_time(tmp_path: Path, broker: Broker, counting: Counting, jump_ms: int) -> None:
    clock = Jumpy()
    began_ms = clock.now_ms()
    with Host(broker) as host, running(config_of(tmp_path, broker, counting), clock=clock):  # type: ignore[arg-type]
        eventually(lambda: host.last("M-1", "energy_import_wh") == 100_000.0, 15)
        counting.start()
        clock.off_ms = jump_ms
        eventually(lambda: node_word(host, names.CLOCK_STATE) == "suspect", 10)
        eventually(lambda: host.last("M-1", names.CLOCK_SUSPECT) is True, 10)
        eventually(lambda: "this machine's clock" in str(node_word(host, "Source/M/Last Error")), 10)
        eventually(more_counted(host), 15)
        witness = Witness(host)
        eventually(lambda: node_word(host, names.CLOCK_STATE) == "held", 10, why="the host says that the time in use is right")
        eventually(lambda: host.last("M-1", names.CLOCK_SUSPECT) is False, 10)
        clock.off_ms = 0
        eventually(lambda: node_word(host, names.CLOCK_STATE) == "ok", 10)
        exact(host, counting)
        witness.end.set()
        stamps = [fact.t_ms for fact in host.facts("M-1", "energy_import_wh")]
        assert stamps == sorted(stamps) and stamps[0] >= began_ms - 1000 and stamps[-1] <= int(time.time() * 1000)
        assert host.values("M-1", "gap") == []


@pytest.mark.parametrize("wrong_ms", [pytest.param(-300_000, id="5min-slow"), pytest.param(300_000, id="5min-fast", marks=pytest.mark.full)])
def test_two_edges_whose_clocks_differ_come_to_the_servers_time(tmp_path: Path, broker: Broker, counting: Counting, wrong_ms: int) -> None:
    clock = Jumpy(wrong_ms)
    with Host(broker) as host, running(config_of(tmp_path, broker, counting), clock=clock):  # type: ignore[arg-type]
        eventually(lambda: host.last("M-1", "energy_import_wh") == 100_000.0, 15)
        counting.start()
        witness = Witness(host)
        eventually(lambda: node_word(host, names.CLOCK_STATE) == "held", 20)
        eventually(more_counted(host), 15)
        exact(host, counting)
        witness.end.set()
        newest = host.facts("M-1", "energy_import_wh")[-1].t_ms
        assert abs(newest - int(time.time() * 1000)) < 60_000
        if wrong_ms < 0:
            gap = json.loads(eventually(lambda: host.values("M-1", "gap"), 10)[-1])
            assert gap["cause"] == "clock" and abs(gap["to_ms"] - gap["from_ms"] - 300_000) < 60_000


def test_a_dead_battery_waits_for_the_server_and_stamps_nothing_in_1970(tmp_path: Path, broker: Broker, counting: Counting) -> None:
    clock = Jumpy(60_000 - int(time.time() * 1000))
    began_ms = int(time.time() * 1000)
    with Host(broker) as host, running(config_of(tmp_path, broker, counting), clock=clock):  # type: ignore[arg-type]
        eventually(lambda: node_word(host, names.CLOCK_STATE) == "suspect", 15)
        counting.start()
        witness = Witness(host)
        eventually(lambda: host.facts("M-1", "energy_import_wh"), 20, why="the server's time came")
        exact(host, counting)
        witness.end.set()
        assert min(fact.t_ms for fact in host.facts("M-1", "energy_import_wh")) >= began_ms - 5_000
