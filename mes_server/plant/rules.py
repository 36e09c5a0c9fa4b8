"""The plant calendar and the model's own checks. Pure: no database, no clock.

Shifts are written in local time and resolved in UTC day by day, so that a night with a clock change is 420 or 540 minutes long as it really was.
A local time that a clock change skips or repeats means the first instant it can mean (fold 0); a break keeps its written length.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from mes_server.plant.errors import ModelFault
from mes_server.plant.schemas import Machine, Meter, PlantBody, Shift

DAY_MIN = 24 * 60
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ShiftWindow:
    """One shift on one production day, [from_ms, to_ms). `breaks` are clipped to it and do not overlap; `planned_ms` = length minus breaks."""

    shift: str
    day: date
    from_ms: int
    to_ms: int
    breaks: tuple[tuple[int, int], ...]

    @property
    def planned_ms(self) -> int:
        return self.to_ms - self.from_ms - sum(b - a for a, b in self.breaks)


@dataclass(frozen=True)
class Calendar:
    """The shifts of one plant. Windows of a local date are worked out once and kept."""

    zone: ZoneInfo
    day_start_min: int
    shifts: tuple[Shift, ...]
    _by_date: dict[date, tuple[ShiftWindow, ...]] = field(default_factory=dict, repr=False, compare=False)

    def shift_windows(self, from_ms: int, to_ms: int) -> list[ShiftWindow]:
        """Whole shifts that touch [from_ms, to_ms), by start."""
        return [window for window in self._windows(from_ms, to_ms) if window.from_ms < to_ms and window.to_ms > from_ms]

    def planned_intervals(self, from_ms: int, to_ms: int) -> list[tuple[int, int]]:
        """Planned time inside [from_ms, to_ms): shifts minus breaks, clipped, ascending, touching ones joined."""
        found: list[tuple[int, int]] = []
        for window in self.shift_windows(from_ms, to_ms):
            at = window.from_ms
            for pause_from, pause_to in (*window.breaks, (window.to_ms, window.to_ms)):
                a, b = max(at, from_ms), min(pause_from, to_ms)
                if a < b:
                    if found and found[-1][1] == a:
                        found[-1] = (found[-1][0], b)
                    else:
                        found.append((a, b))
                at = pause_to
        return found

    def production_day(self, at_ms: int) -> date:
        """The day that began at the last production-day start."""
        local = datetime.fromtimestamp(at_ms / 1000, self.zone)
        return local.date() if local.hour * 60 + local.minute >= self.day_start_min else local.date() - ONE_DAY

    def day_window(self, day: date) -> tuple[int, int]:
        """[from_ms, to_ms) of a production day: 23, 24 or 25 hours."""
        return self._utc_ms(day, self.day_start_min), self._utc_ms(day + ONE_DAY, self.day_start_min)

    def shift_at(self, at_ms: int) -> ShiftWindow | None:
        """The shift that runs at this moment; None outside every shift."""
        return next(iter(self.shift_windows(at_ms, at_ms + 1)), None)

    def _windows(self, from_ms: int, to_ms: int) -> Iterator[ShiftWindow]:
        if to_ms <= from_ms or not self.shifts:
            return
        day = datetime.fromtimestamp(from_ms / 1000, self.zone).date() - ONE_DAY  # yesterday's night shift may still run
        last = datetime.fromtimestamp(to_ms / 1000, self.zone).date()
        while day <= last:
            if day not in self._by_date:
                self._by_date[day] = self._resolve(day)
            yield from self._by_date[day]
            day += ONE_DAY

    def _resolve(self, day: date) -> tuple[ShiftWindow, ...]:
        windows = []
        for shift in self.shifts:
            if day.isoweekday() not in shift.weekdays:
                continue
            start, end = minutes(shift.start), minutes(shift.end)
            from_ms = self._utc_ms(day, start)
            to_ms = self._utc_ms(day, end if end > start else end + DAY_MIN)
            breaks = joined(
                (max(a, from_ms), min(a + length * 60_000, to_ms))
                for a, length in ((self._utc_ms(day, at), length) for at, length in _break_minutes(shift))
            )
            windows.append(ShiftWindow(shift.code, self.production_day(from_ms), from_ms, to_ms, breaks))
        return tuple(sorted(windows, key=lambda window: window.from_ms))

    def _utc_ms(self, day: date, minute: int) -> int:
        """Local minute of a local date (may reach into the next days) as UTC milliseconds."""
        extra, minute = divmod(minute, DAY_MIN)
        local = datetime.combine(day + extra * ONE_DAY, time(minute // 60, minute % 60), self.zone)
        return round(local.astimezone(UTC).timestamp() * 1000)


def minutes(text: str) -> int:
    """`06:30` → 390."""
    return int(text[:2]) * 60 + int(text[3:])


def _break_minutes(shift: Shift) -> list[tuple[int, int]]:
    """(start in minutes from the shift's local date, length in minutes) of each break."""
    start = minutes(shift.start)
    found = []
    for pause in shift.breaks:
        a, b = minutes(pause.start), minutes(pause.end)
        found.append((a if a >= start else a + DAY_MIN, (b - a) % DAY_MIN))
    return sorted(found)


def joined(intervals: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Ascending, without empty ones, overlapping and touching ones made one."""
    result: list[tuple[int, int]] = []
    for a, b in sorted(intervals):
        if a >= b:
            continue
        if result and a <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], b))
        else:
            result.append((a, b))
    return tuple(result)


def covers(intervals: Sequence[tuple[int, int]], at_ms: int) -> bool:
    """Whether an ascending, disjoint list of intervals holds this moment."""
    index = bisect_right(intervals, (at_ms, 1 << 62)) - 1
    return index >= 0 and intervals[index][0] <= at_ms < intervals[index][1]


# --- the model's checks -----------------------------------------------------------------------------------------------------------------
def faults(model: PlantBody) -> list[ModelFault]:
    """Everything in which the model contradicts itself, all at once."""
    found: list[ModelFault] = []
    found += _doubles(model)
    found += _places(model)
    found += _words(model)
    found += _devices(model)
    found += _shift_faults(model)
    return found


def _doubles(model: PlantBody) -> Iterator[ModelFault]:
    lists: tuple[tuple[str, list[str]], ...] = (
        ("lines", [one.code for one in model.lines]),
        ("machines", [one.code for one in model.machines]),
        ("stations", [one.code for one in model.stations]),
        ("meters", [one.code for one in model.meters]),
        ("shifts", [one.code for one in model.shifts]),
        ("reasons", [one.code for one in model.reasons]),
        ("alarms", [f"{one.machine_class}/{one.code}" for one in model.alarms]),
    )
    for name, codes in lists:
        for code in sorted({code for code in codes if codes.count(code) > 1} if len(set(codes)) < len(codes) else ()):
            yield ModelFault(f"{name}.{code}", "this code is used twice", "此代码重复")


def _places(model: PlantBody) -> Iterator[ModelFault]:
    lines = {one.code for one in model.lines}
    machines = {one.code for one in model.machines}
    for machine in model.machines:
        if machine.line not in lines:
            yield ModelFault(f"machines.{machine.code}.line", f"there is no line {machine.line}", f"没有产线 {machine.line}")
    for station in model.stations:
        for code in station.machines:
            if code not in machines:
                yield ModelFault(f"stations.{station.code}.machines", f"there is no machine {code}", f"没有设备 {code}")
    for meter in model.meters:
        if meter.machine is not None and meter.machine not in machines:
            yield ModelFault(f"meters.{meter.code}.machine", f"there is no machine {meter.machine}", f"没有设备 {meter.machine}")
        if meter.line is not None and meter.line not in lines:
            yield ModelFault(f"meters.{meter.code}.line", f"there is no line {meter.line}", f"没有产线 {meter.line}")
        if meter.kind == "machine" and meter.machine is None:
            yield ModelFault(f"meters.{meter.code}.machine", "a machine's meter names its machine", "设备电表须指明设备")


def _words(model: PlantBody) -> Iterator[ModelFault]:
    classes = {one.machine_class for one in model.machines}
    reasons = {one.code: one.kind for one in model.reasons}
    for reason in model.reasons:
        for name in reason.machine_classes:
            if name not in classes:
                yield ModelFault(f"reasons.{reason.code}.machine_classes", f"no machine is of class {name}", f"没有类别为 {name} 的设备")
    for alarm in model.alarms:
        if alarm.reason is not None and reasons.get(alarm.reason) != "stop":
            yield ModelFault(f"alarms.{alarm.code}.reason", f"there is no stop reason {alarm.reason}", f"没有停机原因 {alarm.reason}")
    for code in model.scrap_order:
        if reasons.get(code) != "scrap":
            yield ModelFault("scrap_order", f"there is no scrap reason {code}", f"没有报废原因 {code}")


def _devices(model: PlantBody) -> Iterator[ModelFault]:
    """A device on the wire is one machine's and one meter's at most (a PLC may carry a meter of its own)."""
    kinds: tuple[tuple[str, tuple[Machine | Meter, ...]], ...] = (("machines", model.machines), ("meters", model.meters))
    for kind, parts in kinds:
        seen: dict[tuple[str | None, str | None], str] = {}
        for part in parts:
            if (part.edge is None) != (part.device is None):
                yield ModelFault(f"{kind}.{part.code}", "edge and device are given together or not at all", "边缘节点与设备须同时填写或同时留空")
            elif part.edge is not None:
                other = seen.setdefault((part.edge, part.device), part.code)
                if other != part.code:
                    where = f"{part.edge}/{part.device}"
                    yield ModelFault(f"{kind}.{part.code}", f"{where} is already the device of {other}", f"{where} 已属于 {other}")


def _shift_faults(model: PlantBody) -> Iterator[ModelFault]:
    week: list[tuple[int, int, str]] = []
    for shift in model.shifts:
        start, end = minutes(shift.start), minutes(shift.end)
        length = (end - start) % DAY_MIN or DAY_MIN
        if len(set(shift.weekdays)) < len(shift.weekdays):
            yield ModelFault(f"shifts.{shift.code}.weekdays", "a weekday is named twice", "星期重复")
        for at, pause in _break_minutes(shift):
            if pause == 0 or at + pause > start + length:
                yield ModelFault(f"shifts.{shift.code}.breaks", "a break lies outside its shift or has no length", "休息时间不在班次内或长度为零")
        for weekday in set(shift.weekdays):
            at = (weekday - 1) * DAY_MIN + start
            week.append((at, at + length, shift.code))
    week.sort()
    around = [*week, *((a + 7 * DAY_MIN, b + 7 * DAY_MIN, code) for a, b, code in week[:1])]
    told: set[tuple[str, str]] = set()
    for (_, before_to, before), (after_from, _, after) in pairwise(around):
        if after_from < before_to and (before, after) not in told:
            told.add((before, after))
            yield ModelFault(f"shifts.{after}", f"it overlaps shift {before}", f"与班次 {before} 重叠")
