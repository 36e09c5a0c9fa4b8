"""Config of a DL/T 645-2007 line: its meters by address, their values by our names or by data identifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from edge_agent.config_model import DeviceConfig, Id, MetricName, PolledMetric, option
from edge_agent.sources.bus.config import BusConfig
from edge_agent.sources.dlt645.catalogue import DEFAULT
from edge_agent.sources.dlt645.codec import ANY_ADDRESS, BadFrame, Format, pack_address


class Dlt645Metric(PolledMetric):
    """A value. Known names (energy_import_wh, power_w …) need nothing; any other value needs `id` and `format`."""

    id: str | None = option(
        None,
        "data identifier DI3 DI2 DI1 DI0, 8 hex digits; known for the names that `browse` lists",
        "数据标识 DI3 DI2 DI1 DI0(8 位十六进制);`browse` 列出的名称已知",
        pattern="^[0-9A-Fa-f]{8}$",
    )
    format: str | None = option(None, "digits as in the standard, such as XXXXXX.XX", "数据格式,如 XXXXXX.XX")
    signed: bool | None = option(None, "the highest bit is the sign", "最高位为符号位")

    @field_validator("format")
    @classmethod
    def _form(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                Format.of(value)
            except BadFrame as error:
                raise PydanticCustomError("dlt_format", "{words}", {"words": str(error)}) from error
        return value


class Dlt645Device(DeviceConfig):
    """A meter on the line."""

    kind: Literal["machine", "meter"] = option("meter", "what it is", "类别:machine 设备 / meter 电表")
    address: str = option(
        ANY_ADDRESS,
        "the meter's address: the 12 digits on its plate; AAAAAAAAAAAA is whoever is alone on the line",
        "表地址(表牌上的 12 位数字);AAAAAAAAAAAA 表示线上唯一的表",
        min_length=1,
    )
    read: list[MetricName] = option(list(DEFAULT), "known values to read (`browse` lists them)", "要读取的已知量(`browse` 可列出)")
    ct_ratio: float = option(
        1.0, "current transformer, such as 20 for 100/5 A, where the meter shows secondary values", "电流互感器变比(表计显示二次值时)", gt=0
    )
    pt_ratio: float = option(
        1.0, "voltage transformer, such as 100 for 10 kV / 100 V, where the meter shows secondary values", "电压互感器变比(表计显示二次值时)", gt=0
    )
    metrics: Mapping[MetricName, Dlt645Metric] = option({}, "more values, or other settings for the known ones", "更多的量,或覆盖已知量的设置")

    @field_validator("address")
    @classmethod
    def _digits(cls, value: str) -> str:
        try:
            pack_address(value)
        except BadFrame as error:
            raise PydanticCustomError("dlt_address", "{words}", {"words": str(error)}) from error
        return value


class Dlt645Config(BusConfig):
    """A line with DL/T 645-2007 meters."""

    type: Literal["dlt645"]
    timeout_s: float = option(
        2.0, "a request without answer for this long counts as lost (the standard allows a meter 0.5 s to begin)", "请求超时", "s", ge=0.1, le=120
    )
    preamble: bool = option(True, "wakes the meters with four FE bytes before each request", "请求前发送 4 个 FE 唤醒字节")
    devices: Mapping[Id, Dlt645Device] = option({}, "meters on this line", "该总线上的电表", min_length=1)
