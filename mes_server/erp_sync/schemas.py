"""Shapes of the ERP desk (API.md, "ERP")."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, Field

from mes_server.kit.command import Command


class ErpStatus(BaseModel):
    connected: bool
    since: str | None
    error_en: str
    error_zh: str
    last_in: str | None
    last_out: str | None
    outbox_waiting: int
    oldest_waiting_s: float | None
    refused: int
    refused_in: int
    not_yet_sent: int
    counts: dict[str, int]


class ErpMessageView(BaseModel):
    """One message either way. `zh`/`en` say in plain words what it is, `erp_message` are the ERP's own words."""

    id: str
    direction: str
    kind: str
    order: str | None
    sequence: int | None
    status: str
    attempts: int
    created_at: str
    posted_at: str | None
    erp_document: str | None
    erp_message: str | None
    zh: str
    en: str
    payload: Any
    waiting_behind: int


class ErpChangeView(BaseModel):
    id: int
    order: str
    kind: str
    old: str
    new: str
    made: int
    proposal_zh: str
    proposal_en: str
    status: str
    created_at: str
    decided_at: str | None
    decided_by: str | None


class RetryMessage(Command):
    type: ClassVar[str] = "erp.message_retried"
    right: ClassVar[str] = "erp.desk"
    message: str = Field(default="", max_length=40)


class DropMessage(Command):
    type: ClassVar[str] = "erp.message_dropped"
    right: ClassVar[str] = "erp.desk"
    message: str = Field(default="", max_length=40)
    reason: str = Field(min_length=3, max_length=300)


class PostedByHand(Command):
    type: ClassVar[str] = "erp.message_posted_by_hand"
    right: ClassVar[str] = "erp.desk"
    message: str = Field(default="", max_length=40)
    document: str = Field(min_length=1, max_length=80)


class DecideChange(Command):
    type: ClassVar[str] = "erp.change_decided"
    right: ClassVar[str] = "plan.orders"
    change: int = 0
    accept: bool = True
    reason: str = Field(default="", max_length=300)
