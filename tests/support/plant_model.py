"""A small plant for tests, in PUT /plant's shape: one line, two machines, three shifts in Shanghai."""

from __future__ import annotations

from typing import Any

ALL_WEEK = [1, 2, 3, 4, 5, 6, 7]


def _shift(code: str, zh: str, start: str, end: str, pause: tuple[str, str]) -> dict[str, Any]:
    breaks = [{"start": pause[0], "end": pause[1]}]
    return {"code": code, "name_zh": zh, "name_en": code, "start": start, "end": end, "weekdays": ALL_WEEK, "breaks": breaks}


def machine(code: str, zh: str, en: str, sequence: int, machine_class: str, **more: Any) -> dict[str, Any]:
    return {
        "code": code, "name_zh": zh, "name_en": en, "line": "L1", "sequence": sequence, "machine_class": machine_class, "counting": "machine",
        "micro_stop_s": 120.0, "rated_power_w": 7500.0, "edge": "EDGE-L1", "device": code, **more,
    }  # fmt: skip


SMALL_PLANT: dict[str, Any] = {
    "site": {
        "code": "PUMP", "name_zh": "海通泵业", "name_en": "Haitong Pumps", "zone": "Asia/Shanghai", "production_day_start": "06:00",
        "currency": "CNY",
    },
    "lines": [{"code": "L1", "name_zh": "机加线", "name_en": "Machining", "oee_target": 0.75}],
    "machines": [machine("SAW-01", "锯床", "Saw", 10, "saw"), machine("LAT-01", "车床一", "Lathe 1", 20, "lathe")],
    "stations": [{"code": "ST-SAW", "name_zh": "锯切", "name_en": "Sawing", "machines": ["SAW-01"]}],
    "meters": [
        {
            "code": "M-SAW-01", "name_zh": "锯床电表", "name_en": "Saw meter", "kind": "machine", "machine": "SAW-01", "line": "L1",
            "rated_power_w": 7500.0, "edge": "EDGE-L1", "device": "M-SAW-01",
        }
    ],
    "shifts": [
        _shift("early", "早班", "06:00", "14:00", ("10:00", "10:30")),
        _shift("late", "中班", "14:00", "22:00", ("18:00", "18:30")),
        _shift("night", "夜班", "22:00", "06:00", ("02:00", "02:30")),
    ],
    "reasons": [
        {"code": "ST-TOOL", "kind": "stop", "zh": "换刀", "en": "Tool change", "time_class": "minor"},
        {"code": "ST-MAT", "kind": "stop", "zh": "缺料", "en": "No material", "time_class": "material", "machine_classes": ["saw"]},
        {"code": "SC-BURR", "kind": "scrap", "zh": "毛刺", "en": "Burr", "time_class": "quality"},
        {"code": "SC-DIM", "kind": "scrap", "zh": "尺寸超差", "en": "Out of size", "time_class": "quality"},
    ],
    "alarms": [{"code": "17", "machine_class": "saw", "zh": "刀具断裂", "en": "Blade broken", "reason": "ST-TOOL"}],
    "scrap_order": ["SC-DIM"],
}  # fmt: skip
