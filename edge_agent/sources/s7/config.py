"""Config of a Siemens S7 PLC: where it is, and devices whose metrics stand at addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from edge_agent.config_model import DeviceConfig, Id, MetricName, PolledMetric, SourceBase, option
from edge_agent.sources.s7.address import AddressInvalid, parse


class S7Metric(PolledMetric):
    """A value and its address."""

    address: str = Field(
        description="where it stands: DB1.DBD4:REAL, DB1.DBX0.3, MW10:INT, I0.0, DB1.DBB20:STRING[32]",
        json_schema_extra={"zh": "地址,如 DB1.DBD4:REAL、DB1.DBX0.3、MW10:INT、I0.0、DB1.DBB20:STRING[32]", "unit": ""},
        max_length=64,
    )

    @field_validator("address")
    @classmethod
    def _readable(cls, value: str) -> str:
        try:
            parse(value)
        except AddressInvalid as error:
            raise PydanticCustomError("s7_address", "{words}", {"words": error.en}) from error
        return value


class S7Device(DeviceConfig):
    """A machine or meter in the PLC."""

    metrics: Mapping[MetricName, S7Metric] = option({}, "name -> where it is read", "名称 → 读取位置")


class S7Config(SourceBase):
    """A Siemens S7-300, 400, 1200 or 1500 (or one that speaks like it)."""

    type: Literal["s7"]
    host: str = option("127.0.0.1", "name or address of the PLC", "PLC 的主机名或地址", min_length=1)
    port: int = option(102, "TCP port", "TCP 端口", ge=1, le=65535)
    rack: int = option(0, "rack of the CPU", "CPU 机架号", ge=0, le=7)
    slot: int = option(
        1, "slot of the CPU: 1 for S7-1200 and 1500, 2 for S7-300 (S7-400: see the hardware config)", "CPU 槽号:1200/1500 为 1,300 为 2", ge=0, le=31
    )
    connection: Literal["pg", "op", "basic"] = option("basic", "which of the PLC's connections is taken; pg may block a programmer", "占用的连接类型")
    period_s: float = option(1.0, "plant seconds between polls", "轮询周期(工厂时间)", "s", gt=0, le=86400)
    align: bool = option(False, "polls begin on multiples of the period, and values bear that moment", "按周期整点轮询,时间戳为整点")
    max_hole: int = option(16, "unused bytes read along to save an item", "为合并读取可多读的空洞字节数", ge=0, le=200)
    pdu: int = option(480, "largest PDU asked for; the PLC grants it or less", "请求的 PDU 大小", "B", ge=112, le=960)
    check_cpu: bool = option(True, "a CPU in STOP counts as lost: its values stand still", "CPU 处于 STOP 时视为断开")
    devices: Mapping[Id, S7Device] = option({}, "machines and meters behind this source", "该数据源下的设备与电表", min_length=1)

    @property
    def dead_device_skip_s(self) -> float:
        """One PLC: nothing to skip."""
        return 0.0
