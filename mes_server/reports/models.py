"""Actions agreed on in the morning meeting. Everything else in this slice is composed from other slices."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from mes_server.kit.db import MILLIS, Base


class PlantAction(Base):
    """What somebody will do, by when. `day` is the production day whose figures it answers; `topic` names the figure."""

    __tablename__ = "plant_action"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True)  # the event id of the act that made it
    text: Mapped[str] = mapped_column(sa.String(400))
    person: Mapped[str | None] = mapped_column(sa.String(100))
    due: Mapped[str | None] = mapped_column(sa.String(10))
    topic: Mapped[str | None] = mapped_column(sa.String(160))
    day: Mapped[str | None] = mapped_column(sa.String(10))
    made_by: Mapped[str | None] = mapped_column(sa.String(40))
    made_ms: Mapped[int] = mapped_column(MILLIS)
    done_ms: Mapped[int | None] = mapped_column(MILLIS)
    done_by: Mapped[str | None] = mapped_column(sa.String(40))

    __table_args__ = (sa.Index("ix_plant_action_done_ms_made_ms", "done_ms", "made_ms"),)
