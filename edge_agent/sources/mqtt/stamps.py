"""The time a message says for itself. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

TimeUnit = Literal["auto", "s", "ms", "us"]
_TO_MS: Final = {"s": 1000.0, "ms": 1.0, "us": 0.001}
_EARLIEST_MS: Final = 946_684_800_000  # 2000: a device whose clock was never set


class BadStamp(ValueError):
    """No usable time; the text says why."""


def stamp_ms(raw: Any, unit: TimeUnit, zone: str | None) -> int:
    """Milliseconds since 1970 UTC of a number in `unit` (auto: by its size) or an ISO 8601 text (without zone: in `zone`). Raises BadStamp."""
    if isinstance(raw, str) and _is_number(raw):
        raw = float(raw)
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        found = _from_number(float(raw), unit)
    elif isinstance(raw, str):
        found = _from_text(raw.strip(), zone)
    else:
        raise BadStamp(f"{raw!r} is no time")
    if found < _EARLIEST_MS:
        raise BadStamp(f"{raw!r} lies before the year 2000: the device's clock is not set")
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _from_number(raw: float, unit: TimeUnit) -> int:
    if not -1e18 < raw < 1e18:
        raise BadStamp(f"{raw!r} is no time")
    if unit == "auto":
        unit = "s" if raw < 1e11 else "ms" if raw < 1e14 else "us"
    return round(raw * _TO_MS[unit])


def _from_text(text: str, zone: str | None) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadStamp(f"{text!r} is no time in ISO 8601") from error
    if moment.tzinfo is None:
        if zone is None:
            raise BadStamp(f"{text!r} says no zone; write time_zone")
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    return round(moment.astimezone(UTC).timestamp() * 1000)
