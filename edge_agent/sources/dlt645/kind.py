"""DL/T 645-2007 as a kind of source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from edge_agent.config_model import DeviceConfig, SourceBase
from edge_agent.errors import ConfigInvalid
from edge_agent.sources.bus.config import LINE_ZH, line_faults
from edge_agent.sources.bus.load import bus_of
from edge_agent.sources.dlt645.catalogue import KNOWN
from edge_agent.sources.dlt645.codec import Format
from edge_agent.sources.dlt645.config import Dlt645Config, Dlt645Device, Dlt645Metric
from edge_agent.sources.kind import Bus, DeviceMetrics, Kind, Sample, Setup
from edge_agent.sources.polled import with_longest_period

if TYPE_CHECKING:
    from edge_agent.sources.source import Source


def _make(setup: Setup) -> Source:
    from edge_agent.sources.dlt645.source import make

    return make(setup)


def _metrics(device_id: str, source: SourceBase, device: DeviceConfig) -> DeviceMetrics:
    """Known values with their identifier, their scale to SI units (transformers included) and the modulus of their register."""
    meter = cast("Dlt645Device", device)
    out: dict[str, Dlt645Metric] = {}
    for key in dict.fromkeys((*meter.read, *meter.metrics)):
        given = meter.metrics.get(key, Dlt645Metric())
        known = KNOWN.get(key)
        if known is None and (given.id is None or given.format is None):
            raise ConfigInvalid(
                f"Device {device_id}, metric {key}: no value of that name is known.",
                f"设备 {device_id},{key}:没有这个名称的已知量。",
                f'Write its id and format, such as {{ id = "02800002", format = "XX.XX" }}, or choose one of {", ".join(KNOWN)}.',
                f'请写 id 和 format,如 {{ id = "02800002", format = "XX.XX" }},或选用:{"、".join(KNOWN)}。',
            )
        out[key] = _resolved(meter, key, given)
    return with_longest_period(out, cast("Dlt645Config", source))


FRAME_BYTES, THINK_S = 2 * 16 + 2 * 4, 0.1  # question and answer without data, with their preambles; what a meter usually takes


def _bus(source: SourceBase, devices: Mapping[str, DeviceMetrics]) -> Bus:
    config = cast("Dlt645Config", source)
    metrics = [metric for found in devices.values() for metric in cast("Mapping[str, Dlt645Metric]", found.metrics).values()]
    return bus_of(config, ((FRAME_BYTES + form_of(metric).size, metric.period_s or config.period_s) for metric in metrics), THINK_S)


def form_of(metric: Dlt645Metric) -> Format:
    """Of a resolved metric."""
    assert metric.format is not None
    return Format.of(metric.format, bool(metric.signed))


def _resolved(meter: Dlt645Device, key: str, given: Dlt645Metric) -> Dlt645Metric:
    known = KNOWN.get(key)
    if known is None or (given.id is not None and given.id.upper() != known.id):
        return given
    ratio = (meter.ct_ratio if "c" in known.ratio else 1.0) * (meter.pt_ratio if "v" in known.ratio else 1.0)
    whole = known.format.digits - known.format.decimals
    changed = {
        "id": known.id,
        "format": given.format or "X" * whole + "." + "X" * known.format.decimals,
        "signed": known.format.signed if given.signed is None else given.signed,
        "scale": known.scale * ratio * given.scale,
    }
    if key.startswith("energy_") and given.modulus is None and given.width_bits is None:
        changed["modulus"] = 10.0**whole
    return given.model_copy(update=changed)


KIND = Kind(
    config=Dlt645Config,
    device=Dlt645Device,
    metric=Dlt645Metric,
    make=_make,
    metrics=_metrics,
    across=line_faults,
    bus=_bus,
    zh=LINE_ZH | {"dlt_format": "format 应为偶数个 X,可含一个小数点,如 XXXXXX.XX", "dlt_address": "地址最多 12 位数字(A 表示任意)"},
    sample=Sample(
        "DLT645",
        {"type": '"dlt645"', "host": '"192.0.2.30"'},
        "M-SAW-01",
        {"address": '"123456789012"', "rated_power_w": "30000"},
        ("frequency_hz = { period_s = 60 }",),
        frozenset({"min_cycle_s", "kind"}),
    ),
)
