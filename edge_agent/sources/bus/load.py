"""How busy a meter bus gets. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from edge_agent.sources.bus.config import BusConfig
from edge_agent.sources.kind import Bus


def bus_of(config: BusConfig, exchanges: Iterable[tuple[int, float]], think_s: float) -> Bus:
    """`exchanges`: (bytes of question and answer, plant seconds between two of them). `think_s`: what a meter takes to begin its answer.

    Behind a gateway the baud rate of its serial side counts too: the config's is taken for it.
    """
    bits = 1 + config.data_bits + (config.parity != "none") + config.stop_bits  # of a character on the line
    requests = size = busy = 0.0
    for count, period_s in exchanges:
        requests += 1 / period_s
        size += count / period_s
        busy += (count * bits / config.baud_rate + think_s + config.pause_between_requests_s) / period_s
    return Bus(requests, size, busy)
