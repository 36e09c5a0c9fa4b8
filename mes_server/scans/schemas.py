"""Shapes of the tablets' door."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from mes_server.kit.acts import Command
from mes_server.work_orders.schemas import Code, EventRef

BATCH_MAX = 500


class CallHelp(Command):
    type: ClassVar[str] = "help.called"
    right: ClassVar[str] = "floor.report"

    machine: Code
    kind: Literal["leader", "maintenance", "quality", "material"]


class AnswerHelp(Command):
    type: ClassVar[str] = "help.answered"
    right: ClassVar[str] = "floor.report"

    call: EventRef


class RetryRefused(Command):
    """The supervisor books a refused act after all; the order's state no longer forbids it."""

    type: ClassVar[str] = "decide.retried"
    right: ClassVar[str] = "supervise.correct"

    refused: EventRef


class DropRefused(Command):
    type: ClassVar[str] = "decide.dropped"
    right: ClassVar[str] = "supervise.correct"

    refused: EventRef
    note: Annotated[str | None, Field(max_length=500)] = None


class ActAnswer(BaseModel):
    """Its place in the journal, whether it had been recorded before, and what it changed."""

    event_id: str
    seq: int
    replay: bool
    body: dict[str, Any]


class ActsBatch(BaseModel):
    """A tablet's waiting acts in its order, each as for POST /acts; `device_time` is the tablet's clock now."""

    device_time: AwareDatetime
    acts: Annotated[list[dict[str, Any]], Field(max_length=BATCH_MAX)]


class BatchResult(BaseModel):
    """done | replay | refused (it is on the list “To decide”) | retry (send it again, with everything after it for the same operation)."""

    event_id: str | None
    status: Literal["done", "replay", "refused", "retry"]
    body: dict[str, Any] | None = None
    problem: dict[str, Any] | None = None


class BatchAnswer(BaseModel):
    results: list[BatchResult]
    clock_offset_s: float  # how far the tablet's clock is ahead of the plant's


class RefusedView(BaseModel):
    event_id: str
    type: str
    person: str | None
    device: str | None
    occurred_at: str
    refused_at: str
    problem: dict[str, Any]
    act: dict[str, Any]
    status: str


class DecideBody(BaseModel):
    """The supervisor's own act."""

    event_id: UUID
    occurred_at: AwareDatetime
    note: Annotated[str | None, Field(max_length=500)] = None
