"""OPC UA as a kind of source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from edge_agent.config_model import DeviceConfig, MetricConfig, SourceBase
from edge_agent.sources.kind import DeviceMetrics, Fault, Kind, Sample, Setup
from edge_agent.sources.opcua.cautions import cautions
from edge_agent.sources.opcua.companion import MODELS, keys_of, states_of
from edge_agent.sources.opcua.config import OpcUaConfig, OpcUaDevice, OpcUaMetric

if TYPE_CHECKING:
    from edge_agent.sources.source import Source


def _make(setup: Setup) -> Source:
    from edge_agent.sources.opcua.source import OpcUaSource

    config = cast("OpcUaConfig", setup.config)
    return OpcUaSource(setup, config)


def _across(raw: Mapping[str, Any]) -> Iterator[Fault]:
    untold = raw.get("trust") == "fingerprint" and not raw.get("server_fingerprint")
    if untold and raw.get("security", "best") != "none":
        yield Fault(("trust",), "fingerprint_missing", 'server_fingerprint is missing; give it, or write trust = "person"')
    if ("user_certificate" in raw) != ("user_key" in raw):
        yield Fault(("user_certificate",), "user_key_missing", "user_certificate and user_key belong together; give both")
    devices = raw.get("devices")
    for device_id, device in devices.items() if isinstance(devices, dict) else ():
        metrics = device.get("metrics") if isinstance(device, dict) else None
        for metric, given in metrics.items() if isinstance(metrics, dict) else ():
            node, events = (given.get("node"), given.get("events")) if isinstance(given, dict) else (None, None)
            path = ("devices", device_id, "metrics", metric)
            if events is not None and (node is not None or metric != "alarm"):
                yield Fault(path, "events_here", "events stands at the alarm only, instead of node; remove one of the two")
            if node is None and device.get("model") in (*MODELS, "auto") and metric in keys_of(device["model"]):
                continue
            node = node if node is not None else events
            if node is None:
                yield Fault(path, "node_missing", "node is missing; add it (`browse` lists them)")
            elif "namespace" not in device and not str(node).startswith("nsu="):
                yield Fault(path, "namespace_missing", "the device's namespace is missing (the URI, not the index); add it")


def _metrics(device_id: str, source: SourceBase, device: DeviceConfig) -> DeviceMetrics:
    """The model's metrics, with what the config says of them."""
    given = cast("OpcUaDevice", device)
    if given.model is None:
        return DeviceMetrics(given.metrics)
    out: dict[str, MetricConfig] = {}
    for key in (*keys_of(given.model), *given.metrics):
        metric = given.metrics.get(key, OpcUaMetric())
        if key == "state" and metric.node is None and metric.states is None:
            metric = metric.model_copy(update={"states": states_of(given.model)})
        out[key] = metric
    return DeviceMetrics(out)


def _cautions(source: SourceBase) -> list[tuple[str, str]]:
    return cautions(cast("OpcUaConfig", source))


KIND = Kind(
    config=OpcUaConfig,
    device=OpcUaDevice,
    metric=OpcUaMetric,
    make=_make,
    metrics=_metrics,
    across=_across,
    zh={
        "node_form": "node 格式应为 s=名称、i=数字 或 nsu=URI;s=名称",
        "fingerprint_missing": 'trust = "fingerprint" 需要 server_fingerprint,或写 trust = "person"',
        "user_key_missing": "user_certificate 和 user_key 须同时给出",
        "node_missing": "缺少 node",
        "events_here": "events 只能用于 alarm,并代替 node",
        "namespace_missing": "缺少 namespace(写 URI,不写序号)",
    },
    cautions=_cautions,
    files=frozenset({"password_file", "user_certificate", "user_key"}),
    folders={"pki_dir": "pki"},
    sample=Sample(
        "PLC-L1",
        {"type": '"opcua"', "url": '"opc.tcp://192.0.2.10:4840"'},
        "SAW-01",
        {"kind": '"machine"', "namespace": '"urn:example:plc"', "node_prefix": '"SAW-01."'},
        (
            'state = { node = "s=State", states = "packml" }',
            'good = { node = "s=GoodCount", width_bits = 16 }',
            'scrap = { node = "s=ScrapCount", width_bits = 16 }',
            'alarm = { node = "s=AlarmCode" }',
            'order = { node = "s=Order" }',
            'spindle_temperature_c = { node = "s=SpindleTemperature", deadband = 0.2 }',
        ),
        frozenset({"rated_power_w"}),
    ),
)
