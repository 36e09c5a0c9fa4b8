"""The meters' loads as the machines' states and the base load make them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulators.physics.events import MinuteEvent, PowerEvent
from simulators.physics.machine import Machine
from simulators.physics.power import SHARE, STEP_MS, TAN_COMPRESSOR, TAN_IDLE, TAN_LOADED, Load, base_load

if TYPE_CHECKING:
    from simulators.physics.plant import Plant

MINUTE_MS = 60_000


class Meters:
    """Loads of all meters. The incomer is the sum of all of them and the base load; the compressor follows the machines at work."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        scenario = plant.scenario
        self.loads: dict[str, Load] = {}
        for index, meter in enumerate(scenario.meters):
            # meters are not new: each has a past on its register
            self.loads[meter.code] = Load(plant.now, 1_000_000.0 * (3 + index * 1.7), 400_000.0 * (2 + index))
        self._of_machine = {meter.machine: meter.code for meter in scenario.meters if meter.machine}
        self._factor = dict.fromkeys(plant.machines, 1.0)
        self._working: set[str] = set()
        self._base = base_load(plant.calendar.local(plant.now))
        self._sum_w = self._sum_var = 0.0  # of all meters but the incomer
        self._compressor()
        plant.at(plant.now - plant.now % STEP_MS + STEP_MS, self._quarter)
        plant.at(plant.now - plant.now % MINUTE_MS + MINUTE_MS, self._minute)

    def new_piece(self, machine: Machine) -> None:
        """Every piece cuts a little harder or softer than the last."""
        self._factor[machine.spec.code] = machine.rng.uniform(0.96, 1.05) * (1.0 + 0.08 * machine.wear)
        if machine.state == "producing":
            self.state_changed(machine)

    def state_changed(self, machine: Machine) -> None:
        code = machine.spec.code
        meter = self._of_machine.get(code)
        if meter is None:
            return
        producing = machine.state == "producing"
        share = SHARE[machine.state] * (self._factor[code] if producing else 1.0)
        watts = round(machine.spec.rated_power_w * share, 1)
        self._set(meter, watts, watts * (TAN_LOADED if producing else TAN_IDLE))
        if producing != (code in self._working):
            (self._working.add if producing else self._working.discard)(code)
            self._compressor()
        self._incomer()

    def _set(self, meter: str, watts: float, var: float) -> None:
        load = self.loads[meter]
        if load.watts != watts or load.var != var:
            self._sum_w += watts - load.watts
            self._sum_var += var - load.var
            load.set(self._plant.now, watts, var)
            self._plant.out.append(PowerEvent(self._plant.now, meter, watts, var))

    def _compressor(self) -> None:
        watts = 9_500.0 + 1_450.0 * len(self._working)
        if "COMP-01" in self.loads:
            self._set("COMP-01", watts, watts * TAN_COMPRESSOR)

    def _incomer(self) -> None:
        if "INC-01" not in self.loads:
            return
        incomer, watts, var = self.loads["INC-01"], round(self._base[0] + self._sum_w, 3), round(self._base[1] + self._sum_var, 3)
        if incomer.watts != watts or incomer.var != var:
            incomer.set(self._plant.now, watts, var)
            self._plant.out.append(PowerEvent(self._plant.now, "INC-01", watts, var))

    def _quarter(self) -> None:
        self._base = base_load(self._plant.calendar.local(self._plant.now))
        self._incomer()
        self._plant.at(self._plant.now + STEP_MS, self._quarter)

    def _minute(self) -> None:
        now = self._plant.now
        self._plant.out.append(MinuteEvent(now, {code: load.totals(now) for code, load in self.loads.items()}))
        self._plant.at(now + MINUTE_MS, self._minute)
