"""Which meter is this? Candidates (model, table, word order, offset) scored by what an electric meter can show. Pure: words in, points out.

Each check gives or takes points; the reasons stand beside them, in both languages. A reading is called sure only when voltage, and frequency or two
other laws, and P = U x I x power factor agree under load, and no candidate that reads differently comes near.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from edge_agent.config_model import COUNTERS
from edge_agent.sources.modbus import codec
from edge_agent.sources.modbus.config import ModbusMetric, Table, WordOrder
from edge_agent.sources.modbus.meters import MeterModel

Words = Mapping[tuple[str, int], int | None]  # (table, address) -> register; None: the device refused it
Sure = Literal["sure", "likely", "unsure"]

ORDERS: Final[tuple[WordOrder, ...]] = ("ABCD", "CDAB", "BADC", "DCBA")
OFFSETS: Final = (0, 1, -1)
TABLES: Final[tuple[Table, ...]] = ("holding", "input")
SURE_POINTS, SURE_MARGIN = 10.0, 3.0
LIKELY_POINTS, LIKELY_MARGIN = 6.0, 1.0
ALIKE_MIN, ALIKE_SHARE = 4, 0.7
LOAD_VA = 20.0  # below, U x I says nothing
CURRENT_MAX_A = 20_000.0
ENERGY_MAX_WH = 1e12
LIFETIME_H = 350_000.0  # 40 years: a total that would have taken longer at the present power is misread
_LIVE: Final = tuple(f"{quantity}_l{i}_{unit}" for quantity, unit in (("voltage", "v"), ("current", "a")) for i in (1, 2, 3))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model read from `table` with `word_order`, every register moved by `offset`."""

    name: str
    model: MeterModel = field(repr=False, hash=False, compare=False)
    table: Table
    word_order: WordOrder
    offset: int

    @property
    def as_documented(self) -> tuple[bool, bool, bool]:
        """Whether table, word order and offset are the model's own."""
        return self.table == table_of(self.model), self.word_order == order_of(self.model), self.offset == 0

    def address(self, metric: ModbusMetric) -> int:
        return (metric.register_ or 0) + self.offset


def table_of(model: MeterModel) -> Table:
    return next(iter(model.metrics.values())).table


def order_of(model: MeterModel) -> WordOrder:
    """The word order of a model's long values."""
    return next((metric.word_order for metric in model.metrics.values() if metric.word_order), "ABCD")


def candidates(models: Mapping[str, MeterModel]) -> list[Candidate]:
    return [
        Candidate(name, model, table, order, offset) for name, model in models.items() for table in TABLES for order in ORDERS for offset in OFFSETS
    ]


def value(candidate: Candidate, key: str, words: Words) -> float | None:
    """The metric in SI units; None where the device refused it, or says that there is none."""
    metric = candidate.model.metrics[key]
    kind = metric.type or "float32"
    start = candidate.address(metric)
    raw = [words.get((candidate.table, at)) for at in range(start, start + codec.WORDS[kind])]
    if None in raw:
        return None
    found = codec.decode([word for word in raw if word is not None], kind, candidate.word_order)
    if found is None or isinstance(found, (str, bool)) or (metric.not_available == "max" and codec.is_highest(found, kind)):
        return None
    return float(found) * metric.scale


def values(candidate: Candidate, words: Words) -> dict[str, float | None]:
    return {key: value(candidate, key, words) for key in candidate.model.metrics}


def may_be(candidate: Candidate, words: Words) -> bool:
    """The quick look: is its first voltage one?"""
    volts = value(candidate, "voltage_l1_v", words)
    return volts is not None and _is_voltage(volts)


@dataclass(slots=True)
class Judgement:
    """Points of a candidate, the reasons (points, English, Chinese), and what it reads."""

    candidate: Candidate
    reading: dict[str, float | None]
    points: float = 0.0
    reasons: list[tuple[float, str, str]] = field(default_factory=list)
    laws: set[str] = field(default_factory=set)  # what was confirmed

    def give(self, points: float, en: str, zh: str, law: str = "") -> None:
        self.points += points
        self.reasons.append((points, en, zh))
        if law and points > 0:
            self.laws.add(law)


def judge(candidate: Candidate, first: Words, second: Words | None = None, seconds: float = 0.0) -> Judgement:
    """Scores what `candidate` makes of the words read first, and (energy must grow, and not too fast) of those read `seconds` later."""
    out = Judgement(candidate, values(candidate, first))
    missing = [key for key, found in out.reading.items() if found is None]
    if missing:
        out.give(-1.5 * len(missing), f"{len(missing)} value(s) are refused or say that there are none", f"{len(missing)} 个量被拒绝或无数据")
    _voltages(out)
    _frequency(out)
    _currents(out)
    _powers(out)
    _energies(out, None if second is None else values(candidate, second), seconds)
    documented = sum(candidate.as_documented)
    out.give(
        0.5 * documented,
        f"{documented} of table, word order and first register are as documented",
        f"表、字节序、起始地址中 {documented} 项与手册一致",
    )
    return out


def _is_voltage(volts: float) -> bool:
    return 80.0 <= volts <= 300.0 or 350.0 <= volts <= 450.0


def _shown(number: float) -> str:
    return f"{number:.4g}"


def _odd(number: float) -> bool:
    """A float that no meter shows: the sign of a wrong word order."""
    return number != 0.0 and (abs(number) < 1e-9 or abs(number) > 1e15)


def _voltages(out: Judgement) -> None:
    for i in (1, 2, 3):
        volts = out.reading.get(f"voltage_l{i}_v")
        if volts is None or (i > 1 and volts == 0.0):
            continue
        good = _is_voltage(volts)
        out.give((2.0 if i == 1 else 1.0) if good else -4.0, f"voltage L{i} is {_shown(volts)} V", f"L{i} 电压 {_shown(volts)} V", "voltage")


def _frequency(out: Judgement) -> None:
    hertz = out.reading.get("frequency_hz")
    if hertz is not None:
        points = 4.0 if 49.0 <= hertz <= 51.0 or 59.0 <= hertz <= 61.0 else 2.0 if 45.0 <= hertz <= 65.0 else -4.0
        out.give(points, f"frequency is {_shown(hertz)} Hz", f"频率 {_shown(hertz)} Hz", "frequency")


def _currents(out: Judgement) -> None:
    for i in (1, 2, 3):
        amps = out.reading.get(f"current_l{i}_a")
        if amps is None or amps == 0.0:
            continue
        good = abs(amps) <= CURRENT_MAX_A and not _odd(amps)
        out.give(0.5 if good else -3.0, f"current L{i} is {_shown(amps)} A", f"L{i} 电流 {_shown(amps)} A")


def _load(reading: Mapping[str, float | None]) -> float:
    """U x I over the phases, VA."""
    return sum(abs((reading.get(f"voltage_l{i}_v") or 0.0) * (reading.get(f"current_l{i}_a") or 0.0)) for i in (1, 2, 3))


def _powers(out: Judgement) -> None:
    reading, load = out.reading, _load(out.reading)
    watts, factor = reading.get("power_w"), reading.get("power_factor")
    if factor is not None:
        good = abs(factor) <= 1.0005 and not _odd(factor)
        out.give((1.0 if factor else 0.0) if good else -3.0, f"power factor is {_shown(factor)}", f"功率因数 {_shown(factor)}", "factor")
    if watts is not None and (_odd(watts) or abs(watts) > 1e10):
        out.give(-4.0, f"power is {_shown(watts)} W", f"功率 {_shown(watts)} W")
    if watts is None or not math.isfinite(load) or load > 1e12:
        return
    if load <= LOAD_VA:
        out.give(0.0 if abs(watts) <= 2 * LOAD_VA else -4.0, "there is no load: U x I says nothing", "无负载,无法核对 U×I")
        return
    _balance(out, watts, load, factor)
    apparent, reactive = reading.get("power_apparent_va"), reading.get("power_reactive_var")
    if apparent is not None:
        good = abs(abs(apparent) / load - 1.0) < 0.1
        out.give(
            2.0 if good else -2.0,
            f"apparent power {_shown(apparent)} VA beside U x I = {_shown(load)} VA",
            f"视在功率与 U×I {_same(good)}",
            "apparent",
        )
    if reactive is not None and not _odd(reactive) and abs(reactive) < 1e10:
        good = abs(math.hypot(watts, reactive) / load - 1.0) < 0.1
        out.give(
            2.0 if good else -1.0,
            f"active and reactive power {'make' if good else 'do not make'} U x I",
            f"有功、无功与 U×I {_same(good)}",
            "reactive",
        )


def _same(good: bool) -> str:
    return "相符" if good else "不符"


def _balance(out: Judgement, watts: float, load: float, factor: float | None) -> None:
    share = abs(watts) / load
    if factor is not None and 0.0 < abs(factor) <= 1.0005:
        off = abs(share - abs(factor))
        points = 5.0 if off < 0.05 else 3.0 if off < 0.15 else -5.0
        words = f"P = {_shown(watts)} W, U x I x power factor = {_shown(load * abs(factor))} W"
    else:
        points = 3.0 if 0.05 <= share <= 1.05 else -5.0
        words = f"P = {_shown(watts)} W, U x I = {_shown(load)} VA"
    out.give(points, words, f"P = {_shown(watts)} W 与 U×I×功率因数 {_same(points > 0)}", "balance")


def _energies(out: Judgement, later: Mapping[str, float | None] | None, seconds: float) -> None:
    watts = abs(out.reading.get("power_w") or 0.0)
    for key in COUNTERS & set(out.reading):
        total = out.reading[key]
        if total is None or total == 0.0:
            continue
        words, zh = f"{key} is {_shown(total)}", f"{key} {_shown(total)}"
        if total < 0.0 or total > ENERGY_MAX_WH or _odd(total):
            out.give(-3.0, words, zh)
            continue
        if key == "energy_import_wh" and watts > 50.0 and total / watts > LIFETIME_H:
            out.give(-3.0, f"{words}: more than 40 years at the present power", f"{zh}:按当前功率需 40 年以上")
        else:
            out.give(1.0 if key == "energy_import_wh" else 0.5, words, zh)
        after = None if later is None else later.get(key)
        if after is not None:
            _growth(out, key, total, after, watts, seconds)


def _growth(out: Judgement, key: str, total: float, after: float, watts: float, seconds: float) -> None:
    metric = out.candidate.model.metrics[key]
    step = abs(metric.scale) if "int" in (metric.type or "") else total * 2.0**-22
    grown = after - total
    if grown < 0:
        out.give(-4.0, f"{key} fell in {seconds:.0f} s", f"{key} 在 {seconds:.0f} 秒内变小")
    elif grown > 5.0 * watts * seconds / 3600.0 + 3.0 * step:
        out.give(
            -4.0,
            f"{key} grew by {_shown(grown)} in {seconds:.0f} s, too fast for the power",
            f"{key} {seconds:.0f} 秒增加 {_shown(grown)},与功率不符",
        )
    elif grown > 0:
        out.give(2.0, f"{key} grew by {_shown(grown)} in {seconds:.0f} s, as the power says", f"{key} 的增长与功率相符", "growth")


# --- the verdict ------------------------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Verdict:
    """The best judgement, how sure it is, the next one that reads differently, and models that read the same."""

    best: Judgement
    sure: Sure
    next: Judgement | None
    alike: tuple[str, ...]


def reads_alike(one: Judgement, other: Judgement) -> bool:
    """The values that both have are the same (to the resolution of their registers)."""
    pairs = [(found, other.reading.get(key)) for key, found in one.reading.items()]
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    return len(both) >= ALIKE_MIN and all(math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-6) for a, b in both)


def verdict(judged: Iterable[Judgement]) -> Verdict | None:
    """None when nothing is even a little plausible."""
    ranked = sorted(judged, key=_rank)
    if not ranked or ranked[0].points < 3.0:
        return None
    best = ranked[0]
    others: Sequence[Judgement] = [one for one in ranked[1:] if not reads_alike(best, one)]
    second = others[0] if others else None
    margin = best.points - (second.points if second is not None else 0.0)
    lawful = {"voltage", "balance"} <= best.laws and ("frequency" in best.laws or len(best.laws & {"factor", "apparent", "reactive", "growth"}) >= 2)
    sure: Sure = "unsure"
    if lawful and best.points >= SURE_POINTS and margin >= SURE_MARGIN:
        sure = "sure"
    elif best.points >= LIKELY_POINTS and margin >= LIKELY_MARGIN:
        sure = "likely"
    near = [one for one in ranked[1:] if one.points >= ALIKE_SHARE * best.points and reads_alike(best, one)]
    alike = sorted({one.candidate.name for one in near} - {best.candidate.name})
    return Verdict(best, sure, second, tuple(alike))


def _rank(one: Judgement) -> tuple[float, int, bool, bool, str]:
    """Most points first; then more values, the model as documented, one confirmed by two sources, the name."""
    candidate = one.candidate
    return -one.points, -len(candidate.model.metrics), not all(candidate.as_documented), not candidate.model.second_source, candidate.name
