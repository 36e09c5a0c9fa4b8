"""Config of an MQTT source: a broker; devices by topic (JSON or plain text) or by Sparkplug node; metrics by path or name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from edge_agent.config_model import DeviceConfig, Id, MetricConfig, MetricName, SourceBase, option
from edge_agent.contract.topics import ID_PATTERN
from edge_agent.sources.mqtt.jsonpath import BadPath, parse
from edge_agent.sources.mqtt.stamps import TimeUnit


class MqttMetric(MetricConfig):
    """A value: where it stands in a message, or its name in a Sparkplug node."""

    topic: str | None = option(None, "topic behind topic_prefix; the device's when not given", "主题(接在 topic_prefix 之后),缺省用设备的")
    path: str = option(
        "",
        "where the value stands in a JSON message: ENERGY.Power, phases[0].u, devs[id=M1].val; empty: the message itself",
        "值在 JSON 中的位置,如 ENERGY.Power、phases[0].u、devs[id=M1].val;空为整条消息",
    )
    name: str | None = option(None, "the metric's name in the Sparkplug node; the key when not given", "Sparkplug 中的量名,缺省同键名")

    @field_validator("path")
    @classmethod
    def _path(cls, value: str) -> str:
        try:
            parse(value)
        except BadPath as error:
            raise PydanticCustomError("json_path", "path {words}", {"words": str(error)}) from error
        return value


class MqttDevice(DeviceConfig):
    """A meter or machine that speaks MQTT by itself, through a gateway, or as part of a Sparkplug edge node."""

    topic: str | None = option(None, "topic behind topic_prefix where its messages come", "消息主题(接在 topic_prefix 之后)")
    topic_prefix: str = option("", "put before each topic of this device", "本设备各主题的前缀")
    sparkplug: str | None = option(
        None,
        "instead of topics: GROUP/EDGE/DEVICE of a Sparkplug edge node, or GROUP/EDGE for the node's own metrics",
        "代替主题:Sparkplug 的 组/节点/设备,或 组/节点(节点自身的量)",
        pattern=f"^{ID_PATTERN}/{ID_PATTERN}(/{ID_PATTERN})?$",
    )
    time: str = option("", "path of the time in the message; when empty a value bears the moment it arrives", "消息中时间的位置;空则以到达时刻为准")
    time_unit: TimeUnit = option("auto", "of a time that is a number: s, ms or us since 1970", "数字时间的单位:s、ms、us")
    time_zone: str | None = option(None, "of a time in text without a zone, such as Asia/Shanghai", "文本时间未带时区时的时区,如 Asia/Shanghai")
    max_silence_s: float = option(
        300.0, "plant seconds without any message after which the device counts as lost", "多久没有消息视为失联(工厂时间)", "s", gt=0, le=86400
    )
    report_s: float | None = option(
        None,
        "plant seconds between its reports; 0: it reports each change (the default of a machine); 10 is the default of a meter",
        "上报周期(工厂时间);0 表示变化即报(设备缺省),电表缺省 10",
        "s",
        ge=0,
        le=86400,
    )
    alive_topic: str | None = option(
        None, "topic behind topic_prefix that says whether it is there (a last will)", "在线状态主题(遗嘱),接在 topic_prefix 之后"
    )
    dead_words: list[str] = option(["offline", "false", "0", "disconnected"], "what stands there when it is not", "表示离线的内容")
    metrics: Mapping[MetricName, MqttMetric] = option({}, "name -> where it is read", "名称 → 读取位置", min_length=1)

    @field_validator("time")
    @classmethod
    def _time(cls, value: str) -> str:
        try:
            parse(value)
        except BadPath as error:
            raise PydanticCustomError("json_path", "time {words}", {"words": str(error)}) from error
        return value

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ZoneInfo(value)
            except (KeyError, ValueError, OSError) as error:
                raise PydanticCustomError("time_zone", "there is no time zone {zone}", {"zone": repr(value)}) from error
        return value


class MqttConfig(SourceBase):
    """One broker to listen to. It may be another one than that of the server."""

    type: Literal["mqtt"]
    host: str = option("127.0.0.1", "name or address of the broker", "代理的主机名或地址", min_length=1)
    port: int = option(1883, "TCP port (8883 with TLS)", "TCP 端口(TLS 常用 8883)", ge=1, le=65535)
    client_id: str = option("", "MQTT client id; made up when empty", "MQTT 客户端号,空则自动生成")
    user: str | None = option(None, "user name", "用户名")
    password_file: Path | None = option(None, "file whose first line is the password", "密码文件(第一行为密码)")
    ca_file: Path | None = option(
        None, "PEM file of the authority that signed the broker's certificate: turns TLS on", "签发代理证书的 CA(PEM),设置后启用 TLS"
    )
    cert_file: Path | None = option(None, "own client certificate (PEM)", "客户端证书(PEM)")
    key_file: Path | None = option(None, "key of the client certificate (PEM)", "客户端私钥(PEM)")
    keepalive_s: int = option(
        20, "MQTT keep alive; a dead link is noticed within 1.5 times this", "MQTT 心跳,断线在 1.5 倍内发现", "s", ge=2, le=1200
    )
    rebirth: bool = option(True, "asks a Sparkplug node for its birth where it is not known", "未知出生报文时请求 Sparkplug 节点重生")
    history_s: float = option(
        2.0,
        "after a birth a Sparkplug device counts as seen again when no values of the past have come for this long",
        "Sparkplug 重生后,历史值停止到达多久视为恢复",
        "s",
        ge=0,
        le=600,
    )
    browse_topic: str = option("#", "what `browse` listens to", "`browse` 监听的主题", min_length=1)
    browse_s: float = option(10.0, "how long `browse` listens", "`browse` 监听时长", "s", ge=0.2, le=3600)
    devices: Mapping[Id, MqttDevice] = option({}, "machines and meters behind this broker", "该代理上的设备与电表", min_length=1)
