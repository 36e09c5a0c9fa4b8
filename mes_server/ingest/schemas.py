"""Shapes of what was put aside on its way in."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel

from mes_server.kit.acts import Command


class PutAsideView(BaseModel):
    """One payload in quarantine. `mark` is its delivery mark (epoch:n), "" where it has none; `bytes` its length as kept."""

    id: int
    at: str
    topic: str
    reason: str
    mark: str
    bytes: int


class RetryPutAside(Command):
    """Take a payload in again, after its cause was mended."""

    type: ClassVar[str] = "ingest.record_retried"
    right: ClassVar[str] = "admin"
    record: int = 0


class RetryAnswer(BaseModel):
    """What was booked from it."""

    id: int
    states: int
    gaps: int

    @classmethod
    def of(cls, body: dict[str, Any]) -> RetryAnswer:
        return cls.model_validate(body)
