"""Shapes of people, sign-in, devices and tokens. Secrets are SecretStr: they never reach the journal, a log or an answer."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from mes_server.kit.command import Command
from mes_server.kit.wording import worded

Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
User = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^[A-Za-z0-9._@-]{2,64}$")]
LangCode = Literal["zh", "en"]
Secret = Annotated[SecretStr, Field(max_length=200)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RoleIn(_Shape):
    """A role everywhere, or in one area (the code of a line)."""

    role: Annotated[str, StringConstraints(min_length=1, max_length=20)]
    area: Code | None = None


class AddPerson(Command):
    """`badge` is an own code of the plant's; `issue_badge` lets the server make one (print it with /labels/badges.pdf)."""

    type: ClassVar[str] = "person.added"
    right: ClassVar[str] = "people.edit"

    code: Code
    name: Name
    user: User | None = None
    lang: LangCode = "zh"
    roles: tuple[RoleIn, ...] = Field(default=(), max_length=50)
    active: bool = True
    badge: Secret | None = None
    issue_badge: bool = False
    pin: Secret | None = None
    password: Secret | None = None


class ChangePerson(Command):
    """What is left out stays. An empty string takes a badge, PIN or password away."""

    type: ClassVar[str] = "person.changed"
    right: ClassVar[str] = "people.edit"

    code: Code | None = None  # the path says it; filled in by the route
    name: Name | None = None
    user: User | None = None
    lang: LangCode | None = None
    roles: tuple[RoleIn, ...] | None = Field(default=None, max_length=50)
    active: bool | None = None
    badge: Secret | None = None
    issue_badge: bool = False
    pin: Secret | None = None
    password: Secret | None = None


class PersonView(_Shape):
    code: str
    name: str
    user: str | None
    lang: LangCode
    roles: tuple[RoleIn, ...]
    active: bool
    has_badge: bool
    has_pin: bool
    has_password: bool


class OnShift(_Shape):
    code: str
    name: str
    initials: str


class SignIn(_Shape):
    """One of: badge; person and PIN; user and password."""

    badge: Secret | None = None
    person: Annotated[str, StringConstraints(strip_whitespace=True, max_length=64)] | None = None
    pin: Secret | None = None
    user: Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, max_length=64)] | None = None
    password: Secret | None = None

    @model_validator(mode="after")
    def _one_way(self) -> SignIn:
        ways = [self.badge is not None, self.person is not None and self.pin is not None, self.user is not None and self.password is not None]
        if sum(ways) != 1:
            raise worded("请提供工牌，或人员与 PIN，或用户名与密码", "give badge, or person and pin, or user and password")
        return self


class Me(_Shape):
    code: str
    name: str
    lang: LangCode
    roles: tuple[RoleIn, ...]
    rights: tuple[str, ...]


class SessionView(_Shape):
    """`expires_at` is real time: the session ends then at the latest."""

    expires_at: str | None
    person: Me
    station: str | None
    device: str | None = None


class SessionOpened(SessionView):
    token: str


class SetupState(_Shape):
    needed: bool


class SetUp(_Shape):
    token: Secret
    name: Name
    user: User
    password: Secret
    lang: LangCode = "zh"


class EnrolmentIn(_Shape):
    name: Name
    station: Code | None = None
    kind: Literal["tablet", "wall"] = "tablet"


class EnrolmentOut(_Shape):
    device: str
    code: str
    code_url: str
    expires_at: str


class Invitation(_Shape):
    edge: str
    code: str
    expires_at: str


class EnrolIn(_Shape):
    code: Secret


class EnrolOut(_Shape):
    device: str
    device_token: str
    station: str | None
    kind: str


class DeviceView(_Shape):
    code: str
    name: str
    kind: str
    station: str | None
    enrolled_at: str | None
    waiting_until: str | None


class ApiTokenIn(_Shape):
    name: Name
    roles: tuple[RoleIn, ...] = Field(min_length=1, max_length=20)
    days: int | None = Field(default=None, ge=1, le=3_660)


class ApiTokenView(_Shape):
    code: str
    name: str
    roles: tuple[RoleIn, ...]
    created_at: str
    created_by: str | None
    expires_at: str | None


class ApiTokenMade(ApiTokenView):
    """`token` is shown this once."""

    token: str
