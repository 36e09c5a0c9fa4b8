"""What the agent knows about itself, in words: per source its state and last error with the next step, and the buffer's fill."""

from __future__ import annotations

import time
from collections.abc import Callable
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
    clock_offset_ms: float = 0.0

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
)
SOURCE_METRICS: tuple[tuple[str, DataType], ...] = (
    (names.SOURCE_STATUS, DataType.STRING),
    (names.SOURCE_ERROR, DataType.STRING),
    (names.SOURCE_RATE, DataType.DOUBLE),
    (names.SOURCE_CLOCK_OFFSET_MS, DataType.DOUBLE),
    (names.SOURCE_LAG_S, DataType.DOUBLE),
)


class Rates:
    """Values per second of every source between two reports."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, float]] = {}

    def of(self, health: SourceHealth, now_s: float) -> float:
        values, when = self._last.get(health.name, (health.values, now_s))
        self._last[health.name] = (health.values, now_s)
        return round((health.values - values) / (now_s - when), 1) if now_s > when else 0.0


BYTES_A_VALUE, BYTES_A_RECORD = 21.0, 120.0  # of the buffer file, measured; for the hours that are left


@dataclass(frozen=True, slots=True)
class Pace:
    """How far the buffer was at one moment."""

    at_s: float
    values: int
    records: int

    def hours_left(self, before: Pace, room_bytes: float) -> float | None:
        """Hours until `room_bytes` are used up at the pace since `before`; None when nothing came in."""
        took_s = self.at_s - before.at_s
        if took_s <= 0:
            return None
        per_s = ((self.values - before.values) * BYTES_A_VALUE + (self.records - before.records) * BYTES_A_RECORD) / took_s
        return max(0.0, room_bytes / per_s / 3600.0) if per_s > 0 else None


def source_values(health: SourceHealth, rate: float, lag_s: float) -> tuple[Value, ...]:
    """In the order of SOURCE_METRICS."""
    return health.status, health.words(), rate, health.clock_offset_ms, lag_s
