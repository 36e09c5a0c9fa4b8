"""OPC UA -> fsynced buffer -> Sparkplug: what a value costs the edge agent, beside decode + fsync alone and a peer in the same run.

A cheap OPC UA server (_opcua_source.py) offers the values of TAGS tags; a real agent process reads, stores, acknowledges and publishes them
through a real broker (NATS); this process counts every value that arrives and answers "stored". CPU is the agent process's own, from /proc, all
threads. The limit is our decoder and one SQLite FULL commit a group, for the same notifications, with nothing around them.

plain: all tags are Doubles in one order, 1,000 notifications a publish. queued: 10,000 notifications a publish, ten values of each tag, tag by tag
as a server empties its queues (so they come out of order and are sorted). mixed: five types, random halves of the tags in random orders.
encrypted: Basic256Sha256, signed and encrypted. The peer is asyncua's own Client with a subscription handler: no disk, no broker.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import _opcua_source, row
from benchmarks._edge import Agent, CountingHost, fast_source, head, shaped_source, until
from benchmarks._opcua_source import Shape

TAGS = 1000
SECONDS = 8.0
WARM_S = 2.0
WINDOW = "[delivery]\nwindow_kb = 16384\n"  # 500,000 values/s are 12 MB/s: the default of 4 MB is answered too late on a machine that is busy
PEER_RATE, PEER_S = 20_000.0, 5.0


@dataclass(frozen=True)
class Case:
    name: str
    rate: float
    target_us: float | None = None
    mixed: bool = False
    depth: int = 1
    encrypted: bool = False

    def shape(self, folder: Path) -> Shape:
        return Shape(TAGS, self.mixed, self.depth, pki=folder / "server" if self.encrypted else None)


CASES = (
    Case("plain_50k", 50_000.0),
    Case("plain_100k", 100_000.0, 2.0),
    Case("plain_200k", 200_000.0),
    Case("queued_100k", 100_000.0, 0.6, depth=10),
    Case("queued_500k", 500_000.0, 2.0, depth=10),
    Case("mixed_50k", 50_000.0, 3.0, mixed=True),
    Case("mixed_100k", 100_000.0, 3.0, mixed=True),
    Case("encrypted_100k", 100_000.0, 2.0, encrypted=True),
    Case("encrypted_queued_500k", 500_000.0, 2.0, depth=10, encrypted=True),
)


def _limit_us(folder: Path, case: Case) -> float:
    """CPU µs a value of decode + blob + fsync alone: the same notifications, in the groups the agent commits (0.1 s)."""
    from edge_agent.buffer.store import Buffer
    from edge_agent.pipeline.columns import joined
    from edge_agent.sources.opcua.decode import Layouts

    _, news = _opcua_source.notifications(list(range(TAGS)), case.shape(folder))
    for one in news:
        one.patch(1, _opcua_source.EPOCH_100NS + 17_672_256_000_000_000)
    bodies = [(bytes(one.bytes) + b"\xff\xff\xff\xff", one.count) for one in news]
    group = max(1, round(case.rate * 0.1 / bodies[0][1]))
    layouts = Layouts()
    buffer = Buffer(folder / "limit.buffer", 10**9)
    done, values, started = 0, 0, time.process_time()
    while values < 300_000:
        parts = []
        for _ in range(group):
            body, count = bodies[done % len(bodies)]
            parts.append(layouts.items(body, count, 0, len(body)).columns)
            done, values = done + 1, values + count
        buffer.commit([("BENCH", joined(parts))])
    spent = time.process_time() - started
    buffer.close()
    return spent / values * 1e6


@dataclass(frozen=True)
class _Measured:
    cost_us: float
    cores: float
    per_s: float
    behind: int
    lost: int
    holes: int


def _measure(folder: Path, case: Case) -> _Measured:
    """One agent process over one source at one rate."""
    from tests.support.broker import free_port, nats

    port = free_port()
    security = 'security = "Basic256Sha256"\ntrust = "first_use"' if case.encrypted else 'security = "none"'
    with nats(folder) as broker, shaped_source(port, case.shape(folder), case.rate) as (wanted, sent, behind):
        counter = CountingHost(broker)
        counter.connect()
        config = folder / "edge.toml"
        config.write_text(head(broker, WINDOW) + fast_source(port, TAGS, security=security))
        with Agent(config) as agent:
            until(lambda: counter.counted >= 10 * TAGS, 60)
            time.sleep(WARM_S)
            cpu, values, started = agent.cpu_s(), counter.counted, time.monotonic()
            behind.value = 0
            time.sleep(SECONDS)
            cpu, values, seconds = agent.cpu_s() - cpu, counter.counted - values, time.monotonic() - started
            late = int(behind.value)
            wanted.value = 0.0
            until(lambda: counter.counted >= sent.value and not counter.unanswered, 60)
            time.sleep(0.5)  # what is twice would come now
            lost = int(sent.value) - counter.counted
        counter.disconnect()
    return _Measured(cpu / max(values, 1) * 1e6, cpu / seconds, values / seconds, late, lost, len(counter.holes))


# --- the peer ------------------------------------------------------------------------------------------------------------------
def _asyncua_client(port: int, ready: Any, counted: Any, cpu: Any) -> None:
    """Child process: asyncua's own Client, a subscription handler that counts. `counted` and `cpu` (s) are written once a second."""
    from asyncua import Client, ua

    class Counts:
        def __init__(self) -> None:
            self.count = 0

        def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
            self.count += 1

    async def main() -> None:
        client, handler = Client(f"opc.tcp://127.0.0.1:{port}/bench/", timeout=30), Counts()
        async with client:
            made = await client.create_subscription(_opcua_source.INTERVAL_S * 1000, handler)
            nodes = [client.get_node(ua.NodeId(f"T{i}", 1)) for i in range(TAGS)]
            await made.subscribe_data_change(nodes, queuesize=10)
            while True:
                await asyncio.sleep(0.1)
                counted.value, cpu.value = handler.count, time.process_time()
                if handler.count:
                    ready.set()

    asyncio.run(main())


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


def _peer() -> tuple[float, float]:
    """(CPU µs a value, values/s) of asyncua's Client over the plain source, no disk, no broker: it takes what it can of PEER_RATE."""
    from tests.support.broker import free_port

    port, context = free_port(), multiprocessing.get_context("spawn")
    ready, counted, cpu = context.Event(), context.Value("q", 0), context.Value("d", 0.0)
    with shaped_source(port, Shape(TAGS), PEER_RATE):
        until(lambda: _listens(port), 60)
        process = context.Process(target=_asyncua_client, args=(port, ready, counted, cpu), daemon=True)
        process.start()
        try:
            ready.wait(60)
            time.sleep(WARM_S)
            before = counted.value, cpu.value, time.monotonic()
            time.sleep(PEER_S)
            values, spent, seconds = counted.value - before[0], cpu.value - before[1], time.monotonic() - before[2]
        finally:
            process.kill()
            process.join(5)
    return spent / max(values, 1) * 1e6, values / seconds


def run() -> Iterator[dict[str, Any]]:
    """Rows for `python -m benchmarks edge_opcua`."""
    peer_us, peer_per_s = _peer()
    yield row("edge_opcua_peer_asyncua_client_cpu", peer_us, "us/value")
    yield row("edge_opcua_peer_asyncua_client_arrived", peer_per_s, "values/s", PEER_RATE)
    for case in CASES:
        name = f"edge_opcua_{case.name}"
        with tempfile.TemporaryDirectory() as folder:
            limit_us = _limit_us(Path(folder), case)
            found = _measure(Path(folder), case)
        yield row(f"{name}_cpu", found.cost_us, "us/value", limit_us)
        if case.target_us is not None:
            yield row(f"{name}_cpu_of_target", found.cost_us, "us/value", case.target_us)
        yield row(f"{name}_cpu_of_peer", found.cost_us, "us/value", peer_us)
        yield row(f"{name}_cores_of_agent", found.cores, "cores", 1.0)
        yield row(f"{name}_arrived", found.per_s, "values/s", case.rate)
        yield row(f"{name}_source_waited_with", found.behind, "values")
        yield row(f"{name}_lost_or_twice", abs(found.lost) + found.holes, "values")
