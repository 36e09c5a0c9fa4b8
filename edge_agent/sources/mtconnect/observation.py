"""One observed value, however it came, and how times are written in MTConnect. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Level = Literal["NORMAL", "WARNING", "FAULT", "UNAVAILABLE"]
UNAVAILABLE = "UNAVAILABLE"
_FRACTION = re.compile(r"(\d\d:\d\d:\d\d)[.,](\d+)")


@dataclass(frozen=True, slots=True)
class Observation:
    """`item`: data item id, or key of an adapter. `t_ms` None: it bears no time. `level` is set on conditions only, `code` is their native code."""

    item: str
    t_ms: int | None
    value: str
    sequence: int = 0
    level: Level | None = None
    code: str = ""


def parse_time_ms(text: str) -> int:
    """ISO 8601, any number of decimals, UTC where no zone is given (MTConnect Part 1 asks for UTC). Raises ValueError."""
    found = _FRACTION.search(text)
    micros = 0
    if found is not None:  # Python's own parser takes 3 or 6 decimals; an Okuma writes 7
        micros = int(found[2][:6].ljust(6, "0"))
        text = text[: found.start(2) - 1] + text[found.end(2) :]
    when = datetime.fromisoformat(text.strip())
    seconds = (when if when.tzinfo is not None else datetime.fromisoformat(text.strip() + "+00:00")).timestamp()
    return round(seconds) * 1000 + micros // 1000
