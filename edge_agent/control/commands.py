"""status, plan and apply, as a person calls them."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from edge_agent import config_text, durable
from edge_agent.config import AgentConfig
from edge_agent.control import plan
from edge_agent.control.apply import WATCH_S
from edge_agent.control.change import difference
from edge_agent.control.socket import NotRunning, ask
from edge_agent.control.status import Lang, render
from edge_agent.errors import ConfigInvalid, EdgeError
from edge_agent.terminal import red_alarms

REPEAT_S = 2.0
_CLEAR = "\x1b[H\x1b[2J"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _snapshot(config: AgentConfig) -> dict[str, Any]:
    answer: dict[str, Any] = next(ask(config, {"ask": "status"}))["status"]
    return answer


def status(config: AgentConfig, lang: Lang, *, as_json: bool, watch: bool) -> int:
    """Prints how the running agent is; exit 1 when a source is not connected or nothing is delivered. `watch`: until Ctrl-C."""
    while True:
        now = _snapshot(config)
        if as_json:
            say(json.dumps(now, ensure_ascii=False))
        else:
            say((_CLEAR if watch and sys.stdout.isatty() else "") + red_alarms(render(now, lang)))
        if not watch:
            well = now["delivery"]["phase"] == "born" and all(source["status"] == "connected" for source in now["sources"])
            return 0 if well else 1
        time.sleep(REPEAT_S)


def show_plan(config: AgentConfig, lang: Lang) -> int:
    """What the config would do; beside a running agent its measured rates, and what `apply` would change."""
    try:
        now = _snapshot(config)
    except NotRunning:
        say(plan.render(plan.plan_of(config), lang))
        return 0
    measured = {source["name"]: source["rate"] for source in now["sources"] if source["rate"] is not None and source["status"] == "connected"}
    say(plan.render(plan.plan_of(config, measured), lang))
    return 0


def show_change(running: AgentConfig, new: AgentConfig, lang: Lang) -> None:
    say(plan.render(plan.plan_of(new), lang))
    say("")
    say(plan.render_change(difference(running, new), lang))


def apply(current: Path, new: Path, lang: Lang, *, watch_s: float = WATCH_S) -> int:
    """Gives the running agent the config in `new`; when health holds, `new` takes the place of `current` (kept as *.before). Raises EdgeError."""
    running = config_text.load(current)
    with tempfile.NamedTemporaryFile(dir=current.parent, prefix=".apply-", suffix=".toml", delete=False) as file:
        candidate = Path(file.name)
    try:
        try:
            shutil.copyfile(new, candidate)  # beside the old one: relative paths mean the same
        except OSError as error:
            raise ConfigInvalid(
                f"{new} cannot be read: {error.strerror}.", f"无法读取 {new}:{error.strerror}。", "Correct the name.", "请检查文件名。"
            ) from error
        show_change(running, config_text.load(candidate, called=new), lang)
        say("")
        say(f"正在应用,观察最多 {watch_s:.0f} 秒…" if lang == "zh" else f"applying, watching for up to {watch_s:.0f} s …")
        answer: dict[str, Any] = {}
        for answer in ask(running, {"ask": "apply", "path": str(candidate), "watch_s": watch_s}, timeout_s=watch_s + 60):
            if "rolling_back" in answer:
                say(("健康状况变差,正在恢复:" if lang == "zh" else "health fell, going back: ") + answer["rolling_back"][lang])
        if not answer.get("applied"):
            why = answer.get("why") or {"en": "The agent ended while it was changing.", "zh": "代理在更改过程中退出。"}
            raise EdgeError(
                f"Not applied; the agent runs with {current.name} as before. {why['en']}", f"未应用,代理仍按原 {current.name} 运行。{why['zh']}"
            )
        shutil.copymode(current, candidate)
        shutil.copy2(current, current.with_name(current.name + ".before"))
        durable.replace(candidate, current)
        say(f"已应用。原配置保存为 {current.name}.before" if lang == "zh" else f"applied; what was before is in {current.name}.before")
        return 0
    finally:
        candidate.unlink(missing_ok=True)
