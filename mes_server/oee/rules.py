"""OEE, pure: the time model, the six figures, the waterfall. The one place of the conventions. No session, no clock.

Source: ISO 22400-2:2014 (availability, effectiveness, quality ratio, OEE index), names and the machine-state mapping after OPC 40001-1 annex C.
Times are integer milliseconds, so that parts add up exactly; windows are half open.

    T        planned time of the window: shifts minus breaks (calendar, UTC arithmetic)
    known    the part of T whose machine state is known (no gap, not later than the last proof)
    PBT      planned busy time = known + producing time outside T (work through a break extends PBT; only producing time does)
    APT      producing inside PBT            AUST  set-up inside PBT
    ADET     the other known time of T while an operation runs on the machine; ADOT the same while none does
    PBT      = APT + AUST + ADET + ADOT
    PRI      ideal cycle of the counted operation, s a piece; PQ = good + scrap + rework, GQ = good, counted by their time stamp

    ISO      A = APT / PBT     P (effectiveness) = Σ PRI·PQ / APT     Q = Σ PRI·GQ / Σ PRI·PQ     OEE = Σ PRI·GQ / PBT = A·P·Q
    TPM      A = (PBT - stops at or above the micro-stop limit) / PBT     Q the same     P = OEE / (A·Q) = Σ PRI·PQ / (PBT - those stops)

The same shift has different A and P under the two, and the same OEE: the micro-stop limit moves time between A and P only. Over machines and
shifts the times and ideal times are added and divided once; a mean of ratios is never taken. Unknown stays unknown: no ideal cycle gives P and
OEE None (A and a Q by pieces remain), nothing made gives Q None and OEE 0, no PBT gives None for all. P above 1 is kept and flagged.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

Span = tuple[int, int]

MINOR = "minor"
LOW_COVERAGE = 0.95


class Cover:
    """Sorted disjoint spans that answer "how many ms of them lie in this window" in logarithmic time, exactly."""

    __slots__ = ("_before", "_ends", "_starts")

    def __init__(self, spans: Iterable[Span]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._before: list[int] = []
        total = 0
        for start, end in spans:
            self._starts.append(start)
            self._ends.append(end)
            self._before.append(total)
            total += end - start

    def upto(self, at_ms: int) -> int:
        """Covered ms before `at_ms`."""
        index = bisect_right(self._starts, at_ms) - 1
        if index < 0:
            return 0
        return self._before[index] + min(at_ms, self._ends[index]) - self._starts[index]

    def within(self, spans: Iterable[Span]) -> int:
        return sum(self.upto(end) - self.upto(start) for start, end in spans)


class Loss(NamedTuple):
    """A stop as the time model sees it: `key` its loss class; below the micro-stop limit it is `minor`."""

    from_ms: int
    to_ms: int
    key: str


@dataclass(frozen=True, slots=True)
class Count:
    """Pieces of one operation in one window. `ideal_s` None: the operation has no ideal cycle."""

    good: int
    scrap: int
    ideal_s: float | None
    rework: int = 0  # made, not good at first

    @property
    def total(self) -> int:
        return self.good + self.scrap + self.rework


class MachineTime:
    """One machine's history, prepared once for any number of windows."""

    __slots__ = ("known", "losses", "producing", "running", "setup")

    def __init__(
        self, *, known: Sequence[Span], producing: Sequence[Span], setup: Sequence[Span], losses: Iterable[Loss], running: Sequence[Span] = ()
    ) -> None:
        """All sorted and disjoint; `running`: an operation runs on the machine."""
        self.known = Cover(known)
        self.producing = Cover(producing)
        self.setup = Cover(setup)
        self.running = running
        by_key: dict[str, list[Span]] = {}
        for loss in losses:
            by_key.setdefault(loss.key, []).append((loss.from_ms, loss.to_ms))
        self.losses = {key: Cover(spans) for key, spans in sorted(by_key.items())}


@dataclass(frozen=True, slots=True)
class Parts:
    """What adds up, over windows and over machines. Times in ms, ideal times in s."""

    planned_ms: int = 0
    elapsed_ms: int = 0
    known_ms: int = 0
    extra_ms: int = 0  # producing outside planned time
    apt_ms: int = 0
    aust_ms: int = 0
    adet_ms: int = 0
    adot_ms: int = 0
    good: int = 0
    scrap: int = 0
    rework: int = 0
    ideal_good_s: float = 0.0
    ideal_total_s: float = 0.0
    no_cycle: int = 0  # pieces whose operation has no ideal cycle
    loss_ms: Mapping[str, int] = field(default_factory=dict)

    @property
    def pbt_ms(self) -> int:
        return self.known_ms + self.extra_ms

    @property
    def total(self) -> int:
        return self.good + self.scrap + self.rework

    @property
    def stops_ms(self) -> int:
        """Stops at or above the micro-stop limit."""
        return sum(ms for key, ms in self.loss_ms.items() if key != MINOR)

    @property
    def coverage(self) -> float | None:
        return ratio(self.known_ms, self.elapsed_ms)


@dataclass(frozen=True, slots=True)
class Figures:
    """None: cannot be said."""

    a: float | None
    p: float | None
    q: float | None
    oee: float | None
    tpm_a: float | None
    tpm_p: float | None


def ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def measure(time: MachineTime, window: Span, planned: Sequence[Span], now_ms: int, counts: Iterable[Count]) -> Parts:
    """One machine over one window. `planned`: planned spans inside the window, sorted and disjoint."""
    start, end = window
    busy = [(max(low, start), min(high, end)) for low, high in planned if high > start and low < end]
    elapsed = [(low, min(high, now_ms)) for low, high in busy if low < now_ms]
    producing = time.producing.within(busy)
    extra = time.producing.within([window]) - producing
    known, setup = time.known.within(busy), time.setup.within(busy)
    delay = known - producing - setup
    running = _overlap(busy, time.running)
    adet = time.known.within(running) - time.producing.within(running) - time.setup.within(running)
    parts = Parts(
        planned_ms=sum(high - low for low, high in busy),
        elapsed_ms=sum(high - low for low, high in elapsed),
        known_ms=known,
        extra_ms=extra,
        apt_ms=producing + extra,
        aust_ms=setup,
        adet_ms=adet,
        adot_ms=delay - adet,
        loss_ms={key: ms for key, cover in time.losses.items() if (ms := cover.within(busy))},
    )
    return with_pieces(parts, counts)


def with_pieces(parts: Parts, counts: Iterable[Count]) -> Parts:
    """The same times with these pieces."""
    counts = list(counts)
    cycled = [one for one in counts if one.ideal_s is not None]
    return replace(
        parts,
        good=sum(one.good for one in counts),
        scrap=sum(one.scrap for one in counts),
        rework=sum(one.rework for one in counts),
        ideal_good_s=math.fsum((one.ideal_s or 0.0) * one.good for one in cycled),
        ideal_total_s=math.fsum((one.ideal_s or 0.0) * one.total for one in cycled),
        no_cycle=sum(abs(one.total) for one in counts if one.ideal_s is None),
    )


def _overlap(left: Sequence[Span], right: Sequence[Span]) -> list[Span]:
    out: list[Span] = []
    i = j = 0
    while i < len(left) and j < len(right):
        low, high = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if low < high:
            out.append((low, high))
        if left[i][1] <= right[j][1]:
            i += 1
        else:
            j += 1
    return out


def add(parts: Iterable[Parts]) -> Parts:
    """Adds times, pieces and ideal times: the only way figures of machines, shifts and days are put together."""
    parts = list(parts)
    loss: dict[str, int] = {}
    for one in parts:
        for key, ms in one.loss_ms.items():
            loss[key] = loss.get(key, 0) + ms
    return Parts(
        planned_ms=sum(one.planned_ms for one in parts),
        elapsed_ms=sum(one.elapsed_ms for one in parts),
        known_ms=sum(one.known_ms for one in parts),
        extra_ms=sum(one.extra_ms for one in parts),
        apt_ms=sum(one.apt_ms for one in parts),
        aust_ms=sum(one.aust_ms for one in parts),
        adet_ms=sum(one.adet_ms for one in parts),
        adot_ms=sum(one.adot_ms for one in parts),
        good=sum(one.good for one in parts),
        scrap=sum(one.scrap for one in parts),
        rework=sum(one.rework for one in parts),
        ideal_good_s=math.fsum(one.ideal_good_s for one in parts),
        ideal_total_s=math.fsum(one.ideal_total_s for one in parts),
        no_cycle=sum(one.no_cycle for one in parts),
        loss_ms={key: loss[key] for key in sorted(loss)},
    )


def figures(parts: Parts) -> Figures:
    pbt = parts.pbt_ms
    if pbt <= 0:
        return Figures(None, None, None, None, None, None)
    run_ms = pbt - parts.stops_ms
    tpm_a = run_ms / pbt
    a = parts.apt_ms / pbt
    if parts.no_cycle:
        return Figures(a, None, ratio(parts.good, parts.total), None, tpm_a, None)
    q = ratio(parts.ideal_good_s, parts.ideal_total_s) if parts.ideal_total_s > 0 else ratio(parts.good, parts.total)
    return Figures(
        a=a,
        p=ratio(parts.ideal_total_s * 1000, parts.apt_ms),
        q=q,
        oee=parts.ideal_good_s * 1000 / pbt,
        tpm_a=tpm_a,
        tpm_p=ratio(parts.ideal_total_s * 1000, run_ms),
    )


def flags(parts: Parts, found: Figures) -> list[str]:
    """What a reader of the figures must know, as keys the screens have words for."""
    out = []
    if parts.pbt_ms <= 0:
        out.append("nothing_known" if parts.elapsed_ms else "no_planned_time")
    if parts.no_cycle:
        out.append("no_ideal_cycle")
    if found.p is not None and found.p > 1:
        out.append("performance_over_1")
    if parts.coverage is not None and parts.coverage < LOW_COVERAGE:
        out.append("low_coverage")
    if parts.elapsed_ms < parts.planned_ms:
        out.append("not_over")
    if parts.extra_ms:
        out.append("output_in_break")
    if parts.total == 0 and parts.pbt_ms > 0:
        out.append("nothing_made")
    return out


@dataclass(frozen=True, slots=True)
class Step:
    """One bar of the waterfall; `kind` total | loss | rest. Losses may be negative (faster than the ideal cycle): the sum stays true."""

    key: str
    seconds: float
    kind: str


def waterfall(parts: Parts) -> list[Step]:
    """Planned time down to the ideal time of the good pieces: total - Σ losses = rest, exactly."""
    steps = [Step("planned", (parts.elapsed_ms + parts.extra_ms) / 1000, "total")]
    if parts.elapsed_ms > parts.known_ms:
        steps.append(Step("no_data", (parts.elapsed_ms - parts.known_ms) / 1000, "loss"))
    order = sorted((key for key in parts.loss_ms if key != MINOR), key=lambda key: (-parts.loss_ms[key], key))
    steps.extend(Step(key, parts.loss_ms[key] / 1000, "loss") for key in order)
    if parts.loss_ms.get(MINOR):
        steps.append(Step(MINOR, parts.loss_ms[MINOR] / 1000, "loss"))
    if parts.no_cycle:
        steps.append(Step("running", parts.apt_ms / 1000, "rest"))
        return steps
    steps.append(Step("speed", parts.apt_ms / 1000 - parts.ideal_total_s, "loss"))
    if parts.ideal_total_s != parts.ideal_good_s:
        steps.append(Step("scrap", parts.ideal_total_s - parts.ideal_good_s, "loss"))
    steps.append(Step("good", parts.ideal_good_s, "rest"))
    return steps


def mean_cycle_s(parts: Parts) -> float | None:
    """Ideal seconds of a piece of what was made: turns lost time into lost pieces. None: nothing made or no cycle."""
    return ratio(parts.ideal_total_s, parts.total) if not parts.no_cycle and parts.ideal_total_s > 0 else None


_CLASS_OF_STATE = {"fault": "breakdown", "setup": "setup", "starved": "material", "blocked": "material", "maintenance": "planned_stop"}


def loss_key(state: str, time_class: str | None, micro: bool, has_order: bool) -> str:
    """The loss class of a stop: micro first, then what was said, then what the machine's state says by itself."""
    if micro:
        return MINOR
    if time_class is not None:
        return {MINOR: "other", "planned": "planned_stop"}.get(time_class, time_class)
    return _CLASS_OF_STATE.get(state) or ("unexplained" if has_order else "no_order")


def cause_key(state: str, reason: str | None, micro: bool, has_order: bool) -> str:
    """The Pareto's row of a stop: "micro", the reason's code, or "state.<state>" / "no_order" where nobody said one."""
    if micro:
        return "micro"
    if reason is not None:
        return reason
    return f"state.{state}" if state in _CLASS_OF_STATE or has_order else "no_order"


def teep(found_oee: float | None, pbt_ms: int, all_ms: int) -> float | None:
    """TEEP = OEE × PBT / all time (not in ISO 22400-2)."""
    return None if found_oee is None or all_ms <= 0 else found_oee * pbt_ms / all_ms
