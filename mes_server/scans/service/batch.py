"""One act, or a tablet's whole offline shift: the same meaning for each act, in the tablet's order, nothing dropped."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from pydantic import ValidationError
from sqlalchemy.orm import Session

from edge_agent.contract.clock import parse_iso_ms
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Answer, Command, ms_of
from mes_server.kit.errors import MesError
from mes_server.kit.http import Kit, writable
from mes_server.kit.ids import derived_id
from mes_server.scans import repository
from mes_server.scans.errors import ActMalformed
from mes_server.scans.schemas import ActsBatch, BatchAnswer, BatchResult
from mes_server.scans.service.registry import ACTS, ADAPTER

AT_ONCE = 100  # acts of one batch that wait for the writer at the same time: other tablets get their turn between
BadgeHolder = Callable[[str, Actor], Awaitable[Actor]]


async def run_act(kit: Kit, actor: Actor, act: Command, badge_holder: BadgeHolder) -> Answer:
    """Runs one act as its actor, or as the badge holder it names."""
    badge = getattr(act, "as_badge", None)
    if badge:
        actor = await badge_holder(badge, actor)
    _, function = ACTS[act.act]  # type: ignore[attr-defined]
    return await kit.acts.run(function, actor, act)


async def run_batch(kit: Kit, actor: Actor, batch: ActsBatch, badge_holder: BadgeHolder) -> BatchAnswer:
    """Each act's result in its place. What a rule refuses goes to the list “To decide”; what the store could not take is to be sent again."""
    results: list[BatchResult] = []
    for start in range(0, len(batch.acts), AT_ONCE):
        part = batch.acts[start : start + AT_ONCE]
        # created in order, submitted in order, one writer: the tablet's order is kept
        results += await asyncio.gather(*(_run_one(kit, actor, raw, badge_holder) for raw in part))
    await _settle(kit, batch.acts, results, actor)
    return BatchAnswer(results=results, clock_offset_s=(ms_of(batch.device_time) - kit.clock.now_ms()) / 1000)


async def _run_one(kit: Kit, actor: Actor, raw: dict[str, Any], badge_holder: BadgeHolder) -> BatchResult:
    given = raw.get("event_id")
    event_id = writable(given) if isinstance(given, str) else None
    try:
        act = parse(raw)
        answer = await run_act(kit, actor, act, badge_holder)
    except MesError as error:
        status: Literal["retry", "refused"] = "retry" if error.status >= 500 else "refused"
        return BatchResult(event_id=event_id, status=status, problem={**error.problem(actor.lang), "words": words(error)})
    return BatchResult(event_id=answer.event_id, status="replay" if answer.replay else "done", body=answer.body)


def parse(raw: dict[str, Any]) -> Command:
    """Raises ActMalformed, which names each bad field."""
    try:
        return ADAPTER.validate_python(raw)
    except ValidationError as error:
        # the first place is the kind of act, which the union was told by
        raise ActMalformed([{**one, "loc": one["loc"][1:] or ("act",)} for one in error.errors(include_url=False)]) from None


def words(error: MesError) -> dict[str, Any]:
    return {
        "zh": {"title": error.say("zh"), "next_step": error.next_step("zh")},
        "en": {"title": error.say("en"), "next_step": error.next_step("en")},
    }


async def _settle(kit: Kit, acts: list[dict[str, Any]], results: list[BatchResult], actor: Actor) -> None:
    """Refused ones land on the list; ones that were there and are booked now leave it."""
    refused = [(raw, result) for raw, result in zip(acts, results, strict=True) if result.status == "refused"]
    booked = [result.event_id for result in results if result.status in ("done", "replay") and result.event_id is not None]
    with kit.db.read() as session:
        waiting = repository.open_among(session, booked) if booked else []
    for result in results:
        if result.problem is not None:
            result.problem = dict(result.problem)
    rows = [_row(raw, result, actor, kit.clock.now_ms()) for raw, result in refused]
    for _, result in refused:
        if result.problem is not None:
            result.problem.pop("words", None)
    if not rows and not waiting:
        return

    def keep(session: Session) -> None:
        for row in rows:
            repository.keep_refused(session, row)
        if waiting:
            repository.settle_booked(session, waiting, kit.clock.now_ms())

    await kit.acts.run_system(keep)
    if rows:
        kit.live.publish("decide", {"waiting": len(rows)})


def _row(raw: dict[str, Any], result: BatchResult, actor: Actor, now_ms: int) -> dict[str, Any]:
    problem = dict(result.problem or {})
    both = problem.pop("words", {"zh": {}, "en": {}})
    text = json.dumps(raw, sort_keys=True, ensure_ascii=True, default=str)
    event_id = (
        result.event_id
        if result.event_id is not None and len(result.event_id) == 36 and "\x00" not in result.event_id
        else str(derived_id("act", hashlib.sha256(text.encode()).hexdigest()))
    )
    return {
        "event_id": event_id,
        "type": writable(str(raw.get("type", "")))[:60].replace("\x00", "\ufffd"),
        "person": actor.person,
        "device": actor.device,
        "occurred_ms": _occurred(raw, now_ms),
        "refused_ms": now_ms,
        "act": json.loads(text.replace("\\u0000", "\\ufffd")),  # a store refuses NUL
        "problem_zh": {**problem, **both["zh"]},
        "problem_en": {**problem, **both["en"]},
        "status": "open",
    }


def _occurred(raw: dict[str, Any], now_ms: int) -> int:
    try:
        return parse_iso_ms(str(raw.get("occurred_at")))
    except (ValueError, OverflowError):
        return now_ms
