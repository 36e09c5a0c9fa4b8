"""Monotone totals from registers that roll over, are reset, jump, freeze or are misread.

A counter's total is `offset + raw` in raw units; as long as the register behaves the offset stands still, so no error adds up. A reading is
accepted when its step from the last trusted one is physically possible (most per second x time since the value last changed, plus slack).
What is not possible is explained as a rollover, then as a reset to zero; what neither explains is held: it changes nothing until the
register returns to its old course (then the true difference counts) or has moved on plausibly three times (a swapped meter, a program
download: counting starts there and the event says so). After a reset the old course is remembered, so a register that read 0 for a while
and recovers books the true difference, not its lifetime.
Golden cases: the MyEMS meter faults beside the tests.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

ADOPT_AFTER = 3  # plausible steps of a held course before it is trusted
MARGIN = 1.25  # a rated power or fastest cycle is a nominal figure

Event = Literal["", "first", "rollover", "reset", "held", "recovered", "adopted"]


@dataclass(frozen=True, slots=True)
class CounterRule:
    """How one register may move. `max_per_s` and `slack` in raw units; `slack` is what may come at once whatever the time."""

    max_per_s: float
    slack: float
    modulus: float | None = None
    decrease: Literal["auto", "rollover", "reset"] = "auto"
    resets_with_order: bool = False
    retentive: bool = True  # keeps its value when the PLC restarts

    def bound(self, seconds: float) -> float:
        return self.max_per_s * max(0.0, seconds) * MARGIN + self.slack


@dataclass(frozen=True, slots=True)
class CounterState:
    """What must be remembered between two readings (persisted with the record that it produced)."""

    raw: float
    offset: float
    changed_ms: int  # when `raw` was first seen
    old_raw: float | None = None  # the course left by the last reset or jump
    old_offset: float = 0.0
    held_first: float | None = None  # a course not yet trusted
    held_last: float = 0.0
    held_ms: int = 0
    held_steps: int = 0

    @property
    def total(self) -> float:
        return self.offset + self.raw

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> CounterState:
        return cls(**raw)


@dataclass(frozen=True, slots=True)
class Step:
    """Outcome of one reading: the state to keep (None: no valid reading yet), and what happened in one word ("" = nothing special)."""

    state: CounterState | None
    event: Event = ""


def read(
    rule: CounterRule,
    state: CounterState | None,
    raw: float,
    at_ms: int,
    unseen_s: float,
    *,
    order_changed_unseen: bool = False,
    restarted_unseen: bool = False,
) -> Step:
    """The next state after `raw` was read at `at_ms`.

    `unseen_s`: seconds before `at_ms` in which nobody looked (0 in continuous watching, the length of a gap after one).
    `order_changed_unseen`: the machine's order changed in that time (matters for counters that reset with the order).
    `restarted_unseen`: the PLC restarted in that time; a counter that is not retentive began at 0, also where it has passed its old value again.
    """
    if raw != raw or raw < 0 or (rule.modulus is not None and raw >= rule.modulus):
        return Step(state, "held")
    if state is None:
        return Step(CounterState(raw, 0.0, at_ms), "first")
    since_change_s = (at_ms - state.changed_ms) / 1000.0
    if (order_changed_unseen and rule.resets_with_order) or (restarted_unseen and not rule.retentive):
        return Step(_reset(state, raw, at_ms), "reset")
    if raw == state.raw:
        return Step(replace(state, held_first=None, held_steps=0) if state.held_first is not None else state)
    if 0 < raw - state.raw <= rule.bound(max(since_change_s, unseen_s)):
        return Step(_go(state, raw, at_ms, state.offset))
    if raw < state.raw:
        explained = _explain_decrease(rule, state, raw, at_ms, unseen_s, since_change_s)
        if explained is not None:
            return explained
    elif state.old_raw is not None and 0 <= raw - state.old_raw <= rule.bound(max(since_change_s, unseen_s)):
        offset = max(state.old_offset, state.total - raw)
        return Step(CounterState(raw, offset, at_ms), "recovered")
    return _hold(rule, state, raw, at_ms)


def _explain_decrease(rule: CounterRule, state: CounterState, raw: float, at_ms: int, unseen_s: float, since_change_s: float) -> Step | None:
    """A rollover or a reset, whichever is possible; None when neither is."""
    if rule.modulus is not None and rule.decrease != "reset":
        wrapped = raw + rule.modulus - state.raw
        at_once = rule.slack if rule.decrease == "auto" else max(rule.slack, rule.modulus / 64)
        if wrapped <= max(rule.bound(unseen_s), at_once) and wrapped <= rule.modulus / 2:
            return Step(_go(state, raw, at_ms, state.offset + rule.modulus), "rollover")
    if rule.decrease == "reset":
        possible = raw <= rule.bound(max(since_change_s, unseen_s))
    else:
        possible = raw <= rule.bound(unseen_s) and raw <= state.raw / 2
    return Step(_reset(state, raw, at_ms), "reset") if possible else None


def _go(state: CounterState, raw: float, at_ms: int, offset: float) -> CounterState:
    return CounterState(raw, offset, at_ms, state.old_raw, state.old_offset)


def _reset(state: CounterState, raw: float, at_ms: int) -> CounterState:
    """Counts `raw` on top of the total. Of several resets in a row the highest old course is the one to recover to."""
    if state.old_raw is not None and state.old_raw > state.raw:
        return CounterState(raw, state.total, at_ms, state.old_raw, state.old_offset)
    return CounterState(raw, state.total, at_ms, state.raw, state.offset)


def _hold(rule: CounterRule, state: CounterState, raw: float, at_ms: int) -> Step:
    step = raw - state.held_last
    if state.held_first is None or step < 0 or step > rule.bound((at_ms - state.held_ms) / 1000.0):
        return Step(replace(state, held_first=raw, held_last=raw, held_ms=at_ms, held_steps=0), "held")
    if step == 0:
        return Step(state, "held")
    if state.held_steps + 1 < ADOPT_AFTER:
        return Step(replace(state, held_last=raw, held_ms=at_ms, held_steps=state.held_steps + 1), "held")
    total = state.total + (raw - state.held_first)
    return Step(CounterState(raw, total - raw, at_ms, state.raw, state.offset), "adopted")


def parts_bound(rule: CounterRule, unseen_s: float, counted: float) -> int:
    """Most pieces that may be missing when a counter was reset in `unseen_s` seconds of which `counted` are known."""
    return max(0, round(rule.max_per_s * unseen_s - counted))


def is_frozen(changed_ms: int, producing_since_ms: int | None, now_ms: int, limit_s: float) -> bool:
    """A counter that stood still for `limit_s` while its machine said it was producing all that time."""
    return producing_since_ms is not None and now_ms - max(changed_ms, producing_since_ms) > limit_s * 1000.0


@dataclass(frozen=True, slots=True)
class Draw:
    """A meter's power since it was last without any: from when on, and the least of it. Import only; power going back is none here."""

    since_ms: int
    watts_min: float


def draw(before: Draw | None, at_ms: int, watts: float) -> Draw | None:
    """The next draw after `watts` was read."""
    if not watts > 0.0:
        return None
    return Draw(at_ms, watts) if before is None else Draw(before.since_ms, min(before.watts_min, watts))


def energy_is_frozen(power: Draw | None, state: CounterState, step_wh: float, scale: float, now_ms: int) -> bool:
    """An energy register that stands still although power flows, longer than its resolution (`step_wh`, and a float's own) can explain.

    At least 100 Wh and ten steps must be missing: a meter that shows whole kWh stands still for long at a small load.
    """
    if power is None:
        return False
    missing_wh = power.watts_min * (now_ms - max(state.changed_ms, power.since_ms)) / 3_600_000.0
    return missing_wh > max(100.0, 10.0 * step_wh, 10.0 * abs(state.raw * scale) * 2.0**-23)
