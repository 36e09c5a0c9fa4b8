"""Ingest's own tables: how far each buffer is booked, what is carried per device, what was put aside."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mes_server.kit.db import BIG_ID, MILLIS, Base


class IngestMark(Base):
    """Records 1..n of this buffer are in the book of record."""

    __tablename__ = "ingest_mark"

    edge: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    epoch: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    n: Mapped[int] = mapped_column(sa.BigInteger)
    born_ms: Mapped[int] = mapped_column(MILLIS)
    moved_ms: Mapped[int] = mapped_column(MILLIS)


class IngestHolder(Base):
    """The machine that holds an edge's identity (fence.py)."""

    __tablename__ = "ingest_holder"

    edge: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    machine: Mapped[str] = mapped_column(sa.String(64))
    since_ms: Mapped[int] = mapped_column(MILLIS)


class IngestDevice(Base):
    """What the next record of a device needs of the ones before (facts.DeviceState as JSON); moves in the mark's transaction."""

    __tablename__ = "ingest_device"

    edge: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    device: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    state: Mapped[str] = mapped_column(sa.Text)


class IngestParked(Base):
    """Facts of a device that no machine and no meter names yet; booked, in order, once the plant model names it."""

    __tablename__ = "ingest_parked"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    edge: Mapped[str] = mapped_column(sa.String(64))
    device: Mapped[str] = mapped_column(sa.String(64))
    epoch: Mapped[str] = mapped_column(sa.String(16))
    n: Mapped[int] = mapped_column(sa.BigInteger)
    events: Mapped[str] = mapped_column(sa.Text)  # JSON [[metric, at_ms, value], …]

    __table_args__ = (sa.Index("ix_ingest_parked_device", "edge", "device", "id"),)


class IngestQuarantine(Base):
    """Payloads that could not be read or booked, with the reason: bounded, oldest go first."""

    __tablename__ = "ingest_quarantine"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    at_ms: Mapped[int] = mapped_column(MILLIS)
    topic: Mapped[str] = mapped_column(sa.String(300))
    reason: Mapped[str] = mapped_column(sa.String(400))
    mark: Mapped[str] = mapped_column(sa.String(40))  # "" where the payload had none
    payload: Mapped[bytes] = mapped_column(sa.LargeBinary)
