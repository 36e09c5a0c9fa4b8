"""People, sessions, devices, API tokens. Secrets are stored as hashes only. Session times are real time (`*_real_ms`), not plant time."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mes_server.kit.db import MILLIS, Base

CODE = sa.String(64)
HASH = sa.String(64)


class PersonRow(Base):
    """`badge_serial` counts the badges the server made for the person; a lost one is replaced by the next."""

    __tablename__ = "person"

    code: Mapped[str] = mapped_column(CODE, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    user: Mapped[str | None] = mapped_column("user_name", sa.String(64), unique=True)
    lang: Mapped[str] = mapped_column(sa.String(2))
    active: Mapped[bool]
    badge_hash: Mapped[str | None] = mapped_column(HASH, unique=True)
    badge_serial: Mapped[int] = mapped_column(default=0)
    badge_own: Mapped[bool] = mapped_column(default=False)  # made by this server: it can print it
    pin_hash: Mapped[str | None] = mapped_column(sa.String(200))
    password_hash: Mapped[str | None] = mapped_column(sa.String(200))
    changed_ms: Mapped[int] = mapped_column(MILLIS)


class PersonRoleRow(Base):
    """A role everywhere (area "") or in one area (the code of a line)."""

    __tablename__ = "person_role"

    person: Mapped[str] = mapped_column(sa.ForeignKey("person.code"), primary_key=True)
    role: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    area: Mapped[str] = mapped_column(CODE, primary_key=True)


class DeviceRow(Base):
    """A tablet or a wall. Before it is enrolled it has a one-time code, afterwards a token."""

    __tablename__ = "device"

    code: Mapped[str] = mapped_column(CODE, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    kind: Mapped[str] = mapped_column(sa.String(10))
    station: Mapped[str | None] = mapped_column(CODE)
    enrol_hash: Mapped[str | None] = mapped_column(HASH, unique=True)
    enrol_until_real_ms: Mapped[int | None] = mapped_column(MILLIS)
    token_hash: Mapped[str | None] = mapped_column(HASH, unique=True)
    enrolled_ms: Mapped[int | None] = mapped_column(MILLIS)
    revoked_ms: Mapped[int | None] = mapped_column(MILLIS)


class SessionRow(Base):
    __tablename__ = "session"

    token_hash: Mapped[str] = mapped_column(HASH, primary_key=True)
    person: Mapped[str] = mapped_column(sa.ForeignKey("person.code"), index=True)
    device: Mapped[str | None] = mapped_column(CODE, index=True)
    station: Mapped[str | None] = mapped_column(CODE)
    means: Mapped[str] = mapped_column(sa.String(10))
    opened_real_ms: Mapped[int] = mapped_column(MILLIS)
    seen_real_ms: Mapped[int] = mapped_column(MILLIS)
    ends_real_ms: Mapped[int] = mapped_column(MILLIS)
    idle_ms: Mapped[int] = mapped_column(MILLIS)


class ApiTokenRow(Base):
    __tablename__ = "api_token"

    code: Mapped[str] = mapped_column(CODE, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    token_hash: Mapped[str] = mapped_column(HASH, unique=True)
    roles: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON)
    created_by: Mapped[str | None] = mapped_column(CODE)
    created_ms: Mapped[int] = mapped_column(MILLIS)
    ends_real_ms: Mapped[int | None] = mapped_column(MILLIS)
    revoked_ms: Mapped[int | None] = mapped_column(MILLIS)


class SetupTokenRow(Base):
    """At most one row: the token that makes the first administrator."""

    __tablename__ = "setup_token"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(HASH)
    ends_real_ms: Mapped[int] = mapped_column(MILLIS)
