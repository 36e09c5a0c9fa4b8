"""What a config would do before it does it: what is subscribed or read, how busy that makes the bus, bytes a day, hours of buffer. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent.config import AgentConfig
from edge_agent.control.change import Change
from edge_agent.control.status import Lang
from edge_agent.health import BYTES_A_RECORD, BYTES_A_VALUE_READ, BYTES_A_VALUE_TOLD
from edge_agent.pipeline.tags import DeviceSource
from edge_agent.sources.kind import Bus, DeviceMetrics
from edge_agent.sources.kinds import BY_TYPE
from edge_agent.sources.registry import resolve_devices

# Changes a second of a value that is handed in when it changes, where nothing better is known (said beside the figures).
ASSUMED_PER_S = {"state": 1 / 30, "alarm": 1 / 300, "order": 1 / 3600, "operation": 1 / 3600, "good": 1 / 15, "scrap": 1 / 300, "sample": 1.0}
WIRE_A_VALUE, WIRE_A_RECORD = 21.0, 60.0  # bytes of a Sparkplug metric by alias, of an MQTT message round it


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """`values_per_s` is measured where an agent runs this source, else computed (polled) or assumed (on change)."""

    name: str
    type: str
    devices: int
    values: int
    polled: bool
    values_per_s: float
    measured: bool
    bus: Bus | None


@dataclass(frozen=True, slots=True)
class Plan:
    sources: tuple[SourcePlan, ...]
    values_per_s: float
    buffer_bytes_per_s: float
    wire_bytes_per_day: float
    buffer_hours: float


def plan_of(config: AgentConfig, measured: Mapping[str, float] | None = None) -> Plan:
    """`measured`: source name -> values a second of a running agent. Raises ConfigInvalid (meter models)."""
    origins = resolve_devices(config)
    sources = tuple(_source_plan(name, config, origins, (measured or {}).get(name)) for name in config.sources)
    values = sum(source.values_per_s for source in sources)
    commits_per_s = 1 / config.delivery.commit_interval_s if config.delivery.commit_interval_s else float("inf")
    records = sum(min(source.values_per_s, source.devices * commits_per_s) for source in sources)  # at most one a device and commit
    columns = sum(source.values_per_s * (BYTES_A_VALUE_READ if source.polled else BYTES_A_VALUE_TOLD) for source in sources)
    buffer = columns + records * BYTES_A_RECORD
    wire = (values * WIRE_A_VALUE + records * WIRE_A_RECORD) * 86_400
    hours = config.buffer.max_mb * 1e6 / buffer / 3600 if buffer else float("inf")
    return Plan(sources, values, buffer, wire, hours)


def _source_plan(name: str, config: AgentConfig, origins: Mapping[str, DeviceSource], measured: float | None) -> SourcePlan:
    source = config.sources[name]
    mine = {device_id: DeviceMetrics(origin.metrics, origin.period_ms) for device_id, origin in origins.items() if origin.source == name}
    rate, polled = 0.0, False
    for found in mine.values():
        polled = polled or found.period_ms > 0
        for key, metric in found.metrics.items():
            period_s = getattr(metric, "period_s", None) or found.period_ms / 1000.0
            rate += 1 / period_s if found.period_ms else ASSUMED_PER_S.get(key, ASSUMED_PER_S["sample"])
    bus = BY_TYPE[source.type].bus(source, mine)
    values = sum(len(found.metrics) for found in mine.values())
    return SourcePlan(name, source.type, len(mine), values, polled, rate if measured is None else measured, measured is not None, bus)


def render(plan: Plan, lang: Lang) -> str:
    zh = lang == "zh"
    out: list[str] = []
    for source in plan.sources:
        out.append(_source_line(source, zh))
        if source.bus is not None:
            out.append(_bus_line(source.bus, zh))
    hours = "∞" if plan.buffer_hours == float("inf") else f"{plan.buffer_hours:,.0f}"
    megabytes = f"{plan.wire_bytes_per_day / 1e6:,.0f}"
    out += [
        "",
        f"合计 {plan.values_per_s:,.1f} 值/秒;上行约 {megabytes} MB/天;服务器不在时缓冲可存 {hours} 小时"
        if zh
        else f"total {plan.values_per_s:,.1f} values/s; about {megabytes} MB a day to the server; the buffer holds {hours} hours without it",
    ]
    if any(not source.measured and not source.polled for source in plan.sources):
        out.append(
            "估计:状态 30 秒变一次,良品 15 秒一件,普通采样每秒一次。代理运行时改用实测值。"
            if zh
            else "assumed: a state changes every 30 s, a piece every 15 s, a plain sample every second; a running agent's rate stands here instead."
        )
    return "\n".join(out)


def _source_line(source: SourcePlan, zh: bool) -> str:
    known = (("实测", "measured") if source.measured else ("计算", "computed") if source.polled else ("估计", "assumed"))[not zh]
    how = (("读取", "read") if source.polled else ("订阅", "subscribed"))[not zh]
    rate = f"{source.values_per_s:,.1f}"
    if zh:
        return f"{source.name} ({source.type}): {source.devices} 台设备,{source.values} 个量,{how},{rate} 值/秒({known})"
    return f"{source.name} ({source.type}): {source.devices} device(s), {source.values} values {how}, {rate} values/s ({known})"


def _bus_line(bus: Bus, zh: bool) -> str:
    warn = ("  ! 总线过载,请延长周期或减少量" if zh else "  ! the bus is overloaded: longer periods, or fewer values") if bus.busy > 0.8 else ""
    return (
        f"  总线:{bus.requests_per_s:,.1f} 次请求/秒,{bus.bytes_per_s:,.0f} 字节/秒,负载 {100 * bus.busy:,.1f}%{warn}"
        if zh
        else f"  bus: {bus.requests_per_s:,.1f} requests/s, {bus.bytes_per_s:,.0f} bytes/s, {100 * bus.busy:,.1f} % busy{warn}"
    )


def render_change(change: Change | Mapping[str, Any], lang: Lang) -> str:
    """What `apply` would do to the running agent (or did)."""
    found: Mapping[str, Any] = {key: getattr(change, key) for key in change.__dataclass_fields__} if isinstance(change, Change) else change
    zh = lang == "zh"
    words = {
        "needs_restart": ("needs a restart", "需要重启"),
        "sources_added": ("sources added", "新增数据源"),
        "sources_removed": ("sources removed", "移除数据源"),
        "sources_changed": ("sources that connect anew", "重新连接的数据源"),
        "devices_added": ("devices added", "新增设备"),
        "devices_removed": ("devices removed", "移除设备"),
        "devices_changed": ("devices changed", "变更设备"),
        "devices_interrupted": ("devices with a short gap", "短暂中断的设备"),
        "devices_untouched": ("devices untouched", "不受影响的设备"),
    }
    if not any(found[key] for key in words if key != "devices_untouched"):
        return "没有变化" if zh else "nothing changes"
    out = [f"{words[key][zh]}: {', '.join(found[key])}" for key in words if found[key]]
    if found["sources_added"] or found["sources_removed"]:
        out.append("新增或移除数据源会使所有设备重新出生(不丢数据)" if zh else "a source more or less: every device is born anew (nothing is lost)")
    return "\n".join(out)
