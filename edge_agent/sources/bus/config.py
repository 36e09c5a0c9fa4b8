"""Config that every meter bus has: the line, and how its devices are polled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from edge_agent.config_model import SourceBase, option
from edge_agent.sources.kind import Fault

LINE_ZH = {"line_missing": "请写 host(TCP 网关)或 serial(串口),二选一"}


class LineConfig(SourceBase):
    """Where the bytes come from: a gateway that passes them through, or a serial port of this machine."""

    host: str | None = option(None, "name or address of a TCP gateway that passes the bytes through (serial over TCP)", "透传串口网关的主机名或地址")
    port: int = option(10001, "TCP port of the gateway", "网关 TCP 端口", ge=1, le=65535)
    serial: str | None = option(None, "instead of host: serial port, such as /dev/ttyUSB0", "串口(代替 host),如 /dev/ttyUSB0")
    baud_rate: int = option(2400, "serial port: bits per second", "串口波特率", ge=300, le=921600)
    data_bits: Literal[7, 8] = option(8, "serial port: data bits", "串口数据位")
    parity: Literal["none", "even", "odd"] = option("even", "serial port: parity", "串口校验位")
    stop_bits: Literal[1, 2] = option(1, "serial port: stop bits", "串口停止位")

    @property
    def where(self) -> str:
        """The line as people name it."""
        return self.serial or f"{self.host}:{self.port}"


class BusConfig(LineConfig):
    """A line with devices that answer when they are asked."""

    period_s: float = option(10.0, "plant seconds between polls", "轮询周期(工厂时间)", "s", gt=0, le=86400)
    align: bool = option(
        True,
        "polls begin on multiples of the period; a reading within 0.2 s of it bears that moment, a later one its own",
        "按周期整点轮询;0.2 秒内读到的以整点为时间戳,晚读的以实际时刻为准",
    )
    dead_device_skip_s: float = option(
        30.0, "a device that does not answer is left out this long so that the others stay fast", "无应答设备暂停轮询", "s", ge=0, le=3600
    )
    retries: int = option(1, "a question without a good answer is put again this often", "无应答或应答有误时重问次数", ge=0, le=10)
    pause_between_requests_s: float = option(0.0, "rest of the line between two requests", "请求间隔", "s", ge=0, le=60)


def line_faults(raw: Mapping[str, Any]) -> Iterator[Fault]:
    """`Kind.across` of every line: exactly one of host and serial."""
    if (raw.get("host") is None) == (raw.get("serial") is None):
        yield Fault((), "line_missing", "say where the line is: host (a TCP gateway) or serial (a port of this machine), one of the two")
