"""Signing in and out, first set-up, devices, API tokens: what the server does about access. Each leaves its journal record."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from uuid import UUID

from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.identity import repository, rules
from mes_server.identity.errors import (
    DeviceUnknown,
    EnrolmentWrong,
    PasswordWeak,
    RoleUnknown,
    SetupClosed,
    SetupTokenWrong,
    SignInRefused,
    UnknownApiToken,
    UnknownDevice,
)
from mes_server.identity.models import ApiTokenRow, DeviceRow, PersonRow
from mes_server.identity.schemas import (
    ApiTokenIn,
    ApiTokenMade,
    ApiTokenView,
    DeviceView,
    EnrolmentIn,
    EnrolmentOut,
    EnrolOut,
    Invitation,
    Me,
    OnShift,
    RoleIn,
    SessionOpened,
    SetUp,
    SignIn,
)
from mes_server.identity.service import Identity, role_list
from mes_server.identity.sessions import Place, note, once
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Acts, recorded_ms

EDGE = "edge"  # a device kind: an edge box; it signs in at the broker, not here
ON_SHIFT_MS = 12 * 3_600_000
ON_SHIFT_MAX = 60
DAY_MS = 86_400_000


# --- signing in -------------------------------------------------------------------------------------------------------------------------
def sign_in(identity: Identity, body: SignIn, *, address: str, device_token: str | None, old_token: str | None) -> SessionOpened:
    """Opens a session. Raises SignInRefused (always the same words), TooManyTries, DeviceUnknown."""
    place = place_of(identity, device_token) if device_token else None
    named = f"pin:{body.person.upper()}" if body.person else f"user:{body.user}" if body.user else None
    others = [f"address:{address}"] + ([f"device:{place.device}"] if place else [])
    if body.badge is not None:
        others.append(f"badge:{rules.token_hash(body.badge.get_secret_value())}")
    identity.limits.check(named, others)
    means = "badge" if body.badge is not None else "pin" if body.pin is not None else "password"
    code = _recognise(identity, body)
    if code is None:
        if identity.limits.wrong(named, others):
            identity.kit.acts.run_system_sync(lambda session: _note_lock(session, named or "", place))
        raise SignInRefused
    identity.limits.right(named)
    return identity.kit.acts.run_system_sync(lambda session: _open(identity, session, code, place, means, old_token))


def _recognise(identity: Identity, body: SignIn) -> str | None:
    """The code of the active person whose secret fits; takes as long for nobody as for somebody."""
    with identity.kit.db.read() as session:
        if body.badge is not None:
            forms = rules.badge_forms(body.badge.get_secret_value())
            row = repository.person_by(session, badge_hashes=[rules.token_hash(form) for form in forms])
            return row.code if row is not None and row.active else None
        row = repository.person(session, body.person) if body.person else repository.person_by(session, user=body.user)
        found = (row.code, row.active, row.pin_hash if body.pin is not None else row.password_hash) if row is not None else None
    secret = body.pin if body.pin is not None else body.password
    fits = identity.hasher.fits(secret.get_secret_value() if secret is not None else "", found[2] if found else None)
    return found[0] if found is not None and found[1] and fits else None


def _open(identity: Identity, session: Session, code: str, place: Place | None, means: str, old_token: str | None) -> SessionOpened:
    person = repository.person(session, code)
    if person is None or not person.active:
        raise SignInRefused
    token, row = identity.sessions.open(session, person, place, means, instead_of=old_token)
    note(session, "session.opened", f"person:{code}", person=code, device=row.device, payload=json.dumps({"means": means, "station": row.station}))
    return SessionOpened(token=token, expires_at=iso(row.ends_real_ms), person=me(session, person), station=row.station, device=row.device)


def _note_lock(session: Session, named: str, place: Place | None) -> None:
    note(session, "person.locked", f"sign-in:{named[:100]}", person=None, device=place.device if place else None)


def sign_out(identity: Identity, actor: Actor, token: str) -> None:
    """Ends this session."""

    def end(session: Session) -> None:
        if identity.sessions.end(session, token_hash=rules.token_hash(token)):
            note(session, "session.closed", f"person:{actor.person}", person=actor.person, device=actor.device)

    identity.kit.acts.run_system_sync(end)


def me(session: Session, person: PersonRow) -> Me:
    roles = repository.roles(session, [person.code])[person.code]
    rights = tuple(sorted(rules.rights_of(roles)))
    return Me.model_validate({"code": person.code, "name": person.name, "lang": person.lang, "roles": role_list(roles), "rights": rights})


def on_shift(identity: Identity, station: str | None) -> list[OnShift]:
    """Active people who may report and have a PIN, those last signed in here first: for the tablet's PIN fall-back."""
    with identity.kit.db.read() as session:
        recent = repository.signed_in_since(session, identity.real.now_ms() - ON_SHIFT_MS, station)
        rows = [row for row in repository.people(session, active_only=True) if row.pin_hash is not None]
        roles = repository.roles(session, [row.code for row in rows])
        able = [row for row in rows if any(right.startswith("floor.report") for right in rules.rights_of(roles[row.code]))]
    able.sort(key=lambda row: (-recent.get(row.code, 0), row.code))
    return [OnShift(code=row.code, name=row.name, initials=rules.initials(row.name)) for row in able[:ON_SHIFT_MAX]]


# --- first set-up -----------------------------------------------------------------------------------------------------------------------
def setup_needed(session: Session) -> bool:
    return not repository.ever_had_administrator(session)


def issue_setup_token(session: Session, now_real_ms: int, good_s: int) -> str | None:
    """A new one-time token (the one before stops working); None once somebody is administrator."""
    if not setup_needed(session):
        return None
    token = secrets.token_urlsafe(24)
    repository.put_setup_token(session, rules.token_hash(token), now_real_ms + good_s * 1000)
    return token


def set_up(identity: Identity, body: SetUp, *, address: str) -> SessionOpened:
    """Makes the first administrator. Raises SetupClosed for ever after, SetupTokenWrong, TooManyTries, PasswordWeak."""
    key = [f"setup:{address}"]
    identity.limits.check(None, key)
    password = body.password.get_secret_value()
    given = rules.token_hash(body.token.get_secret_value())

    def check(session: Session) -> None:
        if not setup_needed(session):
            raise SetupClosed
        row = repository.setup_token(session)
        if row is None or identity.real.now_ms() >= row.ends_real_ms or not secrets.compare_digest(row.token_hash, given):
            raise SetupTokenWrong

    try:
        with identity.kit.db.read() as session:
            check(session)
    except SetupTokenWrong:
        identity.limits.wrong(None, key)
        raise
    if not rules.password_is_good(password, body.user):
        raise PasswordWeak(length=rules.PASSWORD_LENGTH)
    password_hash = identity.hasher.hash(password)

    def make(session: Session) -> SessionOpened:
        check(session)
        code = make_administrator(session, name=body.name, user=body.user, password_hash=password_hash, lang=body.lang)
        return _open(identity, session, code, None, "setup", None)

    return identity.kit.acts.run_system_sync(make)


def make_administrator(session: Session, *, name: str, user: str, password_hash: str, lang: str) -> str:
    """The first administrator, in the caller's transaction; returns the person's code."""
    code = user if rules_code(user) else "admin"
    row = PersonRow(
        code=code,
        name=name,
        user=user,
        lang=lang,
        active=True,
        badge_serial=0,
        badge_own=False,
        password_hash=password_hash,
        changed_ms=recorded_ms(session),
    )
    session.add(row)
    session.flush()
    repository.set_roles(session, code, [("admin", "")])
    repository.drop_setup_token(session)
    note(session, "server.set_up", f"person:{code}", person=code)
    return code


def rules_code(text: str) -> bool:
    return len(text) <= 64 and all(char.isascii() and (char.isalnum() or char in "._-") for char in text)


# --- devices ----------------------------------------------------------------------------------------------------------------------------
def place_of(identity: Identity, device_token: str) -> Place:
    """The enrolled device of a token. Raises DeviceUnknown."""
    with identity.kit.db.read() as session:
        row = repository.device_by(session, token_hash=rules.token_hash(device_token))
        if row is None:
            raise DeviceUnknown
        return Place(row.code, row.kind, row.station)


def begin_enrolment(identity: Identity, actor: Actor, body: EnrolmentIn, *, base_url: str, key: UUID | None = None) -> EnrolmentOut:
    """A one-time code that makes a device this plant's."""
    code = base64.b32encode(secrets.token_bytes(10)).decode()
    until = identity.real.now_ms() + identity.times.enrolment_s * 1000

    def add(session: Session) -> str:
        once(session, key)
        device = f"D-{secrets.token_hex(4).upper()}"
        row = DeviceRow(
            code=device, name=body.name, kind=body.kind, station=body.station, enrol_hash=rules.token_hash(code), enrol_until_real_ms=until
        )
        session.add(row)
        session.flush()
        note(session, "device.invited", f"device:{device}", person=actor.person, device=actor.device, key=key)
        return device

    device = identity.kit.acts.run_system_sync(add)
    return EnrolmentOut(device=device, code=code, code_url=f"{base_url}/scanner/?enrol={code}", expires_at=iso(until))


def enrol(identity: Identity, code: str, *, address: str) -> EnrolOut:
    """Turns a one-time code into a device token. Raises EnrolmentWrong, TooManyTries."""
    key = [f"enrol:{address}"]
    identity.limits.check(None, key)
    given, token = rules.token_hash(code.strip().upper()), secrets.token_urlsafe(32)

    def take(session: Session) -> EnrolOut:
        row = repository.device_by(session, enrol_hash=given)
        if row is None or row.kind == EDGE or row.enrol_until_real_ms is None or identity.real.now_ms() >= row.enrol_until_real_ms:
            raise EnrolmentWrong
        row.enrol_hash, row.enrol_until_real_ms = None, None
        row.token_hash, row.enrolled_ms = rules.token_hash(token), recorded_ms(session)
        session.flush()
        note(session, "device.enrolled", f"device:{row.code}", person=None, device=row.code)
        return EnrolOut(device=row.code, device_token=token, station=row.station, kind=row.kind)

    try:
        return identity.kit.acts.run_system_sync(take)
    except EnrolmentWrong:
        identity.limits.wrong(None, key)
        raise


def invite_edge(
    acts: Acts, edge: str, *, real_now_ms: int, good_s: int, actor: Actor | None, readmitted: bool = False, key: UUID | None = None
) -> Invitation:
    """A one-time code for an edge box; a new one makes the old one worthless. The box's own sign-in at the broker is not touched by it.

    `actor` None: the command line. `readmitted`: it had been put out, and is let in again. Raises EnrolmentWrong where a tablet has that name.
    """
    code = base64.b32encode(secrets.token_bytes(10)).decode()
    until = real_now_ms + good_s * 1000

    def put(session: Session) -> None:
        once(session, key)
        row = session.get(DeviceRow, edge)  # one that was removed, too
        if row is not None and row.kind != EDGE:
            raise EnrolmentWrong
        if row is None:
            row = DeviceRow(code=edge, name=edge, kind=EDGE, station=None)
            session.add(row)
        if row.revoked_ms is not None:
            row.enrolled_ms = None
        row.enrol_hash, row.enrol_until_real_ms, row.revoked_ms = rules.token_hash(code), until, None
        session.flush()
        person, device = (actor.person, actor.device) if actor else (None, None)
        if readmitted:
            note(session, "device.readmitted", f"device:{edge}", person=person, device=device)
        note(session, "device.invited", f"device:{edge}", person=person, device=device, key=key)

    acts.run_system_sync(put)
    return Invitation(edge=edge, code=code, expires_at=iso(until))


def enrol_edge(identity: Identity, code: str, *, address: str) -> str:
    """The edge id that the one-time code was made for. Raises EnrolmentWrong, TooManyTries."""
    key = [f"enrol:{address}"]
    identity.limits.check(None, key)
    given = rules.token_hash(code.strip().upper())

    def take(session: Session) -> str:
        row = repository.device_by(session, enrol_hash=given)
        if row is None or row.kind != EDGE or row.enrol_until_real_ms is None or identity.real.now_ms() >= row.enrol_until_real_ms:
            raise EnrolmentWrong
        row.enrol_hash, row.enrol_until_real_ms = None, None
        row.enrolled_ms = recorded_ms(session)
        session.flush()
        note(session, "device.enrolled", f"device:{row.code}", person=None, device=row.code)
        return row.code

    try:
        return identity.kit.acts.run_system_sync(take)
    except EnrolmentWrong:
        identity.limits.wrong(None, key)
        raise


def devices(identity: Identity) -> list[DeviceView]:
    with identity.kit.db.read() as session:
        return [
            DeviceView(
                code=row.code,
                name=row.name,
                kind=row.kind,
                station=row.station,
                enrolled_at=iso(row.enrolled_ms) if row.enrolled_ms is not None else None,
                waiting_until=iso(row.enrol_until_real_ms) if row.enrol_until_real_ms is not None else None,
            )
            for row in repository.devices(session)
        ]


def revoke_device(identity: Identity, actor: Actor, code: str, *, put_edge_out: Callable[[str], None]) -> None:
    """Its token and its sessions end at once; an edge box is put out at the broker first. Raises UnknownDevice, what `put_edge_out` raises."""
    with identity.kit.db.read() as session:
        row = repository.device_by(session, code=code)
        if row is None:
            raise UnknownDevice(device=code)
        is_edge = row.kind == EDGE and row.enrolled_ms is not None  # else only its code is taken back
    if is_edge:
        put_edge_out(code)

    def revoke(session: Session) -> None:
        row = repository.device_by(session, code=code)
        if row is None:
            raise UnknownDevice(device=code)
        row.revoked_ms, row.token_hash, row.enrol_hash = recorded_ms(session), None, None
        identity.sessions.end(session, device=code)
        note(session, "device.revoked", f"device:{code}", person=actor.person, device=actor.device)

    identity.kit.acts.run_system_sync(revoke)


# --- API tokens -------------------------------------------------------------------------------------------------------------------------
def make_api_token(identity: Identity, actor: Actor, body: ApiTokenIn, key: UUID | None = None) -> ApiTokenMade:
    """A token for another program; shown once. Raises RoleUnknown."""
    for one in body.roles:
        if one.role not in rules.ROLES:
            raise RoleUnknown(role=one.role, roles=", ".join(rules.ROLES))
    token = f"gemba_{secrets.token_urlsafe(32)}"
    ends = identity.real.now_ms() + body.days * DAY_MS if body.days is not None else None

    def add(session: Session) -> ApiTokenMade:
        once(session, key)
        code = f"api-{secrets.token_hex(4)}"
        roles = [one.model_dump() for one in body.roles]
        row = ApiTokenRow(
            code=code,
            name=body.name,
            token_hash=rules.token_hash(token),
            roles=roles,
            created_by=actor.person,
            created_ms=recorded_ms(session),
            ends_real_ms=ends,
        )
        session.add(row)
        session.flush()
        payload = json.dumps({"roles": roles})
        note(session, "api_token.made", f"api_token:{code}", person=actor.person, device=actor.device, payload=payload, key=key)
        return ApiTokenMade(**_token_view(row).model_dump(), token=token)

    return identity.kit.acts.run_system_sync(add)


def api_tokens(identity: Identity) -> list[ApiTokenView]:
    with identity.kit.db.read() as session:
        return [_token_view(row) for row in repository.api_tokens(session)]


def _token_view(row: ApiTokenRow) -> ApiTokenView:
    return ApiTokenView(
        code=row.code,
        name=row.name,
        roles=tuple(RoleIn.model_validate(one) for one in row.roles),
        created_at=iso(row.created_ms),
        created_by=row.created_by,
        expires_at=iso(row.ends_real_ms) if row.ends_real_ms is not None else None,
    )


def revoke_api_token(identity: Identity, actor: Actor, code: str) -> None:
    """Refused from the commit on. Raises UnknownApiToken."""

    def revoke(session: Session) -> str:
        row = repository.api_token_by(session, code=code)
        if row is None:
            raise UnknownApiToken(token=code)
        row.revoked_ms = recorded_ms(session)
        note(session, "api_token.revoked", f"api_token:{code}", person=actor.person, device=actor.device)
        return row.token_hash

    identity.sessions.forget(identity.kit.acts.run_system_sync(revoke))
