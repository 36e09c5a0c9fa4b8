"""The plant the tablets' tests stand in, put in through the public API; its machines speak through the same door as ingest's facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from edge_agent.contract.clock import iso
from mes_server.machine_states import service as machine_states
from mes_server.scans.codes import own_code
from tests.support.server import RunningServer

MACHINES = (("SAW-01", "saw", "machine"), ("DEB-01", "deburr", "person"), ("WSH-01", "wash", "machine"), ("EOL-01", "eol", "person"))
STATIONS = (
    ("ST-SAW", "锯切", "Sawing", ["SAW-01"]),
    ("ST-DEB", "去毛刺", "Deburring", ["DEB-01"]),
    ("ST-FIN", "去毛刺清洗", "Finishing", ["DEB-01", "WSH-01"]),
    ("ST-EOL", "终检包装", "End test and pack", ["EOL-01"]),
)
SCRAP = (
    ("size", "尺寸超差", "Size"),
    ("scratch", "划伤", "Scratch"),
    ("burr", "毛刺", "Burr"),
    ("porosity", "气孔", "Porosity"),
    ("crack", "裂纹", "Crack"),
)
STOPS = (
    ("tool", "断刀", "Tool broken"),
    ("no-material", "缺料", "No material"),
    ("setting", "调整", "Setting"),
    ("qa", "等检验", "Waiting QA"),
    ("cleaning", "清扫", "Cleaning"),
    ("break", "休息", "Break"),
    ("other", "其他", "Other"),
)
OPERATIONS = (
    (10, "saw", "machine", "锯切", "Saw"),
    (40, "deburr", "person", "去毛刺", "Deburr"),
    (50, "wash", "machine", "清洗", "Wash"),
    (90, "eol", "person", "终检包装", "End test and pack"),
)
PEOPLE = (
    ("OP01", "王师傅", "zh", "operator"),
    ("OP02", "李明", "zh", "operator"),
    ("OP03", "Emma Lin", "en", "operator"),
    ("SU01", "赵班长", "zh", "supervisor"),
)
BADGES = {code: f"{code}7Q4K9XH2M5RT8WZC" for code, *_ in PEOPLE}
PIN = "471102"


@dataclass
class Floor:
    """A running plant: `api` may do everything; `badge("OP01")` is what a scanner reads off that badge."""

    server: RunningServer
    api: httpx.Client

    @property
    def url(self) -> str:
        return self.server.url

    def badge(self, person: str) -> str:
        return own_code("badge", BADGES[person])

    def code(self, kind: str, text: str) -> str:
        return own_code(kind, text)

    def act(self, kind: str, **fields: Any) -> dict[str, Any]:
        return self.server.act(self.api, "/acts", type=kind, **fields)

    def run(self, operation: str = "WO-1001/40", machine: str = "DEB-01") -> None:
        """The operation has been running for half an hour."""
        began = iso(self.server.clock.now_ms() - 1_800_000)
        self.act("operation.start", operation=operation, machine=machine, occurred_at=began)

    def operation(self, ref: str) -> dict[str, Any]:
        order = self.api.get(f"/work-orders/{ref.partition('/')[0]}").json()
        return next(one for one in order["operations"] if one["id"] == ref)

    def journal(self, kind: str) -> list[dict[str, Any]]:
        """Every journal record of a type (past tense), oldest first."""
        found: list[dict[str, Any]] = []
        answer = self.api.get("/journal", params={"type": kind, "limit": 500})
        assert answer.status_code == 200, answer.text
        found.extend(answer.json()["items"])
        return sorted(found, key=lambda one: one["seq"])

    def state(self, machine: str, state: str, *, ago_s: float, alarm: str | None = None) -> None:
        """The machine has been in `state` for `ago_s` seconds of plant time, as ingest would book it."""
        now = self.server.clock.now_ms()
        start = now - round(ago_s * 1000)

        def book(session: Any) -> None:
            machine_states.record_states(session, [machine_states.StateFact(machine, start, state, state.upper(), alarm)])
            machine_states.record_watch(session, [machine_states.WatchFact(machine, "EDGE-L1:0", start, now)])

        self.server.kit.acts.run_system_sync(book)


def plant() -> dict[str, Any]:
    """The model for PUT /plant."""
    return {
        "site": {"code": "PUMP", "name_zh": "海通泵业", "name_en": "Haitong Pumps", "zone": "Asia/Shanghai"},
        "lines": [{"code": "L1", "name_zh": "机加线", "name_en": "Machining"}],
        "machines": [
            {
                "code": code,
                "name_zh": code,
                "name_en": code,
                "line": "L1",
                "sequence": at,
                "machine_class": kind,
                "counting": counting,
                "micro_stop_s": 60,
                "rated_power_w": 1000,
                "edge": "EDGE-L1",
                "device": code,
            }
            for at, (code, kind, counting) in enumerate(MACHINES)
        ],
        "stations": [{"code": code, "name_zh": zh, "name_en": en, "machines": machines} for code, zh, en, machines in STATIONS],
        "meters": [],
        "shifts": [],
        "reasons": [
            *({"code": code, "kind": "scrap", "zh": zh, "en": en, "time_class": "quality"} for code, zh, en in SCRAP),
            *({"code": code, "kind": "stop", "zh": zh, "en": en, "time_class": "minor"} for code, zh, en in STOPS),
        ],
        "alarms": [{"code": "2041", "machine_class": "deburr", "zh": "主轴过载", "en": "spindle load", "reason": "tool"}],
        "scrap_order": [code for code, *_ in SCRAP],
    }


def item() -> dict[str, Any]:
    return {
        "code": "P-310",
        "name_zh": "泵 P-310",
        "name_en": "Pump P-310",
        "unit": "pcs",
        "tracking": "serial",
        "box_quantity": 24,
        "bom": {"revision": "A", "lines": [{"item": "SEAL-01", "quantity": 1, "operation": 40}]},
        "routing": {
            "revision": "A",
            "operations": [
                {"number": number, "name_zh": zh, "name_en": en, "machine_class": kind, "counting": counting, "cycle_s": 2.0, "setup_s": 600}
                for number, kind, counting, zh, en in OPERATIONS
            ],
        },
    }


def set_up_floor(server: RunningServer) -> Floor:
    """Plant, items, lots, three orders of 200 (WO-1001 … WO-1003), people with badges and a PIN."""
    api = server.client()
    server.act(api, "/plant", "PUT", model=plant())
    seal = {"code": "SEAL-01", "name_zh": "密封件", "name_en": "Seal kit", "unit": "pcs", "tracking": "lot"}
    for one in (seal, item()):
        server.act(api, f"/items/{one['code']}", "PUT", item=one)
    for number in ("WO-1001", "WO-1002", "WO-1003"):
        server.act(api, "/work-orders", number=number, item="P-310", quantity=200)
    for code, name, lang, role in PEOPLE:
        server.act(api, "/people", code=code, name=name, lang=lang, roles=[{"role": role}], badge=BADGES[code], pin=PIN)
    floor = Floor(server, api)
    floor.act("material.receive", lot="LOT-7", item="SEAL-01", quantity=120)
    return floor
