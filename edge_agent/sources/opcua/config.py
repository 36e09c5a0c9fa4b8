"""Config of an OPC UA source: endpoint, security, subscription; devices by namespace, metrics by node."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from edge_agent.config_model import DeviceConfig, Id, MetricConfig, MetricName, SourceBase, option

_NODE = re.compile(r"(nsu=[^;]+;)?[isgb]=.+")


class OpcUaMetric(MetricConfig):
    """A value and its node."""

    node: str | None = option(
        None,
        "OPC UA node: s=…, i=…, g=… or b=…; the device's namespace is used unless nsu=URI; stands before",
        "OPC UA 节点;未写 nsu= 时用设备的命名空间",
    )

    @field_validator("node")
    @classmethod
    def _node_form(cls, value: str | None) -> str | None:
        if value is not None and not _NODE.fullmatch(value):
            raise PydanticCustomError("node_form", "node {value} is not of the form s=Name, i=1234, or nsu=urn:plc;s=Name", {"value": repr(value)})
        return value


class OpcUaDevice(DeviceConfig):
    """A machine or meter whose nodes share a namespace."""

    namespace: str | None = option(None, "OPC UA namespace URI of its nodes (the index is looked up at every connect)", "OPC UA 命名空间 URI")
    node_prefix: str = option("", "put before every string identifier (s=)", "加在每个字符串标识前")
    metrics: Mapping[MetricName, OpcUaMetric] = option({}, "name -> where it is read", "名称 → 读取位置")


class OpcUaConfig(SourceBase):
    """A PLC or gateway that speaks OPC UA."""

    type: Literal["opcua"]
    url: str = option("opc.tcp://127.0.0.1:4840", "endpoint address", "端点地址", pattern=r"^opc\.tcp://[^\s/]+.*$")
    security: Literal["best", "none", "Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"] = option(
        "best", "best = the strongest SignAndEncrypt policy the server offers; none = unencrypted", "best = 服务器提供的最强加密策略;none = 不加密"
    )
    user: str | None = option(None, "user name; anonymous when not given", "用户名,缺省匿名")
    password_file: Path | None = option(None, "file whose first line is the password", "密码文件")
    trust: Literal["fingerprint", "first_use"] = option(
        "fingerprint",
        "fingerprint = server_fingerprint must match; first_use = the certificate met first is kept in pki_dir and must stay the same",
        "信任方式:指纹 / 首次使用",
    )
    server_fingerprint: str | None = option(
        None, "SHA-256 of the server's certificate, 64 hex digits (read-once prints it)", "服务器证书 SHA-256 指纹"
    )
    pki_dir: Path = option(Path("pki"), "own certificate and key (made at first use) and trusted servers", "自身证书与受信服务器目录")
    publishing_interval_s: float = option(0.1, "how often the server sends changes", "发布间隔", "s", ge=0.005, le=60)
    sampling_interval_s: float = option(0.0, "how often the server looks; 0 = as fast as it can", "采样间隔,0 为最快", "s", ge=0, le=60)
    queue_size: int = option(100, "values the server keeps an item between two sendings, at least", "每项队列长度下限", ge=2, le=100_000)
    items_per_call: int = option(
        100, "monitored items made in one request (an S7-1200 is 50 times slower above 200)", "每次创建的监控项数", ge=1, le=10_000
    )
    max_clock_skew_s: float = option(
        3600.0,
        "plant seconds a source's clock may differ before its stamps are replaced by the time of arrival",
        "源时钟允许偏差(工厂时间)",
        "s",
        gt=0,
    )
    devices: Mapping[Id, OpcUaDevice] = option({}, "machines and meters behind this source", "该数据源下的设备与电表", min_length=1)

    @model_validator(mode="after")
    def _trust_complete(self) -> OpcUaConfig:
        if self.security != "none" and self.trust == "fingerprint" and not self.server_fingerprint:
            raise PydanticCustomError("fingerprint_missing", 'trust = "fingerprint" needs server_fingerprint; or write trust = "first_use"', {})
        for device_id, device in self.devices.items():
            for name, metric in device.metrics.items():
                if metric.node is None:
                    raise PydanticCustomError(
                        "node_missing", "device {device}, metric {metric}: node is missing", {"device": device_id, "metric": name}
                    )
                if device.namespace is None and not metric.node.startswith("nsu="):
                    raise PydanticCustomError(
                        "namespace_missing", "device {device}: namespace is missing (the URI, not the index)", {"device": device_id}
                    )
        return self
