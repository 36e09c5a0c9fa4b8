"""Which tags in which message. Pure: how long requests and answers are, groups out.

An unconnected message holds about 500 bytes each way. How long an answer is shows only once it was read, so a tag not yet read counts as a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MESSAGE_MAX = 480  # bytes of a message, with what routing adds below the 504 that every controller takes
UNKNOWN_ANSWER = 4 + 2 + 92  # a Logix STRING
_EACH, _HEAD = 2, 10  # an offset an item; service, path and count


def groups(keys: Sequence[str], requests: Mapping[str, int], answers: Mapping[str, int], longest: int = MESSAGE_MAX) -> list[list[str]]:
    """Keys in groups, in their order. `requests`, `answers`: bytes by key; an answer that is not known is taken to be long."""
    out: list[list[str]] = []
    there = back = longest + 1
    for key in keys:
        ask, get = requests[key] + _EACH, answers.get(key, UNKNOWN_ANSWER) + _EACH
        if there + ask > longest or back + get > longest:
            out.append([])
            there = back = _HEAD
        out[-1].append(key)
        there += ask
        back += get
    return out
