"""Commands and views of quality."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from mes_server.kit.command import Command
from mes_server.work_orders.schemas import Code, EventRef, LabelCode, Note, PiecesSaid

PhotoId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Subject(BaseModel):
    """What a defect or hold is about."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["serial", "lot", "operation"]
    code: LabelCode


class LogDefect(Command):
    type: ClassVar[str] = "defect.logged"
    right: ClassVar[str] = "quality.defect"

    subject: Subject
    code: Code
    quantity: PiecesSaid = 1
    note: Note | None = None
    photos: Annotated[tuple[PhotoId, ...], Field(max_length=10)] = ()
    hold: bool = False


class PlaceHold(Command):
    type: ClassVar[str] = "hold.placed"
    right: ClassVar[str] = "quality.hold"

    subject: Subject
    reason: Code
    note: Note | None = None


class ReleaseHold(Command):
    type: ClassVar[str] = "hold.released"
    right: ClassVar[str] = "quality.release"

    hold: EventRef
    reason: Code
    note: Note | None = None


class SavePhoto(Command):
    """Registers a picture that lies in the data folder already; the door's `event_id` is the client's X-Event-Id."""

    type: ClassVar[str] = "photo.saved"
    right: ClassVar[str] = "quality.defect"

    photo: PhotoId
    mime: Literal["image/jpeg", "image/png", "image/webp"]
    size: int


class DefectCodeView(BaseModel):
    code: str
    zh: str
    en: str


class DefectView(BaseModel):
    id: str
    subject: Subject
    code: str
    code_zh: str
    code_en: str
    quantity: int
    note: str | None
    photos: list[str]
    person: str | None
    at: str
    hold: str | None


class HoldView(BaseModel):
    hold: str
    subject: Subject
    reason: str
    note: str | None
    person: str | None
    at: str
    released_at: str | None
    released_by: str | None
    release_reason: str | None
