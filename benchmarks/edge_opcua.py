"""OPC UA -> fsynced buffer -> Sparkplug: what a value costs the edge agent, beside decode + fsync alone in the same run.

A cheap OPC UA server (_opcua_source.py) offers the values of TAGS tags, at most TAGS in a notification; a real agent process reads, stores,
acknowledges and publishes them through a real broker (NATS); this process counts every value that arrives and answers "stored". CPU is the agent
process's own, from /proc. The limit is our decoder and one SQLite FULL commit a group, for the same notifications, with nothing around them.
Plain: all tags are Doubles in one order, the friendly case. Mixed: five types, random halves of the tags in random orders.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import _opcua_source, row
from benchmarks._edge import Agent, CountingHost, fast_source, head, source_process, until

TAGS = 1000
CASES = (("plain", 50_000.0), ("plain", 200_000.0), ("mixed", 50_000.0))
SECONDS = 8.0
WARM_S = 2.0
TARGET_US = 10.0


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

    port = free_port()
    with nats(folder) as broker, source_process(port, TAGS, rate, mixed=mixed) as (wanted, sent, behind):
        counter = CountingHost(broker)
        counter.connect()
        config = folder / "edge.toml"
        config.write_text(head(broker) + fast_source(port, TAGS))
        with Agent(config) as agent:
            until(lambda: counter.counted >= 10 * TAGS, 60)
            time.sleep(WARM_S)
            cpu, values, started = agent.cpu_s(), counter.counted, time.monotonic()
            behind.value = 0
            time.sleep(SECONDS)
            cpu, values, seconds = agent.cpu_s() - cpu, counter.counted - values, time.monotonic() - started
            late = int(behind.value)
            wanted.value = 0.0
            until(lambda: counter.counted >= sent.value, 10)
            time.sleep(0.5)  # what is twice would come now
            lost = int(sent.value) - counter.counted
        counter.disconnect()
    return _Measured(cpu / max(values, 1) * 1e6, values / seconds, late, lost, len(counter.holes))


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
