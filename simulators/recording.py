"""The physics' history as recordings of source values, one a line's edge agent: what the agent would have read had it been there.

Format: see `gemba-edge backfill` (JSON lines, gzip). Values are raw, as the source shows them. Per device and plant hour one column a metric, then
the promise that everything up to there has been said.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from simulators.meters import MAPS
from simulators.physics import Event, MinuteEvent, PlcEvent, VarEvent
from simulators.scenario import Scenario

HOUR_MS = 3_600_000
FINE_MS = 24 * HOUR_MS  # the last day by the minute, what lies before by five
KEYS = {
    "StateCurrent": "state",
    "AlarmCode": "alarm",
    "GoodCount": "good",
    "ScrapCount": "scrap",
    "OrderId": "order",
    "OperationId": "operation",
    "CycleTime": "cycle_s",
    "ToolWear": "tool_wear",
}
Column = tuple[list[int], list[Any]]


class _Line:
    """One recording: columns of the present hour, and what was promised so far."""

    def __init__(self, path: Path, edge: str, devices: Iterable[str], from_ms: int, to_ms: int) -> None:
        self._file = gzip.open(path, "wt", encoding="utf-8", compresslevel=1)  # noqa: SIM115 - closed by finish
        self._devices = list(devices)
        self._columns: dict[tuple[str, str], Column] = defaultdict(lambda: ([], []))
        self._put({"gemba_recording": 1, "edge": edge, "from_ms": from_ms, "to_ms": to_ms})

    def _put(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")

    def add(self, device: str, metric: str, at_ms: int, value: Any) -> None:
        times, values = self._columns[device, metric]
        if times and times[-1] == at_ms:  # the same moment twice: the last word counts
            values[-1] = value
        else:
            times.append(at_ms)
            values.append(value)

    def gap(self, device: str, from_ms: int, to_ms: int) -> None:
        """Nothing is known of the device in between; what is known before is promised first."""
        self.promise(from_ms, [device])
        self._put({"device": device, "gap": {"from_ms": from_ms, "to_ms": to_ms, "cause": "source_lost", "detail": "PLC restarted"}})

    def promise(self, until_ms: int, devices: Iterable[str] | None = None) -> None:
        """Writes what is waiting of these devices (all by default), and the promise."""
        chosen = set(self._devices if devices is None else devices)
        for device, metric in [key for key in self._columns if key[0] in chosen]:
            times, values = self._columns.pop((device, metric))
            self._put({"device": device, "metric": metric, "t_ms": times, "value": values})
        for device in self._devices:
            if device in chosen:
                self._put({"device": device, "watched_ms": until_ms})

    def finish(self) -> None:
        self._file.close()


class Recorder:
    """Feed it the events in time order; `finish` writes the last hour."""

    def __init__(self, scenario: Scenario, files: dict[str, Path], from_ms: int, to_ms: int) -> None:
        self._scenario, self._to_ms = scenario, to_ms
        self._lines: dict[str, _Line] = {}
        self._line_of: dict[str, str] = {spec.code: spec.line for spec in scenario.machines}
        self._line_of |= {meter.code: scenario.meter_line(meter) for meter in scenario.meters}
        for line, path in files.items():
            devices = [device for device, of in self._line_of.items() if of == line]
            self._lines[line] = _Line(path, scenario.line(line).edge, devices, from_ms, to_ms)
        self._metrics = {spec.code: self._known(spec.code) for spec in scenario.machines}
        self._maps = {meter.code: MAPS[meter.make] for meter in scenario.meters}
        self._totals: dict[str, tuple[int, float, float]] = {}
        self._down: dict[str, int] = {}
        self._next_ms = from_ms - from_ms % HOUR_MS + HOUR_MS

    def _known(self, machine: str) -> frozenset[str]:
        """The variables of this machine that its edge agent reads."""
        spec = self._scenario.machine(machine)
        known = {"StateCurrent", "AlarmCode", "CycleTime"}
        if self._scenario.operation_of_machine(machine).counting == "machine":
            known |= {"GoodCount", "ScrapCount"}
        if spec.order_tag:
            known |= {"OrderId", "OperationId"}
        if spec.wear_pieces:
            known.add("ToolWear")
        return frozenset(known)

    def add(self, events: Iterable[Event]) -> None:
        for event in events:
            while event.at_ms > self._next_ms:
                self._hour(self._next_ms)
                self._next_ms += HOUR_MS
            if isinstance(event, VarEvent):
                if event.name in self._metrics[event.machine]:
                    self._lines[self._line_of[event.machine]].add(event.machine, KEYS[event.name], event.at_ms, event.value)
            elif isinstance(event, MinuteEvent):
                self._minute(event)
            elif isinstance(event, PlcEvent):
                self._plc(event)

    def _hour(self, until_ms: int) -> None:
        for line in self._lines.values():
            line.promise(until_ms)

    def _minute(self, event: MinuteEvent) -> None:
        if event.at_ms < self._to_ms - FINE_MS and event.at_ms % 300_000:
            return
        for meter, (wh, varh) in event.totals.items():
            chosen, line = self._maps[meter], self._lines[self._line_of[meter]]
            line.add(meter, "energy_import_wh", event.at_ms, chosen.raw("energy_import_wh", wh))
            line.add(meter, "energy_reactive_varh", event.at_ms, chosen.raw("energy_reactive_varh", varh))
            at_ms, old_wh, _ = self._totals.get(meter, (event.at_ms, wh, varh))
            if event.at_ms > at_ms:
                watts = (wh - old_wh) * HOUR_MS / (event.at_ms - at_ms)
                line.add(meter, "power_w", event.at_ms, chosen.raw("power_w", watts))
            self._totals[meter] = (event.at_ms, wh, varh)

    def _plc(self, event: PlcEvent) -> None:
        if not event.up:
            self._down[event.line] = event.at_ms
        elif event.line in self._down:
            begin = self._down.pop(event.line)
            for spec in self._scenario.machines:
                if spec.line == event.line:
                    self._lines[event.line].gap(spec.code, begin, event.at_ms - 1)  # the restarted counters are news of this very ms

    def finish(self) -> None:
        self._hour(self._to_ms)
        for line in self._lines.values():
            line.finish()
