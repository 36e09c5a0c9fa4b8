"""The plant's tables. Rows are never deleted: what left the model is retired, so that history keeps its names."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mes_server.kit.db import BIG_ID, MILLIS, Base

CODE = sa.String(64)
NAME = sa.String(200)


class _Named:
    code: Mapped[str] = mapped_column(CODE, primary_key=True)
    name_zh: Mapped[str] = mapped_column(NAME)
    name_en: Mapped[str] = mapped_column(NAME)
    retired_ms: Mapped[int | None] = mapped_column(MILLIS)


class SiteRow(_Named, Base):
    __tablename__ = "plant_site"

    zone: Mapped[str] = mapped_column(sa.String(64))
    production_day_start: Mapped[str] = mapped_column(sa.String(5))
    currency: Mapped[str] = mapped_column(sa.String(3))
    scrap_order: Mapped[list[str]] = mapped_column(sa.JSON)


class LineRow(_Named, Base):
    __tablename__ = "plant_line"

    oee_target: Mapped[float | None]


class MachineRow(_Named, Base):
    """`micro_stop_s`: shorter stops are performance losses; `rated_power_w`: plausibility of its meter."""

    __tablename__ = "plant_machine"

    line: Mapped[str] = mapped_column(CODE, index=True)
    sequence: Mapped[int]
    machine_class: Mapped[str] = mapped_column(CODE)
    counting: Mapped[str] = mapped_column(sa.String(10))
    micro_stop_s: Mapped[float]
    rated_power_w: Mapped[float | None]
    edge: Mapped[str | None] = mapped_column(CODE)
    device: Mapped[str | None] = mapped_column(CODE)


class StationRow(_Named, Base):
    __tablename__ = "plant_station"

    machines: Mapped[list[str]] = mapped_column(sa.JSON)


class MeterRow(_Named, Base):
    __tablename__ = "plant_meter"

    kind: Mapped[str] = mapped_column(sa.String(10))
    machine: Mapped[str | None] = mapped_column(CODE)
    line: Mapped[str | None] = mapped_column(CODE)
    rated_power_w: Mapped[float | None]
    edge: Mapped[str | None] = mapped_column(CODE)
    device: Mapped[str | None] = mapped_column(CODE)


class ShiftRow(_Named, Base):
    __tablename__ = "plant_shift"

    start: Mapped[str] = mapped_column(sa.String(5))
    end: Mapped[str] = mapped_column(sa.String(5))
    weekdays: Mapped[list[int]] = mapped_column(sa.JSON)
    breaks: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON)


class ReasonRow(Base):
    __tablename__ = "plant_reason"

    code: Mapped[str] = mapped_column(CODE, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(10))
    zh: Mapped[str] = mapped_column(NAME)
    en: Mapped[str] = mapped_column(NAME)
    time_class: Mapped[str] = mapped_column(sa.String(20))
    planned: Mapped[bool]
    machine_classes: Mapped[list[str]] = mapped_column(sa.JSON)
    retired_ms: Mapped[int | None] = mapped_column(MILLIS)


class AlarmRow(Base):
    __tablename__ = "plant_alarm"

    machine_class: Mapped[str] = mapped_column(CODE, primary_key=True)
    code: Mapped[str] = mapped_column(CODE, primary_key=True)
    zh: Mapped[str] = mapped_column(NAME)
    en: Mapped[str] = mapped_column(NAME)
    reason: Mapped[str | None] = mapped_column(CODE)
    retired_ms: Mapped[int | None] = mapped_column(MILLIS)


class PlantRevisionRow(Base):
    """One row a saved model; `hash` is that of the whole content, so a cache keyed by it never goes stale."""

    __tablename__ = "plant_revision"

    seq: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    hash: Mapped[str] = mapped_column(sa.String(64))
    event_id: Mapped[str] = mapped_column(sa.String(36))
    recorded_ms: Mapped[int] = mapped_column(MILLIS)
