"""Modbus TCP: pymodbus' simulator as a slave."""

from __future__ import annotations

from pathlib import Path

from edge_agent.sources.modbus import codec
from tests.support.edge import Meter

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


def rig(folder: Path, *, special: bool = False) -> ModbusRig:
    return ModbusRig(special)
