"""Ingest's figures for Prometheus, read when they are asked for: the hot loop only counts in a dictionary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from mes_server.ingest.service import IngestService


class IngestFigures(Collector):
    def __init__(self, ingest: IngestService) -> None:
        self._ingest = ingest

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        ingest = self._ingest
        events = CounterMetricFamily("gemba_ingest_events", "What ingest met, by kind", labels=["kind"])
        for kind, count in sorted(ingest.figures.items()):
            events.add_metric([kind], count)
        yield events
        yield GaugeMetricFamily("gemba_ingest_waiting_bytes", "Bytes of messages that wait to be decoded", value=ingest.inbox.waiting_bytes)
        connected = ingest.mqtt is not None and ingest.mqtt.online
        yield GaugeMetricFamily("gemba_ingest_broker_connected", "1: connected to the broker and born as Sparkplug host", value=float(connected))
        edges = GaugeMetricFamily("gemba_ingest_edge_online", "1: the edge node is born", labels=["edge"])
        stored = GaugeMetricFamily("gemba_ingest_stored_up_to", "Newest record that both stores hold", labels=["edge", "epoch"])
        for node in list(ingest.host.nodes.values()):
            edges.add_metric([node.edge], float(node.online))
        for stream in list(ingest.intake.streams.values()):
            stored.add_metric([stream.edge, stream.epoch], stream.stored_up_to)
        yield edges
        yield stored
        yield GaugeMetricFamily("gemba_ingest_parked_records", "Records of devices that nobody has mapped", value=ingest.committer.parked.total())
        failing = float(ingest.committer.telemetry_fault is not None)
        yield GaugeMetricFamily("gemba_telemetry_failing", "1: the telemetry store did not take the last samples", value=failing)
