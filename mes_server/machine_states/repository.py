"""SQL of the facts. Hot writes are Core statements, declared once for both engines; a repeat of a fact changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from mes_server.machine_states.models import DataGap, DayRevision, MachineLive, StatePoint, StopReason, StopSplit, WatchMark
from mes_server.machine_states.schemas import PRODUCING, Hole, Note, Point, Watch

Rows = Sequence[dict[str, Any]]

_POINT: sa.Table = StatePoint.__table__  # type: ignore[assignment]
_WATCH: sa.Table = WatchMark.__table__  # type: ignore[assignment]
_GAP: sa.Table = DataGap.__table__  # type: ignore[assignment]
_LIVE: sa.Table = MachineLive.__table__  # type: ignore[assignment]
_REVISION: sa.Table = DayRevision.__table__  # type: ignore[assignment]
_REASON: sa.Table = StopReason.__table__  # type: ignore[assignment]
_SPLIT: sa.Table = StopSplit.__table__  # type: ignore[assignment]


def _least(dialect: str, *args: Any) -> Any:
    return sa.func.min(*args) if dialect == "sqlite" else sa.func.least(*args)


def _greatest(dialect: str, *args: Any) -> Any:
    return sa.func.max(*args) if dialect == "sqlite" else sa.func.greatest(*args)


def _insert(dialect: str, table: sa.Table) -> Any:
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def _point_upsert(dialect: str) -> Any:
    insert = _insert(dialect, _POINT)
    said = {name: sa.func.coalesce(insert.excluded[name], _POINT.c[name]) for name in ("state", "state_raw", "alarm")}
    return insert.on_conflict_do_update(index_elements=["machine", "at_ms"], set_=said)


def _watch_upsert(dialect: str) -> Any:
    insert = _insert(dialect, _WATCH)
    wider = {
        "from_ms": _least(dialect, insert.excluded.from_ms, _WATCH.c.from_ms),
        "until_ms": _greatest(dialect, insert.excluded.until_ms, _WATCH.c.until_ms),
    }
    return insert.on_conflict_do_update(index_elements=["subject", "source"], set_=wider)


def _gap_insert(dialect: str) -> Any:
    return _insert(dialect, _GAP).on_conflict_do_nothing()


def _live_upsert(dialect: str) -> Any:
    """A newer word wins; `since` stays while the state stays."""
    insert = _insert(dialect, _LIVE)
    new, old = insert.excluded, _LIVE.c
    state = sa.func.coalesce(new.state, old.state)
    values = {
        "at_ms": new.at_ms,
        "since_ms": sa.case((state == old.state, old.since_ms), else_=new.since_ms),
        "state": state,
        "state_raw": sa.func.coalesce(new.state_raw, old.state_raw),
        "alarm": sa.func.coalesce(new.alarm, old.alarm),
        "order_no": sa.func.coalesce(new.order_no, old.order_no),
        "op_no": sa.func.coalesce(new.op_no, old.op_no),
    }
    return insert.on_conflict_do_update(index_elements=["machine"], set_=values, where=new.at_ms >= old.at_ms)


def _revision_upsert(dialect: str) -> Any:
    insert = _insert(dialect, _REVISION)
    return insert.on_conflict_do_update(index_elements=["subject", "day"], set_={"revision": _REVISION.c.revision + 1})


_DIALECTS = ("sqlite", "postgresql")
_UPSERT_POINT = {name: _point_upsert(name) for name in _DIALECTS}
_UPSERT_WATCH = {name: _watch_upsert(name) for name in _DIALECTS}
_INSERT_GAP = {name: _gap_insert(name) for name in _DIALECTS}
_UPSERT_LIVE = {name: _live_upsert(name) for name in _DIALECTS}

_UPSERT_REVISION = {name: _revision_upsert(name) for name in _DIALECTS}


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name


def put_points(session: Session, rows: Rows) -> None:
    session.connection().execute(_UPSERT_POINT[_dialect(session)], rows)


def put_watches(session: Session, rows: Rows) -> None:
    session.connection().execute(_UPSERT_WATCH[_dialect(session)], rows)


def put_gaps(session: Session, rows: Rows) -> None:
    session.connection().execute(_INSERT_GAP[_dialect(session)], rows)


def put_live(session: Session, rows: Rows) -> None:
    session.connection().execute(_UPSERT_LIVE[_dialect(session)], rows)


def put_reason(session: Session, row: dict[str, Any]) -> None:
    session.connection().execute(sa.insert(_REASON), row)


def put_split(session: Session, row: dict[str, Any]) -> None:
    session.connection().execute(sa.insert(_SPLIT), row)


def touch(session: Session, days: Iterable[tuple[str, int]]) -> None:
    """Facts of these machines or meters and UTC days came in."""
    rows = [{"subject": subject, "day": day, "revision": 1} for subject, day in sorted(set(days))]
    if rows:
        session.connection().execute(_UPSERT_REVISION[_dialect(session)], rows)


def revisions(session: Session, subjects: Sequence[str], first_day: int, last_day: int) -> dict[str, dict[int, int]]:
    out: dict[str, dict[int, int]] = {subject: {} for subject in subjects}
    query = sa.select(_REVISION).where(_REVISION.c.subject.in_(subjects), _REVISION.c.day >= first_day, _REVISION.c.day <= last_day)
    for row in session.execute(query):
        out[row.subject][row.day] = row.revision
    return out


# --- reads ------------------------------------------------------------------------------------------------------------------------
_MACHINE: sa.BindParameter[Any] = sa.bindparam("machine")
_AT: sa.BindParameter[Any] = sa.bindparam("at")
_LAST_PRODUCING = (
    sa.select(_POINT.c.at_ms)
    .where(_POINT.c.machine == _MACHINE, _POINT.c.at_ms <= _AT, _POINT.c.state == PRODUCING)
    .order_by(_POINT.c.at_ms.desc())
    .limit(1)
)
_FIRST_PRODUCING = (
    sa.select(_POINT.c.at_ms)
    .where(_POINT.c.machine == _MACHINE, _POINT.c.at_ms >= _AT, _POINT.c.state == PRODUCING)
    .order_by(_POINT.c.at_ms)
    .limit(1)
)


def _last_said(column: sa.Column[Any]) -> Any:
    return (
        sa.select(column)
        .where(_POINT.c.machine == _MACHINE, _POINT.c.at_ms < _AT, column.is_not(None))
        .order_by(_POINT.c.at_ms.desc())
        .limit(1)
        .scalar_subquery()
    )


_BEFORE = sa.select(
    _last_said(_POINT.c.state).label("state"), _last_said(_POINT.c.state_raw).label("state_raw"), _last_said(_POINT.c.alarm).label("alarm")
)
_POINTS = (
    sa.select(_POINT.c.at_ms, _POINT.c.state, _POINT.c.state_raw, _POINT.c.alarm)
    .where(_POINT.c.machine == _MACHINE, _POINT.c.at_ms >= sa.bindparam("from_ms"), _POINT.c.at_ms < sa.bindparam("to_ms"))
    .order_by(_POINT.c.at_ms)
)


def last_producing(session: Session, machine: str, at_ms: int) -> int | None:
    """When the machine last began (or said again) to produce, at or before `at_ms`."""
    return session.execute(_LAST_PRODUCING, {"machine": machine, "at": at_ms}).scalar_one_or_none()


def first_producing(session: Session, machine: str, at_ms: int) -> int | None:
    return session.execute(_FIRST_PRODUCING, {"machine": machine, "at": at_ms}).scalar_one_or_none()


def points(session: Session, machine: str, from_ms: int, to_ms: int) -> list[Point]:
    """Change points of [from_ms, to_ms), with what held just before as a point at `from_ms` - 1."""
    before = session.execute(_BEFORE, {"machine": machine, "at": from_ms}).one()
    rows = session.execute(_POINTS, {"machine": machine, "from_ms": from_ms, "to_ms": to_ms})
    found = list(map(Point._make, rows))
    if before.state is not None or before.alarm is not None or before.state_raw is not None:
        found.insert(0, Point(from_ms - 1, before.state, before.state_raw, before.alarm))
    return found


def watches(session: Session, subjects: Sequence[str]) -> dict[str, list[Watch]]:
    out: dict[str, list[Watch]] = {subject: [] for subject in subjects}
    for row in session.execute(sa.select(_WATCH).where(_WATCH.c.subject.in_(subjects)).order_by(_WATCH.c.subject, _WATCH.c.from_ms)):
        out[row.subject].append(Watch(row.source, row.from_ms, row.until_ms))
    return out


def holes(session: Session, subjects: Sequence[str], from_ms: int, to_ms: int) -> dict[str, list[Hole]]:
    """Gaps that touch [from_ms, to_ms), per machine or meter."""
    out: dict[str, list[Hole]] = {subject: [] for subject in subjects}
    query = sa.select(_GAP.c.subject, _GAP.c.from_ms, _GAP.c.to_ms, _GAP.c.source, _GAP.c.cause).where(
        _GAP.c.subject.in_(subjects), _GAP.c.to_ms > from_ms, _GAP.c.from_ms < to_ms
    )
    for row in session.execute(query):
        out[row.subject].append(Hole(row.from_ms, row.to_ms, row.source, row.cause))
    return {subject: sorted(found) for subject, found in out.items()}


def gap_rows(
    session: Session, *, machine: str | None, device: str | None, from_ms: int, to_ms: int, after: Sequence[Any] | None, limit: int
) -> Sequence[sa.Row[Any]]:
    query = sa.select(_GAP).where(_GAP.c.to_ms > from_ms, _GAP.c.from_ms < to_ms)
    if machine is not None:
        query = query.where(_GAP.c.machine == machine)
    if device is not None:
        query = query.where(_GAP.c.device == device)
    key = (_GAP.c.from_ms, _GAP.c.subject, _GAP.c.source, _GAP.c.to_ms, _GAP.c.cause)
    if after is not None:
        query = query.where(sa.tuple_(*key) > sa.tuple_(*(sa.literal(value) for value in after)))
    return session.execute(query.order_by(*key).limit(limit)).all()


def notes(session: Session, machines: Sequence[str], from_ms: int, to_ms: int) -> dict[str, list[Note]]:
    out: dict[str, list[Note]] = {machine: [] for machine in machines}
    query = sa.select(_REASON).where(_REASON.c.machine.in_(machines), _REASON.c.stop_from_ms >= from_ms, _REASON.c.stop_from_ms < to_ms)
    for row in session.execute(query):
        out[row.machine].append(Note(row.event_id, row.stop_from_ms, row.occurred_ms, row.reason, row.person, row.note))
    return out


def splits(session: Session, machines: Sequence[str], from_ms: int, to_ms: int) -> dict[str, list[int]]:
    out: dict[str, list[int]] = {machine: [] for machine in machines}
    query = sa.select(_SPLIT.c.machine, _SPLIT.c.at_ms).where(_SPLIT.c.machine.in_(machines), _SPLIT.c.at_ms >= from_ms, _SPLIT.c.at_ms < to_ms)
    for row in session.execute(query.order_by(_SPLIT.c.at_ms)):
        out[row.machine].append(row.at_ms)
    return out


def live(session: Session, machines: Sequence[str]) -> dict[str, sa.Row[Any]]:
    return {row.machine: row for row in session.execute(sa.select(_LIVE).where(_LIVE.c.machine.in_(machines)))}
