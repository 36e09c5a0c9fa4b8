"""Items for the other slices, and the act that changes one."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Done, recorded_ms
from mes_server.plant import service as plant
from mes_server.products import repository, rules
from mes_server.products.errors import GtinTaken, ItemFault, ItemInvalid, RevisionFrozen, UnknownItem, UnknownRevision
from mes_server.products.models import ItemRow, RevisionRow
from mes_server.products.schemas import Bom, Item, ItemBody, PutItem, RevisionView, Routing


def find_item(session: Session, code: str) -> Item | None:
    """The item with its current bill of material and routing."""
    row = repository.row(session, code)
    return repository.items(session, [row])[0] if row is not None else None


def item(session: Session, code: str) -> Item:
    """The same; raises UnknownItem."""
    found = find_item(session, code)
    if found is None:
        raise UnknownItem(item=code)
    return found


def items(session: Session, codes: Collection[str]) -> dict[str, Item]:
    """Those of these items that exist, by code; two SELECTs however many."""
    return {one.code: one for one in repository.items(session, repository.rows(session, codes))}


def item_by_gtin(session: Session, gtin: str) -> Item | None:
    """By GTIN-8, -12, -13 or -14, leading zeros or not."""
    row = repository.by_gtin(session, gtin)
    return repository.items(session, [row])[0] if row is not None else None


def bom(session: Session, code: str, revision: str) -> Bom:
    """A frozen revision, current or not. Raises UnknownRevision."""
    found = _revision(session, code, "bom", revision)
    assert isinstance(found, Bom)
    return found


def routing(session: Session, code: str, revision: str) -> Routing:
    """A frozen revision, current or not. Raises UnknownRevision."""
    found = _revision(session, code, "routing", revision)
    assert isinstance(found, Routing)
    return found


def _revision(session: Session, code: str, kind: str, revision: str) -> Bom | Routing:
    row = repository.revision(session, code, kind, revision)
    if row is None:
        raise UnknownRevision(item=code, kind=kind, revision=revision)
    return repository.parse(kind, row.revision, row.content)


def revisions(session: Session, code: str) -> list[RevisionView]:
    """Every revision of an item, newest first."""
    row = repository.row(session, code)
    if row is None:
        raise UnknownItem(item=code)
    current = {("bom", row.bom_revision), ("routing", row.routing_revision)}
    return [
        RevisionView.model_validate(
            {
                "kind": one.kind,
                "revision": one.revision,
                "number": one.number,
                "recorded_at": iso(one.recorded_ms),
                "current": (one.kind, one.revision) in current,
            }
        )
        for one in repository.revisions(session, code)
    ]


def put_item(session: Session, actor: Actor, command: PutItem) -> Done:
    """Adds or changes an item. Raises ItemInvalid with every fault, RevisionFrozen, GtinTaken."""
    actor.require("model.edit")
    changed = ensure_item(session, command.item)
    warned = _warnings(session, command.item)
    row = repository.row(session, command.item.code)
    assert row is not None
    answer: dict[str, Any] = {
        "item": row.code,
        "changed": changed,
        "bom_revision": row.bom_revision,
        "routing_revision": row.routing_revision,
        "warnings": [{"where": one.where, "en": one.en, "zh": one.zh} for one in warned],
    }
    return Done(subject=f"item:{row.code}", answer=answer, effect={"changed": changed}, live=[("items", {"item": row.code})] if changed else [])


def ensure_item(session: Session, body: ItemBody) -> bool:
    """Makes the item be as `body` says, inside the caller's transaction; tells whether anything changed. Raises like put_item."""
    faults = rules.faults(body)
    if faults:
        raise ItemInvalid(body.code, faults)
    if body.gtin is not None:
        owner = repository.by_gtin(session, body.gtin)
        if owner is not None and owner.code != body.code:
            raise GtinTaken(gtin=body.gtin, item=owner.code)
    values = body.model_dump(exclude={"bom", "routing"})
    row = repository.row(session, body.code)
    changed = row is None or any(getattr(row, name) != value for name, value in values.items())
    if row is None:
        row = ItemRow(**values, changed_ms=recorded_ms(session))
        session.add(row)
        session.flush()
    for name, value in values.items():
        setattr(row, name, value)
    if body.bom is not None:
        lines = [one.model_dump(mode="json") for one in body.bom.lines]
        changed |= _revise(session, row, "bom", body.bom.revision, lines)
    if body.routing is not None:
        steps = [one.model_dump(mode="json") for one in body.routing.operations]
        changed |= _revise(session, row, "routing", body.routing.revision, steps)
    if changed:
        row.changed_ms = recorded_ms(session)
    session.flush()
    return changed


def _revise(session: Session, row: ItemRow, kind: str, wanted: str | None, content: list[dict[str, Any]]) -> bool:
    """Makes a revision current: the one named, or a new one if the content differs from the current one's."""
    column = f"{kind}_revision"
    current: str | None = getattr(row, column)
    name = wanted
    if name is None and current is not None:
        present = repository.revision(session, row.code, kind, current)
        if present is not None and present.content == content:
            return False
    number = repository.last_number(session, row.code, kind) + 1
    if name is None:
        name = str(number)
        while repository.revision(session, row.code, kind, name) is not None:  # somebody named a revision with a number
            number += 1
            name = str(number)
    known = repository.revision(session, row.code, kind, name)
    if known is None:
        session.add(RevisionRow(item=row.code, kind=kind, revision=name, number=number, content=content, recorded_ms=recorded_ms(session)))
    elif known.content != content:
        raise RevisionFrozen(item=row.code, kind=kind, revision=name)
    if current == name:
        return False
    setattr(row, column, name)
    session.flush()
    return True


def _warnings(session: Session, body: ItemBody) -> list[ItemFault]:
    here = plant.model(session)
    components = {line.item for line in body.bom.lines} if body.bom is not None else set()
    classes = {one.machine_class for one in here.machines.values()}
    return rules.warnings(body, items=repository.known(session, components), machines=here.machines, classes=classes)
