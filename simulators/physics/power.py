"""Loads and the energy they make: piecewise constant power, so the integral is exact at any moment."""

from __future__ import annotations

import gzip
import math
from datetime import datetime
from functools import lru_cache
from pathlib import Path

DATA = Path(__file__).parent.parent / "data" / "steel_industry_2018.csv.gz"
STEP_MS = 15 * 60_000

# share of the rated power by state; `producing` is varied a little from piece to piece
SHARE = {
    "producing": 0.52,
    "setup": 0.18,
    "idle": 0.08,
    "stopped": 0.10,
    "fault": 0.06,
    "blocked": 0.12,
    "starved": 0.12,
    "maintenance": 0.05,
    "off": 0.02,
}


TAN_LOADED, TAN_IDLE, TAN_COMPRESSOR = (math.tan(math.acos(pf)) for pf in (0.86, 0.62, 0.84))  # inductive var that goes with a watt


class Load:
    """One meter's load over time. Wh and varh since the meter was new."""

    __slots__ = ("_at_ms", "_var", "_varh", "_watts", "_wh")

    def __init__(self, at_ms: int, wh: float, varh: float) -> None:
        self._at_ms, self._wh, self._varh = at_ms, wh, varh
        self._watts = self._var = 0.0

    @property
    def watts(self) -> float:
        return self._watts

    @property
    def var(self) -> float:
        return self._var

    def set(self, at_ms: int, watts: float, var: float) -> None:
        self._wh, self._varh = self.totals(at_ms)
        self._at_ms, self._watts, self._var = at_ms, watts, var

    def totals(self, at_ms: int) -> tuple[float, float]:
        """(Wh, varh) at `at_ms`, which must not lie before the last change of load."""
        hours = max(0, at_ms - self._at_ms) / 3_600_000
        return self._wh + self._watts * hours, self._varh + self._var * hours


@lru_cache(maxsize=1)
def _year() -> list[tuple[float, float]]:
    """(kWh, lagging kvarh) of the 35,040 quarter hours of 2018, beginning with 00:00–00:15 of 1 January."""
    with gzip.open(DATA, "rt", encoding="ascii") as file:
        rows = [line for line in file if not line.startswith("#")]
    return [(float(kwh), float(kvarh)) for kwh, kvarh in (row.split(",") for row in rows)]


def base_load(local: datetime) -> tuple[float, float]:
    """(W, var) of the steel plant's real year in the quarter hour that holds this local time; 29 February repeats the 28th."""
    day = min(local.day, 28) if local.month == 2 else local.day
    in_2018 = datetime(2018, local.month, day, local.hour, local.minute)  # noqa: DTZ001 - local wall time of the replayed year
    index = int((in_2018 - datetime(2018, 1, 1)).total_seconds() // 900)  # noqa: DTZ001
    kwh, kvarh = _year()[index]
    return kwh * 4000.0, kvarh * 4000.0
