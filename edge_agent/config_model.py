"""What every source, device and metric of the config has in common. Each kind of source adds its own keys in `sources/<kind>/config.py`.

Every default, unit, limit and description stands once, at its field. Seconds are real seconds unless the text says plant seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from edge_agent.contract.names import FACTS, MachineState
from edge_agent.contract.topics import ID_PATTERN

STATE_MAPS = ("packml", "opc40001", "mtconnect")
ROLES = frozenset({"state", "alarm", "order", "operation", "good", "scrap", "energy_import_wh", "energy_export_wh", "energy_reactive_varh"})
COUNTERS = frozenset({"good", "scrap", "energy_import_wh", "energy_export_wh", "energy_reactive_varh"})
_METRIC = re.compile(r"[a-z][a-z0-9_]{0,63}")


def option(default: Any, en: str, zh: str, unit: str = "", **limits: Any) -> Any:
    """A config field: default, both descriptions, unit, pydantic limits."""
    return Field(default, description=en, json_schema_extra={"zh": zh, "unit": unit}, **limits)


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Id = Annotated[str, Field(pattern=f"^{ID_PATTERN}$")]


class MetricConfig(Model):
    """One value of a device: where it is read and what it means.

    The key in the table is its name; state, alarm, order, operation, good, scrap and energy_* have a meaning of their own.
    """

    states: str | dict[str, MachineState] | None = option(
        None, "for state: packml, opc40001, mtconnect, or a table raw code -> state", "state 的映射:packml、opc40001、mtconnect 或 原始码→状态 表"
    )
    scale: float = option(1.0, "multiplied with the raw value (to SI units)", "乘以原始值(换算到 SI)")
    offset: float = option(0.0, "added after scaling", "换算后加上")
    deadband: float = option(0.0, "plain samples: changes smaller than this are not recorded", "普通采样:小于此变化不记录", ge=0)
    decimals: int | None = option(
        None, "plain samples: round to this many decimals (the sensor's resolution); saves disk", "普通采样:保留小数位", ge=0, le=12
    )
    width_bits: int | None = option(None, "counters: width of the register; it rolls over at 2**width", "计数器位宽,到 2**位宽 回绕", ge=8, le=64)
    modulus: float | None = option(
        None, "counters: rolls over at this raw value (for registers that do not roll over at a power of two)", "计数器回绕模数(原始值)", gt=0
    )
    decrease: Literal["auto", "rollover", "reset"] = option("auto", "counters: what a smaller reading means", "计数变小的含义")
    resets_with_order: bool = option(False, "counters: starts at 0 when the machine's order changes", "换工单时清零")
    retentive: bool = option(
        True,
        "counters: keeps its value when the PLC restarts; false: it begins at 0 then (an OPC UA server tells when it started)",
        "PLC 重启后计数是否保持;false 表示从 0 开始(由 OPC UA 服务器的启动时间判断)",
    )
    max_per_s: float | None = option(
        None, "counters: most raw units a plant second; from min_cycle_s or rated_power_w when not given", "计数器每秒最大增量(原始单位)", gt=0
    )

    @field_validator("states")
    @classmethod
    def _known_map(cls, value: str | dict[str, MachineState] | None) -> str | dict[str, MachineState] | None:
        if isinstance(value, str) and value not in STATE_MAPS:
            raise PydanticCustomError("state_map", "states {value} is not one of packml, opc40001, mtconnect, nor a table", {"value": repr(value)})
        return value


def _metric_name(name: str) -> str:
    if name not in ROLES and (not _METRIC.fullmatch(name) or name in FACTS):
        raise PydanticCustomError(
            "metric_name",
            "metric name {name}: use small letters, digits and _, unit last (power_w); wire names such as good_total are made by the agent",
            {"name": repr(name)},
        )
    return name


MetricName = Annotated[str, AfterValidator(_metric_name)]


class PolledMetric(MetricConfig):
    """A value that is asked for again and again."""

    period_s: float | None = option(None, "plant seconds between polls; the source's when not given", "轮询周期(工厂时间)", "s", gt=0, le=86400)


class DeviceConfig(Model):
    """A machine or a meter: one Sparkplug device."""

    kind: Literal["machine", "meter"] = option("machine", "what it is", "类别:machine 设备 / meter 电表")
    min_cycle_s: float = option(
        0.05, "plant seconds of the fastest possible piece: bounds what a counter may jump", "最快节拍(工厂时间),限制计数跳变", "s", gt=0, le=86400
    )
    rated_power_w: float = option(
        10_000_000.0, "meters: rated power; bounds what an energy register may jump", "电表额定功率,限制电量跳变", "W", gt=0
    )
    metrics: Mapping[MetricName, MetricConfig] = option({}, "name -> where it is read", "名称 → 读取位置")


class SourceBase(Model):
    """One connection: a PLC, a gateway, a bus. Subclasses name their kind in `type`."""

    type: str
    settle_s: float = option(
        0.5,
        "values are sorted by their source time behind this margin (real seconds, times the clock's speed); raise it for a PLC that answers late; "
        "0 = nothing waits: for control rooms that want a value within milliseconds, a value that comes late is stamped just after what was sent",
        "按源时间排序的等待余量;0 = 不等待(毫秒级延迟),迟到的值时间戳记为刚发送的值之后",
        "s",
        ge=0,
        le=60,
    )
    timeout_s: float = option(4.0, "a request without answer for this long counts as lost", "请求超时", "s", ge=0.1, le=120)
    backoff_max_s: float = option(5.0, "longest pause between attempts to connect", "重连最大间隔", "s", ge=0.2, le=600)
    devices: Mapping[Id, DeviceConfig] = option({}, "machines and meters behind this source", "该数据源下的设备与电表", min_length=1)


def read_secret(path: Path | None) -> str | None:
    """First line of a secret's file. Raises OSError."""
    return None if path is None else path.read_text(encoding="utf-8").partition("\n")[0].strip()
