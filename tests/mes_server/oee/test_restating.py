"""Late data restate: a day that arrives late, in any portions, gives the same bytes as a live one; and what is kept in memory is never stale."""

from __future__ import annotations

import random
from collections.abc import Iterator

import httpx

from edge_agent.contract.clock import iso
from mes_server.energy.schemas import ReadingFact
from mes_server.machine_states.schemas import StateFact, WatchFact
from mes_server.oee import series, windows
from mes_server.plant import service as plant
from mes_server.work_orders.schemas import CountRow
from tests.support.orders import do
from tests.support.seeing import SOURCE, Facts, feed, gap, set_up
from tests.support.server import RunningServer

MIN = 60_000
HOUR = 60 * MIN
DAY = 24 * HOUR
MACHINES = ("SAW-01", "LAT-01", "EOL-01")
OTHER = "EDGE-B:00000000000000bb"


def a_day(start: int, seed: int) -> list[tuple[int, Facts]]:
    """A day's facts as (moment, facts), in record order, with a gap in the afternoon that a second edge fills for one machine."""
    dice = random.Random(seed)
    out: list[tuple[int, Facts]] = []
    for number, machine in enumerate(MACHINES):
        at, total = start + dice.randrange(60_000), 0.0
        hole = (start + 9 * HOUR, start + 10 * HOUR)
        out.append((hole[1], Facts(gaps=[gap(machine, *hole), gap(f"M-{machine}", *hole, machine=False)])))
        last = at
        while at < start + DAY:
            state = dice.choice(["producing", "producing", "fault", "setup", "idle", "starved"])
            dark = hole[0] <= at < hole[1]
            fact = StateFact(machine, at, state, None, dice.choice(["", "17"]))
            source = OTHER if dark else SOURCE
            # the second edge saw SAW-01 during the hole; the others stay dark
            if not dark or machine == "SAW-01":
                seen = (hole[0], min(at, hole[1])) if dark else (last, at)
                out.append((at, Facts(states=[fact], watches=[WatchFact(machine, source, *seen)])))
            total += dice.random() * 500
            if not dark:
                reading = ReadingFact(f"M-{machine}", at, total, None, total / 3)
                out.append((at, Facts(readings=[reading], watches=[WatchFact(f"M-{machine}", SOURCE, last, at)])))
                number_of = ("10", "20", "90")[number]
                out.append((at, Facts(counts={machine: [CountRow(at, dice.randrange(1, 9), dice.randrange(2), "WO-1001", number_of, last)]})))
            last = at
            at += dice.randrange(20_000, 70 * MIN)
    out.sort(key=lambda one: one[0])
    end = start + DAY
    marks = [WatchFact(code, SOURCE, end, end) for machine in MACHINES for code in (machine, f"M-{machine}")]
    return [*out, (end, Facts(watches=marks))]


def joined(parts: list[Facts]) -> Facts:
    whole = Facts()
    for one in parts:
        whole.gaps += one.gaps
        whole.states += one.states
        whole.readings += one.readings
        whole.watches += one.watches
        for machine, rows in one.counts.items():
            whole.counts.setdefault(machine, []).extend(rows)
    return whole


def portions(facts: list[Facts], seed: int) -> Iterator[Facts]:
    dice, at = random.Random(seed), 0
    while at < len(facts):
        size = dice.choice([1, 7, 40, 100])
        yield joined(facts[at : at + size])
        at += size


def answers(server: RunningServer, start: int) -> dict[str, bytes]:
    """What the screens see of that day and the next, byte by byte."""
    client = server.client()
    window = {"from": iso(start), "to": iso(start + DAY)}
    asked: dict[str, tuple[str, dict[str, str]]] = {
        **{f"states {code}": ("/states", {"machine": code, **window}) for code in MACHINES},
        "shifts": ("/oee/shifts", {"from_day": "2026-03-02", "to_day": "2026-03-03"}),
        "days": ("/oee/days", {"from_day": "2026-03-02", "to_day": "2026-03-02"}),
        "losses": ("/losses", {"scope": "site", **window}),
        "stops": ("/stops", {"scope": "site", "limit": "500", **window}),
        "summary": ("/energy/summary", window),
        "load": ("/energy/load", {"scope": "line:L1", **window}),
        "yesterday": ("/yesterday", {"day": "2026-03-02"}),
        "day": ("/machines/SAW-01/day", {"day": "2026-03-02"}),
    }
    out = {}
    for name, (path, params) in asked.items():
        answer: httpx.Response = client.get(path, params=params)
        assert answer.status_code == 200, answer.text[:500]
        out[name] = answer.content
    return out


def explain_some(server: RunningServer, start: int) -> None:
    for hour, reason in ((2, "blade"), (7, "no-mat"), (12, "tool")):
        do(server, server.client(person="P-ann"), "stop.explain", machine="SAW-01", stop_from=iso(start + hour * HOUR), reason=reason)


def test_a_late_day_in_portions_gives_the_same_bytes_as_a_live_one(make_server: object, store_url: str, tmp_path: object) -> None:
    """Live: a few facts at a time, the clock beside them, the screens asking now and then. Late: all after the day, in other portions.

    The live one runs over SQLite and over PostgreSQL, the late one over SQLite: the engines agree to the byte, too.
    """
    seed = 1
    live = make_server(database_url=store_url)  # type: ignore[operator]
    start = live.clock.now_ms()
    set_up(live)
    explain_some(live, start)
    facts = a_day(start, seed)
    for index, batch in enumerate(portions([one for _, one in facts], seed)):
        feed(live, [batch])
        if index % 3 == 0:
            live.clock.set_ms(start + min(index, 24) * HOUR)
            answers(live, start)  # whatever is kept in memory now must not show later
    live.clock.set_ms(start + 30 * HOUR)
    seen = answers(live, start)
    late = make_server(folder=tmp_path / "late")  # type: ignore[operator]
    late.clock.set_ms(start)
    set_up(late)
    explain_some(late, start)
    late.clock.set_ms(start + 30 * HOUR)
    assert answers(late, start)["shifts"] != seen["shifts"]
    feed(late, portions([one for _, one in facts], seed + 100))
    again = answers(late, start)
    assert {name for name in seen if again[name] != seen[name]} == set()


def test_what_is_kept_in_memory_equals_what_is_worked_out_anew(any_server: RunningServer) -> None:
    """Three days; then facts, gaps, reasons and runs land anywhere in them, and after each one the kept figures equal fresh ones."""
    server = any_server
    start = server.clock.now_ms()
    set_up(server)
    for day in range(3):
        feed(server, [joined([one for _, one in a_day(start + day * DAY, day)])])
    server.clock.set_ms(start + 3 * DAY + HOUR)
    now = server.clock.now_ms()
    dice = random.Random(7)

    def figures() -> dict[object, object]:
        with server.kit.db.read() as session:
            model = plant.model(session)
            spans = [(one.from_ms, one.to_ms) for one in model.calendar.shift_windows(start, start + 3 * DAY)]
            return dict(series.measure(session, list(model.machines.values()), spans, now).times)

    def surprise(kind: int) -> None:
        at = start + dice.randrange(3 * DAY)
        machine = dice.choice(MACHINES)
        if kind == 0:
            feed(server, [Facts(states=[StateFact(machine, at, dice.choice(["producing", "fault", "setup"]), None, "")])])
        elif kind == 1:
            feed(server, [Facts(gaps=[gap(machine, at, at + dice.randrange(6 * HOUR))])])
        elif kind == 2:
            do(server, server.client(), "stop.explain", machine=machine, stop_from=iso(at), reason=dice.choice(["blade", "no-mat"]))
        elif kind == 3:
            number = {"SAW-01": 10, "LAT-01": 20, "EOL-01": 90}[machine]
            act = dice.choice(["operation.start", "operation.interrupt"])
            body = server.envelope(type=act, operation=f"WO-1001/{number}", machine=machine)
            server.client().post("/acts", json={**body, "occurred_at": iso(at)})
        else:
            feed(server, [Facts(watches=[WatchFact(machine, OTHER, at, at + dice.randrange(9 * HOUR))])])

    for step in range(15):
        surprise(step % 5)
        kept = figures()
        windows._kept.clear()
        assert figures() == kept, step
