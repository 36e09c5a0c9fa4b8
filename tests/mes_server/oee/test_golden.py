"""Published OEE examples: the validation cases of the `oee` project (MIT) and worked examples of the trade, with the other convention named."""

from __future__ import annotations

import pytest

from mes_server.oee import rules
from mes_server.oee.rules import Count, Loss, MachineTime, Parts

# id, planned, stops, ideal cycle, total, not good (times all in seconds or all in minutes), expected TPM A, P, Q and OEE
CASES = [
    ("vorne-fast-guide", 420, 47, 1 / 60, 19271, 423, 0.888095, 0.861081, 0.978050, 0.747937),
    ("teeptrak-cnc-shift (rework is not good)", 26100, 3690, 60, 312, 14, 0.8586, 0.8354, 0.9551, 0.6852),
    ("reliamag-clean", 420, 60, 1.0, 320, 16, 0.857, 0.889, 0.95, 0.724),
    ("reliamag-realistic", 8880, 1380, 0.5, 13200, 660, 0.845, 0.880, 0.95, 0.706),
    ("firgelli-packaging", 960, 120, 0.5, 1440, 144, 0.875, 0.857, 0.90, 0.675),
    ("hand-round-numbers", 480, 80, 0.5, 700, 0, 0.8333, 0.8750, 1.0, 0.7292),
    ("scribd worksheet: 3240 - 360 - 100", 2780, 960, 1 / 1.041, 1626, 8, 0.6547, 0.8582, 0.9950, 0.5590),
    ("waycalculator (its source prints .791: it multiplied rounded factors)", 480, 60, 1.0, 400, 20, 0.875, 0.952, 0.95, 0.7917),
    ("nakajima world class: .90 × .95 × .999", 1000, 100, 0.855, 1000, 1, 0.90, 0.95, 0.999, 0.8541),
    ("tonny et al. 2023, a real oil plant: .6335 × .6120 × .96929", 1e6, 366500, 0.387702, 1e6, 30710, 0.6335, 0.6120, 0.96929, 0.3758),
]


def shift(planned: float, stops: float, ideal: float, total: float, bad: float, *, minor: float = 0, setup: float = 0) -> Parts:
    """A shift with one stop at its start; `minor` of it below the micro-stop limit, `setup` of it set-up."""
    end, stop = round(planned * 1000), round(stops * 1000)
    losses = [Loss(0, round(minor * 1000), "minor"), Loss(round(minor * 1000), stop, "breakdown")]
    time = MachineTime(known=[(0, end)], producing=[(stop, end)], setup=[(stop - round(setup * 1000), stop)] if setup else [], losses=losses)
    return rules.measure(time, (0, end), [(0, end)], end, [Count(round(total - bad), round(bad), ideal)])


@pytest.mark.parametrize(("name", "planned", "stops", "ideal", "total", "bad", "a", "p", "q", "oee"), CASES, ids=[case[0] for case in CASES])
def test_published_examples(
    name: str, planned: float, stops: float, ideal: float, total: float, bad: float, a: float, p: float, q: float, oee: float
) -> None:
    found = rules.figures(shift(planned, stops, ideal, total, bad))
    assert (found.tpm_a, found.tpm_p, found.q, found.oee) == pytest.approx((a, p, q, oee), abs=0.0006)
    assert found.oee == pytest.approx(found.a * found.p * found.q)  # type: ignore[operator]
    assert found.oee == pytest.approx(found.tpm_a * found.tpm_p * found.q)  # type: ignore[operator]


def test_teep_and_utilisation_of_the_vorne_shift() -> None:
    parts = shift(420, 47, 1 / 60, 19271, 423)
    assert rules.teep(rules.figures(parts).oee, parts.pbt_ms, 480_000) == pytest.approx(0.654444, abs=1e-5)
    assert parts.pbt_ms / 480_000 == 0.875


def test_ooe_lies_between_teep_and_oee() -> None:
    """V13: the Vorne shift with 33 of planned down time: OOE counts it as a loss, OEE does not."""
    parts = shift(420, 47, 1 / 60, 19271, 423)
    ooe = rules.teep(rules.figures(parts).oee, parts.pbt_ms, 420_000 + 33_000)
    assert ooe == pytest.approx(0.693451, abs=1e-5)


def test_breaks_counted_as_loss_are_the_other_convention() -> None:
    """V9 (Haldan): 480 with 107 of stops that include breaks gives A .777; ours takes breaks out of planned time first."""
    assert rules.figures(shift(480, 107, 1.0, 1, 0)).tpm_a == pytest.approx(0.777, abs=0.001)


def test_roll_up_is_weighted_by_time_never_a_mean() -> None:
    """V11: .80 over 100 and .45 over 300 give .5375, not .625."""
    first, second = shift(100, 10, 1, 80, 0), shift(300, 150, 1, 150, 15)
    assert (rules.figures(first).oee, rules.figures(second).oee) == pytest.approx((0.80, 0.45))
    whole = rules.figures(rules.add([first, second]))
    assert (whole.tpm_a, whole.tpm_p, whole.q, whole.oee) == pytest.approx((0.600000, 0.958333, 0.934783, 0.5375), abs=1e-6)


def test_the_six_losses_add_up() -> None:
    """V12: 480 planned, 80 down (30 of it set-up), cycle .5, 700 made, 100 rejected: 50 + 30 + 50 + 50 lost, .625 left. (The source splits
    the 50 of rejects in 30 process and 20 start-up.)"""
    end = 480_000
    losses = [Loss(0, 50_000, "breakdown"), Loss(50_000, 80_000, "setup")]
    time = MachineTime(known=[(0, end)], producing=[(80_000, end)], setup=[(50_000, 80_000)], losses=losses)
    parts = rules.measure(time, (0, end), [(0, end)], end, [Count(600, 100, 0.5)])
    steps = {step.key: step.seconds for step in rules.waterfall(parts)}
    assert steps == pytest.approx({"planned": 480, "breakdown": 50, "setup": 30, "speed": 50, "scrap": 50, "good": 300})
    assert rules.figures(parts).oee == pytest.approx(0.625)
    assert (parts.aust_ms, parts.adot_ms) == (30_000, 50_000)


def test_two_products_are_weighted_by_their_cycles() -> None:
    """V14: the ISO product form gives .195 (by pieces it would be .193333)."""
    end = 100_000
    time = MachineTime(known=[(0, end)], producing=[(10_000, end)], setup=[], losses=[Loss(0, 10_000, "breakdown")])
    found = rules.figures(rules.measure(time, (0, end), [(0, end)], end, [Count(100, 0, 0.1), Count(190, 10, 0.05)]))
    assert (found.tpm_a, found.tpm_p, found.q, found.oee) == pytest.approx((0.9, 0.222222, 0.975, 0.195), abs=1e-6)


def test_iso_and_tpm_differ_in_a_and_p_and_agree_on_oee() -> None:
    """The same shift: 47 of stops, 17 of them micro-stops. ISO takes APT (all stops are loss), TPM leaves the small ones to performance."""
    found = rules.figures(shift(420, 47, 1 / 60, 19271, 423, minor=17))
    assert found.a == pytest.approx(373 / 420)
    assert found.tpm_a == pytest.approx(390 / 420)
    assert found.p is not None and found.tpm_p is not None and found.p > found.tpm_p
    assert found.oee == pytest.approx(0.747937, abs=1e-6)
    assert found.tpm_a * found.tpm_p * found.q == pytest.approx(found.oee)  # type: ignore[operator]
