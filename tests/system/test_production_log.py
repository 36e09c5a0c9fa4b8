"""A real job shop's log through the public API with its true times: 225 orders, first quarter of 2012.

Data: D. Levy, "Production Analysis with Process Mining Technology", 4TU. Each worker's reports go up as that worker's late tablet uploads. Totals per
order, activity, machine and worker must equal those this test computes from the file itself. The file may not ship: where it is not beside the clone
the test is reported as not run.
"""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge_agent.contract.clock import iso
from mes_server.kit.ids import derived_id
from tests.mes_server.conftest import clock, empty_sqlite, make_server, server  # noqa: F401  the server's fixtures
from tests.support.data import shared
from tests.support.server import RunningServer

Totals = dict[str, tuple[int, int, int]]  # key → (good, scrap, rework)
ZONE_SHIFT = timedelta(hours=7)  # the second file tells the same moments seven hours earlier
BATCH = 500


@dataclass(frozen=True)
class Row:
    order: str
    activity: str
    worker: str
    machine: str
    begin: datetime
    end: datetime
    good: int
    scrap: int
    rework: int


def _code(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:60]


def _machines(path: Path) -> tuple[dict[tuple[str, str, datetime], str], dict[str, int]]:
    """(order, worker, end) → machine, and order → quantity, from the second file of the set."""
    machines: dict[tuple[str, str, datetime], str] = {}
    quantities: dict[str, int] = {}
    with path.open(encoding="utf-8") as file:
        for line in csv.DictReader(file, delimiter=";"):
            end = datetime.strptime(line["Complete Timestamp"], "%d.%m.%Y %H:%M").replace(tzinfo=UTC) + ZONE_SHIFT
            machines[line["Case ID"], line["Resource"], end] = _code(line["Resource.1"])
            quantities[line["Case ID"]] = int(line["Work_Order_Qty"])
    return machines, quantities


def _when(text: str) -> datetime:
    return datetime.strptime(text, "%Y/%m/%d %H:%M:%S.%f").replace(tzinfo=UTC)


def _rows() -> tuple[list[Row], dict[str, int]]:
    machines, quantities = _machines(shared("production_log/Production_patwaynet_enriched.csv"))
    rows = []
    with shared("production_log/Production_simod.csv").open(encoding="utf-8") as file:
        for line in csv.DictReader(file):
            if line["Activity"] in ("Start", "End"):
                continue
            begin, end = (
                datetime.strptime(line[name], "%Y/%m/%d %H:%M:%S.%f").replace(tzinfo=UTC) for name in ("Start Timestamp", "Complete Timestamp")
            )
            minute = end.replace(second=0, microsecond=0)
            machine = machines.get((line["Case ID"], line["Resource"], minute), _code(line["Activity"]))
            pieces = (int(line[name] or 0) for name in ("Qty_Completed", "Qty_Rejected", "Qty_for_MRB"))
            rows.append(Row(line["Case ID"], line["Activity"], line["Resource"], machine, begin, end, *pieces))
    return rows, quantities


def _steps(rows: list[Row]) -> dict[tuple[str, str], int]:
    """(order, activity) → operation number, in the order the activities first began."""
    steps: dict[tuple[str, str], int] = {}
    count: dict[str, int] = defaultdict(int)
    for row in sorted(rows, key=lambda one: one.begin):
        if (row.order, row.activity) not in steps:
            count[row.order] += 10
            steps[row.order, row.activity] = count[row.order]
    return steps


def _furnish(one: RunningServer, client: httpx.Client, rows: list[Row], steps: dict[tuple[str, str], int], quantities: dict[str, int]) -> None:
    names = sorted({row.machine for row in rows})
    machines = [
        {"code": name, "name_zh": name, "name_en": name, "line": "SHOP", "sequence": index, "machine_class": "any", "counting": "person"}
        for index, name in enumerate(names)
    ]
    shop = {"code": "SHOP", "name_zh": "车间", "name_en": "Shop"}
    model: dict[str, Any] = {name: [] for name in ("stations", "meters", "shifts", "alarms")}
    model |= {"site": {**shop, "zone": "Asia/Shanghai"}, "lines": [shop], "machines": machines}
    model["reasons"] = [{"code": "rejected", "kind": "scrap", "zh": "判废", "en": "Rejected", "time_class": "quality", "planned": False}]
    one.act(client, "/plant", "PUT", model=model)
    by_order: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for (order, activity), number in steps.items():
        by_order[order].append((number, activity))
    for order, operations in sorted(by_order.items()):
        most = max(row.good + row.scrap + row.rework for row in rows if row.order == order)
        routing = [
            {"number": number, "name_zh": name, "name_en": name, "machine_class": "any", "machines": names, "counting": "person"}
            for number, name in sorted(operations)
        ]
        item = {"code": f"PART-{order}", "name_zh": order, "name_en": order, "routing": {"revision": "A", "operations": routing}}
        one.act(client, f"/items/PART-{order}", "PUT", item=item)
        quantity = max(1, most, quantities.get(order, 1))
        early = iso(int(min(row.begin for row in rows).timestamp() * 1000) - 86_400_000)
        one.act(client, "/work-orders", number=order, item=f"PART-{order}", quantity=quantity, occurred_at=early)


def _acts(index: int, row: Row, steps: dict[tuple[str, str], int]) -> list[dict[str, Any]]:
    operation = f"{row.order}/{steps[row.order, row.activity]}"
    begin, end = (when.isoformat().replace("+00:00", "Z") for when in (row.begin, row.end))
    where = {"operation": operation, "machine": row.machine}
    acts: list[dict[str, Any]] = [{"type": "operation.start", "event_id": str(derived_id("log", index, 1)), "occurred_at": begin, **where}]
    if row.good or row.scrap or row.rework:
        said: dict[str, Any] = {"good": row.good, "scrap": row.scrap, "rework": row.rework, "origin": "import"}
        if row.scrap:
            said["reason"] = "rejected"
        acts.append({"type": "production.report", "event_id": str(derived_id("log", index, 2)), "occurred_at": end, **where, **said})
    acts.append({"type": "operation.interrupt", "event_id": str(derived_id("log", index, 3)), "occurred_at": end, **where})
    return acts


def _sum(keyed: list[tuple[str, int, int, int]]) -> Totals:
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for key, *pieces in keyed:
        for place, number in enumerate(pieces):
            sums[key][place] += number
    return {key: (found[0], found[1], found[2]) for key, found in sums.items() if any(found)}


@pytest.mark.parametrize("orders_max", [25, pytest.param(10_000, marks=pytest.mark.full)])
def test_a_real_job_shops_quarter_gives_its_own_totals(server: RunningServer, orders_max: int) -> None:  # noqa: F811
    rows, quantities = _rows()
    chosen = sorted({row.order for row in rows}, key=lambda order: (len(order), order))[:orders_max]
    rows = [row for row in rows if row.order in set(chosen)]
    steps = _steps(rows)
    server.clock.set_ms(int(max(row.end for row in rows).timestamp() * 1000) + 3_600_000)
    client = server.client()
    _furnish(server, client, rows, steps, quantities)
    by_worker: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_worker[row.worker] += _acts(index, row, steps)
    for worker, acts in by_worker.items():
        tablet = server.client("read", "floor.report", "floor.start", person=worker)
        acts.sort(key=lambda act: act["occurred_at"])
        for start in range(0, len(acts), BATCH):
            answer = tablet.post("/acts/batch", json={"device_time": server.now(), "acts": acts[start : start + BATCH]}).json()
            assert {one["status"] for one in answer["results"]} == {"done"}, [one for one in answer["results"] if one["status"] != "done"][:3]
    assert client.get("/decide").json()["items"] == []
    _check_totals(client, rows, steps, server.now())
    _check_starts(client, rows, steps)


def _check_totals(client: httpx.Client, rows: list[Row], steps: dict[tuple[str, str], int], now: str) -> None:
    activity_of = {f"{order}/{number}": activity for (order, activity), number in steps.items()}
    booked, cursor = [], None
    while True:  # the journal is what the ERP, the audit and this test read
        page = client.get("/journal", params={"type": "production.reported", "limit": 500, **({"cursor": cursor} if cursor else {})}).json()
        for record in page["items"]:
            payload = record["payload"] if isinstance(record["payload"], dict) else json.loads(record["payload"])
            booked += payload["effect"]["booked"]
        cursor = page["next"]
        if cursor is None:
            break
    views = {
        "order": (lambda row: row.order, lambda one: one["order"]),
        "activity": (lambda row: row.activity, lambda one: activity_of[one["operation"]]),
        "machine": (lambda row: row.machine, lambda one: one["machine"]),
        "worker": (lambda row: row.worker, lambda one: one["person"]),
    }
    for name, (of_row, of_booked) in views.items():
        expected = _sum([(of_row(row), row.good, row.scrap, row.rework) for row in rows])
        assert _sum([(of_booked(one), one["good"], one["scrap"], one["rework"]) for one in booked]) == expected, name
    counts: list[dict[str, Any]] = []
    page: dict[str, Any] = {"next": ""}
    while page["next"] is not None:
        page = client.get("/counts", params={"from": iso(0), "to": now, "limit": 200} | ({"cursor": page["next"]} if page["next"] else {})).json()
        counts += page["items"]
    for key, of_row in (("machine", lambda row: row.machine), ("operation", lambda row: f"{row.order}/{steps[row.order, row.activity]}")):
        expected = _sum([(of_row(row), row.good, row.scrap, 0) for row in rows])
        assert _sum([(one[key], one["good"], one["scrap"], 0) for one in counts]) == expected, key


def _check_starts(client: httpx.Client, rows: list[Row], steps: dict[tuple[str, str], int]) -> None:
    """Every operation began when its first row began, and holds its own pieces."""
    begins: dict[str, datetime] = {}
    pieces = _sum([(f"{row.order}/{steps[row.order, row.activity]}", row.good, row.scrap, row.rework) for row in rows])
    for row in rows:
        ref = f"{row.order}/{steps[row.order, row.activity]}"
        begins[ref] = min(row.begin, begins.get(ref, row.begin))
    seen, cursor = 0, None
    while True:
        page = client.get("/work-orders", params={"limit": 100, **({"cursor": cursor} if cursor else {})}).json()
        for order in page["items"]:
            for operation in order["operations"]:
                seen += 1
                assert operation["started_at"] == iso(int(begins[operation["id"]].timestamp() * 1000)), operation["id"]
                assert (operation["good"], operation["scrap"], operation["rework"]) == pieces.get(operation["id"], (0, 0, 0)), operation["id"]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == len(steps)
