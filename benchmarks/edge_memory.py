"""Memory of the agent with 1,000 tags at 10 Hz, and its slope. GEMBA_BENCH_MEMORY_S sets how long (600; the figure of docs/performance.md: 3,600).

RSS counts every page the process has in memory, also those it shares with others; PSS counts its share of them. The goal is held against RSS.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import row
from benchmarks._edge import Agent, CountingHost, fast_source, head, source_process, until

TAGS, HZ = 1000, 10.0
TARGET_MB, FLAT_MB_PER_H = 90.0, 1.0
WARM_S = 60.0
SAY_S = 60.0


def run() -> Iterator[dict[str, Any]]:
    """Rows for `python -m benchmarks edge_memory`. The slope is a straight line through one look a second, without the first minute."""
    from tests.support.broker import free_port, nats

    seconds = float(os.environ.get("GEMBA_BENCH_MEMORY_S", "600"))
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with nats(folder) as broker, source_process(port, TAGS, TAGS * HZ, interval_s=0.1) as _:
            host = CountingHost(broker)
            host.connect()
            config = folder / "edge.toml"
            config.write_text(head(broker) + fast_source(port, TAGS, interval_s=0.1))
            with Agent(config) as agent:
                until(lambda: host.counted >= TAGS, 60)
                print(f"  measuring memory for {seconds:.0f} s", flush=True)
                looks, began = [], time.monotonic()
                said = began
                while (now := time.monotonic()) < began + seconds:
                    looks.append((now, agent.rss_mb()))
                    if now - said >= SAY_S:
                        said = now
                        print(f"  {now - began:5.0f} s: {looks[-1][1]:.1f} MB", flush=True)
                    time.sleep(1.0)
                pss_mb = agent.pss_mb()
            host.disconnect()
    times = np.array([at - looks[0][0] for at, _ in looks])
    sizes = np.array([size for _, size in looks])
    warm = times >= min(WARM_S, seconds / 4)
    slope_mb_h = float(np.polyfit(times[warm] / 3600, sizes[warm], 1)[0])
    yield row("edge_memory_rss_at_end", float(sizes[-1]), "MB", TARGET_MB)
    yield row("edge_memory_pss_at_end", pss_mb, "MB", TARGET_MB)
    yield row("edge_memory_rss_most", float(sizes.max()), "MB", TARGET_MB)
    yield row("edge_memory_slope", slope_mb_h, "MB/h", FLAT_MB_PER_H)
    yield row("edge_memory_watched", seconds, "s")
