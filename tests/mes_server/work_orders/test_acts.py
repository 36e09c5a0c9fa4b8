"""Starts, reports, undo, correction, late acts, machine counts and the order's life through HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from edge_agent.contract.clock import iso
from mes_server.work_orders import service
from mes_server.work_orders.schemas import CountRow
from tests.support.orders import do, operation, refused, set_up
from tests.support.server import RunningServer


def test_an_order_goes_through_a_person_counted_operation(any_server: RunningServer) -> None:
    server = any_server
    client = set_up(server)
    order = client.get("/work-orders/WO-1001").json()
    assert order["status"] == "released"
    assert [one["status"] for one in order["operations"]] == ["ready", "pending", "pending", "pending"]
    started = do(server, client, "operation.start", operation="WO-1001/40", machine="DEB-01")
    assert started["operation_status"] == "running" and started["order_status"] == "in_progress"
    server.clock.advance(600)
    body = do(server, client, "production.report", operation="WO-1001/40", machine="DEB-01", good=10, scrap=2, reason="burr")
    assert (body["good"], body["scrap"], body["remaining"]) == (10, 2, 190)
    done = do(server, client, "operation.complete", operation="WO-1001/40")
    assert done["operation_status"] == "completed"
    after = operation(client, "WO-1001/40")
    assert (after["good"], after["scrap"], after["status"]) == (10, 2, "completed")
    assert after["runs"][0]["machine"] == "DEB-01" and after["runs"][0]["to"] is not None
    events = client.get("/work-orders/WO-1001/events").json()["items"]
    assert [one["type"] for one in events] == ["operation.completed", "production.reported", "operation.started", "order.created"]


def test_what_cannot_be_is_refused_in_words(server: RunningServer) -> None:
    client = set_up(server)
    do(server, client, "operation.start", operation="WO-1001/40", machine="DEB-01")
    server.clock.advance(600)
    where = {"operation": "WO-1001/40", "machine": "DEB-01"}
    cases = [
        ({"good": -1}, "not_pieces"),
        ({"good": 3.7}, "not_pieces"),
        ({"good": 6901234567892}, "not_pieces"),
        ({"good": 99999999}, "not_pieces"),
        ({"good": 2400}, "far_too_many"),
        ({"good": 0}, "nothing_reported"),
        ({"scrap": 1}, "reason_missing"),
        ({"good": "10"}, "bad_request_body"),
        ({"good": 120}, "needs_confirmation"),
    ]
    for fields, code in cases:
        problem = refused(server, client, "production.report", **where, **fields)
        assert problem["code"] == code, (fields, problem)
        assert problem["title"] and problem["next_step"]
    assert refused(server, client, "production.report", operation="WO-1001/20", machine="LAT-01", good=1)["code"] == "machine_counts"
    assert refused(server, client, "operation.start", operation="WO-1001/40", machine="LAT-01")["code"] == "wrong_machine"
    assert refused(server, client, "operation.start", operation="WO-1001/99", machine="DEB-01")["code"] == "operation_unknown"
    assert do(server, client, "production.report", **where, good=120, confirmed=True)["good"] == 120
    assert operation(client, "WO-1001/40")["good"] == 120


def test_undo_and_correction_book_the_difference_once(any_server: RunningServer) -> None:
    server = any_server
    client = set_up(server)
    ann = server.client("read", "floor.report", "floor.start", person="P-ann")
    bob = server.client("read", "floor.report", person="P-bob")
    do(server, ann, "operation.start", operation="WO-1001/40", machine="DEB-01")
    server.clock.advance(600)
    where = {"type": "production.report", "operation": "WO-1001/40", "machine": "DEB-01"}
    first = server.envelope(**where, good=10)
    assert ann.post("/acts", json=first).status_code == 200
    assert refused(server, bob, "production.undo", reverses=first["event_id"])["code"] == "not_yours"
    do(server, ann, "production.undo", reverses=first["event_id"])
    assert refused(server, ann, "production.undo", reverses=first["event_id"])["code"] == "already_reversed"
    assert operation(client, "WO-1001/40")["good"] == 0
    server.clock.advance(600)
    second = server.envelope(**where, good=10, scrap=1, reason="size")
    ann.post("/acts", json=second)
    server.clock.advance(60)
    assert refused(server, ann, "production.undo", reverses=second["event_id"])["code"] == "undo_too_late"
    do(server, ann, "production.correct", reverses=second["event_id"], good=8, scrap=2, reason="size")
    server.clock.advance(30)
    do(server, ann, "production.correct", reverses=second["event_id"], good=9, scrap=2, reason="size", note="数错了")
    after = operation(client, "WO-1001/40")
    assert (after["good"], after["scrap"]) == (9, 2)
    (count,) = client.get("/counts", params={"from": iso(0), "to": server.now(), "order": "WO-1001"}).json()["items"]
    assert (count["good"], count["scrap"], count["machine"]) == (9, 2, "DEB-01")
    assert count["last_at"] == second["occurred_at"]  # the corrections stand where the report stood


def test_late_starts_take_over_what_the_machine_counted_before_they_arrived(any_server: RunningServer) -> None:
    server = any_server
    client = set_up(server, orders=(("WO-1", 100), ("WO-2", 100)))
    base = server.clock.now_ms()

    def count(minute: int, good: int, order: str = "", step: str = "") -> None:
        at_ms = base + minute * 60_000
        rows = [CountRow(at_ms, good, 0, order, step, at_ms - 1000)]
        server.kit.acts.run_system_sync(lambda session: service.record_machine_counts(session, "LAT-01", rows))

    for minute in range(10, 60, 10):
        count(minute, 1)
    count(15, 7, "WO-2", "20")  # the machine itself knows
    count(16, 5, "WO-9", "20")  # an order that comes later
    server.clock.advance(3600)
    assert operation(client, "WO-1/20")["good"] == 0 and operation(client, "WO-2/20")["good"] == 7
    do(server, client, "operation.start", operation="WO-1/20", machine="LAT-01", occurred_at=iso(base + 5 * 60_000))
    assert operation(client, "WO-1/20")["good"] == 5
    late = do(server, client, "operation.start", operation="WO-2/20", machine="LAT-01", occurred_at=iso(base + 35 * 60_000))
    assert late["warnings"] and "late" in late["warnings"]
    assert operation(client, "WO-1/20")["good"] == 3 and operation(client, "WO-2/20")["good"] == 9
    server.act(client, "/work-orders", number="WO-9", item="P-310", quantity=10)
    assert operation(client, "WO-9/20")["good"] == 5
    do(server, client, "production.report", operation="WO-2/20", machine="LAT-01", scrap=2, reason="burr")
    moved = operation(client, "WO-2/20")
    assert (moved["good"], moved["scrap"]) == (7, 2)  # moved, not added


def test_double_scans_on_two_tablets_are_one_start_and_one_booking(any_server: RunningServer) -> None:
    server = any_server
    client = set_up(server)
    server.clock.advance(600)
    start = server.envelope(type="operation.start", operation="WO-1001/40", machine="DEB-01")
    report = server.envelope(type="production.report", operation="WO-1001/40", machine="DEB-01", good=5)
    tablets = [server.client() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda one: one.post("/acts", json=start).json(), tablets))
        answers += list(pool.map(lambda one: one.post("/acts", json=report).json(), tablets))
    assert sum(not one["replay"] for one in answers) == 2 and len({one["seq"] for one in answers}) == 2
    other = do(server, client, "operation.start", operation="WO-1001/40", machine="DEB-01")  # another id: it runs already, nothing changes
    assert other["also_running"][0]["machine"] == "DEB-01"
    after = operation(client, "WO-1001/40")
    assert after["good"] == 5 and len(after["runs"]) == 1
    answer = client.post("/acts", json={**report, "good": 6})
    assert answer.status_code == 422 and answer.json()["code"] == "same_id_other_body"


def test_parts_made_are_never_lost_when_an_order_is_held_or_cancelled(server: RunningServer) -> None:
    client = set_up(server, orders=(("WO-1", 100), ("WO-2", 100)))
    do(server, client, "operation.start", operation="WO-1/40", machine="DEB-01")
    server.clock.advance(600)
    server.act(client, "/work-orders/WO-1/hold")
    server.clock.advance(1)
    body = do(server, client, "production.report", operation="WO-1/40", machine="DEB-01", good=4)
    assert body["warnings"][0] == "order_on_hold"
    assert refused(server, client, "operation.start", operation="WO-1/10", machine="SAW-01")["code"] == "order_not_open"
    server.act(client, "/work-orders/WO-1/resume")
    server.act(client, "/work-orders/WO-1/cancel")
    server.clock.advance(300)
    assert do(server, client, "production.report", operation="WO-1/40", machine="DEB-01", good=1)["good"] == 5
    order = client.get("/work-orders/WO-1").json()
    assert order["status"] == "cancelled"
    assert [one["status"] for one in order["operations"]] == ["aborted", "aborted", "running", "aborted"]
    assert client.post("/work-orders/WO-1/release", json=server.envelope()).json()["code"] == "order_transition"
    answer = client.post("/work-orders/WO-2/change", json=server.envelope(quantity=120))
    assert answer.status_code == 200 and client.get("/work-orders/WO-2").json()["quantity_before"] == 100


def test_orders_are_listed_page_by_page(server: RunningServer) -> None:
    client = set_up(server, orders=tuple((f"WO-{number}", 10) for number in range(7)))
    seen: list[str] = []
    cursor = None
    while True:
        page = client.get("/work-orders", params={"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        seen += [one["number"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [f"WO-{number}" for number in range(7)]
    assert len(client.get("/work-orders", params={"q": "wo-3"}).json()["items"]) == 1
    assert len(client.get("/work-orders", params={"machine": "DEB-01", "status": "released,in_progress"}).json()["items"]) == 7
    assert client.get("/work-orders", params={"machine": "nobody"}).json()["items"] == []
    assert client.get("/work-orders", params={"cursor": "nonsense"}).json()["code"] == "bad_cursor"
    assert client.get("/work-orders/NONE").status_code == 404


def test_rights_hold_in_their_area_only(server: RunningServer) -> None:
    set_up(server)
    ann = server.client("read", "floor.report@L1", "floor.start@L1")
    do(server, ann, "operation.start", operation="WO-1001/40", machine="DEB-01")
    stranger = server.client("read", "floor.report@L2", "floor.start@L2")
    assert refused(server, stranger, "operation.start", operation="WO-1001/40", machine="DEB-01")["code"] == "forbidden"
    reader = server.client("read")
    assert refused(server, reader, "operation.start", operation="WO-1001/40", machine="DEB-01")["code"] == "forbidden"
    assert server.client(None).post("/acts", json=server.envelope(type="operation.complete", operation="WO-1001/40")).status_code == 401
