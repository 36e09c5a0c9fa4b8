"""Machine states, pure: from facts in any order to intervals, gaps, stops and reasons. No session, no clock.

Times are plant milliseconds since 1970 UTC; every interval is half open [from_ms, to_ms).

Facts are change points (a field that was not said is None and keeps its value), watch marks (a source had this device in view from .. until)
and gaps (a source says: from .. to I saw nothing). Known time is the union over the sources of what each had in view minus its own gaps; so a
gap that another source covers is filled, and the order of arrival cannot matter. Everything else is `no_data`, with a cause; it is never idle.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from mes_server.machine_states.schemas import NO_DATA, PRODUCING, SETUP, Hole, Interval, Note, Point, Span, Stop, Watch

NOT_YET_KNOWN = "not_yet_known"  # later than the last proof: may still arrive
NOT_WATCHED = "not_watched"  # before the first record, or between two buffers without a word
NO_STATE = "no_state"  # the device was in view but never said a state

__all__ = [
    "ANSWERS_ITSELF",
    "NO_DATA",
    "PRODUCING",
    "SETUP",
    "Hole",
    "Interval",
    "Note",
    "Point",
    "Span",
    "Stop",
    "Watch",
    "clip",
    "cut",
    "explain",
    "intersect",
    "is_micro",
    "known_spans",
    "length_ms",
    "merge",
    "said",
    "stops",
    "subtract",
    "suggested",
    "timeline",
]

ANSWERS_ITSELF = frozenset({"starved", "blocked"})  # the state is the reason
EARLY_REASON_MS = 300_000  # a reason given up to this long before the machine stops belongs to that stop


def merge(spans: Iterable[Span]) -> list[Span]:
    """Union of spans, sorted, touching ones joined, empty ones dropped."""
    out: list[Span] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if out and start <= out[-1][1]:
            if end > out[-1][1]:
                out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out


def subtract(spans: Sequence[Span], minus: Sequence[Span]) -> list[Span]:
    """`spans` without `minus`; both sorted and disjoint."""
    out: list[Span] = []
    index = 0
    for start, end in spans:
        while index < len(minus) and minus[index][1] <= start:
            index += 1
        at, scan = start, index
        while scan < len(minus) and minus[scan][0] < end:
            if minus[scan][0] > at:
                out.append((at, minus[scan][0]))
            at = max(at, minus[scan][1])
            scan += 1
        if at < end:
            out.append((at, end))
    return out


def intersect(left: Sequence[Span], right: Sequence[Span]) -> list[Span]:
    """The common part of two sorted disjoint lists."""
    out: list[Span] = []
    i = j = 0
    while i < len(left) and j < len(right):
        start, end = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if start < end:
            out.append((start, end))
        if left[i][1] <= right[j][1]:
            i += 1
        else:
            j += 1
    return out


def length_ms(spans: Iterable[Span]) -> int:
    return sum(end - start for start, end in spans)


def known_spans(watches: Iterable[Watch], holes: Iterable[Hole]) -> list[Span]:
    """Union over the sources of what each saw minus its own gaps."""
    seen: dict[str, list[Span]] = {}
    for watch in watches:
        seen.setdefault(watch.source, []).append((watch.from_ms, watch.until_ms))
    blind: dict[str, list[Span]] = {}
    for hole in holes:
        blind.setdefault(hole.source, []).append((hole.from_ms, hole.to_ms))
    out: list[Span] = []
    for source, spans in seen.items():
        out.extend(subtract(merge(spans), merge(blind.get(source, ()))))
    return merge(out)


def said(points: Sequence[Point], until_ms: int) -> list[Interval]:
    """Points (ascending) filled forward to intervals, ignoring what is known; the last one runs to `until_ms`."""
    out: list[Interval] = []
    if not points:
        return out
    held: tuple[str, int | None, str] = (NO_DATA, None, "")
    since = points[0][0]
    for at_ms, state, raw, alarm in points:
        now = (held[0] if state is None else state, held[1] if raw is None else raw, held[2] if alarm is None else alarm)
        if now != held:
            if at_ms > since:
                out.append(Interval(since, at_ms, *held, NO_STATE if held[0] == NO_DATA else None))
            held, since = now, at_ms
    if until_ms > since:
        out.append(Interval(since, until_ms, *held, NO_STATE if held[0] == NO_DATA else None))
    return out


def timeline(points: Sequence[Point], known: Sequence[Span], holes: Sequence[Hole], from_ms: int, to_ms: int) -> list[Interval]:
    """Contiguous intervals over [from_ms, to_ms): known states, and `no_data` with its cause elsewhere. Equal neighbours are joined.

    `points` ascending; the first may lie before the window (the state that already ran). `known` sorted and disjoint.
    """
    if to_ms <= from_ms:
        return []
    lit = intersect(known, [(from_ms, to_ms)])
    dark = subtract([(from_ms, to_ms)], lit)
    pieces = _known_pieces(said(points, to_ms), lit)
    pieces.extend(_dark_pieces(dark, known, sorted(holes)))
    pieces.sort(key=lambda one: one.from_ms)
    return _joined(pieces)


def _known_pieces(stated: Sequence[Interval], lit: Sequence[Span]) -> list[Interval]:
    out: list[Interval] = []
    index = 0
    for start, end in lit:
        while index and stated[index - 1].to_ms > start:
            index -= 1
        while index < len(stated) and stated[index].to_ms <= start:
            index += 1
        at, scan = start, index
        while scan < len(stated) and stated[scan].from_ms < end:
            one = stated[scan]
            if one.from_ms > at:
                out.append(Interval(at, one.from_ms, NO_DATA, None, "", NO_STATE))
            first, last = max(one.from_ms, start), min(one.to_ms, end)
            if one.from_ms >= start and one.to_ms <= end:
                out.append(one)
            else:
                out.append(Interval(first, last, one.state, one.state_raw, one.alarm, one.cause))
            at = last
            scan += 1
        if at < end:
            out.append(Interval(at, end, NO_DATA, None, "", NO_STATE))
        index = min(scan, len(stated))
    return out


def _dark_pieces(dark: Sequence[Span], known: Sequence[Span], holes: Sequence[Hole]) -> list[Interval]:
    end_of_known = known[-1][1] if known else None
    out: list[Interval] = []
    for start, end in dark:
        here = [hole for hole in holes if hole.from_ms < end and hole.to_ms > start]
        borders = sorted({start, end, *(min(max(edge, start), end) for hole in here for edge in (hole.from_ms, hole.to_ms))})
        for low, high in pairwise(borders):
            cause = next((hole.cause for hole in here if hole.from_ms <= low and hole.to_ms >= high), None)
            if cause is None:
                cause = NOT_YET_KNOWN if end_of_known is not None and low >= end_of_known else NOT_WATCHED
            out.append(Interval(low, high, NO_DATA, None, "", cause))
    return out


def _joined(pieces: Iterable[Interval]) -> list[Interval]:
    out: list[Interval] = []
    for one in pieces:
        if out:
            last = out[-1]
            if (
                last.to_ms == one.from_ms
                and last.state == one.state
                and last.alarm == one.alarm
                and last.state_raw == one.state_raw
                and last.cause == one.cause
            ):
                out[-1] = Interval(last.from_ms, one.to_ms, last.state, last.state_raw, last.alarm, last.cause)
                continue
        out.append(one)
    return out


def clip(intervals: Iterable[Interval], from_ms: int, to_ms: int) -> list[Interval]:
    out = []
    for one in intervals:
        if one.to_ms <= from_ms or one.from_ms >= to_ms:
            continue
        if one.from_ms < from_ms or one.to_ms > to_ms:
            one = Interval(max(one.from_ms, from_ms), min(one.to_ms, to_ms), one.state, one.state_raw, one.alarm, one.cause)
        out.append(one)
    return out


def cut(intervals: Iterable[Interval], borders: Iterable[int]) -> list[Interval]:
    """The same intervals, cut at every border that lies inside one (where a reason changes within a state)."""
    edges = sorted(set(borders))
    out = []
    index = 0
    for one in intervals:
        at = one.from_ms
        while index < len(edges) and edges[index] <= at:
            index += 1
        while index < len(edges) and edges[index] < one.to_ms:
            out.append(Interval(at, edges[index], one.state, one.state_raw, one.alarm, one.cause))
            at = edges[index]
            index += 1
        out.append(one if at == one.from_ms else Interval(at, one.to_ms, one.state, one.state_raw, one.alarm, one.cause))
    return out


def stops(intervals: Sequence[Interval], splits: Sequence[int], known_until_ms: int | None) -> list[Stop]:
    """The stops of a timeline: runs of known non-producing intervals, cut where set-up begins or ends and at `splits` (ascending, ms)."""
    out: list[Stop] = []
    run: list[Interval] = []
    for one in intervals:
        stopped = one.cause is None and one.state != PRODUCING
        if run and (not stopped or run[-1].to_ms != one.from_ms):
            out.extend(_cut(run, splits, known_until_ms))
            run = []
        if stopped:
            run.append(one)
    if run:
        out.extend(_cut(run, splits, known_until_ms))
    return out


def _cut(run: Sequence[Interval], splits: Sequence[int], known_until_ms: int | None) -> list[Stop]:
    start, end = run[0].from_ms, run[-1].to_ms
    if len(run) == 1 and not splits:  # nearly every stop
        lasting = known_until_ms is not None and end >= known_until_ms
        return [Stop(start, end, run[0].state, run[0].alarm, (end - start) / 1000, lasting)]
    borders = [one.from_ms for last, one in pairwise(run) if (last.state == SETUP) != (one.state == SETUP)]
    low = bisect_right(splits, start)
    while low < len(splits) and splits[low] < end:
        borders.append(splits[low])
        low += 1
    borders = sorted({start, end, *borders})
    stretch_s = (end - start) / 1000
    out: list[Stop] = []
    index = 0
    for first, last in pairwise(borders):
        while run[index].to_ms <= first:
            index += 1
        alarm, scan = "", index
        while scan < len(run) and run[scan].from_ms < last and not alarm:
            alarm = run[scan].alarm
            scan += 1
        state = _main_state(run, index, first, last)
        out.append(Stop(first, last, state, alarm, stretch_s, last == end and known_until_ms is not None and end >= known_until_ms))
    return out


def _main_state(run: Sequence[Interval], index: int, first: int, last: int) -> str:
    """The state that took most of the stop; at a tie the earlier one."""
    took: dict[str, int] = {}
    while index < len(run) and run[index].from_ms < last:
        one = run[index]
        took[one.state] = took.get(one.state, 0) + min(one.to_ms, last) - max(one.from_ms, first)
        index += 1
    return max(took, key=lambda state: took[state])


def is_micro(stop: Stop, micro_stop_s: float) -> bool:
    return stop.stretch_s < micro_stop_s


def explain(found: Sequence[Stop], notes: Iterable[Note]) -> dict[int, Note]:
    """Stop start → the note that counts: the latest one whose key lies in the stop; else one given shortly before the machine stopped."""
    starts = [one.from_ms for one in found]
    inside: dict[int, Note] = {}
    before: dict[int, Note] = {}
    for note in sorted(notes, key=lambda one: (one.occurred_ms, one.event_id)):
        index = bisect_right(starts, note.stop_from_ms) - 1
        if index >= 0 and note.stop_from_ms < found[index].to_ms:
            inside[found[index].from_ms] = note
        elif index + 1 < len(found) and found[index + 1].from_ms - note.stop_from_ms <= EARLY_REASON_MS:
            before[found[index + 1].from_ms] = note
    return {**before, **inside}


def suggested(alarm: str, by_alarm: Mapping[str, str]) -> str | None:
    """The usual reason of this alarm, or None."""
    return by_alarm.get(alarm) if alarm else None
