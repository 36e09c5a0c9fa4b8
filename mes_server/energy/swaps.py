"""Exchanged meters: the act, the list, and what they do to totals. Nothing that was read is changed: totals are bridged when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from edge_agent.contract import names
from edge_agent.contract.clock import iso
from mes_server.energy import repository, rules
from mes_server.energy.errors import EndReadingTooLow, HalfARegister, SwapInTheFuture, SwapKnown
from mes_server.energy.schemas import ShiftFact, SwapMeter, SwapView
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Done, ms_of, recorded_ms
from mes_server.plant import service as plant

REGISTERS: Mapping[str, tuple[str, str]] = {
    "import_wh": ("old_import_wh", "new_import_wh"),
    "export_wh": ("old_export_wh", "new_export_wh"),
    "reactive_varh": ("old_reactive_varh", "new_reactive_varh"),
}
_COLUMNS = {names.ENERGY_IMPORT_WH: "import_wh", names.ENERGY_EXPORT_WH: "export_wh", names.ENERGY_REACTIVE_VARH: "reactive_varh"}
TOLERANCE = 1e-4  # of a reading: a display with fewer digits than the register


def record_shifts(session: Session, facts: Sequence[ShiftFact]) -> None:
    """Called by ingest in its transaction, before the readings."""
    if facts:
        repository.put_shifts(session, [{"meter": one.meter, "register": _COLUMNS[one.register], "at_ms": one.at_ms, "wh": one.wh} for one in facts])


def swap_meter(session: Session, actor: Actor, command: SwapMeter) -> Done:
    """Another meter hangs there. Raises NotInPlant, SwapInTheFuture, SwapKnown, HalfARegister, EndReadingTooLow."""
    meter = plant.model(session).meter(command.meter)
    at_ms = ms_of(command.at)
    in_its_turn(session, meter.code, at_ms, recorded_ms(session))
    given = command.model_dump(include={name for pair in REGISTERS.values() for name in pair})
    for column, (old, new) in REGISTERS.items():
        if (given[old] is None) != (given[new] is None):
            raise HalfARegister
        if given[old] is not None:
            end_is_possible(session, meter.code, column, at_ms, given[old])
    row = {"meter": meter.code, "at_ms": at_ms, **given, "recorded_ms": recorded_ms(session), "by_person": actor.person}
    repository.put_swap(session, row | command.model_dump(include={"old_serial", "new_serial", "reason"}))
    answer = {"meter": meter.code, "at": iso(at_ms)}
    return Done(f"meter:{meter.code}", answer, effect=answer, live=[("energy", {"meter": meter.code})])


def in_its_turn(session: Session, meter: str, at_ms: int, now_ms: int) -> None:
    """Exchanges are told in their order. Raises SwapInTheFuture, SwapKnown."""
    if at_ms > now_ms:
        raise SwapInTheFuture
    if any(one.meter == meter and one.at_ms >= at_ms for one in repository.swaps(session)):
        raise SwapKnown(meter=meter)


def last_display(session: Session, meter: str, column: str, at_ms: int) -> tuple[int, float] | None:
    """The newest reading at or before `at_ms` as the meter's display showed it: (moment, Wh or varh)."""
    last = repository.last_before(session, meter, column, at_ms)
    return None if last is None else (last[0], last[1] - rules.shift_at(repository.shifts(session, meter, column), last[0]))


def end_is_possible(session: Session, meter: str, column: str, at_ms: int, end: float) -> None:
    """A display never shows less than it did; a shift is against the display, so earlier exchanges do not matter. Raises EndReadingTooLow."""
    last = last_display(session, meter, column, at_ms - rules.SWAP_EARLY_MS)
    if last is None:
        return
    seen = last[1]
    if end < seen - max(1.0, TOLERANCE * seen):
        raise EndReadingTooLow(seen_wh=seen, given_wh=end)


def bridges(session: Session, meters: Sequence[str], column: str) -> dict[str, list[rules.Bridge]]:
    """Meter -> how its totals of `column` cross its exchanges; meters without one are not in it."""
    old, new = REGISTERS[column]
    out: dict[str, list[rules.Bridge]] = {}
    for row in repository.swaps(session):
        told = row._mapping
        if row.meter in meters and told[old] is not None:
            shifts = repository.shifts(session, row.meter, column)
            out.setdefault(row.meter, []).append(rules.bridge(rules.Exchange(row.at_ms, told[old], told[new]), shifts))
    return out


def views(session: Session, meter: str | None) -> list[SwapView]:
    """GET /energy/swaps, newest first."""
    out = []
    for row in repository.swaps(session):
        if meter in (None, row.meter):
            shifts = repository.shifts(session, row.meter, "import_wh")
            out.append((row.at_ms, _view(row, rules.bridge(rules.Exchange(row.at_ms, row.old_import_wh, row.new_import_wh), shifts).added)))
    return [view for _, view in sorted(out, key=lambda one: -one[0])]


def _view(row: Any, shift_wh: float) -> SwapView:
    return SwapView(
        meter=row.meter,
        at=iso(row.at_ms),
        old_import_wh=row.old_import_wh,
        new_import_wh=row.new_import_wh,
        old_serial=row.old_serial,
        new_serial=row.new_serial,
        reason=row.reason,
        by=row.by_person,
        shift_wh=round(shift_wh, 3),
    )
