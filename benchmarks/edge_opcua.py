"""OPC UA -> fsynced buffer -> Sparkplug: what a value costs the edge agent, beside decode + fsync alone in the same run.

A real OPC UA server (asyncua) changes TAGS doubles every INTERVAL_S; a real agent process reads, stores, acknowledges and publishes them through
a real broker (NATS); this process counts every metric that arrives and answers "stored". CPU is the agent process's own, from /proc.
The limit is our decoder and one SQLite FULL commit for the same notifications, with nothing around them.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import struct
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

TAGS = 1000
INTERVAL_S = 0.1
SECONDS = 8.0
WARM_S = 3.0
ROOT = Path(__file__).parents[1]


def _serve(port: int, tags: int, interval_s: float) -> None:
    """Child process: the OPC UA server."""
    import logging

    from asyncua import Server, ua

    logging.disable(logging.CRITICAL)

    async def main() -> None:
        server = Server()
        await server.init()
        server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/bench/")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await server.register_namespace("urn:gemba:bench")
        nodes = [await server.nodes.objects.add_variable(ua.NodeId(f"T{i}", index), f"T{i}", 0.0, ua.VariantType.Double) for i in range(tags)]
        async with server:
            count, due = 0, time.monotonic()
            while True:
                count += 1
                stamp = datetime.now(UTC).replace(tzinfo=None)
                for i, node in enumerate(nodes):
                    value = ua.DataValue(ua.Variant(count + i * 0.001, ua.VariantType.Double), SourceTimestamp=stamp)
                    await server.write_attribute_value(node.nodeid, value)
                due += interval_s
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    asyncio.run(main())


def _config(folder: Path, broker: Any, port: int) -> Path:
    lines = [
        'group = "PUMP"\nedge = "EDGE-L1"\n\n[[brokers]]',
        f'credentials_file = "{broker.credentials_file("EDGE-L1")}"\n',
        f'[sources.PLC]\ntype = "opcua"\nurl = "opc.tcp://127.0.0.1:{port}/bench/"\nsecurity = "none"\nsettle_s = 0.2\nitems_per_call = 500',
        '[sources.PLC.devices.BENCH]\nnamespace = "urn:gemba:bench"\n[sources.PLC.devices.BENCH.metrics]',
        *(f't{i} = {{ node = "s=T{i}" }}' for i in range(TAGS)),
    ]
    path = folder / "edge.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def _cpu_s(pid: int) -> float:
    """User and system seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _limit_us(folder: Path) -> float:
    """CPU µs a value of decode + blob + fsync alone, for notifications of TAGS doubles."""
    from edge_agent.buffer.store import Buffer
    from edge_agent.pipeline.columns import Columns
    from edge_agent.sources.opcua.decode import EPOCH_100NS, Layouts

    items = b"".join(struct.pack("<IBBdq", i, 5, 11, i * 0.5, EPOCH_100NS + 17_672_256_000_000_000) for i in range(TAGS)) + b"\xff\xff\xff\xff"
    layouts = Layouts()
    buffer = Buffer(folder / "limit.buffer", 10**9)
    rounds = 100
    started = time.process_time()
    for _ in range(rounds):
        columns: Columns = layouts.items(items, TAGS, 0, len(items)).columns
        buffer.commit([("BENCH", columns)])
    spent = time.process_time() - started
    buffer.close()
    return spent / (rounds * TAGS) * 1e6


def run() -> list[dict[str, Any]]:
    """Rows for `python -m benchmarks edge_opcua`."""
    from tests.support.broker import free_port, nats
    from tests.support.edge import Host

    with tempfile.TemporaryDirectory() as name, nats(Path(name)) as broker:
        folder = Path(name)
        limit_us = _limit_us(folder)
        port = free_port()
        server = multiprocessing.get_context("spawn").Process(target=_serve, args=(port, TAGS, INTERVAL_S), daemon=True)
        server.start()
        counter = CountingHost(broker)
        counter.connect()
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        agent = subprocess.Popen([sys.executable, "-m", "edge_agent", "run", "--config", str(_config(folder, broker, port))], env=environment)
        try:
            end = time.monotonic() + 60
            while counter.values < TAGS and time.monotonic() < end:
                time.sleep(0.05)
            time.sleep(WARM_S)
            cpu, values, started = _cpu_s(agent.pid), counter.values, time.monotonic()
            time.sleep(SECONDS)
            cpu, values, seconds = _cpu_s(agent.pid) - cpu, counter.values - values, time.monotonic() - started
        finally:
            agent.terminate()
            agent.wait(15)
            server.kill()
            server.join(5)
            Host.disconnect(counter)
    cost_us = cpu / max(values, 1) * 1e6
    return [
        {
            "name": "edge_opcua.cpu",
            "figure": round(cost_us, 2),
            "unit": "µs CPU a value",
            "limit": round(limit_us, 2),
            "ratio": round(cost_us / limit_us, 2),
        },
        {
            "name": "edge_opcua.per_core",
            "figure": round(1e6 / cost_us),
            "unit": "values/s of one core",
            "limit": round(1e6 / limit_us),
            "ratio": round(limit_us / cost_us, 3),
        },
        {
            "name": "edge_opcua.offered",
            "figure": round(values / seconds),
            "unit": "values/s",
            "limit": round(TAGS / INTERVAL_S),
            "ratio": round(values / seconds / (TAGS / INTERVAL_S), 3),
        },
        {
            "name": "edge_opcua.lost",
            "figure": len(counter.holes),
            "unit": "records missing or twice",
            "limit": 0,
            "ratio": 1.0 if not counter.holes else 0.0,
        },
    ]


def _make_counting_host() -> Any:
    from edge_agent.contract import names
    from edge_agent.contract.delivery import Mark
    from edge_agent.contract.payload import decode
    from tests.support.edge import Host

    class Counting(Host):
        """Counts data metrics and answers, without an object a value."""

        def __init__(self, broker: Any) -> None:
            super().__init__(broker)
            self.values = 0
            self.mark = 0
            self.holes: list[int] = []

        def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
            if "/DDATA/" not in message.topic:
                return
            payload = decode(message.payload)
            mark = Mark.parse(payload.uuid)
            if mark.n != self.mark + 1:
                self.holes.append(mark.n)
            self.mark = mark.n
            self.values += len(payload.metrics)
            self.command(**{names.STORED_EPOCH: mark.epoch, names.STORED_UP_TO: mark.n})

    return Counting


def CountingHost(broker: Any) -> Any:  # noqa: N802 - a class made late, so that importing this module stays light
    return _make_counting_host()(broker)


if __name__ == "__main__":
    for row in run():
        print(row)
