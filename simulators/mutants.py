"""Breakages on purpose, on the plant's side of the product: what a product would say that loses, doubles or shifts. The check must notice each.

They sit where the simulator speaks (its PLCs, its tablets), so that no hook is needed in the product.
"""

from __future__ import annotations

from collections.abc import Callable

from simulators.field import Field
from simulators.physics import ActEvent
from simulators.physics.events import Value, uuid7
from simulators.plc import LinePlc

KINDS = ("drop-message", "shift-timestamp", "double-scan", "drop-scan")
EVERY = 1000
FIRST = {"drop-message": 30, "shift-timestamp": 45, "double-scan": 2, "drop-scan": 4}  # the how manieth message or report is hit
SHIFT_MS = 7_000


class Mutant:
    """`kinds` joined by "+":

    drop-message     one PLC message in a thousand is never sent (a change of state, the 30th first, so that a short run has one)
    shift-timestamp  one change of state in a thousand carries a time 7 s too late
    double-scan      one report is sent twice with different ids
    drop-scan        one report is thrown away though the tablet thinks it is sent

    `hits` says what was broken: kind and the words by which a finding must name it.
    """

    def __init__(self, kinds: str) -> None:
        self.kinds = frozenset(kinds.split("+"))
        unknown = self.kinds - set(KINDS)
        if unknown:
            raise ValueError(f"no mutant {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
        self.hits: list[tuple[str, str]] = []
        self._states = self._reports = 0

    def install(self, field: Field) -> None:
        for plc in field.plcs.values():
            self._wrap(plc)
        field.act_filter = self._acts

    def _wrap(self, plc: LinePlc) -> None:
        honest = plc.write

        async def write(machine: str, name: str, value: Value, at_ms: int) -> None:
            if name == "StateCurrent":
                self._states += 1
                if self._due("drop-message", self._states, EVERY):
                    self.hits.append(("drop-message", f"{machine} at {at_ms}"))
                    return
                if self._due("shift-timestamp", self._states, EVERY):
                    self.hits.append(("shift-timestamp", f"{machine} at {at_ms}"))
                    at_ms += SHIFT_MS
            await honest(machine, name, value, at_ms)

        plc.write = write  # type: ignore[method-assign]

    def _due(self, kind: str, seen: int, every: int) -> bool:
        return kind in self.kinds and seen % every == FIRST[kind]

    def _acts(self, act: ActEvent, on: Callable[[ActEvent], None]) -> None:
        if act.type == "production.report":
            self._reports += 1
            if self._due("drop-scan", self._reports, EVERY):
                self.hits.append(("drop-scan", act.body["operation"]))
                return
            if self._due("double-scan", self._reports, EVERY):
                self.hits.append(("double-scan", act.body["operation"]))
                again = uuid7(act.at_ms + 900, f"again/{act.event_id}")
                on(act)
                on(ActEvent(act.at_ms + 900, act.station, act.person, act.type, act.body, again, stray=True))
                return
        on(act)
