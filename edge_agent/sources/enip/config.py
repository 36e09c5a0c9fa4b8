"""Config of a Rockwell Logix controller over EtherNet/IP: where it is, and devices whose metrics are tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from edge_agent.config_model import DeviceConfig, Id, MetricName, PolledMetric, SourceBase, option
from edge_agent.sources.enip.tags import TagInvalid, parse


class EnipMetric(PolledMetric):
    """A value and its tag."""

    tag: str = Field(
        description="name of the tag: Part_Count, Line.Good, Temps[3], Program:Main.State, Status.5 (a bit)",
        json_schema_extra={"zh": "标签名,如 Part_Count、Line.Good、Temps[3]、Program:Main.State、Status.5(位)", "unit": ""},
        max_length=256,
    )

    @field_validator("tag")
    @classmethod
    def _readable(cls, value: str) -> str:
        try:
            parse(value)
        except TagInvalid as error:
            raise PydanticCustomError("enip_tag", "{words}", {"words": error.en}) from error
        return value


class EnipDevice(DeviceConfig):
    """A machine or meter in the controller."""

    metrics: Mapping[MetricName, EnipMetric] = option({}, "name -> where it is read", "名称 → 读取位置")


class EnipConfig(SourceBase):
    """A ControlLogix, CompactLogix or Micro800."""

    type: Literal["enip"]
    host: str = option("127.0.0.1", "name or address of the controller or its Ethernet module", "控制器或以太网模块的主机名或地址", min_length=1)
    port: int = option(44818, "TCP port", "TCP 端口", ge=1, le=65535)
    slot: int = option(
        0, "slot of the controller; -1 for one that does not route (Micro800)", "控制器槽号;不支持路由的(Micro800)写 -1", ge=-1, le=255
    )
    period_s: float = option(1.0, "plant seconds between polls", "轮询周期(工厂时间)", "s", gt=0, le=86400)
    align: bool = option(False, "polls begin on multiples of the period, and values bear that moment", "按周期整点轮询,时间戳为整点")
    one_request_per_tag: bool = option(False, "for devices that do not know multiple service packets", "每个标签单独请求")
    check_mode: bool = option(True, "a controller in program mode counts as lost: its values stand still", "控制器处于编程模式时视为断开")
    devices: Mapping[Id, EnipDevice] = option({}, "machines and meters behind this source", "该数据源下的设备与电表", min_length=1)

    @property
    def dead_device_skip_s(self) -> float:
        """One controller: nothing to skip."""
        return 0.0
