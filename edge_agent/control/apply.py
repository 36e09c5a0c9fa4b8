"""Another config for a running agent: make the change, watch it, and go back if health falls."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent import config_text
from edge_agent.control.change import Change
from edge_agent.control.socket import Say
from edge_agent.control.status import snapshot
from edge_agent.errors import ConfigInvalid

if TYPE_CHECKING:
    from edge_agent.agent import Agent

WATCH_S = 30.0  # a changed source must be well within this
STEADY_S = 2.0  # and stay so
_LOOK_S = 0.1


async def handle(agent: Agent, request: dict[str, Any], say: Say) -> dict[str, Any]:
    """What the socket is asked: status | apply (path, watch_s)."""
    if request.get("ask") == "status":
        return {"status": snapshot(agent)}
    if request.get("ask") == "apply":
        return await apply(agent, Path(str(request.get("path"))), float(request.get("watch_s", WATCH_S)), say)
    return {"error": {"en": "Unknown question.", "zh": "未知请求。"}}


async def apply(agent: Agent, path: Path, watch_s: float, say: Say) -> dict[str, Any]:
    """{"applied": bool, "why": {en, zh} or None, "change": …}. Not applied: the agent runs with what it had. Raises ConfigInvalid.

    One at a time: the return of the first to what was before would undo the second. Who asked must be there at the end, for it is he who
    puts the file in its place: if he went away, the agent goes back, so that file and agent say the same.
    """
    if agent.applying:
        raise ConfigInvalid(
            "Another apply is being watched.",
            "另一个 apply 正在观察中。",
            "Wait until it has ended, then look at its result.",
            "请等待其结束并查看结果。",
        )
    agent.applying = True
    try:
        return await _apply(agent, path, watch_s, say)
    finally:
        agent.applying = False


async def _apply(agent: Agent, path: Path, watch_s: float, say: Say) -> dict[str, Any]:
    new, before = config_text.load(path), agent.config
    well = {source.name for source in agent.sources if source.health.status == "connected"}
    bad_before = {source.name: set(source.health.failed) for source in agent.sources}
    change = await agent.reconfigure(new)
    try:
        await say({"change": asdict(change)})
        why = await _watch(agent, change, well, bad_before, watch_s) if not change.nothing else None
        await say({"rolling_back": {"en": why[0], "zh": why[1]}} if why is not None else {"well": True})
    except BaseException:
        await agent.reconfigure(before)
        raise
    if why is None:
        return {"applied": True, "why": None, "change": asdict(change)}
    await agent.reconfigure(before)
    return {"applied": False, "why": {"en": why[0], "zh": why[1]}, "change": asdict(change)}


async def _watch(agent: Agent, change: Change, well: set[str], bad_before: dict[str, set[str]], watch_s: float) -> tuple[str, str] | None:
    """None when every source is as well as before and every new one is connected; else why not."""
    must = well - set(change.sources_removed) | set(change.sources_added)
    deadline_s, steady_s = time.monotonic() + watch_s, None
    while True:
        why = _worse(agent, must, bad_before)
        now_s = time.monotonic()
        if why is None:
            steady_s = now_s if steady_s is None else steady_s
            if now_s - steady_s >= STEADY_S:
                return None
        else:
            steady_s = None
            broken = any(source.name in must and source.health.status == "misconfigured" for source in agent.sources)
            if broken or now_s >= deadline_s:
                return why
        await asyncio.sleep(_LOOK_S)


def _worse(agent: Agent, must: set[str], bad_before: dict[str, set[str]]) -> tuple[str, str] | None:
    for source in agent.sources:
        health = source.health
        if source.name not in must:
            continue
        if health.status != "connected":
            return f"{source.name}: {health.error or 'it does not connect.'}", f"{source.name}:{health.error_zh or '没有连上。'}"
        new = [what for what in health.failed if what not in bad_before.get(source.name, set())]
        if new:
            words = f"{new[0]}: {health.failed[new[0]]}"
            return (
                f"{source.name}: {len(new)} value(s) cannot be read ({words}). Correct them in the new config.",
                f"{source.name}:{len(new)} 个量无法读取({words})。请修改新配置。",
            )
    return None
