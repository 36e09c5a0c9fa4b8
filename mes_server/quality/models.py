"""Tables of defects, holds and photos."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mes_server.kit.db import BIG_ID, MILLIS, Base


class Defect(Base):
    __tablename__ = "defect"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    event_id: Mapped[str] = mapped_column(sa.String(36), unique=True)
    subject_kind: Mapped[str] = mapped_column(sa.String(10))
    subject_code: Mapped[str] = mapped_column(sa.String(80))
    code: Mapped[str] = mapped_column(sa.String(64), index=True)
    quantity: Mapped[int]
    note: Mapped[str | None] = mapped_column(sa.String(500))
    photos: Mapped[list[str]] = mapped_column(sa.JSON)
    person: Mapped[str | None] = mapped_column(sa.String(40))
    at_ms: Mapped[int] = mapped_column(MILLIS, index=True)
    hold: Mapped[str | None] = mapped_column(sa.String(36))  # event id of the hold it placed

    __table_args__ = (sa.Index("ix_defect_subject", "subject_kind", "subject_code"),)


class Hold(Base):
    """Open while `released_ms` is null."""

    __tablename__ = "hold"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    event_id: Mapped[str] = mapped_column(sa.String(36), unique=True)
    subject_kind: Mapped[str] = mapped_column(sa.String(10))
    subject_code: Mapped[str] = mapped_column(sa.String(80))
    reason: Mapped[str] = mapped_column(sa.String(64))
    note: Mapped[str | None] = mapped_column(sa.String(500))
    person: Mapped[str | None] = mapped_column(sa.String(40))
    at_ms: Mapped[int] = mapped_column(MILLIS)
    released_ms: Mapped[int | None] = mapped_column(MILLIS, index=True)
    released_by: Mapped[str | None] = mapped_column(sa.String(40))
    release_reason: Mapped[str | None] = mapped_column(sa.String(64))

    __table_args__ = (sa.Index("ix_hold_subject", "subject_kind", "subject_code"),)


class Photo(Base):
    """A picture in the data folder, named by its SHA-256."""

    __tablename__ = "photo"

    sha256: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    mime: Mapped[str] = mapped_column(sa.String(20))
    size: Mapped[int]
    person: Mapped[str | None] = mapped_column(sa.String(40))
    at_ms: Mapped[int] = mapped_column(MILLIS)
