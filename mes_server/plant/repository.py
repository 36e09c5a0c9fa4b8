"""SQL of the plant: reads the whole model, writes one by upserting and retiring."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.orm import Session

from mes_server.kit.db import Base
from mes_server.plant.models import AlarmRow, LineRow, MachineRow, MeterRow, PlantRevisionRow, ReasonRow, ShiftRow, SiteRow, StationRow
from mes_server.plant.schemas import Alarm, Line, Machine, Meter, PlantBody, Reason, Shift, Site, Station

_REVISION = PlantRevisionRow.__table__
_NEWEST = sa.select(_REVISION.c.hash).order_by(_REVISION.c.seq.desc()).limit(1)

# (field of the model, table, shape, key columns)
PARTS: tuple[tuple[str, type[Base], type[BaseModel], tuple[str, ...]], ...] = (
    ("lines", LineRow, Line, ("code",)),
    ("machines", MachineRow, Machine, ("code",)),
    ("stations", StationRow, Station, ("code",)),
    ("meters", MeterRow, Meter, ("code",)),
    ("shifts", ShiftRow, Shift, ("code",)),
    ("reasons", ReasonRow, Reason, ("code",)),
    ("alarms", AlarmRow, Alarm, ("machine_class", "code")),
)


def newest_hash(session: Session) -> str | None:
    """The content hash of the newest saved model; None where none was saved."""
    found: str | None = session.connection().execute(_NEWEST).scalar_one_or_none()
    return found


def add_revision(session: Session, *, content_hash: str, event_id: str, recorded_ms: int) -> None:
    session.add(PlantRevisionRow(hash=content_hash, event_id=event_id, recorded_ms=recorded_ms))


def load_site(session: Session) -> tuple[Site | None, tuple[str, ...]]:
    row = session.execute(sa.select(SiteRow).where(SiteRow.retired_ms.is_(None))).scalar_one_or_none()
    if row is None:
        return None, ()
    return Site.model_validate({name: getattr(row, name) for name in Site.model_fields}), tuple(row.scrap_order)


def load(session: Session, table: type[Base], shape: type[BaseModel]) -> tuple[list[Any], list[Any]]:
    """(active, retired) parts of one kind."""
    active: list[Any] = []
    retired: list[Any] = []
    columns = sa.inspect(table).columns
    rows = session.execute(sa.select(*columns).order_by(*sa.inspect(table).primary_key))
    for row in rows.mappings():
        part = shape.model_validate({name: row[name] for name in shape.model_fields})
        (active if row["retired_ms"] is None else retired).append(part)
    return active, retired


def save(session: Session, body: PlantBody, now_ms: int) -> list[str]:
    """Upserts and retires; returns what changed as "machines.LAT-01" (retired ones with a leading minus)."""
    site_values = {**body.site.model_dump(), "scrap_order": list(body.scrap_order)}
    changed = _save_part(session, "site", SiteRow, ("code",), [site_values], now_ms)
    for name, table, _, key in PARTS:
        values: Iterable[BaseModel] = getattr(body, name)
        changed += _save_part(session, name, table, key, [one.model_dump(mode="json") for one in values], now_ms)
    return changed


def _save_part(session: Session, name: str, table: type[Base], key: tuple[str, ...], wanted: list[dict[str, Any]], now_ms: int) -> list[str]:
    known: dict[tuple[str, ...], Any] = {tuple(getattr(row, column) for column in key): row for row in session.execute(sa.select(table)).scalars()}
    changed = []
    for values in wanted:
        code = tuple(values[column] for column in key)
        row = known.pop(code, None)
        if row is None:
            session.add(table(**values, retired_ms=None))
        elif row.retired_ms is None and all(getattr(row, column) == value for column, value in values.items()):
            continue
        else:
            for column, value in {**values, "retired_ms": None}.items():
                setattr(row, column, value)
        changed.append(f"{name}.{'/'.join(filter(None, code))}")
    for code, row in known.items():
        if row.retired_ms is None:
            row.retired_ms = now_ms
            changed.append(f"-{name}.{'/'.join(filter(None, code))}")
    return changed
