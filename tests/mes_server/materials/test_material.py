"""Lots, serials and genealogy through HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from mes_server.kit.errors import MesError
from mes_server.materials import rules
from tests.support.orders import do, refused, set_up
from tests.support.server import RunningServer


def _furnished(server: RunningServer) -> Any:
    client = set_up(server)
    do(server, client, "material.receive", lot="BAR-1", item="BAR-40", quantity=30.5)
    do(server, client, "material.receive", lot="SEAL-1", item="SEAL-01", quantity=500)
    for step, machine in ((10, "SAW-01"), (90, "EOL-01")):
        do(server, client, "operation.start", operation=f"WO-1001/{step}", machine=machine)
    return client


def test_a_lot_is_consumed_and_the_words_say_what_is_wrong(any_server: RunningServer) -> None:
    server = any_server
    client = _furnished(server)
    body = do(server, client, "material.consume", operation="WO-1001/10", lot="BAR-1", quantity=10.25)
    assert body["remaining"] == 20.25
    cases: list[tuple[dict[str, Any], str]] = [
        ({"operation": "WO-1001/10", "lot": "NONE", "quantity": 1}, "lot_unknown"),
        ({"operation": "WO-1001/10", "lot": "BAR-1", "quantity": 0}, "not_a_quantity"),
        ({"operation": "WO-1001/10", "lot": "BAR-1", "quantity": 6901234567892}, "not_a_quantity"),
        ({"operation": "WO-1001/10", "lot": "BAR-1", "quantity": 0.0004}, "not_a_quantity"),
        ({"operation": "WO-1001/90", "lot": "SEAL-1", "quantity": 1.5}, "not_whole"),
        ({"operation": "WO-1001/10", "lot": "BAR-1", "quantity": 21}, "needs_confirmation"),  # more than the lot has
        ({"operation": "WO-1001/90", "lot": "SEAL-1", "quantity": 300}, "needs_confirmation"),  # the order needs 200
    ]
    for fields, code in cases:
        assert refused(server, client, "material.consume", **fields)["code"] == code, fields
    server.act(client, "/items/OIL", "PUT", item={"code": "OIL", "name_zh": "油", "name_en": "Oil", "unit": "kg", "tracking": "lot"})
    do(server, client, "material.receive", lot="OIL-1", item="OIL", quantity=5)
    assert refused(server, client, "material.consume", operation="WO-1001/10", lot="OIL-1", quantity=1)["code"] == "wrong_item"
    last = do(server, client, "material.consume", operation="WO-1001/10", lot="BAR-1", quantity=21, confirmed=True)
    assert last["lot_status"] == "consumed" and "lot_overdrawn" in last["warnings"]
    assert refused(server, client, "material.consume", operation="WO-1001/10", lot="BAR-1", quantity=1)["code"] == "lot_used_up"
    assert refused(server, client, "material.receive", lot="BAR-1", item="BAR-40", quantity=1)["code"] == "lot_exists"


def test_genealogy_is_walked_both_ways(any_server: RunningServer) -> None:
    server = any_server
    client = _furnished(server)
    do(server, client, "material.consume", operation="WO-1001/10", lot="BAR-1", quantity=7)
    do(server, client, "material.consume", operation="WO-1001/90", lot="SEAL-1", quantity=1, serial="P-0001")
    for serial in ("P-0001", "P-0002"):
        do(server, client, "material.produce", operation="WO-1001/90", machine="EOL-01", serial=serial)
    assert refused(server, client, "material.produce", operation="WO-1001/90", machine="EOL-01", serial="P-0001")["code"] == "serial_exists"
    assert refused(server, client, "material.produce", operation="WO-1001/90", machine="EOL-01")["code"] == "serial_or_lot"
    assert refused(server, client, "material.produce", operation="WO-1001/90", machine="EOL-01", lot="X", quantity=2)["code"] == "serial_needed"

    def walk(code: str, direction: str) -> set[tuple[str, str]]:
        found = client.get("/trace", params={"code": code, "direction": direction}).json()
        return {(node["kind"], node["code"]) for node in found["nodes"]} - {(found["root"]["kind"], code)}

    assert walk("P-0001", "up") == {("order", "WO-1001"), ("lot", "BAR-1"), ("lot", "SEAL-1")}
    assert walk("P-0002", "up") == {("order", "WO-1001"), ("lot", "BAR-1")}  # the seal went into P-0001, exactly
    assert walk("BAR-1", "down") == {("order", "WO-1001"), ("serial", "P-0001"), ("serial", "P-0002")}
    assert walk("SEAL-1", "down") == {("serial", "P-0001")}
    passport = client.get("/serials/P-0001").json()
    assert {(one["lot"], one["precision"]) for one in passport["lots"]} == {("BAR-1", "order"), ("SEAL-1", "serial")}
    assert client.get("/trace", params={"code": "nobody"}).json()["code"] == "no_trace"


def test_what_is_taken_back_leaves_no_edge_and_no_quantity(any_server: RunningServer) -> None:
    server = any_server
    client = _furnished(server)
    consume = server.envelope(type="material.consume", operation="WO-1001/10", lot="BAR-1", quantity=7)
    produce = server.envelope(type="material.produce", operation="WO-1001/90", machine="EOL-01", serial="P-0001")
    for act in (consume, produce):
        assert client.post("/acts", json=act).status_code == 200
        do(server, client, "production.undo", reverses=act["event_id"])
        assert refused(server, client, "material.reverse", reverses=act["event_id"])["code"] == "already_reversed"
    assert client.get("/lots/BAR-1").json()["remaining"] == 30.5
    assert client.get("/trace", params={"code": "WO-1001"}).json()["edges"] == []
    assert client.get("/serials/P-0001").status_code == 404
    do(server, client, "material.produce", operation="WO-1001/90", machine="EOL-01", serial="P-0001")
    assert len(client.get("/lots", params={"status": "released"}).json()["items"]) == 2


@pytest.mark.parametrize(
    ("value", "unit", "milli"),
    [(1, "pcs", 1000), (0.35, "m", 350), (999_999, "kg", 999_999_000), (1.001, "kg", 1001), (1.0, "pcs", 1000)],
)
def test_quantities_are_thousandths(value: float, unit: str, milli: int) -> None:
    assert rules.milli(value, unit, "X") == milli
    assert rules.quantity(milli) == value


@pytest.mark.parametrize(
    ("value", "unit"), [(0, "kg"), (-1, "kg"), (1.0005, "kg"), (1e6, "kg"), (float("nan"), "kg"), (float("inf"), "m"), (0.5, "pcs")]
)
def test_what_is_no_quantity_is_refused(value: float, unit: str) -> None:
    with pytest.raises(MesError):
        rules.milli(value, unit, "X")
