"""MQTT as a kind of source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from edge_agent.config_model import DeviceConfig, SourceBase
from edge_agent.sources.kind import DeviceMetrics, Fault, Kind, Sample, Setup
from edge_agent.sources.mqtt.config import MqttConfig, MqttDevice, MqttMetric

if TYPE_CHECKING:
    from edge_agent.sources.source import Source

METER_REPORT_S = 10.0


def _make(setup: Setup) -> Source:
    from edge_agent.sources.mqtt.source import MqttSource

    return MqttSource(setup)


def _metrics(device_id: str, source: SourceBase, device: DeviceConfig) -> DeviceMetrics:
    given = cast("MqttDevice", device).report_s
    report_s = given if given is not None else METER_REPORT_S if device.kind == "meter" else 0.0
    return DeviceMetrics(device.metrics, round(report_s * 1000))


def _across(raw: Mapping[str, Any]) -> Iterator[Fault]:
    devices = raw.get("devices")
    for device_id, device in devices.items() if isinstance(devices, dict) else ():
        if not isinstance(device, dict):
            continue
        path = ("devices", device_id)
        metrics = device.get("metrics")
        topics = {key: metric.get("topic") for key, metric in metrics.items() if isinstance(metric, dict)} if isinstance(metrics, dict) else {}
        if "sparkplug" in device:
            if "topic" in device or any(topics.values()):
                yield Fault(path, "mqtt_topic", "say where its values come from: topic (of the device or its metrics) or sparkplug, one of the two")
        elif "topic" not in device and not all(topics.values()):
            yield Fault(path, "mqtt_topic", "say where its values come from: topic (of the device or its metrics) or sparkplug, one of the two")
        named = [device.get("topic"), device.get("alive_topic"), device.get("topic_prefix"), *topics.values()]
        if any(isinstance(topic, str) and ("+" in topic or "#" in topic) for topic in named):
            yield Fault(path, "mqtt_wildcard", "a device's topic has no + and #: `browse` lists the topics there are")


KIND = Kind(
    config=MqttConfig,
    device=MqttDevice,
    metric=MqttMetric,
    make=_make,
    metrics=_metrics,
    across=_across,
    zh={
        "json_path": "路径写法有误,如 ENERGY.Power、phases[0].u、devs[id=M1].val",
        "time_zone": "没有这个时区,如 Asia/Shanghai",
        "mqtt_topic": "请写 topic(设备或各量的主题)或 sparkplug,二选一",
        "mqtt_wildcard": "设备主题中不能有 + 和 #;可用 `browse` 列出现有主题",
    },
    files=frozenset({"password_file", "ca_file", "cert_file", "key_file"}),
    sample=Sample(
        "MQTT",
        {"type": '"mqtt"', "host": '"192.0.2.40"'},
        "M-OVEN-01",
        {"kind": '"meter"', "topic": '"tele/oven/SENSOR"', "time": '"Time"', "time_zone": '"Asia/Shanghai"', "rated_power_w": "30000"},
        (
            'energy_import_wh = { path = "ENERGY.Total", scale = 1000 }',
            'power_w = { path = "ENERGY.Power" }',
        ),
        frozenset({"min_cycle_s"}),
    ),
)
