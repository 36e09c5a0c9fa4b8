"""The genealogy as JSON."""

from __future__ import annotations

from pydantic import BaseModel


class TraceNodeView(BaseModel):
    id: int
    kind: str
    code: str
    item: str | None = None
    status: str | None = None
    on_hold: bool = False


class TraceEdgeView(BaseModel):
    parent: int
    child: int
    quantity: float
    unit: str
    at: str  # the first act of this edge
    operation: str
    person: str | None
    precision: str


class TraceRoot(BaseModel):
    id: int
    kind: str
    code: str
    label_zh: str
    label_en: str


class TraceView(BaseModel):
    """`truncated`: there is more than the bound allows."""

    root: TraceRoot
    nodes: list[TraceNodeView]
    edges: list[TraceEdgeView]
    truncated: bool
