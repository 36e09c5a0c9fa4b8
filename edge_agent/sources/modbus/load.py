"""How busy a Modbus bus gets. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from edge_agent.sources.kind import Bus
from edge_agent.sources.modbus.config import ModbusConfig, ModbusMetric
from edge_agent.sources.modbus.plan import Field, plan

REQUEST_BYTES, ANSWER_BYTES = 12, 9  # Modbus TCP: MBAP header, function, address and count; header, function, byte count
RTU_BYTES, RTU_SILENCE = 13, 7.0  # RTU: unit, function, address, count and CRC; unit, function, byte count and CRC; two pauses of 3.5 characters
ROUND_TRIP_S = 0.02  # what a meter or a gateway takes to answer, typically


def bus_of(config: ModbusConfig, devices: Mapping[str, Mapping[str, ModbusMetric]]) -> Bus:
    """Every device's requests by the same planner that reads them, each once a period."""
    requests = size = busy = 0.0
    serial = config.transport != "tcp"
    fixed = RTU_BYTES if serial else REQUEST_BYTES + ANSWER_BYTES
    bits = 1 + 8 + (config.parity != "none") + config.stop_bits  # of a character on the line
    for metrics in devices.values():
        by_period: dict[float, list[Field]] = {}
        for key, metric in metrics.items():
            kind = metric.type or ("bool" if metric.table in ("coil", "discrete") else "float32")
            period_s = metric.period_s or config.period_s
            by_period.setdefault(period_s, []).append(Field(0, key, metric.table, metric.register_ or 0, kind, metric.word_order or "ABCD", period_s))
        for period_s, fields in by_period.items():
            for request in plan(fields, max_words=config.max_words, max_hole=config.max_hole, one_per_field=config.one_request_per_field):
                data = -(-request.count // 8) if request.table in ("coil", "discrete") else 2 * request.count
                line_s = (fixed + data + RTU_SILENCE) * bits / config.baud_rate if serial else 0.0
                requests += 1 / period_s
                size += (fixed + data) / period_s
                busy += (line_s + ROUND_TRIP_S + config.pause_between_requests_s) / period_s
    return Bus(requests, size, busy)
