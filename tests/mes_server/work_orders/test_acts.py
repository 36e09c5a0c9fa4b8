"""Starts, reports and completions through the tablets' door."""

from __future__ import annotations

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
    problem = refused(server, client, "operation.start", operation="WO-1001/99", machine="DEB-01")
    assert problem["code"] == "operation_unknown"
