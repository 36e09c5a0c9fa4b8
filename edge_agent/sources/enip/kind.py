"""EtherNet/IP as a kind of source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.sources import polled
from edge_agent.sources.enip.config import EnipConfig, EnipDevice, EnipMetric
from edge_agent.sources.kind import Kind, Sample, Setup

if TYPE_CHECKING:
    from edge_agent.sources.source import Source


def _make(setup: Setup) -> Source:
    from edge_agent.sources.enip.source import make

    return make(setup)


KIND = Kind(
    config=EnipConfig,
    device=EnipDevice,
    metric=EnipMetric,
    make=_make,
    metrics=polled.as_configured,
    zh={"enip_tag": "标签名应如 Part_Count、Line.Good、Temps[3]、Program:Main.State、Status.5"},
    sample=Sample(
        "PLC-L3",
        {"type": '"enip"', "host": '"192.0.2.60"'},
        "ASM-01",
        {"kind": '"machine"', "min_cycle_s": "4"},
        (
            'state = { tag = "Line.State", states = "packml" }',
            'good = { tag = "Line.Good", width_bits = 32 }',
            'order = { tag = "Program:Main.Order" }',
            'torque_nm = { tag = "Torques[3]", deadband = 0.2 }',
        ),
        frozenset({"rated_power_w"}),
    ),
)
