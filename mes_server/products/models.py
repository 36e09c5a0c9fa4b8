"""Items and their frozen revisions."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mes_server.kit.db import MILLIS, Base


class ItemRow(Base):
    """One material definition. The two revision columns name the current ones (empty: none yet)."""

    __tablename__ = "product_item"

    code: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    name_zh: Mapped[str] = mapped_column(sa.String(200))
    name_en: Mapped[str] = mapped_column(sa.String(200))
    unit: Mapped[str] = mapped_column(sa.String(20))
    tracking: Mapped[str] = mapped_column(sa.String(10))
    family: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    box_quantity: Mapped[float | None]
    gtin: Mapped[str | None] = mapped_column(sa.String(14), unique=True)
    bom_revision: Mapped[str | None] = mapped_column(sa.String(64))
    routing_revision: Mapped[str | None] = mapped_column(sa.String(64))
    changed_ms: Mapped[int] = mapped_column(MILLIS)


class RevisionRow(Base):
    """A bill of material or a routing as it was released; never changed. `number` counts revisions of one item and kind from 1."""

    __tablename__ = "product_revision"

    item: Mapped[str] = mapped_column(sa.ForeignKey("product_item.code"), primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(10), primary_key=True)
    revision: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    number: Mapped[int]
    content: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON)
    recorded_ms: Mapped[int] = mapped_column(MILLIS)
