"""Which bytes in which requests. Pure: fields in, requests out, within the PDU that the PLC granted.

Neighbours share a region (holes are read along), a region longer than a PDU allows is cut into pieces, pieces of any area share a request.
Sizes: S7 read request 12 bytes header + 2 + 12 an item; answer 12 + 2 + 4 and the data, filled to even, an item; 20 items at most.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from edge_agent.sources.s7.address import Address

ITEMS_MAX = 20
_ANSWER_HEAD, _ITEM_HEAD, _REQUEST_HEAD, _REQUEST_ITEM = 14, 4, 14, 12


@dataclass(frozen=True, slots=True)
class Field:
    """One value; `key` says whose."""

    key: str
    address: Address


@dataclass(frozen=True, slots=True)
class Piece:
    """`size` bytes of one area: part `region` of the plan, `at` bytes into it."""

    area: int
    db: int
    start: int
    size: int
    region: int
    at: int


@dataclass(slots=True)
class Region:
    area: int
    db: int
    start: int
    end: int
    fields: list[Field] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plan:
    regions: tuple[Region, ...]
    requests: tuple[tuple[Piece, ...], ...]


def plan(fields: Iterable[Field], pdu: int, *, max_hole: int = 16, alone: frozenset[str] = frozenset()) -> Plan:
    """`alone`: keys that were refused once, so that they do not draw their neighbours with them. `pdu` in bytes, as granted (240, 480, 960)."""
    regions: list[Region] = []
    for one in sorted(fields, key=lambda f: (f.address.area, f.address.db, f.address.byte, f.address.size)):
        where = one.address
        last = regions[-1] if regions else None
        joins = last is not None and (last.area, last.db) == (where.area, where.db) and where.byte - last.end <= max_hole
        if last is not None and joins and one.key not in alone and not any(other.key in alone for other in last.fields):
            last.fields.append(one)
            last.end = max(last.end, where.byte + where.size)
        else:
            regions.append(Region(where.area, where.db, where.byte, where.byte + where.size, [one]))
    return Plan(tuple(regions), tuple(_packed(_pieces(regions, pdu), pdu)))


def _pieces(regions: list[Region], pdu: int) -> list[Piece]:
    longest = (pdu - _ANSWER_HEAD - _ITEM_HEAD) // 2 * 2
    return [
        Piece(region.area, region.db, at, min(longest, region.end - at), number, at - region.start)
        for number, region in enumerate(regions)
        for at in range(region.start, region.end, longest)
    ]


def _packed(pieces: list[Piece], pdu: int) -> list[tuple[Piece, ...]]:
    out: list[tuple[Piece, ...]] = []
    group: list[Piece] = []
    room = pdu - _ANSWER_HEAD
    most = min(ITEMS_MAX, (pdu - _REQUEST_HEAD) // _REQUEST_ITEM)
    for piece in pieces:
        needs = _ITEM_HEAD + piece.size + piece.size % 2
        if group and (needs > room or len(group) == most):
            out.append(tuple(group))
            group, room = [], pdu - _ANSWER_HEAD
        group.append(piece)
        room -= needs
    return [*out, tuple(group)] if group else out
