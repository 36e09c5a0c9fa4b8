"""The quarantine through the API: seen in system health, listed, taken in again by an administrator (R19)."""

from __future__ import annotations

from edge_agent.contract.clock import iso
from tests.mes_server.ingest.test_ingest_slices import feed, prepare, stored
from tests.support.ingest import T0, births, data
from tests.support.server import RunningServer
from tests.support.wait import eventually


def test_a_record_that_no_slice_could_book_is_listed_and_taken_in_again(server: RunningServer) -> None:
    prepare(server)
    booking = server.app.state.ingest.booking
    real = booking.book

    def book(session, batch):  # type: ignore[no-untyped-def]
        if any(state.alarm == "E7" for one in batch for state in one.facts.states):
            raise KeyError("E7")
        return real(session, batch)

    booking.book = book
    at = T0 + 60_000
    records = [
        data(n, "SAW-01", [("state", "fault" if n == 2 else "producing", at * 1 + n), ("alarm", "E7" if n == 2 else "", at + n)]) for n in (1, 2, 3)
    ]
    feed(server, [*births(), *records])
    eventually(lambda: stored(server, 3), 20, why="the next ones flow")
    admin = server.client("read", "admin")
    health = admin.get("/health/system").json()["server"]["quarantine"]
    assert health["records"] == 1 and "E7" in health["reason"]
    (row,) = admin.get("/ingest/quarantine").json()["items"]
    assert row["mark"].endswith(":2") and row["bytes"] > 0 and "cannot be booked" in row["reason"]
    assert server.client("read").get("/ingest/quarantine").status_code == 403
    path = f"/ingest/quarantine/{row['id']}/retry"
    assert server.client("read").post(path, json=server.envelope()).status_code == 403

    booking.book = real
    assert server.act(admin, path) == {"id": row["id"], "states": 1, "gaps": 0}
    states = admin.get("/states", params={"machine": "SAW-01", "from": iso(T0), "to": iso(T0 + 3_600_000)}).json()
    assert any(one.get("alarm") == "E7" for one in states)
    assert admin.get("/ingest/quarantine").json()["items"] == []
    assert admin.post(path, json=server.envelope()).status_code == 404
