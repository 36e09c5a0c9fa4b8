"""Pure rules of orders: state tables, plausibility, what a report moves, what a set of marks means, whose a machine's piece is.

No session, no clock, no logging: times come in as milliseconds since 1970 UTC.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mes_server.work_orders.errors import FarTooMany, MachineCounts, NeedsConfirmation, NothingReported, NotPieces, TooFast
from mes_server.work_orders.values import Change, Mark, Pieces, Run

PIECES_MAX = 999_999  # more than six digits is a barcode, not a count (user_journeys G2)
ORDER_FACTOR_MAX = 10
OVER_TOLERANCE = 0.05  # of the planned pieces, at least one: over-delivery is usual, it is not asked
PACE_FACTOR = 1.5
PACE_FREE_PIECES = 5  # so few are never asked for their pace
LATE_AFTER_MS = 120_000  # an act this old can no longer be asked about: it is booked and flagged
FUTURE_MAX_MS = 5_000
UNDO_S = 10
OWN_CORRECTION_H = 12

ORDER_TRANSITIONS: dict[str, frozenset[str]] = {
    "draft": frozenset({"released", "cancelled"}),
    "released": frozenset({"in_progress", "on_hold", "completed", "cancelled"}),
    "in_progress": frozenset({"on_hold", "completed", "cancelled"}),
    "on_hold": frozenset({"released", "in_progress", "completed", "cancelled"}),
    "completed": frozenset({"closed", "in_progress"}),
    "closed": frozenset(),
    "cancelled": frozenset(),
}
ORDER_OPEN = frozenset({"released", "in_progress"})
ORDER_ENDED = frozenset({"completed", "closed", "cancelled"})
OPERATION_TRANSITIONS: dict[str, frozenset[str]] = {
    "pending": frozenset({"ready", "running", "interrupted", "completed", "skipped", "aborted"}),
    "ready": frozenset({"running", "interrupted", "completed", "skipped", "aborted"}),
    "running": frozenset({"interrupted", "completed", "aborted"}),
    "interrupted": frozenset({"running", "completed", "aborted"}),
    "completed": frozenset(),
    "skipped": frozenset(),
    "aborted": frozenset(),
}
OPERATION_ENDED = frozenset({"completed", "skipped", "aborted"})

_END_STATUS = {"complete": "completed", "skip": "skipped", "abort": "aborted"}


# --- time -------------------------------------------------------------------------------------------------------------------------------
def effective_ms(occurred_ms: int, now_ms: int) -> int:
    """When an act counts as done: never in the future, whatever the tablet's clock says."""
    return min(occurred_ms, now_ms + FUTURE_MAX_MS)


def is_late(at_ms: int, now_ms: int) -> bool:
    return now_ms - at_ms > LATE_AFTER_MS


# --- what a person says -----------------------------------------------------------------------------------------------------------------
def whole_pieces(value: float) -> int:
    """The number of pieces, or NotPieces for a negative, a fraction, more than six digits, or no number at all."""
    if not math.isfinite(value) or value < 0 or value > PIECES_MAX or value != int(value):
        raise NotPieces(value=f"{value:,.10g}" if abs(value) < 1e15 else f"{value:.6g}")
    return int(value)


def pieces_said(good: float, scrap: float, rework: float, order_quantity: int) -> Pieces:
    """Checks what no confirmation can make right (G2, refuse). Raises NotPieces, NothingReported, FarTooMany."""
    said = Pieces(whole_pieces(good), whole_pieces(scrap), whole_pieces(rework))
    if said.total == 0:
        raise NothingReported
    if said.total > ORDER_FACTOR_MAX * order_quantity:
        raise FarTooMany(value=said.total, quantity=order_quantity)
    return said


def tolerance(planned: int) -> int:
    return max(1, math.ceil(planned * OVER_TOLERANCE))


def ask_if_over(said: Pieces, made: int, planned: int) -> None:
    """Raises NeedsConfirmation when `said` is more than what remains of `planned` plus the tolerance."""
    remaining = planned - made
    if said.total > remaining + tolerance(planned):
        raise NeedsConfirmation(value=said.total, remaining=max(0, remaining))


def ask_if_too_fast(said: Pieces, cycle_s: float | None, since_ms: int | None, at_ms: int) -> None:
    """Raises TooFast when more was reported than 1.5 × what the ideal cycle allows since the last report (or the start)."""
    if not cycle_s or cycle_s <= 0 or since_ms is None or at_ms < since_ms:
        return
    possible = (at_ms - since_ms) / 1000.0 / cycle_s
    if said.total > max(PACE_FREE_PIECES, PACE_FACTOR * possible):
        raise TooFast(value=said.total, possible=math.floor(possible))


def booked(counting: str, said: Pieces, operation: str = "") -> Pieces:
    """The signed pieces a report books. On a machine-counted operation good by hand is refused, and scrap and rework are moved out of good.

    `both`: a person may add pieces the machine does not see; scrap is moved, for the machine has counted it as good before.
    """
    if counting == "person":
        return said
    if counting == "machine" and said.good:
        raise MachineCounts(operation=operation)
    return Pieces(said.good - said.scrap - said.rework, said.scrap, said.rework)


def settled(said: Pieces, changes: Iterable[Change]) -> Pieces:
    """What a report finally says: nothing once it was undone, else what the latest correction says. Independent of arrival order."""
    latest: Change | None = None
    for change in changes:
        if change.kind == "undo":
            return Pieces()
        if latest is None or (change.acted_ms, change.event_id) > (latest.acted_ms, latest.event_id):
            latest = change
    return said if latest is None else latest.said


# --- what a set of marks means ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Progress:
    """What the marks of one operation say. `status` None: nothing was done yet."""

    status: str | None
    runs: tuple[Run, ...]
    started_ms: int | None
    ended_ms: int | None
    ended_by: str | None


# At one instant an end counts before a start: "pause the old, start the new" on one tap.
_AT_ONE_INSTANT = {"interrupt": 0, "start": 1, "complete": 2, "skip": 3, "abort": 4}


def progress(marks: Iterable[Mark]) -> Progress:
    """Status and runs from the marks in the order they happened; the order they arrived in does not matter.

    A second start on a running machine changes nothing. The first complete, skip or abort ends the operation; what is marked after it is ignored.
    """
    runs: list[Run] = []
    running: dict[str, Mark] = {}
    started: int | None = None
    for mark in sorted(marks, key=lambda one: (one.at_ms, _AT_ONE_INSTANT[one.kind], one.event_id, one.machine or "")):
        if mark.kind == "start" and mark.machine is not None:
            started = mark.at_ms if started is None else started
            running.setdefault(mark.machine, mark)
            continue
        for machine in list(running) if mark.machine is None else [mark.machine] if mark.machine in running else []:
            begun = running.pop(machine)
            if mark.at_ms > begun.at_ms:
                runs.append(Run(machine, begun.person, begun.at_ms, mark.at_ms))
        if mark.kind in _END_STATUS:
            return Progress(_END_STATUS[mark.kind], _ordered(runs), started, mark.at_ms, mark.person)
    runs.extend(Run(machine, begun.person, begun.at_ms, None) for machine, begun in running.items())
    status = "running" if running else "interrupted" if started is not None else None
    return Progress(status, _ordered(runs), started, None, None)


def _ordered(runs: list[Run]) -> tuple[Run, ...]:
    return tuple(sorted(runs, key=lambda run: (run.from_ms, run.machine)))


def order_status(current: str, operations: Sequence[str], begun: bool) -> str:
    """The order's status from its operations' statuses and whether anything was booked; a draft, held, closed or cancelled order keeps its own."""
    if current in ("draft", "on_hold", "closed", "cancelled"):
        return current
    if operations and all(status in OPERATION_ENDED for status in operations):
        return "completed"
    return "in_progress" if begun else "released"


# --- whose a machine's piece is ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Claim:
    """An operation claims a machine's pieces during [from_ms, to_ms)."""

    operation_id: int
    from_ms: int
    to_ms: int | None


class Claims:
    """Attribution of one machine's untagged pieces: the latest-begun run that covers the moment; none: nobody's."""

    def __init__(self, claims: Iterable[Claim]) -> None:
        self._claims = sorted(claims, key=lambda one: (one.from_ms, one.operation_id))
        self._starts = [claim.from_ms for claim in self._claims]
        # ends[i]: latest end of the claims up to i, so that the walk back stops as soon as nothing earlier can cover the moment
        self._ends: list[float] = []
        latest = -math.inf
        for claim in self._claims:
            latest = max(latest, math.inf if claim.to_ms is None else claim.to_ms)
            self._ends.append(latest)

    def owner(self, at_ms: int) -> int | None:
        index = bisect_right(self._starts, at_ms) - 1
        while index >= 0 and self._ends[index] > at_ms:
            claim = self._claims[index]
            if claim.to_ms is None or at_ms < claim.to_ms:
                return claim.operation_id
            index -= 1
        return None


# --- change of an order by its planner or the ERP -----------------------------------------------------------------------------------------
def quantity_proposal(made: int, wanted: int) -> int | None:
    """None if `wanted` can be applied as it is; else the least quantity that keeps every part already made."""
    return None if wanted >= made else made
