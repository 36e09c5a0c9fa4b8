"""Config files: every error at once, each with its line and the next step, in English or Chinese; and the commented sample.

The sample is generated from the model, so it cannot lag behind: a commented value is the default.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined

from edge_agent.config import AgentConfig, BrokerConfig, BufferConfig, DeliveryConfig
from edge_agent.config_words import said
from edge_agent.errors import ConfigInvalid
from edge_agent.sources.kind import Kind, Lang
from edge_agent.sources.kinds import BY_TYPE, TYPES
from edge_agent.sources.registry import resolve_devices

_BROKER_FILES = ("password_file", "credentials_file", "ca_file", "cert_file", "key_file")
_TYPES = "、".join(f'"{type_}"' for type_ in TYPES)
_NO_SUCH_TYPE = (f"type must be one of {_TYPES.replace('、', ', ')}", f"type 应为 {_TYPES} 之一")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a config file. `line` is 1-based, 0 when it cannot be told."""

    line: int
    where: str
    en: str
    zh: str

    def text(self, lang: str) -> str:
        line = (f"line {self.line}: " if lang == "en" else f"第 {self.line} 行:") if self.line else ""
        return f"{line}{self.where}: {self.en if lang == 'en' else self.zh}" if self.where else f"{line}{self.en if lang == 'en' else self.zh}"


def load(path: Path, *, called: Path | None = None) -> AgentConfig:
    """The config with paths made absolute. Raises ConfigInvalid that lists every problem; `called` is what the person named, where that is a copy."""
    config, problems = check(path)
    if config is None or problems:
        listed_en = "\n  ".join(p.text("en") for p in problems)
        listed_zh = "\n  ".join(p.text("zh") for p in problems)
        name = called or path
        raise ConfigInvalid(f"{name} cannot be used:\n  {listed_en}", f"{name} 有误:\n  {listed_zh}", "", "")
    return config


def check(path: Path) -> tuple[AgentConfig | None, list[Problem]]:
    """The config if the model takes it, and everything that is wrong with it or with the files it names."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = why_unreadable(error)
        return None, [
            Problem(
                0,
                "",
                f"{path} cannot be read ({why}); write a config with `sample-config > edge.toml`",
                f"无法读取 {path}({why});可用 `sample-config > edge.toml` 生成",
            )
        ]
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = _line_in(str(error)) or text.count("\n") + 1
        return None, [Problem(line, "", f"this is not TOML: {error}", f"不是有效的 TOML:{error}")]
    lines = _Lines(text)
    kinds = _kinds_in(raw)
    zh: dict[str, str] = {}
    for kind in kinds.values():
        zh |= kind.zh
    _absolute(raw, path.parent.resolve(), {"path", *_BROKER_FILES}.union(*(kind.files | kind.folders.keys() for kind in kinds.values())))
    across, told = _across(raw, lines, zh)
    try:
        config = AgentConfig.model_validate(raw)
    except ValidationError as error:
        found = [_problem(detail, lines, zh) for detail in error.errors() if detail["type"] not in told and not _is_other_shape(detail)]
        return None, sorted(found + across, key=lambda problem: problem.line)
    return config, across + _beyond_the_model(config, lines)


def why_unreadable(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "not UTF-8"


def _line_in(message: str) -> int:
    digits = message.rpartition("line ")[2].partition(",")[0]
    return int(digits) if digits.isdigit() else 0


def _tables(raw: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], Kind]]:
    """(name, table, kind) of each source that names a kind there is, in a config that may hold any nonsense."""
    sources = raw.get("sources")
    for name, source in sources.items() if isinstance(sources, dict) else ():
        if isinstance(source, dict) and source.get("type") in TYPES:
            yield name, source, BY_TYPE[source["type"]]


def _kinds_in(raw: Mapping[str, Any]) -> dict[str, Kind]:
    return {kind.type: kind for _, _, kind in _tables(raw)}


def _absolute(raw: Any, folder: Path, paths: Set[str]) -> None:
    """Relative paths (the values of `paths`) are relative to the config file."""
    if isinstance(raw, dict):
        for key, value in raw.items():
            if key in paths and isinstance(value, str):
                raw[key] = str(folder / value)
            elif key != "metrics":  # a metric's path leads into a message, not to a file
                _absolute(value, folder, paths)
        if "edge" in raw and "group" in raw:
            buffer = raw.setdefault("buffer", {})
            if isinstance(buffer, dict):
                buffer.setdefault("path", str(folder / "edge.buffer"))
            for _, source, kind in _tables(raw):
                for key, default in kind.folders.items():
                    source.setdefault(key, str(folder / default))
    elif isinstance(raw, list):
        for value in raw:
            _absolute(value, folder, paths)


class _Lines:
    """Where the keys of a TOML text stand: headers and assignments, found by their dotted path."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _at(self) -> dict[tuple[str, ...], int]:
        """Dotted path -> line. Only a config with something wrong in it asks."""
        at: dict[tuple[str, ...], int] = {}
        prefix: tuple[str, ...] = ()
        counts: dict[tuple[str, ...], int] = {}
        for number, line in enumerate(self._text.splitlines(), 1):
            bare = line.strip()
            if bare.startswith("["):
                keys = _dotted(bare.strip("[]").partition("]")[0])
                if bare.startswith("[["):
                    index = counts.get(keys, -1) + 1
                    counts[keys] = index
                    keys = (*keys, str(index))
                prefix = keys
                for depth in range(1, len(keys) + 1):
                    at.setdefault(keys[:depth], number)
            elif "=" in bare and not bare.startswith("#"):
                keys = (*prefix, *_dotted(bare.partition("=")[0]))
                at.setdefault(keys, number)
        return at

    def of(self, path: Iterable[str]) -> int:
        """The line of the deepest part of `path` that is there."""
        keys = tuple(path)
        while keys:
            if keys in self._at:
                return self._at[keys]
            keys = keys[:-1]
        return 0


def _dotted(text: str) -> tuple[str, ...]:
    try:
        node: Any = tomllib.loads(f"{text.strip()} = 0")
    except tomllib.TOMLDecodeError:
        return (text.strip(),)
    out: list[str] = []
    while isinstance(node, dict) and node:
        name = next(iter(node))
        out.append(str(name))
        node = node[name]
    return tuple(out)


def _is_other_shape(detail: ErrorDetails) -> bool:
    """`states` may be a name or a table: where a table is written, "should be a text" is no news."""
    return detail["loc"][-2:] == ("states", "str") and isinstance(detail.get("input"), dict)


def _problem(detail: ErrorDetails, lines: _Lines, words: Mapping[str, str]) -> Problem:
    path = [str(part) for part in detail["loc"] if part != "[key]" and not str(part).startswith("dict[")]
    en, zh = _NO_SUCH_TYPE if detail["type"] in ("union_tag_invalid", "union_tag_not_found") else said(detail, words)
    given = detail.get("input")
    if detail["type"] not in ("missing", "extra_forbidden") and isinstance(given, (str, int, float, bool)):
        en, zh = f"{en} (is {given!r})", f"{zh}(现为 {given!r})"
    hint = _hint(detail["type"], path)
    return Problem(lines.of(path), ".".join(path), f"{en}{hint[0]}", f"{zh}{hint[1]}")


def _across(raw: dict[str, Any], lines: _Lines, zh: Mapping[str, str]) -> tuple[list[Problem], set[str]]:
    """What a kind checks across keys, said at once with the rest; and the kinds of error that need not be said again by the model."""
    out: list[Problem] = []
    said: set[str] = set()
    for name, source, kind in _tables(raw):
        for fault in kind.across(source):
            path = ("sources", name, *fault.path)
            out.append(Problem(lines.of(path), ".".join(path), fault.en, zh[fault.kind]))
            said.add(fault.kind)
    return out, said


def _hint(kind: str, path: Sequence[str]) -> tuple[str, str]:
    if kind == "missing":
        return "; add it", ",请补充"
    if kind == "extra_forbidden":
        near = _nearest(path[-1])
        return (
            (f"; did you mean {near}?", f",是否想写 {near}?")
            if near
            else ("; remove it (`sample-config` lists every key)", ",请删除(`sample-config` 列出所有项)")
        )
    return "; see `sample-config`", ",参见 `sample-config`"


def _nearest(key: str) -> str | None:
    import difflib

    models: list[type[BaseModel]] = [AgentConfig, BrokerConfig, BufferConfig, DeliveryConfig]
    for kind in BY_TYPE.values():
        models += (kind.config, kind.device, kind.metric)
    known = {info.alias or name for model in models for name, info in model.model_fields.items()}
    found = difflib.get_close_matches(key, known, 1, 0.75)
    return found[0] if found else None


def _beyond_the_model(config: AgentConfig, lines: _Lines) -> list[Problem]:
    """Files that must be there, meter models, metrics that exist."""
    out: list[Problem] = []
    for index, broker in enumerate(config.brokers):
        for key in _BROKER_FILES:
            file = getattr(broker, key)
            if file is not None and not file.is_file():
                out.append(_missing_file(lines, ("brokers", str(index), key), file))
    for name, source in config.sources.items():
        for key in sorted(BY_TYPE[source.type].files):
            file = getattr(source, key)
            if file is not None and not file.is_file():
                out.append(_missing_file(lines, ("sources", name, key), file))
        for device_id in source.devices:
            only = config.model_copy(update={"sources": {name: source.model_copy(update={"devices": {device_id: source.devices[device_id]}})}})
            try:
                resolve_devices(only)
            except ConfigInvalid as error:
                path = ("sources", name, "devices", device_id)
                out.append(Problem(lines.of(path), ".".join(path), error.text("en"), error.text("zh")))
    return out


def _missing_file(lines: _Lines, path: tuple[str, ...], file: Path) -> Problem:
    return Problem(lines.of(path), ".".join(path), f"file {file} is not there; create it or correct the path", f"文件 {file} 不存在,请创建或修改路径")


# --- the sample ----------------------------------------------------------------------------------------------------------------
SAMPLED = ("opcua", "modbus")  # what a first plant has


def sample(lang: Lang = "en", types: Sequence[str] = SAMPLED) -> str:
    """A commented config with one source of each kind in `types`. Commented values are the defaults. Raises ConfigInvalid for an unknown kind."""
    head = {
        "en": "# Gemba edge agent. Commented values are the defaults. Check with: gemba-edge check-config FILE",
        "zh": "# Gemba 边缘网关配置。注释掉的值为缺省值。检查:gemba-edge check-config 文件",
    }[lang]
    parts = [head, *_fields(AgentConfig, lang, {"group": '"PUMP"', "edge": '"EDGE-L1"'}, skip={"brokers", "buffer", "delivery", "sources"})]
    parts += ["", "[[brokers]]", *_fields(BrokerConfig, lang, {})]
    parts += ["", "[buffer]", *_fields(BufferConfig, lang, {})]
    parts += ["", "[delivery]", *_fields(DeliveryConfig, lang, {})]
    for word in types:
        if word not in BY_TYPE:
            raise ConfigInvalid(
                f"There is no kind of source {word!r}.",
                f"没有数据源类型 {word!r}。",
                f"Choose one of {', '.join(BY_TYPE)}.",
                f"可选:{'、'.join(BY_TYPE)}。",
            )
        parts += _sample_of(BY_TYPE[word], lang)
    return "\n".join(parts) + "\n"


def _sample_of(kind: Kind, lang: Lang) -> list[str]:
    given = kind.sample
    table = f"sources.{given.source_id}"
    parts = ["", f"[{table}]", *_fields(kind.config, lang, given.source, skip={"devices"})]
    table += f".devices.{given.device_id}"
    parts += ["", f"[{table}]", *_fields(kind.device, lang, given.device, skip={"metrics", *given.skip})]
    help_ = [f"#   {info.alias or name}: {_describe(info, lang)} ({_toml(info.default)})" for name, info in kind.metric.model_fields.items()]
    return [*parts, "", f"[{table}.metrics]", *help_, *given.metrics]


def _fields(model: type[BaseModel], lang: str, given: Mapping[str, str], skip: Iterable[str] = ()) -> list[str]:
    out = []
    for name, info in model.model_fields.items():
        if name in skip:
            continue
        if info.description:
            out.append(f"# {_describe(info, lang)}")
        if name in given:
            out.append(f"{name} = {given[name]}")
        else:
            out.append(f"# {name} = {_toml(info.default)}")
    return out


def _describe(info: FieldInfo, lang: str) -> str:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    text = str(info.description or "") if lang == "en" else str(extra.get("zh", ""))
    unit = extra.get("unit")
    return f"{text} [{unit}]" if unit else text


def _toml(value: Any) -> str:
    if value is PydanticUndefined or value is None:
        return '""' if value is None else "..."
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, Path)):
        return json.dumps(str(value), ensure_ascii=False)
    return json.dumps(value)
