"""Eight hours of backlog (20 machines, a part every two seconds: 288,000 events) drained while the machines go on. Limit: reading the same file.

Every event is a record of its own, as an outage leaves it. Live values go on at 1,000/s beside it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import row
from benchmarks._edge import Agent, CountingHost, fast_source, head, percentile, source_process, until

MACHINES, EVENTS, LIVE_TAGS, LIVE_RATE = 20, 288_000, 100, 1_000.0
DRAINED_S, LIVE_P95_MS = 15.0, 1_000.0


def _machines() -> str:
    out = ['[sources.OLD]\ntype = "opcua"\nurl = "opc.tcp://127.0.0.1:1/"\nsecurity = "none"']
    for number in range(MACHINES):
        out.append(f'[sources.OLD.devices.M{number}]\nnamespace = "urn:x"\n[sources.OLD.devices.M{number}.metrics]')
        out.append('good = { node = "s=G", width_bits = 32 }\nstate = { node = "s=S" }')
    return "\n".join(out) + "\n"


def _fill(path: Path) -> None:
    """The buffer as an outage of eight hours leaves it: each part is a record of its own with the two totals of its machine."""
    from edge_agent.buffer.store import Buffer
    from edge_agent.contract import names
    from edge_agent.contract.payload import DataType
    from edge_agent.pipeline.columns import Columns

    buffer = Buffer(path, 10**10)
    aliases = {}
    for number in range(MACHINES):
        metrics = [buffer.catalogue.metric(f"M{number}", name, DataType.INT64) for name in (names.GOOD_TOTAL, names.GOOD_RAW)]
        aliases[number] = [metric.alias for metric in metrics]
    each, kind = EVENTS // MACHINES, int(DataType.INT64)
    first_ms = int(time.time() * 1000) - each * 2000
    for start in range(0, each, 50):
        records = [
            (f"M{number}", Columns.of((alias, first_ms + i * 2000, kind, i) for alias in aliases[number]))
            for i in range(start, min(each, start + 50))
            for number in range(MACHINES)
        ]
        buffer.commit(records)
    buffer.close()


def run() -> Iterator[dict[str, Any]]:
    """Rows for `python -m benchmarks edge_backlog`."""
    from tests.support.broker import free_port, nats

    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with nats(folder) as broker, source_process(port, LIVE_TAGS, LIVE_RATE) as _:
            config = folder / "edge.toml"
            config.write_text(head(broker) + fast_source(port, LIVE_TAGS, more="settle_s = 0.2") + _machines())
            _fill(folder / "edge.buffer")
            limit_s, waiting = _read_s(folder / "edge.buffer")
            host = CountingHost(broker)
            host.ages_ms = []
            host.connect()
            with Agent(config) as agent:
                until(lambda: host.mark > 0, 30)
                began, cpu, from_n = time.monotonic(), agent.cpu_s(), host.mark
                until(lambda: host.mark >= waiting, 120)
                drained_s = time.monotonic() - began
                cpu_us = (agent.cpu_s() - cpu) / max(host.mark - from_n, 1) * 1e6
                ages, host.ages_ms = host.ages_ms, None
                lost = max(0, waiting - host.mark) + len(host.holes)
            host.disconnect()
    yield row("edge_backlog_drained", drained_s, "s", DRAINED_S)
    yield row("edge_backlog_drained_beside_reading_alone", drained_s, "s", limit_s)
    yield row("edge_backlog_events", EVENTS / drained_s, "events/s")
    yield row("edge_backlog_cpu", cpu_us, "us/record")
    yield row("edge_backlog_live_p95", percentile(ages, 0.95), "ms", LIVE_P95_MS)
    yield row("edge_backlog_not_in_order_or_missing", lost, "records")


def _read_s(path: Path) -> tuple[float, int]:
    """Seconds to read every record of the buffer and to make messages of them, with nobody to send them to; and the number of the last."""
    from edge_agent.buffer.store import Buffer
    from edge_agent.publisher.bundles import bundles
    from edge_agent.worker import READ_BYTES, READ_RECORDS

    buffer = Buffer(path, 10**10)
    began, cursor = time.monotonic(), 0
    while cursor < buffer.last_n:
        window = buffer.read_window(cursor, READ_RECORDS, READ_BYTES)
        for bundle in bundles(window, buffer.epoch):
            str(bundle.marks)
        cursor = window.numbers[-1]
    took, last = time.monotonic() - began, buffer.last_n
    buffer.close()
    return took, last
