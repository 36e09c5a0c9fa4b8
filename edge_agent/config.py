"""AgentConfig: the whole config of an edge agent. `sample-config` prints this model, `check-config` checks a file against it.

Knows no driver: what a kind of source needs is described in `sources/<kind>/config.py`, how it is read in its `source.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

from edge_agent.config_model import Id, Model, SourceBase, option, read_secret
from edge_agent.sources.kinds import BY_TYPE, TYPES


class BrokerConfig(Model):
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
    keepalive_s: int = option(20, "MQTT keep alive; a dead link is noticed within twice this", "MQTT 心跳,断线在 2 倍内发现", "s", ge=2, le=1200)


class BufferConfig(Model):
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
    reserve_mb: int = option(
        16,
        "taken at the start and kept for a full disk (at most a quarter of max_mb): then totals and states go on, plain samples are left out",
        "启动时预留、磁盘满时使用(至多 max_mb 的四分之一):此时累计数与状态继续保存,普通采样被丢弃",
        "MB",
        ge=0,
        le=10_000,
    )


class DeliveryConfig(Model):
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
    window_records: int = option(8192, "unanswered historical records on their way at most", "在途历史记录上限", ge=1, le=100_000)
    window_kb: int = option(4096, "unanswered historical bytes on their way at most", "在途历史数据上限", "kB", ge=16, le=1_000_000)
    record_values_max: int = option(5000, "values in one record (one DDATA message) at most", "单条记录最多值数", ge=10, le=20_000)
    health_s: float = option(5.0, "between health reports (NDATA)", "健康状态上报间隔", "s", ge=0.5, le=300)


def _of_its_kind(given: Any) -> SourceBase:
    """The config of one source, checked by the kind that its `type` names; what the kind finds wrong is named with its place."""
    if isinstance(given, SourceBase):
        return given
    if not isinstance(given, Mapping):
        raise PydanticCustomError("model_type", "this must be a table")
    if "type" not in given:
        raise PydanticCustomError("union_tag_not_found", "type is missing")
    if given["type"] not in TYPES:
        raise PydanticCustomError("union_tag_invalid", "there is no such type")
    return BY_TYPE[given["type"]].config.model_validate(given)


SourceConfig = Annotated[SourceBase, PlainValidator(_of_its_kind)]


class AgentConfig(Model):
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


class Endpoint(Model):
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
