"""MTConnect as a kind of source."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from edge_agent.config_model import DeviceConfig, MetricConfig, SourceBase
from edge_agent.contract.names import MachineState
from edge_agent.errors import ConfigInvalid
from edge_agent.sources.kind import DeviceMetrics, Kind, Sample, Setup
from edge_agent.sources.mtconnect.config import CONDITIONS, MtconnectConfig, MtconnectDevice, MtconnectMetric

if TYPE_CHECKING:
    from edge_agent.sources.source import Source


def _make(setup: Setup) -> Source:
    from edge_agent.sources.mtconnect.source import MtconnectSource

    return MtconnectSource(setup)


def _metrics(device_id: str, source: SourceBase, device: DeviceConfig) -> DeviceMetrics:
    """The state is MTConnect's Execution when nothing else is said; a table of codes need not name UNAVAILABLE."""
    out: dict[str, MetricConfig] = {}
    for key, metric in device.metrics.items():
        if key != "alarm" and cast("MtconnectMetric", metric).item == CONDITIONS:
            raise ConfigInvalid(
                f"Device {device_id}, metric {key}: only the alarm can be read from all conditions.",
                f"设备 {device_id},{key}:只有 alarm 可以取自全部报警条件。",
                'Write alarm = { item = "conditions" }, or name one data item.',
                '请写 alarm = { item = "conditions" },或指定一个数据项。',
            )
        if key == "state" and metric.states is None:
            metric = metric.model_copy(update={"states": "mtconnect"})
        elif key == "state" and isinstance(metric.states, dict):
            metric = metric.model_copy(update={"states": {"unavailable": MachineState.NO_DATA, **metric.states}})
        out[key] = metric
    return DeviceMetrics(out)


KIND = Kind(
    config=MtconnectConfig,
    device=MtconnectDevice,
    metric=MtconnectMetric,
    make=_make,
    metrics=_metrics,
    files=frozenset({"ca_file"}),
    sample=Sample(
        "CELL-1",
        {"type": '"mtconnect"', "url": '"http://192.0.2.40:5000"'},
        "LAT-01",
        {"kind": '"machine"', "min_cycle_s": "20"},
        (
            'state = { item = "EXECUTION" }',
            'good = { item = "PART_COUNT" }',
            'operation = { item = "PROGRAM" }',
            'alarm = { item = "conditions" }',
            'spindle_load_pct = { item = "S1load", deadband = 1 }',
        ),
        frozenset({"rated_power_w"}),
    ),
)
