"""Pure rules of genealogy: which edge an act makes."""

from __future__ import annotations

from typing import NamedTuple


class Link(NamedTuple):
    """(kind, code) of parent and child, and how exactly it is known."""

    parent: tuple[str, str]
    child: tuple[str, str]
    precision: str


def link_of(use: str, order: str, lot: str | None, serial: str | None) -> Link:
    """Consumed: the lot into the serial (exact) or into the order. Produced: the order into the serial or lot it made.

    The order stands between lots and pieces, so that ten lots and a thousand pieces make 1,010 edges and not 10,000, and a late consumption needs no
    rewriting: which lots a piece of the order may hold is the walk's answer, not a copy.
    """
    if use == "consumed":
        assert lot is not None
        return Link(("lot", lot), ("serial", serial), "serial") if serial is not None else Link(("lot", lot), ("order", order), "order")
    if serial is not None:
        return Link(("order", order), ("serial", serial), "serial")
    assert lot is not None
    return Link(("order", order), ("lot", lot), "order")
