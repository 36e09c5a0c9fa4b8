"""kill -9 to publishing again, and 1,000 tags subscribed after a start. The limit in the same run is a bare Python that imports the drivers."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import row
from benchmarks._edge import ROOT, Agent, CountingHost, fast_source, head, source_process, until

TAGS, RATE, ROUNDS = 1000, 5_000.0, 5
PUBLISHING_S, SUBSCRIBED_S = 3.0, 2.0


def run() -> Iterator[dict[str, Any]]:
    """Rows for `python -m benchmarks edge_restart`."""
    from tests.support.broker import free_port, nats

    port = free_port()
    publishing, subscribed = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with nats(folder) as broker, source_process(port, TAGS, RATE) as _:
            host = CountingHost(broker)
            host.connect()
            config = folder / "edge.toml"
            config.write_text(head(broker) + fast_source(port, TAGS))
            with Agent(config) as agent:
                until(lambda: host.counted >= 5 * TAGS, 60)
                for _round in range(ROUNDS):
                    agent.kill()
                    host.live_aliases.clear()
                    killed = time.monotonic()
                    since_ms = int(time.time() * 1000)
                    host.since_ms = since_ms
                    agent.start()
                    until(lambda: host.live_aliases, 30)
                    publishing.append(time.monotonic() - killed)
                    until(lambda: len(host.live_aliases) >= TAGS, 30)
                    subscribed.append(time.monotonic() - killed)
                    time.sleep(1.0)
            host.disconnect()
    bare = [_import_s() for _ in range(3)]
    yield row("edge_restart_kill_to_publishing", median(publishing), "s", PUBLISHING_S)
    yield row("edge_restart_kill_to_publishing_worst", max(publishing), "s", PUBLISHING_S)
    yield row("edge_restart_1000_tags_after_start", median(subscribed), "s", SUBSCRIBED_S)
    yield row("edge_restart_1000_tags_after_start_worst", max(subscribed), "s", SUBSCRIBED_S)
    yield row("edge_restart_beside_bare_imports", median(publishing), "s", median(bare))


def _import_s() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import asyncua, numpy, paho.mqtt.client, pydantic, sqlite3"], check=True, cwd=ROOT)
    return time.monotonic() - began
