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


class MeterShift(Base):
    """From `at_ms` on the total of a register is `wh` above what the meter's display shows (resets, rollovers, jumps, new buffers)."""

    __tablename__ = "meter_shift"

    meter: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    register: Mapped[str] = mapped_column(sa.String(16), primary_key=True)  # import_wh, export_wh, reactive_varh
    at_ms: Mapped[int] = mapped_column(MILLIS, primary_key=True, autoincrement=False)
    wh: Mapped[float] = mapped_column(sa.Double)


class MeterSwap(Base):
    """Another meter hangs there since `at_ms`: the displays' readings as a person told them. Never changed; the journal says who."""

    __tablename__ = "meter_swap"

    meter: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    at_ms: Mapped[int] = mapped_column(MILLIS, primary_key=True, autoincrement=False)
    old_import_wh: Mapped[float] = mapped_column(sa.Double)
    new_import_wh: Mapped[float] = mapped_column(sa.Double)
    old_export_wh: Mapped[float | None] = mapped_column(sa.Double)
    new_export_wh: Mapped[float | None] = mapped_column(sa.Double)
    old_reactive_varh: Mapped[float | None] = mapped_column(sa.Double)
    new_reactive_varh: Mapped[float | None] = mapped_column(sa.Double)
    old_serial: Mapped[str] = mapped_column(sa.String(64))
    new_serial: Mapped[str] = mapped_column(sa.String(64))
    reason: Mapped[str] = mapped_column(sa.String(400))
    by: Mapped[str | None] = mapped_column("by_person", sa.String(64))
    recorded_ms: Mapped[int] = mapped_column(MILLIS)
