"""A machine's alarm from its alarm conditions (OPC 10000-9): the latest of the gravest that are active, "" when none is. Pure.

What is known of a device's conditions is one text (JSON), so that it goes into the memory of a notification like any other input's value: a
subscription that outlives the agent goes on from it. An acknowledged condition is active all the same; one that a person shelved is, too.
ConditionRefresh puts what is active between a start and an end (5.5.7): in between nothing is said, at the end what was not told again is over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from edge_agent.pipeline.columns import Value

EVENTS = "events"  # the input's name, and the role of its tag
ACTIVE_MAX = 200  # of a device; beyond, the least grave is not remembered
CODE_CHARS_MAX = 64  # what the server keeps of an alarm


class NotYet(Exception):
    """A metric of which nothing is to be said now."""


def is_active(condition: str, severity: int, t_ms: int, code: str) -> str:
    """A condition is active, as an input's value."""
    return json.dumps(["on", condition, severity, t_ms, code[:CODE_CHARS_MAX]])


def is_over(condition: str) -> str:
    return json.dumps(["off", condition])


REFRESH_START, REFRESH_END = '["start"]', '["end"]'
LOST = '["lost"]'  # the server's queue dropped events
UNKNOWN = '["unknown"]'  # the server cannot say what is active: what was known is of before


def folded(before: Value, told: Value) -> Value:
    """What is known of a device's conditions after `told`; None: nothing yet."""
    if not isinstance(told, str):
        return before
    what, *rest = json.loads(told)
    known: dict[str, Any] = json.loads(before) if isinstance(before, str) else {}
    active: dict[str, list[Any]] = known.get("active", {})
    seen: list[str] | None = known.get("seen")  # since the start of a refresh
    if what == "start":
        seen = []
    elif what == "on":
        active[rest[0]] = rest[1:]
        if len(active) > ACTIVE_MAX:
            del active[min(active, key=lambda one: active[one][:2])]
        if seen is not None and rest[0] not in seen:
            seen.append(rest[0])
    elif what == "off":
        active.pop(rest[0], None)
    elif what == "end" and seen is not None:
        active, seen = {one: words for one, words in active.items() if one in seen}, None
    elif before is None:
        return None
    elif what == "unknown":
        active, seen = {}, None
    return json.dumps({"active": active, "seen": seen}, separators=(",", ":"))


def alarm(known: Mapping[str, Value]) -> Value:
    """The metric. Raises NotYet before the first word of any condition, and between start and end of a refresh."""
    raw = known.get(EVENTS)
    held = json.loads(raw) if isinstance(raw, str) else None
    if held is None or held["seen"] is not None:
        raise NotYet
    gravest = max(held["active"].values(), key=lambda one: one[:2], default=None)
    return "" if gravest is None else str(gravest[2])
