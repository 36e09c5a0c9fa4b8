"""The one door for acts, over SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from sqlalchemy.orm import Session

from mes_server.kit import journal
from mes_server.kit.actor import Actor
from mes_server.kit.acts import after_commit
from mes_server.kit.errors import Forbidden, Overloaded, SameIdOtherBody, StorageFailed
from tests.mes_server.kit.door import ANN, Door, TooMuch, add, open_door
from tests.support.wait import eventually


@pytest.fixture
def door(store_url: str) -> Iterator[Door]:
    with open_door(store_url) as opened:
        yield opened


def held(door: Door) -> tuple[threading.Event, threading.Thread]:
    """Holds the writer inside an act until the event is set, so that what comes meanwhile is one batch."""
    began, release = threading.Event(), threading.Event()

    def block(session: Session) -> None:
        began.set()
        release.wait(20)

    def hold() -> None:
        with suppress(StorageFailed):
            door.acts.run_system_sync(block)

    thread = threading.Thread(target=hold)
    thread.start()
    assert began.wait(10)
    return release, thread


def outcome(door: Door, key: str, count: int) -> Any:
    try:
        return door.add(key, count).body["total"]
    except Exception as error:  # noqa: BLE001  the test compares what came out
        return type(error)


def test_a_batch_isolates_its_acts(door: Door) -> None:
    """Refused and broken acts undo only themselves; their neighbours in the same transaction are booked."""
    release, thread = held(door)
    with ThreadPoolExecutor(12) as pool:
        futures = [pool.submit(outcome, door, key, count) for key, count in (("a", 1), ("b", 13), ("c", 2), ("d", 99), ("e", 3))]
        eventually(lambda: door.acts.waiting == 5)
        release.set()
        found = [one.result(20) for one in futures]
    thread.join(10)
    assert found == [1, TooMuch, 2, RuntimeError, 3]
    assert door.totals() == {"a": 1, "c": 2, "e": 3}
    with door.db.read() as session:
        assert len(journal.read_after(session, 0)) == 3, "one journal record for each act that was booked, none for the others"


def test_the_same_event_again_and_with_another_body(door: Door) -> None:
    event_id = uuid4()
    first = door.add("a", 5, event_id)
    again = door.add("a", 5, event_id)
    assert (first.replay, again.replay, again.body, again.seq) == (False, True, first.body, first.seq)
    with pytest.raises(SameIdOtherBody):
        door.add("a", 6, event_id)
    assert door.totals() == {"a": 5}


def test_twice_in_one_batch_is_once(door: Door) -> None:
    release, thread = held(door)
    event_id = uuid4()
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(door.add, "a", 5, event_id) for _ in range(6)]
        eventually(lambda: door.acts.waiting == 6)
        release.set()
        answers = [one.result(20) for one in futures]
    thread.join(10)
    assert door.totals() == {"a": 5}
    assert sorted(one.replay for one in answers) == [False] + [True] * 5
    assert {one.seq for one in answers} == {answers[0].seq}


def test_a_refused_act_may_be_sent_again(door: Door) -> None:
    event_id = uuid4()
    with pytest.raises(TooMuch):
        door.add("a", 13, event_id)
    assert door.add("a", 1, event_id).replay is False, "a refusal is no record: the corrected act is a first one"


def test_a_right_is_asked_before_the_queue(door: Door) -> None:
    with pytest.raises(Forbidden):
        door.acts.run_sync(add, Actor("P-x", None, frozenset({"read"})), door.command("a", 1))
    assert door.acts.run_sync(add, Actor("P-x", None, frozenset({"floor.report@L1"})), door.command("a", 1)).seq > 0


def test_a_commit_that_fails_fails_the_whole_batch(door: Door) -> None:
    def fail(connection: sa.Connection) -> None:
        raise sa.exc.OperationalError("COMMIT", {}, Exception("disk gone"))

    release, thread = held(door)
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(outcome, door, key, 1) for key in ("a", "b", "c")]
        eventually(lambda: door.acts.waiting == 3)
        event.listen(door.db.writer, "commit", fail)
        release.set()
        assert [one.result(20) for one in futures] == [StorageFailed] * 3
    thread.join(10)
    assert door.totals() == {}
    assert door.acts.faults() == ["storage_failed"]
    event.remove(door.db.writer, "commit", fail)
    assert outcome(door, "a", 1) == 1
    assert door.acts.faults() == []


def test_live_and_hooks_come_after_the_commit_and_before_the_answer(door: Door) -> None:
    seen: list[Any] = []

    def work(session: Session) -> str:
        after_commit(session, lambda: seen.append(door.totals()))
        session.connection().execute(sa.text("INSERT INTO kit_test VALUES ('h', 7)"))
        return "answer"

    assert door.acts.run_system_sync(work) == "answer"
    assert seen == [{"h": 7}], "another connection sees it when the hook runs, and the hook ran before the answer"

    def fails(session: Session) -> None:
        after_commit(session, lambda: seen.append("never"))
        raise TooMuch(count=1)

    with pytest.raises(TooMuch):
        door.acts.run_system_sync(fails)
    assert seen == [{"h": 7}]


def test_a_full_queue_refuses_and_loses_nothing(store_url: str) -> None:
    with open_door(store_url, queue_max=3) as door:
        release, thread = held(door)
        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(outcome, door, "a", 1) for _ in range(3)]
            eventually(lambda: door.acts.waiting == 3)
            with pytest.raises(Overloaded) as refused:
                door.add("a", 1)
            assert refused.value.params["retry_s"] == 2
            release.set()
            assert sorted(one.result(20) for one in futures) == [1, 2, 3]
        thread.join(10)
        assert door.totals() == {"a": 3}


def test_a_client_that_leaves_before_its_act_began_books_nothing(door: Door) -> None:
    release, thread = held(door)

    async def leave() -> None:
        task = asyncio.create_task(door.acts.run(add, ANN, door.command("a", 1)))
        while door.acts.waiting < 1:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        release.set()

    asyncio.run(leave())
    thread.join(10)
    assert outcome(door, "b", 1) == 1
    assert door.totals() == {"b": 1}


def test_a_read_cannot_write(door: Door) -> None:
    with pytest.raises(sa.exc.DBAPIError), door.db.read() as session:
        session.connection().execute(sa.text("INSERT INTO kit_test VALUES ('x', 1)"))


@pytest.mark.parametrize(
    "statement", ["UPDATE journal SET person = 'x'", "DELETE FROM journal", "UPDATE journal_seal SET hash = 'x'", "DELETE FROM journal_seal"]
)
def test_the_database_itself_refuses_to_change_the_journal(door: Door, statement: str) -> None:
    door.add("a", 1)
    door.acts.run_system_sync(journal.seal_pending)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"):
        door.acts.run_system_sync(lambda session: session.connection().exec_driver_sql(statement))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    history=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), min_size=1, max_size=12),
    data=st.data(),
)
def test_duplicate_reorder_split_give_the_same_state(door: Door, history: list[tuple[str, int]], data: st.DataObject) -> None:
    """Law: however often and in whatever order and batches acts arrive, each is booked once and always gets its own answer."""
    run = uuid4().hex[:8]
    acts: list[tuple[UUID, str, int]] = [(uuid4(), f"{run}-{key}", count) for key, count in history]
    deliveries = data.draw(st.permutations([one for one in acts for _ in range(data.draw(st.integers(1, 3)))]))
    answers: dict[UUID, set[tuple[int, str]]] = {}

    async def deliver() -> None:
        at = 0
        while at < len(deliveries):
            size = data.draw(st.integers(1, 6))
            part = deliveries[at : at + size]
            at += size
            found = await asyncio.gather(*(door.acts.run(add, ANN, door.command(key, count, one)) for one, key, count in part))
            for (one, _, _), answer in zip(part, found, strict=True):
                answers.setdefault(one, set()).add((answer.seq, str(answer.body)))

    asyncio.run(deliver())
    expected: dict[str, int] = {}
    for _, key, count in acts:
        expected[key] = expected.get(key, 0) + count
    assert {key: total for key, total in door.totals().items() if key.startswith(run)} == expected
    assert all(len(found) == 1 for found in answers.values())


def test_a_lost_connection_is_503_and_heals(any_server: Any) -> None:
    """PostgreSQL: the writer's backend is terminated inside a batch. SQLite: the file is full. Both: 503, nothing half, then well again."""
    kit = any_server.kit
    if kit.db.is_sqlite:

        def hurt(session: Session) -> None:
            connection = session.connection()
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            connection.exec_driver_sql("CREATE TABLE fill (x)")
            connection.execute(sa.text("INSERT INTO fill VALUES (zeroblob(4000000))"))

    else:

        def hurt(session: Session) -> None:
            session.connection().exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(StorageFailed):
        kit.acts.run_system_sync(hurt)
    if kit.db.is_sqlite:
        kit.acts.run_system_sync(lambda session: session.connection().exec_driver_sql("PRAGMA max_page_count = 1073741823").all())
    body = any_server.envelope(code="P-1", name="One")
    eventually(lambda: any_server.client().post("/people", json=body).status_code == 200, 20)
    assert not kit.acts.broken
