"""The plant as other slices see it: one immutable `PlantModel`, and the act that changes it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from mes_server.kit.actor import Actor
from mes_server.kit.acts import Done, recorded_ms
from mes_server.plant import repository, rules
from mes_server.plant.errors import NotInPlant, PlantChangedMeanwhile, PlantModelInvalid
from mes_server.plant.rules import Calendar, ShiftWindow
from mes_server.plant.schemas import Alarm, Line, Machine, Meter, PlantBody, PlantView, PutPlant, Reason, Shift, Site, Station

__all__ = ["Calendar", "Machine", "PlantModel", "ShiftWindow", "model", "put_plant", "view"]


@dataclass(frozen=True)
class PlantModel:
    """One saved model, indexed. The dictionaries hold what is active, by code; the methods also find what is retired (history keeps its names)."""

    revision: str | None
    site: Site | None
    lines: Mapping[str, Line]
    machines: Mapping[str, Machine]
    stations: Mapping[str, Station]
    meters: Mapping[str, Meter]
    shifts: Mapping[str, Shift]
    reasons: Mapping[str, Reason]
    alarms: Mapping[tuple[str, str], Alarm]
    scrap_order: tuple[str, ...]
    calendar: Calendar
    retired: Mapping[str, Mapping[str, Any]]
    _machine_at: Mapping[tuple[str, str], Machine] = field(repr=False)
    _meter_at: Mapping[tuple[str, str], Meter] = field(repr=False)

    def machine(self, code: str) -> Machine:
        found: Machine = self._find("machines", self.machines, code)
        return found

    def line(self, code: str) -> Line:
        found: Line = self._find("lines", self.lines, code)
        return found

    def station(self, code: str) -> Station:
        found: Station = self._find("stations", self.stations, code)
        return found

    def meter(self, code: str) -> Meter:
        found: Meter = self._find("meters", self.meters, code)
        return found

    def reason(self, code: str) -> Reason:
        found: Reason = self._find("reasons", self.reasons, code)
        return found

    def shift(self, code: str) -> Shift:
        found: Shift = self._find("shifts", self.shifts, code)
        return found

    def alarm(self, machine_class: str, code: str) -> Alarm | None:
        """What an alarm code means on a class of machines; the plant-wide meaning (class "") where the class has none of its own."""
        return self.alarms.get((machine_class, code)) or self.alarms.get(("", code))

    def machine_at(self, edge: str, device: str) -> Machine | None:
        return self._machine_at.get((edge, device))

    def meter_at(self, edge: str, device: str) -> Meter | None:
        return self._meter_at.get((edge, device))

    def machines_in(self, scope: str) -> list[Machine]:
        """Machines of "machine:X", "line:L1" or "site", in the line's order. Raises NotInPlant."""
        kind, _, code = scope.partition(":")
        if scope == "site":
            return list(self.machines.values())
        if kind == "machine":
            return [self.machine(code)]
        if kind == "line":
            self.line(code)
            return [one for one in self.machines.values() if one.line == code]
        raise NotInPlant(kind="scope", key=scope)

    def machines_of_class(self, machine_class: str) -> list[Machine]:
        return [one for one in self.machines.values() if one.machine_class == machine_class]

    def stations_of(self, machine: str) -> list[Station]:
        return [one for one in self.stations.values() if machine in one.machines]

    def meters_of(self, machine: str) -> list[Meter]:
        return [one for one in self.meters.values() if one.machine == machine]

    def stop_reasons(self, machine_class: str | None = None) -> list[Reason]:
        """Stop reasons that apply to a class of machines (None: all), by code."""
        return self._reasons("stop", machine_class)

    def scrap_reasons(self, machine_class: str | None = None) -> list[Reason]:
        """Scrap reasons in the order their tiles keep: `scrap_order` first, then by code."""
        place = {code: index for index, code in enumerate(self.scrap_order)}
        return sorted(self._reasons("scrap", machine_class), key=lambda one: (place.get(one.code, len(place)), one.code))

    def _reasons(self, kind: str, machine_class: str | None) -> list[Reason]:
        return [
            one
            for one in self.reasons.values()
            if one.kind == kind and (machine_class is None or not one.machine_classes or machine_class in one.machine_classes)
        ]

    def _find(self, kind: str, active: Mapping[str, Any], code: str) -> Any:
        found = active.get(code)
        if found is None:
            found = self.retired[kind].get(code)
        if found is None:
            raise NotInPlant(kind=kind.rstrip("s"), key=code)
        return found


_CACHE_MAX = 16
_cache: OrderedDict[str, PlantModel] = OrderedDict()  # by content hash: an entry can never be stale, whichever store it came from


def model(session: Session) -> PlantModel:
    """The newest model; one tiny SELECT where it is already in memory. Works in read sessions and in the writer."""
    newest = repository.newest_hash(session)
    if newest is None:
        return _build(None, None, (), {name: ([], []) for name, *_ in repository.PARTS})
    found = _cache.get(newest)
    if found is None:
        site, scrap_order = repository.load_site(session)
        found = _build(newest, site, scrap_order, {name: repository.load(session, table, shape) for name, table, shape, _ in repository.PARTS})
        _cache[newest] = found
        if len(_cache) > _CACHE_MAX:
            _cache.popitem(last=False)
    return found


def _build(revision: str | None, site: Site | None, scrap_order: tuple[str, ...], parts: Mapping[str, tuple[list[Any], list[Any]]]) -> PlantModel:
    machines = sorted(parts["machines"][0], key=lambda one: (one.line, one.sequence, one.code))
    meters: list[Meter] = parts["meters"][0]
    zone, start = (site.zone, site.production_day_start) if site is not None else ("UTC", "00:00")
    return PlantModel(
        revision=revision,
        site=site,
        lines=_by_code(parts["lines"][0]),
        machines=_by_code(machines),
        stations=_by_code(parts["stations"][0]),
        meters=_by_code(meters),
        shifts=_by_code(parts["shifts"][0]),
        reasons=_by_code(parts["reasons"][0]),
        alarms={(one.machine_class, one.code): one for one in parts["alarms"][0]},
        scrap_order=scrap_order,
        calendar=Calendar(ZoneInfo(zone), rules.minutes(start), tuple(parts["shifts"][0])),
        retired={name: _by_code(retired) for name, (_, retired) in parts.items()},
        _machine_at={(one.edge, one.device): one for one in machines if one.edge and one.device},
        _meter_at={(one.edge, one.device): one for one in meters if one.edge and one.device},
    )


def _by_code(parts: Iterable[Any]) -> dict[str, Any]:
    return {one.code: one for one in parts}


def put_plant(session: Session, actor: Actor, command: PutPlant) -> Done:
    """Saves a model. Raises PlantModelInvalid with every fault, PlantChangedMeanwhile."""
    actor.require("model.edit")
    faults = rules.faults(command.model)
    if faults:
        raise PlantModelInvalid(faults)
    before = repository.newest_hash(session)
    if command.revision is not None and command.revision != before:
        raise PlantChangedMeanwhile
    changed = repository.save(session, command.model, recorded_ms(session))
    session.flush()
    if changed or before is None:
        content = hashlib.sha256(f"{before}\n{command.event_id}\n{command.model.model_dump_json()}".encode()).hexdigest()
        repository.add_revision(session, content_hash=content, event_id=str(command.event_id), recorded_ms=recorded_ms(session))
        before = content
    answer = {"revision": before, "changed": changed}
    return Done(subject=f"plant:{command.model.site.code}", answer=answer, effect={"changed": changed}, live=[("plant", answer)] if changed else [])


def view(plant: PlantModel) -> PlantView:
    """The active model in API.md's shape."""
    return PlantView(
        site=plant.site,
        lines=tuple(plant.lines.values()),
        machines=tuple(plant.machines.values()),
        stations=tuple(plant.stations.values()),
        meters=tuple(plant.meters.values()),
        shifts=tuple(plant.shifts.values()),
        reasons=tuple(plant.reasons.values()),
        alarms=tuple(plant.alarms.values()),
        scrap_order=plant.scrap_order,
        revision=plant.revision,
    )


def body_of(plant: PlantModel) -> PlantBody | None:
    """The active model as it may be PUT again; None where none was saved."""
    return None if plant.site is None else PlantBody.model_validate(view(plant).model_dump(exclude={"revision"}))
