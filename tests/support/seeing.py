"""Feeds facts into a running test server by the very calls ingest makes, and cuts a day's facts into transactions as one likes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from mes_server.energy import service as energy
from mes_server.energy.schemas import ReadingFact
from mes_server.machine_states import service as states
from mes_server.machine_states.schemas import GapFact, StateFact, WatchFact
from mes_server.work_orders import service as work_orders
from mes_server.work_orders.schemas import CountRow
from tests.support import orders
from tests.support.server import RunningServer

SOURCE = "EDGE-L1:00000000000000aa"


@dataclass
class Facts:
    """One transaction's worth, in record order per device."""

    gaps: list[GapFact] = field(default_factory=list)
    states: list[StateFact] = field(default_factory=list)
    counts: dict[str, list[CountRow]] = field(default_factory=dict)
    readings: list[ReadingFact] = field(default_factory=list)
    watches: list[WatchFact] = field(default_factory=list)

    def book(self, session: Session) -> None:
        """The calls and their order are FACTS.md's."""
        if self.gaps:
            states.record_gaps(session, self.gaps)
        if self.states:
            states.record_states(session, self.states)
        for machine, pieces in self.counts.items():
            work_orders.record_machine_counts(session, machine, pieces)
        if self.readings:
            energy.record_readings(session, self.readings)
        if self.watches:
            states.record_watch(session, self.watches)


def feed(server: RunningServer, batches: Iterable[Facts]) -> None:
    for batch in batches:
        server.kit.acts.run_system_sync(batch.book)


def history(machine: str, points: Sequence[tuple[int, str, str]], from_ms: int, until_ms: int, source: str = SOURCE) -> Facts:
    """(at_ms, state, alarm) change points of one machine that was in view over [from_ms, until_ms)."""
    return Facts(
        states=[StateFact(machine, at, state, None, alarm) for at, state, alarm in points],
        watches=[WatchFact(machine, source, from_ms, until_ms)],
    )


def gap(subject: str, from_ms: int, to_ms: int, cause: str = "source_lost", source: str = SOURCE, machine: bool = True) -> GapFact:
    return GapFact(subject, subject, source, subject if machine else None, from_ms, to_ms, cause, "", False, None)


def rows(server: RunningServer, path: str, **params: Any) -> Any:
    """GET with every right; the JSON of a 200."""
    if "from_" in params:
        params["from"] = params.pop("from_")
    answer = server.client().get(path, params=params)
    assert answer.status_code == 200, f"{path} → {answer.status_code}: {answer.text[:600]}"
    return answer.json()


def plant() -> dict[str, Any]:
    """The plant of tests.support.orders with three shifts and breaks, alarms, stop reasons, a meter a machine, a compressor and an incomer."""
    model = orders.plant()
    model["lines"][0]["oee_target"] = 0.75
    model["shifts"] = [
        {
            "code": code,
            "name_zh": zh,
            "name_en": code,
            "start": start,
            "end": end,
            "weekdays": [1, 2, 3, 4, 5, 6, 7],
            "breaks": [{"start": pause, "end": pause[:3] + "30"}],
        }
        for code, zh, start, end, pause in (
            ("early", "早班", "06:00", "14:00", "10:00"),
            ("late", "中班", "14:00", "22:00", "18:00"),
            ("night", "夜班", "22:00", "06:00", "02:00"),
        )
    ]
    model["reasons"] += [
        {"code": "blade", "kind": "stop", "zh": "锯条断裂", "en": "Blade broken", "time_class": "breakdown"},
        {"code": "no-mat", "kind": "stop", "zh": "缺料", "en": "No material", "time_class": "material"},
    ]
    model["alarms"] = [{"code": "17", "machine_class": "saw", "zh": "锯条报警", "en": "Blade alarm", "reason": "blade"}]
    kinds = [(f"M-{code}", "machine", code) for code, _, _ in orders.MACHINES] + [("COMP-01", "utility", None), ("INC-01", "incomer", None)]
    model["meters"] = [
        {"code": code, "name_zh": code, "name_en": code, "kind": kind, "machine": of, "line": "L1" if of else None, "edge": "E", "device": code}
        for code, kind, of in kinds
    ]
    return model


def set_up(server: RunningServer, numbers: Sequence[str] = ("WO-1001",), quantity: int = 50_000) -> None:
    """The plant above, its items and released orders."""
    admin = server.client()
    server.act(admin, "/plant", "PUT", model=plant())
    for one in (orders.component("BAR-40", "m"), orders.component("SEAL-01", "pcs"), orders.item()):
        server.act(admin, f"/items/{one['code']}", "PUT", item=one)
    for number in numbers:
        server.act(admin, "/work-orders", number=number, item="P-310", quantity=quantity)


def pieces(times: Iterable[int], order: str = "WO-1001", operation: str = "10", scrap_every: int = 0) -> list[CountRow]:
    """One piece at each moment; every `scrap_every`-th is scrap."""
    out, since = [], 0
    for index, at in enumerate(times, 1):
        bad = 1 if scrap_every and index % scrap_every == 0 else 0
        out.append(CountRow(at, 1 - bad, bad, order, operation, since or at))
        since = at
    return out
