"""Siemens S7 as a kind of source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.sources import polled
from edge_agent.sources.kind import Kind, Sample, Setup
from edge_agent.sources.s7.config import S7Config, S7Device, S7Metric

if TYPE_CHECKING:
    from edge_agent.sources.source import Source


def _make(setup: Setup) -> Source:
    from edge_agent.sources.s7.source import make

    return make(setup)


KIND = Kind(
    config=S7Config,
    device=S7Device,
    metric=S7Metric,
    make=_make,
    metrics=polled.as_configured,
    zh={"s7_address": "S7 地址格式应如 DB1.DBD4:REAL、DB1.DBX0.3、MW10:INT、I0.0、DB1.DBB20:STRING[32]"},
    sample=Sample(
        "PLC-L2",
        {"type": '"s7"', "host": '"192.0.2.50"'},
        "PRS-01",
        {"kind": '"machine"', "min_cycle_s": "4"},
        (
            'state = { address = "DB10.DBW0:INT", states = "packml" }',
            'good = { address = "DB10.DBD2:UDINT", width_bits = 32 }',
            'order = { address = "DB10.DBB20:STRING[20]" }',
            'oil_temperature_c = { address = "DB10.DBD8:REAL", deadband = 0.2 }',
        ),
        frozenset({"rated_power_w"}),
    ),
)
