"""Material acts with their genealogy edge in the same transaction, and the walk both ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from sqlalchemy.orm import Session

from edge_agent.contract.clock import iso
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Command, Done, ServiceFunction
from mes_server.materials import service as materials
from mes_server.materials.schemas import ConsumeMaterial, ProduceMaterial, ReverseMaterial
from mes_server.materials.service import Moved
from mes_server.traceability import repository, rules
from mes_server.traceability.errors import NoTrace
from mes_server.traceability.schemas import TraceEdgeView, TraceNodeView, TraceRoot, TraceView

NODES_MAX = 5_000
DEPTH_MAX = 20
_CHUNK = 500  # ids in one statement
_KIND_WORDS = {"lot": ("Lot", "批次"), "serial": ("Serial", "序列号"), "order": ("Order", "工单")}


# --- writing ------------------------------------------------------------------------------------------------------------------------------
def consume_material(session: Session, actor: Actor, command: ConsumeMaterial) -> Done:
    done, moved = materials.consume_material(session, actor, command)
    _link(session, moved)
    return done


def produce_material(session: Session, actor: Actor, command: ProduceMaterial) -> Done:
    done, moved = materials.produce_material(session, actor, command)
    _link(session, moved)
    return done


def reverse_material(session: Session, actor: Actor, command: ReverseMaterial) -> Done:
    done, moved = materials.reverse_material(session, actor, command)
    if moved.reverses is not None:
        repository.delete_edges_of(session, moved.reverses)
    return done


def _link(session: Session, moved: Moved) -> None:
    link = rules.link_of(moved.use, moved.order, moved.lot, moved.serial)
    repository.insert_edge(
        session,
        {
            "parent": repository.node(session, *link.parent),
            "child": repository.node(session, *link.child),
            "event_id": moved.event_id,
            "quantity_milli": moved.quantity_milli,
            "unit": moved.unit,
            "at_ms": moved.at_ms,
            "operation": moved.operation,
            "person": moved.person,
            "precision": link.precision,
        },
    )


# --- walking ------------------------------------------------------------------------------------------------------------------------------
def trace(
    session: Session, kind: str | None, code: str, direction: Literal["up", "down", "both"], depth: int, nodes_max: int = NODES_MAX
) -> TraceView:
    """up: what went into it; down: what it went into. Kind None: whatever has this code. Raises NoTrace."""
    found_kind = kind or next(iter(repository.kinds_of(session, code)), None)
    root = None if found_kind is None else repository.find(session, found_kind, code)
    if root is None or found_kind is None:
        raise NoTrace(what=kind or "code", key=code, code_traced=code)
    edges: dict[tuple[int, int, str, str], TraceEdgeView] = {}
    ids: dict[int, None] = {root: None}
    truncated = False
    for way in ("up", "down") if direction == "both" else (direction,):
        reached = repository.reach(session, root, way, min(depth, DEPTH_MAX), nodes_max + 1)
        truncated |= len(reached) > nodes_max
        reached = reached[:nodes_max]
        ids.update(dict.fromkeys(reached))
        _add_edges(session, reached, "child" if way == "up" else "parent", edges)
    known = [edge for edge in edges.values() if edge.parent in ids and edge.child in ids]
    en, zh = _KIND_WORDS[found_kind]
    return TraceView(
        root=TraceRoot(id=root, kind=found_kind, code=code, label_zh=f"{zh} {code}", label_en=f"{en} {code}"),
        nodes=_node_views(session, list(ids)),
        edges=known,
        truncated=truncated,
    )


def _add_edges(session: Session, ids: Sequence[int], side: Literal["parent", "child"], edges: dict[tuple[int, int, str, str], TraceEdgeView]) -> None:
    for chunk in _chunks(ids):
        for row in repository.edges_from(session, chunk, side):
            edges[row.parent, row.child, row.operation, row.precision] = TraceEdgeView(
                parent=row.parent,
                child=row.child,
                quantity=materials.as_quantity(int(row.milli)),
                unit=row.unit,
                at=iso(row.at_ms),
                operation=row.operation,
                person=row.person,
                precision=row.precision,
            )


def _node_views(session: Session, ids: Sequence[int]) -> list[TraceNodeView]:
    views = []
    for chunk in _chunks(ids):
        rows = repository.nodes(session, chunk)
        described = materials.describe(session, [(row.kind, row.code) for row in rows])
        for row in rows:
            item, status, on_hold = described.get((row.kind, row.code), (None, None, False))
            views.append(TraceNodeView(id=row.id, kind=row.kind, code=row.code, item=item, status=status, on_hold=on_hold))
    return views


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]


ACTS: dict[str, tuple[type[Command], ServiceFunction]] = {
    "material.consume": (ConsumeMaterial, consume_material),
    "material.produce": (ProduceMaterial, produce_material),
    "material.reverse": (ReverseMaterial, reverse_material),
}
