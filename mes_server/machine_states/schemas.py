"""Facts that come in from ingest, the acts on stops, and what other slices and screens are given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NamedTuple

from pydantic import AwareDatetime, BaseModel, Field

from mes_server.kit.command import Command, ms_of
from mes_server.machine_states.errors import BadWindow

PRODUCING = "producing"
SETUP = "setup"
NO_DATA = "no_data"
CODE = r"^[A-Za-z0-9._-]{1,64}$"
DONT_KNOW = "dont_know"  # a legal answer: the stop stays open for the supervisor

WINDOW_DAYS_MAX = 62


def window_ms(from_: datetime, to: datetime, days_max: int = WINDOW_DAYS_MAX) -> tuple[int, int]:
    """Milliseconds of a window that was asked for; raises BadWindow where it is empty or too long."""
    low, high = ms_of(from_), ms_of(to)
    if not 0 < high - low <= days_max * 86_400_000:
        raise BadWindow(days_max=days_max)
    return low, high


Span = tuple[int, int]


class Point(NamedTuple):
    """What a machine said at one moment; None: this was not said, it stays as it was."""

    at_ms: int
    state: str | None
    state_raw: int | None
    alarm: str | None


@dataclass(frozen=True, slots=True)
class Watch:
    """One source (edge and epoch) had the device in view over [from_ms, until_ms)."""

    source: str
    from_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True, order=True)
class Hole:
    """One source's gap record."""

    from_ms: int
    to_ms: int
    source: str
    cause: str


class Interval(NamedTuple):
    """`cause` is None where the state is known."""

    from_ms: int
    to_ms: int
    state: str
    state_raw: int | None
    alarm: str
    cause: str | None = None

    @property
    def known(self) -> bool:
        return self.cause is None


class Stop(NamedTuple):
    """A known stretch without production; set-up and split parts are stops of their own.

    `stretch_s` is the length of the whole non-producing stretch it belongs to: the micro-stop limit judges that.
    `open`: nothing is known after it yet.
    """

    from_ms: int
    to_ms: int
    state: str
    alarm: str
    stretch_s: float
    open: bool


@dataclass(frozen=True, slots=True)
class Note:
    """Somebody's reason for the stop that contains `stop_from_ms`."""

    event_id: str
    stop_from_ms: int
    occurred_ms: int
    reason: str
    person: str | None
    note: str


# --- facts from ingest ---------------------------------------------------------------------------------------------------------------
class StateFact(NamedTuple):
    """What a machine said at `at_ms`; None: this record did not say it. `alarm` "" = no alarm."""

    machine: str
    at_ms: int
    state: str | None
    state_raw: int | None
    alarm: str | None


class WatchFact(NamedTuple):
    """`source` ("<edge>:<epoch>") had the machine or meter `subject` in view over [from_ms, until_ms), its gaps apart."""

    subject: str
    source: str
    from_ms: int
    until_ms: int


class GapFact(NamedTuple):
    """`source` saw nothing of `subject` over [from_ms, to_ms)."""

    subject: str
    device: str
    source: str
    machine: str | None
    from_ms: int
    to_ms: int
    cause: str
    detail: str
    counter_reset: bool
    parts_max: int | None


class LiveFact(NamedTuple):
    """A machine's newest word, booked or not."""

    machine: str
    at_ms: int
    state: str | None
    state_raw: int | None
    alarm: str | None
    order: str | None
    operation: str | None


class ExplainStop(Command):
    """Why the machine stopped. `stop_from` is the stop's start (or, for a stop to come, the moment of the answer)."""

    type: ClassVar[str] = "stop.explained"
    right: ClassVar[str] = "floor.stop_reason"

    machine: str = Field(pattern=CODE)
    stop_from: AwareDatetime
    reason: str = Field(pattern=CODE)
    note: str = Field("", max_length=400)


class SplitStop(Command):
    """A border inside a stop: each part takes a reason of its own."""

    type: ClassVar[str] = "stop.split"
    right: ClassVar[str] = "floor.stop_reason"

    machine: str = Field(pattern=CODE)
    stop_from: AwareDatetime
    at: AwareDatetime


class History(NamedTuple):
    """A machine's intervals over a window widened to whole stops; `known_until_ms` is the last proven moment (None: never seen).

    `stops` are explained: `reasons[stop.from_ms]` is (reason, by, at_ms, note), `by` None where the alarm's usual reason answers.
    """

    machine: str
    machine_class: str
    line: str | None
    micro_stop_s: float
    intervals: list[Interval]
    known: list[Span]
    known_until_ms: int | None
    stops: list[Stop]
    reasons: dict[int, StopAnswer]
    producing_said: list[int]  # moments at which the machine itself said that it produces, ascending


class StopAnswer(NamedTuple):
    reason: str
    by: str | None  # person's code; "alarm": the alarm's usual reason answers
    at_ms: int | None
    note: str


class Tile(NamedTuple):
    """A machine's present. `known_until_ms`: up to here it is proven; `stale`: too long ago for a live screen."""

    machine: str
    state: str
    since_ms: int | None
    alarm: str
    reason: str | None
    known_until_ms: int | None
    stale: bool
    order: str
    operation: str


class StateOut(BaseModel):
    """One interval of a machine; `to` null: it still lasts."""

    from_: str = Field(serialization_alias="from")
    to: str | None
    state: str
    state_raw: int | None
    alarm: str
    known: bool
    cause: str | None
    reason: str | None
    reason_by: str | None


class GapOut(BaseModel):
    device: str
    machine: str | None
    from_: str = Field(serialization_alias="from")
    to: str
    cause: str
    zh: str
    en: str
    detail: str
    counter_reset: bool
    parts_max: int | None
