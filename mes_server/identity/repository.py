"""SQL of people, sessions, devices and tokens."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mes_server.identity.models import ApiTokenRow, DeviceRow, PersonRoleRow, PersonRow, SessionRow, SetupTokenRow


def person(session: Session, code: str) -> PersonRow | None:
    return session.get(PersonRow, code)


def person_by(session: Session, *, user: str | None = None, badge_hashes: Collection[str] = ()) -> PersonRow | None:
    if user is not None:
        return session.execute(sa.select(PersonRow).where(PersonRow.user == user)).scalar_one_or_none()
    return session.execute(sa.select(PersonRow).where(PersonRow.badge_hash.in_(badge_hashes))).scalars().first()


def people(session: Session, *, after: str | None = None, limit: int | None = None, active_only: bool = False) -> Sequence[PersonRow]:
    query = sa.select(PersonRow).order_by(PersonRow.code)
    if after is not None:
        query = query.where(PersonRow.code > after)
    if active_only:
        query = query.where(PersonRow.active)
    return session.execute(query.limit(limit)).scalars().all()


def names(session: Session, codes: Collection[str]) -> dict[str, str]:
    return dict(session.execute(sa.select(PersonRow.code, PersonRow.name).where(PersonRow.code.in_(codes))).all())


def roles(session: Session, people_codes: Collection[str]) -> dict[str, list[tuple[str, str]]]:
    """(role, area) pairs by person."""
    found: dict[str, list[tuple[str, str]]] = {code: [] for code in people_codes}
    query = sa.select(PersonRoleRow).where(PersonRoleRow.person.in_(people_codes)).order_by(PersonRoleRow.role, PersonRoleRow.area)
    for row in session.execute(query).scalars():
        found[row.person].append((row.role, row.area))
    return found


def set_roles(session: Session, code: str, wanted: Iterable[tuple[str, str]]) -> None:
    session.execute(sa.delete(PersonRoleRow).where(PersonRoleRow.person == code))
    session.add_all(PersonRoleRow(person=code, role=role, area=area) for role, area in sorted(set(wanted)))
    session.flush()


def administrators(session: Session) -> set[str]:
    """Active people who are admin everywhere and can sign in."""
    able = sa.or_(PersonRow.password_hash.is_not(None), PersonRow.badge_hash.is_not(None), PersonRow.pin_hash.is_not(None))
    query = sa.select(PersonRow.code).join(PersonRoleRow, PersonRoleRow.person == PersonRow.code)
    query = query.where(PersonRow.active, PersonRoleRow.role == "admin", PersonRoleRow.area == "", able)
    return set(session.execute(query).scalars())


def ever_had_administrator(session: Session) -> bool:
    return session.execute(sa.select(PersonRoleRow.person).where(PersonRoleRow.role == "admin").limit(1)).first() is not None


# --- sessions ---------------------------------------------------------------------------------------------------------------------------
def session_row(session: Session, token_hash: str) -> SessionRow | None:
    return session.get(SessionRow, token_hash)


def end_sessions(session: Session, *, token_hash: str | None = None, person_code: str | None = None, device: str | None = None) -> list[str]:
    """Deletes sessions; returns their token hashes."""
    query = sa.delete(SessionRow).returning(SessionRow.token_hash)
    if token_hash is not None:
        query = query.where(SessionRow.token_hash == token_hash)
    if person_code is not None:
        query = query.where(SessionRow.person == person_code)
    if device is not None:
        query = query.where(SessionRow.device == device)
    return list(session.execute(query).scalars())


def note_seen(session: Session, seen: Mapping[str, int]) -> None:
    if seen:
        table = SessionRow.__table__
        assert isinstance(table, sa.Table)
        statement = table.update().where(table.c.token_hash == sa.bindparam("hash")).values(seen_real_ms=sa.bindparam("seen"))
        session.connection().execute(statement, [{"hash": key, "seen": at} for key, at in seen.items()])


def drop_ended(session: Session, now_real_ms: int) -> int:
    over = sa.or_(SessionRow.ends_real_ms <= now_real_ms, SessionRow.seen_real_ms + SessionRow.idle_ms < now_real_ms)
    return len(session.execute(sa.delete(SessionRow).where(over).returning(SessionRow.token_hash)).all())


def signed_in_since(session: Session, since_real_ms: int, station: str | None) -> dict[str, int]:
    """Last sign-in of each person with a session, at a station's devices or anywhere."""
    query = sa.select(SessionRow.person, sa.func.max(SessionRow.opened_real_ms)).where(SessionRow.opened_real_ms >= since_real_ms)
    if station is not None:
        query = query.where(SessionRow.station == station)
    return dict(session.execute(query.group_by(SessionRow.person)).all())


# --- devices, tokens, set-up ------------------------------------------------------------------------------------------------------------
def device_by(session: Session, *, code: str | None = None, token_hash: str | None = None, enrol_hash: str | None = None) -> DeviceRow | None:
    query = sa.select(DeviceRow).where(DeviceRow.revoked_ms.is_(None))
    wanted: dict[str, Any] = {"code": code, "token_hash": token_hash, "enrol_hash": enrol_hash}
    for column, value in wanted.items():
        if value is not None:
            query = query.where(getattr(DeviceRow, column) == value)
    return session.execute(query).scalar_one_or_none()


def devices(session: Session) -> Sequence[DeviceRow]:
    return session.execute(sa.select(DeviceRow).where(DeviceRow.revoked_ms.is_(None)).order_by(DeviceRow.code)).scalars().all()


def api_tokens(session: Session) -> Sequence[ApiTokenRow]:
    return session.execute(sa.select(ApiTokenRow).where(ApiTokenRow.revoked_ms.is_(None)).order_by(ApiTokenRow.code)).scalars().all()


def api_token_by(session: Session, *, code: str | None = None, token_hash: str | None = None) -> ApiTokenRow | None:
    query = sa.select(ApiTokenRow).where(ApiTokenRow.revoked_ms.is_(None))
    query = query.where(ApiTokenRow.code == code) if code is not None else query.where(ApiTokenRow.token_hash == token_hash)
    return session.execute(query).scalar_one_or_none()


def setup_token(session: Session) -> SetupTokenRow | None:
    return session.get(SetupTokenRow, 1)


def put_setup_token(session: Session, token_hash: str, ends_real_ms: int) -> None:
    session.execute(sa.delete(SetupTokenRow))
    session.execute(sa.insert(SetupTokenRow).values(id=1, token_hash=token_hash, ends_real_ms=ends_real_ms))


def drop_setup_token(session: Session) -> None:
    session.execute(sa.delete(SetupTokenRow))
