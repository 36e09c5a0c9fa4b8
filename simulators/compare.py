"""Truth against what the product says: pure comparisons, one Finding each. They know neither HTTP nor the ledger.

A comparison that cannot fail is worth nothing: tests tamper with every input of every function here and want to see it noticed.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from simulators.oracle.truth import OeeTruth, Span, overlap, union

Pair = tuple[int, int]
K = TypeVar("K")
Stretch = tuple[int, int, str]  # from_ms, to_ms, state
FIGURE = 0.001  # OEE figures (ratios) and state seconds
ENERGY = 0.001  # relative


@dataclass(slots=True)
class Finding:
    """One row of the report: how many things were compared, how many were wrong, the first of them in words."""

    name: str
    compared: int = 0
    wrong: int = 0
    examples: list[str] = field(default_factory=list)
    note: str = ""

    @property
    def ok(self) -> bool:
        """Nothing wrong, and something was compared at all."""
        return self.wrong == 0 and self.compared > 0

    def miss(self, text: str) -> None:
        self.wrong += 1
        if len(self.examples) < 8:
            self.examples.append(text)


def counts(
    name: str,
    truth: Mapping[K, Pair],
    said: Mapping[K, Pair],
    allowed: Mapping[K, int] | None = None,
    moved: Mapping[K, int] | None = None,
) -> Finding:
    """(good, scrap) by key, exact; `allowed` pieces may be missing where a gap record bounds them (a counter was reset inside the gap), `moved` be
    there or with a neighbour (they were made in a gap over the border between the two; another comparison wants their sum exact)."""
    found = Finding(name)
    allowed, moved = allowed or {}, moved or {}
    for key in sorted(truth.keys() | said.keys(), key=str):
        want, got = truth.get(key, (0, 0)), said.get(key, (0, 0))
        found.compared += 1
        bounded = got[0] <= want[0] and got[1] <= want[1] and sum(want) - sum(got) <= allowed.get(key, 0)
        beside = abs(want[0] - got[0]) + abs(want[1] - got[1]) <= moved.get(key, 0)
        if want != got and not bounded and not beside:
            found.miss(f"{key}: {got[0]} good {got[1]} scrap instead of {want[0]} and {want[1]}")
    return found


def states(name: str, truth: Mapping[str, Mapping[str, float]], said: Mapping[str, Mapping[str, float]]) -> Finding:
    """Seconds in each state by key (machine and shift), within FIGURE."""
    found = Finding(name)
    for key in sorted(truth.keys() | said.keys()):
        want, got = truth.get(key, {}), said.get(key, {})
        for state in sorted(want.keys() | got.keys()):
            found.compared += 1
            if abs(want.get(state, 0.0) - got.get(state, 0.0)) > FIGURE:
                found.miss(f"{key} {state}: {got.get(state, 0.0):.3f} s instead of {want.get(state, 0.0):.3f} s")
    return found


def changes(name: str, truth: Mapping[str, Iterable[Stretch]], said: Mapping[str, Iterable[Stretch]], holes: Mapping[str, list[Span]]) -> Finding:
    """The moments at which a machine changed its state, to the millisecond, outside what nobody could know."""
    found = Finding(name)
    for machine in sorted(truth.keys() | said.keys()):
        unknown = holes.get(machine, [])
        want, got = _moments(truth.get(machine, ()), unknown), _moments(said.get(machine, ()), unknown)
        found.compared += len(want)
        for moment in sorted(want ^ got):
            found.miss(f"{machine} {moment[1]} at {moment[0]}: {'not there' if moment in want else 'not true'}")
    return found


def _moments(rows: Iterable[Stretch], unknown: list[Span]) -> set[tuple[int, str]]:
    """Beginnings of states, those apart that begin in or at the border of an unknown stretch or at the window's."""
    known = [row for row in rows if row[2] != "no_data"]
    first = min((row[0] for row in known), default=0)
    return {(at, state) for at, _, state in known if at != first and not any(begin <= at <= end for begin, end in unknown)}


TIMES = ("planned_s", "pbt_s", "apt_s", "aust_s", "a")
COUNTS = ("good", "scrap", "p", "q", "oee")


def figures(name: str, truth: Mapping[str, OeeTruth], said: Mapping[str, OeeTruth], times_only: Container[str] = ()) -> Finding:
    """OEE and its parts by key (machine and shift); `times_only`: keys whose pieces nobody could know to the piece (see `counts`, moved)."""
    found = Finding(name)
    for key in sorted(truth.keys() | said.keys()):
        if key not in truth or key not in said:
            found.miss(f"{key}: only in {'the truth' if key in truth else 'the product'}")
            continue
        for part in TIMES if key in times_only else TIMES + COUNTS:
            want, got = getattr(truth[key], part), getattr(said[key], part)
            found.compared += 1
            if (want is None) != (got is None) or (want is not None and abs(want - got) > FIGURE):
                found.miss(f"{key} {part}: {got} instead of {want}")
    return found


@dataclass(frozen=True, slots=True)
class Energy:
    """Truth and answer of one meter and window, Wh (or varh); `step`: what the register's resolution and the borders' readings may cost."""

    true: float
    said: float | None
    step: float


def energy(name: str, meters: Mapping[str, Energy]) -> Finding:
    """Within 0.1 % and what two readings at the borders cannot say better."""
    found = Finding(name)
    worst = 0.0
    for key, one in sorted(meters.items()):
        found.compared += 1
        if one.said is None:
            found.miss(f"{key}: no figure")
            continue
        off = abs(one.said - one.true)
        worst = max(worst, off / one.true if one.true else 0.0)
        if off > ENERGY * abs(one.true) + one.step:
            found.miss(f"{key}: {one.said:.2f} instead of {one.true:.2f} ({100 * off / one.true if one.true else 0:.3f} %)")
    found.note = f"worst {100 * worst:.4f} %"
    return found


def edges(name: str, truth: Mapping[K, float], said: Mapping[K, float]) -> Finding:
    """Edges (or balances) with quantities: the same keys, the same amounts."""
    found = Finding(name)
    for key in sorted(truth.keys() | said.keys(), key=str):
        found.compared += 1
        if key not in truth or key not in said:
            found.miss(f"{key}: {'missing' if key in truth else 'not true'}")
        elif abs(truth[key] - said[key]) > 1e-6:
            found.miss(f"{key}: {said[key]} instead of {truth[key]}")
    return found


@dataclass(frozen=True, slots=True)
class Excuse:
    """A stretch in which `device` may have a gap (a PLC or an edge agent was down), and why."""

    device: str
    from_ms: int
    to_ms: int
    why: str


@dataclass(frozen=True, slots=True)
class Gap:
    device: str
    from_ms: int
    to_ms: int
    cause: str


def gaps(name: str, said: Iterable[Gap], excuses: Iterable[Excuse], slack_before_ms: int, slack_after_ms: int) -> Finding:
    """Every gap lies within the down time of its source plus the declared resolution; nothing else may leave a gap."""
    found = Finding(name)
    allowed: dict[str, list[Span]] = {}
    for excuse in excuses:
        allowed.setdefault(excuse.device, []).append((excuse.from_ms - slack_before_ms, excuse.to_ms + slack_after_ms))
    joined = {device: union(spans) for device, spans in allowed.items()}
    found.compared = 1  # that there are none is a statement too
    for gap in said:
        found.compared += 1
        if overlap((gap.from_ms, gap.to_ms), joined.get(gap.device, [])) < gap.to_ms - gap.from_ms:
            found.miss(f"{gap.device}: {(gap.to_ms - gap.from_ms) / 1000:.1f} s of {gap.cause} from {gap.from_ms} without a reason")
    return found


def facts(name: str, wanted: Mapping[str, object], said: Mapping[str, object]) -> Finding:
    """Plain equality by key."""
    found = Finding(name)
    for key, want in wanted.items():
        found.compared += 1
        if said.get(key) != want:
            found.miss(f"{key}: {said.get(key)!r} instead of {want!r}")
    return found


def table(findings: Sequence[Finding]) -> str:
    """What a person reads."""
    rows = [("what", "compared", "wrong", "")]
    rows += [(one.name, str(one.compared), str(one.wrong), "ok" if one.ok else "WRONG" if one.wrong else "NOTHING COMPARED") for one in findings]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    notes = {one.name: one.note for one in findings if one.note}
    for name, compared, wrong, verdict in rows:
        line = f"{name:<{widths[0]}}  {compared:>{widths[1]}}  {wrong:>{widths[2]}}  {verdict}"
        lines.append(line + (f"  ({notes[name]})" if name in notes else ""))
    for one in findings:
        lines += [f"  ! {one.name}: {example}" for example in one.examples]
    return "\n".join(lines)
