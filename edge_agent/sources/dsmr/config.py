"""Config of a DSMR P1 port: the line, and the metrics of the meter that speaks there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from edge_agent.config_model import DeviceConfig, Id, MetricConfig, MetricName, option
from edge_agent.sources.bus.config import LineConfig


class DsmrMetric(MetricConfig):
    """A value. Known names (energy_import_wh, power_w …) need nothing; any other value needs `obis`."""

    obis: str | None = option(
        None, "OBIS code, such as 1-0:1.8.1; `browse` lists them", "OBIS 码,如 1-0:1.8.1(见 `browse`)", pattern=r"^\d+-\d+:\d+\.\d+\.\d+$"
    )


class DsmrDevice(DeviceConfig):
    """The meter at the port. Several devices may share it (electricity, gas, water)."""

    kind: Literal["machine", "meter"] = option("meter", "what it is", "类别:machine 设备 / meter 电表")
    read: list[MetricName] = option(
        ["energy_import_wh", "energy_export_wh", "power_w"], "known values to read (`browse` names them)", "要读取的已知量(`browse` 会给出名称)"
    )
    metrics: Mapping[MetricName, DsmrMetric] = option({}, "more values, or other settings for the known ones", "更多的量,或覆盖已知量的设置")


class DsmrConfig(LineConfig):
    """A P1 port: at a serial port of this machine (P1 cable), or behind a gateway (ser2net and the like)."""

    type: Literal["dsmr"]
    port: int = option(2001, "TCP port of the gateway", "网关 TCP 端口", ge=1, le=65535)
    baud_rate: int = option(115200, "serial port: bits per second (9600 for versions 2 and 3)", "串口波特率(2、3 版为 9600)", ge=300, le=921600)
    parity: Literal["none", "even", "odd"] = option(
        "none", "serial port: parity (even, with 7 data bits, for versions 2 and 3)", "串口校验位(2、3 版为 even 加 7 数据位)"
    )
    timeout_s: float = option(
        30.0,
        "a port without a good telegram for this long counts as lost (meters send each second or every ten)",
        "多久没有有效报文视为丢失",
        "s",
        ge=0.1,
        le=600,
    )
    period_s: float = option(
        1.0, "plant seconds between the telegrams that are taken; others pass", "每隔多久取一条报文(工厂时间)", "s", ge=0, le=86400
    )
    meter_time: bool = option(True, "a value bears the telegram's own time, else the moment it arrives", "以报文自带时间为准,否则以到达时刻为准")
    winter_offset_h: float = option(
        1.0,
        "hours from UTC to the meter's standard time (1: Central Europe, 0: Ireland); summer time is told by the telegram",
        "表计标准时与 UTC 的时差",
        "h",
        ge=-12,
        le=14,
    )
    devices: Mapping[Id, DsmrDevice] = option({}, "meters at this port", "该端口上的表计", min_length=1)
