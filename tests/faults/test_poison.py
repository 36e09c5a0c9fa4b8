"""R19: a record that cannot be read or booked is put aside with its reason, the next ones flow, the counter is seen, and it can be taken in again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from edge_agent.contract.clock import ManualClock
from edge_agent.contract.delivery import Mark
from mes_server.ingest import codec
from mes_server.ingest.desk import Desk
from mes_server.ingest.errors import CannotRetry, NoSuchPutAside
from mes_server.ingest.schemas import RetryPutAside
from mes_server.ingest.service import quarantine_figures
from mes_server.kit.actor import SYSTEM
from mes_server.kit.ids import uuid7
from tests.support.ingest import EPOCH, T0, Bench, bench, births, data

OTHER_EPOCH = "fedcba9876543210"


@pytest.fixture
def made(tmp_path: Path):  # type: ignore[no-untyped-def]
    with bench(tmp_path, clock=ManualClock(T0 + 3_600_000)) as one:
        yield one


def piece(n: int, alarm: str = "") -> tuple[str, bytes]:
    at = T0 + n * 1000
    return data(n, "SAW-01", [("good_total", n, at), ("state", "fault" if alarm else "producing", at), ("alarm", alarm, at)])


def broken(n: int) -> tuple[str, bytes]:
    """Metrics that reach over the end of the message, behind them a whole mark."""
    mark = str(Mark(EPOCH, n)).encode()
    return ("spBv1.0/PUMP/DDATA/EDGE-L1/SAW-01", b"\x12\x7f\x01\x02\x22" + bytes([len(mark)]) + mark)


def retry(made: Bench, record: int) -> dict[str, int]:
    command = RetryPutAside(event_id=uuid7(T0), occurred_at="2026-03-02T01:00:00Z", record=record)  # type: ignore[arg-type]
    return made.acts.run_sync(Desk(made.service).retry, SYSTEM, command).body


def alarms(made: Bench) -> list[str]:
    return [row[4] for row in made.booking.rows["states"] if row[4]]


def test_r19_unreadable_and_the_next_ones_flow(made: Bench) -> None:
    made.feed(*births(), piece(1), broken(2), piece(3), piece(4))
    made.commit()
    assert made.scalar("select count(*) from ingest_quarantine") == 1, "it is put aside when it is seen first"
    assert made.answers[-1] == (EPOCH, 1), "and comes again, for it might have been an accident on the way"
    made.feed(broken(2), piece(3), piece(4), piece(5))
    made.commit()
    assert made.answers[-1] == (EPOCH, 5) and made.booking.good() == 4, "its piece is in the next running total"
    assert made.rows("select mark from ingest_quarantine") == [(f"{EPOCH}:2",)]
    with made.db.read() as session:
        assert quarantine_figures(session)["records"] == 1 and quarantine_figures(session)["reason"]
    made.feed(broken(2))
    made.commit()
    assert made.answers[-1] == (EPOCH, 5)


def test_r19_a_fault_of_ours_in_reading_stops_nobody(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = codec.decode_group

    def decode(payloads: Sequence[bytes]) -> codec.Columns:
        if any(b"POISON" in payload for payload in payloads):
            raise IndexError("a fault nobody foresaw")
        return real(payloads)

    monkeypatch.setattr(codec, "decode_group", decode)
    made.feed(*births())
    everything = [piece(1), piece(2), piece(3, "POISON"), piece(4), piece(5)]
    for _ in range(3):  # the edge sends again what is not answered
        made.feed(*everything)
        made.commit()
    assert made.answers[-1] == (EPOCH, 5) and made.booking.good() == 4 and alarms(made) == []
    ((number, reason),) = made.rows("select id, reason from ingest_quarantine")
    assert "a fault nobody foresaw" in reason

    with pytest.raises(IndexError):
        retry(made, number)
    assert made.scalar("select count(*) from ingest_quarantine") == 1, "not mended: it stays"
    monkeypatch.undo()
    assert retry(made, number) == {"id": number, "states": 1, "gaps": 0}
    assert alarms(made) == ["POISON"] and made.booking.good() == 4, "its state is there, its piece is not counted again"
    assert made.scalar("select count(*) from ingest_quarantine") == 0
    with pytest.raises(NoSuchPutAside):
        retry(made, number)


def test_r19_unbookable_then_mended(made: Bench) -> None:
    made.booking.poison = lambda one: any(state.alarm == "E7" for state in one.facts.states)
    made.feed(*births(), piece(1), piece(2), piece(3, "E7"), piece(4))
    made.commit()
    assert made.answers[-1] == (EPOCH, 4) and made.booking.good() == 3
    ((number, reason),) = made.rows("select id, reason from ingest_quarantine")
    assert "no slice can digest" in reason
    made.booking.poison = lambda one: False
    retry(made, number)
    assert alarms(made) == ["E7"] and made.booking.good() == 3
    made.feed(piece(5))
    made.commit()
    assert made.booking.good() == 4, "nothing that is remembered of the machine moved"


def test_r19_what_cannot_be_taken_in_again_says_why(made: Bench) -> None:
    made.feed(*births(), piece(1), broken(2), ("no/topic", b"x"))
    made.commit()
    numbers = [row[0] for row in made.rows("select id from ingest_quarantine order by id")]
    for number in numbers:
        with pytest.raises(CannotRetry):
            retry(made, number)
    made.booking.poison = lambda one: any(state.alarm == "E7" for state in one.facts.states)
    made.feed(broken(2), piece(3, "E7"))
    made.commit()
    made.booking.poison = lambda one: False
    made.feed(*births(epoch=OTHER_EPOCH))
    made.commit()
    newest = made.scalar("select max(id) from ingest_quarantine")
    with pytest.raises(CannotRetry, match="not been born with the buffer"):
        retry(made, newest)  # numbers of another buffer's birth may mean other values
