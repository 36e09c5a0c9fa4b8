"""Shapes of the edges' door over HTTP: enrolment, and what was put aside on its way in."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, SecretStr

from mes_server.kit.command import Command


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


class EdgeInviteIn(BaseModel):
    """`readmit`: lets an edge in again that was put out."""

    readmit: bool = False


class EdgeInvitation(BaseModel):
    """Good once, for ten minutes. `command` is what to type on the edge box."""

    edge: str
    code: str
    expires_at: str
    command: str


class EdgeEnrolIn(BaseModel):
    code: SecretStr


class EdgeEnrolled(BaseModel):
    """All an edge agent needs to deliver: its names on the wire, its sign-in at the broker, and the authority to trust (PEM) where TLS is spoken."""

    group: str
    edge: str
    host_id: str
    broker_host: str
    broker_port: int
    user: str
    password: str
    ca_pem: str | None
