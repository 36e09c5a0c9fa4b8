"""The server's ingest at a real broker: MQTT in, stores and answers out; what was booked is written down by a Recorder.

with whole_ingest(tmp_path, broker, fence_s=1.0) as ingest:
    ingest.good() -> pieces booked; ingest.edge("EDGE-L1") -> its row of system health
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_agent.contract.clock import PlantClock
from mes_server.ingest.booking import Link
from mes_server.ingest.broker_settings import BrokerLink
from mes_server.ingest.service import IngestBounds, IngestService, edges_health
from tests.support.broker import HOST_ID, Broker
from tests.support.ingest import Bench, Recorder, bench
from tests.support.wait import eventually


class WholeIngest:
    def __init__(self, made: Bench, broker: Broker, port: int, bounds: dict[str, Any]) -> None:
        self.bench = made
        user, password = broker.credentials()
        self._link = BrokerLink(broker.host, port or broker.port, user, password, keepalive_s=5)
        self._bounds = IngestBounds(**{"commit_s": 0.05, "show_s": 0.02, "jitter_s": 0.0, "reorder_s": 1.0, **bounds})
        self.service = self.start()

    def start(self) -> IngestService:
        self.service = IngestService(self.bench.kit, self.bench.telemetry, self.bench.booking, host_id=HOST_ID, link=self._link, bounds=self._bounds)
        self.service._start()
        eventually(lambda: self.service.mqtt is not None and self.service.mqtt.online, 30, why="the server is online at the broker")
        return self.service

    def stop(self) -> None:
        self.service._stop()

    def good(self) -> int:
        return self.bench.booking.good()

    def edge(self, edge: str = "EDGE-L1") -> dict[str, Any]:
        with self.bench.kit.db.read() as session:
            return next((row for row in edges_health(self.service, session) if row["edge"] == edge), {})


@contextmanager
def whole_ingest(
    folder: Path, broker: Broker, *, port: int = 0, links: dict[tuple[str, str], Link] | None = None, **bounds: Any
) -> Iterator[WholeIngest]:
    """`port`: instead of the broker's own (a proxy). `links`: devices that are booked, (edge, device) -> machine or meter."""
    more: dict[str, Any] = {} if links is None else {"booking": Recorder(links)}
    with bench(folder / "ingest", clock=PlantClock(), **more) as made:
        ingest = WholeIngest(made, broker, port, bounds)
        try:
            yield ingest
        finally:
            ingest.stop()
