"""A small plant with one item and its orders, put in through the public API: what the tests of doing and proving start from."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.server import RunningServer

MACHINES = (
    ("SAW-01", "saw", "machine"),
    ("LAT-01", "lathe", "machine"),
    ("LAT-02", "lathe", "machine"),
    ("DEB-01", "deburr", "person"),
    ("EOL-01", "eol", "machine"),
)
OPERATIONS = (
    (10, "saw", "machine", 20.0),
    (20, "lathe", "machine", 60.0),
    (40, "deburr", "person", 30.0),
    (90, "eol", "machine", 90.0),
)


def plant() -> dict[str, Any]:
    """The model for PUT /plant: one line, five machines, two stations, shifts, reasons."""
    return {
        "site": {"code": "PUMP", "name_zh": "海通泵业", "name_en": "Haitong Pumps", "zone": "Asia/Shanghai"},
        "lines": [{"code": "L1", "name_zh": "机加线", "name_en": "Machining"}],
        "machines": [
            {
                "code": code,
                "name_zh": f"设备{code}",
                "name_en": f"Machine {code}",
                "line": "L1",
                "sequence": index,
                "machine_class": kind,
                "counting": counting,
                "micro_stop_s": 60,
                "rated_power_w": 1000,
                "edge": "EDGE-L1",
                "device": code,
            }
            for index, (code, kind, counting) in enumerate(MACHINES)
        ],
        "stations": [
            {"code": "ST-LAT", "name_zh": "车床", "name_en": "Lathes", "machines": ["LAT-01", "LAT-02"]},
            {"code": "ST-FIN", "name_zh": "去毛刺", "name_en": "Finish", "machines": ["DEB-01"]},
        ],
        "meters": [],
        "shifts": [],
        "reasons": [
            {"code": "burr", "kind": "scrap", "zh": "毛刺", "en": "Burr", "time_class": "quality", "planned": False, "machine_classes": []},
            {"code": "size", "kind": "scrap", "zh": "尺寸超差", "en": "Size", "time_class": "quality", "planned": False, "machine_classes": []},
            {"code": "tool", "kind": "stop", "zh": "换刀", "en": "Tool change", "time_class": "setup", "planned": False, "machine_classes": []},
        ],
        "alarms": [],
        "scrap_order": ["burr", "size"],
    }


def item(code: str = "P-310", operations: tuple[tuple[int, str, str, float], ...] = OPERATIONS, tracking: str = "serial") -> dict[str, Any]:
    return {
        "code": code,
        "name_zh": f"泵 {code}",
        "name_en": f"Pump {code}",
        "unit": "pcs",
        "tracking": tracking,
        "box_quantity": 24,
        "bom": {
            "revision": "A",
            "lines": [{"item": "BAR-40", "quantity": 0.35, "operation": 10}, {"item": "SEAL-01", "quantity": 1, "operation": 90}],
        },
        "routing": {
            "revision": "A",
            "operations": [
                {
                    "number": number,
                    "name_zh": f"工序{number}",
                    "name_en": f"Operation {number}",
                    "machine_class": kind,
                    "counting": counting,
                    "cycle_s": cycle_s,
                    "setup_s": 600,
                }
                for number, kind, counting, cycle_s in operations
            ],
        },
    }


def component(code: str, unit: str) -> dict[str, Any]:
    return {"code": code, "name_zh": f"料 {code}", "name_en": f"Material {code}", "unit": unit, "tracking": "lot"}


def set_up(server: RunningServer, *, orders: tuple[tuple[str, int], ...] = (("WO-1001", 200),)) -> httpx.Client:
    """The plant, its items and orders (number, quantity), released. Returns a client that may do everything."""
    admin = server.client()
    server.act(admin, "/plant", "PUT", model=plant())
    for one in (component("BAR-40", "m"), component("SEAL-01", "pcs"), item()):
        server.act(admin, f"/items/{one['code']}", "PUT", item=one)
    for number, quantity in orders:
        server.act(admin, "/work-orders", number=number, item="P-310", quantity=quantity)
    return admin


def do(server: RunningServer, client: httpx.Client, act_type: str, **fields: Any) -> dict[str, Any]:
    """One act through the tablets' door; fails on a refusal. Returns its body."""
    answer: dict[str, Any] = server.act(client, "/acts", type=act_type, **fields)["body"]
    return answer


def refused(server: RunningServer, client: httpx.Client, act_type: str, **fields: Any) -> dict[str, Any]:
    """One act that must be refused (4xx): returns the problem."""
    answer = client.post("/acts", json=server.envelope(type=act_type, **fields))
    assert 400 <= answer.status_code < 500, f"{act_type} → {answer.status_code}: {answer.text[:500]}"
    problem: dict[str, Any] = answer.json()
    return problem


def operation(client: httpx.Client, ref: str) -> dict[str, Any]:
    order = client.get(f"/work-orders/{ref.rpartition('/')[0]}").json()
    return next(one for one in order["operations"] if one["id"] == ref)
