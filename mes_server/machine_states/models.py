"""Tables of facts: change points, watch marks, gaps, reasons. Intervals and stops are derived (rules.py), never stored: nothing can go stale."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mes_server.kit.db import MILLIS, Base


class StatePoint(Base):
    """What a machine said at one moment; a null field was not said. One row a machine and millisecond."""

    __tablename__ = "machine_state_point"

    machine: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    at_ms: Mapped[int] = mapped_column(MILLIS, primary_key=True, autoincrement=False)
    state: Mapped[str | None] = mapped_column(sa.String(16))
    state_raw: Mapped[int | None] = mapped_column(sa.BigInteger)
    alarm: Mapped[str | None] = mapped_column(sa.String(64))

    __table_args__ = ({"sqlite_with_rowid": False},)


class WatchMark(Base):
    """A source (edge and epoch) had this machine or meter in view over [from_ms, until_ms), its gaps apart."""

    __tablename__ = "watch_mark"

    subject: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    source: Mapped[str] = mapped_column(sa.String(90), primary_key=True)
    from_ms: Mapped[int] = mapped_column(MILLIS)
    until_ms: Mapped[int] = mapped_column(MILLIS)


class DataGap(Base):
    """A gap record: over [from_ms, to_ms) this source saw nothing of the machine or meter `subject`."""

    __tablename__ = "data_gap"

    subject: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    source: Mapped[str] = mapped_column(sa.String(90), primary_key=True)
    from_ms: Mapped[int] = mapped_column(MILLIS, primary_key=True, autoincrement=False)
    to_ms: Mapped[int] = mapped_column(MILLIS, primary_key=True, autoincrement=False)
    cause: Mapped[str] = mapped_column(sa.String(24), primary_key=True)
    device: Mapped[str] = mapped_column(sa.String(64))
    machine: Mapped[str | None] = mapped_column(sa.String(64))
    detail: Mapped[str] = mapped_column(sa.String(400))
    counter_reset: Mapped[bool] = mapped_column(sa.Boolean)
    parts_max: Mapped[int | None] = mapped_column(sa.Integer)

    __table_args__ = (sa.Index("ix_data_gap_to_ms", "to_ms"),)


class DayRevision(Base):
    """Goes up whenever a fact of that machine or meter and UTC day (ms // 86,400,000) comes in: what was worked out before is void."""

    __tablename__ = "day_revision"

    subject: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    day: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    revision: Mapped[int] = mapped_column(sa.BigInteger)


class MachineLive(Base):
    """The newest word of a machine, booked or not: the tile's present while a backlog is still on its way."""

    __tablename__ = "machine_live"

    machine: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    at_ms: Mapped[int] = mapped_column(MILLIS)
    since_ms: Mapped[int] = mapped_column(MILLIS)
    state: Mapped[str | None] = mapped_column(sa.String(16))
    state_raw: Mapped[int | None] = mapped_column(sa.BigInteger)
    alarm: Mapped[str | None] = mapped_column(sa.String(64))
    order_no: Mapped[str | None] = mapped_column(sa.String(64))
    op_no: Mapped[str | None] = mapped_column(sa.String(64))


class StopReason(Base):
    """Why a machine stopped, as a person said it. Keyed by machine and a moment in the stop: it may come before the stop and survives restatement."""

    __tablename__ = "stop_reason"

    event_id: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    machine: Mapped[str] = mapped_column(sa.String(64))
    stop_from_ms: Mapped[int] = mapped_column(MILLIS)
    reason: Mapped[str] = mapped_column(sa.String(64))
    note: Mapped[str] = mapped_column(sa.String(400))
    person: Mapped[str | None] = mapped_column(sa.String(40))
    occurred_ms: Mapped[int] = mapped_column(MILLIS)

    __table_args__ = (sa.Index("ix_stop_reason_machine_stop_from_ms", "machine", "stop_from_ms"),)


class StopSplit(Base):
    """A border somebody set inside a stop."""

    __tablename__ = "stop_split"

    event_id: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    machine: Mapped[str] = mapped_column(sa.String(64))
    stop_from_ms: Mapped[int] = mapped_column(MILLIS)
    at_ms: Mapped[int] = mapped_column(MILLIS)
    person: Mapped[str | None] = mapped_column(sa.String(40))
    occurred_ms: Mapped[int] = mapped_column(MILLIS)

    __table_args__ = (sa.Index("ix_stop_split_machine_at_ms", "machine", "at_ms"),)
