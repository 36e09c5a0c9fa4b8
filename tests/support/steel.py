"""The real year of a steel plant (UCI data set 851, CC BY 4.0): its quarter hours, the golden numbers, and a meter that shows it over Modbus.

The golden numbers (tests/data/steel_2018_expected.json) were computed straight from the published file. Its stamps are interval ENDS, so the row
stamped 00:15 is the energy from 00:00 to 00:15, and the energy of [a,b) is total(b) - total(a).
"""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from edge_agent.contract.clock import ManualClock
from edge_agent.sources.modbus import codec
from tests.support.edge import Meter

ROOT = Path(__file__).parents[2]
FILE = ROOT / "simulators/data/steel_industry_2018.csv.gz"
QUARTER_MS = 900_000
QUARTERS_OF_YEAR = 35_040
BASE_WH = 1_000_000  # a meter is not new when it is connected

GOLDEN: dict[str, Any] = json.loads((ROOT / "tests/data/steel_2018_expected.json").read_text())
YEAR_KWH, YEAR_KVARH, YEAR_PF = GOLDEN["total_kwh"], GOLDEN["lag_kvarh"], GOLDEN["year_pf_from_lag"]
MONTHS_KWH, MONTHS_PEAK_KW, MONTHS_PF = GOLDEN["monthly_kwh"], GOLDEN["monthly_peak_kw"], GOLDEN["monthly_pf"]
PEAK_KW = GOLDEN["max_15min_demand_kw"]


def source(port: int) -> str:
    """Config of the Modbus source that reads SteelMeter: the maker's own register map, every quarter of an hour on the dot."""
    return f"""[sources.METER]
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
    with gzip.open(FILE, "rt", encoding="utf-8") as file:
        rows = [line.split(",") for line in file if line.strip() and not line.startswith("#")]
    return [round(float(row[0]) * 1000) for row in rows], [round(float(row[1]) * 1000) for row in rows]


def start_ms(zone: ZoneInfo) -> int:
    """1 January 2018 00:00 where the plant is."""
    return round(datetime(2018, 1, 1, tzinfo=zone).timestamp() * 1000)


def month_borders_ms(zone: ZoneInfo) -> list[int]:
    return [round(datetime(2018 + month // 12, month % 12 + 1, 1, tzinfo=zone).timestamp() * 1000) for month in range(13)]


def peak_ms(zone: ZoneInfo) -> int:
    """Where the year's highest quarter of an hour begins."""
    return round(datetime.fromisoformat(GOLDEN["max_demand_interval_start"]).replace(tzinfo=zone).timestamp() * 1000)


class ReplayClock(ManualClock):
    """Moves as fast as whoever waits on it, and stands at `end_ms`."""

    def __init__(self, start_ms: int, end_ms: int) -> None:
        super().__init__(start_ms)
        self._end_ms = end_ms

    async def sleep(self, plant_s: float) -> None:
        left_s = (self._end_ms - self.now_ms()) / 1000.0
        self.advance(min(plant_s, left_s))
        await asyncio.sleep(0.0 if left_s > plant_s else 0.05)


class SteelMeter(Meter):
    """A Modbus slave that shows the running totals (Schneider PM5100 registers) of the moment its clock says, over the first `quarters`."""

    def __init__(self, clock: ManualClock, zone: ZoneInfo, quarters: int) -> None:
        super().__init__((1,))
        wh, varh = intervals()
        self._clock, self._start_ms = clock, start_ms(zone)
        self._wh, self._varh = (list(accumulate(values[:quarters], initial=BASE_WH)) for values in (wh, varh))

    def _action(self, unit: int) -> Any:
        inner = super()._action(unit)

        async def act(*arguments: Any) -> Any:
            at = min(max((self._clock.now_ms() - self._start_ms) // QUARTER_MS, 0), len(self._wh) - 1)
            self.put(1, 3203, codec.encode(self._wh[at], "int64"))
            self.put(1, 3219, codec.encode(self._varh[at], "int64"))
            return await inner(*arguments)

        return act
