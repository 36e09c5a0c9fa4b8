"""The ERP's books: master data, orders, stock, and every confirmation exactly as it was posted. No HTTP here."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edge_agent.contract.clock import Clock, iso
from simulators.scenario import Scenario

ENTITIES = ("items", "boms", "routings", "orders", "lots")
Record = dict[str, Any]


class Refused(Exception):
    """The ERP's business rules say no; `message` is what its clerk would read."""

    def __init__(self, code: str, message: str, message_zh: str) -> None:
        super().__init__(message)
        self.code, self.message, self.message_zh = code, message, message_zh


@dataclass(slots=True)
class Posted:
    document: str
    message: Record
    posted_at: str
    status: str = "posted"


@dataclass(slots=True)
class Totals:
    """What the books hold of one order."""

    operations: dict[int, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0]))  # good, scrap, rework
    consumed: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    produced: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    serials: list[str] = field(default_factory=list)


class Books:
    def __init__(self, scenario: Scenario, clock: Clock, closed_at: Callable[[int], tuple[str, str] | None]) -> None:
        self._clock, self._closed_at = clock, closed_at
        self.mess = scenario.mess
        self.rng = random.Random(f"{scenario.seed}/erp")
        self._records: dict[str, dict[str, Record]] = {entity: {} for entity in ENTITIES}
        self._feed: dict[str, list[str]] = {entity: [] for entity in ENTITIES}  # ids in order of change; cursor = position
        self._posted: list[Posted] = []
        self._by_id: dict[str, Posted] = {}
        self.totals: dict[str, Totals] = defaultdict(Totals)
        self._stock: dict[tuple[str, str, str], float] = defaultdict(float)
        self.refused = 0

    # --- master data and orders ---------------------------------------------------------------------------------------------

    def put(self, entity: str, record_id: str, data: Record, version: int | None = None) -> None:
        old = self._records[entity].get(record_id)
        number = version if version is not None else (old["version"] + 1 if old else 1)
        self._records[entity][record_id] = {
            "id": record_id,
            "version": number,
            "changed_at": iso(self._clock.now_ms()),
            "deleted": False,
            "data": data,
        }
        self._feed[entity].append(record_id)
        if entity == "lots" and old is None:
            self._stock[data["item"], data["lot"], "RM"] += float(data["quantity"])

    def changes(self, entity: str, cursor: str, limit: int) -> Record:
        start = int(cursor) if cursor.isdigit() else 0
        ids = self._feed[entity][start : start + limit]
        end = start + len(ids)
        records = [self._records[entity][one] for one in dict.fromkeys(ids)]
        return {"records": records, "cursor": str(end), "more": end < len(self._feed[entity])}

    def fetch(self, entity: str, record_id: str) -> Record | None:
        return self._records[entity].get(record_id)

    @property
    def released(self) -> int:
        """How many orders the ERP has released and not taken back."""
        return sum(1 for record in self._records["orders"].values() if record["data"]["state"] == "released")

    def order(self, number: str) -> Record | None:
        return next((r["data"] for r in self._records["orders"].values() if r["data"]["number"] == number), None)

    # --- confirmations ------------------------------------------------------------------------------------------------------

    def post(self, message: Record, idempotent: bool) -> tuple[Posted, bool]:
        """(document, new). Raises Refused; nothing is booked then."""
        known = self._by_id.get(message["message_id"])
        if idempotent and known is not None:
            return known, False
        self._check(message)
        sign, booked = 1, message
        if message["kind"] == "reversal" and message.get("reversal_of"):
            original = self._by_id.get(message["reversal_of"])
            if original is None or original.status == "reversed":
                raise self._no("bad_message", f"Nothing to reverse under {message['reversal_of']}", f"没有可冲销的单据 {message['reversal_of']}")
            sign, booked, original.status = -1, original.message, "reversed"
        self._book(booked, sign)
        document = Posted(f"CNF-{len(self._posted) + 1:06d}", message, iso(self._clock.now_ms()))
        self._posted.append(document)
        self._by_id.setdefault(message["message_id"], document)
        return document, True

    def _no(self, code: str, message: str, message_zh: str) -> Refused:
        self.refused += 1
        return Refused(code, message, message_zh)

    def _check(self, message: Record) -> None:
        closed = self._closed_at(self._clock.now_ms())
        if closed is not None:
            month = iso(self._clock.now_ms())[:7]
            raise self._no(
                "period_closed",
                f"Period {month} is closed for posting between {closed[0]} and {closed[1]}",
                f"期间 {month} 在 {closed[0]} 至 {closed[1]} 之间关闭过账",
            )
        number = str(message["order"])
        order = self.order(number)
        if order is None:
            raise self._no("order_unknown", f"Order {number} does not exist", f"订单 {number} 不存在")
        routing = self.fetch("routings", order["item"])
        known = {operation["number"] for operation in routing["data"]["operations"]} if routing else set()
        held = self.totals[number].operations
        for segment in message.get("segments", []):
            operation = segment["operation"]
            if operation not in known:
                raise self._no("operation_unknown", f"Order {number} has no operation {operation}", f"订单 {number} 没有工序 {operation}")
            now = held.get(operation, [0, 0, 0])
            if now[0] + segment.get("good", 0) < 0 or now[1] + segment.get("scrap", 0) < 0:
                raise self._no("quantity_negative", f"Operation {operation} of {number} would fall below 0", f"{number} 工序 {operation} 数量将为负")
        for material in message.get("materials", []):
            lot = material.get("lot")
            if material["use"] == "consumed" and lot and lot not in self._records["lots"]:
                words = f"Lot {lot} is not known here; has the goods receipt been keyed in?"
                raise self._no("lot_unknown", words, f"批次 {lot} 不存在，是否已录入收货？")

    def _book(self, message: Record, sign: int) -> None:
        totals = self.totals[str(message["order"])]
        for segment in message.get("segments", []):
            held = totals.operations[segment["operation"]]
            for index, key in enumerate(("good", "scrap", "rework")):
                held[index] += sign * int(segment.get(key) or 0)
        for material in message.get("materials", []):
            item, lot, amount = material["item"], material.get("lot") or "", sign * float(material["quantity"])
            if material["use"] == "produced":
                totals.produced[item] += amount
                if sign > 0:
                    totals.serials += material.get("serials", [])
                else:
                    totals.serials = [s for s in totals.serials if s not in material.get("serials", [])]
                self._stock[item, lot, "FG"] += amount
            else:
                back = -1 if material["use"] == "returned" else 1
                totals.consumed[item, lot] += back * amount
                self._stock[item, lot, "RM"] -= back * amount

    def find(self, key: str, value: str) -> list[Record]:
        """Documents by `message_id`, `reference` or `order`."""
        return [
            {
                "document": one.document,
                "message_id": one.message["message_id"],
                "reference": one.message.get("reference"),
                "order": one.message["order"],
                "sequence": one.message.get("sequence"),
                "kind": one.message["kind"],
                "status": one.status,
                "posted_at": one.posted_at,
                "body": one.message,
            }
            for one in self._posted
            if one.message.get(key) == value
        ]

    @property
    def documents(self) -> int:
        return len(self._posted)

    def order_totals(self, number: str) -> Record:
        totals = self.totals.get(number, Totals())
        operations = [{"operation": number, "good": h[0], "scrap": h[1], "rework": h[2]} for number, h in sorted(totals.operations.items())]
        consumed = [{"item": item, "lot": lot or None, "quantity": round(amount, 6)} for (item, lot), amount in sorted(totals.consumed.items())]
        produced = [{"item": i, "lot": None, "serials": totals.serials, "quantity": amount} for i, amount in sorted(totals.produced.items())]
        return {"order": number, "operations": operations, "consumed": consumed, "produced": produced}

    def stock(self, item: str | None, lot: str | None) -> list[Record]:
        units = {code: record["data"]["unit"] for code, record in self._records["items"].items()}
        return [
            {"item": one, "lot": code or None, "location": place, "quantity": round(amount, 6), "unit": units.get(one, "pcs")}
            for (one, code, place), amount in sorted(self._stock.items())
            if (item is None or one == item) and (lot is None or code == lot)
        ]
