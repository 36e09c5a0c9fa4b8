"""Every setting of the server: default, unit, limit and meaning, once. Only the composition root and the command line see it.

A TOML file and environment variables `GEMBA_<SECTION>__<KEY>` (they win) are merged and validated; `load` gathers every error at once, each with its
line and the next step. `sample()` writes the documented sample from the same model, so that the two cannot differ.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from mes_server.config_words import SECTIONS_ZH, SETTINGS_ZH
from mes_server.kit.errors import Lang
from mes_server.kit.wording import said, worded

SEE_SAMPLE = "`gemba-server sample-config`"
ENV_PREFIX = "GEMBA_"
Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_means_unset(cls, data: Any) -> Any:
        """`tls_cert = ""` (as in the sample) is the same as leaving it out."""
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value != "" or key not in cls.model_fields or cls.model_fields[key].default is not None}


class Http(_Section):
    """The web server: API, screens, metrics."""

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for every network card")
    port: int = Field(default=8080, ge=0, le=65535, description="TCP port; 0 takes a free one")
    tls_cert: Path | None = Field(default=None, description="PEM certificate chain; with tls_key the server speaks HTTPS only")
    tls_key: Path | None = Field(default=None, description="PEM private key")
    body_bytes_max: int = Field(default=2_000_000, ge=10_000, le=100_000_000, description="Largest request body, bytes; refused before it is parsed")
    photo_bytes_max: int = Field(default=5_000_000, ge=100_000, le=50_000_000, description="Largest photo, bytes")
    live_listeners_max: int = Field(default=500, ge=1, le=10_000, description="Screens that may follow live at the same time")
    metrics_token_file: Path | None = Field(default=None, description="File with the bearer token /metrics asks for; empty: this machine only")


class DatabaseSettings(_Section):
    """The book of record."""

    url: str = Field(
        default="", description="Empty: SQLite in the data folder. Else e.g. postgresql://gemba@db.example/gemba (password from password_file)"
    )
    password_file: Path | None = Field(default=None, description="File that holds the database password, so that it is in no URL")
    readers_max: int = Field(default=16, ge=2, le=200, description="Reading connections at most")
    cache_kib: int = Field(default=16_384, ge=1_024, le=4_194_304, description="SQLite page cache a connection, KiB")

    @field_validator("url")
    @classmethod
    def _url_is_of_a_store_we_speak(cls, value: str) -> str:
        if value and not re.match(r"sqlite:///.|postgresql(\+psycopg)?://.", value):
            raise worded(
                "应为 postgresql://用户@主机/库 或 sqlite:///文件路径（或留空）",
                "must be postgresql://user@host/name or sqlite:///path/of/a/file, or empty",
            )
        return value

    acts_waiting_max: int = Field(default=2_000, ge=10, le=100_000, description="Acts that may wait for the writer; beyond it 503 and Retry-After")
    acts_batch_max: int = Field(default=128, ge=1, le=5_000, description="Acts one transaction takes at most")


class TelemetrySettings(_Section):
    """Samples: a projection that can be rebuilt."""

    kind: Literal["duckdb", "influx", "memory"] = Field(default="duckdb", description="duckdb (default), influx (InfluxDB 2), memory (tests)")
    path: Path | None = Field(default=None, description="DuckDB file; empty: telemetry.duckdb in the data folder")
    url: str = Field(default="", description="InfluxDB URL")
    token_file: Path | None = Field(default=None, description="File that holds the InfluxDB token")
    org: str = Field(default="gemba", description="InfluxDB organisation")
    bucket: str = Field(default="gemba", description="InfluxDB bucket")
    memory_mib: int = Field(default=256, ge=64, le=65_536, description="DuckDB memory limit, MiB")
    keep_days: int = Field(default=0, ge=0, le=36_500, description="Raw samples older than this are forgotten, days (roll-ups stay); 0 keeps all")

    @model_validator(mode="after")
    def _influx_is_complete(self) -> TelemetrySettings:
        if self.kind == "influx" and not (self.url and self.token_file):
            raise worded('kind = "influx" 需要 url 与 token_file', 'kind = "influx" needs url and token_file')
        return self


class BrokerSettings(_Section):
    """MQTT: the embedded NATS child process, a broker of your own, or none (no machine data)."""

    kind: Literal["embedded", "external", "none"] = Field(default="embedded", description="embedded: own child process; external: host below; none")
    host: str = Field(default="127.0.0.1", description="Broker host (external), or address the embedded broker listens on")
    port: int = Field(default=1883, ge=0, le=65535, description="MQTT port; 0 with embedded takes a free one")
    user: str = Field(default="gemba-server", description="MQTT user")
    password_file: Path | None = Field(default=None, description="File with the MQTT password; embedded makes its own in the data folder")
    tls_ca: Path | None = Field(default=None, description="PEM of the CA that signed the broker's certificate; set it to speak TLS")
    tls_cert: Path | None = Field(
        default=None, description="Certificate (PEM) with tls_key: external: ours for mutual TLS; embedded: the broker's, turns TLS on (needs tls_ca)"
    )
    tls_key: Path | None = Field(default=None, description="Key of tls_cert (PEM)")
    client_certificates: bool = Field(default=False, description="Embedded with TLS: edges must show a certificate signed by tls_ca")
    client_id: Code = Field(default="gemba-server", description="MQTT client id; one per server")
    keepalive_s: int = Field(default=30, ge=5, le=3_600, description="MQTT keep-alive, s (real time)")


class SparkplugSettings(_Section):
    """Names on the wire (Eclipse Sparkplug 3.0)."""

    group: Code = Field(default="PUMP", description="Group id of the plant's edge nodes")
    host_id: Code = Field(default="gemba", description="Host application id; the edges wait for its STATE")


class IngestSettings(_Section):
    """Bounds of the way from the broker into the stores."""

    waiting_bytes_max: int = Field(
        default=64_000_000,
        ge=1_000_000,
        le=4_000_000_000,
        description="Messages that may wait, bytes; beyond it the broker is not read and the edges hold them",
    )
    commit_s: float = Field(default=0.5, ge=0.05, le=10, description="Stored at the latest after, s (real time)")
    commit_bytes: int = Field(default=4_000_000, ge=100_000, le=100_000_000, description="... or after this many bytes of messages")
    reorder_s: float = Field(default=5.0, ge=0.5, le=60, description="A hole in Sparkplug's seq asks for a rebirth after, s (real time)")
    batch_records_max: int = Field(default=2_000, ge=1, le=10_000, description="Records one transaction takes at most")
    fence_s: float = Field(default=120.0, ge=1, le=86_400, description="A silent edge box may be replaced by another one after, s (real time)")
    fence_twin_s: float = Field(
        default=3_600.0, ge=1, le=604_800, description="... and by one that was heard beside it (a copy) after this, s (real time)"
    )
    stale_s: float = Field(default=15.0, ge=1, le=3_600, description="A machine with no proven value for this long is shown stale, s (plant time)")


class IdentitySettings(_Section):
    """Sign-in. Times are real seconds: a plant clock that runs fast signs nobody out."""

    tablet_idle_s: int = Field(default=28_800, ge=60, le=86_400, description="A tablet's session ends after this long without a request, s")
    office_idle_s: int = Field(default=3_600, ge=60, le=86_400, description="An office session ends after this long without a request, s")
    admin_idle_s: int = Field(default=900, ge=60, le=86_400, description="A session that may edit people ends after this long without a request, s")
    session_s_max: int = Field(default=43_200, ge=300, le=604_800, description="Any session ends after this, s")
    setup_token_s: int = Field(default=1_800, ge=60, le=86_400, description="The first-admin token is good for, s")
    enrolment_s: int = Field(default=600, ge=60, le=3_600, description="A device's one-time code is good for, s")
    wrong_max: int = Field(default=5, ge=3, le=20, description="Wrong PINs or passwords before a person is locked (the badge still works)")
    locked_s: int = Field(default=300, ge=30, le=86_400, description="A lock lasts, s")
    tries_per_minute_max: int = Field(default=30, ge=5, le=10_000, description="Sign-in tries a minute per address and per device")
    argon2_memory_kib: int = Field(default=19_456, ge=64, le=1_048_576, description="argon2id memory, KiB (OWASP's lower bound is 19456)")
    argon2_passes: int = Field(default=2, ge=1, le=20, description="argon2id passes")


class ErpSettings(_Section):
    """The ERP behind erp_sync."""

    kind: Literal["none", "http"] = Field(default="none", description="none, or http: the REST/JSON interface of docs/manual/*/erp.md")
    url: str = Field(default="", description="Base URL of the ERP's interface")
    token_file: Path | None = Field(default=None, description="File with the key the ERP's interface asks for")
    confirm_every_s: float = Field(default=300.0, ge=1, le=86_400, description="An order's confirmations are gathered for this long, s (plant time)")
    timeout_s: float = Field(default=10.0, ge=1, le=300, description="A call to the ERP may take, s (real time)")
    poll_s: float = Field(default=10.0, ge=0.2, le=3_600, description="Ask for new orders every, s (plant time)")

    @model_validator(mode="after")
    def _http_has_an_url(self) -> ErpSettings:
        if self.kind == "http" and not self.url:
            raise worded('kind = "http" 需要 url', 'kind = "http" needs url')
        return self


class Settings(_Section):
    """The whole configuration of one server."""

    data_dir: Path = Field(
        default=Path("gemba-data"), description="Folder of everything this server keeps: database, telemetry, photos, keys, backups"
    )
    zone: str = Field(default="Asia/Shanghai", description="The plant's IANA time zone; shifts and production days are in it")
    lang: Literal["zh", "en"] = Field(default="zh", description="Language of people and of API requests that do not say one")
    http: Http = Http()
    database: DatabaseSettings = DatabaseSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    broker: BrokerSettings = BrokerSettings()
    sparkplug: SparkplugSettings = SparkplugSettings()
    ingest: IngestSettings = IngestSettings()
    identity: IdentitySettings = IdentitySettings()
    erp: ErpSettings = ErpSettings()

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise worded(
                f"{value!r} 不是 IANA 时区，应写作 Asia/Shanghai 或 Europe/Berlin",
                f"{value!r} is not an IANA time zone; write it like Asia/Shanghai or Europe/Berlin",
            ) from error
        return value

    @property
    def database_url(self) -> str:
        """The URL SQLAlchemy opens; the password comes from its file."""
        if not self.database.url:
            return f"sqlite:///{self.data_dir / 'gemba.db'}"
        if self.database.password_file is None:
            return self.database.url
        secret = self.database.password_file.read_text().strip()
        head, _, tail = self.database.url.partition("://")
        user, at, rest = tail.rpartition("@")
        return f"{head}://{user}:{secret}{at}{rest}" if at else self.database.url

    @property
    def telemetry_path(self) -> Path:
        return self.telemetry.path or self.data_dir / "telemetry.duckdb"

    @property
    def photos_dir(self) -> Path:
        return self.data_dir / "photos"

    @property
    def backups_dir(self) -> Path:
        return self.data_dir / "backups"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the configuration. `line` is that of the file, None for an environment variable or a missing file.

    `zh` and `en`: what is wrong, and the next step.
    """

    where: str
    line: int | None
    zh: tuple[str, str]
    en: tuple[str, str]

    def say(self, lang: Lang) -> str:
        if lang == "zh":
            return f"{f'第 {self.line} 行：' if self.line else ''}{self.where}：{self.zh[0]}。{self.zh[1]}"
        return f"{f'line {self.line}: ' if self.line else ''}{self.where}: {self.en[0]}. {self.en[1]}"


class ConfigInvalid(Exception):
    """All faults of a configuration, in both languages, one under the other as the command line speaks."""

    def __init__(self, source: str, faults: list[Fault]) -> None:
        self.source = source
        self.faults = faults
        lines = [f"{source}：{len(faults)} 处问题 / {len(faults)} fault(s)"]
        for fault in faults:
            lines += [f"  {fault.say('zh')}", f"  {fault.say('en')}"]
        super().__init__("\n".join(lines))


def load(path: Path | None, env: Mapping[str, str] | None = None, *, overrides: Mapping[str, Any] | None = None) -> Settings:
    """File, then environment, then `overrides` (dotted keys, from the command line). Raises ConfigInvalid with every fault."""
    source = str(path) if path else "settings"
    text, data = "", {}
    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
            data = tomllib.loads(text)
        except OSError as error:
            zh, en = (
                (f"无法读取（{error.strerror}）", "请用 --config 指定现有文件"),
                (f"cannot be read ({error.strerror})", "Name an existing file with --config"),
            )
            raise ConfigInvalid(source, [Fault(source, None, zh, en)]) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            found = re.search(r"line (\d+)", str(error))
            zh, en = (f"不是有效的 TOML：{error}", f"请对照 {SEE_SAMPLE}"), (f"is not TOML: {error}", f"Compare with {SEE_SAMPLE}")
            raise ConfigInvalid(source, [Fault(source, int(found[1]) if found else None, zh, en)]) from error
    origin: dict[str, str] = {}
    for name, value in (os.environ if env is None else env).items():
        if name.startswith(ENV_PREFIX) and not name.startswith("GEMBA_TEST_"):
            dotted = name[len(ENV_PREFIX) :].lower().replace("__", ".")
            if dotted.split(".")[0] in Settings.model_fields:
                origin[dotted] = name
                _put(data, dotted, value)
    for dotted, value in (overrides or {}).items():
        if value is not None:
            _put(data, dotted, value)
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        raise ConfigInvalid(source, [_fault(one, text, origin) for one in error.errors()]) from error


def _put(data: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        below = data.setdefault(parent, {})
        if not isinstance(below, dict):
            return
        data = below
    data[last] = value


def _fault(error: Any, text: str, origin: Mapping[str, str]) -> Fault:
    dotted = ".".join(str(part) for part in error["loc"])
    field = _field(dotted)
    zh, en = said(error, "zh"), said(error, "en")
    if error["type"] == "extra_forbidden":
        known = _known(dotted)
        step = (f"可用：{'、'.join(known)}", f"Known here: {', '.join(known)}") if known else ("请删除", "Remove it")
        zh, en = "没有这个设置", "is not a setting of this server"
    elif field is not None and field.description and dotted in SETTINGS_ZH:
        step = (SETTINGS_ZH[dotted], field.description)
    else:
        step = (f"参见 {SEE_SAMPLE}", f"See {SEE_SAMPLE}")
    where = origin.get(dotted, dotted or "settings")
    return Fault(where, None if dotted in origin else _line(text, dotted), (zh, step[0]), (en, step[1]))


def _field(dotted: str) -> FieldInfo | None:
    model: Any = Settings
    found: FieldInfo | None = None
    for part in dotted.split("."):
        found = model.model_fields.get(part) if isinstance(model, type) and issubclass(model, BaseModel) else None
        if found is None:
            return None
        model = found.annotation
    return found


def _known(dotted: str) -> list[str]:
    parent = dotted.rpartition(".")[0]
    model: Any = Settings if not parent else getattr(_field(parent), "annotation", None)
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _line(text: str, dotted: str) -> int | None:
    """The line of a dotted key (or of its table's header) in TOML text; None if it is not written there."""
    section, _, key = dotted.rpartition(".")
    current, header = "", None
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.match(r"\s*\[([\w.\-]+)\]", line):
            current = found[1]
            if current in (section, dotted):
                header = number
        elif (current == section and re.match(rf"\s*{re.escape(key)}\s*=", line)) or (not current and re.match(rf"\s*{re.escape(dotted)}\s*=", line)):
            return number
    return header


def sample() -> str:
    """The documented sample configuration: every setting with its meaning in both languages, limits and default."""
    lines = [
        "# Gemba 服务器：全部设置及其默认值。环境变量 GEMBA_<节>__<项> 优先于本文件。",
        "# Gemba server: every setting with its default. Environment variables GEMBA_<SECTION>__<KEY> win over this file.",
        "",
    ]
    sections: list[tuple[str, type[BaseModel]]] = []
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            sections.append((name, field.annotation))
        else:
            lines += _sample_lines(name, name, field)
    for name, model in sections:
        lines += ["", f"[{name}]", f"# {SECTIONS_ZH[name]}", *(f"# {part}" for part in (model.__doc__ or "").strip().splitlines())]
        for key, field in model.model_fields.items():
            lines += _sample_lines(f"{name}.{key}", key, field)
    return "\n".join(lines) + "\n"


def _sample_lines(dotted: str, name: str, field: FieldInfo) -> list[str]:
    bounds = [f"{word} {getattr(one, attr)}" for one in field.metadata for attr, word in (("ge", "≥"), ("le", "≤")) if hasattr(one, attr)]
    choices = [str(one) for one in get_args(field.annotation)] if get_origin(field.annotation) is Literal else []
    extra = "; ".join(filter(None, [" and ".join(bounds), " | ".join(choices)]))
    comments = [f"# {SETTINGS_ZH[dotted]}", f"# {field.description}" + (f" ({extra})" if extra else "")]
    if field.default is None or field.default == "":
        return [*comments, f'#{name} = ""']
    value = field.default.as_posix() if isinstance(field.default, Path) else field.default
    return [*comments, f"{name} = {json.dumps(value, ensure_ascii=False)}"]
