"""SQL of the readings: one upsert a thinned reading, one range read a meter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from mes_server.energy.models import MeterBorder, MeterReading, MeterShift, MeterSwap

_READING: sa.Table = MeterReading.__table__  # type: ignore[assignment]
_BORDER: sa.Table = MeterBorder.__table__  # type: ignore[assignment]
_SHIFT: sa.Table = MeterShift.__table__  # type: ignore[assignment]
_SWAP: sa.Table = MeterSwap.__table__  # type: ignore[assignment]
_TOTALS = ("import_wh", "export_wh", "reactive_varh")
FIRST = 0  # the key of a meter's first reading


def _insert(dialect: str, table: sa.Table) -> Any:
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def _reading_upsert(dialect: str) -> Any:
    """The latest reading of a minute wins; what it did not say is taken from the earlier one, and the other way round for a late one."""
    insert = _insert(dialect, _READING)
    new, old = insert.excluded, _READING.c
    later = new.at_ms >= old.at_ms
    values: dict[str, Any] = {"at_ms": sa.case((later, new.at_ms), else_=old.at_ms)}
    for name in _TOTALS:
        values[name] = sa.case((later, sa.func.coalesce(new[name], old[name])), else_=sa.func.coalesce(old[name], new[name]))
    return insert.on_conflict_do_update(index_elements=["meter", "slot_ms"], set_=values)


def _border_upsert(dialect: str) -> Any:
    """An earlier reading replaces a later one under the same key (only the key FIRST ever meets two)."""
    insert = _insert(dialect, _BORDER)
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=["meter", "key"],
        set_={"at_ms": new.at_ms, **{name: new[name] for name in _TOTALS}},
        where=new.at_ms < _BORDER.c.at_ms,
    )


_PUT_READING = {name: _reading_upsert(name) for name in ("sqlite", "postgresql")}
_PUT_BORDER = {name: _border_upsert(name) for name in ("sqlite", "postgresql")}
_FIRSTS = sa.select(_BORDER.c.meter, _BORDER.c.at_ms).where(_BORDER.c.key == FIRST)


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name


def put_readings(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    session.connection().execute(_PUT_READING[_dialect(session)], rows)


def put_borders(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    session.connection().execute(_PUT_BORDER[_dialect(session)], rows)


def firsts(session: Session) -> dict[str, int]:
    """Meter → moment of its first reading."""
    return {row.meter: row.at_ms for row in session.execute(_FIRSTS)}


def _rows(table: sa.Table, column: sa.Column[Any]) -> Any:
    inside = (table.c.meter == sa.bindparam("meter"), table.c.at_ms >= sa.bindparam("from_ms"), table.c.at_ms <= sa.bindparam("to_ms"))
    return sa.select(table.c.at_ms, column).where(*inside, column.is_not(None))


def _reading_rows(column: str) -> Any:
    """By slot (the key), so that the range is an index range: a reading lies within the minute before its slot."""
    return sa.select(_READING.c.at_ms, _READING.c[column]).where(
        _READING.c.meter == sa.bindparam("meter"),
        _READING.c.slot_ms >= sa.bindparam("from_ms"),
        _READING.c.slot_ms < sa.bindparam("to_ms") + 60_000,
        _READING.c.slot_ms % sa.bindparam("grid_ms") == 0,
        _READING.c[column].is_not(None),
    )


def _neighbour(column: str, *, before: bool) -> Any:
    order = _READING.c.slot_ms.desc() if before else _READING.c.slot_ms.asc()
    side = _READING.c.slot_ms < sa.bindparam("at") if before else _READING.c.slot_ms >= sa.bindparam("at")
    where = (_READING.c.meter == sa.bindparam("meter"), side, _READING.c[column].is_not(None))
    return sa.select(_READING.c.at_ms, _READING.c[column]).where(*where).order_by(order).limit(1)


_READINGS_OF = {name: _reading_rows(name) for name in _TOTALS}
_BEFORE = {name: _neighbour(name, before=True) for name in _TOTALS}
_AFTER = {name: _neighbour(name, before=False) for name in _TOTALS}
_BORDERS_OF = {name: _rows(_BORDER, _BORDER.c[name]) for name in _TOTALS}


def readings(session: Session, meter: str, column: str, from_ms: int, to_ms: int, grid_s: int = 60) -> list[tuple[int, float]]:
    """(at_ms, total) of the window with the reading before it and the reading after it, unordered."""
    values = {"meter": meter, "from_ms": from_ms, "to_ms": to_ms, "grid_ms": grid_s * 1000}
    found = [(row[0], row[1]) for row in session.execute(_READINGS_OF[column], values)]
    found += [(row[0], row[1]) for row in session.execute(_BEFORE[column], {"meter": meter, "at": from_ms})]
    found += [(row[0], row[1]) for row in session.execute(_AFTER[column], {"meter": meter, "at": to_ms + 60_000})]
    low, high = min((one[0] for one in found), default=from_ms), max((one[0] for one in found), default=to_ms)
    around = {"meter": meter, "from_ms": min(low, from_ms), "to_ms": max(high, to_ms)}
    return found + [(row[0], row[1]) for row in session.execute(_BORDERS_OF[column], around)]


# --- exchanged meters -----------------------------------------------------------------------------------------------------------------
def _shift_upsert(dialect: str) -> Any:
    insert = _insert(dialect, _SHIFT)
    return insert.on_conflict_do_update(index_elements=["meter", "register", "at_ms"], set_={"wh": insert.excluded.wh})


_PUT_SHIFT = {name: _shift_upsert(name) for name in ("sqlite", "postgresql")}
_SHIFTS_OF = (
    sa.select(_SHIFT.c.at_ms, _SHIFT.c.wh)
    .where(_SHIFT.c.meter == sa.bindparam("meter"), _SHIFT.c.register == sa.bindparam("register"))
    .order_by(_SHIFT.c.at_ms)
)
_SWAPS = sa.select(_SWAP).order_by(_SWAP.c.meter, _SWAP.c.at_ms)


def put_shifts(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    session.connection().execute(_PUT_SHIFT[_dialect(session)], rows)


def shifts(session: Session, meter: str, register: str) -> list[tuple[int, float]]:
    """(moment, Wh) of a register, ascending: from then on its total is so far above the display."""
    return [(row[0], row[1]) for row in session.execute(_SHIFTS_OF, {"meter": meter, "register": register})]


def put_swap(session: Session, row: dict[str, Any]) -> None:
    session.connection().execute(sa.insert(_SWAP), row)


def swaps(session: Session) -> Sequence[sa.Row[Any]]:
    """Every exchange, by meter and time."""
    return session.execute(_SWAPS).all()


def last_before(session: Session, meter: str, column: str, at_ms: int) -> tuple[int, float] | None:
    """The newest reading at or before `at_ms`."""
    rows = [(row[0], row[1]) for row in session.execute(_BEFORE[column], {"meter": meter, "at": at_ms + 60_000})]
    rows += [(row[0], row[1]) for row in session.execute(_BORDERS_OF[column], {"meter": meter, "from_ms": 0, "to_ms": at_ms})]
    return max((row for row in rows if row[0] <= at_ms), default=None)
