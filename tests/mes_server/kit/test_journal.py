"""The chain: whatever somebody with the database's password does to the journal, verify names the first bad record."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from mes_server.kit import journal
from tests.mes_server.kit.door import Door, open_door

RECORDS = 12


@pytest.fixture
def door(store_url: str) -> Iterator[Door]:
    with open_door(store_url) as opened:
        for number in range(RECORDS):
            opened.add("a", 1 if number != 5 else 2)
        opened.acts.run_system_sync(journal.seal_pending)
        yield opened


def verdict(door: Door, anchors: dict[int, str] | None = None) -> journal.Verdict:
    with door.db.read() as session:
        return journal.verify(session, anchors=anchors, chunk=5)


def tamper(door: Door, *statements: str) -> None:
    """What an attacker with the right to change the schema does: the triggers go first."""
    with door.db.writer.begin() as connection:
        for table in ("journal", "journal_seal"):
            if door.db.is_sqlite:
                connection.exec_driver_sql(f"DROP TRIGGER {table}_no_update")
                connection.exec_driver_sql(f"DROP TRIGGER {table}_no_delete")
            else:
                connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_an_untouched_chain_fits(door: Door) -> None:
    found = verdict(door)
    assert (found.sealed, found.unsealed, found.bad_seq) == (RECORDS, 0, None)
    door.add("b", 1)
    assert verdict(door).unsealed == 1


SWAP = "UPDATE journal SET payload = (SELECT payload FROM journal AS other WHERE other.seq = 17 - journal.seq) WHERE seq IN (6, 11)"


@pytest.mark.parametrize(
    ("statements", "bad_seq"),
    [
        (["UPDATE journal SET payload = '{}' WHERE seq = 4"], 4),
        (["UPDATE journal SET person = 'P-bob' WHERE seq = 1"], 1),
        (["UPDATE journal SET occurred_ms = occurred_ms + 1 WHERE seq = 12"], 12),
        (["DELETE FROM journal WHERE seq = 7"], 7),
        (["DELETE FROM journal WHERE seq = 7", "DELETE FROM journal_seal WHERE seq = 7"], 8),
        ([SWAP], 6),
        (["UPDATE journal_seal SET hash = 'f' WHERE seq = 9"], 9),
        (["DELETE FROM journal_seal WHERE seq = 9"], 9),
        (["DELETE FROM journal WHERE seq >= 10"], 10),
    ],
)
def test_the_first_bad_record_is_named(door: Door, statements: list[str], bad_seq: int) -> None:
    tamper(door, *statements)
    assert verdict(door).bad_seq == bad_seq


def test_a_cut_end_and_a_chain_made_anew_are_told_by_an_anchor(door: Door) -> None:
    anchors = {RECORDS: verdict(door).head}
    assert verdict(door, anchors).bad_seq is None
    tamper(door, "DELETE FROM journal WHERE seq >= 10", "DELETE FROM journal_seal WHERE seq >= 10")
    assert verdict(door).bad_seq is None, "inside the database nothing tells"
    assert verdict(door, anchors).bad_seq == RECORDS
    with door.db.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE journal SET payload = '{}' WHERE seq = 3")
        connection.exec_driver_sql("DELETE FROM journal_seal")
    door.acts.run_system_sync(journal.seal_pending)
    assert verdict(door).bad_seq is None
    assert verdict(door, {3: anchors[RECORDS]}).bad_seq == 3


def test_readers_have_cursors_of_their_own(door: Door) -> None:
    def step(reader: str, size: int) -> Callable[[Session], list[int]]:
        def work(session: Session) -> list[int]:
            rows = journal.read_after(session, journal.cursor(session, reader), types=["test.added"], limit=size)
            if rows:
                journal.move_cursor(session, reader, rows[-1].seq)
            return [row.seq for row in rows]

        return work

    assert door.acts.run_system_sync(step("erp", 5)) == [1, 2, 3, 4, 5]
    assert door.acts.run_system_sync(step("erp", 5)) == [6, 7, 8, 9, 10]
    assert door.acts.run_system_sync(step("audit", 2)) == [1, 2]
    with door.db.read() as session:
        assert journal.cursor(session, "nobody") == 0


def test_pages(door: Door) -> None:
    with door.db.read() as session:
        newest = journal.page(session, subject="test:*", limit=5)
        assert [one["seq"] for one in newest.items] == [12, 11, 10, 9, 8]
        older = journal.page(session, limit=500, cursor=newest.next)
        assert [one["seq"] for one in older.items] == [7, 6, 5, 4, 3, 2, 1] and older.next is None
        after = journal.page(session, after=3, limit=2)
        assert [one["seq"] for one in after.items] == [4, 5]
        assert [one["seq"] for one in journal.page(session, after=3, limit=2, cursor=after.next).items] == [6, 7]
        assert journal.page(session, person="P-bob").items == []


def test_sealing_in_small_steps_is_the_same_chain(store_url: str) -> None:
    with open_door(store_url) as door:
        for _ in range(7):
            door.add("a", 1)
        while door.acts.run_system_sync(lambda session: journal.seal_pending(session, batch_max=2)):
            pass
        found = verdict(door)
        assert (found.sealed, found.bad_seq) == (7, None)
        with door.db.read() as session:
            assert session.execute(sa.select(sa.func.count()).select_from(journal.JournalSeal)).scalar_one() == 7
