"""What the door itself keeps: refused acts for the supervisor, calls for help."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mes_server.kit.db import BIG_ID, MILLIS, Base


class RefusedAct(Base):
    """An act of a batch that a rule refused, kept whole. `status`: open | booked | dropped."""

    __tablename__ = "refused_act"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    event_id: Mapped[str] = mapped_column(sa.String(36), unique=True)
    type: Mapped[str] = mapped_column(sa.String(60))
    person: Mapped[str | None] = mapped_column(sa.String(40))
    device: Mapped[str | None] = mapped_column(sa.String(64))
    occurred_ms: Mapped[int] = mapped_column(MILLIS)
    refused_ms: Mapped[int] = mapped_column(MILLIS)
    act: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    problem_zh: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    problem_en: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    status: Mapped[str] = mapped_column(sa.String(8), index=True)
    decided_by: Mapped[str | None] = mapped_column(sa.String(40))
    decided_ms: Mapped[int | None] = mapped_column(MILLIS)


class HelpCall(Base):
    """Somebody calls for help at a machine; open until somebody answers."""

    __tablename__ = "help_call"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    event_id: Mapped[str] = mapped_column(sa.String(36), unique=True)
    machine: Mapped[str] = mapped_column(sa.String(64))
    kind: Mapped[str] = mapped_column(sa.String(12))
    person: Mapped[str | None] = mapped_column(sa.String(40))
    at_ms: Mapped[int] = mapped_column(MILLIS)
    answered_ms: Mapped[int | None] = mapped_column(MILLIS, index=True)
    answered_by: Mapped[str | None] = mapped_column(sa.String(40))
