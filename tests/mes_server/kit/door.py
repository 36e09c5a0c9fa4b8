"""A door for acts over a bare table, without slices and HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from edge_agent.contract.clock import ManualClock
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Acts, Command, Done
from mes_server.kit.db import Database
from mes_server.kit.errors import Refused
from mes_server.kit.ids import uuid7
from mes_server.kit.live import Live

START_MS = 1_772_400_000_000
TABLE = sa.Table("kit_test", sa.MetaData(), sa.Column("key", sa.String(40), primary_key=True), sa.Column("total", sa.Integer, nullable=False))
ANN = Actor("P-ann", "T-1", frozenset({"floor.report"}))


class Add(Command):
    type: ClassVar[str] = "test.added"
    right: ClassVar[str] = "floor.report"

    key: str
    count: int


class TooMuch(Refused):
    """Only for tests; not part of the product's error tree walk."""

    code = "test_too_much"
    en = "{count} is too much."
    zh = "{count} 太多。"
    next_en = "Less."
    next_zh = "少一些。"


def add(session: Session, actor: Actor, command: Add) -> Done:
    """Adds to a total; 13 is refused after it has been written (so that the savepoint has something to undo), 99 breaks unexpectedly."""
    connection = session.connection()
    done = connection.execute(sa.update(TABLE).where(TABLE.c.key == command.key).values(total=TABLE.c.total + command.count))
    if done.rowcount == 0:
        connection.execute(sa.insert(TABLE).values(key=command.key, total=command.count))
    if command.count == 13:
        raise TooMuch(count=13)
    if command.count == 99:
        raise RuntimeError("a bug")
    total = connection.execute(sa.select(TABLE.c.total).where(TABLE.c.key == command.key)).scalar_one()
    return Done(subject=f"test:{command.key}", answer={"total": total}, effect={"total": total}, live=[(f"test:{command.key}", {"total": total})])


@dataclass
class Door:
    db: Database
    acts: Acts
    live: Live
    clock: ManualClock

    def command(self, key: str, count: int, event_id: UUID | None = None) -> Add:
        return Add.model_validate({"event_id": event_id or uuid7(START_MS), "occurred_at": "2026-03-02T00:00:00Z", "key": key, "count": count})

    def add(self, key: str, count: int, event_id: UUID | None = None) -> Any:
        return self.acts.run_sync(add, ANN, self.command(key, count, event_id))

    def totals(self) -> dict[str, int]:
        with self.db.read() as session:
            return {row.key: row.total for row in session.execute(sa.select(TABLE))}


@contextmanager
def open_door(url: str, **bounds: int) -> Iterator[Door]:
    db, live, clock = Database(url), Live(), ManualClock(START_MS)
    with db.writer.begin() as connection:
        TABLE.create(connection, checkfirst=True)
    acts = Acts(db, clock, live, **bounds)
    acts.start()
    try:
        yield Door(db, acts, live, clock)
    finally:
        acts.stop()
        db.close()
