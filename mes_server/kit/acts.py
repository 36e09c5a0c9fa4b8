"""The one door for acts: a bounded queue and one writer thread.

The thread takes what waits (at most `batch_max`), runs it in ONE transaction, a savepoint an act, commits once and only then answers. The door
alone checks idempotency (same event id: same answer; other body: refused) and appends exactly one journal record an act. Service functions are
plain `def report_production(session, actor, command) -> Done`; they know nothing of queue, batch, journal or HTTP.
Other writers (ingest, jobs) come in through `run_system`, so that the store has one writer and no lock fights.
"""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from edge_agent.contract.clock import Clock
from mes_server.kit import journal
from mes_server.kit.actor import Actor
from mes_server.kit.command import Command, ms_of
from mes_server.kit.db import Database
from mes_server.kit.errors import MesError, NotStorable, Overloaded, SameIdOtherBody, StorageFailed
from mes_server.kit.hot import driver_execute
from mes_server.kit.live import Live
from mes_server.kit.metrics import Metrics

__all__ = ["Acts", "Answer", "Command", "Done", "after_commit", "ms_of", "recorded_ms"]
log = logging.getLogger("gemba.acts")
T = TypeVar("T")


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

    def __init__(
        self, db: Database, clock: Clock, live: Live, *, queue_max: int = 2_000, batch_max: int = 128, metrics: Metrics | None = None
    ) -> None:
        self._db = db
        self._clock = clock
        self._live = live
        self._batch_max = batch_max
        self._metrics = metrics if metrics is not None else Metrics()
        self._fault: str | None = None
        self.broken = False  # the disk or the file failed under a commit: nothing is booked any more, the process must end and recover
        self.on_broken: Callable[[], None] = lambda: None
        self.journal_seq = 0  # no record the journal holds from this process is later; the sealer looks here first
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

    def faults(self) -> list[str]:
        """Why the writer cannot book now; empty when it can."""
        found = [] if self._thread.is_alive() else ["writer_not_running"]
        return [*found, self._fault] if self._fault else found

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
        if self.broken:
            raise StorageFailed
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
        body_hash = journal.body_hash(command.type, body)
        event_id = str(command.event_id)

        def work(session: Session, now_ms: int) -> tuple[Answer, list[tuple[str, dict[str, Any]]]]:
            prior = journal.find(session, event_id)
            if prior is not None:
                if prior.body_hash != body_hash:
                    raise SameIdOtherBody(event_id=event_id)
                return Answer(event_id, prior.seq, True, json.loads(prior.answer)), []
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
        end = False
        while not end:
            job = self._queue.get()
            if job is None:
                return
            batch = [job]
            while len(batch) < self._batch_max:  # take what is there, without lingering
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    end = True
                    break
                batch.append(more)
            batch = [one for one in batch if one.future.set_running_or_notify_cancel()]  # a client that left before its act began
            if not batch:
                continue
            try:
                self._write(batch)
            except Exception as error:
                log.exception("the writer met something unexpected")
                self._fail(batch, error)

    def _write(self, batch: list[_Job]) -> None:
        outcomes: list[tuple[_Job, Any, Exception | None]] = []
        heard: list[tuple[str, dict[str, Any]]] = []
        after: list[Callable[[], None]] = []
        began = time.perf_counter()
        try:
            with self._db.writer.begin() as connection, Session(bind=connection, expire_on_commit=False) as session:
                now_ms = session.info["recorded_ms"] = self._clock.now_ms()
                for job in batch:
                    hooks: list[Callable[[], None]] = []
                    session.info["after_commit"] = hooks
                    result, live, failure = _one(connection, session, job, now_ms)
                    outcomes.append((job, result, failure))
                    if failure is None:
                        heard.extend(live)
                        after.extend(hooks)
            self._metrics.batch_seconds.observe(time.perf_counter() - began)
        except sa.exc.SQLAlchemyError as error:
            log.error("a batch of %d acts was not committed: %s", len(batch), error)
            self._fail(batch, error)
            return
        self._fault = None
        self._metrics.acts_batch.observe(len(batch))
        self.journal_seq = max(self.journal_seq, session.info.get("journal_seq", 0))
        for hook in after:
            hook()
        for topic, data in heard:
            self._live.publish(topic, data)
        for job, result, act_error in outcomes:
            self._metrics.acts.labels(_outcome(result, act_error)).inc()
            if act_error is None:
                job.future.set_result(result)
            else:
                job.future.set_exception(act_error)

    def _fail(self, batch: list[_Job], cause: Exception) -> None:
        self._fault = "storage_failed"
        if _is_fatal(cause):
            log.critical("the database file cannot be trusted to be written any more: %s", cause)
            self.broken = True
            self.on_broken()
        for job in batch:
            if not job.future.done():
                self._metrics.acts.labels("storage_failed").inc()
                failure = StorageFailed()
                failure.__cause__ = cause
                job.future.set_exception(failure)


def _one(connection: sa.Connection, session: Session, job: _Job, now_ms: int) -> tuple[Any, list[tuple[str, dict[str, Any]]], Exception | None]:
    """One act in a savepoint of its own: its failure is its own, its neighbours are booked."""
    driver_execute(connection, "SAVEPOINT act")
    try:
        result, live = job.work(session, now_ms)
        session.flush()
    except Exception as error:
        session.expunge_all()  # the identity map does not see the savepoint's rollback
        driver_execute(connection, "ROLLBACK TO SAVEPOINT act")
        driver_execute(connection, "RELEASE SAVEPOINT act")
        if isinstance(error, sa.exc.OperationalError):  # a full disk, a lost connection: not the act's fault
            failed = StorageFailed()
            failed.__cause__ = error
            return None, [], failed
        if isinstance(error, sa.exc.DataError):
            return None, [], NotStorable()
        if not isinstance(error, MesError):
            log.error("an act failed unexpectedly", exc_info=error)
        return None, [], error
    driver_execute(connection, "RELEASE SAVEPOINT act")
    return result, live, None


_FATAL_SQLITE = {10, 11, 26}  # SQLITE_IOERR (a failed fsync is one), SQLITE_CORRUPT, SQLITE_NOTADB


def _is_fatal(cause: BaseException) -> bool:
    """After a failed fsync the kernel may have dropped the pages (the "fsyncgate" of PostgreSQL): never retry, end and recover."""
    original = getattr(cause, "orig", None)
    code = getattr(original, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in _FATAL_SQLITE


def _outcome(result: Any, error: Exception | None) -> str:
    if error is not None:
        return error.code if isinstance(error, MesError) else "internal"
    if isinstance(result, Answer):
        return "replay" if result.replay else "done"
    return "system"


def after_commit(session: Session, hook: Callable[[], None]) -> None:
    """Runs `hook` in the writer thread once the act is committed and before its answer goes out: to drop what a cache holds.

    It must be quick and must not fail; nothing runs it if the act is rolled back.
    """
    session.info["after_commit"].append(hook)


def recorded_ms(session: Session) -> int:
    """Plant time of the batch this act is in: the `recorded at` of everything it writes."""
    return int(session.info["recorded_ms"])
