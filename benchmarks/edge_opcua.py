"""OPC UA -> fsynced buffer -> Sparkplug: what a value costs the edge agent, beside decode + fsync alone in the same run.

A cheap OPC UA server (_opcua_source.py) offers the values of TAGS tags, at most TAGS in a notification; a real agent process reads, stores,
acknowledges and publishes them through a real broker (NATS); this process counts every value that arrives and answers "stored". CPU is the agent
process's own, from /proc. The limit is our decoder and one SQLite FULL commit a group, for the same notifications, with nothing around them.
Plain: all tags are Doubles in one order, the friendly case. Mixed: five types, random halves of the tags in random orders.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import _opcua_source, row

TAGS = 1000
CASES = (("plain", 50_000.0), ("plain", 200_000.0), ("mixed", 50_000.0))
SECONDS = 8.0
WARM_S = 2.0
TARGET_US = 10.0
ROOT = Path(__file__).parents[1]


def _config(folder: Path, broker: Any, port: int) -> Path:
    lines = [
        'group = "PUMP"\nedge = "EDGE-L1"\n\n[[brokers]]',
        f'credentials_file = "{broker.credentials_file("EDGE-L1")}"\n',
        f'[sources.PLC]\ntype = "opcua"\nurl = "opc.tcp://127.0.0.1:{port}/bench/"\nsecurity = "none"\nsettle_s = 0.2',
        f"items_per_call = 500\npublishing_interval_s = {_opcua_source.INTERVAL_S}",
        f'[sources.PLC.devices.BENCH]\nnamespace = "{_opcua_source.NAMESPACE}"\n[sources.PLC.devices.BENCH.metrics]',
        *(f't{i} = {{ node = "s=T{i}" }}' for i in range(TAGS)),
    ]
    path = folder / "edge.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def _cpu_s(pid: int) -> float:
    """User and system seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _limit_us(folder: Path, mixed: bool, rate: float) -> float:
    """CPU µs a value of decode + blob + fsync alone: the same notifications, in the groups the agent commits (0.1 s)."""
    from edge_agent.buffer.store import Buffer
    from edge_agent.pipeline.columns import joined
    from edge_agent.sources.opcua.decode import Layouts

    _, news = _opcua_source.notifications(list(range(TAGS)), mixed)
    for one in news:
        one.patch(1, _opcua_source.EPOCH_100NS + 17_672_256_000_000_000)
    bodies = [(bytes(one.bytes) + b"\xff\xff\xff\xff", one.count) for one in news]
    group = max(1, round(rate * 0.1 / bodies[0][1]))
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
    per_s: float
    behind: int
    lost: int
    holes: int


def _measure(folder: Path, mixed: bool, rate: float) -> _Measured:
    """One agent process over one source at one rate."""
    from tests.support.broker import free_port, nats

    context = multiprocessing.get_context("spawn")
    wanted, sent, behind = context.Value("d", rate), context.Value("q", 0), context.Value("q", 0)
    port = free_port()
    with nats(folder) as broker:
        source = context.Process(target=_opcua_source.serve, args=(port, TAGS, wanted, sent, behind, mixed), daemon=True)
        source.start()
        counter = CountingHost(broker)
        counter.connect()
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        config = str(_config(folder, broker, port))
        agent = subprocess.Popen([sys.executable, "-m", "edge_agent", "run", "--config", config], env=environment)
        try:
            _wait(lambda: counter.counted >= 10 * TAGS, 60)
            time.sleep(WARM_S)
            cpu, values, started = _cpu_s(agent.pid), counter.counted, time.monotonic()
            behind.value = 0
            time.sleep(SECONDS)
            cpu, values, seconds = _cpu_s(agent.pid) - cpu, counter.counted - values, time.monotonic() - started
            late = int(behind.value)
            wanted.value = 0.0
            _wait(lambda: counter.counted >= sent.value, 10)
            time.sleep(0.5)  # what is twice would come now
            lost = int(sent.value) - counter.counted
        finally:
            agent.terminate()
            agent.wait(15)
            source.kill()
            source.join(5)
            counter.disconnect()
    return _Measured(cpu / max(values, 1) * 1e6, values / seconds, late, lost, len(counter.holes))


def _wait(done: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.05)


def run() -> Iterator[dict[str, Any]]:
    """Rows for `python -m benchmarks edge_opcua`."""
    for kind, rate in CASES:
        mixed, name = kind == "mixed", f"edge_opcua_{kind}_{rate / 1000:.0f}k"
        with tempfile.TemporaryDirectory() as folder:
            limit_us = _limit_us(Path(folder), mixed, rate)
            found = _measure(Path(folder), mixed, rate)
        yield row(f"{name}_cpu", found.cost_us, "us/value", limit_us)
        yield row(f"{name}_cpu_of_target", found.cost_us, "us/value", TARGET_US)
        yield row(f"{name}_per_core", 1e6 / found.cost_us, "values/s", 1e6 / limit_us)
        yield row(f"{name}_arrived", found.per_s, "values/s", rate)
        yield row(f"{name}_source_waited_with", found.behind, "values")
        yield row(f"{name}_lost_or_twice", abs(found.lost) + found.holes, "values")


def _make_counting_host() -> Any:
    from edge_agent.contract import names
    from edge_agent.contract.delivery import Mark
    from edge_agent.contract.payload import decode
    from tests.support.edge import Host

    class Counting(Host):
        """Counts data metrics and answers, without an object a value."""

        def __init__(self, broker: Any) -> None:
            super().__init__(broker)
            self.counted = 0
            self.mark = 0
            self.holes: list[int] = []
            self.watched: set[int] = set()

        def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
            payload = decode(message.payload) if "/DDATA/" in message.topic or "/DBIRTH/" in message.topic else None
            if payload is None:
                return
            if "/DBIRTH/" in message.topic:
                self.watched.update(metric.alias for metric in payload.metrics if metric.name == names.WATCHED_UNTIL)
                return
            mark = Mark.parse(payload.uuid)
            if mark.n != self.mark + 1:
                self.holes.append(mark.n)
            self.mark = mark.n
            self.counted += len(payload.metrics) - (payload.metrics[-1].alias in self.watched)  # it is the last of its record
            self.command(**{names.STORED_EPOCH: mark.epoch, names.STORED_UP_TO: mark.n})

    return Counting


def CountingHost(broker: Any) -> Any:  # noqa: N802 - a class made late, so that importing this module stays light
    return _make_counting_host()(broker)
