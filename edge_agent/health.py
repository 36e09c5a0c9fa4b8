"""What the agent knows about itself, in words: per source its state and last error with the next step, and the buffer's fill."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from edge_agent.contract import names
from edge_agent.contract.payload import DataType, Value

NOTE_S = 600.0
Standing = Callable[[], tuple[str, str] | None]  # worked out anew at every report: words (en, zh), or None when there is nothing to say
Status = Literal["connecting", "connected", "lost", "misconfigured"]


@dataclass(slots=True)
class SourceHealth:
    """Written by the source's task, read by the worker. Plain assignments only, so no lock is needed."""

    name: str
    devices: tuple[str, ...]
    status: Status = "connecting"
    error: str = ""
    error_zh: str = ""
    failed: dict[str, str] = field(default_factory=dict)  # node or register -> the server's own words
    notes: dict[str, tuple[str, str, float]] = field(default_factory=dict)  # device -> what a person should look at (en, zh), since when
    standing: tuple[Standing, ...] = ()  # what must be said as long as it is so (no encryption, a certificate that ends)
    values: int = 0
    clock_offset_ms: float | None = None  # None: the source has no clock, or nothing it stamped was seen yet

    def note(self, device: str, en: str, zh: str) -> None:
        """Something a person should look at; it fades after NOTE_S."""
        self.notes[device] = (en, zh, time.monotonic())

    def say(self, what: str, words: tuple[str, str] | None) -> None:
        """A note that stands as long as there are words for it."""
        if words is None:
            self.notes.pop(what, None)
        else:
            self.note(what, *words)

    def words(self) -> str:
        """Last error for the wire: the connection's first, then failed nodes, then notes. English on the first line, Chinese on the second."""
        en, zh = ([self.error], [self.error_zh]) if self.error else ([], [])
        if self.failed:
            some = "; ".join(f"{what}: {why}" for what, why in list(self.failed.items())[:3])
            en.append(f"{len(self.failed)} value(s) cannot be read ({some}). Correct them in the config or in the source.")
            zh.append(f"{len(self.failed)} 个量无法读取({some})。请修改配置或数据源。")
        for said in filter(None, (standing() for standing in self.standing)):
            en.append(said[0])
            zh.append(said[1])
        fresh = [(device, note) for device, note in list(self.notes.items()) if time.monotonic() - note[2] < NOTE_S]
        en += [f"{device}: {note[0]}" for device, note in fresh[:3]]
        zh += [f"{device}:{note[1]}" for device, note in fresh[:3]]
        return " ".join(en) + "\n" + "".join(zh) if en else ""


NODE_METRICS: tuple[tuple[str, DataType], ...] = (
    (names.BUFFER_EPOCH, DataType.STRING),
    (names.BUFFER_LAST, DataType.INT64),
    (names.BUFFER_WAITING, DataType.INT64),
    (names.BUFFER_BYTES, DataType.INT64),
    (names.BUFFER_FILL, DataType.DOUBLE),
    (names.BUFFER_STATE, DataType.STRING),
    (names.DISK_FILL, DataType.DOUBLE),
    (names.BUFFER_HOURS_LEFT, DataType.DOUBLE),
    (names.CLOCK_STATE, DataType.STRING),
    (names.CLOCK_WRONG_BY_MS, DataType.INT64),
    (names.AGENT_UP_S, DataType.INT64),
)
SOURCE_METRICS: tuple[tuple[str, DataType], ...] = (
    (names.SOURCE_STATUS, DataType.STRING),
    (names.SOURCE_ERROR, DataType.STRING),
    (names.SOURCE_RATE, DataType.DOUBLE),
    (names.SOURCE_CLOCK_OFFSET_MS, DataType.DOUBLE),
    (names.SOURCE_LAG_S, DataType.DOUBLE),
)


MEAN_S = 60.0  # a pace is the mean of the last minute, or of as long as it took to grow a few times, up to an hour:
MEAN_MAX_S = 3600.0  # between two reports a meter that is read every 10 s gives nothing four times of five
GROWTHS_MIN = 3
KNOWN_AFTER_S = 10.0  # what began a moment ago has no pace yet


class MeanPace:
    """Growth per second of a running count that is looked at now and then."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque()  # (when, count) of every look that found it grown; before that, of the first look
        self._grew = False

    def at(self, count: float, now_s: float) -> float | None:
        """None: not known yet. Steady steps are measured from step to step, so that it does not matter when they are looked at."""
        points = self._points
        if not points or count < points[-1][1]:
            points.clear()
            points.append((now_s, count))
            self._grew = False
            return None
        if count > points[-1][1]:
            if not self._grew:
                points.clear()  # what a subscription begins with is no pace
            self._grew = True
            points.append((now_s, count))
        while len(points) > GROWTHS_MIN + 1 and now_s - points[1][0] >= MEAN_S:
            points.popleft()
        while len(points) > 1 and now_s - points[0][0] > MEAN_MAX_S:
            points.popleft()
        (began_s, began), (last_s, last), growths = points[0], points[-1], len(points) - 1
        if not growths:
            return 0.0 if now_s - began_s >= MEAN_S else None
        if growths < GROWTHS_MIN and now_s - began_s < KNOWN_AFTER_S:
            return None
        steady = growths >= GROWTHS_MIN and now_s - last_s <= 2 * (last_s - began_s) / growths
        return (last - began) / ((last_s if steady else now_s) - began_s)


def digits(value: float | None) -> float | None:
    """Four of them: a pace says no more, and is told only when it changed."""
    return None if value is None else float(f"{value:.4g}")


class Rates:
    """Values per second of every source, looked at every second."""

    def __init__(self) -> None:
        self._means: dict[str, MeanPace] = {}
        self._now: dict[str, float | None] = {}

    def look(self, healths: Iterable[SourceHealth], now_s: float) -> None:
        self._now = {health.name: self._of(health, now_s) for health in healths}

    def of(self, source: str) -> float | None:
        """0 while the source is away, None while its pace is not known yet."""
        return self._now.get(source)

    def _of(self, health: SourceHealth, now_s: float) -> float | None:
        if health.status in ("lost", "misconfigured"):
            self._means.pop(health.name, None)
            return 0.0
        return digits(self._means.setdefault(health.name, MeanPace()).at(health.values, now_s))


# Of the buffer file, for the hours that are left. A record is its body (buffer/blob.py) and so much for its device, row and share of the page.
# Measured over files of equal records of 1 to 5,000 values, as tests/edge_agent/test_health.py does: within 15 % up to 20 values.
# Between 50 and 200 values a record rarely fills its page of 4 kB and may take twice as much.
ROW_BYTES = 23.0
# What a plan reckons with before anything is stored: a body's head, and its values, that were read at one moment or have each a time of their own.
BYTES_A_RECORD, BYTES_A_VALUE_READ, BYTES_A_VALUE_TOLD = ROW_BYTES + 23.0, 10.0, 12.0


class BufferPace:
    """How long the buffer lasts if the server went away now. Looked at every second."""

    def __init__(self) -> None:
        self._mean = MeanPace()
        self.hours_left: float | None = None  # None while the pace is not known, or when nothing comes in

    def look(self, body_bytes: int, records: int, room_bytes: float, now_s: float) -> None:
        """`body_bytes`, `records`: written so far."""
        per_s = self._mean.at(body_bytes + records * ROW_BYTES, now_s)
        self.hours_left = digits(max(0.0, room_bytes / per_s / 3600.0)) if per_s else None


def source_values(health: SourceHealth, rate: float | None, lag_s: float) -> tuple[Value, ...]:
    """In the order of SOURCE_METRICS."""
    return health.status, health.words(), rate, health.clock_offset_ms, lag_s
