"""Which registers in which requests. Pure: fields in, requests out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge_agent.sources.modbus.codec import WORDS
from edge_agent.sources.modbus.config import RegisterType, WordOrder

MAX_BITS = 2000


@dataclass(frozen=True, slots=True)
class Field:
    """One value in one device."""

    tag: int
    key: str
    table: str
    address: int
    type: RegisterType
    word_order: WordOrder
    period_s: float
    highest_is_none: bool = False

    @property
    def words(self) -> int:
        return WORDS[self.type]


@dataclass(frozen=True, slots=True)
class Request:
    """`count` registers (or bits) of `table` from `address` on, holding `fields`."""

    table: str
    address: int
    count: int
    fields: tuple[Field, ...]


def plan(fields: Iterable[Field], *, max_words: int = 125, max_hole: int = 8, one_per_field: bool = False) -> list[Request]:
    """Fewest requests that read every field: neighbours share one, holes of up to `max_hole` registers are read along."""
    out: list[Request] = []
    group: list[Field] = []
    for field in sorted(fields, key=lambda f: (f.table, f.address)):
        if group and not _fits(group, field, max_words, max_hole, one_per_field):
            out.append(_request(group))
            group = []
        group.append(field)
    if group:
        out.append(_request(group))
    return out


def _end(group: list[Field]) -> int:
    return max(field.address + field.words for field in group)


def _fits(group: list[Field], field: Field, max_words: int, max_hole: int, one_per_field: bool) -> bool:
    first = group[0]
    if one_per_field or field.table != first.table or field.address - _end(group) > max_hole:
        return False
    limit = MAX_BITS if field.table in ("coil", "discrete") else max_words
    return max(_end(group), field.address + field.words) - first.address <= limit


def _request(group: list[Field]) -> Request:
    return Request(group[0].table, group[0].address, _end(group) - group[0].address, tuple(group))


def split(request: Request) -> list[Request]:
    """A request the device refused, in smaller ones: first without its holes, then each value by itself."""
    parts = plan(request.fields, max_words=max(request.count, 1), max_hole=0)
    return parts if len(parts) > 1 else plan(request.fields, one_per_field=True)
