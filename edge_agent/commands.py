"""What the command line does beside running: check, read once, browse, backfill. Prints for people."""

from __future__ import annotations

from pathlib import Path

from edge_agent import config_text
from edge_agent.app import build_sources
from edge_agent.config import AgentConfig
from edge_agent.contract.clock import Clock, iso
from edge_agent.errors import ConfigInvalid, EdgeError
from edge_agent.sources.kinds import BY_TYPE
from edge_agent.sources.source import Source
from edge_agent.terminal import say, warn


def _cautions(config: AgentConfig, lang: str, only: str | None = None) -> None:
    """What a person chose that is not safe, in red."""
    for name, source in config.sources.items():
        for words in BY_TYPE[source.type].cautions(source) if only in (None, name) else ():
            warn(f"{name}: {words[0]}" if lang == "en" else f"{name}:{words[1]}")


def check_config(path: Path | None, lang: str) -> int:
    if path is None:
        raise ConfigInvalid("No config file was named.", "没有指定配置文件。", "Write: check-config FILE", "请写:check-config 文件")
    config, problems = config_text.check(path)
    for problem in problems:
        say(problem.text(lang))
    if config is None or problems:
        say(f"{len(problems)} problem(s)." if lang == "en" else f"共 {len(problems)} 处问题。")
        return 1
    _cautions(config, lang)
    devices = sum(len(source.devices) for source in config.sources.values())
    say(
        f"{path} is good: {len(config.sources)} source(s), {devices} device(s)."
        if lang == "en"
        else f"{path} 正确:{len(config.sources)} 个数据源,{devices} 台设备。"
    )
    return 0


def _chosen(config: AgentConfig, clock: Clock, name: str | None) -> list[Source]:
    _, sources, _ = build_sources(config, clock)
    chosen = [source for source in sources if name in (None, source.name)]
    if not chosen:
        raise ConfigInvalid(
            f"There is no source {name!r} in the config.",
            f"配置中没有数据源 {name!r}。",
            f"It has {', '.join(config.sources)}.",
            f"现有:{'、'.join(config.sources)}。",
        )
    return chosen


async def read_once(config: AgentConfig, clock: Clock, name: str | None, lang: str = "en") -> int:
    """Prints device, metric, where, value, time; exit 1 when anything could not be read."""
    failed = False
    _cautions(config, lang, name)
    for source in _chosen(config, clock, name):
        try:
            results = await source.read_once()
        except EdgeError as error:
            say(f"{source.name}: {error.text(lang)}")
            failed = True
            continue
        for result in results:
            failed = failed or bool(result.error)
            shown = result.error or f"{result.raw!r}"
            when = iso(result.t_ms) if result.t_ms is not None else "-"
            say(f"{result.device}\t{result.metric}\t{result.where}\t{shown}\t{when}")
    return 1 if failed else 0


async def browse(config: AgentConfig, clock: Clock, name: str) -> int:
    """Prints path, node (as it goes into the config), type and current value."""
    for source in _chosen(config, clock, name):
        async for found in source.browse():
            say(f"{found.path}\t{found.node}\t{found.datatype}\t{found.value}")
    return 0


def backfill(config: AgentConfig, recording: Path, *, skip_unknown: bool, resume: bool) -> int:
    from edge_agent.backfill import fill

    done = fill(config, recording, skip_unknown=skip_unknown, resume=resume)
    say(f"{done.values} values of {done.devices} devices -> {done.records} records in {config.buffer.path} ({done.values_per_s:,.0f} values/s)")
    return 0
