"""Own acts in one sentence each, zh and en, as the band and the list “Last acts” say them."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from mes_server.plant import service as plant

UNDOABLE = frozenset(
    {
        "production.reported",
        "operation.started",
        "operation.interrupted",
        "operation.completed",
        "material.consumed",
        "material.produced",
    }
)
ACT_WORDS: dict[str, tuple[str, str]] = {
    "operation.started": ("开工 {operation} · {machine}", "Started {operation} · {machine}"),
    "operation.interrupted": ("暂停 {operation} · {machine}", "Paused {operation} · {machine}"),
    "operation.completed": ("完工 {operation}", "Completed {operation}"),
    "production.reported": ("", ""),
    "production.undone": ("撤销", "Taken back"),
    "production.corrected": ("更正为 合格 {good} · 报废 {scrap}", "Corrected to good {good} · scrap {scrap}"),
    "material.received": ("收货 {lot} · {quantity}", "Received {lot} · {quantity}"),
    "material.consumed": ("投料 {lot} · {quantity} · {operation}", "Consumed {lot} · {quantity} · {operation}"),
    "material.produced": ("产出 {piece} · {operation}", "Produced {piece} · {operation}"),
    "defect.logged": ("缺陷 {subject_code} · {code}", "Defect {subject_code} · {code}"),
    "hold.placed": ("冻结 {subject_code}", "Hold {subject_code}"),
    "hold.released": ("解冻", "Released"),
    "stop.explained": ("停机原因 {reason} · {machine}", "Stop reason {reason} · {machine}"),
    "help.called": ("呼叫 {kind} · {machine}", "Called {kind} · {machine}"),
}


class _Said(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "–"


def sentence(act_type: str, payload: dict[str, Any], session: Session) -> tuple[str, str]:
    """(zh, en) for one journal record's payload {"command":…, "effect":…}."""
    command = dict(payload.get("command") or {})
    subject = command.get("subject")
    said = _Said(
        {name: value for name, value in command.items() if value is not None},
        piece=command.get("serial") or command.get("lot") or "–",
        subject_code=subject.get("code", "–") if isinstance(subject, dict) else "–",
    )
    if act_type == "production.reported":
        return _report(command, session)
    zh, en = ACT_WORDS[act_type]
    return zh.format_map(said), en.format_map(said)


def _report(command: dict[str, Any], session: Session) -> tuple[str, str]:
    """合格 +10 · 报废 毛刺 +2 / Good +10 · scrap burr +2."""
    zh, en = [], []
    if command.get("good"):
        zh.append(f"合格 +{command['good']}")
        en.append(f"Good +{command['good']}")
    if command.get("scrap"):
        reason = plant.model(session).reasons.get(command.get("reason") or "")
        zh.append(f"报废 {reason.zh if reason else ''} +{command['scrap']}")
        en.append(f"Scrap {reason.en if reason else ''} +{command['scrap']}")
    if command.get("rework"):
        zh.append(f"返工 +{command['rework']}")
        en.append(f"Rework +{command['rework']}")
    operation = command.get("operation", "")
    return f"{' · '.join(zh)} · {operation}", f"{' · '.join(en)} · {operation}"
