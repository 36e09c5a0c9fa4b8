"""How old a value is when it leaves the broker: 10,000 values/s over OPC UA with 10 ms publishing, stored and fsynced on the way.

Age = arrival at a subscriber minus the value's source time, both on this machine's clock (the wire has whole milliseconds). The limit in the same run
is the publishing interval itself, and the aim of the product 20 ms at p95. `default` shows the price of sorting behind a margin (settle_s = 0.5).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import row
from benchmarks._edge import Agent, CountingHost, fast_source, head, percentile, source_process, until

TAGS, RATE, INTERVAL_S, SECONDS = 100, 10_000.0, 0.01, 10.0
TARGET_MS = 20.0
QUICK = "[delivery]\ncommit_interval_s = 0.0\n"
CASES = (("quick", "settle_s = 0.0", QUICK), ("default", "settle_s = 0.5", ""))


def run() -> Iterator[dict[str, Any]]:
    """Rows for `python -m benchmarks edge_latency`."""
    for name, source, more in CASES:
        with tempfile.TemporaryDirectory() as folder:
            ages, cpu_us, lost = _measure(Path(folder), source, more)
        for share in (0.5, 0.95, 0.99):
            yield row(f"edge_latency_{name}_p{share * 100:.0f}", percentile(ages, share), "ms", TARGET_MS if name == "quick" else None)
        yield row(f"edge_latency_{name}_cpu", cpu_us, "us/value")
        yield row(f"edge_latency_{name}_lost_or_twice", lost, "values")
    yield row("edge_latency_publishing_interval", INTERVAL_S * 1000, "ms", INTERVAL_S * 1000)


def _measure(folder: Path, source: str, more: str) -> tuple[list[float], float, int]:
    from tests.support.broker import free_port, nats

    port = free_port()
    with nats(folder) as broker, source_process(port, TAGS, RATE, interval_s=INTERVAL_S) as (wanted, sent, _):
        host = CountingHost(broker)
        host.connect()
        config = folder / "edge.toml"
        config.write_text(head(broker, more) + fast_source(port, TAGS, more=source, interval_s=INTERVAL_S))
        with Agent(config) as agent:
            until(lambda: host.counted >= 20 * TAGS, 60)
            time.sleep(2.0)
            host.ages_ms = []
            cpu, values = agent.cpu_s(), host.counted
            time.sleep(SECONDS)
            ages, host.ages_ms = host.ages_ms, None
            cpu, values = agent.cpu_s() - cpu, host.counted - values
            wanted.value = 0.0
            until(lambda: host.counted >= sent.value, 10)
            time.sleep(0.5)
            lost = abs(int(sent.value) - host.counted) + len(host.holes)
        host.disconnect()
    return ages, cpu / max(values, 1) * 1e6, lost
