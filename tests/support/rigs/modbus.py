"""Modbus: pymodbus' simulator as a TCP slave; a slave of our own behind a serial port (RTU)."""

from __future__ import annotations

from pathlib import Path

from edge_agent.sources.modbus import codec
from tests.support.bus_slave import Slave
from tests.support.edge import Meter
from tests.support.modbus_slave import crc
from tests.support.rigs import Rig
from tests.support.rigs.serial_port import OverSerial

TEXT = """[sources.SRC]
type = "modbus"
port = {port}
period_s = 0.1
timeout_s = 0.5
{more}
[sources.SRC.devices.D-1]
kind = "meter"
unit = 1
[sources.SRC.devices.D-1.metrics]
energy_import_wh = {{ register = 10, type = "{kind}", word_order = "{order}", scale = 1000.0 }}
power_w = {{ register = 2, type = "float32" }}
"""
NOWHERE = 9000


class ModbusRig:
    kind, fact, factor, sample = "modbus", "energy_import_wh", 1000.0, "power_w"

    def __init__(self, special: bool) -> None:
        self._meter = Meter((1,))
        self._meter.illegal.add(NOWHERE)
        self._more = "close_after_poll = true\none_request_per_field = true\nbusy_retries = 2" if special else ""
        self._type, self._order = ("int64", "CDAB") if special else ("float32", "ABCD")
        self.port = self._meter.port
        self.put(100, 20.0)

    def start(self) -> None:
        self._meter.start()

    def stop(self) -> None:
        self._meter.stop()

    def put(self, total: int, sample: float) -> None:
        self._meter.put(1, 10, codec.encode(total, self._type, self._order))  # type: ignore[arg-type]
        self._meter.put(1, 2, codec.encode(sample, "float32"))

    def text(self, port: int, *, bad: bool = False) -> str:
        wrong = f'wrong = {{ register = {NOWHERE}, type = "uint16" }}\n' if bad else ""
        return TEXT.format(port=port, more=self._more, kind=self._type, order=self._order) + wrong


class RtuRig:
    """A slave of our own that speaks RTU on a TCP port."""

    kind, fact, factor, sample = "modbus", "energy_import_wh", 1000.0, "power_w"

    def __init__(self) -> None:
        self._words: dict[int, int] = {}
        self._slave = Slave(self._answer)
        self.port = self._slave.port
        self.put(100, 20.0)

    def start(self) -> None:
        self._slave.start()

    def stop(self) -> None:
        self._slave.kill()

    def put(self, total: int, sample: float) -> None:
        words = zip((10, 11, 2, 3), (*codec.encode(total, "float32"), *codec.encode(sample, "float32")), strict=True)
        self._words = dict(words)

    def text(self, port: int, *, bad: bool = False) -> str:
        wrong = f'wrong = {{ register = {NOWHERE}, type = "uint16" }}\n' if bad else ""
        return TEXT.format(port=port, more="baud_rate = 115200", kind="float32", order="ABCD") + wrong

    def _answer(self, buffer: bytearray) -> bytes:
        """Answers to all whole questions in the buffer: unit, function 3, register, count, CRC."""
        out = b""
        while len(buffer) >= 8:
            asked = bytes(buffer[:8])
            if crc(asked[:6]) != asked[6:]:
                del buffer[0]
                continue
            del buffer[:8]
            first, count = int.from_bytes(asked[2:4], "big"), int.from_bytes(asked[4:6], "big")
            body = b"".join(self._words.get(at, 0).to_bytes(2, "big") for at in range(first, first + count))
            reply = bytes((asked[0], asked[1], len(body))) + body if first < NOWHERE else bytes((asked[0], asked[1] | 0x80, 2))
            out += reply + crc(reply)
        return out


def rig(folder: Path, *, special: bool = False, serial: bool = False) -> Rig:
    return OverSerial(RtuRig(), folder, "port = {port}\n", 'transport = "serial"\n') if serial else ModbusRig(special)
