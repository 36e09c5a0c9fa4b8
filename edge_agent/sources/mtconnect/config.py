"""Config of an MTConnect source: an agent over HTTP or an adapter over SHDR; devices by name, metrics by data item."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from edge_agent.config_model import DeviceConfig, Id, MetricConfig, MetricName, SourceBase, option

CONDITIONS = "conditions"  # as `item` of the alarm: every condition of the device


class MtconnectMetric(MetricConfig):
    """A value and its data item."""

    item: str = Field(
        description='data item: its id, its name, or its type where there is only one (EXECUTION); an adapter\'s key. alarm: "conditions" = all',
        json_schema_extra={"zh": '数据项的 id、name 或(唯一时)type,SHDR 为键名;alarm 可写 "conditions" 表示全部报警条件', "unit": ""},
        min_length=1,
        max_length=256,
    )
    type: Literal["number", "text"] | None = option(None, "what it is; told by its first value when not given", "数值或文本,缺省按首个值判断")


class MtconnectDevice(DeviceConfig):
    """A machine tool behind an agent or adapter."""

    device: str | None = option(
        None,
        "name, uuid or id of the device in the agent (or the prefix of its keys, SHDR); needed where there are several",
        "代理中的设备 name/uuid/id",
    )
    metrics: Mapping[MetricName, MtconnectMetric] = option({}, "name -> where it is read", "名称 → 读取位置")


class MtconnectConfig(SourceBase):
    """An MTConnect agent (http, https) or adapter (shdr)."""

    type: Literal["mtconnect"]
    url: str = option(
        "http://127.0.0.1:5000",
        "an agent, or an adapter as shdr://host:7878",
        "代理地址,或适配器 shdr://主机:7878",
        pattern=r"^(https?|shdr)://[^\s/?#]+[^\s?#]*$",
    )
    ca_file: Path | None = option(None, "PEM file of the authority that signed the agent's certificate (https)", "签发代理证书的 CA(PEM)")
    stream: bool = option(True, "the agent sends by itself; false: it is asked every interval_s", "由代理推送;false 为定时轮询")
    interval_s: float = option(0.1, "how often the agent sends changes, or is asked for them", "推送或轮询间隔", "s", ge=0.01, le=60)
    heartbeat_s: float = option(
        1.0, "a sign of life is asked for this often: how far what is known may lag behind", "心跳间隔,即已知时刻的最大滞后", "s", ge=0.1, le=60
    )
    count: int = option(1000, "observations in one answer at most", "单次应答的最多观测数", ge=1, le=100_000)
    late_s: float = option(
        0.0,
        "plant seconds that values may come later than newer ones (an adapter that sends recordings); everything is delivered this much later",
        "允许乱序迟到的时间(工厂时间),所有数据相应延后",
        "s",
        ge=0,
        le=604_800,
    )
    max_clock_skew_s: float = option(
        3600.0, "plant seconds a source's clock may differ before its stamps are corrected", "源时钟允许偏差(工厂时间)", "s", gt=0
    )
    max_document_mb: int = option(16, "an answer larger than this is refused", "单个应答的最大长度", "MB", ge=1, le=256)
    devices: Mapping[Id, MtconnectDevice] = option({}, "machines and meters behind this source", "该数据源下的设备与电表", min_length=1)
