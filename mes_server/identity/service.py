"""What other slices may ask about people, and the acts that change them. `Identity` (app.state.identity) holds what lives as long as the server."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import Request
from pydantic import SecretStr
from sqlalchemy.orm import Session

from edge_agent.contract.clock import Clock
from mes_server.identity import repository, rules
from mes_server.identity.errors import (
    BadgeWeak,
    LastAdministrator,
    PasswordWeak,
    PersonExists,
    PinWeak,
    RoleUnknown,
    SignInNameTaken,
    SignInRefused,
    UnknownPerson,
)
from mes_server.identity.hashing import Hasher
from mes_server.identity.limits import Limits
from mes_server.identity.models import PersonRow
from mes_server.identity.schemas import AddPerson, ChangePerson, PersonView, RoleIn
from mes_server.identity.sessions import Sessions, actor_of
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Done, after_commit, recorded_ms
from mes_server.kit.files import write_whole
from mes_server.kit.http import Kit
from mes_server.kit.services import Every

TIDY_S = 20.0


@dataclass(frozen=True, slots=True)
class PersonBrief:
    """A person as other slices see one."""

    code: str
    name: str
    active: bool


# --- for other slices -------------------------------------------------------------------------------------------------------------------
def names(session: Session, codes: Collection[str]) -> dict[str, str]:
    """Names of those of these people that exist."""
    return repository.names(session, codes)


def person_of_badge(session: Session, scanned: str) -> PersonBrief | None:
    """Whose badge was scanned (own prefix or not); None for an unknown one."""
    row = repository.person_by(session, badge_hashes=[rules.token_hash(form) for form in rules.badge_forms(scanned)])
    return PersonBrief(row.code, row.name, row.active) if row is not None else None


def actor_of_badge(session: Session, scanned: str, *, device: str | None) -> Actor:
    """The actor a badge stands for (a second person's act on somebody's tablet). Raises SignInRefused."""
    row = repository.person_by(session, badge_hashes=[rules.token_hash(form) for form in rules.badge_forms(scanned)])
    if row is None or not row.active:
        raise SignInRefused
    return actor_of(session, row, device)


class Identity:
    """Sessions, limits, the hasher and the badge key of one server."""

    def __init__(self, kit: Kit, real: Clock, *, sessions: Sessions, limits: Limits, hasher: Hasher, key_path: Path, times: SetupTimes) -> None:
        self.kit = kit
        self.real = real
        self.sessions = sessions
        self.limits = limits
        self.hasher = hasher
        self.times = times
        self._key_path = key_path
        self._key = b""
        self.tidy = Every("session-tidy", TIDY_S, sessions.tidy)

    async def start(self) -> None:
        self._key = await asyncio.to_thread(_badge_key, self._key_path)
        await self.tidy.start()

    async def stop(self) -> None:
        await self.tidy.stop()
        await self.sessions.tidy()

    async def authenticate(self, request: Request) -> Actor:
        return await self.sessions.authenticate(request)

    def made_badge(self, person: str, serial: int) -> str:
        return rules.made_badge(self._key, person, serial)

    def printable_badges(self, session: Session, codes: Collection[str]) -> list[tuple[PersonBrief, str | None]]:
        """(person, badge code) for badge cards; the code is None where the badge was not made by this server (only its hash is known)."""
        rows = [row for code in codes if (row := repository.person(session, code)) is not None]
        return [(PersonBrief(row.code, row.name, row.active), self.made_badge(row.code, row.badge_serial) if row.badge_own else None) for row in rows]


@dataclass(frozen=True, slots=True)
class SetupTimes:
    """Seconds a set-up token and an enrolment code are good for."""

    setup_s: int
    enrolment_s: int


def _badge_key(path: Path) -> bytes:
    """The installation's own key, made at the first start, readable by the server's user only."""
    if not path.exists() or not path.stat().st_size:  # empty: left by a power cut in the first start; badges made with it could be guessed
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, secrets.token_bytes(32))
    return path.read_bytes()


# --- the acts ---------------------------------------------------------------------------------------------------------------------------
def hashed(hasher: Hasher, command: AddPerson | ChangePerson, user: str | None) -> dict[str, str | None]:
    """The columns that the command's secrets set, checked and hashed; slow on purpose, so it runs before the writer. Raises PinWeak, …"""
    columns: dict[str, str | None] = {}
    pin, password, badge = _plain(command.pin), _plain(command.password), _plain(command.badge)
    if pin is not None:
        if pin and not rules.pin_is_good(pin):
            raise PinWeak
        columns["pin_hash"] = hasher.hash(pin) if pin else None
    if password is not None:
        if password and not rules.password_is_good(password, user or ""):
            raise PasswordWeak(length=rules.PASSWORD_LENGTH)
        columns["password_hash"] = hasher.hash(password) if password else None
    if badge is not None:
        code = rules.badge_forms(badge)[0]
        if badge and not rules.badge_is_good(code):
            raise BadgeWeak(length=rules.BADGE_LENGTH)
        columns["badge_hash"] = rules.token_hash(code) if badge else None
    return columns


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def add_person(session: Session, actor: Actor, command: AddPerson, *, identity: Identity, columns: dict[str, str | None]) -> Done:
    """Raises PersonExists, SignInNameTaken, RoleUnknown, Forbidden (only an administrator makes one)."""
    actor.require("people.edit")
    if repository.person(session, command.code) is not None:
        raise PersonExists(person=command.code)
    _may_give(actor, command.roles, ())
    _free(session, command.code, command.user, columns)
    row = PersonRow(
        code=command.code,
        name=command.name,
        user=command.user,
        lang=command.lang,
        active=command.active,
        badge_serial=0,
        badge_own=False,
        changed_ms=recorded_ms(session),
    )
    _set_secrets(row, columns, command.issue_badge, identity)
    session.add(row)
    session.flush()
    repository.set_roles(session, row.code, [(one.role, one.area or "") for one in command.roles])
    return Done(subject=f"person:{row.code}", answer=view(session, row).model_dump(mode="json"), effect={"secrets": sorted(columns)})


def change_person(session: Session, actor: Actor, command: ChangePerson, *, identity: Identity, columns: dict[str, str | None]) -> Done:
    """Raises UnknownPerson, SignInNameTaken, RoleUnknown, Forbidden, LastAdministrator. Rights hold at once; lost secrets end the sessions."""
    actor.require("people.edit")
    row = repository.person(session, command.code or "")
    if row is None:
        raise UnknownPerson(person=command.code)
    had = repository.roles(session, [row.code])[row.code]
    if command.roles is not None or command.active is not None or columns or command.issue_badge:
        _may_give(actor, command.roles or (), had)
    _free(session, row.code, command.user, columns)
    before = repository.administrators(session)
    for name in ("name", "user", "lang", "active"):
        value = getattr(command, name)
        if value is not None:
            setattr(row, name, value)
    _set_secrets(row, columns, command.issue_badge, identity)
    row.changed_ms = recorded_ms(session)
    if command.roles is not None:
        repository.set_roles(session, row.code, [(one.role, one.area or "") for one in command.roles])
    session.flush()
    if row.code in before and not repository.administrators(session):
        raise LastAdministrator(person=row.code)
    if columns or command.issue_badge or not row.active:
        identity.sessions.end(session, person=row.code)
    code = row.code
    after_commit(session, lambda: identity.sessions.forget_person(code))
    return Done(
        subject=f"person:{row.code}", answer=view(session, row).model_dump(mode="json"), effect={"secrets": sorted(columns), "roles_before": had}
    )


def _may_give(actor: Actor, wanted: Collection[RoleIn], had: Collection[tuple[str, str]]) -> None:
    for one in wanted:
        if one.role not in rules.ROLES:
            raise RoleUnknown(role=one.role, roles=", ".join(rules.ROLES))
    if any(one.role == "admin" for one in wanted) or any(role == "admin" for role, _ in had):
        actor.require("admin")


def _free(session: Session, code: str, user: str | None, columns: dict[str, str | None]) -> None:
    if user is not None:
        other = repository.person_by(session, user=user)
        if other is not None and other.code != code:
            raise SignInNameTaken(what="user name / 用户名")
    badge = columns.get("badge_hash")
    if badge is not None:
        other = repository.person_by(session, badge_hashes=[badge])
        if other is not None and other.code != code:
            raise SignInNameTaken(what="badge / 工牌")


def _set_secrets(row: PersonRow, columns: dict[str, str | None], issue_badge: bool, identity: Identity) -> None:
    for name, value in columns.items():
        setattr(row, name, value)
    if "badge_hash" in columns:
        row.badge_own = False
    if issue_badge:
        row.badge_serial += 1
        row.badge_own = True
        row.badge_hash = rules.token_hash(identity.made_badge(row.code, row.badge_serial))


def view(session: Session, row: PersonRow) -> PersonView:
    return views(session, [row])[0]


def views(session: Session, rows: Collection[PersonRow]) -> list[PersonView]:
    roles = repository.roles(session, [row.code for row in rows])
    return [PersonView.model_validate(_person(row, roles[row.code])) for row in rows]


def _person(row: PersonRow, roles: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "code": row.code,
        "name": row.name,
        "user": row.user,
        "lang": row.lang,
        "roles": role_list(roles),
        "active": row.active,
        "has_badge": row.badge_hash is not None,
        "has_pin": row.pin_hash is not None,
        "has_password": row.password_hash is not None,
    }


def role_list(roles: Collection[tuple[str, str]]) -> tuple[RoleIn, ...]:
    return tuple(RoleIn(role=role, area=area or None) for role, area in roles)
