"""What an exchange of a meter would do to its figures, before anybody confirms it. Stores nothing."""

from __future__ import annotations

from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.energy import repository, rules, swaps
from mes_server.energy.schemas import SwapPreview
from mes_server.machine_states import service as states
from mes_server.plant import service as plant

COLUMN = "import_wh"


def preview(session: Session, meter: str, exchange: rules.Exchange, now_ms: int) -> SwapPreview:
    """GET /energy/swaps/preview. Raises what the act raises: NotInPlant, SwapInTheFuture, SwapKnown, EndReadingTooLow."""
    model = plant.model(session)
    code, at_ms = model.meter(meter).code, exchange.at_ms
    swaps.in_its_turn(session, code, at_ms, now_ms)
    swaps.end_is_possible(session, code, COLUMN, at_ms, exchange.old)
    day = model.calendar.production_day(at_ms)
    low, high = model.calendar.day_window(day)
    high = max(low, min(high, now_ms))
    rows = repository.readings(session, code, COLUMN, low, high, 60)
    known = states.known(session, [code])[code]
    told = swaps.bridges(session, [code], COLUMN).get(code, [])
    new = rules.bridge(exchange, repository.shifts(session, code, COLUMN))
    before, after = (rules.used(rules.Series.of(rules.across(rows, some), known), low, high).total for some in (told, [*told, new]))
    seen = swaps.last_display(session, code, COLUMN, at_ms)
    return SwapPreview(
        meter=code,
        day=str(day),
        from_=iso(low),
        to=iso(high),
        seen_wh=None if seen is None else round(seen[1], 3),
        seen_at=None if seen is None else iso(seen[0]),
        wh_before=None if before is None else round(before, 3),
        wh_after=None if after is None else round(after, 3),
    )
