"""Ingest's statements, declared once. Nothing here commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mes_server.ingest.errors import MarkMoved
from mes_server.ingest.facts import DeviceState
from mes_server.ingest.models import IngestDevice, IngestHolder, IngestMark, IngestParked, IngestQuarantine

QUARANTINE_ROWS_MAX = 2_000
QUARANTINE_PAYLOAD_MAX = 65_536
QUARANTINE_RECORD_MAX = 1_000_000  # of one with a delivery mark: it may be taken in again
PARKED_ROWS_MAX = 200_000

_MARK = cast(sa.Table, IngestMark.__table__)
_DEVICE = cast(sa.Table, IngestDevice.__table__)
_PARKED = cast(sa.Table, IngestParked.__table__)
_QUARANTINE = cast(sa.Table, IngestQuarantine.__table__)

_MOVE = (
    sa.update(_MARK)
    .where(_MARK.c.edge == sa.bindparam("b_edge"), _MARK.c.epoch == sa.bindparam("b_epoch"), _MARK.c.n == sa.bindparam("b_old"))
    .values(n=sa.bindparam("b_new"), moved_ms=sa.bindparam("b_now"))
)
_NEW_MARK = sa.insert(_MARK)
_STATE = sa.select(_DEVICE.c.state).where(_DEVICE.c.edge == sa.bindparam("edge"), _DEVICE.c.device == sa.bindparam("device"))
_SET_STATE = (
    sa.update(_DEVICE)
    .where(_DEVICE.c.edge == sa.bindparam("b_edge"), _DEVICE.c.device == sa.bindparam("b_device"))
    .values(state=sa.bindparam("b_state"))
)
_NEW_STATE = sa.insert(_DEVICE)
_PARK = sa.insert(_PARKED)
_PUT_ASIDE = sa.insert(_QUARANTINE)


def marks(session: Session) -> dict[tuple[str, str], int]:
    return {(row.edge, row.epoch): row.n for row in session.execute(sa.select(_MARK.c.edge, _MARK.c.epoch, _MARK.c.n))}


def move_mark(session: Session, edge: str, epoch: str, old: int, new: int, now_ms: int) -> None:
    """Guarded: raises MarkMoved if the mark is not where this process believes it to be (a second ingest on one database)."""
    moved = session.execute(_MOVE, {"b_edge": edge, "b_epoch": epoch, "b_old": old, "b_new": new, "b_now": now_ms}).rowcount  # type: ignore[attr-defined]
    if moved == 1:
        return
    exists = session.execute(sa.select(_MARK.c.n).where(_MARK.c.edge == edge, _MARK.c.epoch == epoch)).scalar_one_or_none()
    if exists is not None or old != 0:
        raise MarkMoved(edge=edge, epoch=epoch, expected=old, found=exists if exists is not None else "-")
    session.execute(_NEW_MARK, {"edge": edge, "epoch": epoch, "n": new, "born_ms": now_ms, "moved_ms": now_ms})


def set_mark(session: Session, edge: str, epoch: str, n: int, now_ms: int) -> None:
    """Unguarded: for records the edge no longer has."""
    if session.execute(sa.update(_MARK).where(_MARK.c.edge == edge, _MARK.c.epoch == epoch).values(n=n, moved_ms=now_ms)).rowcount == 0:  # type: ignore[attr-defined]
        session.execute(_NEW_MARK, {"edge": edge, "epoch": epoch, "n": n, "born_ms": now_ms, "moved_ms": now_ms})


def holders(session: Session) -> dict[str, str]:
    """Edge -> machine that holds its identity."""
    return {row.edge: row.machine for row in session.execute(sa.select(IngestHolder.edge, IngestHolder.machine))}


def set_holders(session: Session, found: Mapping[str, str], now_ms: int) -> None:
    for edge, machine in found.items():
        session.merge(IngestHolder(edge=edge, machine=machine, since_ms=now_ms))


def device_state(session: Session, edge: str, device: str) -> DeviceState | None:
    text = session.execute(_STATE, {"edge": edge, "device": device}).scalar_one_or_none()
    return None if text is None else DeviceState.from_json(text)


def put_device_states(session: Session, states: Mapping[tuple[str, str], DeviceState], known: set[tuple[str, str]]) -> None:
    """`known` are the devices that have a row already."""
    old = [{"b_edge": key[0], "b_device": key[1], "b_state": state.to_json()} for key, state in states.items() if key in known]
    new = [{"edge": key[0], "device": key[1], "state": state.to_json()} for key, state in states.items() if key not in known]
    if old:
        session.execute(_SET_STATE, old)
    if new:
        session.execute(_NEW_STATE, new)


def park(session: Session, rows: Sequence[dict[str, object]]) -> None:
    session.execute(_PARK, list(rows))


def parked_devices(session: Session) -> dict[tuple[str, str], int]:
    """(edge, device) -> records parked."""
    query = sa.select(_PARKED.c.edge, _PARKED.c.device, sa.func.count().label("records")).group_by(_PARKED.c.edge, _PARKED.c.device)
    return {(row.edge, row.device): row.records for row in session.execute(query)}


def take_parked(session: Session, edge: str, device: str, limit: int) -> Sequence[Any]:
    """Reads and deletes the oldest parked records of a device: rows (epoch, n, events)."""
    rows = session.execute(
        sa.select(_PARKED.c.id, _PARKED.c.epoch, _PARKED.c.n, _PARKED.c.events)
        .where(_PARKED.c.edge == edge, _PARKED.c.device == device)
        .order_by(_PARKED.c.id)
        .limit(limit)
    ).all()
    if rows:
        session.execute(sa.delete(_PARKED).where(_PARKED.c.edge == edge, _PARKED.c.device == device, _PARKED.c.id <= rows[-1].id))
    return rows


def put_aside(session: Session, rows: Sequence[dict[str, object]]) -> None:
    """Adds to the quarantine and keeps the newest QUARANTINE_ROWS_MAX."""
    session.execute(_PUT_ASIDE, list(rows))
    newest = session.execute(sa.select(sa.func.max(_QUARANTINE.c.id))).scalar_one()
    session.execute(sa.delete(_QUARANTINE).where(_QUARANTINE.c.id <= newest - QUARANTINE_ROWS_MAX))


def put_aside_rows(session: Session, *, after: int | None, limit: int) -> Sequence[Any]:
    """Newest first: id, at_ms, topic, reason, mark, bytes."""
    size = sa.func.length(_QUARANTINE.c.payload).label("bytes")
    query = sa.select(_QUARANTINE.c.id, _QUARANTINE.c.at_ms, _QUARANTINE.c.topic, _QUARANTINE.c.reason, _QUARANTINE.c.mark, size)
    if after is not None:
        query = query.where(_QUARANTINE.c.id < after)
    return session.execute(query.order_by(_QUARANTINE.c.id.desc()).limit(limit)).all()


def put_aside_row(session: Session, record: int) -> Any | None:
    return session.execute(sa.select(_QUARANTINE).where(_QUARANTINE.c.id == record)).one_or_none()


def forget_put_aside(session: Session, record: int) -> None:
    session.execute(sa.delete(_QUARANTINE).where(_QUARANTINE.c.id == record))


def put_aside_figures(session: Session) -> tuple[int, int | None, str]:
    """(rows, when the newest came, its reason)."""
    count = session.execute(sa.select(sa.func.count()).select_from(_QUARANTINE)).scalar_one()
    newest = session.execute(sa.select(_QUARANTINE.c.at_ms, _QUARANTINE.c.reason).order_by(_QUARANTINE.c.id.desc()).limit(1)).one_or_none()
    return count, newest.at_ms if newest else None, newest.reason if newest else ""
