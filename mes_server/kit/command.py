"""What a client asks for. Free of database and HTTP, so that a slice's pure rules may see its shapes."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict


class Command(BaseModel):
    """What a client asks for. `event_id` (UUIDv7, made by the client at first touch) is the idempotency key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: ClassVar[str]  # the journal's type, past tense: "production.reported"
    right: ClassVar[str]  # the right it asks for; the door refuses a command without one

    event_id: UUID
    occurred_at: AwareDatetime

    @property
    def occurred_ms(self) -> int:
        return ms_of(self.occurred_at)


def ms_of(when: datetime) -> int:
    return round(when.timestamp() * 1000)
