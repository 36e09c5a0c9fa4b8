"""A Modbus TCP gateway (pymodbus server) with one unit per meter.

Registers are computed at the moment of the read from the physics' exact integrals: an energy register is right to its resolution at any speed.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from simulators import living
from simulators.meters.maps import MeterMap


@dataclass(frozen=True, slots=True)
class MeterReading:
    """What a meter measures now: W, var (inductive > 0), Wh and varh since it was new."""

    watts: float
    var: float
    wh: float
    varh: float
    seconds: float = 0.0  # plant time, for the mains' small wandering

    def quantities(self) -> dict[str, float]:
        apparent = math.hypot(self.watts, self.var)
        volts = 230.0 + 1.6 * math.sin(self.seconds / 977.0) + 0.7 * math.sin(self.seconds / 61.0)
        amps = apparent / 3.0 / volts
        return {
            "power_w": self.watts,
            "power_reactive_var": self.var,
            "power_apparent_va": apparent,
            "power_factor": self.watts / apparent if apparent else 1.0,
            "frequency_hz": 50.0 + 0.02 * math.sin(self.seconds / 127.0),
            "energy_import_wh": self.wh,
            "energy_export_wh": 0.0,
            "energy_reactive_varh": self.varh,
            **{f"voltage_l{i}_v": volts + 0.4 * (i - 2) for i in (1, 2, 3)},
            **{f"current_l{i}_a": amps * (1.0 + 0.01 * (i - 2)) for i in (1, 2, 3)},
        }


async def _fill(
    meter: MeterMap,
    read: Callable[[], MeterReading],
    function_code: int,
    start_address: int,
    address: int,
    count: int,
    registers: list[int],
    set_values: list[int] | list[bool] | None,
) -> ExcCodes | None:
    """pymodbus asks before it answers: put the present values into the registers of the request."""
    if set_values is not None:
        return ExcCodes.ILLEGAL_FUNCTION  # a meter is read only
    values = read().quantities()
    for register in meter.registers:
        if register.address < address + count and register.address + 4 > address:
            words = meter.encode(register, values[register.quantity])
            offset = register.address - start_address
            registers[offset : offset + len(words)] = words
    return None


class MeterGateway:
    """`units` maps a Modbus unit id to the make's map and the function that reads the meter."""

    def __init__(self, port: int, units: Mapping[int, tuple[MeterMap, Callable[[], MeterReading]]]) -> None:
        self.port = port
        self._units = dict(units)
        self._server: ModbusTcpServer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        devices = []
        for unit, (meter, read) in self._units.items():
            last = max(r.address for r in meter.registers) + 8
            data = SimData(0, count=last + 1, values=0, datatype=DataType.REGISTERS)
            devices.append(SimDevice(unit, simdata=[data], action=partial(_fill, meter, read)))
        self._server = ModbusTcpServer(devices, address=("127.0.0.1", self.port))
        self._task = asyncio.create_task(self._server.serve_forever(), name=f"meters at port {self.port}")

    def check(self) -> None:
        """Raises what ended the gateway, if it ended."""
        living.check([self._task] if self._task is not None else [])

    async def stop(self) -> None:
        if self._server is not None and self._task is not None:
            await self._server.shutdown()
            await asyncio.gather(self._task, return_exceptions=True)
        self._server = self._task = None
