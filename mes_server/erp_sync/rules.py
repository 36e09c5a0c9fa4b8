"""Pure rules of the ERP border: what to send, when to try again, which version wins, what a change means."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BACKOFF_S_FIRST = 2.0
BACKOFF_S_MAX = 300.0
URGENT_TYPES = frozenset({"operation.completed", "order.completed", "order.closed", "order.cancelled"})
_ORDER_IN_OPERATION = re.compile(r'"operation":"([^"/]{1,40})/')


def orders_touched(subject: str, payload: str) -> set[str]:
    """Work orders a journal record is about: by its subject ("order:WO-1", "operation:WO-1/20") or its command's operation."""
    kind, _, rest = subject.partition(":")
    if kind == "order":
        return {rest}
    if kind == "operation":
        return {rest.split("/")[0]}
    return set(_ORDER_IN_OPERATION.findall(payload))


def backoff_s(attempts: int, jitter: float) -> float:
    """Seconds until the next try after `attempts` failed ones; `jitter` in 0..1 spreads lanes. Doubles from 2 s up to 5 min."""
    return float(min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2.0 ** min(max(attempts - 1, 0), 20)) * (0.75 + 0.5 * jitter))


def version_wins(seen: int | None, incoming: int) -> bool:
    """An ERP object is applied only if it is newer than what was seen: repeats and late old versions change nothing."""
    return seen is None or incoming > seen


@dataclass(frozen=True, slots=True)
class Holding:
    """What the book of record holds of one order, flat: key -> quantity (keys as in ErpHanded), with what a message needs to say of it."""

    quantities: Mapping[str, float]
    times: Mapping[int, tuple[str | None, str | None]]  # operation -> (started_at, ended_at), ISO
    items: Mapping[str, str]  # serial -> item produced
    final: bool


def confirmation_parts(now: Holding, handed: Mapping[str, float]) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, float]]:
    """Segments and materials that bring the ERP from `handed` to `now`, and the handed quantities after them. Both lists empty: nothing to say."""
    segments: dict[int, dict[str, Any]] = {}
    materials: list[dict[str, Any]] = []
    after = dict(handed)
    for key in sorted(set(now.quantities) | set(handed)):
        delta = round(now.quantities.get(key, 0.0) - handed.get(key, 0.0), 6)
        if delta == 0:
            continue
        after[key] = now.quantities.get(key, 0.0)
        kind, *rest = key.split("\x1f")
        if kind == "op":
            number = int(rest[0])
            row = segments.setdefault(number, _segment(number, now))
            row[rest[1]] = int(delta)
        elif kind == "lot":
            materials.append(
                {
                    "use": "consumed" if delta > 0 else "returned",
                    "item": rest[1],
                    "lot": rest[2] or None,
                    "serials": [],
                    "quantity": abs(delta),
                    "operation": int(rest[0]),
                }
            )
        elif kind == "serial":
            materials.append(
                {
                    "use": "produced" if delta > 0 else "returned",
                    "item": now.items.get(rest[0], rest[1] if len(rest) > 1 else ""),
                    "lot": None,
                    "serials": [rest[0]],
                    "quantity": 1,
                    "operation": None,
                }
            )
    return [segments[number] for number in sorted(segments)], _merge_serials(materials), after


def _segment(number: int, now: Holding) -> dict[str, Any]:
    started, ended = now.times.get(number, (None, None))
    return {"operation": number, "good": 0, "scrap": 0, "rework": 0, "started_at": started, "ended_at": ended, "reason": None}


def _merge_serials(materials: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Serials of one item in one line, as an ERP books them."""
    merged: dict[tuple[str, str], dict[str, Any]] = {}
    rest: list[dict[str, Any]] = []
    for row in materials:
        if not row["serials"]:
            rest.append(row)
            continue
        line = merged.setdefault((row["use"], row["item"]), {**row, "serials": [], "quantity": 0})
        line["serials"].extend(row["serials"])
        line["quantity"] += 1
    return rest + list(merged.values())


def key(*parts: object) -> str:
    """The flat key of a quantity; parts may hold any character but the unit separator."""
    return "\x1f".join(str(part) for part in parts)


def to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
