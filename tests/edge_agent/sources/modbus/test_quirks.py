"""The source's quirk settings (edge.md section 1, Telegraf's list) against a slave that has the quirk, and against RTU slaves nobody of us wrote."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent import app, config_text
from edge_agent.__main__ import main
from edge_agent.contract.clock import PlantClock
from edge_agent.errors import SourceLost
from edge_agent.events import Batch, Lost, Resumed
from edge_agent.sources.modbus import codec
from edge_agent.sources.source import Sink
from edge_agent.worker import Intake
from tests.support.modbus_slave import Slave
from tests.support.wait import eventually_async

HEAD = 'group = "P"\nedge = "E"\n[[brokers]]\nhost = "127.0.0.1"\n'
THREE = """[sources.M.devices.M-1.metrics]
a = { register = 0, type = "uint16" }
b = { register = 5, type = "uint16" }
c = { register = 200, type = "uint16" }
"""


def config(folder: Path, slave: Slave, keys: str = "", devices: str = "[sources.M.devices.M-1]\nunit = 1\n" + THREE, timeout_s: float = 0.3) -> Path:
    path = folder / "edge.toml"
    path.write_text(f'{HEAD}[sources.M]\ntype = "modbus"\n{slave.toml}\ntimeout_s = {timeout_s}\n{keys}\n{devices}')
    return path


def requests(slave: Slave) -> list[tuple[int, int]]:
    return [(asked.address, asked.count) for asked in slave.asked]


def read_once(folder: Path, slave: Slave, keys: str = "") -> int:
    return main(["read-once", "--config", str(config(folder, slave, keys))])


@pytest.fixture
def slave() -> Iterator[Slave]:
    with Slave("tcp", {1: {0: 7, 5: 8, 200: 9}}) as made:
        yield made


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ("", [(0, 6), (200, 1)]),  # the hole of four registers is read along, the one of 194 is not
        ("max_hole = 2", [(0, 1), (5, 1), (200, 1)]),
        ("max_words = 5", [(0, 1), (5, 1), (200, 1)]),
        ("one_request_per_field = true", [(0, 1), (5, 1), (200, 1)]),
    ],
)
def test_requests_follow_what_the_device_can_take(tmp_path: Path, slave: Slave, keys: str, wanted: list[tuple[int, int]]) -> None:
    allowed = {count for _, count in wanted}
    slave.behave = lambda asked: [asked.good() if asked.count in allowed else asked.exception(2)]
    assert read_once(tmp_path, slave, keys) == 0
    assert requests(slave) == wanted


def test_a_range_with_a_hole_that_is_refused_is_read_in_parts_from_then_on(tmp_path: Path, slave: Slave) -> None:
    """A device that refuses every request with a register in it that it does not have: nothing has to be configured for it."""
    slave.behave = lambda asked: [asked.exception(2) if asked.address <= 3 < asked.address + asked.count else asked.good()]
    session = Session(config(tmp_path, slave, "period_s = 0.1"))
    assert session.run(lambda s: len(s.batches()) >= 3) is None
    assert requests(slave)[:7] == [(0, 6), (0, 1), (5, 1), (200, 1), (0, 1), (5, 1), (200, 1)]
    assert session.healths["M"].failed == {}


def test_a_busy_device_is_asked_again(tmp_path: Path, slave: Slave, capsys: pytest.CaptureFixture[str]) -> None:
    slave.behave = lambda asked: [asked.exception(6) if asked.nth <= 3 else asked.good()]
    assert read_once(tmp_path, slave, "busy_retries = 3") == 0
    slave.behave = lambda asked: [asked.exception(6)]
    assert read_once(tmp_path, slave, "busy_retries = 1") == 1
    assert "device busy" in capsys.readouterr().out


def test_pauses_are_kept(tmp_path: Path, slave: Slave) -> None:
    """A gateway that ignores what comes too soon after the connect or after an answer."""
    slave.behave = lambda asked: [asked.good() if asked.gap_s > 0.06 else 0.0]
    assert read_once(tmp_path, slave, "pause_after_connect_s = 0.1\npause_between_requests_s = 0.1") == 0
    assert len(slave.asked) == 2


class Session:
    """A source in its session; what it says stands in `events`."""

    def __init__(self, path: Path) -> None:
        loaded = config_text.load(path)
        _, (self.source,), self.healths = app.build_sources(loaded, PlantClock.parse(None, None, 1.0))
        self.intake = Intake()
        self.events: list[Any] = []

    def seen(self) -> list[Any]:
        while (event := self.intake.get(0)) is not None:
            self.events.append(event)
            if isinstance(event, Batch):
                self.intake.left(len(event.columns))
        return self.events

    def batches(self, device: int = 0) -> list[Batch]:
        return [one for one in self.seen() if isinstance(one, Batch) and device in one.devices]

    def run(self, until: Callable[[Session], object], seconds: float = 15.0) -> BaseException | None:
        """Runs the session until `until` is true; the error that ended it, if one did."""

        async def work() -> BaseException | None:
            task = asyncio.create_task(self.source.session(Sink(self.intake)))
            try:
                await eventually_async(lambda: until(self) or task.done(), seconds)
            finally:
                task.cancel()
                (ended,) = await asyncio.gather(task, return_exceptions=True)
            return None if isinstance(ended, asyncio.CancelledError) else ended

        return asyncio.run(work())


def test_a_device_for_one_connection_is_left_alone_between_polls(tmp_path: Path, slave: Slave) -> None:
    session = Session(config(tmp_path, slave, "period_s = 0.2\nclose_after_poll = true"))
    slave.on_connect = lambda number: slave.open == 0  # a second connection is refused while one is open
    assert session.run(lambda s: len(s.batches()) >= 3) is None
    assert slave.connections >= 3
    assert not any(isinstance(event, Lost) for event in session.events)


TWO = "".join(
    f'[sources.M.devices.M-{unit}]\nunit = {unit}\n[sources.M.devices.M-{unit}.metrics]\na = {{ register = 0, type = "uint16" }}\n' for unit in (1, 2)
)


@pytest.mark.parametrize("transport", ["tcp", "rtu_over_tcp", "serial"])
def test_a_dead_device_is_skipped_so_that_its_neighbour_stays_fast(tmp_path: Path, transport: Any) -> None:
    with Slave(transport, {1: {0: 7}, 2: {0: 8}}) as slave:
        slave.behave = lambda asked: [asked.good() if asked.unit == 2 else 0.0]
        session = Session(config(tmp_path, slave, "period_s = 0.1\ndead_device_skip_s = 60", TWO))
        assert session.run(lambda s: len(s.batches(1)) >= 5) is None
        assert sum(asked.unit == 1 for asked in slave.asked) == 1, "asked once, then left out"
        lost = [event for event in session.events if isinstance(event, Lost)]
        assert [event.devices for event in lost] == [(0,)]
        assert "M-1" in session.healths["M"].words()


def test_a_gateway_that_says_its_device_is_silent_counts_as_silence_of_that_device_only(tmp_path: Path) -> None:
    with Slave("tcp", {2: {0: 8}}) as slave:
        slave.behave = lambda asked: [asked.good() if asked.unit == 2 else asked.exception(11)]
        session = Session(config(tmp_path, slave, "period_s = 0.1", TWO))
        assert session.run(lambda s: len(s.batches(1)) >= 3) is None
        assert slave.connections == 1, "the connection is kept"


def test_a_dead_device_that_comes_back_is_resumed_and_alone_it_ends_the_session(tmp_path: Path) -> None:
    with Slave("tcp", {1: {0: 7}, 2: {0: 8}}) as slave:
        dead = {1}
        slave.behave = lambda asked: [0.0 if asked.unit in dead else asked.good()]
        session = Session(config(tmp_path, slave, "period_s = 0.1\ndead_device_skip_s = 0.2", TWO))

        def back(s: Session) -> bool:
            if len(s.batches(1)) >= 2:
                dead.clear()
            return bool(s.batches(0))

        assert session.run(back) is None
        assert any(isinstance(event, Resumed) and event.devices == (0,) for event in session.events)
        dead.update((1, 2))
        assert isinstance(session.run(lambda s: False), SourceLost), "nobody answers: the supervisor is told"


def test_one_refused_register_is_named_and_the_others_are_read(tmp_path: Path, slave: Slave) -> None:
    slave.behave = lambda asked: [asked.exception(2) if asked.address == 200 else asked.good()]
    session = Session(config(tmp_path, slave, "period_s = 0.1"))
    assert session.run(lambda s: s.batches()) is None
    assert list(session.healths["M"].failed) == ["M-1.c (holding 200)"]
    assert "illegal data address" in session.healths["M"].words()


def test_polls_stand_on_multiples_of_the_period(tmp_path: Path, slave: Slave) -> None:
    session = Session(config(tmp_path, slave, "period_s = 1"))
    # A busy machine reads some of them late.
    assert session.run(lambda s: sum(batch.until_ms is not None and batch.until_ms % 1000 == 0 for batch in s.batches()) >= 2) is None


def test_what_is_read_late_bears_its_own_moment(tmp_path: Path, slave: Slave) -> None:
    """A meter that took half a second to answer did not show that total at the tick."""
    slave.behave = lambda asked: [0.5, asked.good()]
    session = Session(config(tmp_path, slave, "period_s = 1", timeout_s=5.0))
    assert session.run(lambda s: len(s.batches()) >= 3) is None
    stamps = [batch.until_ms for batch in session.batches()]
    assert len(stamps) >= 3 and all(stamp is not None and stamp % 1000 for stamp in stamps[1:]), stamps
    assert stamps == sorted(set(stamps))


# --- slaves of others -----------------------------------------------------------------------------------------------------------------------
RTU_SERVER = """
import asyncio, json, sys
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

async def main():
    units = {int(unit): words for unit, words in json.loads(sys.argv[2]).items()}
    devices = [SimDevice(unit, simdata=[SimData(0, values=words, datatype=DataType.REGISTERS)]) for unit, words in units.items()]
    server = ModbusSerialServer(devices, port=sys.argv[1], framer=FramerType.RTU, baudrate=19200)
    print("ready", flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@pytest.fixture
def pymodbus_rtu() -> Iterator[str]:
    """The name of a line whose other end is pymodbus' own RTU server, in a process of its own: units 1 and 9."""
    (ours, our_end), (theirs, their_end) = os.openpty(), os.openpty()
    for end in (our_end, their_end):
        tty.setraw(end)
    stop = threading.Event()

    def wire(source: int, target: int) -> None:
        while not stop.is_set():
            data = os.read(source, 256)
            if not stop.is_set():
                os.write(target, data)

    threads = [threading.Thread(target=wire, args=pair, daemon=True) for pair in ((ours, theirs), (theirs, ours))]
    for thread in threads:
        thread.start()
    words = {1: [*codec.encode(230.5, "float32"), *codec.encode(-1200, "int32", "CDAB")], 9: [77] * 60}
    server = subprocess.Popen([sys.executable, "-c", RTU_SERVER, os.ttyname(their_end), json.dumps(words)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
        yield os.ttyname(our_end)
    finally:
        server.kill()
        server.wait(10)
        if server.stdout is not None:
            server.stdout.close()
        stop.set()
        for end in (our_end, their_end):
            os.write(end, b"\0")
        for thread in threads:
            thread.join(5)
        for one in (ours, our_end, theirs, their_end):
            os.close(one)


def test_pymodbus_rtu_slave_over_a_serial_line(tmp_path: Path, pymodbus_rtu: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Two meters on one bus, and a unit it does not have."""
    devices = """[sources.M.devices.M-1]
unit = 1
[sources.M.devices.M-1.metrics]
voltage_v = { register = 0, type = "float32" }
power_w = { register = 2, type = "int32", word_order = "CDAB" }
[sources.M.devices.M-9]
unit = 9
[sources.M.devices.M-9.metrics]
count = { register = 59, type = "uint16" }
[sources.M.devices.M-30]
unit = 30
[sources.M.devices.M-30.metrics]
count = { register = 0, type = "uint16" }
"""
    keys = f'transport = "serial"\nserial = "{pymodbus_rtu}"\nbaud_rate = 19200\ntimeout_s = 1.0'
    path = tmp_path / "edge.toml"
    path.write_text(f'{HEAD}[sources.M]\ntype = "modbus"\n{keys}\n{devices}')
    started = time.monotonic()
    while main(["read-once", "--config", str(path)]) == 1 and "230.5" not in (out := capsys.readouterr().out):
        assert time.monotonic() - started < 20, out  # the server opens its port after it says ready
    lines = {line.split("\t")[0] + "." + line.split("\t")[1]: line.split("\t")[3] for line in out.splitlines()}
    assert lines["M-1.voltage_v"] == "230.5" and lines["M-1.power_w"] == "-1200" and lines["M-9.count"] == "77"
    assert "device failure" in lines["M-30.count"], "pymodbus answers for units it does not have"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ('transport = "serial"', "serial is missing"),
        ('serial = "/dev/ttyUSB0"', "transport is not"),
        ('transport = "serial"\nserial = "/dev/ttyUSB0"\nparity = "mark"', "parity"),
    ],
)
def test_a_serial_bus_needs_its_port(tmp_path: Path, keys: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(f'{HEAD}[sources.M]\ntype = "modbus"\n{keys}\n[sources.M.devices.M-1]\n{THREE}')
    assert main(["check-config", str(path)]) == 1
    assert words in capsys.readouterr().out
    assert main(["--lang", "zh", "check-config", str(path)]) == 1
    assert "serial" in capsys.readouterr().out or "parity" in words


def asked_units(slave: Slave) -> list[int]:
    return [asked.unit for asked in slave.asked]


def test_a_meter_model_is_read_over_a_serial_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    registers = dict(enumerate(codec.encode(231.5, "float32"), 0)) | dict(enumerate(codec.encode(1234.5, "float32"), 72))
    with Slave("serial", {5: registers}) as slave:
        slave.behave = lambda asked: [asked.good()] if asked.unit == 5 else [0.0]
        devices = '[sources.M.devices.M-1]\nkind = "meter"\nunit = 5\nmodel = "eastron_sdm630"\nonly = ["voltage_l1_v", "energy_import_wh"]\n'
        assert main(["read-once", "--config", str(config(tmp_path, slave, "", devices))]) == 0
        assert set(asked_units(slave)) == {5}
    out = capsys.readouterr().out
    assert "231.5" in out and "1234.5" in out
