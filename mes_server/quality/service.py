"""Logging defects, placing and releasing holds, keeping photos."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Command, Done, ServiceFunction, recorded_ms
from mes_server.kit.files import write_whole
from mes_server.kit.http import Page, decode_cursor, encode_cursor
from mes_server.materials import service as materials
from mes_server.plant import service as plant
from mes_server.quality import repository, rules
from mes_server.quality.errors import AlreadyReleased, DefectCodeUnknown, HoldUnknown, NotAPhoto, PhotoTooLarge, PhotoUnknown
from mes_server.quality.schemas import DefectCodeView, DefectView, HoldView, LogDefect, PlaceHold, ReleaseHold, SavePhoto, Subject
from mes_server.work_orders import service as work_orders

DEFECT_HOLD_REASON = "defect"


# --- acts -----------------------------------------------------------------------------------------------------------------------------------
def log_defect(session: Session, actor: Actor, command: LogDefect) -> Done:
    """Books a defect on a serial, lot or operation; with `hold` the subject is frozen in the same act."""
    actor.require(command.right, _area(session, command.subject))
    quantity = work_orders.whole_pieces(command.quantity)
    reasons = plant.model(session).reasons
    if command.code not in reasons:
        raise DefectCodeUnknown(what="defect", key=command.code, defect=command.code)
    _check_subject(session, command.subject)
    missing = set(command.photos) - repository.photos_there(session, list(command.photos)) if command.photos else set()
    if missing:
        raise PhotoUnknown(what="photo", key=min(missing), photo=min(missing)[:12])
    event_id, at_ms = str(command.event_id), min(command.occurred_ms, recorded_ms(session))
    repository.insert_defect(
        session,
        {
            "event_id": event_id,
            "subject_kind": command.subject.kind,
            "subject_code": command.subject.code,
            "code": command.code,
            "quantity": quantity,
            "note": command.note,
            "photos": list(command.photos),
            "person": actor.person,
            "at_ms": at_ms,
            "hold": event_id if command.hold else None,
        },
    )
    if command.hold:
        _place(session, event_id, command.subject, DEFECT_HOLD_REASON, command.note, actor.person, at_ms)
    answer = {
        "defect": event_id,
        "subject": command.subject.model_dump(),
        "code": command.code,
        "quantity": quantity,
        "hold": event_id if command.hold else None,
    }
    return Done(_subject(command.subject), answer, dict(answer), [("quality", {"event": "defect", **answer})])


def place_hold(session: Session, actor: Actor, command: PlaceHold) -> Done:
    actor.require(command.right, _area(session, command.subject))
    event_id, at_ms = str(command.event_id), min(command.occurred_ms, recorded_ms(session))
    _place(session, event_id, command.subject, command.reason, command.note, actor.person, at_ms)
    answer = {"hold": event_id, "subject": command.subject.model_dump(), "reason": command.reason}
    return Done(_subject(command.subject), answer, dict(answer), [("quality", {"event": "hold", **answer})])


def release_hold(session: Session, actor: Actor, command: ReleaseHold) -> Done:
    row = repository.hold(session, command.hold)
    if row is None:
        raise HoldUnknown(what="hold", key=command.hold)
    subject = Subject(kind=row.subject_kind, code=row.subject_code)
    actor.require(command.right, _area(session, subject))
    at_ms = min(command.occurred_ms, recorded_ms(session))
    if not repository.release(session, row.id, at_ms, actor.person, command.reason):
        raise AlreadyReleased(person=row.released_by or "-", since=iso(row.released_ms or at_ms))
    _step(session, subject, -1, at_ms)
    answer = {"hold": command.hold, "subject": subject.model_dump(), "reason": command.reason}
    return Done(_subject(subject), answer, dict(answer), [("quality", {"event": "release", **answer})])


def _place(session: Session, event_id: str, subject: Subject, reason: str, note: str | None, person: str | None, at_ms: int) -> None:
    _step(session, subject, 1, at_ms)
    row = {
        "event_id": event_id,
        "subject_kind": subject.kind,
        "subject_code": subject.code,
        "reason": reason,
        "note": note,
        "person": person,
        "at_ms": at_ms,
    }
    repository.insert_hold(session, row)


def _step(session: Session, subject: Subject, step: int, at_ms: int) -> None:
    """Raises what is not known: the lot, the serial, the operation."""
    if subject.kind == "operation":
        work_orders.hold_operation(session, subject.code, step)
    else:
        materials.set_hold(session, subject.kind, subject.code, step, at_ms)


def _check_subject(session: Session, subject: Subject) -> None:
    if subject.kind == "operation":
        work_orders.operation_facts(session, subject.code)
    elif subject.kind == "lot":
        materials.lot_row(session, subject.code)
    else:
        materials.serial_row(session, subject.code)


def _area(session: Session, subject: Subject) -> str | None:
    """The line a subject belongs to, where it belongs to one: of its operation's machine, of the machine that made the serial."""
    machine: str | None = None
    if subject.kind == "operation":
        machine = next(iter(work_orders.operation_facts(session, subject.code).machines), None)
    elif subject.kind == "serial":
        serial = materials.find_serial(session, subject.code)
        machine = serial.machine if serial is not None else None
    found = plant.model(session).machines.get(machine) if machine is not None else None
    return found.line if found is not None else None


def _subject(subject: Subject) -> str:
    return f"{subject.kind}:{subject.code}"


# --- photos ---------------------------------------------------------------------------------------------------------------------------------
def store_photo(folder: Path, content: bytes) -> tuple[str, str]:
    """Writes the picture under its SHA-256 (once) and returns (id, MIME type). Raises PhotoTooLarge, NotAPhoto."""
    if len(content) > rules.PHOTO_BYTES_MAX:
        raise PhotoTooLarge(limit_mb=rules.PHOTO_BYTES_MAX // 1_000_000)
    mime = rules.picture_type(content[:16])
    if mime is None:
        raise NotAPhoto
    name = hashlib.sha256(content).hexdigest()
    target = folder / name[:2] / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, content)
    return name, mime


def save_photo(session: Session, actor: Actor, command: SavePhoto) -> Done:
    if repository.photo(session, command.photo) is None:
        row = {"sha256": command.photo, "mime": command.mime, "size": command.size, "person": actor.person, "at_ms": recorded_ms(session)}
        repository.insert_photo(session, row)
    return Done(f"photo:{command.photo[:40]}", {"photo": command.photo}, {"size": command.size})


def photo_file(session: Session, folder: Path, photo: str) -> tuple[Path, str]:
    """(path, MIME type). Raises PhotoUnknown."""
    row: sa.Row[Any] | None = repository.photo(session, photo)
    path = folder / photo[:2] / photo
    if row is None or not path.exists():
        raise PhotoUnknown(what="photo", key=photo, photo=photo[:12])
    return path, row.mime


# --- reading --------------------------------------------------------------------------------------------------------------------------------
def defect_codes(session: Session) -> list[DefectCodeView]:
    """The plant's scrap reasons, in the order of their tiles."""
    return [DefectCodeView(code=one.code, zh=one.zh, en=one.en) for one in plant.model(session).scrap_reasons()]


def defects_page(
    session: Session,
    *,
    subject: tuple[str, str] | None = None,
    code: str | None = None,
    from_ms: int | None = None,
    to_ms: int | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[DefectView]:
    key = decode_cursor(cursor, 1)
    after = None if key is None else int(key[0])
    rows = repository.defects_page(session, subject=subject, code=code, from_ms=from_ms, to_ms=to_ms, after=after, limit=limit + 1)
    reasons = plant.model(session).reasons
    items = []
    for row in rows[:limit]:
        reason = reasons.get(row.code)
        items.append(
            DefectView(
                id=row.event_id,
                subject=Subject(kind=row.subject_kind, code=row.subject_code),
                code=row.code,
                code_zh=reason.zh if reason else row.code,
                code_en=reason.en if reason else row.code,
                quantity=row.quantity,
                note=row.note,
                photos=row.photos,
                person=row.person,
                at=iso(row.at_ms),
                hold=row.hold,
            )
        )
    return Page(items=items, next=encode_cursor([rows[limit - 1].id]) if len(rows) > limit else None)


def holds_page(session: Session, *, open_only: bool | None, limit: int, cursor: str | None) -> Page[HoldView]:
    key = decode_cursor(cursor, 1)
    rows = repository.holds_page(session, open_only=open_only, after=None if key is None else int(key[0]), limit=limit + 1)
    return Page(items=[hold_view(row) for row in rows[:limit]], next=encode_cursor([rows[limit - 1].id]) if len(rows) > limit else None)


def holds_on(session: Session, kind: str, codes: Sequence[str], *, open_only: bool = True) -> list[HoldView]:
    return [hold_view(row) for row in repository.holds_on(session, kind, codes, open_only=open_only)] if codes else []


def hold_view(row: Any) -> HoldView:
    return HoldView(
        hold=row.event_id,
        subject=Subject(kind=row.subject_kind, code=row.subject_code),
        reason=row.reason,
        note=row.note,
        person=row.person,
        at=iso(row.at_ms),
        released_at=None if row.released_ms is None else iso(row.released_ms),
        released_by=row.released_by,
        release_reason=row.release_reason,
    )


ACTS: dict[str, tuple[type[Command], ServiceFunction]] = {
    "defect.log": (LogDefect, log_defect),
    "hold.place": (PlaceHold, place_hold),
    "hold.release": (ReleaseHold, release_hold),
}
