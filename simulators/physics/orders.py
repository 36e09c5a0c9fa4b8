"""Orders, their pieces' whereabouts, and the material lots they use."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from edge_agent.contract.clock import iso
from simulators.scenario import Component, Scenario

OPERATIONS = tuple(range(10, 100, 10))
PACE_S = 112.0  # seconds a pump of the whole plant: only for promising due dates


@dataclass(slots=True)
class OpRun:
    """One operation of one order: who works on it and what is still to be told."""

    started: bool = False
    done: bool = False
    completed: bool = False
    running_on: list[str] = field(default_factory=list)
    pending_until: int = 0  # acts about this operation are planned up to here; it is completed after them
    unreported_good: int = 0
    unreported_scrap: int = 0
    scrap_reason: str = ""
    timer: bool = False
    material: float = 0.0  # of the component that is carried to this operation, still unused


@dataclass(slots=True)
class Piece:
    number: int
    order: Order
    bad_casting: bool = False


class Order:
    """`ahead[op]` pieces have not begun that operation yet (and may still reach it); `on_machine[op]` are being worked."""

    def __init__(self, number: str, erp_id: str, item: str, family: str, quantity: int, due_ms: int, priority: int) -> None:
        self.number, self.erp_id, self.item, self.family = number, erp_id, item, family
        self.quantity, self.due_ms, self.priority = quantity, due_ms, priority
        self.version = 1
        self.state = "released"
        self.sawn = 0
        self.ahead = dict.fromkeys(OPERATIONS, quantity)
        self.on_machine = dict.fromkeys(OPERATIONS, 0)
        self.runs = {number: OpRun() for number in OPERATIONS}

    def exhausted(self, operation: int) -> bool:
        return self.ahead[operation] <= 0

    def done(self, operation: int) -> bool:
        return self.ahead[operation] <= 0 and self.on_machine[operation] == 0

    def change_quantity(self, quantity: int) -> bool:
        """Takes a new quantity while the saw still cuts; False when it comes too late."""
        delta = quantity - self.quantity
        if self.ahead[10] <= 0 or self.ahead[10] + delta < 1:
            return False
        for number in OPERATIONS:
            self.ahead[number] += delta
        self.quantity = quantity
        return True

    def cancel(self) -> bool:
        """Only an order nobody has begun."""
        if self.sawn or self.runs[10].started:
            return False
        self.state = "cancelled"
        self.ahead = dict.fromkeys(OPERATIONS, 0)
        return True

    def erp(self) -> dict[str, Any]:
        """The order as the ERP's feed shows it."""
        return {
            "id": self.erp_id,
            "version": self.version,
            "data": {
                "number": self.number,
                "item": self.item,
                "quantity": self.quantity,
                "due": iso(self.due_ms),
                "priority": self.priority,
                "state": self.state,
                "bom_revision": "A",
                "routing_revision": "A",
                "sales_reference": f"SO-{int(self.erp_id[-5:]) % 90000 + 10000}",
            },
        }


class OrderBook:
    """Makes the orders one after another: runs of one product, families alternating, due dates some of which cannot be kept."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._rng = random.Random(f"{scenario.seed}/orders")
        self._next = scenario.orders.first_number
        self._product = ""
        self._load_s = 0.0
        self._first_ms = 0
        self.orders: list[Order] = []

    def new(self, now_ms: int) -> Order:
        rng, book = self._rng, self._scenario.orders
        products = [p.code for p in self._scenario.products]
        if not self._product or rng.random() < 0.75:
            same = [p.code for p in self._scenario.products if self._product and p.family == self._scenario.product(self._product).family]
            self._product = rng.choice(same if same and rng.random() < 0.6 else products)
        quantity = rng.randrange(book.quantity_min, book.quantity_max + 1, 5)
        self._load_s += quantity * PACE_S * self._scenario.pace
        if not self.orders:
            self._first_ms = now_ms
        lead_ms = (self._load_s + 6 * 3600) * rng.uniform(0.85, 1.35) * 1000
        due = round((self._first_ms + lead_ms) / 3_600_000) * 3_600_000
        product = self._scenario.product(self._product)
        order = Order(f"WO-{self._next}", f"ERP-{500000 + self._next}", product.code, product.family, quantity, due, rng.choice((3, 5, 5, 5, 7)))
        self._next += 1
        self.orders.append(order)
        return order

    def next_for(self, operation: int) -> Order | None:
        """The first order in the plan's sequence with pieces that still have to begin `operation`."""
        for order in self.orders:
            if order.state == "released" and order.ahead[operation] > 0 and (operation == 10 or order.sawn > 0):
                return order
        return None

    def trim(self) -> None:
        """Forgets orders nothing can happen to any more, so that a long run stays quick."""
        while len(self.orders) > 60 and (self.orders[0].state == "cancelled" or self.orders[0].runs[90].completed):
            self.orders.pop(0)


@dataclass(slots=True)
class Lot:
    code: str
    item: str
    quantity: float
    remaining: float
    supplier: str
    bad: bool
    on_hold: bool = False
    scrap_seen: int = 0


class Store:
    """Lots of every component item; a new one is delivered when the present one runs low."""

    SUPPLIERS = ("沪东铸造", "Nordguss", "永固五金", "Kaiser Seals")

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._rng = random.Random(f"{scenario.seed}/lots")
        self._counter = 0
        self._castings = 0
        self.lots: dict[str, list[Lot]] = {}

    def deliver(self, component: Component, product: str) -> Lot:
        self._counter += 1
        bad = False
        if component.kind == "CST":
            self._castings += 1
            every = self._scenario.mess.bad_casting_lot_every
            bad = bool(every) and self._castings % every == every // 2
        item = component.item(product)
        size = component.lot_quantity
        lot = Lot(f"{item}-L{self._counter:04d}", item, size, size, self._rng.choice(self.SUPPLIERS), bad)
        self.lots.setdefault(item, []).append(lot)
        return lot

    def current(self, item: str) -> Lot | None:
        """The lot to take from: first in, first out, never one on hold."""
        lots = self.lots.get(item, [])
        while lots and (lots[0].remaining <= 0 or lots[0].on_hold):
            lots.pop(0)
        return lots[0] if lots else None

    def low(self, item: str) -> bool:
        """True when the last lot of an item is down to its last third."""
        lots = [lot for lot in self.lots.get(item, []) if not lot.on_hold]
        return not lots or (len(lots) == 1 and lots[0].remaining < lots[0].quantity / 3)


def lot_record(lot: Lot) -> dict[str, Any]:
    """The lot as the ERP's feed shows it."""
    return {
        "id": lot.code,
        "version": 1,
        "data": {
            "lot": lot.code,
            "item": lot.item,
            "quantity": lot.quantity,
            "supplier": lot.supplier,
            "expires_at": None,
            "status": "released",
        },
    }
