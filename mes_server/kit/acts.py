"""The one door for acts: a bounded queue and one writer thread.

The thread takes what waits (at most `batch_max`), runs it in ONE transaction, a savepoint an act, commits once and only then answers. The door
alone checks idempotency (same event id: same answer; other body: refused) and appends exactly one journal record an act. Service functions are
plain `def report_production(session, actor, command) -> Done`; they know nothing of queue, batch, journal or HTTP.
Other writers (ingest, jobs) come in through `run_system`, so that the store has one writer and no lock fights.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy.orm import Session

from edge_agent.contract.clock import Clock
from mes_server.kit import journal
from mes_server.kit.actor import Actor
from mes_server.kit.db import Database
from mes_server.kit.errors import MesError, Overloaded, SameIdOtherBody, StorageFailed
from mes_server.kit.live import Live

T = TypeVar("T")


class Command(BaseModel):
    """What a client asks for. `event_id` (UUIDv7, made by the client at first touch) is the idempotency key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: ClassVar[str]  # the journal's type, past tense: "production.reported"
    right: ClassVar[str]  # the right it asks for; the door refuses a command without one

    event_id: UUID
    occurred_at: AwareDatetime

    @property
    def occurred_ms(self) -> int:
        return ms_of(self.occurred_at)


def ms_of(when: datetime) -> int:
    return round(when.timestamp() * 1000)


@dataclass(slots=True)
class Done:
    """What a service function returns: the client's answer, what the journal says, what live screens hear after the commit."""

    subject: str
    answer: dict[str, Any] = field(default_factory=dict)
    effect: dict[str, Any] = field(default_factory=dict)  # goes into the journal's payload beside the command
    live: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # (topic, data)


@dataclass(frozen=True, slots=True)
class Answer:
    """`replay` tells that the event had been recorded before and this is the same answer again."""

    event_id: str
    seq: int
    replay: bool
    body: dict[str, Any]


ServiceFunction = Callable[[Session, Actor, Any], Done]


@dataclass(slots=True)
class _Job:
    work: Callable[[Session, int], tuple[Any, list[tuple[str, dict[str, Any]]]]]
    future: Future[Any]


class Acts:
    """Owns the writer thread. `queue_max` acts may wait; beyond that `Overloaded` (503 + Retry-After)."""

    def __init__(self, db: Database, clock: Clock, live: Live, *, queue_max: int = 2_000, batch_max: int = 128) -> None:
        self._db = db
        self._clock = clock
        self._live = live
        self._batch_max = batch_max
        self._queue: queue.Queue[_Job | None] = queue.Queue(queue_max)
        self._thread = threading.Thread(target=self._write_forever, name="acts-writer", daemon=True)
        self._started = False

    def start(self) -> None:
        self._started = True
        self._thread.start()

    def stop(self) -> None:
        """Finishes what waits, then ends the writer."""
        if self._started:
            self._queue.put(None)
            self._thread.join(timeout=30)
            self._started = False

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    # --- entering -----------------------------------------------------------------------------------------------------------------
    async def run(self, function: ServiceFunction, actor: Actor, command: Command) -> Answer:
        """The answer after the commit. Raises the service function's MesError, Overloaded or StorageFailed."""
        return await asyncio.wrap_future(self._submit(self._act(function, actor, command)))

    def run_sync(self, function: ServiceFunction, actor: Actor, command: Command) -> Answer:
        """The same for jobs and the command line."""
        answer: Answer = self._submit(self._act(function, actor, command)).result()
        return answer

    async def run_system(self, function: Callable[[Session], T]) -> T:
        """Runs `function` in the writer's transaction (own savepoint), for ingest and jobs. No idempotency, no journal record of its own."""
        result: T = await asyncio.wrap_future(self._submit(lambda session, _now: (function(session), [])))
        return result

    def run_system_sync(self, function: Callable[[Session], T]) -> T:
        result: T = self._submit(lambda session, _now: (function(session), [])).result()
        return result

    def _submit(self, work: Callable[[Session, int], tuple[Any, list[tuple[str, dict[str, Any]]]]]) -> Future[Any]:
        job = _Job(work, Future())
        try:
            self._queue.put_nowait(job)
        except queue.Full:
            raise Overloaded(retry_s=2) from None
        return job.future

    @staticmethod
    def _act(function: ServiceFunction, actor: Actor, command: Command) -> Callable[[Session, int], Any]:
        actor_may_somewhere = actor.may_somewhere(command.right)
        if not actor_may_somewhere:
            actor.require(command.right)
        body = command.model_dump_json(exclude={"event_id"})
        body_hash = hashlib.sha256(f"{command.type}\n{body}".encode()).hexdigest()
        event_id = str(command.event_id)

        def work(session: Session, now_ms: int) -> tuple[Answer, list[tuple[str, dict[str, Any]]]]:
            prior = journal.find(session, event_id)
            if prior is not None:
                if prior.body_hash != body_hash:
                    raise SameIdOtherBody(event_id=event_id)
                return Answer(event_id, prior.seq, True, json.loads(prior.answer)), []
            session.info["recorded_ms"] = now_ms
            done = function(session, actor, command)
            session.flush()
            effect = json.dumps(done.effect, ensure_ascii=False, separators=(",", ":"), default=str)
            seq = journal.append(
                session,
                event_id=event_id,
                type=command.type,
                subject=done.subject,
                occurred_ms=command.occurred_ms,
                recorded_ms=now_ms,
                person=actor.person,
                device=actor.device,
                payload=f'{{"command":{body},"effect":{effect}}}',
                answer=json.dumps(done.answer, ensure_ascii=False, separators=(",", ":"), default=str),
                body_hash=body_hash,
            )
            return Answer(event_id, seq, False, done.answer), done.live

        return work

    # --- the writer ---------------------------------------------------------------------------------------------------------------
    def _write_forever(self) -> None:
        while True:
            job = self._queue.get()
            if job is None:
                return
            batch, end = [job], False
            while len(batch) < self._batch_max:  # take what is there, without lingering
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    end = True
                    break
                batch.append(more)
            self._write(batch)
            if end:
                return

    def _write(self, batch: list[_Job]) -> None:
        outcomes: list[tuple[_Job, Any, BaseException | None]] = []
        heard: list[tuple[str, dict[str, Any]]] = []
        try:
            with self._db.writer.begin() as connection, Session(bind=connection, expire_on_commit=False) as session:
                now_ms = self._clock.now_ms()
                for job in batch:
                    connection.exec_driver_sql("SAVEPOINT act")
                    try:
                        result, live = job.work(session, now_ms)
                        session.flush()
                    except Exception as error:  # noqa: BLE001  supervision boundary: one act's failure is its own, its neighbours are booked
                        session.expunge_all()  # the identity map does not see the savepoint's rollback
                        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT act")
                        connection.exec_driver_sql("RELEASE SAVEPOINT act")
                        outcomes.append((job, None, error))
                    else:
                        connection.exec_driver_sql("RELEASE SAVEPOINT act")
                        outcomes.append((job, result, None))
                        heard.extend(live)
        except sa.exc.SQLAlchemyError as error:
            failure: MesError = StorageFailed()
            failure.__cause__ = error
            for job in batch:
                job.future.set_exception(failure)
            return
        for job, result, act_error in outcomes:
            if act_error is not None:
                job.future.set_exception(act_error)
            else:
                job.future.set_result(result)
        for topic, data in heard:
            self._live.publish(topic, data)


def recorded_ms(session: Session) -> int:
    """Plant time of the batch this act is in: the `recorded at` of everything it writes."""
    return int(session.info["recorded_ms"])
