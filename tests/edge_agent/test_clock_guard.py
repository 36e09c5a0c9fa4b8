"""Plant time under a machine's clock that jumps (R11): steady, never backwards by itself, and set only on the word of several witnesses."""

from __future__ import annotations

import asyncio
import random

import pytest

from edge_agent.clock_guard import AHEAD_MS, PLAUSIBLE_MS, ClockGuard, Step, Trust

T0 = 1_772_409_600_000
HOUR_MS, YEAR_MS = 3_600_000, 365 * 86_400_000


class Machine:
    """A machine's clock that a test sets, and its steady seconds."""

    def __init__(self, speed: float = 1.0, start_ms: int = T0) -> None:
        self.speed = speed
        self.run_s = 1000.0
        self.off_ms = start_ms - 1000.0 * 1000.0 * speed

    def now_ms(self) -> int:
        return round(self.run_s * 1000.0 * self.speed + self.off_ms)

    async def sleep(self, plant_s: float) -> None:
        await asyncio.sleep(0)

    def steady(self) -> float:
        return self.run_s


def guarded(machine: Machine) -> ClockGuard:
    return ClockGuard(machine, machine.steady)


@pytest.mark.parametrize("speed", [1.0, 120.0])
@pytest.mark.parametrize("jump_ms", [HOUR_MS, -HOUR_MS, 10 * YEAR_MS, -56 * YEAR_MS])
def test_a_jump_is_not_followed_and_is_suspect_until_the_clock_comes_back(speed: float, jump_ms: int) -> None:
    machine = Machine(speed)
    guard = guarded(machine)
    jump_ms = round(jump_ms * speed)
    machine.off_ms += jump_ms
    machine.run_s += 10
    assert guard.now_ms() == T0 + 10_000 * speed and guard.trust is Trust.SUSPECT
    assert guard.wrong_by_ms == jump_ms
    en, zh = guard.words() or ("", "")
    assert "suspect" in en and "存疑" in zh
    machine.off_ms -= jump_ms
    assert guard.now_ms() == T0 + 10_000 * speed and guard.trust is Trust.OK and guard.words() is None
    assert not guard.step_due


def test_law_time_never_falls_by_more_than_a_small_step_whatever_the_clock_does() -> None:
    for seed in range(200):
        dice = random.Random(seed)
        machine = Machine()
        guard = guarded(machine)
        last = guard.now_ms()
        for _ in range(50):
            machine.run_s += dice.uniform(0, 100)
            if dice.random() < 0.3:
                machine.off_ms += dice.choice([-1, 1]) * 10 ** dice.uniform(0, 12)
            now = guard.now_ms()
            assert now >= last - 2_000, f"seed {seed}"
            last = now


def test_small_steps_are_followed() -> None:
    machine = Machine()
    guard = guarded(machine)
    for step in (500, -1500, 1999, -3):
        machine.off_ms += step
        assert guard.now_ms() == machine.now_ms() and guard.trust is Trust.OK


def tell(guard: ClockGuard, machine: Machine, true_off_ms: float, times: int = 3, every_s: float = 1.5, late_ms: float = 0) -> None:
    for _ in range(times):
        machine.run_s += every_s
        guard.witness(round(machine.run_s * 1000.0 * machine.speed + true_off_ms - late_ms))


def test_the_witness_agrees_with_us_the_machine_is_wrong() -> None:
    machine = Machine()
    true_off = machine.off_ms
    guard = guarded(machine)
    machine.off_ms += HOUR_MS
    guard.now_ms()
    tell(guard, machine, true_off, times=1)
    assert guard.trust is Trust.HELD and not guard.step_due
    assert guard.now_ms() == machine.now_ms() - HOUR_MS
    assert "+1.0 h" in (guard.words() or ("",))[0]
    machine.off_ms = true_off
    guard.now_ms()
    assert guard.trust is Trust.OK


def test_the_witness_agrees_with_the_machine_time_is_set_once() -> None:
    machine = Machine(start_ms=T0 - HOUR_MS)
    guard = guarded(machine)
    machine.off_ms += HOUR_MS  # NTP corrects a clock that was wrong from the beginning
    before = guard.now_ms()
    tell(guard, machine, machine.off_ms)
    assert guard.step_due and guard.now_ms() == before + 4500, "it is set when the agent says so"
    assert guard.step() == Step(before + 4500, before + 4500 + HOUR_MS)
    assert guard.trust is Trust.OK and guard.step() is None
    assert guard.now_ms() == machine.now_ms() and not guard.step_due


def test_the_witness_agrees_with_nobody_its_time_is_used() -> None:
    machine = Machine(start_ms=T0 - 300_000)  # five minutes slow, since ever
    guard = guarded(machine)
    tell(guard, machine, machine.off_ms + 300_000)
    guard.step()
    assert guard.trust is Trust.HELD and guard.now_ms() == machine.now_ms() + 300_000
    machine.off_ms += 300_000
    guard.now_ms()
    assert guard.trust is Trust.OK


def test_one_late_answer_or_a_burst_of_them_is_no_witness() -> None:
    machine = Machine()
    guard = guarded(machine)
    tell(guard, machine, machine.off_ms, times=1, late_ms=60_000)
    tell(guard, machine, machine.off_ms, times=20, every_s=0.01, late_ms=60_000)
    assert not guard.step_due and guard.now_ms() == machine.now_ms()
    for k in range(10):  # answers that wait longer and longer agree with nobody
        tell(guard, machine, machine.off_ms, times=1, late_ms=60_000 + k * 20_000)
    assert not guard.step_due


def test_a_dead_battery_waits_for_a_witness() -> None:
    machine = Machine(start_ms=60_000)
    guard = guarded(machine)
    guard.began_after(0)
    machine.run_s += 3600
    assert guard.trust is Trust.SUSPECT and not guard.may_stamp
    tell(guard, machine, T0)
    guard.step()
    assert guard.may_stamp and guard.now_ms() > PLAUSIBLE_MS and guard.trust is Trust.HELD


def test_a_clock_that_went_back_while_we_were_away_goes_on_from_what_is_known() -> None:
    machine = Machine(start_ms=T0 - HOUR_MS)
    guard = guarded(machine)
    guard.began_after(T0)
    assert guard.now_ms() == T0 and guard.trust is Trust.SUSPECT and not guard.may_stamp
    machine.run_s += 31
    assert guard.may_stamp and guard.now_ms() == T0 + 31_000, "after a while it goes on without a witness"
    assert guard.trust is Trust.SUSPECT


def test_a_clock_ten_years_ahead_at_the_start_is_doubted_and_an_hour_of_absence_is_not() -> None:
    machine = Machine(start_ms=T0 + 10 * YEAR_MS)
    guard = guarded(machine)
    guard.began_after(T0)
    assert not guard.may_stamp
    tell(guard, machine, T0 - 1_000_000 + HOUR_MS)
    guard.step()
    assert guard.may_stamp and abs(guard.now_ms() - T0 - HOUR_MS) < 60_000
    fine = guarded(Machine(start_ms=T0 + HOUR_MS))
    fine.began_after(T0)
    assert fine.may_stamp and fine.trust is Trust.OK and AHEAD_MS > HOUR_MS
