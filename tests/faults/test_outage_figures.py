"""R13, the figures: a shift that came eight hours late, shuffled and beside live values, is answered like one that was never late, field by field."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_agent.contract.clock import ManualClock, iso, parse_iso_ms
from tests.support.ingest import EPOCH, births, data
from tests.support.orders import do
from tests.support.seeing import set_up
from tests.support.server import START, RunningServer, copy_sqlite, make_settings, running_server, sqlite_template
from tests.support.wait import eventually

HOUR = 3_600_000
SEED = 13
Message = tuple[str, bytes]


def shift(begin: int, cycle_ms: int) -> tuple[list[tuple[int, str, list[tuple[str, Any, int]]]], int]:
    """(at, device, rows) of eight hours: parts, stops with alarms, scrap, a meter each minute, silence that was watched."""
    dice = random.Random(SEED)
    said: list[tuple[int, str, list[tuple[str, Any, int]]]] = []
    good = scrap = 0
    at, energy = begin + 1_000, 500.0
    said.append((at, "SAW-01", [("state", "producing", at), ("good_total", 0, at), ("scrap_total", 0, at), ("watched_until", at, at)]))
    while at < begin + 8 * HOUR:
        at += cycle_ms
        good += 1
        rows: list[tuple[str, Any, int]] = [("good_total", good, at), ("watched_until", at, at)]
        if dice.random() < 0.02:
            scrap += 1
            rows.append(("scrap_total", scrap, at))
        said.append((at, "SAW-01", rows))
        if dice.random() < 20 * cycle_ms / HOUR:
            stop = dice.randrange(20_000, 900_000)
            said.append((at + 1, "SAW-01", [("state", "fault", at + 1), ("alarm", "17", at + 1)]))
            at += stop
            said.append((at, "SAW-01", [("state", "producing", at), ("alarm", "", at), ("watched_until", at, at)]))
    for minute in range(1, 8 * 60):
        at = begin + minute * 60_000
        energy += dice.random() * 60
        said.append((at, "M-SAW-01", [("energy_import_wh", energy, at), ("power_w", 60 * energy / minute, at), ("watched_until", at, at)]))
    return sorted((one for one in said if one[0] <= begin + 8 * HOUR), key=lambda one: one[0]), good


def numbered(said: list[tuple[int, str, list[tuple[str, Any, int]]]], *, historical: bool) -> list[Message]:
    return [data(n, device, rows, historical=historical) for n, (_, device, rows) in enumerate(said, 1)]


@contextmanager
def plant(folder: Path, template: Path) -> Iterator[RunningServer]:
    copy_sqlite(template, folder)
    with running_server(make_settings(folder, ingest__commit_s=0.05), ManualClock(parse_iso_ms(START))) as server:
        set_up(server)
        ingest = server.app.state.ingest
        ingest._links_again_s = 0.0
        eventually(lambda: ("EDGE-L1", "SAW-01") in ingest.committer.links, 20, why="the plant model is known to ingest")
        do(server, server.client(person="P-ann"), "operation.start", operation="WO-1001/10", machine="SAW-01")
        put(server, births())
        yield server


def put(server: RunningServer, messages: list[Message]) -> None:
    for topic, payload in messages:
        server.app.state.ingest.inbox.put(topic, payload)


def stored(server: RunningServer, records: int) -> None:
    ingest = server.app.state.ingest
    eventually(lambda: ingest.intake.stream("EDGE-L1", EPOCH).stored_up_to >= records, 120, why=f"{records} stored")


def figures(server: RunningServer, begin: int) -> dict[str, Any]:
    """What a plant manager asks at the end of the shift."""
    client, day = server.client("read", "energy.read"), "2026-03-02"
    window = {"from": iso(begin), "to": iso(begin + 8 * HOUR)}
    asked = {
        "shifts": ("/oee/shifts", {"from_day": day, "to_day": day, "scope": "machine:SAW-01"}),
        "oee": ("/oee", {"scope": "machine:SAW-01", **window}),
        "losses": ("/losses", {"scope": "machine:SAW-01", **window}),
        "states": ("/states", {"machine": "SAW-01", **window}),
        "counts": ("/counts", {"machine": "SAW-01", **window}),
        "load": ("/energy/load", {"meters": "M-SAW-01", "bucket_s": 900, **window}),
        "day": ("/machines/SAW-01/day", {"day": day}),
    }
    found = {}
    for name, (path, params) in asked.items():
        answer = client.get(path, params=params)
        assert answer.status_code == 200, f"{path}: {answer.text[:500]}"
        found[name] = answer.json()
    return found


@pytest.mark.parametrize("cycle_ms", [60_000, pytest.param(2_000, marks=pytest.mark.full)])
def test_r13_a_late_shift_has_the_figures_of_a_punctual_one(tmp_path: Path, cycle_ms: int) -> None:
    print(f"seed {SEED}")
    template = sqlite_template(tmp_path)
    begin = parse_iso_ms(START)
    said, good = shift(begin, cycle_ms)
    end = begin + 8 * HOUR + 60_000
    with plant(tmp_path / "punctual", template) as server:
        messages, done = numbered(said, historical=False), 0
        for hour in range(1, 10):
            server.clock.set_ms(min(begin + hour * HOUR, end))
            due = sum(1 for at, _, _ in said if at <= server.clock.now_ms())
            put(server, messages[done:due])
            stored(server, due)
            done = due
        server.clock.set_ms(end)
        wanted = figures(server, begin)
    with plant(tmp_path / "late", template) as server:
        dice = random.Random(SEED)
        server.clock.set_ms(end)
        messages = numbered(said, historical=True)
        put(server, [*births(last=len(messages), waiting=len(messages)), messages[-1], messages[-2]])  # live ones, ahead of their turn
        late = sorted(((place + 200 * dice.random(), one) for place, one in enumerate(messages) for _ in range(2)), key=lambda pair: pair[0])
        put(server, [one for _, one in late])
        stored(server, len(messages))
        found = figures(server, begin)
    assert found["oee"]["oee"] and sum(one["good"] for one in wanted["counts"]["items"]) > 0.9 * good, "there is something to compare"
    for name, one in wanted.items():
        assert found[name] == one, name
