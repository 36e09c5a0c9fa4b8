"""Shifts and breaks of the plant in milliseconds UTC. Arithmetic in UTC; the zone decides only when a local day begins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from simulators.scenario import Scenario


@dataclass(frozen=True, slots=True)
class ShiftWindow:
    """One shift of one production day; `breaks` lie inside [from_ms, to_ms)."""

    day: str
    shift: str
    from_ms: int
    to_ms: int
    breaks: tuple[tuple[int, int], ...]


class Calendar:
    """All days have the same three shifts that cover 24 hours (the scenario's plant never closes)."""

    def __init__(self, scenario: Scenario) -> None:
        self._zone = ZoneInfo(scenario.zone)
        self._shifts = scenario.shifts
        self._last: ShiftWindow | None = None
        self.windows = lru_cache(maxsize=512)(self._windows)

    def _at(self, day: date, text: str) -> int:
        hour, minute = (int(part) for part in text.split(":"))
        return round(datetime(day.year, day.month, day.day, hour, minute, tzinfo=self._zone).astimezone(UTC).timestamp() * 1000)

    def _windows(self, day: date) -> tuple[ShiftWindow, ...]:
        """The shifts of one production day (it begins with the first shift)."""
        found = []
        for shift in self._shifts:
            start = self._at(day, shift.start)
            crosses = shift.end <= shift.start
            end = self._at(day + timedelta(days=1) if crosses else day, shift.end)
            breaks = []
            for begin, stop in shift.breaks:
                on = day + timedelta(days=1) if crosses and begin < shift.start else day
                breaks.append((self._at(on, begin), self._at(on, stop)))
            found.append(ShiftWindow(day.isoformat(), shift.code, start, end, tuple(breaks)))
        return tuple(found)

    def local(self, at_ms: int) -> datetime:
        return datetime.fromtimestamp(at_ms / 1000, self._zone)

    def at_local(self, at_ms: int, text: str) -> int:
        """The moment `HH:MM` of the local day that holds `at_ms`."""
        return self._at(self.local(at_ms).date(), text)

    def between(self, from_ms: int, to_ms: int) -> list[ShiftWindow]:
        """Shifts that overlap [from_ms, to_ms)."""
        day = self.local(from_ms).date() - timedelta(days=1)
        found: list[ShiftWindow] = []
        while self._at(day, "00:00") < to_ms:
            found += [w for w in self.windows(day) if w.from_ms < to_ms and w.to_ms > from_ms]
            day += timedelta(days=1)
        return found

    def shift_at(self, at_ms: int) -> ShiftWindow:
        last = self._last
        if last is not None and last.from_ms <= at_ms < last.to_ms:
            return last
        self._last = self._find(at_ms)
        return self._last

    def _find(self, at_ms: int) -> ShiftWindow:
        today = self.local(at_ms).date()
        for day in (today, today - timedelta(days=1)):
            for window in self.windows(day):
                if window.from_ms <= at_ms < window.to_ms:
                    return window
        raise LookupError(f"no shift covers {at_ms}")

    def break_end(self, at_ms: int) -> int | None:
        """End of the break that holds `at_ms`, None when people are at work."""
        for begin, end in self.shift_at(at_ms).breaks:
            if begin <= at_ms < end:
                return end
        return None
