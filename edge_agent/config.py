"""AgentConfig: every default, unit, limit and description of the edge agent, once.

`sample-config` prints this model, `check-config` checks a file against it. Seconds are real seconds unless the text says plant seconds.
Knows no driver: what a source needs is described here, how it is read is in `sources/`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from edge_agent.contract.names import FACTS, MachineState
from edge_agent.contract.topics import ID_PATTERN

WordOrder = Literal["ABCD", "CDAB", "BADC", "DCBA"]
RegisterType = Literal["bool", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "pf_four_quadrant"]
STATE_MAPS = ("packml", "opc40001", "mtconnect")
ROLES = frozenset({"state", "alarm", "order", "operation", "good", "scrap", "energy_import_wh", "energy_export_wh", "energy_reactive_varh"})
COUNTERS = frozenset({"good", "scrap", "energy_import_wh", "energy_export_wh", "energy_reactive_varh"})
_METRIC = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NODE = re.compile(r"(nsu=[^;]+;)?[isgb]=.+")


def option(default: Any, en: str, zh: str, unit: str = "", **limits: Any) -> Any:
    """A config field: default, both descriptions, unit, pydantic limits."""
    return Field(default, description=en, json_schema_extra={"zh": zh, "unit": unit}, **limits)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Id = Annotated[str, Field(pattern=f"^{ID_PATTERN}$")]


class BrokerConfig(_Model):
    """One MQTT broker. Several are walked in order until one has the host online."""

    host: str = option("127.0.0.1", "name or address of the MQTT broker", "MQTT 代理的主机名或地址", min_length=1)
    port: int = option(1883, "TCP port (8883 with TLS)", "TCP 端口(TLS 常用 8883)", ge=1, le=65535)
    user: str | None = option(None, "user name", "用户名")
    password_file: Path | None = option(None, "file whose first line is the password", "密码文件(第一行为密码)")
    credentials_file: Path | None = option(
        None,
        "JSON file with host, port, user and password, as the server writes it for each edge; stands before the keys above",
        "服务器为每个网关生成的 JSON(host、port、user、password),优先于以上各项",
    )
    ca_file: Path | None = option(
        None, "PEM file of the authority that signed the broker's certificate: turns TLS on", "签发代理证书的 CA(PEM),设置后启用 TLS"
    )
    cert_file: Path | None = option(None, "own client certificate (PEM)", "客户端证书(PEM)")
    key_file: Path | None = option(None, "key of the client certificate (PEM)", "客户端私钥(PEM)")
    keepalive_s: int = option(
        20, "MQTT keep alive; a dead link is noticed within 1.5 times this", "MQTT 心跳,断线在 1.5 倍内发现", "s", ge=2, le=1200
    )


class BufferConfig(_Model):
    """The durable store-and-forward buffer."""

    path: Path = option(Path("edge.buffer"), "SQLite file; made when missing", "SQLite 缓冲文件,不存在时创建")
    max_mb: int = option(
        2000,
        "bound of the file. When it is reached plain samples go first, oldest first; totals, states and gap records stay; "
        "when only those are left, reading stops until there is room (recorded as a gap buffer_full)",
        "缓冲上限。到达后先丢最旧的普通采样;累计数、状态、缺口记录保留;只剩这些时停止读取直到有空间(记为 buffer_full 缺口)",
        "MB",
        ge=4,
        le=1_000_000,
    )


class DeliveryConfig(_Model):
    """How records travel to the server."""

    heartbeat_s: float = option(
        5.0, "plant seconds between watched_until marks (never more often than once a real second)", "watched_until 间隔(工厂时间)", "s", gt=0, le=300
    )
    commit_interval_s: float = option(0.1, "group commit: values wait this long to share one disk flush", "组提交间隔", "s", ge=0, le=5)
    prove_interval_s: float = option(
        0.5, "how finely the last proven moment is kept on disk: the resolution of gaps", "最后确证时刻的落盘间隔,即缺口的分辨率", "s", ge=0.05, le=10
    )
    retry_s: float = option(
        5.0, "no answer from the server for this long: send unanswered records again", "服务器无应答多久后重发", "s", ge=0.2, le=600
    )
    window_records: int = option(256, "unanswered historical records on their way at most", "在途历史记录上限", ge=1, le=100_000)
    window_kb: int = option(4096, "unanswered historical bytes on their way at most", "在途历史数据上限", "kB", ge=16, le=1_000_000)
    record_values_max: int = option(5000, "values in one record (one DDATA message) at most", "单条记录最多值数", ge=10, le=100_000)
    health_s: float = option(5.0, "between health reports (NDATA)", "健康状态上报间隔", "s", ge=0.5, le=300)


class MetricConfig(_Model):
    """One value of a device: where it is read and what it means.

    The key in the table is its name; state, alarm, order, operation, good, scrap and energy_* have a meaning of their own.
    """

    node: str | None = option(
        None,
        "OPC UA node: s=…, i=…, g=… or b=…; the device's namespace is used unless nsu=URI; stands before",
        "OPC UA 节点;未写 nsu= 时用设备的命名空间",
    )
    register_: int | None = Field(
        None,
        alias="register",
        ge=0,
        le=65535,
        description="Modbus register, zero based as on the wire",
        json_schema_extra={"zh": "Modbus 寄存器(从 0 起)", "unit": ""},
    )
    table: Literal["holding", "input", "coil", "discrete"] = option(
        "holding", "Modbus table (function code 3, 4, 1, 2)", "Modbus 表(功能码 3、4、1、2)"
    )
    type: RegisterType | None = option(None, "Modbus data type (float32 when not given)", "Modbus 数据类型(缺省 float32)")
    word_order: WordOrder | None = option(
        None, "order of the bytes of a value of several registers; ABCD is big endian", "多寄存器值的字节序,ABCD 为大端"
    )
    states: str | dict[str, MachineState] | None = option(
        None, "for state: packml, opc40001, mtconnect, or a table raw code -> state", "state 的映射:packml、opc40001、mtconnect 或 原始码→状态 表"
    )
    scale: float = option(1.0, "multiplied with the raw value (to SI units)", "乘以原始值(换算到 SI)")
    offset: float = option(0.0, "added after scaling", "换算后加上")
    deadband: float = option(0.0, "plain samples: changes smaller than this are not recorded", "普通采样:小于此变化不记录", ge=0)
    decimals: int | None = option(
        None, "plain samples: round to this many decimals (the sensor's resolution); saves disk", "普通采样:保留小数位", ge=0, le=12
    )
    period_s: float | None = option(
        None, "plant seconds between polls (Modbus); the source's when not given", "轮询周期(工厂时间)", "s", gt=0, le=86400
    )
    width_bits: int | None = option(None, "counters: width of the register; it rolls over at 2**width", "计数器位宽,到 2**位宽 回绕", ge=8, le=64)
    modulus: float | None = option(
        None, "counters: rolls over at this raw value (for registers that do not roll over at a power of two)", "计数器回绕模数(原始值)", gt=0
    )
    decrease: Literal["auto", "rollover", "reset"] = option("auto", "counters: what a smaller reading means", "计数变小的含义")
    resets_with_order: bool = option(False, "counters: starts at 0 when the machine's order changes", "换工单时清零")
    max_per_s: float | None = option(
        None, "counters: most raw units a plant second; from min_cycle_s or rated_power_w when not given", "计数器每秒最大增量(原始单位)", gt=0
    )

    @field_validator("node")
    @classmethod
    def _node_form(cls, value: str | None) -> str | None:
        if value is not None and not _NODE.fullmatch(value):
            raise PydanticCustomError("node_form", "node {value} is not of the form s=Name, i=1234, or nsu=urn:plc;s=Name", {"value": repr(value)})
        return value

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


class DeviceConfig(_Model):
    """A machine or a meter: one Sparkplug device."""

    kind: Literal["machine", "meter"] = option("machine", "what it is", "类别:machine 设备 / meter 电表")
    namespace: str | None = option(None, "OPC UA namespace URI of its nodes (the index is looked up at every connect)", "OPC UA 命名空间 URI")
    node_prefix: str = option("", "put before every string identifier (s=)", "加在每个字符串标识前")
    min_cycle_s: float = option(
        0.05, "plant seconds of the fastest possible piece: bounds what a counter may jump", "最快节拍(工厂时间),限制计数跳变", "s", gt=0, le=86400
    )
    rated_power_w: float = option(
        10_000_000.0, "meters: rated power; bounds what an energy register may jump", "电表额定功率,限制电量跳变", "W", gt=0
    )
    unit: int = option(1, "Modbus unit id", "Modbus 从站号", ge=0, le=255)
    model: str | None = option(
        None, "meter model: its registers come from sources/modbus/meters/<model>.toml", "电表型号,寄存器表来自 sources/modbus/meters/"
    )
    word_order: WordOrder | None = option(None, "overrides the model's order of bytes", "覆盖型号的字节序")
    only: list[str] | None = option(None, "of the model's metrics only these", "只读型号中的这些量")
    metrics: dict[MetricName, MetricConfig] = option({}, "name -> where it is read", "名称 → 读取位置")


class _SourceBase(_Model):
    settle_s: float = option(
        0.5,
        "values are sorted by their source time behind this margin (real seconds, times the clock's speed); raise it for a PLC that answers late",
        "按源时间排序的等待余量",
        "s",
        ge=0.05,
        le=60,
    )
    timeout_s: float = option(4.0, "a request without answer for this long counts as lost", "请求超时", "s", ge=0.1, le=120)
    backoff_max_s: float = option(5.0, "longest pause between attempts to connect", "重连最大间隔", "s", ge=0.2, le=600)
    devices: dict[Id, DeviceConfig] = option({}, "machines and meters behind this source", "该数据源下的设备与电表", min_length=1)


class OpcUaConfig(_SourceBase):
    """A PLC or gateway that speaks OPC UA."""

    type: Literal["opcua"]
    url: str = option("opc.tcp://127.0.0.1:4840", "endpoint address", "端点地址", pattern=r"^opc\.tcp://[^\s/]+.*$")
    security: Literal["best", "none", "Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"] = option(
        "best", "best = the strongest SignAndEncrypt policy the server offers; none = unencrypted", "best = 服务器提供的最强加密策略;none = 不加密"
    )
    user: str | None = option(None, "user name; anonymous when not given", "用户名,缺省匿名")
    password_file: Path | None = option(None, "file whose first line is the password", "密码文件")
    trust: Literal["fingerprint", "first_use"] = option(
        "fingerprint",
        "fingerprint = server_fingerprint must match; first_use = the certificate met first is kept in pki_dir and must stay the same",
        "信任方式:指纹 / 首次使用",
    )
    server_fingerprint: str | None = option(
        None, "SHA-256 of the server's certificate, 64 hex digits (read-once prints it)", "服务器证书 SHA-256 指纹"
    )
    pki_dir: Path = option(Path("pki"), "own certificate and key (made at first use) and trusted servers", "自身证书与受信服务器目录")
    publishing_interval_s: float = option(0.1, "how often the server sends changes", "发布间隔", "s", ge=0.005, le=60)
    sampling_interval_s: float = option(0.0, "how often the server looks; 0 = as fast as it can", "采样间隔,0 为最快", "s", ge=0, le=60)
    queue_size: int = option(100, "values the server keeps an item between two sendings, at least", "每项队列长度下限", ge=2, le=100_000)
    items_per_call: int = option(
        100, "monitored items made in one request (an S7-1200 is 50 times slower above 200)", "每次创建的监控项数", ge=1, le=10_000
    )
    max_clock_skew_s: float = option(
        3600.0,
        "plant seconds a source's clock may differ before its stamps are replaced by the time of arrival",
        "源时钟允许偏差(工厂时间)",
        "s",
        gt=0,
    )

    @model_validator(mode="after")
    def _trust_complete(self) -> OpcUaConfig:
        if self.security != "none" and self.trust == "fingerprint" and not self.server_fingerprint:
            raise PydanticCustomError("fingerprint_missing", 'trust = "fingerprint" needs server_fingerprint; or write trust = "first_use"', {})
        for device_id, device in self.devices.items():
            for name, metric in device.metrics.items():
                if metric.node is None:
                    raise PydanticCustomError(
                        "node_missing", "device {device}, metric {metric}: node is missing", {"device": device_id, "metric": name}
                    )
                if device.namespace is None and not metric.node.startswith("nsu="):
                    raise PydanticCustomError(
                        "namespace_missing", "device {device}: namespace is missing (the URI, not the index)", {"device": device_id}
                    )
        return self


class ModbusConfig(_SourceBase):
    """A Modbus TCP meter or gateway."""

    type: Literal["modbus"]
    host: str = option("127.0.0.1", "name or address", "主机名或地址", min_length=1)
    port: int = option(502, "TCP port", "TCP 端口", ge=1, le=65535)
    period_s: float = option(10.0, "plant seconds between polls", "轮询周期(工厂时间)", "s", gt=0, le=86400)
    align: bool = option(True, "polls exactly on multiples of the period; the reading's timestamp is the tick", "按周期整点轮询,时间戳为整点")
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


SourceConfig = Annotated[OpcUaConfig | ModbusConfig, Field(discriminator="type")]


class AgentConfig(_Model):
    """An edge agent: one Sparkplug edge node."""

    group: Id = option(..., "Sparkplug group: the site", "Sparkplug 组:工厂")
    edge: Id = option(..., "Sparkplug edge node id of this agent", "本网关的 Sparkplug 节点号")
    host: Id = option("gemba", "host application whose STATE is awaited before anything is sent", "等待其 STATE 上线的主机应用")
    brokers: list[BrokerConfig] = option([BrokerConfig()], "MQTT brokers", "MQTT 代理", min_length=1)
    buffer: BufferConfig = option(BufferConfig(), "store and forward", "断点续传缓冲")
    delivery: DeliveryConfig = option(DeliveryConfig(), "delivery to the server", "向服务器投递")
    sources: dict[Id, SourceConfig] = option({}, "PLCs and meters", "数据源", min_length=1)

    @model_validator(mode="after")
    def _devices_once(self) -> AgentConfig:
        seen: dict[str, str] = {}
        for source_id, source in self.sources.items():
            for device_id in source.devices:
                other = seen.setdefault(device_id.lower(), source_id)
                if other != source_id:
                    raise PydanticCustomError(
                        "device_twice", "device {device} stands under source {a} and source {b}", {"device": device_id, "a": other, "b": source_id}
                    )
        return self


class Endpoint(_Model):
    """Where a broker is and who we are there."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    host: str
    port: int
    user: str | None = None
    password: str | None = None


def endpoint_of(broker: BrokerConfig) -> Endpoint:
    """The broker's address and our credentials, read when they are needed. Raises OSError, ValueError."""
    if broker.credentials_file is not None:
        return Endpoint.model_validate_json(broker.credentials_file.read_bytes())
    return Endpoint(host=broker.host, port=broker.port, user=broker.user, password=read_secret(broker.password_file))


def read_secret(path: Path | None) -> str | None:
    """First line of a secret's file. Raises OSError."""
    return None if path is None else path.read_text(encoding="utf-8").partition("\n")[0].strip()
