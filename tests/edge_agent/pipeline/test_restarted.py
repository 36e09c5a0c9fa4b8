"""A counter that begins at 0 with its PLC, and has passed its old value again before anybody looks."""

from __future__ import annotations

import pytest

from edge_agent.config_model import DeviceConfig
from edge_agent.contract import names
from edge_agent.contract.names import GapCause
from edge_agent.pipeline import counters
from edge_agent.pipeline.catalogue import Catalogue
from edge_agent.pipeline.columns import Columns
from edge_agent.pipeline.pipeline import Pipeline
from edge_agent.pipeline.tags import DeviceSource, compile_tags

T0 = 1_700_000_000_000


def test_not_retentive_is_a_reset_also_above_the_old_value() -> None:
    rule = counters.CounterRule(1.0, 16.0, retentive=False)
    state = counters.CounterState(100.0, 0.0, T0)
    step = counters.read(rule, state, 120.0, T0 + 600_000, 600.0, restarted_unseen=True)
    assert step.event == "reset"
    assert step.state is not None
    assert step.state.total == 220.0
    on = counters.read(rule, step.state, 121.0, T0 + 601_000, 0.0)
    assert on.state is not None
    assert on.state.total == 221.0


def test_retentive_goes_on() -> None:
    step = counters.read(counters.CounterRule(1.0, 16.0), counters.CounterState(100.0, 0.0, T0), 120.0, T0 + 600_000, 600.0, restarted_unseen=True)
    assert step.state is not None
    assert (step.event, step.state.total) == ("", 120.0)


@pytest.mark.parametrize(("restarted", "total"), [(True, 260), (False, 160)])
def test_the_source_tells_that_it_began_anew(restarted: bool, total: int) -> None:
    device = DeviceConfig.model_validate({"min_cycle_s": 1.0, "metrics": {"good": {"retentive": False}}})
    plan = compile_tags({"M": DeviceSource("P", device, device.metrics, 0)})
    catalogue = Catalogue()
    pipeline = Pipeline(plan, catalogue, {})

    def told(t: int, value: int) -> None:
        pipeline.push(Columns.of([(0, T0 + t, 10, float(value))]))

    pipeline.resume([0], T0)
    told(1, 100)
    pipeline.advance([0], T0 + 1000)
    pipeline.drain()
    pipeline.lost([0], GapCause.SOURCE_LOST)
    pipeline.resume([0], T0 + 600_000, restarted=restarted)
    told(600_001, 160)  # also where the gap has closed by then
    pipeline.advance([0], T0 + 700_000)
    rows = [row for record in pipeline.drain() for row in record.columns.rows()]
    assert [row[3] for row in rows if catalogue.by_alias[row[0]].name == names.GOOD_TOTAL] == [total]
