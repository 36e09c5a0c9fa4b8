"""Config of an OPC UA source: endpoint, security, subscription; devices by namespace, metrics by node."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from edge_agent.config_model import DeviceConfig, Id, MetricConfig, MetricName, SourceBase, option
from edge_agent.sources.opcua.companion import keys_of

_NODE = re.compile(r"(nsu=[^;]+;)?[isgb]=.+")


class OpcUaMetric(MetricConfig):
    """A value and its node."""

    node: str | None = option(
        None,
        "OPC UA node: s=…, i=…, g=… or b=…; the device's namespace is used unless nsu=URI; stands before",
        "OPC UA 节点;未写 nsu= 时用设备的命名空间",
    )

    events: str | None = option(
        None,
        "alarm only, instead of node: the machine's object; its active alarm conditions (OPC UA events) make the alarm",
        "仅用于 alarm,代替 node:设备对象的节点;其活动的报警条件(OPC UA 事件)即为报警",
    )

    deadband_percent: float = option(
        0.0,
        "plain samples: changes smaller than this share of the node's range (EURange) are not sent; a server that cannot is asked for `deadband`",
        "普通采样:小于量程(EURange)此百分比的变化由服务器过滤;不支持时改用 deadband",
        "%",
        ge=0,
        le=100,
    )
    max_silence_s: float | None = option(
        None,
        "no change for this long: the node is read; if it holds another value its monitored item had died and is made anew",
        "超过此时间无变化则直接读取该节点;若值不同,说明监控项已失效,将重新创建",
        "s",
        ge=1,
        le=86400,
    )

    @field_validator("node", "events")
    @classmethod
    def _node_form(cls, value: str | None) -> str | None:
        if value is not None and not _NODE.fullmatch(value):
            raise PydanticCustomError("node_form", "node {value} is not of the form s=Name, i=1234, or nsu=urn:plc;s=Name", {"value": repr(value)})
        return value


class OpcUaDevice(DeviceConfig):
    """A machine or meter whose nodes share a namespace."""

    namespace: str | None = option(None, "OPC UA namespace URI of its nodes (the index is looked up at every connect)", "OPC UA 命名空间 URI")
    node_prefix: str = option("", "put before every string identifier (s=)", "加在每个字符串标识前")
    model: Literal["auto", "opc40001", "opc40501", "packml"] | None = option(
        None,
        "a companion model (OPC 40001-1, OPC 40501-1, PackML) gives state, counters and more without nodes; auto = by the types of the server",
        "配套规范(OPC 40001-1、OPC 40501-1、PackML):状态与计数无需写 node;auto = 按服务器中的类型识别",
    )
    root: str | None = option(
        None,
        "with model: the node of the machine's object; not needed when the server has only one",
        "配合 model:设备对象的节点;服务器只有一台时可不写",
    )
    metrics: Mapping[MetricName, OpcUaMetric] = option({}, "name -> where it is read", "名称 → 读取位置")

    @field_validator("root")
    @classmethod
    def _root_form(cls, value: str | None) -> str | None:
        return OpcUaMetric._node_form(value)


class OpcUaConfig(SourceBase):
    """A PLC or gateway that speaks OPC UA."""

    type: Literal["opcua"]
    url: str = option("opc.tcp://127.0.0.1:4840", "endpoint address", "端点地址", pattern=r"^opc\.tcp://[^\s/]+.*$")
    security: Literal["best", "none", "Aes256Sha256RsaPss", "Aes128Sha256RsaOaep", "Basic256Sha256", "Basic256", "Basic128Rsa15"] = option(
        "best",
        "best = the strongest policy the server offers; none = unencrypted; Basic256 and Basic128Rsa15 are broken, for old servers only",
        "best = 服务器提供的最强策略;none = 不加密;Basic256、Basic128Rsa15 已不安全,仅用于旧服务器",
    )
    security_mode: Literal["SignAndEncrypt", "Sign"] = option(
        "SignAndEncrypt", "Sign = values can be read by anybody on the network, but not forged", "Sign = 只签名,内容可被旁人读取但不能伪造"
    )
    user: str | None = option(None, "user name; anonymous when not given", "用户名,缺省匿名")
    password_file: Path | None = option(None, "file whose first line is the password; it is never sent in the clear", "密码文件;密码绝不以明文发送")
    user_certificate: Path | None = option(None, "a user by certificate instead of a password (DER or PEM)", "以证书代替密码登录(DER 或 PEM)")
    user_key: Path | None = option(None, "key of the user's certificate (DER or PEM, without a password)", "用户证书的私钥(DER 或 PEM,无密码)")
    trust: Literal["person", "fingerprint", "first_use"] = option(
        "person",
        "person = a certificate that `gemba-edge trust` kept, or one signed by an authority in pki_dir/trusted-ca; "
        "fingerprint = only server_fingerprint; first_use = the certificate met first is kept and must stay the same",
        "信任方式:person = 经 `gemba-edge trust` 确认或由 pki_dir/trusted-ca 中的机构签发;fingerprint = 仅指纹;first_use = 首次使用",
    )
    server_fingerprint: str | None = option(
        None, "SHA-256 of the server's certificate, 64 hex digits (`gemba-edge trust` shows it); when given it must match", "服务器证书 SHA-256 指纹"
    )
    allow_expired: bool = option(
        False,
        "a server certificate that ended or is not yet valid is accepted (a PLC without a clock)",
        "接受过期或尚未生效的服务器证书(无时钟的 PLC)",
    )
    pki_dir: Path = option(Path("pki"), "own certificate and key (made at first use) and trusted servers", "自身证书与受信服务器目录")
    publishing_interval_s: float = option(0.1, "how often the server sends changes", "发布间隔", "s", ge=0.005, le=60)
    sampling_interval_s: float = option(0.0, "how often the server looks; 0 = as fast as it can", "采样间隔,0 为最快", "s", ge=0, le=60)
    queue_size: int = option(1000, "values the server keeps an item between two sendings, at least", "每项队列长度下限", ge=2, le=100_000)
    items_per_call: int | None = option(
        None,
        "monitored items made in one request; by the kind of server when not given (S7-1200 100, S7-1500 500, Kepware 1000, others 500)",
        "每次创建的监控项数;不填时按服务器类型(S7-1200 100、S7-1500 500、Kepware 1000、其他 500)",
        ge=1,
        le=10_000,
    )
    resume_s: float = option(
        60.0,
        "how long the server keeps collecting for this agent while it is away (restart, update, cut cable); 0: not at all",
        "网关离线(重启、升级、断线)时服务器继续为其保留数据的时间;0 表示不保留",
        "s",
        ge=0,
        le=3600,
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
            raise PydanticCustomError("fingerprint_missing", 'trust = "fingerprint" needs server_fingerprint; or write trust = "person"', {})
        if (self.user_certificate is None) != (self.user_key is None):
            raise PydanticCustomError("user_key_missing", "user_certificate and user_key belong together", {})
        for device_id, device in self.devices.items():
            for name, metric in device.metrics.items():
                if metric.events is not None and (metric.node is not None or name != "alarm"):
                    raise PydanticCustomError(
                        "events_here",
                        "device {device}, metric {metric}: events stands at the alarm, instead of node",
                        {"device": device_id, "metric": name},
                    )
                if metric.node is None and device.model is not None and name in keys_of(device.model):
                    continue
                node = metric.node or metric.events
                if node is None:
                    raise PydanticCustomError(
                        "node_missing", "device {device}, metric {metric}: node is missing", {"device": device_id, "metric": name}
                    )
                if device.namespace is None and not node.startswith("nsu="):
                    raise PydanticCustomError(
                        "namespace_missing", "device {device}: namespace is missing (the URI, not the index)", {"device": device_id}
                    )
        return self
