"""A shop without HTTP: store, writer and clock in one process, for laws that need hundreds of shops."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from edge_agent.contract.clock import ManualClock
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Acts, Answer
from mes_server.kit.db import Database
from mes_server.kit.errors import MesError
from mes_server.kit.ids import derived_id
from mes_server.kit.live import Live
from mes_server.plant import service as plant_service
from mes_server.plant.schemas import PutPlant
from mes_server.products import service as products
from mes_server.products.schemas import PutItem
from mes_server.scans.service.registry import ACTS, ADAPTER
from mes_server.work_orders import service as work_orders
from mes_server.work_orders.schemas import CountRow, CreateOrder
from tests.support.orders import component, item, plant

ADMIN = Actor("P-admin", None, frozenset({"*"}))


class Shop:
    """One plant with order WO-1, lots BAR-L and SEAL-L; `now_ms` lies far behind every act, so that all of them are late."""

    def __init__(self, url: str, now_ms: int) -> None:
        self.db = Database(url)
        self.acts = Acts(self.db, ManualClock(now_ms), Live())
        self.now_ms = now_ms
        self.acts.start()

    def furnish(self, quantity: int = 500) -> None:
        base = {"occurred_at": datetime.fromtimestamp(0, UTC)}
        self._run(plant_service.put_plant, PutPlant(event_id=derived_id("plant"), model=plant(), **base))
        for one in (component("BAR-40", "m"), component("SEAL-01", "pcs"), item()):
            self._run(products.put_item, PutItem(event_id=derived_id(one["code"]), item=one, **base))
        self._run(work_orders.create_order, CreateOrder(event_id=derived_id("WO-1"), number="WO-1", item="P-310", quantity=quantity, **base))
        for lot, what in (("BAR-L", "BAR-40"), ("SEAL-L", "SEAL-01")):
            self.act({"type": "material.receive", "event_id": str(derived_id(lot)), "occurred_at": 0, "lot": lot, "item": what, "quantity": 100_000})

    def _run(self, function: Any, command: Any) -> None:
        self.acts.run_sync(function, ADMIN, command)

    def act(self, raw: dict[str, Any], person: str = "P-ann") -> Answer | MesError:
        """One act as the door would run it; `occurred_at` in ms."""
        when = datetime.fromtimestamp(raw["occurred_at"] / 1000, UTC)
        command = ADAPTER.validate_python({**raw, "occurred_at": when})
        rights = frozenset({"floor.report", "floor.start", "floor.material"})
        try:
            return self.acts.run_sync(ACTS[raw["type"]][1], Actor(person, "T1", rights), command)
        except MesError as error:
            return error

    def count(self, machine: str, rows: Sequence[CountRow]) -> None:
        self.acts.run_system_sync(lambda session: work_orders.record_machine_counts(session, machine, rows))

    def state(self) -> dict[str, Any]:
        """All that orders, materials and genealogy hold, without row ids and recording times."""
        with self.db.read() as session:
            order = work_orders.order_view(session, "WO-1", self.now_ms).model_dump(by_alias=True)
            for name in ("since", "late_by_s"):
                del order[name]
            found: dict[str, Any] = {"order": order}
            found["counts"] = [
                (one.machine, one.operation, one.good, one.scrap, one.rework)
                for one in work_orders.counts(session, None, 0, self.now_ms)
                if one.good or one.scrap or one.rework
            ]
            for name, query in _QUERIES.items():
                found[name] = sorted(map(repr, map(tuple, session.execute(sa.text(query)))))
        return found

    def hash(self) -> str:
        return hashlib.sha256(json.dumps(self.state(), sort_keys=True).encode()).hexdigest()

    def close(self) -> None:
        self.acts.stop()
        self.db.close()


_QUERIES = {
    "pieces": "SELECT machine, operation_id, at_ms, SUM(good), SUM(scrap), SUM(rework) FROM production_report WHERE operation_id IS NOT NULL "
    "GROUP BY machine, operation_id, at_ms HAVING SUM(good) <> 0 OR SUM(scrap) <> 0 OR SUM(rework) <> 0",
    "owners": "SELECT machine, at_ms, good, scrap, operation_id, booked FROM machine_count",
    "lots": "SELECT code, remaining_milli, status, holds FROM lot",
    "serials": "SELECT code, operation, produced_ms, status FROM serial",
    "edges": "SELECT p.kind, p.code, c.kind, c.code, e.event_id, e.quantity_milli, e.at_ms, e.precision FROM trace_edge e "
    "JOIN trace_node p ON p.id = e.parent JOIN trace_node c ON c.id = e.child",
}


@contextmanager
def shop(url: str, now_ms: int, *, furnished: bool = False) -> Iterator[Shop]:
    """A shop over a migrated store; `furnished`: the store is a copy of one that has the plant and its order already."""
    made = Shop(url, now_ms)
    try:
        if not furnished:
            made.furnish()
        yield made
    finally:
        made.close()
