"""Items, bills of material and routings: revisions are frozen, a repeat changes nothing, unknown names are told."""

from __future__ import annotations

from typing import Any

import pytest

from mes_server.products import rules, service
from tests.support.plant_model import SMALL_PLANT
from tests.support.server import RunningServer

SAW = {"number": 10, "name_zh": "锯切", "name_en": "Saw", "machine_class": "saw", "machines": ["SAW-01"], "setup_s": 600.0, "cycle_s": 30.0}
TURN = {"number": 20, "name_zh": "车削", "name_en": "Turn", "machine_class": "lathe", "cycle_s": 90.0, "milestone": True}


def pump(**more: Any) -> dict[str, Any]:
    return {
        "code": "P-310", "name_zh": "离心泵310", "name_en": "Pump 310", "unit": "pcs", "tracking": "serial", "family": "F1", "box_quantity": 4.0,
        "gtin": "04012345123456", "bom": {"lines": [{"item": "BAR-20", "quantity": 0.5, "operation": 10}]}, "routing": {"operations": [SAW, TURN]},
        **more,
    }  # fmt: skip


def put(server: RunningServer, item: dict[str, Any]) -> dict[str, Any]:
    return server.act(server.client(), f"/items/{item['code']}", "PUT", item=item)


def test_revisions(any_server: RunningServer) -> None:
    client = any_server.client()
    any_server.act(client, "/plant", "PUT", model=SMALL_PLANT)
    first = put(any_server, pump())
    assert first["warnings"] == [{"where": "bom.BAR-20", "en": "item BAR-20 is not known yet", "zh": "物料 BAR-20 尚未建立"}]
    assert (first["changed"], first["bom_revision"], first["routing_revision"]) == (True, "1", "1")
    assert put(any_server, pump())["changed"] is False
    faster = put(any_server, pump(routing={"operations": [SAW, {**TURN, "cycle_s": 80.0}]}))
    assert (faster["bom_revision"], faster["routing_revision"]) == ("1", "2")
    read = client.get("/items/P-310").json()
    assert read["routing"]["revision"] == "2" and read["routing"]["operations"][1]["cycle_s"] == 80.0
    assert read["bom"] == {"revision": "1", "lines": [{"item": "BAR-20", "quantity": 0.5, "operation": 10}]}
    with any_server.kit.db.read() as session:
        assert service.routing(session, "P-310", "1").operations[1].cycle_s == 90.0, "an older revision stays as it was"
        found = service.item_by_gtin(session, "4012345123456")
        assert found is not None and found.code == "P-310"
        assert set(service.items(session, ["P-310", "none"])) == {"P-310"}
    assert [(one["kind"], one["revision"], one["current"]) for one in client.get("/items/P-310/revisions").json()["items"]] == [
        ("bom", "1", True), ("routing", "2", True), ("routing", "1", False),
    ]  # fmt: skip
    frozen = client.put("/items/P-310", json=any_server.envelope(item=pump(routing={"revision": "2", "operations": [SAW]}, bom=None)))
    assert (frozen.status_code, frozen.json()["code"]) == (409, "revision_frozen")
    back = put(any_server, pump(routing={"revision": "1", "operations": [SAW, TURN]}))
    assert back["routing_revision"] == "1", "a named older revision becomes current again"


def test_a_revision_the_erp_names(server: RunningServer) -> None:
    assert put(server, pump(bom={"revision": "B", "lines": []}))["bom_revision"] == "B"
    assert put(server, pump(bom={"lines": [{"item": "X", "quantity": 1}]}))["bom_revision"] == "2"
    assert put(server, pump(bom=None))["bom_revision"] == "2", "left out: kept"


def test_every_fault_at_once(server: RunningServer) -> None:
    lines = [{"item": "P-310", "quantity": 1}, {"item": "A", "quantity": 1, "operation": 99}]
    bad = pump(gtin="04012345123450", bom={"lines": lines}, routing={"operations": [TURN, SAW]})
    answer = server.client(lang="zh").put("/items/P-310", json=server.envelope(item=bad))
    assert answer.json()["code"] == "item_invalid"
    assert answer.json()["params"]["count"] == 4
    assert "校验位错误" in answer.json()["title"]
    assert server.client().get("/items/P-310").status_code == 404


def test_two_items_cannot_share_a_gtin(server: RunningServer) -> None:
    put(server, pump())
    other = server.client().put("/items/P-320", json=server.envelope(item=pump(code="P-320", gtin="4012345123456")))
    assert other.json()["code"] == "gtin_taken"
    differs = server.client().put("/items/P-320", json=server.envelope(item=pump()))
    assert differs.json()["code"] == "path_differs"


def test_pages(server: RunningServer) -> None:
    for number in range(5):
        put(server, {"code": f"C-{number}", "name_zh": f"件{number}", "name_en": f"Part 100%_{number}"})
    client = server.client("read")
    seen: list[str] = []
    cursor = None
    while True:
        page = client.get("/items", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [one["code"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [f"C-{number}" for number in range(5)]
    assert [one["code"] for one in client.get("/items", params={"q": "0%_3"}).json()["items"]] == ["C-3"]
    assert client.get("/items", params={"cursor": "nonsense"}).json()["code"] == "bad_cursor"


@pytest.mark.parametrize(("gtin", "fits"), [("04012345123456", True), ("4012345123456", True), ("96385074", True), ("96385075", False)])
def test_check_digit(gtin: str, fits: bool) -> None:
    assert rules.gtin_fits(gtin) is fits
