"""What a PLC variable probably means: by its name, its type, its unit, the model it belongs to, and how it behaved while it was watched.

Pure: evidence in, a meaning with its reasons and how sure out. Points are added per reason; what a meaning cannot be (a text that is a counter) is
out at once. SURE and MAYBE are where `--propose` writes a line, and where it writes it commented out.
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_agent.sources.opcua import guess_words as words

SURE, MAYBE = 0.75, 0.4
MOST = 0.97
CENTRE = 2.0  # points at which it is as likely as not
ROLES = ("state", "good", "scrap", "alarm", "order", "operation", "energy", "power", "cycle_s")  # one of a device each
TEXT, WHOLE, REAL, BOOL, OTHER = "text", "whole", "real", "bool", "other"
_TOKEN = re.compile(r"[A-ZÄÖÜ]+(?![a-zäöüß])|[A-ZÄÖÜ]?[a-zäöüß]+|[一-鿿]+|\d+")
_ORDER_LIKE = re.compile(r"[A-Za-z]{0,6}[-_/ ]?\d{4,}([-_/]\d+)*")
_PREFIXES = frozenset({"db", "x", "b", "n", "i", "di", "dint", "r", "rr", "str", "s", "w", "u", "ui", "udi", "l", "lr", "g", "gv", "fb", "ar", "st"})
Value = bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """One variable as it was seen. `parents`: names from the root down; `samples`: values in the order in which they were read."""

    name: str
    parents: tuple[str, ...]
    datatype: str  # "Int32", "Double", "String", …
    samples: tuple[Value, ...] = ()
    unit: str = ""
    enum: Mapping[int, str] | None = None  # the names of an enumeration's values
    companion: str = ""  # metric key that a companion model gives it
    is_scalar: bool = True


@dataclass(frozen=True, slots=True)
class Guess:
    """`meaning` is one of the keys of the word table or "sample"; `sure` 0…1; reasons in words (English, Chinese)."""

    meaning: str
    sure: float
    why: tuple[tuple[str, str], ...] = ()
    factor: float = 1.0
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the samples moved. `seconds` between the first and the last stand with the caller."""

    kind: str
    distinct: int
    changes: int
    steps_up: int
    steps_down: int
    largest_step: float
    last: Value


def tokens(name: str) -> tuple[str, ...]:
    """Lower-case words of a name: `"DB_Maschine".xGutTeile_1` -> db maschine x gut teile 1."""
    return tuple(part.lower() for part in _TOKEN.findall(unicodedata.normalize("NFC", name)))


def kind_of(datatype: str, samples: Sequence[Value]) -> str:
    if datatype == "Boolean":
        return BOOL
    if datatype in ("String", "LocalizedText"):
        return TEXT
    if datatype in ("Float", "Double"):
        return REAL
    if datatype in ("SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Enumeration", "Integer", "UInteger", "Number"):
        return WHOLE
    known = [sample for sample in samples if sample is not None]
    if known and all(isinstance(sample, int) and not isinstance(sample, bool) for sample in known):
        return WHOLE
    return OTHER


def behaviour(datatype: str, samples: Sequence[Value]) -> Behaviour:
    known = [sample for sample in samples if sample is not None]
    steps = [
        float(after) - float(before)
        for before, after in itertools.pairwise(known)
        if isinstance(before, (int, float)) and isinstance(after, (int, float))
    ]
    changes = sum(before != after for before, after in itertools.pairwise(known))
    return Behaviour(
        kind_of(datatype, samples),
        len(set(known)),
        changes,
        sum(step > 0 for step in steps),
        sum(step < 0 for step in steps),
        max((abs(step) for step in steps), default=0.0),
        known[-1] if known else None,
    )


# --- evidence ------------------------------------------------------------------------------------------------------------------
def name_points(name: str, share: float = 1.0) -> dict[str, tuple[float, str]]:
    """Meaning -> (points, the word that says so). `share`: how much this name counts (a parent's less than its own)."""
    parts = [part for part in tokens(name) if part not in _PREFIXES or part == "st"]
    whole = "".join(parts)
    out: dict[str, tuple[float, str]] = {}
    for meaning, table in words.WORDS.items():
        found = [(weight, word) for word, weight in table.items() if _has(word, parts, whole)]
        if found:
            best = max(found)
            out[meaning] = (best[0] * share, best[1])
    for (first, second), (meaning, weight) in words.PAIRS.items():
        if first in parts and second in parts:
            before = out.get(meaning, (0.0, f"{first} {second}"))
            out[meaning] = (before[0] + weight * share, f"{first} {second}")
    return out


def _has(word: str, parts: Sequence[str], whole: str) -> bool:
    """As a token, or inside one when it is long enough to mean something there."""
    if word in parts:
        return True
    long_enough = len(word) >= 4 or "一" <= word[0] <= "鿿"
    return long_enough and (any(word in part for part in parts) or (len(word) >= 7 and word in whole))


def against(name: str) -> float:
    parts = tokens(name)
    whole = "".join(parts)
    return max((weight for word, weight in words.AGAINST.items() if _has(word, parts, whole)), default=0.0)


def _possible(meaning: str, seen: Behaviour) -> bool:
    numeric = seen.kind in (WHOLE, REAL)
    if meaning in ("good", "scrap"):
        return numeric and (seen.kind == WHOLE or _whole(seen.last))
    if meaning == "state":
        return seen.kind in (WHOLE, TEXT)
    if meaning in ("order", "operation", "alarm"):
        return seen.kind in (TEXT, WHOLE)
    return numeric


def _whole(value: Value) -> bool:
    return value is None or (isinstance(value, (int, float)) and float(value).is_integer())


_Evidence = list[tuple[float, tuple[str, str]]]


def _by_behaviour(meaning: str, seen: Behaviour, enum: Mapping[int, str] | None) -> _Evidence:
    out: _Evidence = []
    if meaning in ("good", "scrap"):
        _as_counter(seen, out)
    elif meaning == "state":
        _as_state(seen, enum, out)
    elif meaning == "order":
        if isinstance(seen.last, str) and _ORDER_LIKE.fullmatch(seen.last.strip()):
            out.append((1.2, (f"looks like a number of one ({seen.last})", f"值像单号({seen.last})")))
        elif seen.kind == TEXT and seen.last == "":
            out.append((0.3, ("a text, empty now", "文本,目前为空")))
    elif meaning == "energy":
        if seen.steps_down:
            out.append((-2.0, ("it also fell", "曾下降")))
        elif seen.steps_up >= 2:
            out.append((1.2, ("it only rises", "只增不减")))
    elif meaning == "power" and seen.steps_up > 3 and not seen.steps_down:
        out.append((-1.5, ("it only rises", "只增不减")))
    return out


def _as_counter(seen: Behaviour, out: _Evidence) -> None:
    if seen.steps_down > 1:
        out.append((-2.5, ("it goes up and down", "有升有降")))
    elif seen.steps_up and not seen.steps_down:
        if seen.largest_step <= 50:
            out.append((1.6, (f"it only rises ({seen.steps_up} steps)", f"只增不减({seen.steps_up} 次)")))
        else:
            out.append((-0.5, ("it rises in very large steps", "步长过大")))
    if isinstance(seen.last, (int, float)) and seen.last < 0:
        out.append((-2.0, ("it is negative", "为负数")))
    if seen.kind == REAL:
        out.append((-0.5, ("not an integer type", "不是整数类型")))


def _as_state(seen: Behaviour, enum: Mapping[int, str] | None, out: _Evidence) -> None:
    if enum and sum(state_of(text) is not None for text in enum.values()) >= 2:
        out.append((2.2, ("its values have names of states", "枚举值为状态名")))
    if seen.kind == TEXT:
        if isinstance(seen.last, str) and state_of(seen.last) is not None:
            out.append((1.5, (f"its value is a state ({seen.last})", f"值为状态名({seen.last})")))
        else:
            out.append((-1.0, ("its text is no state", "文本不是状态")))
    elif isinstance(seen.last, int):
        if not 0 <= seen.last <= 1000:
            out.append((-1.5, ("its value is too large", "数值过大")))
        if seen.changes and seen.distinct <= 8 and seen.steps_down:
            out.append((1.0, (f"{seen.distinct} values, back and forth", f"{seen.distinct} 个取值,来回变化")))
        elif seen.distinct > 12:
            out.append((-2.5, (f"{seen.distinct} different values", f"{seen.distinct} 个不同取值")))


def state_of(text: str) -> str | None:
    """The normalised state that a name of a state means, or None."""
    flat = re.sub(r"[\s_\-]+", " ", unicodedata.normalize("NFC", text)).strip().lower()
    glued = flat.replace(" ", "")
    for state, names in words.STATE_WORDS:
        for name in names:
            plain = name.replace(" ", "").replace("-", "")
            if plain in flat.split(" ") or plain == glued or (len(plain) >= 4 and plain in glued) or ("一" <= plain[0] <= "鿿" and plain in glued):
                return state
    return None


def guess(seen: Seen) -> Guess:
    """The most likely meaning. A plain number that is none of the known ones is a "sample"."""
    moved = behaviour(seen.datatype, seen.samples)
    if not seen.is_scalar or moved.kind == OTHER:
        return Guess("", 0.0, (("not a single value", "不是单个数值"),))
    if seen.companion:
        return Guess(seen.companion, 0.98, (("the companion model says so", "由配套规范定义"),))
    own, minus = name_points(seen.name), against(seen.name)
    around: dict[str, tuple[float, str]] = {}
    for distance, parent in enumerate(reversed(seen.parents[-2:])):
        for meaning, found in name_points(parent, 0.45 / (distance + 1)).items():
            if found[0] > around.get(meaning, (0.0, ""))[0]:
                around[meaning] = found
        minus = max(minus, 0.6 * against(parent))
    unit = words.UNITS.get(seen.unit.strip().lower().replace(" ", ""))
    best: tuple[float, Guess] | None = None
    for meaning in words.WORDS:
        points, why = _points(meaning, seen, moved, own, around, unit)
        points -= minus
        if best is None or points > best[0]:
            shown = [*why, *([("it is a set value or an aid", "是设定值或辅助量")] if minus else [])]
            best = (points, Guess(meaning, _sure(points), tuple(shown)))
    assert best is not None
    return _finished(best[1], seen, moved, unit)


def _points(
    meaning: str,
    seen: Seen,
    moved: Behaviour,
    own: Mapping[str, tuple[float, str]],
    around: Mapping[str, tuple[float, str]],
    unit: tuple[str, float, str] | None,
) -> tuple[float, list[tuple[str, str]]]:
    if not _possible(meaning, moved):
        return -9.0, []
    evidence: _Evidence = []
    if meaning in own:
        evidence.append((own[meaning][0], (f"its name says {own[meaning][1]}", f"名称含 {own[meaning][1]}")))
    if meaning in around:
        evidence.append((around[meaning][0], (f"it stands under {around[meaning][1]}", f"位于 {around[meaning][1]} 之下")))
    if unit is not None:
        if unit[0] == meaning:
            evidence.append((3.0 if meaning != "cycle_s" else 0.8, (f"its unit is {seen.unit}", f"单位为 {seen.unit}")))
        elif meaning not in ("alarm", "order", "operation") or unit[0]:
            evidence.append((-2.0, (f"its unit is {seen.unit}", f"单位为 {seen.unit}")))
    elif meaning in ("good", "scrap") and seen.unit.strip().lower() in words.PIECES:
        evidence.append((1.0, ("it counts pieces", "单位为件")))
    if meaning == "state" and seen.enum and not evidence:
        evidence.append((0.3, ("an enumeration", "枚举")))
    if evidence:
        evidence += _by_behaviour(meaning, moved, seen.enum)
    # scrap counts too: "NokCount" says count, but what it says of quality decides
    points = sum(weight for weight, _ in evidence)
    if meaning == "good" and ("scrap" in own or "scrap" in around) and own.get("scrap", around.get("scrap", (0.0, "")))[0] > 0.8:
        points -= 2.0
    if meaning == "scrap" and meaning in own and any(word in tokens(seen.name) for word in ("count", "counter", "cnt", "total")):
        points += 0.8
    return points, [why for weight, why in evidence if weight > 0]


def _sure(points: float) -> float:
    """A share of 1, never more than MOST: nobody but a person knows."""
    return min(MOST, round(1.0 / (1.0 + math.exp(-1.6 * (points - CENTRE))), 2))


def _finished(found: Guess, seen: Seen, moved: Behaviour, unit: tuple[str, float, str] | None) -> Guess:
    """Scale and suffix by unit; what is nothing known but a number is a sample."""
    factor, suffix = (unit[1], unit[2]) if unit is not None else (1.0, "")
    name = tokens(seen.name)
    if unit is None:
        suffix, factor = _unit_in_name(found.meaning, name)
    if found.sure < MAYBE and moved.kind in (WHOLE, REAL):
        factor, suffix = (unit[1], unit[2]) if unit is not None else (1.0, "")
        return Guess("sample", round(0.5 if moved.changes else 0.3, 2), (("a number", "数值"),), factor, suffix)
    return Guess(found.meaning, found.sure, found.why, factor, suffix)


def _unit_in_name(meaning: str, name: Sequence[str]) -> tuple[str, float]:
    for part in name:
        unit = words.UNITS.get(part)
        if unit is not None and unit[0] == meaning and len(part) > 1:
            return unit[2], unit[1]
    plain = {"power": "w", "energy": "wh", "temperature": "c", "cycle_s": "s"}
    return plain.get(meaning, ""), 1.0
