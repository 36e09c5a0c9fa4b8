"""Breakages on purpose, on the plant's side of the product: what a product would say that loses, doubles or shifts. The check must notice each.

They sit where the simulator speaks (its PLCs, its tablets), so that no hook is needed in the product.
"""

from __future__ import annotations

from collections.abc import Callable

from simulators.field import Field
from simulators.physics import ActEvent
from simulators.physics.events import Value, uuid7
from simulators.plc import LinePlc

KINDS = ("drop-message", "double-scan", "shift-timestamp", "drop-scan")
EVERY = 1000
SHIFT_MS = 7_000


class Mutant:
    """`drop-message`: one PLC message in a thousand is never sent (the first is the third change of a state, so that a short run has one).
    `double-scan`: one report is sent twice with different ids. `shift-timestamp`: one change of state carries a time 7 s too late.
    `drop-scan`: one report is thrown away though the tablet thinks it is sent.
    """

    def __init__(self, kind: str) -> None:
        if kind not in KINDS:
            raise ValueError(f"no mutant {kind!r}; there are {', '.join(KINDS)}")
        self.kind = kind
        self.hits = 0
        self._seen = 0

    def install(self, field: Field) -> None:
        if self.kind in ("drop-message", "shift-timestamp"):
            for plc in field.plcs.values():
                self._wrap(plc)
        else:
            field.act_filter = self._acts

    def _wrap(self, plc: LinePlc) -> None:
        honest = plc.write

        async def write(machine: str, name: str, value: Value, at_ms: int) -> None:
            if name == "StateCurrent":
                self._seen += 1
                if self._seen % EVERY == 30:
                    self.hits += 1
                    if self.kind == "drop-message":
                        return
                    at_ms += SHIFT_MS
            await honest(machine, name, value, at_ms)

        plc.write = write  # type: ignore[method-assign]

    def _acts(self, act: ActEvent, on: Callable[[ActEvent], None]) -> None:
        if act.type == "production.report":
            self._seen += 1
            if self._seen == 2:
                self.hits += 1
                if self.kind == "drop-scan":
                    return
                on(act)
                again = uuid7(act.at_ms + 900, f"again/{act.event_id}")
                on(ActEvent(act.at_ms + 900, act.station, act.person, act.type, act.body, again, stray=True))
                return
        on(act)
