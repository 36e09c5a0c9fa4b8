"""Recognising meters: every model of the library in every word order and offset; without load, with noise, unknown ones: never sure of the wrong."""

from __future__ import annotations

import random
from typing import Any

import pytest

from edge_agent.sources.modbus import codec
from edge_agent.sources.modbus.meters import models
from edge_agent.sources.modbus.plausible import OFFSETS, ORDERS, Candidate, Judgement, Verdict, candidates, judge, may_be, order_of, verdict
from tests.support.live_meter import truth, words_of

ALL = candidates(models())
SECONDS = 30.0
FEW_LAWS = {"acrel_adw300"}  # no frequency, no power factor, no apparent power: there is little to be sure by


def look(first: Any, second: Any = None) -> Verdict | None:
    judged = [judge(one, first, second, SECONDS) for one in ALL if may_be(one, first)]
    return verdict(judged)


def is_right(found: Verdict, name: str, true: dict[str, float]) -> bool:
    """What it reads is the truth (other models may have the very same registers)."""
    reading = found.best.reading
    common = [key for key in models()[name].metrics if reading.get(key) is not None]
    return len(common) >= 5 and all(
        reading[key] == pytest.approx(true[key], rel=0.02, abs=0.02 * abs(true[key]) + 1000 * (key[:6] == "energy")) for key in common
    )


@pytest.mark.parametrize("name", sorted(models()))
def test_every_model_is_recognised_in_every_order_and_offset(name: str) -> None:
    model = models()[name]
    single = "voltage_l2_v" not in model.metrics
    for order in dict.fromkeys((order_of(model), *ORDERS)):
        for offset in OFFSETS:
            if min(metric.register_ or 0 for metric in model.metrics.values()) + offset < 0:
                continue
            now, then = truth(single=single), truth(SECONDS, single=single)
            written = None if order == order_of(model) else order
            found = look(words_of(model, now, written, offset), words_of(model, then, written, offset))
            assert found is not None, (order, offset)
            best = found.best.candidate
            assert is_right(found, name, now), (order, offset, found.best)
            assert best.name == name or name in found.alike, (order, offset, best, found.alike)
            assert best.offset == offset
            assert found.sure == "sure" or (found.sure == "likely" and name in FEW_LAWS), (
                order,
                offset,
                found.best.points,
                found.next and (found.next.candidate, found.next.points),
            )


@pytest.mark.parametrize("name", sorted(models()))
def test_without_load_a_meter_is_found_but_never_sure(name: str) -> None:
    model = models()[name]
    now = truth(load=0.0, single="voltage_l2_v" not in model.metrics)
    found = look(words_of(model, now))
    assert found is not None and found.sure != "sure"


@pytest.mark.parametrize("name", sorted(models()))
def test_a_meter_that_answers_every_address_is_recognised_too(name: str) -> None:
    """Nothing is refused: unknown registers read 0."""

    class Zeros(dict[tuple[str, int], int]):
        def get(self, key: Any, default: Any = None) -> Any:  # type: ignore[override]
            return super().get(key, 0)

    model = models()[name]
    single = "voltage_l2_v" not in model.metrics
    now, then = truth(single=single), truth(SECONDS, single=single)
    found = look(Zeros(words_of(model, now)), Zeros(words_of(model, then)))
    assert found is not None
    assert is_right(found, name, now)


@pytest.mark.parametrize("seed", range(40))
def test_random_registers_are_never_a_sure_meter(seed: int) -> None:
    print("seed", seed)
    dice = random.Random(seed)

    class Noise(dict[tuple[str, int], int]):
        def get(self, key: Any, default: Any = None) -> Any:  # type: ignore[override]
            return self.setdefault(key, dice.choice((0, 1, dice.randrange(65536), dice.randrange(3000))))

    found = look(Noise(), Noise())
    assert found is None or found.sure != "sure", found


def test_an_unknown_meter_is_not_claimed() -> None:
    """A map that no model has: float32 from 700 on, everything else refused."""
    now = truth()
    words = {("input", 700 + 2 * n + i): word for n, key in enumerate(sorted(now)) for i, word in enumerate(codec.encode(now[key], "float32"))}
    assert look(words) is None


def test_the_same_registers_are_said_to_be_alike() -> None:
    found = look(words_of(models()["wago_879_3000"], truth()), words_of(models()["wago_879_3000"], truth(SECONDS)))
    assert found is not None and {found.best.candidate.name, *found.alike} >= {"wago_879_3000", "inepro_pro380"}


def test_reasons_are_said_in_both_languages() -> None:
    (best,) = [one for one in ALL if one.name == "eastron_sdm630" and all(one.as_documented)]
    words = words_of(models()["eastron_sdm630"], truth())
    judged = judge(best, words, words_of(models()["eastron_sdm630"], truth(SECONDS)), SECONDS)
    assert {"voltage", "frequency", "balance", "apparent", "reactive", "factor"} <= judged.laws
    assert all(en and zh for _, en, zh in judged.reasons)
    assert judged.points == pytest.approx(sum(points for points, _, _ in judged.reasons))


def one(name: str, **other: Any) -> Candidate:
    return next(c for c in ALL if c.name == name and (all(c.as_documented) if not other else all(getattr(c, k) == v for k, v in other.items())))


def judged(words: Any, later: Any = None) -> Judgement:
    return judge(one("eastron_sdm630"), words, later, SECONDS)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"voltage_l1_v": 20.0}, "voltage"),
        ({"frequency_hz": 400.0}, "frequency"),
        ({"power_factor": 3.0}, "power factor"),
        ({"power_w": 100.0}, "P = "),
        ({"power_apparent_va": 1.0}, "apparent"),
        ({"energy_import_wh": -5.0}, "energy_import_wh"),
        ({"energy_import_wh": 9e11}, "40 years"),
        ({"current_l1_a": 1e-30}, "current"),
    ],
)
def test_each_law_takes_points_where_it_is_broken(wrong: dict[str, float], word: str) -> None:
    model = models()["eastron_sdm630"]
    good, bad = judged(words_of(model, truth())), judged(words_of(model, truth() | wrong))
    assert bad.points < good.points - 2
    assert any(points < 0 and word in en for points, en, _ in bad.reasons), bad.reasons


@pytest.mark.parametrize(("later", "word"), [(-1000.0, "fell"), (50_000.0, "too fast")])
def test_energy_that_falls_or_races_takes_points(later: float, word: str) -> None:
    model = models()["eastron_sdm630"]
    then = truth() | {"energy_import_wh": truth()["energy_import_wh"] + later}
    found = judged(words_of(model, truth()), words_of(model, then))
    assert any(points < 0 and word in en for points, en, _ in found.reasons)
