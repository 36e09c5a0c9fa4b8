"""A real server with two production days of a small plant on it: what the dashboards' browser tests look at.

Facts go in by the calls ingest makes (tests/support/seeing.py), acts through the public API. The clock stands at 11:00 of the second day.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_agent.contract.clock import iso
from mes_server.energy.schemas import ReadingFact
from mes_server.identity import access
from mes_server.machine_states.schemas import WatchFact
from tests.support import seeing
from tests.support.orders import do
from tests.support.seeing import SOURCE, Facts, feed, gap, history, pieces
from tests.support.server import RunningServer, copy_sqlite, make_settings, running_server

MIN = 60_000
HOUR = 60 * MIN
DAY = 24 * HOUR
FIRST_DAY = "2026-03-02"
SERIAL = "SN-0001"
LOT = "SEAL-88"
PASSWORD = "nine-lives-of-a-cat"  # a test's own, for a server that lives for seconds


@dataclass(frozen=True)
class Stage:
    """`start_ms`: 06:00 of the first day. `fault_ms`: the long stop of that day, explained by the alarm."""

    server: RunningServer
    start_ms: int
    fault_ms: int

    @property
    def url(self) -> str:
        return self.server.url


def _saw(start: int, now: int) -> Facts:
    fault, short = start + 4 * HOUR + 40 * MIN, start + 9 * HOUR
    points = [
        (start, "producing", ""), (fault, "fault", "17"), (fault + 52 * MIN, "producing", ""),
        (short, "stopped", ""), (short + 30_000, "producing", ""),
        (start + 11 * HOUR, "starved", ""), (start + 11 * HOUR + 35 * MIN, "producing", ""),
        (start + 15 * HOUR, "setup", ""), (start + 15 * HOUR + 40 * MIN, "producing", ""), (now - 14 * MIN, "fault", "17"),
    ]  # fmt: skip
    facts = history("SAW-01", points, start, now)
    making = [at for at in range(start + 20_000, now, 24_000) if not (fault <= at < fault + 52 * MIN or at > now - 14 * MIN)]
    facts.counts["SAW-01"] = pieces(making, scrap_every=90)
    facts.gaps.append(gap("SAW-01", start + 18 * HOUR, start + 19 * HOUR, "edge_down"))
    return facts


def _steady(machine: str, operation: str, cycle_ms: int, start: int, now: int) -> Facts:
    idle = start + 13 * HOUR
    facts = history(machine, [(start, "producing", ""), (idle, "idle", ""), (idle + 2 * HOUR, "producing", "")], start, now)
    facts.counts[machine] = pieces(
        [at for at in range(start + cycle_ms, now, cycle_ms) if not idle <= at < idle + 2 * HOUR], operation=operation, scrap_every=60
    )
    return facts


def _meter(code: str, watts: float, start: int, now: int) -> Facts:
    """Two powers by turns, three hours each; read each minute."""
    total, readings = 0.0, []
    for at in range(start, now + 1, MIN):
        readings.append(ReadingFact(code, at, total, None, 0.3 * total))
        total += (watts if (at - start) // (3 * HOUR) % 2 == 0 else 0.55 * watts) / 60
    return Facts(readings=readings, watches=[WatchFact(code, SOURCE, start, now)])


def fill(server: RunningServer) -> Stage:
    """Two days of facts and acts."""
    start = server.clock.now_ms()
    seeing.set_up(server, ("WO-1001", "WO-1002", "WO-1003"), quantity=6_000)
    operator = server.client(person="P-ann")
    do(server, operator, "operation.start", operation="WO-1001/10", machine="SAW-01")
    do(server, operator, "material.receive", lot=LOT, item="SEAL-01", quantity=500)
    server.clock.advance(24 * 3600 + 5 * 3600)
    now = server.clock.now_ms()
    feed(server, [_saw(start, now), _steady("LAT-01", "20", 66_000, start, now), _steady("EOL-01", "90", 110_000, start, now)])
    feed(server, [_meter(f"M-{code}", watts, start, now) for code, watts in (("SAW-01", 7_500), ("LAT-01", 15_000), ("EOL-01", 4_000))])
    feed(server, [_meter("COMP-01", 11_000, start, now), _meter("INC-01", 52_000, start, now)])
    do(server, operator, "material.consume", operation="WO-1001/90", lot=LOT, quantity=4, serial=SERIAL)
    do(server, operator, "material.produce", operation="WO-1001/90", machine="EOL-01", serial=SERIAL, quantity=1)
    do(server, operator, "stop.explain", machine="SAW-01", stop_from=iso(start + 11 * HOUR), reason="no-mat")
    return Stage(server, start, start + 4 * HOUR + 40 * MIN)


def set_up_admin(server: RunningServer) -> str:
    """The one-time token of a new installation, as `gemba-server init` prints it."""
    token = server.kit.acts.run_system_sync(lambda session: access.issue_setup_token(session, server.real.now_ms(), 1_800))
    assert token is not None
    return token


@contextmanager
def stage(template: Path, folder: Path, *, people: bool = True) -> Iterator[Stage]:
    """A filled server; with `people` an admin (boss), a manager and an energy manager can sign in with PASSWORD."""
    copy_sqlite(template, folder)
    with running_server(make_settings(folder)) as server:
        found = fill(server)
        if people:
            body = {"token": set_up_admin(server), "name": "王建国", "user": "boss", "password": PASSWORD, "lang": "zh"}
            server.client(None).post("/setup", json=body).raise_for_status()
            for code, name, lang, role in (("P-mia", "Mia Manager", "en", "manager"), ("P-ann", "李安", "zh", "operator")):
                server.act(server.client(), "/people", code=code, name=name, user=code.lower(), lang=lang, roles=[{"role": role}], password=PASSWORD)
        yield found
