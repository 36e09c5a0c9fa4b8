"""The real year of a steel plant (UCI data set 851, CC BY 4.0) as running totals: kWh, peak demand and its interval, power factor."""

from __future__ import annotations

import copy
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from edge_agent.contract.clock import iso
from mes_server.energy import rules
from mes_server.energy import service as energy
from mes_server.energy.schemas import ReadingFact
from mes_server.machine_states.schemas import WatchFact
from tests.support import steel
from tests.support.plant_model import SMALL_PLANT
from tests.support.seeing import SOURCE, Facts, feed, rows
from tests.support.server import RunningServer
from tests.support.steel import QUARTER_MS

ZONE = ZoneInfo("Asia/Shanghai")
START, PEAK_MS = steel.start_ms(ZONE), steel.peak_ms(ZONE)


@pytest.fixture(scope="module")
def readings() -> list[ReadingFact]:
    """35,041 readings: the baseline at the start of the year, then one at the END of each quarter hour."""
    active, lagging = (accumulate(map(float, values), initial=0.0) for values in steel.intervals())
    return [ReadingFact("INC-01", START + n * QUARTER_MS, wh, None, varh) for n, (wh, varh) in enumerate(zip(active, lagging, strict=True))]


def with_incomer() -> dict[str, Any]:
    model = copy.deepcopy(SMALL_PLANT)
    model["meters"].append(
        {"code": "INC-01", "name_zh": "总进线", "name_en": "Incomer", "kind": "incomer", "rated_power_w": 800_000.0, "edge": "E", "device": "INC-01"}
    )
    return model


def test_year_months_demand_and_power_factor_equal_the_golden_numbers(any_server: RunningServer, readings: list[ReadingFact]) -> None:
    any_server.act(any_server.client(), "/plant", "PUT", model=with_incomer())
    end = readings[-1].at_ms
    batches = [Facts(readings=readings[low : low + 4_000]) for low in range(0, len(readings), 4_000)]
    feed(any_server, [*batches, Facts(watches=[WatchFact("INC-01", SOURCE, START, end)])])
    any_server.clock.set_ms(end)
    months = rows(any_server, "/energy/months", year=2018, meter="INC-01")
    assert [round(one["wh"] / 1000, 2) for one in months] == steel.MONTHS_KWH
    assert [round(one["demand_w_max_15min"] / 1000, 2) for one in months] == steel.MONTHS_PEAK_KW
    assert [round(one["pf"], 4) for one in months] == steel.MONTHS_PF
    assert months[10]["demand_at"] == iso(PEAK_MS)
    assert all((one["coverage"], one["estimated_share"]) == (1.0, 0.0) for one in months)
    with any_server.kit.db.read() as session:
        (active,) = energy.series(session, ["INC-01"], START, end).values()
        (lagging,) = energy.series(session, ["INC-01"], START, end, "reactive_varh").values()
    year, reactive = rules.used(active, START, end).total, rules.used(lagging, START, end).total
    assert year is not None and reactive is not None
    assert (round(year / 1000, 2), round(reactive / 1000, 2)) == (steel.YEAR_KWH, steel.YEAR_KVARH)
    assert rules.power_factor(year, reactive) == pytest.approx(steel.YEAR_PF, abs=1e-6)
    half_hours = rules.demand_block(active, range(START, end + 1, 2 * QUARTER_MS))
    sliding = rules.demand_sliding(active, START, end, window_s=1800, step_s=900)
    hours = rules.demand_block(active, range(START, end + 1, 4 * QUARTER_MS))
    assert half_hours is not None and sliding is not None and hours is not None
    assert (half_hours.w, sliding.w, hours.w) == pytest.approx((587_160.0, 598_820.0, 564_300.0), abs=0.01)


def test_a_quarter_hour_in_the_load_profile_is_the_one_that_begins_there(server: RunningServer, readings: list[ReadingFact]) -> None:
    """The trap: the source's stamps are interval ends. 628.72 kW were drawn from 09:30 to 09:45."""
    server.act(server.client(), "/plant", "PUT", model=with_incomer())
    near = [one for one in readings if abs(one.at_ms - PEAK_MS) <= 4 * QUARTER_MS]
    feed(server, [Facts(readings=near, watches=[WatchFact("INC-01", SOURCE, near[0].at_ms, near[-1].at_ms)])])
    (load,) = rows(server, "/energy/load", meters="INC-01", from_=iso(PEAK_MS - QUARTER_MS), to=iso(PEAK_MS + 2 * QUARTER_MS), bucket_s=900)
    assert [(one["at"], one["w_mean"]) for one in load["points"]][1] == (iso(PEAK_MS), steel.PEAK_KW * 1000)
