"""Modbus TCP: reads of 125 registers a second over one connection on loopback, ours beside pymodbus' asyncio client in the same run.

A cheap slave in a process of its own answers both; the two take turns, so that whatever else the machine does meets both. CPU is this process' own.
The limit of ours is pymodbus' rate (goal: 1.5 times), of a read's CPU what pymodbus needs.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from benchmarks import row

REGISTERS = 125
TURNS = 5
SECONDS = 1.0  # a turn
GOAL = 1.5


class _Slave(asyncio.Protocol):
    """Answers every read of holding registers with counting words."""

    body = bytes((3, 2 * REGISTERS)) + b"".join(word.to_bytes(2, "big") for word in range(REGISTERS))

    def connection_made(self, transport: Any) -> None:
        self.transport, self.rest = transport, b""

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while len(self.rest) >= 12:
            one, self.rest = self.rest[:12], self.rest[12:]
            self.transport.write(one[:4] + (len(self.body) + 1).to_bytes(2, "big") + one[6:7] + self.body)


def _serve(told: Connection) -> None:
    async def work() -> None:
        server = await asyncio.get_running_loop().create_server(_Slave, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(work())


@dataclass
class _Tally:
    reads: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0

    async def turn(self, read: Callable[[], Awaitable[list[int]]]) -> None:
        began, cpu = time.perf_counter(), time.process_time()
        while time.perf_counter() - began < SECONDS:
            for _ in range(50):
                words = await read()
            self.reads += 50
            assert words == list(range(REGISTERS))
        self.seconds += time.perf_counter() - began
        self.cpu_s += time.process_time() - cpu

    @property
    def per_s(self) -> float:
        return self.reads / self.seconds

    @property
    def cpu_us(self) -> float:
        return self.cpu_s / self.reads * 1e6


async def _measure(port: int) -> tuple[_Tally, _Tally]:
    from pymodbus.client import AsyncModbusTcpClient

    from edge_agent.sources.modbus.plan import Request
    from edge_agent.sources.modbus.tcp import ModbusTcp

    ours, theirs = ModbusTcp("127.0.0.1", port, 4.0), AsyncModbusTcpClient("127.0.0.1", port=port)
    await theirs.connect()
    request = Request("holding", 0, REGISTERS, ())

    async def pymodbus_read() -> list[int]:
        return list((await theirs.read_holding_registers(0, count=REGISTERS, device_id=1)).registers)

    us, them, warm = _Tally(), _Tally(), _Tally()
    await warm.turn(lambda: ours.read(1, request))
    await warm.turn(pymodbus_read)
    for _ in range(TURNS):
        await us.turn(lambda: ours.read(1, request))
        await them.turn(pymodbus_read)
    await ours.close()
    theirs.close()
    return us, them


def run() -> Iterator[dict[str, Any]]:
    """Rows for `python -m benchmarks edge_modbus`."""
    heard, told = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(told,), daemon=True)
    process.start()
    try:
        us, them = asyncio.run(_measure(heard.recv()))
    finally:
        process.terminate()
        process.join(10)
    yield row("edge_modbus_reads_125", us.per_s, "reads/s", them.per_s)
    yield row("edge_modbus_ratio_of_goal", us.per_s / them.per_s, "x pymodbus", GOAL)
    yield row("edge_modbus_cpu", us.cpu_us, "us/read", them.cpu_us)
    yield row("edge_modbus_pymodbus_reads_125", them.per_s, "reads/s")
