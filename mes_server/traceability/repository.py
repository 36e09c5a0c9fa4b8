"""SQL of genealogy. The walk is a recursive CTE with UNION (not ALL): cost is per node visited, cycles end by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from mes_server.traceability.models import TraceEdge, TraceNode

Row = Any  # a result row: its columns are attributes
NODE = cast(sa.Table, TraceNode.__table__)
EDGE = cast(sa.Table, TraceEdge.__table__)
_FIND = sa.select(NODE.c.id).where(NODE.c.kind == sa.bindparam("kind"), NODE.c.code == sa.bindparam("code"))


def find(session: Session, kind: str, code: str) -> int | None:
    return session.connection().execute(_FIND, {"kind": kind, "code": code}).scalar_one_or_none()


def node(session: Session, kind: str, code: str) -> int:
    """The node's id; makes it if need be."""
    found = find(session, kind, code)
    if found is not None:
        return found
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.connection().execute(insert(NODE).values(kind=kind, code=code).on_conflict_do_nothing())
    made = find(session, kind, code)
    assert made is not None
    return made


def insert_edge(session: Session, row: dict[str, Any]) -> None:
    session.connection().execute(sa.insert(EDGE), row)


def delete_edges_of(session: Session, event_id: str) -> None:
    session.connection().execute(sa.delete(EDGE).where(EDGE.c.event_id == event_id))


def kinds_of(session: Session, code: str) -> list[str]:
    return list(session.execute(sa.select(NODE.c.kind).where(NODE.c.code == code)).scalars())


def reach(session: Session, root: int, direction: Literal["up", "down"], depth: int, limit: int) -> list[int]:
    """Node ids within `depth` edges, at most `limit`. up: what went into it; down: what it went into."""
    here, there = (EDGE.c.child, EDGE.c.parent) if direction == "up" else (EDGE.c.parent, EDGE.c.child)
    walk = sa.select(sa.literal(root, sa.BigInteger).label("id"), sa.literal(0).label("depth")).cte("walk", recursive=True)
    walk = walk.union(sa.select(there, walk.c.depth + 1).join_from(walk, EDGE, here == walk.c.id).where(walk.c.depth < depth))
    query = sa.select(walk.c.id).group_by(walk.c.id).order_by(sa.func.min(walk.c.depth), walk.c.id).limit(limit)
    return list(session.execute(query).scalars())


def nodes(session: Session, ids: Sequence[int]) -> Sequence[Row]:
    return session.execute(sa.select(NODE).where(NODE.c.id.in_(ids)).order_by(NODE.c.id)).all()


def edges_from(session: Session, ids: Sequence[int], side: Literal["parent", "child"]) -> Sequence[Row]:
    """Edges whose `side` is one of the nodes, one row per (parent, child, operation, precision)."""
    keys = (EDGE.c.parent, EDGE.c.child, EDGE.c.operation, EDGE.c.precision, EDGE.c.unit)
    return session.execute(
        sa.select(
            *keys,
            sa.func.sum(EDGE.c.quantity_milli).label("milli"),
            sa.func.min(EDGE.c.at_ms).label("at_ms"),
            sa.func.min(EDGE.c.person).label("person"),
        )
        .where(EDGE.c[side].in_(ids))
        .group_by(*keys)
        .order_by(EDGE.c.parent, EDGE.c.child)
    ).all()
