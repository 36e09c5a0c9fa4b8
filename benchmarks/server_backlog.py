"""The backlog of `edge_backlog` through the real way in: agent process, embedded broker, DuckDB, and the book of record with the slices' own booking.

The clock runs from the first record stored to the last one answered; afterwards every piece of every machine is in the book once. CPU is that of the
server (this process: reader, decoder, both stores) and of the agent, a record. Live values go on at 1,000/s beside; their age is taken where
tiles read them.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from benchmarks import ingest, row
from benchmarks._edge import Agent, fast_source, head, percentile, source_process, until
from benchmarks.edge_backlog import EVENTS, LIVE_P95_MS, LIVE_RATE, LIVE_TAGS, MACHINES, _fill, _machines
from edge_agent.contract.clock import PlantClock
from mes_server.ingest.booking import SliceBooking
from mes_server.ingest.embedded_broker import EmbeddedBroker
from mes_server.ingest.service import IngestService
from mes_server.kit.actor import SYSTEM
from mes_server.kit.acts import Acts
from mes_server.kit.db import Database
from mes_server.kit.http import Kit
from mes_server.kit.live import Live
from mes_server.plant import service as plant
from mes_server.plant.schemas import PutPlant
from mes_server.tables import metadata
from mes_server.telemetry.duckdb_store import DuckdbStore

EDGE = "EDGE-L1"


class _Broker:
    """The embedded broker as an agent's config wants it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def credentials_file(self, edge: str) -> Path:
        return self._folder / "users" / f"{edge}.json"


def run() -> Iterator[dict[str, Any]]:
    """Rows for `python -m benchmarks server_backlog`."""
    from edge_agent.buffer.store import Buffer
    from tests.support.broker import free_port

    port = free_port()
    with tempfile.TemporaryDirectory() as name, source_process(port, LIVE_TAGS, LIVE_RATE) as _:
        folder = Path(name)
        _fill(folder / "edge.buffer")
        buffer = Buffer(folder / "edge.buffer", 10**10)
        waiting, epoch = buffer.last_n, buffer.epoch
        buffer.close()
        with _server(folder) as service:
            config = folder / "edge.toml"
            config.write_text(head(_Broker(folder / "broker")) + fast_source(port, LIVE_TAGS, more="settle_s = 0.2") + _machines())
            with Agent(config) as agent:
                stored = lambda: service.intake.stream(EDGE, epoch).stored_up_to  # noqa: E731
                assert until(lambda: stored() > 0, 60)
                began, cpu, edge_cpu, from_n = time.monotonic(), time.process_time(), agent.cpu_s(), stored()
                ages = _ages(service, lambda: stored() >= waiting)
                drained_s, cpu, edge_cpu = time.monotonic() - began, time.process_time() - cpu, agent.cpu_s() - edge_cpu
                records = waiting - from_n
            with service.kit.db.read() as session:
                booked = session.connection().exec_driver_sql("select sum(good) from machine_count").scalar_one()
    assert booked == EVENTS - MACHINES, f"{booked} pieces booked of {EVENTS - MACHINES}: the first total of a machine is its beginning"
    yield row("server_backlog_drained", drained_s, "s")
    yield row("server_backlog_events", records / drained_s, "events/s")
    yield row("server_backlog_cpu", cpu / records * 1e6, "us/record")
    yield row("server_backlog_cpu_of_the_agent", edge_cpu / records * 1e6, "us/record")
    yield row("server_backlog_live_p95", percentile(ages, 0.95), "ms", LIVE_P95_MS)


def _ages(service: IngestService, done: Any) -> list[float]:
    """Age of the newest live value as tiles show it, looked at every 50 ms until `done`."""
    ages: list[float] = []
    end = time.monotonic() + 600
    while not done() and time.monotonic() < end:
        at_ms, _ = service.table.of_device(EDGE, "D0").get("t0", (0, 0.0))
        if at_ms:
            ages.append(time.time() * 1000 - at_ms)
        time.sleep(0.05)
    return ages


@contextmanager
def _server(folder: Path) -> Iterator[IngestService]:
    db = Database(f"sqlite:///{folder / 'gemba.db'}")
    metadata.create_all(db.writer)
    clock, live = PlantClock(), Live()
    acts = Acts(db, clock, live)
    acts.start()
    model = ingest._plant()
    one = model["model"]["machines"][0]
    model["model"]["machines"] = [{**one, "code": f"M{k}", "device": f"M{k}", "sequence": k, "edge": EDGE} for k in range(MACHINES)]
    acts.run_sync(plant.put_plant, SYSTEM, PutPlant.model_validate(model))
    kit = Kit(db=db, acts=acts, clock=clock, live=live, zone=ZoneInfo("UTC"))
    service = IngestService(
        kit, DuckdbStore(folder / "telemetry.duckdb"), SliceBooking(), broker=EmbeddedBroker(folder / "broker", port=0, edges=[EDGE])
    )
    service._start()
    gc.collect()
    gc.freeze()  # as `gemba-server serve` does
    try:
        yield service
    finally:
        service._stop()
        acts.stop()
        db.close()
