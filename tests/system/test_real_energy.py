"""A real year of a steel plant (UCI 851), from Modbus registers to the public API: edge agent, embedded broker, server, every figure golden.

Agent, meter and server share one clock that moves as fast as the agent polls. Nothing is fed by hand: the only way in is the meter's registers,
the only way out is HTTP.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from edge_agent.contract.clock import iso
from tests.mes_server.conftest import empty_sqlite  # noqa: F401  the migrated store to copy
from tests.support import steel
from tests.support.edge import config_text, running
from tests.support.plant_model import SMALL_PLANT
from tests.support.seeing import rows
from tests.support.server import RunningServer, copy_sqlite, make_settings, running_server
from tests.support.steel import QUARTER_MS
from tests.support.wait import eventually

ZONE = ZoneInfo("Asia/Shanghai")
START = steel.start_ms(ZONE)
INCOMER = {
    "code": "INC-01", "name_zh": "总进线", "name_en": "Incomer", "kind": "incomer", "rated_power_w": 2e6, "edge": "EDGE-L1", "device": "INC-01",
}  # fmt: skip


def through_everything(folder: Path, template: Path, quarters: int, seconds: float, check: Callable[[RunningServer], None]) -> None:
    """Lets the first `quarters` quarter hours of the year pass through the whole product, then asks it."""
    end = START + quarters * QUARTER_MS
    clock = steel.ReplayClock(START - QUARTER_MS // 2, end + QUARTER_MS // 2)
    copy_sqlite(template, folder / "data")
    settings = make_settings(folder / "data", broker__kind="embedded", broker__port=0, telemetry__kind="duckdb")
    with running_server(settings, clock) as server, steel.SteelMeter(clock, ZONE, quarters) as meter:
        model = copy.deepcopy(SMALL_PLANT)
        model["meters"].append(INCOMER)
        server.act(server.client(), "/plant", "PUT", model=model)
        credentials = folder / "data/broker/users/EDGE-L1.json"
        eventually(credentials.exists, 10, why="the broker's user of the edge")
        config = folder / "edge.toml"
        config.write_text(config_text(credentials, steel.source(meter.port), more="[delivery]\nheartbeat_s = 300.0\n"))
        with running(config, clock=clock):
            eventually(lambda: _last_reading(server, end), seconds, why="the last reading", every=0.3)
            check(server)


def _last_reading(server: RunningServer, end: int) -> bool:
    (load,) = rows(server, "/energy/load", meters="INC-01", from_=iso(end - QUARTER_MS), to=iso(end), bucket_s=900)
    return bool(load["points"][-1]["wh"] is not None and server.clock.now_ms() >= end and _summary(server, end - QUARTER_MS, end)["coverage"] == 1.0)


def _summary(server: RunningServer, from_ms: int, to_ms: int) -> dict[str, Any]:
    found = rows(server, "/energy/summary", from_=iso(from_ms), to=iso(to_ms))["meters"]
    return next(one for one in found if one["meter"] == "INC-01")


def check_months(server: RunningServer, count: int) -> None:
    """Every month by /energy/months: kWh, power factor, peak demand; and the same month by /energy/load and /energy/summary."""
    wh, _ = steel.intervals()
    borders = steel.month_borders_ms(ZONE)
    months = rows(server, "/energy/months", year=2018, meter="INC-01")[:count]
    assert [round(one["wh"] / 1000, 2) for one in months] == steel.MONTHS_KWH[:count]
    assert [round(one["demand_w_max_15min"] / 1000, 2) for one in months] == steel.MONTHS_PEAK_KW[:count]
    assert [round(one["pf"], 4) for one in months] == steel.MONTHS_PF[:count]
    assert all((one["coverage"], one["estimated_share"]) == (1.0, 0.0) for one in months)
    for month, (low, high) in enumerate(pairwise(borders[: count + 1])):
        first, last = (low - START) // QUARTER_MS, (high - START) // QUARTER_MS
        (load,) = rows(server, "/energy/load", meters="INC-01", from_=iso(low), to=iso(high), bucket_s=900)
        assert [round(point["wh"]) for point in load["points"]] == wh[first:last]
        assert not any(point["estimated"] for point in load["points"])
        peak = max(load["points"], key=lambda point: point["w_mean"])
        found = _summary(server, low, high)
        assert (round(found["wh"] / 1000, 2), round(found["pf"], 4)) == (steel.MONTHS_KWH[month], steel.MONTHS_PF[month])
        assert round(found["w_max_15min"] / 1000, 2) == steel.MONTHS_PEAK_KW[month] == round(peak["w_mean"] / 1000, 2)
        assert found["w_max_at"] == peak["at"] == months[month]["demand_at"]


def test_a_real_month_from_registers_to_the_api_is_exact(tmp_path: Path, empty_sqlite: Path) -> None:  # noqa: F811
    through_everything(tmp_path, empty_sqlite, 31 * 96, 90, lambda server: check_months(server, 1))


@pytest.mark.full
@pytest.mark.timeout(900)
def test_a_real_year_from_registers_to_the_api_is_exact(tmp_path: Path, empty_sqlite: Path) -> None:  # noqa: F811
    def check(server: RunningServer) -> None:
        check_months(server, 12)
        months = rows(server, "/energy/months", year=2018, meter="INC-01")
        kwh, kvarh = sum(one["wh"] for one in months) / 1000, sum(one["varh"] for one in months) / 1000
        assert (round(kwh, 2), round(kvarh, 2)) == (steel.YEAR_KWH, steel.YEAR_KVARH)
        assert round(kwh / math.hypot(kwh, kvarh), 6) == steel.YEAR_PF
        assert months[10]["demand_at"] == iso(steel.peak_ms(ZONE))
        borders = steel.month_borders_ms(ZONE)
        (load,) = rows(server, "/energy/load", meters="INC-01", from_=iso(borders[0]), to=iso(borders[12]), bucket_s=900)
        assert round(sum(point["wh"] for point in load["points"]) / 1000, 2) == steel.YEAR_KWH
        peak = max(load["points"], key=lambda point: point["w_mean"])
        assert (round(peak["w_mean"] / 1000, 2), peak["at"]) == (steel.PEAK_KW, iso(steel.peak_ms(ZONE)))

    through_everything(tmp_path, empty_sqlite, steel.QUARTERS_OF_YEAR, 600, check)
