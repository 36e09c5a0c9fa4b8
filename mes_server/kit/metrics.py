"""The server's own figures for Prometheus, in a registry of their own (two servers in one test process do not mix)."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass
class Metrics:
    """Every slice may add its own collectors to `registry`, named gemba_<slice>_<what>_<unit>."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        reg = self.registry
        self.requests = Counter("gemba_http_requests_total", "HTTP requests", ["method", "route", "status"], registry=reg)
        self.request_seconds = Histogram("gemba_http_request_seconds", "Seconds from request to answer", ["route"], registry=reg, buckets=_SECONDS)
        self.acts = Counter("gemba_acts_total", "Acts by outcome", ["outcome"], registry=reg)
        self.acts_batch = Histogram("gemba_acts_batch_size", "Acts in one transaction", registry=reg, buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256))
        self.batch_seconds = Histogram("gemba_acts_batch_seconds", "Seconds of one transaction of acts", registry=reg, buckets=_SECONDS)
        self.acts_waiting = Gauge("gemba_acts_waiting", "Acts that wait for the writer", registry=reg)
        self.journal_unsealed = Gauge("gemba_journal_unsealed", "Journal records not yet in the chain", registry=reg)
        self.live_listeners = Gauge("gemba_live_listeners", "Screens that follow live", registry=reg)
