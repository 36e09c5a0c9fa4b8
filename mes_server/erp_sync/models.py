"""Tables of the ERP border: cursors, what arrived, the outbox, what was already handed over, held changes."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mes_server.kit.db import BIG_ID, MILLIS, Base


class ErpCursor(Base):
    """How far the changes of one entity were read."""

    __tablename__ = "erp_cursor"

    entity: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    cursor: Mapped[str] = mapped_column(sa.String(200))


class ErpInbound(Base):
    """The newest version seen of one ERP object, with its raw text; `status` applied | held | refused | older."""

    __tablename__ = "erp_inbound"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    entity: Mapped[str] = mapped_column(sa.String(20))
    external_id: Mapped[str] = mapped_column(sa.String(80))
    version: Mapped[int] = mapped_column(sa.BigInteger)
    status: Mapped[str] = mapped_column(sa.String(12), index=True)
    received_ms: Mapped[int] = mapped_column(MILLIS)
    order_number: Mapped[str | None] = mapped_column(sa.String(40), index=True)
    error_en: Mapped[str] = mapped_column(sa.String(500), default="")
    error_zh: Mapped[str] = mapped_column(sa.String(500), default="")
    raw: Mapped[str] = mapped_column(sa.Text)

    __table_args__ = (sa.UniqueConstraint("entity", "external_id"),)


class ErpMessage(Base):
    """One outgoing confirmation. `status`: waiting | posted | different | refused | parked | dropped."""

    __tablename__ = "erp_message"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    message_id: Mapped[str] = mapped_column(sa.String(36), unique=True)
    reference: Mapped[str] = mapped_column(sa.String(80), unique=True)
    order_number: Mapped[str] = mapped_column(sa.String(40), index=True)
    sequence: Mapped[int]
    kind: Mapped[str] = mapped_column(sa.String(12))
    status: Mapped[str] = mapped_column(sa.String(12), index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    next_try_ms: Mapped[int] = mapped_column(MILLIS, default=0)
    created_ms: Mapped[int] = mapped_column(MILLIS)
    posted_ms: Mapped[int | None] = mapped_column(MILLIS)
    erp_document: Mapped[str | None] = mapped_column(sa.String(80))
    error_code: Mapped[str] = mapped_column(sa.String(60), default="")
    erp_words_en: Mapped[str] = mapped_column(sa.String(500), default="")
    erp_words_zh: Mapped[str] = mapped_column(sa.String(500), default="")
    payload: Mapped[str] = mapped_column(sa.Text)

    __table_args__ = (sa.UniqueConstraint("order_number", "sequence"),)


class ErpHanded(Base):
    """What the outbox already carries of one order: `key` is "op:<number>:<good|scrap|rework>", "lot:<op>:<item>:<lot>" or "serial:<serial>"."""

    __tablename__ = "erp_handed"

    order_number: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(160), primary_key=True)
    quantity: Mapped[float]


class ErpTouched(Base):
    """Orders the journal named since their last message; `since_ms` is the first touch (plant time)."""

    __tablename__ = "erp_touched"

    order_number: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    since_ms: Mapped[int] = mapped_column(MILLIS)
    urgent: Mapped[bool]
    reporter: Mapped[str | None] = mapped_column(sa.String(40))
    occurred_ms: Mapped[int] = mapped_column(MILLIS)


class ErpChange(Base):
    """A change of a running order, shown to planner and operator; `status` open | applied | refused."""

    __tablename__ = "erp_change"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    order_number: Mapped[str] = mapped_column(sa.String(40), index=True)
    kind: Mapped[str] = mapped_column(sa.String(12))
    old: Mapped[str] = mapped_column(sa.String(80))
    new: Mapped[str] = mapped_column(sa.String(80))
    made: Mapped[int]
    proposal_en: Mapped[str] = mapped_column(sa.String(300))
    proposal_zh: Mapped[str] = mapped_column(sa.String(300))
    status: Mapped[str] = mapped_column(sa.String(10), index=True)
    created_ms: Mapped[int] = mapped_column(MILLIS)
    decided_ms: Mapped[int | None] = mapped_column(MILLIS)
    decided_by: Mapped[str | None] = mapped_column(sa.String(40))
    raw: Mapped[str] = mapped_column(sa.Text)
