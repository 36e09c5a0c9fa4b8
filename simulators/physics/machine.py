"""One machine: its true state, its tool, its counters as the PLC shows them, and the codes the PLC uses."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from simulators.physics.events import Value
from simulators.physics.orders import Order, Piece
from simulators.scenario import Alarm, MachineSpec, OperationSpec

# TR88 numbers where PackML has the state; 105 and 200 are this builder's own, written in the line's manual
PACKML = {
    "off": 0,
    "stopped": 2,
    "idle": 4,
    "starved": 5,
    "producing": 6,
    "fault": 9,
    "setup": 15,
    "blocked": 105,
    "maintenance": 200,
}
# the second lathe is of another make and speaks integers of its own
VENDOR = {
    "off": 0,
    "idle": 10,
    "starved": 11,
    "producing": 20,
    "blocked": 21,
    "setup": 30,
    "fault": 40,
    "stopped": 41,
    "maintenance": 50,
}


@dataclass(slots=True)
class Cycle:
    """A piece on the machine and the stretches (state, seconds, alarm) of its cycle still to come."""

    piece: Piece
    started_ms: int
    stretches: list[tuple[str, float, str]]


@dataclass(slots=True)
class Machine:
    spec: MachineSpec
    operation: OperationSpec
    alarms: tuple[Alarm, ...]
    rng: random.Random
    state: str = "off"
    alarm: str = ""
    since_ms: int = 0
    order: Order | None = None
    busy: bool = False
    cycle: Cycle | None = None
    blocked: Piece | None = None
    wear: float = 0.0
    to_failure_s: float = 0.0
    raw_good: int = 0
    raw_scrap: int = 0
    wake_ms: int = 0
    variables: dict[str, tuple[Value, int]] = field(default_factory=dict)

    @property
    def codes(self) -> dict[str, int]:
        return VENDOR if self.spec.states == "vendor" else PACKML

    @property
    def limit(self) -> int:
        """One more than the largest value of the piece counters."""
        return 1 << 16 if self.spec.counter == "u16" else 1 << 32

    def draw_failure(self) -> None:
        self.to_failure_s = self.rng.expovariate(1.0 / (self.spec.mtbf_h * 3600.0))

    def pick_alarm(self, kind: str) -> Alarm:
        return self.rng.choice([a for a in self.alarms if a.kind == kind])

    def plan_cycle(self, ideal_s: float, calm: bool) -> list[tuple[str, float, str]]:
        """The stretches of one piece: producing, now and then broken by a micro-stop or a failure. Advances the failure clock."""
        rng = self.rng
        work = ideal_s * (1.0 + 0.12 * self.wear * self.wear) * rng.uniform(0.99, 1.16)
        if calm:
            return [("producing", work, "")]
        plan: list[tuple[str, float, str]] = []
        micro = rng.random() < self.spec.micro_per_h * work / 3600.0
        micro_at = work * rng.uniform(0.1, 0.9)
        self.to_failure_s -= work
        if self.to_failure_s <= 0:
            first = work * rng.uniform(0.1, 0.9)
            repair = min(7200.0, max(240.0, rng.lognormvariate(7.0, 0.7)))
            plan = [("producing", first, ""), ("fault", repair, self.pick_alarm("fault").code), ("producing", work - first, "")]
            self.draw_failure()
        elif micro:
            stop = rng.uniform(12.0, 95.0)
            plan = [("producing", micro_at, ""), ("stopped", stop, self.pick_alarm("micro").code), ("producing", work - micro_at, "")]
        else:
            plan = [("producing", work, "")]
        return plan
