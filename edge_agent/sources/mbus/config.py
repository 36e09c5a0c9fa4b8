"""Config of an M-Bus line: its meters by primary or secondary address, their values by our names or by record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from edge_agent.config_model import DeviceConfig, Id, MetricConfig, MetricName, option
from edge_agent.sources.bus.config import BusConfig


class MbusMetric(MetricConfig):
    """A value. Known names (energy_import_wh, volume_m3 …) need nothing; others need `quantity` or `record`, as `browse` shows them."""

    record: int | None = option(None, "number of the record, as `browse` shows it", "记录序号(见 `browse`)", ge=0, le=4095)
    quantity: str | None = option(None, 'what it is, as `browse` shows it: "energy", "voltage" …', "物理量(见 `browse`)")
    qualifier: str | None = option(None, 'what is said of it, as `browse` shows it: "L1", "backward" …', "限定词(见 `browse`),如 L1、backward")
    function: Literal["instantaneous", "maximum", "minimum", "error"] | None = option(
        None, "instantaneous when not given", "功能:瞬时、最大、最小、故障时;缺省为瞬时"
    )
    storage: int | None = option(None, "storage number; 0 (the present value) when not given", "存储号,缺省 0(当前值)", ge=0)
    tariff: Annotated[int, Field(ge=0)] | Literal["sum"] | None = option(
        None,
        'tariff; the total when not given; "sum" adds the tariffs of a meter that has no total',
        '费率号,缺省为总量;"sum" 为各费率之和(无总量的表)',
    )
    subunit: int | None = option(None, "unit within the device", "子单元号", ge=0)


class MbusDevice(DeviceConfig):
    """A meter on the line."""

    kind: Literal["machine", "meter"] = option("meter", "what it is", "类别:machine 设备 / meter 电表")
    primary: int | None = option(
        None, "primary address 0 to 250; 254 is whoever is alone on the line", "一级地址 0–250;254 表示线上唯一的表", ge=0, le=254
    )
    secondary: str | None = option(
        None,
        "instead of primary: the 8 digits on the plate, or 16 hex digits with manufacturer, version and medium; F is any digit",
        "二级地址(代替 primary):表牌上的 8 位数字,或含厂商、版本、介质的 16 位;F 为任意",
        pattern="^[0-9A-Fa-f]{8}([0-9A-Fa-f]{8})?$",
    )
    period_s: float | None = option(None, "plant seconds between polls; the source's when not given", "轮询周期(工厂时间)", "s", gt=0, le=86400)
    read: list[MetricName] = option(["energy_import_wh"], "known values to read (`browse` names them)", "要读取的已知量(`browse` 会给出名称)")
    metrics: Mapping[MetricName, MbusMetric] = option({}, "more values, or other settings for the known ones", "更多的量,或覆盖已知量的设置")


class MbusConfig(BusConfig):
    """A line with M-Bus meters."""

    type: Literal["mbus"]
    period_s: float = option(
        60.0, "plant seconds between polls (battery meters may allow few a day)", "轮询周期(工厂时间);电池表每天可读次数有限", "s", gt=0, le=86400
    )
    timeout_s: float = option(2.0, "an answer that does not begin or stops for this long counts as lost", "应答中断多久视为丢失", "s", ge=0.1, le=120)
    retries: int = option(2, "a question without a good answer is put again this often", "无应答或应答有误时重问次数", ge=0, le=10)
    pause_between_requests_s: float = option(
        0.05, "rest of the line between two requests: level converters need it", "请求间隔(电平转换器需要)", "s", ge=0, le=60
    )
    telegrams_max: int = option(16, "telegrams of one readout at most", "一次读数最多报文数", ge=1, le=250)
    greet: bool = option(True, "SND_NKE before each readout, so that it begins with the first telegram", "每次读数前发送 SND_NKE,从首个报文开始")
    devices: Mapping[Id, MbusDevice] = option({}, "meters on this line", "该总线上的表计", min_length=1)
