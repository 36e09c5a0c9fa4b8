"""A real year of a steel plant (UCI 851), served as Modbus registers, through the edge agent and a broker: every kWh, month, peak and power factor.

The slave and the agent share one clock that stands until the agent waits: a year of 15-minute readings passes as fast as they can be read.
The golden numbers are those computed straight from the file (expected_values.json of the research; the stamps are interval ENDS, so the
value stamped 00:15 is the energy from 00:00 to 00:15, and energy of [a,b) is total(b) - total(a)).
"""

from __future__ import annotations

import asyncio
import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge_agent.app import build_agent
from edge_agent.config_text import load
from edge_agent.contract.clock import ManualClock
from edge_agent.sources.modbus import codec
from tests.support.broker import mosquitto
from tests.support.edge import Host, Meter, config_text
from tests.support.wait import eventually_async

DATA = Path(__file__).parents[2] / "simulators/data/steel_industry_2018.csv.gz"
START = datetime(2018, 1, 1, tzinfo=UTC)  # the plant's own wall time, taken as UTC here
STEP_MS = 900_000
START_MS = int(START.timestamp() * 1000)
YEAR_KWH, YEAR_KVARH = 959_636.71, 456_759.84
MONTHS_KWH = [126238.29, 91497.34, 80230.41, 78769.80, 79059.28, 65404.64, 81674.41, 68559.43, 57883.07, 84665.65, 86217.61, 59436.78]
MONTHS_PEAK_KW = [612.56, 582.04, 605.24, 556.12, 560.16, 535.40, 486.72, 534.80, 510.48, 557.72, 628.72, 596.72]
MONTHS_PF = [0.9182, 0.9309, 0.9288, 0.9150, 0.8994, 0.8934, 0.8995, 0.8735, 0.8675, 0.8629, 0.8955, 0.9229]
SOURCE = """[sources.METER]
type = "modbus"
port = {port}
period_s = 900.0
align = true
[sources.METER.devices.INC-01]
kind = "meter"
model = "schneider_pm5100"
only = ["energy_import_wh", "energy_reactive_varh"]
rated_power_w = 2000000
"""


def intervals() -> tuple[list[int], list[int]]:
    """Wh and varh (lagging) of every quarter of an hour, in order."""
    with gzip.open(DATA, "rt", encoding="utf-8") as file:
        rows = [line.split(",") for line in file if line.strip() and not line.startswith("#")]
    return [round(float(row[0]) * 1000) for row in rows], [round(float(row[1]) * 1000) for row in rows]


def running_total(values: list[int]) -> list[int]:
    out = [1_000_000]  # a meter is not new when it is connected
    for value in values:
        out.append(out[-1] + value)
    return out


class SteelMeter(Meter):
    """Shows the totals of the moment its clock says."""

    def __init__(self, clock: ManualClock, wh: list[int], varh: list[int]) -> None:
        super().__init__((1,))
        self._clock, self._wh, self._varh = clock, running_total(wh), running_total(varh)

    def _action(self, unit: int) -> Any:
        inner = super()._action(unit)

        async def act(*arguments: Any) -> Any:
            at = min(max((self._clock.now_ms() - START_MS) // STEP_MS, 0), len(self._wh) - 1)
            self.put(1, 3203, codec.encode(self._wh[at], "int64"))
            self.put(1, 3219, codec.encode(self._varh[at], "int64"))
            return await inner(*arguments)

        return act


async def read_year(folder: Path, host: Host, config: Path, intervals_read: int) -> dict[str, dict[int, float]]:
    """metric -> tick -> running total as the host decoded it."""
    wh, varh = intervals()
    clock = ManualClock(START_MS - STEP_MS // 2)
    meter = SteelMeter(clock, wh[:intervals_read], varh[:intervals_read])
    await meter.serve()
    config.write_text(config_text(host.broker, SOURCE.format(port=meter.port), more="[delivery]\nheartbeat_s = 300.0\n"))
    agent = build_agent(load(config), clock, lambda text: None)
    running = asyncio.create_task(agent.run())
    end_ms = START_MS + intervals_read * STEP_MS

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


def month_starts() -> list[int]:
    return [int(datetime(2018 + m // 12, m % 12 + 1, 1, tzinfo=UTC).timestamp() * 1000) for m in range(13)]


def check_months(totals: dict[str, dict[int, float]], months: int) -> None:
    wh, varh = totals["energy_import_wh"], totals["energy_reactive_varh"]
    bounds = month_starts()
    for month in range(months):
        a, b = bounds[month], bounds[month + 1]
        active, reactive = (wh[b] - wh[a]) / 1000, (varh[b] - varh[a]) / 1000
        assert active == pytest.approx(MONTHS_KWH[month], abs=0.005)
        assert active / (active**2 + reactive**2) ** 0.5 == pytest.approx(MONTHS_PF[month], abs=0.00005)
        peak_kw = max((wh[t + STEP_MS] - wh[t]) / 1000 * 4 for t in range(a, b, STEP_MS))
        assert peak_kw == pytest.approx(MONTHS_PEAK_KW[month], abs=0.005)


def test_a_real_month_of_energy_is_exact(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker, Host(broker) as host:
        totals = asyncio.run(read_year(tmp_path, host, tmp_path / "edge.toml", 31 * 96))
        check_months(totals, 1)
        assert len(totals["energy_import_wh"]) >= 31 * 96 + 1


@pytest.mark.full
def test_a_real_year_of_energy_is_exact(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker, Host(broker) as host:
        totals = asyncio.run(read_year(tmp_path, host, tmp_path / "edge.toml", 35_040))
        check_months(totals, 12)
        wh, varh = totals["energy_import_wh"], totals["energy_reactive_varh"]
        first, last = START_MS, START_MS + 35_040 * STEP_MS
        assert (wh[last] - wh[first]) / 1000 == pytest.approx(YEAR_KWH, abs=0.005)
        assert (varh[last] - varh[first]) / 1000 == pytest.approx(YEAR_KVARH, abs=0.005)
        peak = max(range(first, last, STEP_MS), key=lambda t: wh[t + STEP_MS] - wh[t])
        assert START + timedelta(milliseconds=peak - START_MS) == datetime(2018, 11, 22, 9, 30, tzinfo=UTC)
