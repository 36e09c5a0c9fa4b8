"""Energy, pure: consumption between two moments, load profile, demand, power factor, idle waste. No session, no clock.

A meter is a running total. Between two readings it is taken as linear; over a gap that part is marked estimated. After the last reading it is
constant up to the last proof (silence means unchanged), then unknown. Energy of [a, b) is total(b) - total(a), so windows add up exactly and a
stamp can never be mistaken: 00:15 is the END of the interval that began at 00:00 (the trap of the UCI steel data, where 365 midnight stamps carry
the date of the day that ends).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Span = tuple[int, int]
Millis = NDArray[np.int64]
Floats = NDArray[np.float64]

MINUTE_MS = 60_000
QUARTER_S = 900
DAY_S = 86_400


def slot(at_ms: int) -> int:
    """End of the plant minute a reading belongs to: (slot - 60 s, slot]."""
    return -(-at_ms // MINUTE_MS) * MINUTE_MS


@dataclass(frozen=True, slots=True)
class Series:
    """A running total: `at_ms` ascending, `total` non-decreasing. Known from the first reading to `until_ms`, `dark` spans inside apart."""

    at_ms: Millis
    total: Floats
    until_ms: int
    dark: tuple[Span, ...] = ()

    @classmethod
    def of(cls, rows: Iterable[tuple[int, float]], known: Sequence[Span]) -> Series | None:
        """From (at_ms, total) readings in any order and the known spans of the meter. None without a reading."""
        ordered = sorted(dict(rows).items())
        if not ordered:
            return None
        at = np.array([one[0] for one in ordered], dtype=np.int64)
        total = np.maximum.accumulate(np.array([one[1] for one in ordered], dtype=np.float64))  # a running total never falls
        first, last = int(at[0]), int(at[-1])
        until = max((high for low, high in known if low <= last <= high), default=last)
        return cls(at, total, until, _dark(known, first, until))

    def at(self, when: Millis) -> Floats:
        return np.interp(when, self.at_ms, self.total)

    @property
    def span(self) -> Span:
        return int(self.at_ms[0]), self.until_ms


@dataclass(frozen=True, slots=True)
class Exchange:
    """Another meter since `at_ms`: what the old display showed at the end and the new one at the start, in the unit of the totals."""

    at_ms: int
    old: float
    new: float


SWAP_EARLY_MS = 15 * MINUTE_MS  # the person's watch may be behind the edge's clock
SWAP_LATE_MS = 86_400_000  # the new meter may be heard only the next day
SWAP_SETTLE_MS = 15 * MINUTE_MS  # a jump that the edge takes in several steps


def shift_at(shifts: Sequence[tuple[int, float]], at_ms: int) -> float:
    return next((wh for when, wh in reversed(shifts) if when <= at_ms), 0.0)


@dataclass(frozen=True, slots=True)
class Bridge:
    """How totals cross an exchange: the total at its moment, and what is added to every later one. `jump_ms`: when the edge saw it, if it did."""

    at_ms: int
    total: float
    added: float
    jump_ms: int | None = None


def bridge(exchange: Exchange, shifts: Sequence[tuple[int, float]]) -> Bridge:
    """`shifts`: (moment, how far the total is above the display since then), ascending.

    True energy across it is (old - display before) + (display after - new). The totals already hold (display after - display before) and the change
    of the shift, which is whatever the edge made of the jump: nothing, a reset, a rollover, or a new course. The rest is missing, or too much.
    """
    near = [(when, wh) for when, wh in shifts if exchange.at_ms - SWAP_EARLY_MS < when <= exchange.at_ms + SWAP_LATE_MS]
    if not near:
        return Bridge(exchange.at_ms, exchange.old + shift_at(shifts, exchange.at_ms), exchange.old - exchange.new)
    first_ms = near[0][0]
    before = shift_at(shifts, first_ms - 1)
    after = [wh for when, wh in near if when <= first_ms + SWAP_SETTLE_MS][-1]
    return Bridge(min(exchange.at_ms, first_ms - 1), exchange.old + before, exchange.old - exchange.new - (after - before), first_ms)


def across(rows: Iterable[tuple[int, float]], bridges: Sequence[Bridge]) -> list[tuple[int, float]]:
    """Readings (moment, total), continued over exchanges; each exchange with a reading before it becomes a reading of its own."""
    out = sorted(rows)
    added = 0.0
    for one in sorted(bridges, key=lambda bridge: bridge.at_ms):
        moment = _moment(out, one)
        seen_before = bool(out) and out[0][0] <= moment
        later = [(at, total + one.added) for at, total in out if at > moment]
        earlier = [(at, total) for at, total in out if at <= moment]
        border = [(moment, one.total + added)] if seen_before and later else []
        out = [row for row in earlier if not border or row[0] < moment] + border + later
        added += one.added
    return out


def _moment(rows: Sequence[tuple[int, float]], one: Bridge) -> int:
    """When the old meter was gone: what the person says, but not before it has counted on (their watch was behind)."""
    if one.jump_ms is None:
        return one.at_ms
    stood = max((total for at, total in rows if at <= one.at_ms), default=None)
    counted_on = [at for at, total in rows if stood is not None and one.at_ms < at < one.jump_ms and total > stood]
    return max(counted_on) + 1 if counted_on else one.at_ms


def _dark(known: Sequence[Span], first: int, until: int) -> tuple[Span, ...]:
    """Parts of [first, until) that no source saw."""
    out, at = [], first
    for low, high in known:
        if high <= at:
            continue
        if low >= until:
            break
        if low > at:
            out.append((at, low))
        at = max(at, high)
    if at < until:
        out.append((at, until))
    return tuple(out)


@dataclass(frozen=True, slots=True)
class Used:
    """Energy of a window. `total` None: nothing of it is known; `estimated` is the part spread over gaps; `known_ms` what was really seen."""

    total: float | None
    estimated: float
    known_ms: int


def used(series: Series | None, from_ms: int, to_ms: int) -> Used:
    """Energy of [from_ms, to_ms), in the unit of the totals."""
    if series is None:
        return Used(None, 0.0, 0)
    first, until = series.span
    low, high = max(from_ms, first), min(to_ms, until)
    if high <= low:
        return Used(None, 0.0, 0)
    dark = [(max(a, low), min(b, high)) for a, b in series.dark if b > low and a < high]
    borders = np.array([low, high, *(edge for pair in dark for edge in pair)], dtype=np.int64)
    totals = series.at(borders)
    guessed = float(sum(totals[2 + 2 * k + 1] - totals[2 + 2 * k] for k in range(len(dark))))
    return Used(float(totals[1] - totals[0]), guessed, high - low - sum(b - a for a, b in dark))


def used_in(series: Series | None, spans: Sequence[Span]) -> float | None:
    """Energy of several disjoint spans together; None where the meter knows none of them."""
    if series is None or not spans:
        return None if series is None else 0.0
    first, until = series.span
    kept = [(max(a, first), min(b, until)) for a, b in spans if b > first and a < until]
    if not kept:
        return None
    ends = series.at(np.array(kept, dtype=np.int64))
    return float(np.sum(ends[:, 1] - ends[:, 0]))


@dataclass(frozen=True, slots=True)
class Bucket:
    """One interval of the load profile. `known_ms`: how much of it the meter speaks of (gaps included when spread: then `estimated`)."""

    from_ms: int
    to_ms: int
    wh: float | None
    w_mean: float | None
    estimated: bool
    whole: bool


def load(series: Series | None, borders: Sequence[int]) -> list[Bucket]:
    """Energy of each interval between neighbouring `borders` (ascending ms)."""
    if len(borders) < 2:
        return []
    if series is None:
        return [Bucket(a, b, None, None, False, False) for a, b in pairwise(borders)]
    first, until = series.span
    edges = np.clip(np.array(borders, dtype=np.int64), first, until)
    totals = series.at(edges)
    out, dark = [], list(series.dark)
    for index, (start, end) in enumerate(pairwise(borders)):
        low, high = int(edges[index]), int(edges[index + 1])
        if high <= low:
            out.append(Bucket(start, end, None, None, False, False))
            continue
        while dark and dark[0][1] <= low:
            dark.pop(0)
        wh = float(totals[index + 1] - totals[index])
        guessed = bool(dark) and dark[0][0] < high
        out.append(Bucket(start, end, wh, wh * 3_600_000 / (high - low), guessed, low == start and high == end))
    return out


@dataclass(frozen=True, slots=True)
class Demand:
    """Highest mean power of an interval and when that interval began."""

    w: float
    at_ms: int


def demand_block(series: Series | None, borders: Sequence[int]) -> Demand | None:
    """Highest mean power over the whole blocks between `borders` (clock-aligned, as most tariffs bill). Blocks with unknown parts do not count."""
    best: Demand | None = None
    for one in load(series, borders):
        if one.whole and one.w_mean is not None and (best is None or one.w_mean > best.w + 1e-9):
            best = Demand(one.w_mean, one.from_ms)
    return best


def demand_sliding(series: Series | None, from_ms: int, to_ms: int, *, window_s: int = QUARTER_S, step_s: int = 60) -> Demand | None:
    """Highest mean power over a window that slides by `step_s` within [from_ms, to_ms) (tariffs with a sliding demand)."""
    if series is None:
        return None
    first, until = series.span
    low, high = max(from_ms, -(-first // MINUTE_MS) * MINUTE_MS), min(to_ms, until)
    starts = np.arange(low, high - window_s * 1000 + 1, step_s * 1000, dtype=np.int64)
    if not len(starts):
        return None
    watts = (series.at(starts + window_s * 1000) - series.at(starts)) * 3600 / window_s
    best = int(np.argmax(watts))
    return Demand(float(watts[best]), int(starts[best]))


def power_factor(wh: float | None, varh: float | None) -> float | None:
    """P / sqrt(P² + Q²) from energies (0..1); None without both or with nothing used."""
    if wh is None or varh is None or (wh == 0 and varh == 0):
        return None
    return wh / math.hypot(wh, varh)


def _local_midnight(day: date, zone: ZoneInfo) -> int:
    return round(datetime.combine(day, time(), zone).astimezone(UTC).timestamp() * 1000)


def day_borders(from_ms: int, to_ms: int, zone: ZoneInfo) -> list[int]:
    """Local midnights from the one at or before `from_ms` to the one at or after `to_ms`; a DST day has 23 or 25 hours."""
    day = datetime.fromtimestamp(from_ms / 1000, zone).date()
    out = [_local_midnight(day, zone)]
    while out[-1] < to_ms:
        day += timedelta(days=1)
        out.append(_local_midnight(day, zone))
    return out


def bucket_borders(from_ms: int, to_ms: int, bucket_s: int, zone: ZoneInfo, *, whole: bool = False) -> list[int]:
    """Borders of buckets that lie on the plant's clock: counted from local midnight, a longer last bucket never crosses the next one.

    The first and last bucket are cut to the window; with `whole` only buckets entirely inside it remain.
    """
    step = bucket_s * 1000
    out: list[int] = []
    for midnight, following in pairwise(day_borders(from_ms, to_ms, zone)):
        if bucket_s >= DAY_S:
            out.append(midnight)  # a local day is one bucket, of 23 to 25 hours
            continue
        low = midnight + max(0, (from_ms - midnight) // step) * step
        out.extend(range(low, min(following, to_ms), step))
    out.append(to_ms)
    if whole:
        days = day_borders(from_ms, to_ms, zone)
        on_clock = to_ms in days or (to_ms - max(one for one in days if one <= to_ms)) % step == 0
        return [one for one in (out if on_clock else out[:-1]) if one >= from_ms]
    return [max(one, from_ms) for one in out]


def month_borders(year: int, zone: ZoneInfo) -> list[int]:
    """The 13 borders of a year's calendar months in the plant's zone."""
    return [_local_midnight(date(year + month // 12, month % 12 + 1, 1), zone) for month in range(13)]
