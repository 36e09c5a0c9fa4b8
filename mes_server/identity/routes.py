"""Set-up, session, people, devices, API tokens."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from edge_agent.contract.clock import iso
from mes_server.identity import access, repository, rules, service
from mes_server.identity.errors import UnknownPerson
from mes_server.identity.schemas import (
    AddPerson,
    ApiTokenIn,
    ApiTokenMade,
    ApiTokenView,
    ChangePerson,
    DeviceView,
    EnrolIn,
    EnrolmentIn,
    EnrolmentOut,
    EnrolOut,
    Me,
    OnShift,
    PersonView,
    SessionOpened,
    SessionView,
    SetUp,
    SetupState,
    SignIn,
)
from mes_server.identity.service import Identity, role_list
from mes_server.identity.sessions import COOKIE, FOR_EVER_MS, LiveSession, token_of
from mes_server.kit.actor import Actor
from mes_server.kit.errors import NotSignedIn
from mes_server.kit.http import OPEN, CursorQuery, KitDep, LimitQuery, Page, allow, decode_cursor, encode_cursor, page_of

router = APIRouter(tags=["identity"])


async def identity_of(request: Request) -> Identity:
    return cast(Identity, request.app.state.identity)


IdentityDep = Annotated[Identity, Depends(identity_of)]
# A secret is answered once and kept nowhere: the same key again makes nothing new and says so (409), where an act would give the same answer.
IdempotencyKey = Annotated[UUID | None, Header(alias="Idempotency-Key", description="A UUID of the client's: done once, however often it is sent")]


def address_of(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def _old_token(request: Request) -> str | None:
    """The token a sign-in comes with (that session ends); the cookie's header rule does not matter here."""
    _, _, bearer = request.headers.get("authorization", "").partition(" ")
    return bearer or request.cookies.get(COOKIE) or None


def _with_cookie(request: Request, response: Response, opened: SessionOpened, whole_s: int) -> SessionOpened:
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, opened.token, max_age=whole_s, path="/", httponly=True, samesite="strict", secure=secure)
    return opened


async def _at_a_device(request: Request) -> None:
    """An enrolled device, or somebody who is signed in: names of people are for nobody else."""
    token = request.headers.get("x-device")
    if token is not None:
        await asyncio.to_thread(access.place_of, request.app.state.identity, token)
        return
    actor: Actor = await request.app.state.authenticate(request)
    actor.require("read") if not actor.may_somewhere("read") else None


_at_a_device.gemba_right = "enrolled device or read"  # type: ignore[attr-defined]


# --- set-up and session -----------------------------------------------------------------------------------------------------------------
@router.get("/setup", operation_id="get_setup", dependencies=[OPEN])
def get_setup(kit: KitDep) -> SetupState:
    """Whether this server waits for its first administrator."""
    with kit.db.read() as session:
        return SetupState(needed=access.setup_needed(session))


@router.post("/setup", operation_id="set_up", dependencies=[OPEN])
def set_up(request: Request, response: Response, identity: IdentityDep, body: SetUp) -> SessionOpened:
    """Makes the first administrator with the one-time token that the server printed; closed for ever afterwards."""
    opened = access.set_up(identity, body, address=address_of(request))
    return _with_cookie(request, response, opened, identity.sessions.whole_s)


@router.post("/session", operation_id="sign_in", dependencies=[OPEN])
def sign_in(request: Request, response: Response, identity: IdentityDep, body: SignIn) -> SessionOpened:
    """Badge, person and PIN, or user and password. Header X-Device: the enrolled device's token."""
    device_token = request.headers.get("x-device")
    opened = access.sign_in(identity, body, address=address_of(request), device_token=device_token, old_token=_old_token(request))
    return _with_cookie(request, response, opened, identity.sessions.whole_s)


@router.delete("/session", operation_id="sign_out", status_code=204)
def sign_out(request: Request, response: Response, identity: IdentityDep, actor: Actor = allow("read")) -> None:
    token = token_of(request)
    if token is not None:
        access.sign_out(identity, actor, token)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


async def _live(request: Request, identity: IdentityDep) -> LiveSession:
    return await identity.sessions.find(request)


_live.gemba_right = "any session"  # type: ignore[attr-defined]


@router.get("/me", operation_id="get_me")
def get_me(kit: KitDep, live: Annotated[LiveSession, Depends(_live)]) -> SessionView:
    """Who this session is."""
    ends = iso(live.ends_ms) if live.ends_ms < FOR_EVER_MS else None
    with kit.db.read() as session:
        if live.is_session:
            person = repository.person(session, live.person)
            if person is None:
                raise NotSignedIn
            who = access.me(session, person)
        else:
            token = repository.api_token_by(session, code=live.person)
            if token is None:
                raise NotSignedIn
            roles = role_list([(one["role"], one.get("area") or "") for one in token.roles])
            who = Me(code=token.code, name=token.name, lang="zh", roles=roles, rights=tuple(sorted(live.actor.rights)))
    return SessionView(expires_at=ends, person=who, station=live.station, device=live.device)


# --- people -----------------------------------------------------------------------------------------------------------------------------
@router.get("/roles", operation_id="list_roles")
async def list_roles(actor: Actor = allow("read")) -> dict[str, tuple[str, ...]]:
    """Rights of each role."""
    return dict(rules.ROLES)


@router.get("/people", operation_id="list_people")
def list_people(
    kit: KitDep, limit: LimitQuery = 200, cursor: CursorQuery = None, actor: Actor = allow("people.edit", everywhere=True)
) -> Page[PersonView]:
    mark = decode_cursor(cursor, 1)
    with kit.db.read() as session:
        rows = repository.people(session, after=str(mark[0]) if mark else None, limit=limit + 1)
        items = service.views(session, rows[:limit])
    return Page(items=items, next=encode_cursor([rows[limit - 1].code]) if len(rows) > limit else None)


@router.get("/people/on-shift", operation_id="list_on_shift", dependencies=[Depends(_at_a_device)])
def list_on_shift(identity: IdentityDep, station: Annotated[str | None, Query(max_length=64)] = None) -> list[OnShift]:
    """For the PIN fall-back of an enrolled tablet: who may report and has a PIN, last seen here first."""
    return access.on_shift(identity, station)


@router.get("/people/{code}", operation_id="get_person")
def get_person(kit: KitDep, code: str, actor: Actor = allow("people.edit", everywhere=True)) -> PersonView:
    with kit.db.read() as session:
        row = repository.person(session, code)
        if row is None:
            raise UnknownPerson(person=code)
        return service.view(session, row)


@router.post("/people", operation_id="add_person")
async def add_person(kit: KitDep, identity: IdentityDep, command: AddPerson, actor: Actor = allow("people.edit", everywhere=True)) -> PersonView:
    columns = await asyncio.to_thread(service.hashed, identity.hasher, command, command.user)
    answer = await kit.acts.run(partial(service.add_person, identity=identity, columns=columns), actor, command)
    return PersonView.model_validate(answer.body)


@router.patch("/people/{code}", operation_id="change_person")
async def change_person(
    kit: KitDep, identity: IdentityDep, code: str, command: ChangePerson, actor: Actor = allow("people.edit", everywhere=True)
) -> PersonView:
    """What is left out stays; an empty string takes a badge, PIN or password away. Changed rights hold at once."""
    command = command.model_copy(update={"code": code})

    def prepare() -> dict[str, Any]:
        with kit.db.read() as session:
            row = repository.person(session, code)
        return service.hashed(identity.hasher, command, command.user or (row.user if row is not None else None))

    columns = await asyncio.to_thread(prepare)
    answer = await kit.acts.run(partial(service.change_person, identity=identity, columns=columns), actor, command)
    return PersonView.model_validate(answer.body)


# --- devices and API tokens -------------------------------------------------------------------------------------------------------------
@router.post("/devices/enrolment", operation_id="begin_enrolment")
def begin_enrolment(
    request: Request, identity: IdentityDep, body: EnrolmentIn, key: IdempotencyKey = None, actor: Actor = allow("admin", everywhere=True)
) -> EnrolmentOut:
    """A one-time code (ten minutes) that a tablet scans to become this plant's."""
    return access.begin_enrolment(identity, actor, body, base_url=str(request.base_url).rstrip("/"), key=key)


@router.post("/devices/enrol", operation_id="enrol_device", dependencies=[OPEN])
def enrol_device(request: Request, identity: IdentityDep, body: EnrolIn) -> EnrolOut:
    return access.enrol(identity, body.code.get_secret_value(), address=address_of(request))


@router.get("/devices", operation_id="list_devices")
def list_devices(
    identity: IdentityDep, limit: LimitQuery = 500, cursor: CursorQuery = None, actor: Actor = allow("admin", everywhere=True)
) -> Page[DeviceView]:
    return page_of(access.devices(identity), lambda one: (one.code,), limit=limit, cursor=cursor)


@router.delete("/devices/{code}", operation_id="revoke_device", status_code=204)
def revoke_device(request: Request, identity: IdentityDep, code: str, actor: Actor = allow("admin", everywhere=True)) -> None:
    """A lost tablet: its token and its sessions end at once. An edge box: it is put out at the broker, and invited again by `readmit` alone."""
    access.revoke_device(identity, actor, code, put_edge_out=request.app.state.put_edge_out)


@router.get("/api-tokens", operation_id="list_api_tokens")
def list_api_tokens(
    identity: IdentityDep, limit: LimitQuery = 500, cursor: CursorQuery = None, actor: Actor = allow("admin", everywhere=True)
) -> Page[ApiTokenView]:
    return page_of(access.api_tokens(identity), lambda one: (one.code,), limit=limit, cursor=cursor)


@router.post("/api-tokens", operation_id="make_api_token")
def make_api_token(
    identity: IdentityDep, body: ApiTokenIn, key: IdempotencyKey = None, actor: Actor = allow("admin", everywhere=True)
) -> ApiTokenMade:
    """The token is in this answer and nowhere else."""
    return access.make_api_token(identity, actor, body, key)


@router.delete("/api-tokens/{code}", operation_id="revoke_api_token", status_code=204)
def revoke_api_token(identity: IdentityDep, code: str, actor: Actor = allow("admin", everywhere=True)) -> None:
    access.revoke_api_token(identity, actor, code)
