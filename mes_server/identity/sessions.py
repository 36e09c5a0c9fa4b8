"""Sessions and API tokens: opened, looked up on every request (in memory), ended at once. Their times are real, never plant time."""

from __future__ import annotations

import asyncio
import secrets
import threading
from dataclasses import dataclass
from uuid import UUID

from fastapi import Request
from sqlalchemy.orm import Session

from edge_agent.contract.clock import Clock
from mes_server.identity import repository, rules
from mes_server.identity.errors import HeaderMissing, SessionEnded, ShownOnce
from mes_server.identity.models import ApiTokenRow, PersonRow, SessionRow
from mes_server.kit import journal
from mes_server.kit.actor import Actor
from mes_server.kit.acts import after_commit, recorded_ms
from mes_server.kit.errors import Lang, NotSignedIn
from mes_server.kit.http import Kit
from mes_server.kit.ids import uuid7

COOKIE = "gemba_session"
FOR_EVER_MS = 1 << 60
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(slots=True)
class LiveSession:
    """What a request needs, in memory. `seen_ms` moves with each request and is written back by `tidy`."""

    actor: Actor
    person: str
    device: str | None
    station: str | None
    ends_ms: int
    idle_ms: int
    seen_ms: int
    is_session: bool


@dataclass(frozen=True, slots=True)
class Place:
    """The enrolled device somebody stands at."""

    device: str
    kind: str
    station: str | None


@dataclass(frozen=True, slots=True)
class IdleTimes:
    """Seconds without a request after which a session ends: on a tablet, in the office, with the right to edit people; and its whole life."""

    tablet_s: int
    office_s: int
    admin_s: int
    whole_s: int


class Sessions:
    """The one process's memory of who is signed in; the store behind it survives a restart."""

    def __init__(self, kit: Kit, real: Clock, times: IdleTimes) -> None:
        self._kit = kit
        self._real = real
        self._times = times
        self._live: dict[str, LiveSession] = {}
        self._lock = threading.Lock()
        self._forgotten = 0  # counts revocations: what was read before one is not remembered after it

    @property
    def whole_s(self) -> int:
        return self._times.whole_s

    # --- every request ------------------------------------------------------------------------------------------------------------
    async def authenticate(self, request: Request) -> Actor:
        """The actor of a request. Raises NotSignedIn, SessionEnded, HeaderMissing. In memory: microseconds."""
        return (await self.find(request)).actor

    async def find(self, request: Request) -> LiveSession:
        token = token_of(request)
        if token is None:
            raise NotSignedIn
        key = rules.token_hash(token)
        live = self._live.get(key)
        if live is None:
            live = await asyncio.to_thread(self._load, key)
        now_ms = self._real.now_ms()
        if now_ms >= live.ends_ms or now_ms - live.seen_ms > live.idle_ms:
            self.forget(key)
            raise SessionEnded
        live.seen_ms = now_ms
        return live

    def _load(self, key: str) -> LiveSession:
        before = self._forgotten
        with self._kit.db.read() as session:
            live = _session_of(session, key) or _api_token_of(session, key) or _wall_of(session, key)
        if live is None:
            raise SessionEnded
        with self._lock:
            if self._forgotten == before:
                self._live[key] = live
        return live

    # --- opening and ending -------------------------------------------------------------------------------------------------------
    def open(self, session: Session, person: PersonRow, place: Place | None, means: str, *, instead_of: str | None = None) -> tuple[str, SessionRow]:
        """A new session (128 random bits and more) in the caller's transaction; the one the request came with ends."""
        roles = repository.roles(session, [person.code])[person.code]
        rights = rules.rights_of(roles)
        if place is not None:
            idle_s = self._times.tablet_s
        else:
            idle_s = self._times.admin_s if "people.edit" in rights else self._times.office_s
        token, now_real = secrets.token_urlsafe(32), self._real.now_ms()
        row = SessionRow(
            token_hash=rules.token_hash(token),
            person=person.code,
            device=place.device if place else None,
            station=place.station if place else None,
            means=means,
            opened_real_ms=now_real,
            seen_real_ms=now_real,
            ends_real_ms=now_real + self._times.whole_s * 1000,
            idle_ms=idle_s * 1000,
        )
        session.add(row)
        if instead_of is not None:
            self.end(session, token_hash=rules.token_hash(instead_of))
        session.flush()
        return token, row

    def end(self, session: Session, *, token_hash: str | None = None, person: str | None = None, device: str | None = None) -> int:
        """Ends sessions in the caller's transaction; they are refused from the commit on. Returns how many."""
        ended = repository.end_sessions(session, token_hash=token_hash, person_code=person, device=device)
        after_commit(session, lambda: self.forget(*ended, *self._at(device)))
        return len(ended)

    def _at(self, device: str | None) -> list[str]:
        return [] if device is None else [key for key, live in list(self._live.items()) if live.device == device]

    def forget(self, *keys: str) -> None:
        """Drops what is in memory; the next request reads the store."""
        with self._lock:
            self._forgotten += 1
            for key in keys:
                self._live.pop(key, None)

    def forget_person(self, person: str) -> None:
        """The person's rights changed: they hold from the next request on."""
        self.forget(*[key for key, live in list(self._live.items()) if live.person == person])

    # --- now and then -------------------------------------------------------------------------------------------------------------
    async def tidy(self) -> None:
        """Writes back when sessions were last seen and deletes what has ended."""
        seen = {key: live.seen_ms for key, live in list(self._live.items()) if live.is_session}
        now_ms = self._real.now_ms()

        def write(session: Session) -> int:
            repository.note_seen(session, seen)
            return repository.drop_ended(session, now_ms)

        await self._kit.acts.run_system(write)
        over = [key for key, live in list(self._live.items()) if now_ms >= live.ends_ms or now_ms - live.seen_ms > live.idle_ms]
        if over:
            self.forget(*over)


def token_of(request: Request) -> str | None:
    """The bearer token, else the cookie; a write by cookie needs the header that only our own pages can send."""
    authorization = request.headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        return token if scheme.lower() == "bearer" and token else None
    token = request.cookies.get(COOKIE, "")
    if token and request.method not in _SAFE and request.headers.get("x-gemba") != "1":
        raise HeaderMissing
    return token or None


def _session_of(session: Session, key: str) -> LiveSession | None:
    row = repository.session_row(session, key)
    person = repository.person(session, row.person) if row is not None else None
    if row is None or person is None or not person.active:
        return None
    actor = actor_of(session, person, row.device)
    return LiveSession(actor, person.code, row.device, row.station, row.ends_real_ms, row.idle_ms, row.seen_real_ms, True)


def _api_token_of(session: Session, key: str) -> LiveSession | None:
    row: ApiTokenRow | None = repository.api_token_by(session, token_hash=key)
    if row is None:
        return None
    rights = rules.rights_of((one["role"], one.get("area") or "") for one in row.roles)
    ends = row.ends_real_ms if row.ends_real_ms is not None else FOR_EVER_MS
    return LiveSession(Actor(row.code, None, rights, via="token"), row.code, None, None, ends, FOR_EVER_MS, 0, False)


def _wall_of(session: Session, key: str) -> LiveSession | None:
    """A wall has nobody before it: its device token reads, and does nothing else, until it is revoked."""
    row = repository.device_by(session, token_hash=key)
    if row is None or row.kind != "wall":
        return None
    return LiveSession(Actor(None, row.code, frozenset({"read"}), via="token"), "", row.code, None, FOR_EVER_MS, FOR_EVER_MS, 0, False)


def actor_of(session: Session, person: PersonRow, device: str | None) -> Actor:
    """The actor a person is, with the rights of their roles."""
    lang: Lang = "en" if person.lang == "en" else "zh"
    return Actor(person.code, device, rules.rights_of(repository.roles(session, [person.code])[person.code]), lang=lang)


def once(session: Session, key: UUID | None) -> None:
    """Raises ShownOnce where the request with this Idempotency-Key was done before: its secret is kept nowhere, it cannot be answered again."""
    subject = journal.subject_of(session, str(key)) if key is not None else None
    if subject is not None:
        raise ShownOnce(subject=subject.partition(":")[2])


def note(
    session: Session, type: str, subject: str, *, person: str | None, device: str | None = None, payload: str = "{}", key: UUID | None = None
) -> None:
    """A journal record of what the server itself does about access (sign-in, lock, device, token), in the caller's transaction.

    `key`: the request's Idempotency-Key, the record's id then (see `once`).
    """
    now_ms = recorded_ms(session)
    journal.append(
        session,
        event_id=str(key or uuid7(now_ms)),
        type=type,
        subject=subject,
        occurred_ms=now_ms,
        recorded_ms=now_ms,
        person=person,
        device=device,
        payload=payload,
    )
