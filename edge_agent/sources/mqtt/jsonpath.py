"""Where a value stands in a JSON message. Pure.

    apower                      a key
    ENERGY.Power                a key in an object
    ENERGY.Power[1]             an element of an array
    devs[id=M1].data[k=P].val   the element whose key has that value (gateways that send lists of points)
    ["em1:0.total"].act         a key with dots or brackets in it
An empty path is the message itself. A leading "$." is allowed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_STEP: Final = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|\[([^\]=]+)=([^\]]*)\]|\.?([^.\[\]]+)')
FOUND_MAX: Final = 5000


class BadPath(ValueError):
    """A path that is none; the text says where."""


class Missing(ValueError):
    """The message has nothing at the path."""


@dataclass(frozen=True, slots=True)
class Step:
    """`key` of an object, `index` of an array, or the first element whose `key` has the value `equals`."""

    key: str | None = None
    index: int | None = None
    equals: str | None = None


def parse(text: str) -> tuple[Step, ...]:
    """Raises BadPath."""
    text = text.strip()
    at = 2 if text.startswith("$.") else 1 if text == "$" or text.startswith("$[") else 0
    steps: list[Step] = []
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None or found.end() == at:
            raise BadPath(f"{text!r}: not understood from {text[at:]!r} on")
        quoted, index, key, equals, plain = found.groups()
        if quoted is not None:
            steps.append(Step(key=json.loads(f'"{quoted}"')))
        elif index is not None:
            steps.append(Step(index=int(index)))
        elif key is not None:
            steps.append(Step(key=key.strip(), equals=equals.strip().strip('"')))
        else:
            steps.append(Step(key=plain))
        at = found.end()
    return tuple(steps)


def follow(message: Any, steps: tuple[Step, ...]) -> Any:
    """What stands there. Raises Missing."""
    here = message
    for step in steps:
        if step.index is not None:
            if not isinstance(here, list) or step.index >= len(here):
                raise Missing(f"no element {step.index}")
            here = here[step.index]
        elif step.equals is not None:
            there = [one for one in here if isinstance(one, dict) and _text(one.get(step.key or "")) == step.equals] if isinstance(here, list) else []
            if not there:
                raise Missing(f"no element with {step.key}={step.equals}")
            here = there[0]
        else:
            if not isinstance(here, dict) or step.key not in here:
                raise Missing(f"no {step.key}")
            here = here[step.key]
    return here


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def value_of(found: Any, number: bool) -> bool | float | str | None:
    """The value as a metric takes it; with `number` texts that are numbers become numbers. Raises Missing for objects and arrays."""
    if found is None or isinstance(found, bool):
        return found
    if isinstance(found, (int, float)):
        return _finite(found)
    if isinstance(found, str):
        if number:
            try:
                return _finite(found.strip())
            except ValueError:
                pass
        return found
    raise Missing("an object or array, not a value: the path must go on")


def _finite(raw: float | str) -> float | None:
    try:
        value = float(raw)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def read(payload: bytes) -> Any:
    """The message: JSON, else the text itself. Never raises."""
    text = payload.decode("utf-8", errors="replace").strip()
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def leaves(message: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a message with the path that leads to it (at most FOUND_MAX)."""
    stack: list[tuple[str, Any]] = [(path, message)]
    for _ in range(FOUND_MAX):
        if not stack:
            return
        path, here = stack.pop()
        if isinstance(here, dict):
            stack += [(_joined(path, key), value) for key, value in reversed(here.items())]
        elif isinstance(here, list):
            stack += [(f"{path}[{index}]", value) for index, value in reversed(list(enumerate(here)))]
        else:
            yield path, here


def _joined(path: str, key: str) -> str:
    if re.search(r'[.\[\]"=\\]', key) or not key.strip() or key != key.strip():
        return f"{path}[{json.dumps(key, ensure_ascii=False)}]"
    return f"{path}.{key}" if path else key
