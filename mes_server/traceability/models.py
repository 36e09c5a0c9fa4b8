"""Nodes with integer ids and edges keyed by the act that made them; the reverse index makes both directions equally cheap."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mes_server.kit.db import BIG_ID, MILLIS, Base


class TraceNode(Base):
    __tablename__ = "trace_node"

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(sa.String(8))  # lot | serial | order
    code: Mapped[str] = mapped_column(sa.String(64))

    __table_args__ = (sa.UniqueConstraint("kind", "code"),)


class TraceEdge(Base):
    """`parent` went into `child`. `precision`: serial = into exactly this piece; order = into the order's pieces, which one is not known."""

    __tablename__ = "trace_edge"

    parent: Mapped[int] = mapped_column(BIG_ID, sa.ForeignKey("trace_node.id"), primary_key=True)
    child: Mapped[int] = mapped_column(BIG_ID, sa.ForeignKey("trace_node.id"), primary_key=True)
    event_id: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    quantity_milli: Mapped[int] = mapped_column(sa.BigInteger)
    unit: Mapped[str] = mapped_column(sa.String(20))
    at_ms: Mapped[int] = mapped_column(MILLIS)
    operation: Mapped[str] = mapped_column(sa.String(80))
    person: Mapped[str | None] = mapped_column(sa.String(40))
    precision: Mapped[str] = mapped_column(sa.String(6))

    __table_args__ = (sa.Index("ix_trace_edge_reverse", "child", "parent"), sa.Index("ix_trace_edge_event", "event_id"), {"sqlite_with_rowid": False})
