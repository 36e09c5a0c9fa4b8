"""The ERP border against a real HTTP ERP (the simulated one): in, out, once each, whatever fails."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from edge_agent.contract.clock import iso
from mes_server.erp_sync.connectors.rest_json import RestJsonConnector
from mes_server.erp_sync.runner import ErpSync
from simulators.erp.app import build_app
from simulators.erp.books import Books
from simulators.erp.master import fill
from simulators.scenario import load
from tests.support.orders import plant
from tests.support.server import RunningServer
from tests.support.sim import serving
from tests.support.wait import eventually

KEY = "erp-test-key"


class Rig:
    """A server, an ERP with books, and the sync between them, turned by hand."""

    def __init__(self, server: RunningServer, books: Books, sync: ErpSync) -> None:
        self.server, self.books, self.sync = server, books, sync
        self.planner = server.client()
        server.act(self.planner, "/plant", "PUT", model=plant())

    def order(self, number: str = "WO-1001", *, quantity: int = 20, version: int = 1, state: str = "released") -> None:
        data = {
            "number": number,
            "item": "P-310",
            "quantity": quantity,
            "due": "2026-03-05T00:00:00.000Z",
            "priority": 5,
            "state": state,
            "bom_revision": "A",
            "routing_revision": "A",
            "sales_reference": None,
        }
        self.books.put("orders", f"ERP-{number}", data, version=version)

    def act(self, kind: str, **fields: Any) -> dict[str, Any]:
        self.server.clock.advance(600)
        return self.server.act(self.planner, "/acts", type=kind, **fields)

    def deburr(self, good: int, scrap: int = 0) -> dict[str, Any]:
        """Reports on the person-counted operation 40."""
        reason = {"reason": "burr"} if scrap else {}
        return self.act("production.report", operation="WO-1001/40", machine="DEB-01", good=good, scrap=scrap, origin="pad", confirmed=True, **reason)

    def settle(self, rounds: int = 30) -> None:
        """Turns until nothing waits; plant time passes so that back-offs end."""
        for _ in range(rounds):
            self.server.clock.advance(400)
            self.sync.turn()

    def made(self, number: str = "WO-1001", operation: int = 40) -> tuple[int, int]:
        """(good, scrap) as the ERP's books hold them."""
        good, scrap, _rework = self.books.totals[number].operations[operation]
        return good, scrap

    def messages(self, **query: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.planner.get("/erp/messages", params=query).json()["items"]
        return items


@pytest.fixture
def make_rig(server: RunningServer) -> Iterator[Callable[..., Rig]]:
    with ExitStack() as stack:

        def make(*, closed: Callable[[int], tuple[str, str] | None] = lambda _ms: None, **mess: float) -> Rig:
            scenario = load("check", 1)
            calm = {"erp_busy": 0.0, "erp_timeout_after_commit": 0.0, "erp_cut_after_commit": 0.0, **mess}
            scenario = dataclasses.replace(scenario, mess=dataclasses.replace(scenario.mess, **calm))
            books = Books(scenario, server.clock, closed)
            fill(books, scenario)
            url = stack.enter_context(serving(build_app(books, server.clock, KEY, "Haitong")))
            connector = RestJsonConnector(url, KEY, timeout_s=5)
            stack.callback(connector.close)
            sync = ErpSync(server.kit, connector, poll_s=1, confirm_every_s=60, seed=1)
            server.app.state.erp = sync
            return Rig(server, books, sync)

        yield make


def test_orders_items_routings_and_boms_come_in(make_rig: Callable[..., Rig]) -> None:
    """An ERP order is on the floor with its operations after one turn, and the journal says who brought it."""
    rig = make_rig()
    rig.order()
    rig.settle(2)
    order = rig.planner.get("/work-orders/WO-1001").json()

    assert (order["status"], order["quantity"], order["erp"]["id"]) == ("released", 20, "ERP-WO-1001")
    assert [row["number"] for row in order["operations"]] == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert rig.planner.get("/journal", params={"type": "erp.order_synced"}).json()["items"]


def test_the_same_order_many_times_is_one(make_rig: Callable[..., Rig]) -> None:
    """Repeats and an old version after a new one change nothing."""
    rig = make_rig()
    rig.order(version=1)
    rig.settle(1)
    rig.order(quantity=25, version=2)
    rig.settle(1)
    rig.order(quantity=20, version=1)
    rig.settle(2)

    assert rig.planner.get("/work-orders/WO-1001").json()["quantity"] == 25


def test_confirmations_go_out_and_add_up(make_rig: Callable[..., Rig]) -> None:
    """Reports, an undo and a correction: the ERP's books equal ours, by differences."""
    rig = make_rig()
    rig.order()
    rig.settle(2)
    rig.act("operation.start", operation="WO-1001/40", machine="DEB-01")
    rig.deburr(5)
    rig.settle(3)
    assert rig.made() == (5, 0)

    wrong = rig.deburr(8, scrap=1)
    rig.settle(3)
    rig.act("production.correct", reverses=wrong["event_id"], good=6, scrap=1, reason="typo", confirmed=True)
    rig.settle(3)

    assert rig.made() == (11, 1)
    assert {row["status"] for row in rig.messages()} == {"posted"}
    assert [row["sequence"] for row in rig.messages()] == [3, 2, 1]


def test_each_message_once_although_the_erp_times_out_after_posting(make_rig: Callable[..., Rig]) -> None:
    """The ERP posts twice what it is sent twice; we look before we write again."""
    rig = make_rig(erp_busy=0.3, erp_cut_after_commit=0.5)
    rig.order(quantity=200)
    rig.settle(2)
    rig.act("operation.start", operation="WO-1001/40", machine="DEB-01")
    for _ in range(8):
        rig.deburr(3)
        rig.settle(4)
    rig.settle(20)

    assert rig.made() == (24, 0)
    assert {row["status"] for row in rig.messages()} == {"posted"}
    assert max(row["attempts"] for row in rig.messages()) > 1


def test_a_refusal_waits_at_the_desk_with_the_erps_words(make_rig: Callable[..., Rig]) -> None:
    """A closed period refuses; what is behind waits; a retry after the period opened sends both, in order."""
    period = {"closed": True}
    rig = make_rig(closed=lambda _ms: ("Period 2026-03 is closed", "期间 2026-03 已关闭") if period["closed"] else None)
    rig.order()
    rig.settle(2)
    rig.act("operation.start", operation="WO-1001/40", machine="DEB-01")
    rig.deburr(4)
    rig.settle(3)
    rig.deburr(2)
    rig.settle(3)
    (refused,) = rig.messages(status="refused")
    assert "Period 2026-03 is closed" in refused["erp_message"]
    assert refused["waiting_behind"] == 1
    assert rig.planner.get("/erp/status").json()["refused"] == 1

    period["closed"] = False
    rig.server.act(rig.planner, f"/erp/messages/{refused['id']}/retry")
    rig.settle(3)

    assert rig.made() == (6, 0)
    assert [row.message["sequence"] for row in rig.books._posted] == [1, 2]


def test_the_floor_does_not_notice_a_dead_erp(make_rig: Callable[..., Rig]) -> None:
    """With no ERP there, reports are booked, the desk says since when, and everything is sent when it is back."""
    rig = make_rig()
    rig.order()
    rig.settle(2)
    rig.act("operation.start", operation="WO-1001/40", machine="DEB-01")
    alive = rig.sync._erp
    rig.sync._erp = RestJsonConnector("http://127.0.0.1:1", KEY, timeout_s=0.5)
    rig.deburr(7)
    rig.settle(3)
    status = rig.planner.get("/erp/status").json()
    assert (status["connected"], status["outbox_waiting"]) == (False, 1)
    assert "does not answer" in status["error_en"]

    rig.sync._erp = alive
    rig.settle(3)

    assert rig.made() == (7, 0)
    assert rig.planner.get("/erp/status").json()["connected"] is True


def test_a_smaller_quantity_than_made_is_held_and_parts_stay(make_rig: Callable[..., Rig]) -> None:
    """The planner sees old, new and made; parts are never lost."""
    rig = make_rig()
    rig.order()
    rig.settle(2)
    rig.act("operation.start", operation="WO-1001/40", machine="DEB-01")
    rig.deburr(9)
    rig.order(quantity=5, version=2)
    rig.settle(3)
    (change,) = rig.planner.get("/erp/changes", params={"open": True}).json()["items"]
    assert (change["kind"], change["old"], change["new"], change["made"]) == ("quantity", "20", "5", 9)

    rig.server.act(rig.planner, f"/erp/changes/{change['id']}/apply")
    order = rig.planner.get("/work-orders/WO-1001").json()

    assert order["quantity"] == 9
    assert rig.planner.get("/erp/changes", params={"open": True}).json()["items"] == []
    assert rig.planner.post(f"/erp/changes/{change['id']}/refuse", json=rig.server.envelope()).status_code == 409


def test_a_cancelled_order_still_confirms_what_was_made(make_rig: Callable[..., Rig]) -> None:
    """Cancel while running: nothing new starts, the parts go to the ERP."""
    rig = make_rig()
    rig.order()
    rig.settle(2)
    rig.act("operation.start", operation="WO-1001/40", machine="DEB-01")
    rig.deburr(3)
    rig.order(version=2, state="cancelled")
    rig.settle(4)

    assert rig.made() == (3, 0)
    assert rig.planner.get("/work-orders/WO-1001").json()["status"] == "cancelled"


def test_an_order_for_an_unknown_item_is_kept_and_taken_when_the_item_comes(make_rig: Callable[..., Rig]) -> None:
    """A record that lacks something waits with its reason and needs nobody when it is there."""
    rig = make_rig()
    rig.order()
    rig.books.put("orders", "ERP-X", {"number": "WO-X", "item": "P-999", "quantity": 1, "due": None, "priority": 5, "state": "released"})
    rig.settle(2)
    (waiting,) = rig.messages(direction="in", status="refused")
    assert "P-999" in waiting["en"]
    assert rig.planner.get("/work-orders/WO-X").status_code == 404

    item = {**rig.books.fetch("items", "P-310")["data"], "code": "P-999", "gtin": None}  # type: ignore[index]
    rig.books.put("items", "P-999", item)
    rig.books.put("routings", "P-999", {**rig.books.fetch("routings", "P-310")["data"], "item": "P-999"})  # type: ignore[index]
    rig.settle(2)

    assert rig.planner.get("/work-orders/WO-X").json()["status"] == "released"
    assert rig.messages(direction="in", status="refused") == []


def test_nonsense_from_the_erp_breaks_nothing(make_rig: Callable[..., Rig]) -> None:
    """Garbled records are kept in words; good ones beside them come in."""
    rig = make_rig()
    for number, data in enumerate([{}, {"number": 5}, {"number": "WO-B", "item": "P-310", "quantity": "many"}, {"number": "WO-C", "item": None}]):
        rig.books.put("orders", f"ERP-BAD-{number}", data)
    rig.order()
    rig.settle(2)

    assert rig.planner.get("/work-orders/WO-1001").status_code == 200
    assert len(rig.messages(direction="in", status="refused")) == 4
    assert all("{" not in row["en"] for row in rig.messages(direction="in", status="refused"))


def test_consumed_lots_are_read_back_as_sent(make_rig: Callable[..., Rig]) -> None:
    """A lot and its quantity arrive, and reading back finds no difference between 3 and 3.0."""
    rig = make_rig()
    rig.order()
    rig.books.put("lots", "CST-7", {"lot": "CST-7", "item": "CST-310", "quantity": 50, "supplier": "S", "expires_at": None, "status": "released"})
    rig.settle(2)
    rig.act("operation.start", operation="WO-1001/30", machine="LAT-01", confirmed=True)
    rig.act("material.consume", operation="WO-1001/30", lot="CST-7", quantity=3, confirmed=True)
    rig.settle(4)

    assert {row["status"] for row in rig.messages()} == {"posted"}
    assert rig.books.totals["WO-1001"].consumed[("CST-310", "CST-7")] == 3


def test_a_backlog_is_gathered_before_the_erp_hears_of_it(make_rig: Callable[..., Rig]) -> None:
    """Acts of hours ago that come in now are one message, not one each turn: while they come in, pieces may still change their operation."""
    rig = make_rig()
    rig.order()
    rig.settle(2)
    for hours in (5, 4, 3):
        then = iso(rig.server.clock.now_ms() - hours * 3_600_000)
        if hours == 5:
            act = {"type": "operation.start", "operation": "WO-1001/40", "machine": "DEB-01", "occurred_at": then}
        else:
            act = {"type": "production.report", "operation": "WO-1001/40", "machine": "DEB-01", "good": 2, "occurred_at": then}
        answer = rig.planner.post("/acts", json={**rig.server.envelope(), **act})
        assert answer.status_code == 200, answer.text
        rig.sync.turn()
    assert rig.messages() == []

    rig.settle(2)

    assert [row["kind"] for row in rig.messages()] == ["progress"]
    assert rig.made() == (4, 0)


def test_what_nobody_foresaw_stands_on_the_desk_and_is_tried_again(make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make_rig()
    connector, well = rig.sync._erp, rig.sync._erp.changes
    sync = ErpSync(rig.server.kit, connector, poll_s=0.05, confirm_every_s=60, seed=1)

    def odd(entity: str, cursor: str) -> Any:
        raise KeyError("a field that was always there")

    monkeypatch.setattr(connector, "changes", odd)
    asyncio.run(sync.start())
    try:
        eventually(lambda: "always there" in sync.link.error_en and "日志" in sync.link.error_zh and not sync.link.connected, 20)
        monkeypatch.setattr(connector, "changes", well)
        eventually(lambda: sync.link.connected and not sync.link.error_en, 30)
    finally:
        asyncio.run(sync.stop())
