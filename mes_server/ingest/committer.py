"""What is due into the two stores, each with its own mark, then the answers. Runs in the ingest thread; the acts' writer does the booking.

Order: samples and their marks (telemetry), facts and their marks (book of record, in chunks so that a tablet never waits long), then for every
stream heard of "stored up to" = the lower of both marks. A store that fails keeps only its own lane back: facts go on while telemetry is down
(the answer waits, so the edge keeps everything and sends it again), and the other way round. A record that cannot be booked is put aside with its
reason and the next ones flow: its counts are not lost, because the next running total carries them.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from sqlalchemy.orm import Session

from edge_agent.contract.clock import Clock
from mes_server.ingest import facts, repository
from mes_server.ingest.booking import Booking, Counted, DeviceFacts, Link, LiveWord, append_counted
from mes_server.ingest.delivery import Stream
from mes_server.ingest.errors import MarkMoved
from mes_server.ingest.facts import DeviceState
from mes_server.ingest.intake import Due, PutAside, Record
from mes_server.kit.acts import Acts
from mes_server.kit.errors import MesError, Overloaded, StorageFailed
from mes_server.telemetry.errors import TelemetryFailed
from mes_server.telemetry.store import Samples, TelemetryStore

log = logging.getLogger(__name__)

EVENTS_MAX = 5_000  # facts of one transaction, so that people's acts wait 50 ms at most
PARKED_EACH = 2_000  # records of one step
UNPARK_PAUSE_S = 60.0
TELEMETRY_PAUSE_S = (1.0, 30.0)
DeviceKey = tuple[str, str]  # (edge, device)


@dataclass(slots=True)
class _Outcome:
    """What one facts transaction changed, applied to memory only after its commit."""

    states: dict[DeviceKey, DeviceState] = field(default_factory=dict)
    counted: list[tuple[DeviceFacts, str, Counted]] = field(default_factory=list)
    parked: Counter[DeviceKey] = field(default_factory=Counter)
    figures: Counter[str] = field(default_factory=Counter)


class Committer:
    """`answer(stream)` is called after a commit for each stream that is to hear how far it is stored."""

    def __init__(
        self,
        acts: Acts,
        clock: Clock,
        telemetry: TelemetryStore,
        booking: Booking,
        answer: Callable[[Stream[Record]], None],
        figures: Counter[str],
        *,
        records_max: int = 2_000,
    ) -> None:
        self._acts = acts
        self._clock = clock
        self._telemetry = telemetry
        self._booking = booking
        self._answer = answer
        self._figures = figures
        self._records_max = records_max
        self._states: dict[DeviceKey, DeviceState] = {}
        self._rows: set[DeviceKey] = set()  # devices that have a row
        self._telemetry_again_s = 0.0
        self._unpark_again_s = 0.0
        self._telemetry_pause_s = TELEMETRY_PAUSE_S[0]
        self.links: dict[DeviceKey, Link] = {}
        self.parked: Counter[DeviceKey] = Counter()
        self.newly_counted: list[tuple[DeviceFacts, str, Counted]] = []
        self.telemetry_fault: MesError | None = None
        self.facts_fault: MesError | None = None

    @property
    def samples_paused(self) -> bool:
        """Telemetry failed a moment ago: samples are not even taken until the pause is over."""
        return time.monotonic() < self._telemetry_again_s

    def commit(self, due: Due, streams: Iterable[Stream[Record]], words: Sequence[LiveWord] = ()) -> None:
        """Stores what is due and answers; `words` are what machines say now."""
        every = list(streams)
        self._store_samples(due, every)
        self._book_lost(due)
        self._book(due, every)
        self._put_aside(due.put_aside)
        self._book_live(words)
        for stream in due.answers.values():
            self._answer(stream)

    # --- samples ----------------------------------------------------------------------------------------------------------------
    def _store_samples(self, due: Due, streams: list[Stream[Record]]) -> None:
        moved = [stream for stream in streams if stream.samples.mark > stream.samples_stored]
        if not due.ts and not moved and not due.lost:
            return
        marks = {(stream.edge, stream.epoch): stream.samples.mark for stream in moved}
        marks.update({(stream.edge, stream.epoch): stream.samples.mark for stream, _ in due.lost})
        none = np.zeros(0)
        samples = Samples(
            np.concatenate(due.series) if due.series else none.astype(np.int32),
            np.concatenate(due.ts) if due.ts else none.astype(np.int64),
            np.concatenate(due.value) if due.value else none,
        )
        try:
            self._telemetry.append(samples, marks)
        except TelemetryFailed as error:
            self._telemetry_again_s = time.monotonic() + self._telemetry_pause_s
            self._telemetry_pause_s = min(TELEMETRY_PAUSE_S[1], 2 * self._telemetry_pause_s)
            self.telemetry_fault = error
            self._figures["telemetry_failures"] += 1
            log.error("%s; %d samples wait at the edges", error, len(samples.ts))
            for stream in streams:
                stream.samples.reset(stream.samples_stored)
            return
        self.telemetry_fault = None
        self._telemetry_pause_s = TELEMETRY_PAUSE_S[0]
        self._figures["samples"] += len(samples.ts)
        for stream in moved:
            stream.samples_stored = stream.samples.mark

    def forget_samples(self, before_ms: int) -> None:
        """Raw samples older than `before_ms` go; what fails is tried again at the next turn."""
        try:
            self._figures["samples_forgotten"] += max(0, self._telemetry.drop_before(before_ms))
        except TelemetryFailed as error:
            log.error("old samples stay for now: %s", error)

    # --- facts ------------------------------------------------------------------------------------------------------------------
    def _book(self, due: Due, streams: list[Stream[Record]]) -> None:
        records = due.facts
        for chunk in _chunks(records, self._records_max, EVENTS_MAX):
            try:
                self._transaction(chunk)
            except (StorageFailed, Overloaded, MarkMoved) as error:
                self.facts_fault = error
                self._figures["facts_failures"] += 1
                log.error("facts are not booked for the moment: %s", error)
                for stream in streams:
                    stream.facts.reset(stream.facts_stored)
                return
            except Exception:  # supervision boundary: a record that no slice can digest must not stop the ones behind it
                log.exception("a chunk of %d records could not be booked; trying them one by one", len(chunk))
                if not self._one_by_one(chunk, streams):
                    return
        self.facts_fault = None

    def _one_by_one(self, chunk: Sequence[Record], streams: list[Stream[Record]]) -> bool:
        for record in chunk:
            try:
                try:
                    self._transaction([record])
                except (StorageFailed, Overloaded, MarkMoved):
                    raise
                except Exception as error:  # noqa: BLE001  supervision boundary, see above
                    self._figures["unbookable"] += 1
                    reason = f"cannot be booked: {type(error).__name__}: {error}"[:400]
                    aside = PutAside(record.message.topic, reason, f"{record.stream.epoch}:{record.n}", record.payload())
                    self._transaction([record], aside=aside)
            except (StorageFailed, Overloaded, MarkMoved) as error:
                self.facts_fault = error
                for stream in streams:
                    stream.facts.reset(stream.facts_stored)
                return False
        return True

    def _transaction(self, records: Sequence[Record], *, aside: PutAside | None = None) -> None:
        """Facts of `records` (n order per stream) and their marks; with `aside` the record is put aside instead of booked."""
        outcome = self._acts.run_system_sync(lambda session: self._write(session, records, aside))
        for stream, mark in _last_marks(records).items():
            stream.facts_stored = mark
        self._absorb(outcome)

    def _absorb(self, outcome: _Outcome) -> None:
        self._states.update(outcome.states)
        self._rows.update(outcome.states)
        self.parked.update(outcome.parked)
        self._figures.update(outcome.figures)
        self.newly_counted.extend(outcome.counted)

    def _write(self, session: Session, records: Sequence[Record], aside: PutAside | None) -> _Outcome:
        now_ms = self._clock.now_ms()
        session.info["recorded_ms"] = now_ms  # what kit.acts.recorded_ms answers to the slices
        outcome = _Outcome()
        if aside is not None:
            repository.put_aside(session, [_aside_row(aside, now_ms)])
        else:
            batch: dict[tuple[str, str, str], DeviceFacts] = {}
            parked: list[dict[str, object]] = []
            for record in records:
                self._apply(session, record, batch, outcome, parked)
            if parked:
                repository.park(session, parked)
            if batch:
                outcome.counted = self._booking.book(session, list(batch.values()))
                append_counted(session, outcome.counted)
            repository.put_device_states(session, outcome.states, self._rows)
        for stream, mark in _last_marks(records).items():
            repository.move_mark(session, stream.edge, stream.epoch, stream.facts_stored, mark, now_ms)
        outcome.figures["records"] += len(records)
        return outcome

    def _apply(
        self, session: Session, record: Record, batch: dict[tuple[str, str, str], DeviceFacts], outcome: _Outcome, parked: list[dict[str, object]]
    ) -> None:
        if not record.events:
            return
        edge, epoch, key = record.stream.edge, record.stream.epoch, (record.stream.edge, record.device)
        link = self.links.get(key)
        if link is None or self.parked[key]:
            if self.parked.total() + outcome.parked.total() >= repository.PARKED_ROWS_MAX:
                outcome.figures["parked_dropped"] += 1
                return
            events = json.dumps(record.events, ensure_ascii=False, separators=(",", ":"))
            parked.append({"edge": edge, "device": record.device, "epoch": epoch, "n": record.n, "events": events})
            outcome.parked[key] += 1
            return
        self._fold(session, key, epoch, record.n, link, record.events, batch, outcome)

    def _fold(
        self,
        session: Session,
        key: DeviceKey,
        epoch: str,
        n: int,
        link: Link,
        events: Sequence[facts.Event],
        batch: dict[tuple[str, str, str], DeviceFacts],
        outcome: _Outcome,
    ) -> None:
        own = outcome.states.get(key)  # already a copy of this transaction's
        state = own or self._states.get(key)
        if state is None:
            state = repository.device_state(session, *key)
            if state is not None:
                self._rows.add(key)
        entry = batch.get((*key, epoch))
        if entry is None:
            entry = batch[(*key, epoch)] = DeviceFacts(key[0], epoch, n, key[1], link)
        strange = entry.facts.strange
        outcome.states[key] = facts.apply(state, epoch, events, entry.facts, session.info["recorded_ms"], in_place=own is not None)
        if entry.facts.strange != strange:
            outcome.figures["strange_values"] += entry.facts.strange - strange
        outcome.figures["facts"] += len(events)

    # --- parked records -----------------------------------------------------------------------------------------------------------
    def load_parked(self, session: Session) -> None:
        self.parked.update(repository.parked_devices(session))

    def unpark(self) -> None:
        """Books, a bounded step a call, what waited for a device that the plant model names by now; newer records wait behind it."""
        for key, waiting in list(self.parked.items()):
            link = self.links.get(key)
            if not waiting or link is None or time.monotonic() < self._unpark_again_s:
                continue
            try:
                outcome, left = self._acts.run_system_sync(partial(self._write_parked, key=key, link=link))
            except (StorageFailed, Overloaded) as error:
                log.error("parked records wait: %s", error)
                return
            except Exception:  # supervision boundary: tried again later, the living records must go on
                log.exception("parked records of %s cannot be booked", key)
                self._unpark_again_s = time.monotonic() + UNPARK_PAUSE_S
                return
            self._absorb(outcome)
            self.parked[key] = left
            return

    def _write_parked(self, session: Session, key: DeviceKey, link: Link) -> tuple[_Outcome, int]:
        session.info["recorded_ms"] = self._clock.now_ms()
        outcome, batch = _Outcome(), dict[tuple[str, str, str], DeviceFacts]()
        rows = repository.take_parked(session, *key, PARKED_EACH)
        for epoch, n, events in ((row.epoch, row.n, row.events) for row in rows):
            self._fold(session, key, epoch, n, link, [(name, at, value) for name, at, value in json.loads(events)], batch, outcome)
        outcome.counted = self._booking.book(session, list(batch.values()))
        append_counted(session, outcome.counted)
        repository.put_device_states(session, outcome.states, self._rows)
        return outcome, repository.parked_devices(session).get(key, 0)

    def take_counted(self) -> list[tuple[DeviceFacts, str, Counted]]:
        """What was counted since the last call, for live screens."""
        taken, self.newly_counted = self.newly_counted, []
        return taken

    def proven_ms(self, edge: str) -> int | None:
        """Up to when this edge's devices are known, as far as booked by this process."""
        return max((state.proven_ms for (name, _), state in list(self._states.items()) if name == edge), default=None)

    # --- odds and ends ----------------------------------------------------------------------------------------------------------
    def _book_lost(self, due: Due) -> None:
        if not due.lost:
            return
        for stream, lost in due.lost:
            log.error(
                "edge %s (buffer %s) no longer has %d records that this server's stores lack: a store was lost or restored from a backup. "
                "Counts follow from running totals; states and samples of that stretch are missing.",
                stream.edge,
                stream.epoch,
                lost,
            )

        def write(session: Session) -> None:
            for stream, _ in due.lost:
                repository.set_mark(session, stream.edge, stream.epoch, stream.facts_stored, self._clock.now_ms())

        self._acts.run_system_sync(write)

    def _book_live(self, words: Sequence[LiveWord]) -> None:
        if not words:
            return
        try:
            self._acts.run_system_sync(lambda session: self._booking.book_live(session, words))
        except (StorageFailed, Overloaded) as error:
            log.warning("the newest machine states are shown late: %s", error)

    def _put_aside(self, rows: Sequence[PutAside]) -> None:
        if not rows:
            return
        now_ms = self._clock.now_ms()
        try:
            self._acts.run_system_sync(lambda session: repository.put_aside(session, [_aside_row(one, now_ms) for one in rows]))
        except (StorageFailed, Overloaded) as error:
            log.error("%d payloads could not be kept in quarantine: %s", len(rows), error)


def _aside_row(one: PutAside, now_ms: int) -> dict[str, object]:
    payload = one.payload[: repository.QUARANTINE_RECORD_MAX if one.mark else repository.QUARANTINE_PAYLOAD_MAX]
    return {"at_ms": now_ms, "topic": one.topic, "reason": one.reason, "mark": one.mark, "payload": payload}


def _last_marks(records: Sequence[Record]) -> Mapping[Stream[Record], int]:
    return {record.stream: record.n for record in records}


def _chunks(records: Sequence[Record], records_max: int, events_max: int) -> list[Sequence[Record]]:
    """Cuts so that a transaction holds at most so many records and about so many events."""
    chunks: list[Sequence[Record]] = []
    start = events = 0
    for index, record in enumerate(records):
        events += len(record.events)
        if index - start + 1 >= records_max or events >= events_max:
            chunks.append(records[start : index + 1])
            start, events = index + 1, 0
    if start < len(records):
        chunks.append(records[start:])
    return chunks
