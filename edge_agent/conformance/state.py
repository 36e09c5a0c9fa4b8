"""STATE messages of host applications, strictly and as of Sparkplug 2.2."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class State:
    online: bool
    timestamp: int


def read_state(raw: bytes) -> State | None:
    """The STATE of Sparkplug 3.0: JSON with exactly a boolean `online` and a whole, positive `timestamp`. None: it is not that."""
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not isinstance(said.get("online"), bool):
        return None
    stamp = said.get("timestamp")
    if isinstance(stamp, bool) or not isinstance(stamp, int) or stamp < 0:
        return None
    return State(said["online"], stamp)


def claims_online(raw: bytes) -> bool | None:
    """What a message that is perhaps malformed means to say; None: nothing."""
    text = raw.strip().lower()
    if text in (b"online", b"offline"):
        return text == b"online"
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    online = said.get("online") if isinstance(said, dict) else None
    return online if isinstance(online, bool) else None
