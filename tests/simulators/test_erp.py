"""The simulated ERP keeps its contract: feed by cursor, exact books, refusals in words, time-outs after commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Protocol

import httpx
import pytest

from edge_agent.contract.clock import ManualClock
from simulators.erp import Books, build_app
from simulators.erp.master import fill
from simulators.scenario import load
from tests.support.sim import serving

KEY = {"X-Api-Key": "k"}


class Make(Protocol):
    def __call__(self, **mess: Any) -> tuple[Books, httpx.Client]: ...


@pytest.fixture
def erp() -> Iterator[Make]:
    """Makes an ERP with that mess, served on a real socket."""
    with ExitStack() as stack:

        def make(**mess: Any) -> tuple[Books, httpx.Client]:
            scenario = load("quiet")
            scenario = replace(scenario, mess=replace(scenario.mess, **mess))
            clock = ManualClock(1_772_401_500_000)
            closed: list[tuple[str, str] | None] = [None]
            books = Books(scenario, clock, lambda now: closed[0])
            books.closed = closed  # type: ignore[attr-defined]
            fill(books, scenario)
            order = {"number": "WO-1", "item": "P-310", "quantity": 10, "due": "x", "priority": 5, "state": "released"}
            books.put("orders", "ERP-1", order)
            url = stack.enter_context(serving(build_app(books, clock, "k", "Haitong")))
            return books, stack.enter_context(httpx.Client(base_url=url, headers=KEY, trust_env=False))

        yield make


def _message(number: int, **more: Any) -> dict[str, Any]:
    base = {"message_id": f"m-{number}", "reference": f"GEMBA/WO-1/{number}", "kind": "progress", "order": "WO-1"}
    base["occurred_at"] = "2026-03-02T00:00:00Z"
    return {**base, **more}


def test_feed_gives_every_record_once_and_changed_ones_again(erp: Make) -> None:
    books, http = erp()
    first = http.get("/api/changes/items", params={"limit": 20}).json()
    assert len(first["records"]) == 20 and first["more"]
    rest = http.get("/api/changes/items", params={"cursor": first["cursor"]}).json()
    assert len(rest["records"]) == 5 and not rest["more"]
    orders = http.get("/api/changes/orders").json()
    books.put("orders", "ERP-1", {**orders["records"][0]["data"], "quantity": 12})
    again = http.get("/api/changes/orders", params={"cursor": orders["cursor"]}).json()
    assert [(r["version"], r["data"]["quantity"]) for r in again["records"]] == [(2, 12)]
    assert http.get("/api/orders/ERP-1").json()["version"] == 2
    assert http.get("/api/orders/ERP-9").status_code == 404
    assert http.get("/api/orders/ERP-1", headers={"X-Api-Key": "no"}).status_code == 401


def test_books_add_up_and_reversals_take_back(erp: Make) -> None:
    books, http = erp()
    books.put("lots", "L1", {"lot": "L1", "item": "CST-310", "quantity": 100, "status": "released"})
    used = {"use": "consumed", "item": "CST-310", "lot": "L1", "quantity": 5}
    made = _message(1, segments=[{"operation": 10, "good": 4, "scrap": 1}], materials=[used])
    assert http.post("/api/confirmations", json=made).status_code == 201
    assert http.post("/api/confirmations", json=_message(2, segments=[{"operation": 10, "good": -1, "scrap": 1}])).status_code == 201
    totals = http.get("/api/orders/WO-1/totals").json()
    assert totals["operations"] == [{"operation": 10, "good": 3, "scrap": 2, "rework": 0}]
    assert http.get("/api/stock", params={"lot": "L1"}).json()["items"][0]["quantity"] == 95
    assert http.post("/api/confirmations", json=_message(3, kind="reversal", reversal_of="m-1")).status_code == 201
    assert http.get("/api/orders/WO-1/totals").json()["operations"][0]["good"] == -1
    assert http.get("/api/stock", params={"lot": "L1"}).json()["items"][0]["quantity"] == 100


def test_a_repeat_is_posted_twice_unless_idempotency_is_asked_for(erp: Make) -> None:
    _, http = erp()
    message = _message(1, segments=[{"operation": 20, "good": 2}])
    for expected in (201, 201):
        assert http.post("/api/confirmations", json=message).status_code == expected
    assert len(http.get("/api/confirmations", params={"reference": "GEMBA/WO-1/1"}).json()["items"]) == 2
    other = _message(2, segments=[{"operation": 20, "good": 1}])
    answers = [http.post("/api/confirmations", json=other, headers={"Idempotency": "on"}) for _ in range(2)]
    assert [a.status_code for a in answers] == [201, 200] and len({a.json()["document"] for a in answers}) == 1


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (_message(1, order="WO-9"), "order_unknown"),
        (_message(1, segments=[{"operation": 15, "good": 1}]), "operation_unknown"),
        (_message(1, segments=[{"operation": 10, "good": -1}]), "quantity_negative"),
        (_message(1, materials=[{"use": "consumed", "item": "CST-310", "lot": "??", "quantity": 1}]), "lot_unknown"),
        ({"message_id": "x"}, "bad_message"),
    ],
)
def test_refusals_say_why_and_book_nothing(erp: Make, message: dict[str, Any], code: str) -> None:
    books, http = erp()
    answer = http.post("/api/confirmations", json=message)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
    assert answer.json()["error"]["message_zh"] and books.documents == 0


def test_closed_period_refuses_and_opens_again(erp: Make) -> None:
    books, http = erp()
    books.closed[0] = ("02:00", "02:20")  # type: ignore[attr-defined]
    answer = http.post("/api/confirmations", json=_message(1))
    assert answer.status_code == 422 and "02:20" in answer.json()["error"]["message"]
    books.closed[0] = None  # type: ignore[attr-defined]
    assert http.post("/api/confirmations", json=_message(1)).status_code == 201


@pytest.mark.parametrize(("mess", "status", "posted"), [("erp_busy", 503, 0), ("erp_timeout_after_commit", 504, 1), ("erp_cut_after_commit", 500, 1)])
def test_trouble_before_and_after_the_commit(erp: Make, mess: str, status: int, posted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.erp.app.SLOW_ANSWER_S", 0.01)
    books, http = erp(**{mess: 1.0})
    assert http.post("/api/confirmations", json=_message(1)).status_code == status
    assert books.documents == posted
