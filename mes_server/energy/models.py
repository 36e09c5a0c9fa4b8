"""Meter readings as far as a bill needs them: running totals, thinned to one a plant minute, and the readings that close a gap."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mes_server.kit.db import MILLIS, Base


class MeterReading(Base):
    """The last reading of the minute (slot_ms - 60 s, slot_ms]: a reading exactly on a border belongs to the interval that ends there."""

    __tablename__ = "meter_reading"

    meter: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    slot_ms: Mapped[int] = mapped_column(MILLIS, primary_key=True, autoincrement=False)
    at_ms: Mapped[int] = mapped_column(MILLIS)
    import_wh: Mapped[float | None] = mapped_column(sa.Double)
    export_wh: Mapped[float | None] = mapped_column(sa.Double)
    reactive_varh: Mapped[float | None] = mapped_column(sa.Double)

    __table_args__ = ({"sqlite_with_rowid": False},)


class MeterBorder(Base):
    """A reading kept to the millisecond: `key` 0 the first one ever (the baseline), else the moment a gap ended."""

    __tablename__ = "meter_border"

    meter: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    key: Mapped[int] = mapped_column(MILLIS, primary_key=True, autoincrement=False)
    at_ms: Mapped[int] = mapped_column(MILLIS)
    import_wh: Mapped[float | None] = mapped_column(sa.Double)
    export_wh: Mapped[float | None] = mapped_column(sa.Double)
    reactive_varh: Mapped[float | None] = mapped_column(sa.Double)

    __table_args__ = ({"sqlite_with_rowid": False},)
