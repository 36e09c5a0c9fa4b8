"""R15, the links from the edge to its PLC and its meters: slices, delay, resets, half-open, black hole. Counts stay exact by the running total,
what could not be seen is a gap, a silent link is noticed by itself, and an answer that comes late is never taken for another one's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge_agent.sources.modbus import codec
from tests.support.broker import broker_of
from tests.support.edge import Host, Meter, Plc, config_text, machine_source, running
from tests.support.machine import FIRST, METRICS, MORE, Machine
from tests.support.proxy import FaultProxy
from tests.support.wait import eventually

SEED = 16
DELIVERY = "[delivery]\nheartbeat_s = 1.0\nretry_s = 1.0\n"


def gaps(host: Host, device: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in host.values(device, "gap")]


@dataclass
class Line:
    """A machine behind a PLC behind the bad link."""

    proxy: FaultProxy
    machine: Machine
    host: Host
    agent: Any

    @property
    def status(self) -> str:
        return str(self.agent.worker.healths["PLC"].status)

    def makes(self, pieces: int) -> None:
        wanted = self.machine.made + pieces
        eventually(lambda: self.machine.made >= wanted, 60)

    def notices(self) -> None:
        began = time.monotonic()
        eventually(lambda: self.status != "connected", 60, why="the silent PLC is noticed")
        print(f"noticed after {time.monotonic() - began:.1f} s; {self.agent.worker.healths['PLC'].error}")

    def exact(self) -> None:
        self.proxy.pass_on()
        self.machine.stop()
        made = FIRST + self.machine.made
        eventually(lambda: self.host.last("SAW-01", "good_total") == made, 60, why=f"{made}, {self.host.last('SAW-01', 'good_total')}")
        values = self.host.values("SAW-01", "good_total")
        assert values == sorted(values) and len(self.host.booked) == 1 and self.host.errors == []
        assert {gap["cause"] for gap in gaps(self.host, "SAW-01")} <= {"source_lost", "overflow"}


@contextmanager
def line(folder: Path, more: str = "") -> Iterator[Line]:
    print(f"seed {SEED}")
    with broker_of("mosquitto", folder) as broker, Plc() as plc, FaultProxy(plc.port, seed=SEED) as proxy, Host(broker) as host:
        machine = Machine(plc)
        source = machine_source(plc, METRICS, device_more=MORE, more=f"backoff_max_s = 0.5\n{more}").replace(f":{plc.port}/", f":{proxy.port}/")
        (folder / "edge.toml").write_text(config_text(broker, source, more=DELIVERY))
        with running(folder / "edge.toml") as agent:
            eventually(lambda: host.last("SAW-01", "good_total") == FIRST, 30, why="first value")
            machine.start()
            try:
                yield Line(proxy, machine, host, agent)
            finally:
                machine.stop()


def test_r15_plc_one_fault_after_the_other(tmp_path: Path) -> None:
    """The everyday cut: single bytes, a far PLC, resets, half-open."""
    with line(tmp_path, "timeout_s = 1.5\n") as made:
        made.proxy.slice_bytes = 1
        made.makes(20)
        made.proxy.reset_all()
        made.makes(10)
        made.proxy.pass_on()
        made.proxy.delay_s = 0.2
        made.makes(20)
        made.proxy.pass_on()
        made.proxy.reset_chance = 0.3
        for _ in range(2):
            made.makes(10)
            made.proxy.reset_all()
        made.proxy.pass_on()
        eventually(lambda: made.status == "connected", 30)
        made.proxy.half_open()
        made.notices()
        made.makes(10)
        made.proxy.pass_on()
        made.proxy.reset_all()
        eventually(lambda: gaps(made.host, "SAW-01"), 30, why="the time without the PLC is a gap")
        made.exact()


@pytest.mark.full
def test_r15_plc_one_byte_at_a_time(tmp_path: Path) -> None:
    with line(tmp_path) as made:
        made.proxy.slice_bytes = 1
        made.makes(40)
        made.proxy.reset_all()
        made.makes(20)
        eventually(lambda: made.status == "connected", 30, why="connected again, byte by byte")
        made.exact()


@pytest.mark.full
@pytest.mark.parametrize(("delay_s", "more"), [(0.4, "timeout_s = 3.0\n"), (2.0, "timeout_s = 10.0\n")])
def test_r15_plc_far_away(delay_s: float, more: str, tmp_path: Path) -> None:
    with line(tmp_path, more) as made:
        made.proxy.delay_s = delay_s
        made.makes(60)
        assert made.status == "connected", "late is not lost"
        made.exact()


@pytest.mark.full
def test_r15_plc_connections_that_are_reset(tmp_path: Path) -> None:
    with line(tmp_path) as made:
        made.proxy.reset_chance = 0.3
        for _ in range(30):
            made.makes(10)
            made.proxy.reset_all()
        made.exact()


def _half_open(proxy: FaultProxy) -> None:
    proxy.half_open()


def _black_hole(proxy: FaultProxy) -> None:
    proxy.black_hole()


@pytest.mark.full
@pytest.mark.parametrize("fault", [_half_open, _black_hole])
def test_r15_plc_silent(fault: Callable[[FaultProxy], None], tmp_path: Path) -> None:
    with line(tmp_path, "timeout_s = 1.0\n") as made:
        made.makes(10)
        fault(made.proxy)
        made.notices()
        made.makes(10)
        made.proxy.pass_on()
        made.proxy.reset_all()
        eventually(lambda: gaps(made.host, "SAW-01"), 30, why="the time without the PLC is a gap")
        made.exact()


METER = """[sources.M]
type = "modbus"
port = {port}
period_s = 0.05
timeout_s = 0.3
backoff_max_s = 0.5
[sources.M.devices.M-1]
kind = "meter"
unit = 1
[sources.M.devices.M-1.metrics]
energy_import_wh = {{ register = 10, type = "uint32", width_bits = 32, scale = 1000.0 }}
power_w = {{ register = 2, type = "float32" }}
voltage_l1_v = {{ register = 200, type = "float32" }}
"""


@dataclass
class Bus:
    """A meter behind the bad link. `turns` moves its register on; power and voltage tell one another's answers apart."""

    proxy: FaultProxy
    meter: Meter
    host: Host
    agent: Any
    kwh: int = 1000

    def turns(self, times: int) -> None:
        for _ in range(times):
            self.kwh += 1
            self.meter.put(1, 10, codec.encode(self.kwh, "uint32", "ABCD"))
            seen = self.meter.requests
            eventually(lambda seen=seen: self.meter.requests > seen, 30, why="the meter is asked")

    def exact(self) -> None:
        self.proxy.pass_on()
        wanted = self.kwh * 1000.0
        eventually(lambda: self.host.last("M-1", "energy_import_wh") == wanted, 60, why=f"{wanted}, {self.host.last('M-1', 'energy_import_wh')}")
        totals = self.host.values("M-1", "energy_import_wh")
        assert totals == sorted(totals) and self.host.errors == []
        assert set(self.host.values("M-1", "power_w")) == {777.0} and set(self.host.values("M-1", "voltage_l1_v")) == {231.5}


@contextmanager
def bus(folder: Path) -> Iterator[Bus]:
    print(f"seed {SEED}")
    with broker_of("mosquitto", folder) as broker, Meter((1,)) as meter, FaultProxy(meter.port, seed=SEED) as proxy, Host(broker) as host:
        meter.put(1, 10, codec.encode(1000, "uint32", "ABCD"))
        meter.put(1, 2, codec.encode(777.0, "float32", "ABCD"))
        meter.put(1, 200, codec.encode(231.5, "float32", "ABCD"))
        (folder / "edge.toml").write_text(config_text(broker, METER.format(port=proxy.port), more=DELIVERY))
        with running(folder / "edge.toml") as agent:
            eventually(lambda: host.last("M-1", "energy_import_wh") == 1_000_000.0, 30, why="first value")
            yield Bus(proxy, meter, host, agent)


def test_r15_meter_under_every_fault(tmp_path: Path) -> None:
    """Slices, answers later than the time-out (each connection is dropped, so none is read as the next one's), resets, half-open, black hole."""
    with bus(tmp_path) as made:
        made.proxy.slice_bytes = 1
        made.turns(5)
        made.proxy.pass_on()
        made.proxy.delay_s = 0.2  # there and back: later than the time-out
        made.turns(3)
        made.proxy.pass_on()
        made.proxy.reset_chance = 0.3
        for _ in range(5):
            made.turns(1)
            made.proxy.reset_all()
        made.proxy.pass_on()
        for fault in (_half_open, _black_hole):
            fault(made.proxy)
            eventually(lambda: made.agent.worker.healths["M"].status == "lost", 30, why="the silent meter is noticed")
            made.proxy.pass_on()
            made.proxy.reset_all()
            eventually(lambda: made.agent.worker.healths["M"].status == "connected", 30)
        made.turns(2)
        made.exact()
