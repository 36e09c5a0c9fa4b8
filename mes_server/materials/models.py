"""Tables of lots, serials and movements. `*_milli` are thousandths of the unit, so that kilograms and metres add up exactly."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mes_server.kit.db import BIG_ID, MILLIS, Base


class Lot(Base):
    """A lot, bought or made here. `status`: quarantine | released | consumed | shipped | scrapped; on hold while `holds` > 0."""

    __tablename__ = "lot"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    code: Mapped[str] = mapped_column(sa.String(64), unique=True)
    item: Mapped[str] = mapped_column(sa.String(64), index=True)
    unit: Mapped[str] = mapped_column(sa.String(20))
    received_milli: Mapped[int] = mapped_column(sa.BigInteger)
    remaining_milli: Mapped[int] = mapped_column(sa.BigInteger)
    status: Mapped[str] = mapped_column(sa.String(12))
    holds: Mapped[int] = mapped_column(default=0)
    held_ms: Mapped[int | None] = mapped_column(MILLIS)
    supplier: Mapped[str | None] = mapped_column(sa.String(500))
    expires_ms: Mapped[int | None] = mapped_column(MILLIS)
    received_ms: Mapped[int] = mapped_column(MILLIS)
    operation: Mapped[str | None] = mapped_column(sa.String(80))  # that made it here

    __table_args__ = (sa.Index("ix_lot_status", "status", "id"),)


class Serial(Base):
    """One piece with a serial number. `status`: completed | scrapped | shipped; on hold while `holds` > 0."""

    __tablename__ = "serial"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    code: Mapped[str] = mapped_column(sa.String(64), unique=True)
    item: Mapped[str] = mapped_column(sa.String(64))
    order_number: Mapped[str] = mapped_column(sa.String(64), index=True)
    operation: Mapped[str] = mapped_column(sa.String(80))
    machine: Mapped[str | None] = mapped_column(sa.String(64))
    person: Mapped[str | None] = mapped_column(sa.String(40))
    produced_ms: Mapped[int] = mapped_column(MILLIS)
    status: Mapped[str] = mapped_column(sa.String(12))
    holds: Mapped[int] = mapped_column(default=0)
    held_ms: Mapped[int | None] = mapped_column(MILLIS)


class Movement(Base):
    """What went into or came out of an operation. Signed: a reversal has the negative quantity and names what it reverses."""

    __tablename__ = "material_movement"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    event_id: Mapped[str] = mapped_column(sa.String(36), unique=True)
    use: Mapped[str] = mapped_column(sa.String(10))  # consumed | produced
    operation: Mapped[str] = mapped_column(sa.String(80), index=True)
    order_number: Mapped[str] = mapped_column(sa.String(64), index=True)
    number: Mapped[int]
    item: Mapped[str] = mapped_column(sa.String(64))
    unit: Mapped[str] = mapped_column(sa.String(20))
    lot: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    serial: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    quantity_milli: Mapped[int] = mapped_column(sa.BigInteger)
    machine: Mapped[str | None] = mapped_column(sa.String(64))
    person: Mapped[str | None] = mapped_column(sa.String(40), index=True)
    at_ms: Mapped[int] = mapped_column(MILLIS)
    reverses: Mapped[str | None] = mapped_column(sa.String(36), unique=True)
