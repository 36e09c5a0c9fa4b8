"""Shapes of the plant model, as API.md names them. They are also what other slices see: frozen, by code."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mes_server.kit.command import Command

Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Counting = Literal["machine", "person", "both"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Named(_Part):
    code: Code
    name_zh: Name
    name_en: Name


class Site(_Named):
    zone: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    production_day_start: TimeOfDay = "06:00"
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "CNY"


class Line(_Named):
    oee_target: float | None = Field(default=None, ge=0, le=1)


class Machine(_Named):
    """A work unit. `edge` and `device` are its Sparkplug names; `micro_stop_s`: a shorter stop is a performance loss."""

    line: Code
    sequence: int = Field(default=0, ge=0, le=10_000)
    machine_class: Code
    counting: Counting = "machine"
    micro_stop_s: float = Field(default=120.0, ge=0, le=3_600)
    rated_power_w: float | None = Field(default=None, gt=0, le=1e8)
    edge: Code | None = None
    device: Code | None = None


class Station(_Named):
    machines: tuple[Code, ...] = Field(max_length=50)


class Meter(_Named):
    kind: Literal["machine", "utility", "incomer"]
    machine: Code | None = None
    line: Code | None = None
    rated_power_w: float | None = Field(default=None, gt=0, le=1e9)
    edge: Code | None = None
    device: Code | None = None


class Break(_Part):
    start: TimeOfDay
    end: TimeOfDay


class Shift(_Named):
    """Local times of the plant's zone; an end at or before the start is on the next day. `weekdays` (1 = Monday) are those of the start."""

    start: TimeOfDay
    end: TimeOfDay
    weekdays: tuple[Annotated[int, Field(ge=1, le=7)], ...] = Field(min_length=1, max_length=7)
    breaks: tuple[Break, ...] = Field(default=(), max_length=20)


class Reason(_Part):
    """Why a machine stopped, or why a piece was scrapped. An empty `machine_classes` means every machine."""

    code: Code
    kind: Literal["stop", "scrap"]
    zh: Name
    en: Name
    time_class: Literal["planned", "breakdown", "setup", "material", "minor", "quality", "other"] = "other"
    planned: bool = False
    machine_classes: tuple[Code, ...] = Field(default=(), max_length=50)


class Alarm(_Part):
    """An alarm code of a class of machines; `reason` answers the stop by itself. An empty class means every machine."""

    code: Code
    machine_class: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{0,64}$")] = ""
    zh: Name
    en: Name
    reason: Code | None = None


class PlantBody(_Part):
    """The whole model. `scrap_order`: scrap reasons in the order their tiles have; those not named follow by code."""

    site: Site
    lines: tuple[Line, ...] = Field(default=(), max_length=200)
    machines: tuple[Machine, ...] = Field(default=(), max_length=5_000)
    stations: tuple[Station, ...] = Field(default=(), max_length=5_000)
    meters: tuple[Meter, ...] = Field(default=(), max_length=10_000)
    shifts: tuple[Shift, ...] = Field(default=(), max_length=50)
    reasons: tuple[Reason, ...] = Field(default=(), max_length=2_000)
    alarms: tuple[Alarm, ...] = Field(default=(), max_length=20_000)
    scrap_order: tuple[Code, ...] = Field(default=(), max_length=2_000)


class PlantView(PlantBody):
    """What GET /plant answers; `revision` may be sent back with PUT to notice somebody else's change."""

    site: Site | None = None  # type: ignore[assignment]
    revision: str | None = None


class PutPlant(Command):
    """Replaces the model: new codes are added, known ones changed, those no longer named retired."""

    type: ClassVar[str] = "plant.model_changed"
    right: ClassVar[str] = "model.edit"

    model: PlantBody
    revision: str | None = None


class Interval(_Part):
    """A stretch of time, ISO 8601 Z."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    from_: str = Field(alias="from")
    to: str


class ShiftView(Interval):
    """One shift of one production day, resolved in UTC. `planned_s` is its length minus breaks."""

    shift: str
    day: str
    planned_s: float
    breaks: tuple[Interval, ...]
