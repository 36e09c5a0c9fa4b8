"""The whole way from messages to the slices that own the facts, over SQLite and PostgreSQL, asked through HTTP."""

from __future__ import annotations

import random
from typing import Any

from edge_agent.contract.clock import iso
from mes_server.kit.actor import SYSTEM
from mes_server.plant import service as plant
from mes_server.plant.schemas import PutPlant
from tests.support.ingest import DEVICES, EPOCH, T0, births, data, story
from tests.support.plant_model import SMALL_PLANT
from tests.support.server import RunningServer
from tests.support.wait import eventually


def prepare(server: RunningServer) -> None:
    server.clock.set_ms(T0 + 7_200_000)
    envelope = {"event_id": "01900000-0000-7000-8000-000000000001", "occurred_at": "2026-03-02T00:00:00Z"}
    server.kit.acts.run_sync(plant.put_plant, SYSTEM, PutPlant.model_validate({**envelope, "model": SMALL_PLANT}))
    server.app.state.ingest._links_again_s = 0.0
    eventually(lambda: ("EDGE-L1", "SAW-01") in server.app.state.ingest.committer.links, 5)


def feed(server: RunningServer, messages: list[tuple[str, bytes]]) -> None:
    for topic, payload in messages:
        server.app.state.ingest.inbox.put(topic, payload)


def stored(server: RunningServer, records: int) -> bool:
    return bool(server.app.state.ingest.intake.stream("EDGE-L1", EPOCH).stored_up_to == records)


def picture(server: RunningServer) -> Any:
    client = server.client("read", "energy.read")
    window = {"from": iso(T0), "to": iso(T0 + 3_600_000)}
    states = client.get("/states", params={"machine": "SAW-01", **window}).json()
    counts = client.get("/counts", params={"machine": "SAW-01", **window}).json()["items"]
    gaps = client.get("/gaps", params={"machine": "SAW-01", **window}).json()
    load = client.get("/energy/load", params={"meters": "M-SAW-01", "bucket_s": 900, **window}).json()
    return states, counts, gaps, load


def test_messages_become_states_counts_gaps_and_energy(any_server: RunningServer) -> None:
    prepare(any_server)
    rows = [("state", "producing", T0 + 1_000), ("good_total", 10, T0 + 1_000), ("watched_until", T0 + 1_000, T0 + 1_000)]
    more = [("good_total", 14, T0 + 61_000), ("alarm", "17", T0 + 70_000), ("state", "fault", T0 + 70_000)]
    more.append(("watched_until", T0 + 90_000, T0 + 90_000))
    energy = [data(3 + step, "M-SAW-01", [("energy_import_wh", 1000.0 + 100 * step, T0 + step * 450_000)]) for step in range(5)]
    feed(any_server, [*births(), data(1, "SAW-01", rows), data(2, "SAW-01", more), *energy])
    eventually(lambda: stored(any_server, 7), 10)
    states, counts, _, load = picture(any_server)
    known = [one for one in states if one["known"]]
    assert [(one["state"], one["from"], one["to"]) for one in known[:2]] == [
        ("producing", iso(T0 + 1_000), iso(T0 + 70_000)),
        ("fault", iso(T0 + 70_000), iso(T0 + 90_000)),
    ]
    assert known[1]["alarm"] == "17" and sum(one["good"] for one in counts) == 4
    assert [round(point["wh"]) for point in load[0]["points"][:2]] == [200, 200]


def test_late_and_shuffled_gives_the_same_answers(server: RunningServer, make_server: Any, tmp_path: Any) -> None:
    """The law again, but asked through the public API of the slices."""
    messages = story(8, 80)
    prepare(server)
    feed(server, [*births(), *messages])
    eventually(lambda: stored(server, 80), 10)
    wanted = picture(server)
    other: RunningServer = make_server(folder=tmp_path / "other")
    prepare(other)
    feed(other, births())
    rng = random.Random(2)
    late = sorted(((place + 25 * rng.random(), one) for place, one in enumerate(messages) for _ in range(2)), key=lambda pair: pair[0])
    for start in range(0, len(late), 9):
        feed(other, [one for _, one in late[start : start + 9]])
        other.app.state.ingest._commit_again_s = 0.0
    eventually(lambda: stored(other, 80), 20)
    assert picture(other) == wanted
    assert len(DEVICES) == 2
