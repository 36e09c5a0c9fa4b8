"""Pages by cursor: every list endpoint answers {items, next}; a cursor is the sort key of the last row, so a page never shifts under new rows.

No lists are the figures over a window that an endpoint bounds (states, shifts, OEE, load): they answer whole. tests/repo/test_api.py holds both.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel

from mes_server.kit.errors import Refused

T = TypeVar("T")


class BadCursor(Refused):
    code = "bad_cursor"
    en = "The page mark is not one of this server's."
    zh = "分页标记无效。"
    next_en = "Start again from the first page."
    next_zh = "请从第一页重新开始。"


class Page(BaseModel, Generic[T]):
    """One page of a list; `next` is the cursor of the following page, null at the end."""

    items: list[T]
    next: str | None = None


LimitQuery = Annotated[int, Query(ge=1, le=500, description="Rows a page")]
CursorQuery = Annotated[str | None, Query(max_length=400, description="`next` of the page before")]


def encode_cursor(key: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(list(key), separators=(",", ":")).encode()).decode().rstrip("=")


def decode_cursor(text: str | None, length: int) -> list[Any] | None:
    """The sort key of the last row seen, or None for the first page. Raises BadCursor."""
    if text is None:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error) as error:
        raise BadCursor from error
    if not isinstance(key, list) or len(key) != length:
        raise BadCursor
    return key


def page_of(rows: Sequence[T], key: Callable[[T], Sequence[Any]], *, limit: int, cursor: str | None, newest_first: bool = False) -> Page[T]:
    """A page of rows that are all in hand (a plant's devices, an item's revisions), in the order of `key`, which names each row. Raises BadCursor."""
    ordered = sorted(((tuple(key(row)), row) for row in rows), key=lambda one: one[0], reverse=newest_first)
    if ordered and (seen := decode_cursor(cursor, len(ordered[0][0]))) is not None:
        try:
            ordered = [one for one in ordered if (one[0] < tuple(seen) if newest_first else one[0] > tuple(seen))]
        except TypeError as error:  # a cursor of another list
            raise BadCursor from error
    page = ordered[:limit]
    return Page(items=[row for _, row in page], next=encode_cursor(page[-1][0]) if len(ordered) > limit else None)
