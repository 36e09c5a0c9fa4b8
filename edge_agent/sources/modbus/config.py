"""Config of a Modbus source: one bus or gateway, its quirks; devices by unit id and model, metrics by register."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from edge_agent.config_model import DeviceConfig, Id, MetricName, PolledMetric, SourceBase, option

WordOrder = Literal["ABCD", "CDAB", "BADC", "DCBA"]
Table = Literal["holding", "input", "coil", "discrete"]
RegisterType = Literal["bool", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "pf_four_quadrant"]


class ModbusMetric(PolledMetric):
    """A value and its registers."""

    register_: int | None = Field(
        None,
        alias="register",
        ge=0,
        le=65535,
        description="Modbus register, zero based as on the wire",
        json_schema_extra={"zh": "Modbus 寄存器(从 0 起)", "unit": ""},
    )
    table: Table = option("holding", "Modbus table (function code 3, 4, 1, 2)", "Modbus 表(功能码 3、4、1、2)")
    type: RegisterType | None = option(None, "Modbus data type (float32 when not given)", "Modbus 数据类型(缺省 float32)")
    word_order: WordOrder | None = option(
        None, "order of the bytes of a value of several registers; ABCD is big endian", "多寄存器值的字节序,ABCD 为大端"
    )
    not_available: Literal["max"] | None = option(
        None, "max: the highest number of the register means that there is no value", "max:寄存器的最大值表示无数据"
    )


class ModbusDevice(DeviceConfig):
    """A meter behind a unit id. Its registers come from its model, from `metrics`, or from both."""

    unit: int = option(1, "Modbus unit id", "Modbus 从站号", ge=0, le=255)
    model: str | None = option(
        None,
        "meter model: its registers come from sources/modbus/meters/<model>.toml; sunspec: the meter says them itself",
        "电表型号,寄存器表来自 sources/modbus/meters/;sunspec:由电表自述",
    )
    word_order: WordOrder | None = option(None, "overrides the model's order of bytes", "覆盖型号的字节序")
    table: Literal["holding", "input"] | None = option(None, "overrides the model's table", "覆盖型号的 Modbus 表")
    register_offset: int = option(
        0, "added to every register of the model, for gateways and firmware that count otherwise", "型号所有寄存器地址的偏移", ge=-10, le=10
    )
    ct_ratio: float = option(
        1.0, "current transformer, for a meter that shows secondary values (200/5 A is 40)", "电流互感器变比(电表显示二次值时;200/5 A 写 40)", gt=0
    )
    pt_ratio: float = option(
        1.0, "voltage transformer, for a meter that shows secondary values (10 kV/100 V is 100)", "电压互感器变比(10 kV/100 V 写 100)", gt=0
    )
    invert: bool = option(
        False,
        "the current transformers look the other way: powers change sign, import and export change places",
        "互感器接反:功率变号,正反向电量互换",
    )
    only: list[str] | None = option(None, "of the model's metrics only these", "只读型号中的这些量")
    metrics: Mapping[MetricName, ModbusMetric] = option({}, "name -> where it is read", "名称 → 读取位置")


class ModbusConfig(SourceBase):
    """A Modbus TCP meter or gateway, or a serial bus (RTU) of this computer or behind a gateway that passes RTU frames through."""

    type: Literal["modbus"]
    transport: Literal["tcp", "serial", "rtu_over_tcp"] = option(
        "tcp",
        "tcp: Modbus TCP; serial: RTU on a serial port (RS-485); rtu_over_tcp: RTU frames through a TCP gateway",
        "tcp:Modbus TCP;serial:串口 RTU(RS-485);rtu_over_tcp:经 TCP 网关透传 RTU",
    )
    host: str = option("127.0.0.1", "tcp, rtu_over_tcp: name or address", "tcp、rtu_over_tcp:主机名或地址", min_length=1)
    port: int = option(502, "tcp, rtu_over_tcp: TCP port", "tcp、rtu_over_tcp:TCP 端口", ge=1, le=65535)
    serial: str | None = option(
        None, "serial: the port, as /dev/ttyUSB0; one source a port", "serial:串口名,如 /dev/ttyUSB0,一个串口一个数据源", min_length=1
    )
    baud_rate: int = option(9600, "serial: speed of the line", "serial:波特率", "Bd", ge=300, le=1_000_000)
    parity: Literal["none", "even", "odd"] = option("none", "serial: parity bit", "serial:校验位")
    stop_bits: Literal[1, 2] = option(1, "serial: stop bits (2 is usual with parity none)", "serial:停止位(无校验时常为 2)")
    period_s: float = option(10.0, "plant seconds between polls", "轮询周期(工厂时间)", "s", gt=0, le=86400)
    align: bool = option(
        True,
        "polls begin on multiples of the period; a reading within 0.2 s of it bears that moment, a later one its own",
        "按周期整点轮询;0.2 秒内读到的以整点为时间戳,晚读的以实际时刻为准",
    )
    max_words: int = option(125, "registers in one request at most", "单次请求最多寄存器数", ge=1, le=125)
    max_hole: int = option(8, "unused registers read along to save a request", "为合并请求可多读的空洞寄存器数", ge=0, le=124)
    one_request_per_field: bool = option(False, "for devices that refuse ranges", "每个量单独请求")
    pause_after_connect_s: float = option(0.0, "some gateways need a rest after the connect", "连接后等待", "s", ge=0, le=60)
    pause_between_requests_s: float = option(0.0, "rest between two requests", "请求间隔", "s", ge=0, le=60)
    busy_retries: int = option(3, "a device that answers busy is asked again this often", "设备忙时重试次数", ge=0, le=100)
    close_after_poll: bool = option(False, "for devices that serve one connection only", "轮询后断开(单连接设备)")
    dead_device_skip_s: float = option(
        30.0, "a device that does not answer is left out this long so that the others stay fast", "无应答设备暂停轮询", "s", ge=0, le=3600
    )
    devices: Mapping[Id, ModbusDevice] = option({}, "machines and meters behind this source", "该数据源下的设备与电表", min_length=1)

    @model_validator(mode="after")
    def _port_where_serial(self) -> ModbusConfig:
        if (self.transport == "serial") != (self.serial is not None):
            kind = "line_port_missing" if self.serial is None else "line_port_unused"
            raise PydanticCustomError(kind, "transport and serial do not fit together", {})
        return self
