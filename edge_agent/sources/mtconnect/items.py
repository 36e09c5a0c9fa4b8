"""From observations to the agent's tags: types, UNAVAILABLE, conditions as one alarm text. Pure.

UNAVAILABLE is a word of MTConnect, not an error: a machine whose execution is unavailable is in state no_data, a sample has no value. A counter
or text that is unavailable is bad (a gap) only on a device without a state; beside a state it is passed over, because the state says it better.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from edge_agent.config_model import COUNTERS
from edge_agent.pipeline.columns import DOUBLE, STRING, Value
from edge_agent.pipeline.tags import Tag
from edge_agent.sources.mtconnect.config import CONDITIONS
from edge_agent.sources.mtconnect.documents import DataItem
from edge_agent.sources.mtconnect.observation import UNAVAILABLE, Observation

Row = tuple[int, int, int, Value]  # tag, t_ms, kind, value
_SEVERITY = {"FAULT": 2, "WARNING": 1}
MISSING = "no data item of this id, name or type; `browse` lists what is there"


@dataclass(slots=True)
class Target:
    """A tag and where it is read. `text`: it is a text and not a number; None: its first value tells."""

    tag: Tag
    item: str
    words: str  # for people: device.metric (item)
    device: str | None  # as the config names it
    text: bool | None
    has_state: bool  # its device has one
    active: dict[tuple[str, str], tuple[int, int, str]] = field(default_factory=dict)  # alarm: (item, code) -> severity, number, text
    said: str | None = None

    @property
    def is_alarm(self) -> bool:
        return self.tag.role == "alarm"


class Mapper:
    """Which observation feeds which tags. `failed`: words of a target -> why it has no value."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self.targets = list(targets)
        self.failed: dict[str, str] = {}
        self._by_item: dict[str, list[Target]] = {}
        self._count = 0

    # --- which item is meant -----------------------------------------------------------------------------------------------------
    def resolve(self, items: Iterable[DataItem]) -> None:
        """By what the agent's probe lists: id, else name, else a type that is there once; only in the target's device."""
        self._by_item, self.failed = {}, {}
        known = list(items)
        devices = {item.device for item in known}
        for target in self.targets:
            mine = [item for item in known if target.device is None or target.device in item.device]
            if target.device is None and len(devices) > 1:
                self.failed[target.words] = "the agent has several devices; say which with `device`"
                continue
            if not mine:
                self.failed[target.words] = f"the agent has no device {target.device!r}"
                continue
            found = _matching(mine, target.item)
            if isinstance(found, str):
                self.failed[target.words] = found
                continue
            for item in found:
                self._by_item.setdefault(item.id, []).append(target)

    def keys(self) -> None:
        """By the keys of an adapter, which says nothing of what it has."""
        self._by_item, self.failed = {}, {}
        for target in self.targets:
            if target.item != CONDITIONS:
                key = target.item if target.device is None else f"{target.device}:{target.item}"
                self._by_item.setdefault(key, []).append(target)

    def condition_keys(self) -> frozenset[str]:
        return frozenset(key for key, targets in self._by_item.items() if any(target.is_alarm for target in targets))

    # --- what it says ------------------------------------------------------------------------------------------------------------
    def begin(self) -> None:
        """What conditions were active is told anew now."""
        for target in self.targets:
            target.active.clear()

    def rows(self, seen: Observation, t_ms: int) -> list[Row]:
        targets = self._by_item.get(seen.item, [])
        if seen.level is not None and not targets:  # an adapter's condition: whoever wants all of them
            targets = [target for target in self.targets if target.item == CONDITIONS and _of(target, seen.item)]
        out: list[Row] = []
        for target in targets:
            row = self._condition(target, seen, t_ms) if target.is_alarm and seen.level is not None else self._value(target, seen, t_ms)
            if row is not None:
                out.append(row)
        return out

    def _condition(self, target: Target, seen: Observation, t_ms: int) -> Row | None:
        """The alarm is the newest of the gravest active conditions, "" when none is (Part 2: a NORMAL without code ends all of its item)."""
        active = target.active
        if seen.level in _SEVERITY:
            self._count += 1
            name = seen.code or seen.value or seen.item
            active[seen.item, seen.code] = (_SEVERITY[str(seen.level)], self._count, name)
        elif seen.level == "NORMAL" and seen.code:
            active.pop((seen.item, seen.code), None)
        else:
            for key in [key for key in active if key[0] == seen.item]:
                del active[key]
        text = max(active.values())[2] if active else ""
        if text == target.said:
            return None
        target.said = text
        return (target.tag.number, t_ms, STRING, text)

    def _value(self, target: Target, seen: Observation, t_ms: int) -> Row | None:
        tag, text = target.tag, seen.value
        if text.upper() == UNAVAILABLE or (not text and not _is_text(target)):
            return _unavailable(target, t_ms)
        if target.text is None:
            target.text = _is_text(target) or _number(text) is None
        if target.text:
            self.failed.pop(target.words, None)
            return (tag.number, t_ms, STRING, text)
        number = _number(text)
        if number is None:
            self.failed[target.words] = f"{text[:60]!r} is not a number"
            return (tag.number, t_ms, DOUBLE, None)
        self.failed.pop(target.words, None)
        return (tag.number, t_ms, DOUBLE, number)


def _is_text(target: Target) -> bool:
    role = target.tag.role
    return target.text is True or (role != "sample" and role not in COUNTERS)


def _of(target: Target, key: str) -> bool:
    prefix, colon, _ = key.rpartition(":")
    return (target.device or "") == (prefix if colon else "")


def _unavailable(target: Target, t_ms: int) -> Row | None:
    number, role = target.tag.number, target.tag.role
    if role == "state":
        return (number, t_ms, STRING, UNAVAILABLE)
    if role == "sample":
        return (number, t_ms, STRING if target.text else DOUBLE, None) if target.text is not None else None
    return None if target.has_state else (number, t_ms, STRING if _is_text(target) else DOUBLE, None)


def _matching(items: list[DataItem], wanted: str) -> list[DataItem] | str:
    if wanted == CONDITIONS:
        found = [item for item in items if item.is_condition]
        return found or "the device has no conditions"
    for field_name in ("id", "name"):
        found = [item for item in items if getattr(item, field_name) == wanted]
        if found:
            return found if len(found) == 1 else f"several data items are called {wanted}: write the id of one ({_ids(found)})"
    found = [item for item in items if item.type.upper() == wanted.upper()]
    if len(found) > 1:
        return f"several data items are of type {wanted}: write the id of one ({_ids(found)})"
    if found and found[0].representation not in ("VALUE", "TIME_SERIES", "DISCRETE"):
        return f"its representation {found[0].representation} cannot be read as one value"
    return found or MISSING


def _ids(items: list[DataItem]) -> str:
    return ", ".join(item.id for item in items[:4])


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if found - found == 0.0 and "_" not in text else None  # neither NaN nor infinite
