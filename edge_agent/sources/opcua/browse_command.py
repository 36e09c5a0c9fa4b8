"""`gemba-edge browse opc.tcp://…`: a tree with live values and what each probably means, and a proposed config file."""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from edge_agent import config_text
from edge_agent.config_words import said
from edge_agent.errors import ConfigInvalid, EdgeError, SourceMisconfigured
from edge_agent.sources.opcua import client, desk, trust
from edge_agent.sources.opcua.browse import node_text
from edge_agent.sources.opcua.cautions import cautions
from edge_agent.sources.opcua.certificates import NAMELESS, facts
from edge_agent.sources.opcua.config import OpcUaConfig
from edge_agent.sources.opcua.explore import Explored, explore
from edge_agent.sources.opcua.guess import MAYBE, Guess, guess
from edge_agent.sources.opcua.kind import KIND
from edge_agent.sources.opcua.propose import Candidate, Model, file_text, propose
from edge_agent.terminal import say, warn

CONFIG, SOURCE = Path("edge.toml"), "PLC"
VALUE_CHARS = 28


@dataclass(frozen=True, slots=True)
class Call:
    """The command line: where, who, how secured, how long to watch, and the file to write."""

    url: str
    user: str | None = None
    password_file: Path | None = None
    security: str = "best"
    fingerprint: str | None = None
    pki_dir: Path = Path("pki")
    watch_s: float = 30.0
    propose: Path | None = None


async def browse_url(call: Call, lang: str) -> int:
    """Prints the tree; exit 0. Raises SourceLost, SourceMisconfigured, ConfigInvalid."""
    start = "" if call.propose is None else begun(call.propose)
    edge = edge_of(start)
    config = await _trusted(_config(call), call, edge, lang)
    for words in cautions(config):
        warn(words[0] if lang == "en" else words[1])
    found = await look(config, SOURCE, edge, call.watch_s, lang)
    guesses = {index: guess(found.seen(index)) for index in found.variables}
    show(found, guesses, lang)
    return 0 if call.propose is None else write(call, config, found, guesses, lang, start)


def edge_of(start: str) -> str:
    """Who this box is, so that the PLC trusts one certificate once: as in the file that is gone on with, else as in ./edge.toml."""
    try:
        return str(tomllib.loads(start or CONFIG.read_text(encoding="utf-8")).get("edge", NAMELESS))
    except (OSError, ValueError):
        return NAMELESS


def _config(call: Call) -> OpcUaConfig:
    from pydantic import ValidationError

    keys = {
        "type": "opcua", "url": call.url, "user": call.user, "password_file": call.password_file, "security": call.security,
        "server_fingerprint": call.fingerprint, "pki_dir": call.pki_dir.absolute(),
        "devices": {"M": {"namespace": "urn:none", "metrics": {}}},
    }  # fmt: skip
    try:
        return OpcUaConfig.model_validate(keys)
    except ValidationError as error:
        found = [(".".join(map(str, one["loc"])), *said(one, KIND.zh)) for one in error.errors()]
        raise ConfigInvalid(
            f"This cannot be browsed: {'; '.join(f'{where}: {en}' for where, en, _ in found)}.",
            f"无法浏览:{';'.join(f'{where}:{zh}' for where, _, zh in found)}。",
            "Write: gemba-edge browse opc.tcp://HOST:4840",
            "请写:gemba-edge browse opc.tcp://主机:4840",
        ) from error


async def _trusted(config: OpcUaConfig, call: Call, edge: str, lang: str) -> OpcUaConfig:
    """The config with the fingerprint that a person gave or confirms now."""
    if config.security == "none" or call.fingerprint is not None:
        return config
    if trust.kept_path(config.pki_dir, SOURCE).is_file():
        return config
    shown = await desk.ask_server(config, SOURCE, edge)
    found = facts(shown.leaf)
    say(("The server shows this certificate:" if lang == "en" else "服务器出示的证书:") + "\n" + trust.shown_lines(found, lang))
    if not sys.stdin.isatty():
        raise SourceMisconfigured(
            "Nobody has trusted this server yet.",
            "尚无人信任该服务器。",
            f"Compare the fingerprint at the PLC, then add: --fingerprint {found.fingerprint}",
            f"请与 PLC 上的指纹核对,然后加上:--fingerprint {found.fingerprint}",
        )
    if not desk.confirmed(lang):
        raise SourceMisconfigured("Not trusted: nothing was read.", "未信任:没有读取任何数据。")
    return config.model_copy(update={"server_fingerprint": found.fingerprint})


async def look(config: OpcUaConfig, name: str, edge: str, watch_s: float, lang: str) -> Explored:
    """Connects, walks, watches, with progress on the error stream."""

    def progress(what: str, done: int, of: int) -> None:
        if not sys.stderr.isatty():
            return
        text = {
            "walk": ("reading the address space …", "正在读取地址空间 …"),
            "watch": (f"watching how values move: {done} of {of} s", f"正在观察变化:{done} / {of} 秒"),
            "done": ("", ""),
        }[what][0 if lang == "en" else 1]
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()

    async with client.connect(config, name, edge) as connection:
        with client.in_words(config):
            return await explore(connection.client, await connection.namespaces(), watch_s, progress)


# --- the tree ------------------------------------------------------------------------------------------------------------------
def show(found: Explored, guesses: dict[int, Guess], lang: str) -> None:
    for index in found.walk.top():
        _branch(found, guesses, index, 0, lang)
    if not found.walk.is_complete:
        warn("The tree is larger than this: cut." if lang == "en" else "内容过多,已截断。")


def _branch(found: Explored, guesses: dict[int, Guess], index: int, depth: int, lang: str) -> None:
    node = found.walk.nodes[index]
    if not node.is_variable:
        kind = f"  ({node.types[0][1]})" if node.types else ""
        model = next((f'  {model.title}: model = "{model.name}"' for at, model in found.models if at == index), "")
        say(f"{'  ' * depth}{node.name}{kind}{model}")
    elif index in found.variables:
        say(f"{'  ' * depth}{_described(found, guesses[index], index, lang)}")
    for child in node.children:
        if child in found.variables or not found.walk.nodes[child].is_variable:
            _branch(found, guesses, child, depth + 1, lang)


def _described(found: Explored, what: Guess, index: int, lang: str) -> str:
    one = found.variables[index]
    value = one.refused or ("…" if not one.is_scalar else "" if one.value is None else str(one.value))
    shown = f"{value[:VALUE_CHARS]}{' ' + one.unit if one.unit else ''}"
    text = f"{found.walk.nodes[index].name:<28} {one.datatype:<9} {shown:<{VALUE_CHARS}}"
    if what.meaning and what.meaning != "sample" and what.sure >= MAYBE:
        reasons = (", " if lang == "en" else ",").join(en if lang == "en" else zh for en, zh in what.why)
        text += f"  {what.meaning} {round(what.sure * 100)} % ({reasons})"
    return f"{text.rstrip()}  {one.node}"


# --- the file ------------------------------------------------------------------------------------------------------------------
def begun(path: Path) -> str:
    """What `enrol` wrote there: who this box is, no source yet. Empty where there is no file. Raises EdgeError for any other file."""
    try:
        text = path.read_text(encoding="utf-8")
        keys = tomllib.loads(text)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError):
        keys = {}
    if "edge" in keys and "sources" not in keys:
        return text
    raise EdgeError(
        f"{path} is there already and is more than what `enrol` writes: it stays as it is.",
        f"{path} 已存在,且不只是 `enrol` 写的内容:保持不变。",
        "Name another file, then copy its [sources.…] tables over.",
        "请换一个文件名,再把其中的 [sources.…] 表复制过来。",
    )


def write(call: Call, config: OpcUaConfig, found: Explored, guesses: dict[int, Guess], lang: str, start: str = "") -> int:
    """Writes the proposed config, after `start`; it is checked before anybody uses it. Raises EdgeError when the file cannot be written."""
    assert call.propose is not None
    candidates = [Candidate(found.walk.path(index), one.node, found.seen(index), guesses[index]) for index, one in found.variables.items()]
    models = [Model(found.walk.path(at), node_text(found.walk.nodes[at].id, found.namespaces), model.name) for at, model in found.models]
    devices = propose(candidates, models, lang)
    keys = {"url": json.dumps(config.url)}
    if config.security != "best":
        keys["security"] = json.dumps(config.security)
    for key, value in (("user", config.user), ("password_file", config.password_file), ("server_fingerprint", config.server_fingerprint)):
        if value is not None:
            keys[key] = json.dumps(str(value.absolute() if isinstance(value, Path) else value))
    if config.security != "none":
        keys["pki_dir"] = json.dumps(str(config.pki_dir))
    name = "".join(char if char.isalnum() or char in "-_" else "-" for char in f"PLC-{urlsplit(config.url).hostname}")
    try:
        with call.propose.open("a" if start else "x", encoding="utf-8") as file:
            file.write(file_text(devices, name, keys, lang, start))
    except OSError as error:
        raise EdgeError(
            f"{call.propose} cannot be written: {error}.", f"无法写入 {call.propose}:{error}。", "Name another file.", "请换一个文件名。"
        ) from error
    sure = sum(device.is_sure for device in devices)
    if not sure:
        warn(
            f"{call.propose} is written, but no line is sure enough. Watch longer while it runs (--watch 120), or take the # from the right lines."
            if lang == "en"
            else f"已写入 {call.propose},但没有把握足够的行。请在设备运行时观察更久(--watch 120),或手动去掉正确行的 #。"
        )
        return 1
    waiting = [line.toml.partition(" =")[0] for device in devices if device.is_sure for line in device.lines if not line.is_sure]
    if waiting:
        names = ", ".join(dict.fromkeys(waiting))
        say(f"waiting for you, with # before it: {names}" if lang == "en" else f"待您确认(行首带 #):{names}")
    _, problems = config_text.check(call.propose)
    for problem in problems:
        warn(problem.text(lang))
    say(
        f"{call.propose}: {sure} device(s). Read it, then: gemba-edge check-config {call.propose}"
        if lang == "en"
        else f"{call.propose}:{sure} 台设备。请核对后执行:gemba-edge check-config {call.propose}"
    )
    return 1 if problems else 0
