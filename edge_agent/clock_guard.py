"""Plant time that does not jump when the machine's clock does.

Every value that we stamp (polls, arrivals) needs a time that goes on evenly: an interval that is negative or a day too long is a wrong OEE. So time
goes on by the monotonic clock (the one that counts sleep too), and follows the machine's clock only in small steps, as NTP takes them. A larger step
is not believed: time goes on as before, and is called suspect, until a witness says who is right. The witness is the host's time in its answers.
It is heard only when several answers in a row, some seconds apart, agree: one that waited in a socket is no witness.

    ok        the machine's clock and ours agree
    suspect   the machine's clock jumped, or was implausible at the start, and nobody has told yet what is true
    held      the witness says that ours is right: the machine's clock is wrong, and is not used until it comes back
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from edge_agent.contract.clock import Clock, iso

JUMP_S = 2.0  # a step of the machine's clock that is followed (real seconds)
AGREE_S = 5.0  # the witness's answer may have been on its way so long
WITNESSES, WITNESS_SPAN_S = 3, 2.0
PLAUSIBLE_MS = 1_577_836_800_000  # 2020: an earlier time is a dead battery
AHEAD_MS = 30 * 86_400_000  # switched off for longer is possible, a wrong clock more likely
WAIT_S = 30.0  # for a witness at the start, before a doubtful clock is used nevertheless


class Trust(StrEnum):
    OK = "ok"
    SUSPECT = "suspect"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Step:
    """Plant time was set, from `from_ms` to `to_ms`."""

    from_ms: int
    to_ms: int


def steady_s() -> float:
    """Seconds that go on evenly, also while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ClockGuard:
    """A Clock over a clock. `witness` is for the worker, `step` for the agent, `now_ms` for everybody, from any thread."""

    def __init__(self, clock: Clock, steady: Callable[[], float] = steady_s) -> None:
        self._clock, self._steady = clock, steady
        self._lock = threading.Lock()
        self._began_s = steady()
        self._offset_ms = clock.now_ms() - self._run_ms()
        self._heard: list[tuple[float, float]] = []  # (when, host's time minus ours) of answers that do not agree with us
        self._due_ms: int | None = None
        self._doubt_at_start = False
        self.trust = Trust.OK

    @property
    def speed(self) -> float:
        return self._clock.speed

    async def sleep(self, plant_s: float) -> None:
        await self._clock.sleep(plant_s)

    def _run_ms(self) -> float:
        return self._steady() * 1000.0 * self._clock.speed

    def _ms(self, seconds: float) -> float:
        return seconds * 1000.0 * self._clock.speed

    @property
    def wrong_by_ms(self) -> int:
        """The machine's clock minus ours."""
        return round(self._clock.now_ms() - self._run_ms() - self._offset_ms)

    def now_ms(self) -> int:
        with self._lock:
            return self._now_ms()

    def _now_ms(self) -> int:
        run_ms = self._run_ms()
        offset_ms = self._clock.now_ms() - run_ms
        if abs(offset_ms - self._offset_ms) <= self._ms(JUMP_S):
            self._offset_ms = offset_ms
            if not self._doubt_at_start:
                self.trust = Trust.OK
        elif self.trust is Trust.OK:
            self.trust = Trust.SUSPECT
            self._heard.clear()
        return round(run_ms + self._offset_ms)

    def began_after(self, known_ms: int) -> None:
        """At the start: everything up to `known_ms` (0: nothing) was recorded under the time before. Time does not go back behind it."""
        with self._lock:
            wall_ms = self._clock.now_ms()
            back = wall_ms < known_ms - self._ms(JUMP_S)
            if back or wall_ms < PLAUSIBLE_MS or (known_ms > PLAUSIBLE_MS and wall_ms > known_ms + AHEAD_MS):
                self.trust, self._doubt_at_start = Trust.SUSPECT, True
                if back:
                    self._offset_ms += known_ms - wall_ms

    @property
    def may_stamp(self) -> bool:
        """False while a doubtful clock waits for a witness at the start; one of before 2020 waits for ever."""
        if not self._doubt_at_start:
            return True
        return self.now_ms() >= PLAUSIBLE_MS and self._steady() - self._began_s > WAIT_S

    def witness(self, host_ms: int) -> None:
        """The host says that it is `host_ms` now."""
        with self._lock:
            ours_ms = self._now_ms()
            now_s = self._steady()
            if abs(host_ms - ours_ms) <= self._ms(AGREE_S):
                self._heard.clear()
                self._doubt_at_start, self._due_ms = False, None
                self.trust = Trust.OK if abs(self.wrong_by_ms) <= self._ms(JUMP_S) else Trust.HELD
                return
            apart_ms = host_ms - ours_ms
            self._heard = [one for one in self._heard if abs(one[1] - apart_ms) <= self._ms(AGREE_S)] + [(now_s, apart_ms)]
            if len(self._heard) >= WITNESSES and now_s - self._heard[0][0] >= WITNESS_SPAN_S:
                self._due_ms = apart_ms

    @property
    def step_due(self) -> bool:
        """The witnesses want another time. It is set by `step`, when nobody holds a timer in the time before."""
        return self._due_ms is not None

    def step(self) -> Step | None:
        """Sets the time; None when the witnesses have come to agree with us meanwhile."""
        with self._lock:
            if self._due_ms is None:
                return None
            ours_ms, wall_ms = self._now_ms(), self._clock.now_ms()
            host_ms = ours_ms + self._due_ms
            right = abs(host_ms - wall_ms) <= self._ms(AGREE_S)  # the machine's clock was set, and set well
            to_ms = round(wall_ms if right else host_ms)
            self._offset_ms = to_ms - self._run_ms()
            self.trust = Trust.OK if right else Trust.HELD
            self._doubt_at_start = False
            self._due_ms = None
            return Step(ours_ms, to_ms)

    def words(self) -> tuple[str, str] | None:
        """What is the matter with the clock and the next step; None when all is well."""
        if self.trust is Trust.OK:
            return None
        off = _span(self.wrong_by_ms / 1000.0)
        if self.trust is Trust.HELD:
            return (
                f"this machine's clock is off by {off}; the server's time is used instead. Set the clock, or switch NTP on.",
                f"本机时钟偏差 {off},已改用服务器时间。请校准时钟或启用 NTP。",
            )
        return (
            f"this machine's clock jumped by {off}, or was wrong at the start; what is stamped here is suspect until the server tells the time "
            f"(now taken as {iso(self.now_ms())}). Set the clock, or switch NTP on.",
            f"本机时钟跳变 {off} 或启动时不正确;在服务器给出时间之前,本机打的时间戳存疑(当前按 {iso(self.now_ms())} 计)。请校准时钟或启用 NTP。",
        )


def _span(seconds: float) -> str:
    sign = "-" if seconds < 0 else "+"
    seconds = abs(seconds)
    for size, unit in ((86_400 * 365, "y"), (86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{sign}{seconds / size:.1f} {unit}"
    return f"{sign}{seconds:.0f} s"
