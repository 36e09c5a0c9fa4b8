"""A real year of a steel plant (UCI 851), served as Modbus registers, through the edge agent and a broker: every kWh, month, peak and power factor.

The slave and the agent share one clock that stands until the agent waits: a year of 15-minute readings passes as fast as they can be read.
The edge's half alone, as a host application hears it; test_real_energy.py goes on to the server and its API.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge_agent.app import build_agent
from edge_agent.config_text import load
from edge_agent.contract.clock import ManualClock
from tests.support import steel
from tests.support.broker import mosquitto
from tests.support.edge import Host, config_text
from tests.support.steel import QUARTER_MS
from tests.support.wait import eventually_async

UTC_ZONE = ZoneInfo("UTC")
START_MS = steel.start_ms(UTC_ZONE)  # the plant's own wall time, taken as UTC here


async def read_year(folder: Path, host: Host, config: Path, intervals_read: int) -> dict[str, dict[int, float]]:
    """metric -> tick -> running total as the host decoded it."""
    clock = ManualClock(START_MS - QUARTER_MS // 2)
    meter = steel.SteelMeter(clock, UTC_ZONE, intervals_read)
    await meter.serve()
    config.write_text(config_text(host.broker, steel.source(meter.port), more="[delivery]\nheartbeat_s = 300.0\n"))
    agent = build_agent(load(config), clock, lambda text: None)
    running = asyncio.create_task(agent.run())
    end_ms = START_MS + intervals_read * QUARTER_MS

    def done() -> bool:
        found = host.facts("INC-01", "energy_import_wh")
        return bool(found) and found[-1].t_ms >= end_ms

    try:
        await eventually_async(done, 280, why="the last reading", every=0.2)
    finally:
        agent.stop()
        await running
        await meter.shut()
    assert host.errors == []
    assert host.facts("INC-01", "gap") == []
    return {name: {fact.t_ms: fact.value for fact in host.facts("INC-01", name)} for name in ("energy_import_wh", "energy_reactive_varh")}


def check_months(totals: dict[str, dict[int, float]], months: int) -> None:
    wh, varh = totals["energy_import_wh"], totals["energy_reactive_varh"]
    bounds = steel.month_borders_ms(UTC_ZONE)
    for month in range(months):
        a, b = bounds[month], bounds[month + 1]
        active, reactive = (wh[b] - wh[a]) / 1000, (varh[b] - varh[a]) / 1000
        assert active == pytest.approx(steel.MONTHS_KWH[month], abs=0.005)
        assert active / (active**2 + reactive**2) ** 0.5 == pytest.approx(steel.MONTHS_PF[month], abs=0.00005)
        peak_kw = max((wh[t + QUARTER_MS] - wh[t]) / 1000 * 4 for t in range(a, b, QUARTER_MS))
        assert peak_kw == pytest.approx(steel.MONTHS_PEAK_KW[month], abs=0.005)


def test_a_real_month_of_energy_is_exact(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker, Host(broker) as host:
        totals = asyncio.run(read_year(tmp_path, host, tmp_path / "edge.toml", 31 * 96))
        check_months(totals, 1)
        assert len(totals["energy_import_wh"]) >= 31 * 96 + 1


@pytest.mark.full
def test_a_real_year_of_energy_is_exact(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker, Host(broker) as host:
        totals = asyncio.run(read_year(tmp_path, host, tmp_path / "edge.toml", steel.QUARTERS_OF_YEAR))
        check_months(totals, 12)
        wh, varh = totals["energy_import_wh"], totals["energy_reactive_varh"]
        first, last = START_MS, START_MS + steel.QUARTERS_OF_YEAR * QUARTER_MS
        assert (wh[last] - wh[first]) / 1000 == pytest.approx(steel.YEAR_KWH, abs=0.005)
        assert (varh[last] - varh[first]) / 1000 == pytest.approx(steel.YEAR_KVARH, abs=0.005)
        peak = max(range(first, last, QUARTER_MS), key=lambda t: wh[t + QUARTER_MS] - wh[t])
        assert peak == steel.peak_ms(UTC_ZONE)
