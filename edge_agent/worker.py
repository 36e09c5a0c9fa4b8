"""The one thread that stores and sends: drain -> pipeline -> one transaction -> acknowledge to the sources -> publish.

Nothing reaches the wire before it is on disk, and no source is told "received" before that either. A disk that is full is waited for (the
transaction was rolled back whole); a disk that fails is not trusted again: the thread ends with the error and the process must go down.
"""

from __future__ import annotations

import queue
import sqlite3
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_agent.buffer import disk
from edge_agent.buffer.store import Buffer, Stored
from edge_agent.clock_guard import ClockGuard, Trust
from edge_agent.config import AgentConfig
from edge_agent.contract import names
from edge_agent.contract.clock import Clock
from edge_agent.contract.delivery import RECORDS_MAX, Mark
from edge_agent.contract.names import GapCause
from edge_agent.contract.payload import Value
from edge_agent.events import RECEIVED, Batch, ClockSet, Continued, Lost, Reconfigured, Resumed, SourceEvent
from edge_agent.health import NODE_METRICS, SOURCE_METRICS, BufferPace, Rates, SourceHealth, source_values
from edge_agent.pipeline.catalogue import Metric
from edge_agent.pipeline.columns import Columns, joined
from edge_agent.pipeline.pipeline import Pipeline, Record
from edge_agent.pipeline.tags import TagPlan
from edge_agent.publisher.bundles import bundles
from edge_agent.publisher.delivery import Delivery
from edge_agent.publisher.link import Link, LinkEvent
from edge_agent.publisher.node import EdgeNode
from edge_agent.storage import StorageWatch

INTAKE_VALUES_MAX = 400_000  # values handed in and not yet stored; beyond it sources wait
BEAT_MIN_S = 1.0
DISK_FULL_RETRY_S = 1.0
READ_RECORDS, READ_BYTES = 2_048, 1_000_000  # of the backlog at once: what the server holds of records ahead of their turn is more
IDLE_S = 0.05
LOOK_S = 0.1  # the longest that what comes in is not looked at
_STOP = object()


@dataclass(slots=True)
class _Unstored:
    """A batch whose acknowledgement, and its source's memory, wait for its values to be durable."""

    devices: Sequence[int]
    until_ms: int
    stored: Callable[[], object] | None
    memory: bytes | None


class Intake:
    """Where sources put events. `full` is the back-pressure: a source that sees it waits before it reads on."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._inside = 0
        self.closed = False  # the buffer holds nothing but facts and is at its bound: reading stops

    def put(self, event: SourceEvent | LinkEvent | object) -> None:
        if isinstance(event, Batch):
            with self._lock:
                self._inside += len(event.columns)
        self._queue.put(event)

    def left(self, values: int) -> None:
        with self._lock:
            self._inside -= values

    @property
    def full(self) -> bool:
        return self.closed or self._inside > INTAKE_VALUES_MAX

    def get(self, timeout_s: float) -> object | None:
        try:
            return self._queue.get(timeout=max(timeout_s, 0.0)) if timeout_s > 0 else self._queue.get_nowait()
        except queue.Empty:
            return None


class Worker(threading.Thread):
    """Owns pipeline, buffer and node. `failed` holds the error that ended it."""

    def __init__(
        self, config: AgentConfig, plan: TagPlan, buffer: Buffer, clock: Clock, healths: dict[str, SourceHealth], instance: str = ""
    ) -> None:
        super().__init__(name="edge-worker", daemon=True)
        self.config, self.plan, self.buffer, self.clock, self.healths = config, plan, buffer, clock, healths
        self.intake = Intake()
        self.failed: BaseException | None = None
        self.disk_full = False
        self.buffer_bytes = 0
        self.pace, self.rates = BufferPace(), Rates()
        self._began_s = time.monotonic()
        self.storage = StorageWatch(buffer)
        self._trust = Trust.OK  # in the clock, as the devices were told
        self._closed: list[int] = []  # devices that are not read because the buffer is full
        self.counts = {"records": 0, "values": 0, "commits": 0}
        delivery = config.delivery
        self.pipeline = Pipeline(plan, buffer.catalogue, buffer.memories(), values_max=delivery.record_values_max, problem=self._problem)
        self.delivery = Delivery(
            buffer.answered_n,
            buffer.last_n,
            window_records=delivery.window_records,
            window_bytes=delivery.window_kb * 1024,
            retry_s=delivery.retry_s,
        )
        self._source_of = {spec.id: spec.source for spec in plan.devices}
        self._node_metrics = [buffer.catalogue.metric("", name, datatype) for name, datatype in NODE_METRICS]
        self._source_metrics = self._metrics_of_sources()
        self.node = EdgeNode(
            config,
            Link(f"gemba-{config.group}-{config.edge}", self.intake.put),
            clock,
            buffer.catalogue,
            next_bdseq=buffer.next_bdseq,
            health=self._health_values,
            is_stale=self._is_stale,
            devices=[spec.id for spec in plan.devices],
            instance=instance,
        )
        self._gathered: list[Columns] = []  # taken and not yet in the pipeline
        self._unstored: dict[str, deque[_Unstored]] = {}  # by source, oldest first
        self._received: dict[str, bytes] = {}  # memory of the newest batch taken, where it is newer than the buffer's
        self._uncommitted: list[Record] = []
        self._advanced: set[int] = set()
        self._answered_n = buffer.answered_n
        self._late_since_s: dict[int, float] = {}  # device -> when the oldest of its late values came
        self._beat_plant_ms: dict[int, int] = {}
        self._beat_real_s: dict[int, float] = {}
        self._proved_s = 0.0
        self._committed_s = 0.0
        self._health_s = 0.0
        self._full_checked_s = 0.0
        self._everything_lost()

    # --- start and stop ------------------------------------------------------------------------------------------------------
    def _everything_lost(self) -> None:
        """What happened while no agent ran is unknown; what was known before is the first thing a birth says."""
        detail = "the edge agent was not running"
        self.pipeline.lost(range(len(self.plan.devices)), GapCause.EDGE_DOWN, detail)
        for device in self.pipeline.devices:
            self.node.values.put(device.known())

    def stop(self) -> None:
        """Stores what is behind the watermarks, says good-bye and ends."""
        self.intake.put(_STOP)

    def run(self) -> None:
        try:
            while self._cycle():
                pass
            self.node.stop()
        finally:
            self.failed = sys.exc_info()[1]  # whatever ends the worker ends the process: the agent says so in words
            if self.failed is not None and disk.is_damage(self.failed):
                self.buffer.suspect()
            self.buffer.close()

    # --- one round -----------------------------------------------------------------------------------------------------------
    def _cycle(self) -> bool:
        go_on = self._collect()
        now_s = time.monotonic()
        self._note_answers(now_s)
        self._mind_clock()
        if not self.disk_full:
            self._beat(now_s)
            self._tell_late(now_s, all_of_it=not go_on)
            self._uncommitted += self.pipeline.drain()
        stored = self._commit(now_s)
        self._bound(now_s)
        self._send(stored, time.monotonic())
        return go_on

    def _collect(self) -> bool:
        """Takes what came in during one commit interval. False after stop()."""
        delivery = self.config.delivery
        deadline = max(self._committed_s + delivery.commit_interval_s, time.monotonic())
        more_to_send = self.node.can_send() and not self.delivery.is_live and self.delivery.has_room()
        event = self.intake.get(0.0 if more_to_send else min(IDLE_S, delivery.prove_interval_s))
        got_batch = False
        while True:
            while event is not None:
                if event is _STOP:
                    self._push_gathered()
                    return False
                got_batch = got_batch or isinstance(event, Batch)
                self._take(event)
                event = self.intake.get(0.0)
            wait_s = deadline - time.monotonic()
            if not got_batch or wait_s <= 0.0:
                break
            time.sleep(min(wait_s, LOOK_S))  # a change of threads at each notification costs more than its values
            event = self.intake.get(0.0)
        self._push_gathered()
        return True

    def _take(self, event: object) -> None:
        if isinstance(event, Batch):
            self._take_values(event)
            if event.until_ms is not None:
                self.pipeline.advance(event.devices, event.until_ms)
                self._advanced.update(event.devices)
            return
        if isinstance(event, LinkEvent):
            self.node.on_event(event, time.monotonic())
            return
        self._push_gathered()
        if isinstance(event, Lost):
            self.pipeline.tell_late(event.devices)
            self._uncommitted += self.pipeline.drain()  # what came before the loss is no part of its gap
            self.pipeline.lost(event.devices, event.cause, event.detail)
        elif isinstance(event, Continued):
            self.pipeline.go_on(event.devices, event.at_ms, event.detail)
        elif isinstance(event, Resumed):
            self.pipeline.resume(event.devices, event.at_ms, restarted=event.restarted)
        elif isinstance(event, Reconfigured):
            self._reconfigure(event)
        elif isinstance(event, ClockSet):
            self._clock_set(event)

    def _reconfigure(self, event: Reconfigured) -> None:
        """Between two rounds: nothing is half old and half new."""
        self._uncommitted += self.pipeline.evolve(event.step)
        self.config, self.plan, self.healths = event.config, event.step.plan, dict(event.healths)
        self._source_of = {spec.id: spec.source for spec in self.plan.devices}
        self._source_metrics = self._metrics_of_sources()
        self.node.change_devices([spec.id for spec in self.plan.devices if not spec.retired])
        if event.born_anew:
            self.node.be_reborn()
        event.done()

    def _clock_set(self, event: ClockSet) -> None:
        """Sources have ended and begin anew after this; a step forward becomes their gap, after a step back time is told a second time."""
        self._uncommitted += self.pipeline.drain()
        if event.to_ms < event.from_ms:
            self.pipeline.set_back(event.to_ms)
            self._beat_plant_ms.clear()

    def _mind_clock(self) -> None:
        """Hands the host's time to the guard, and tells the devices when the clock is in doubt and when no longer."""
        told, self.node.host_times = self.node.host_times, []
        if not isinstance(self.clock, ClockGuard):
            return
        for host_ms, came_s in told:
            waited_s = time.monotonic() - came_s
            self.clock.witness(host_ms + round(waited_s * 1000.0 * self.clock.speed))
        trust = self.clock.trust
        if (trust is Trust.SUSPECT) != (self._trust is Trust.SUSPECT):
            self.pipeline.clock_suspect(trust is Trust.SUSPECT)
        self._trust = trust

    def _metrics_of_sources(self) -> dict[str, list[Metric]]:
        catalogue = self.buffer.catalogue
        return {
            name: [catalogue.metric("", f"{names.SOURCE_PREFIX}{name}/{leaf}", datatype) for leaf, datatype in SOURCE_METRICS]
            for name in self.healths
        }

    def _take_values(self, batch: Batch) -> None:
        if batch.initial is None and not batch.overflow and not batch.repeated:
            self._gathered.append(batch.columns)
        else:
            self._push_gathered()
            self.pipeline.push(batch.columns, initial=batch.initial, initial_ms=batch.initial_ms, overflow=batch.overflow, repeated=batch.repeated)
        self.intake.left(len(batch.columns))
        if batch.stored is None and batch.memory is None:
            return
        source = self.plan.devices[batch.devices[0]].source
        self._unstored.setdefault(source, deque()).append(_Unstored(batch.devices, batch.arrived_ms, batch.stored, batch.memory))
        if batch.memory is not None:
            self._received[source] = batch.memory

    def _push_gathered(self) -> None:
        """Batches with nothing to say but values go into the pipeline together: most of its cost is by call."""
        gathered, self._gathered = self._gathered, []
        if gathered:
            self.pipeline.push(joined(gathered))

    def _beat(self, now_s: float) -> None:
        """watched_until is due every heartbeat_s plant seconds, but never more often than once a real second."""
        plant_ms = self.clock.now_ms()
        every_ms = self.config.delivery.heartbeat_s * 1000.0
        due = [
            index
            for index in self._advanced
            if plant_ms - self._beat_plant_ms.get(index, 0) >= every_ms and now_s - self._beat_real_s.get(index, -BEAT_MIN_S) >= BEAT_MIN_S
        ]
        for index in due:
            self._beat_plant_ms[index], self._beat_real_s[index] = plant_ms, now_s
        self.pipeline.beat(due)

    def _tell_late(self, now_s: float, *, all_of_it: bool) -> None:
        """A value behind its device's proven moment is told after the settle time at the latest, or when the agent ends.

        A source that is proven by its last message (MQTT, a meter's own time) may never say anything that moves the watermark past it.
        """
        waiting = self.pipeline.late_ms
        self._late_since_s = {index: self._late_since_s.get(index, now_s) for index in waiting}
        for index, since_s in self._late_since_s.items():
            source = self.config.sources.get(self.plan.devices[index].source)
            if all_of_it or source is None or now_s - since_s >= source.settle_s:
                self.pipeline.tell_late((index,))

    def _commit(self, now_s: float) -> list[Stored]:
        """One transaction if there is something worth a disk flush."""
        proving = bool(self._advanced) and now_s - self._proved_s >= self.config.delivery.prove_interval_s
        if not self._uncommitted and not proving and self._answered_n - self.buffer.answered_n < 1:
            return []
        if self.disk_full and now_s - self._committed_s < DISK_FULL_RETRY_S:
            return []
        self._committed_s = now_s
        devices = self.pipeline.devices
        memories = [(device.spec.id, device.memory) for device in devices if device.changed]
        proven = [(devices[index].spec.id, devices[index].memory.proven_ms) for index in self._advanced]
        records = [(devices[record.device].spec.id, record.columns) for record in self._uncommitted]
        due = self._durable_with_this()
        source_memories = {source: one.memory for source, some in due.items() for one in some if one.memory is not None}
        source_memories |= {source + RECEIVED: memory for source, memory in self._received.items()}
        try:
            stored = self.buffer.commit(records, memories, proven, self._answered_n, source_memories.items())
        except sqlite3.OperationalError as error:
            if not disk.is_full(error):
                raise
            self.disk_full = True
            return []
        self.disk_full = False
        self._uncommitted = []
        self._received.clear()
        self._advanced.clear()
        self._proved_s = now_s
        for device in devices:
            device.changed = False
        self.counts["commits"] += 1
        self.counts["records"] += len(stored)
        for record in stored:
            self.counts["values"] += len(record.columns)
            self.node.values.put(record.columns)
        for source, some in due.items():
            for one in some:
                self._unstored[source].popleft()
                if one.stored is not None:
                    one.stored()
        return stored

    def _durable_with_this(self) -> dict[str, list[_Unstored]]:
        """By source its oldest batches whose values are all in the coming transaction or before it: those up to their devices' proven moment.

        What came late stands behind that moment and is told by itself. A source that hears of nothing stored until the moment has moved on may
        ask its counterpart for nothing more, and the moment never moves.
        """
        devices, late_ms = self.pipeline.devices, self.pipeline.late_ms
        due: dict[str, list[_Unstored]] = {}
        for source, waiting in self._unstored.items():
            some = due[source] = []
            for one in waiting:
                if any(devices[index].memory.proven_ms < one.until_ms or index in late_ms for index in one.devices):
                    break
                some.append(one)
        return due

    def _bound(self, now_s: float) -> None:
        if now_s - self._full_checked_s > 1.0:
            self._full_checked_s = now_s
            room = self.buffer.tend()
            self.buffer_bytes = self.buffer.size_bytes()
            self.storage.look(self.healths.values(), facts_only=not room, stuck=self.disk_full)
            self.rates.look(self.healths.values(), now_s)
            left = min(self.buffer.max_bytes - self.buffer_bytes, self.storage.now.free)
            self.pace.look(self.buffer.body_bytes, self.counts["records"], left, now_s)
            if isinstance(self.clock, ClockGuard):
                words = self.clock.words()
                for health in self.healths.values():
                    health.say("clock", words)
            if room is self.intake.closed:
                self._open() if room else self._close()

    def _close(self) -> None:
        """Only facts are left and the bound is reached: reading stops, and nothing is known from here on."""
        self.intake.closed = True
        self._closed = [index for index, device in enumerate(self.pipeline.devices) if device.gap is None]
        self.pipeline.lost(self._closed, GapCause.BUFFER_FULL, "the buffer was full")

    def _open(self) -> None:
        """There is room again: what is read from now on is known. A source that was lost meanwhile says itself when it is back."""
        self.intake.closed = False
        connected = {name for name, health in self.healths.items() if health.status == "connected"}
        self.pipeline.resume([index for index in self._closed if self.plan.devices[index].source in connected], self.clock.now_ms())
        self._closed = []

    # --- sending -------------------------------------------------------------------------------------------------------------
    def _note_answers(self, now_s: float) -> None:
        answers, self.node.answers = self.node.answers, []
        for epoch, n in answers:
            if epoch != self.buffer.epoch:
                continue
            self.node.accepted()
            if n > self.buffer.last_n:
                self._set_back(n, now_s)
            elif self.delivery.answer(n, now_s):
                self._answered_n = self.delivery.answered_n

    def _set_back(self, n: int, now_s: float) -> None:
        """The server holds records that this file does not know: it is an older copy, and its next numbers would be taken for repeats."""
        for health in self.healths.values():
            health.note(
                "buffer",
                f"the server holds record {n}, this buffer only {self.buffer.last_n}: it was set back to an older copy. A new epoch was begun.",
                f"服务器已有记录 {n},而本缓冲只到 {self.buffer.last_n}:缓冲被恢复为旧副本,已开始新纪元。",
            )
        self.buffer.begin_epoch()
        self._answered_n = 0
        self.delivery.begin(self.buffer.last_n, now_s)
        self.node.be_reborn()

    def _send(self, stored: list[Stored], now_s: float) -> None:
        node, delivery = self.node, self.delivery
        was_live = delivery.is_live
        delivery.last_n = self.buffer.last_n
        if node.tick(now_s):
            delivery.session(now_s)
            was_live = False
            self._health_s = now_s
        if not node.can_send():
            return
        with node.batched():
            self._speak(stored, was_live, now_s)

    def _speak(self, stored: list[Stored], was_live: bool, now_s: float) -> None:
        """What is new, the backlog, deaths, health: in one go."""
        node, delivery = self.node, self.delivery
        delivery.check_stall(now_s)
        was_live = was_live and delivery.cursor + len(stored) == delivery.last_n
        for record in stored:
            mark = str(Mark(self.buffer.epoch, record.n))
            if was_live and delivery.has_room():
                delivery.sent(record.n, node.send_record(record.device, record.columns, mark), now_s)
            else:
                was_live = False
                if delivery.may_send_beside(len(record.columns) * 24 + 64):
                    node.send_record(record.device, record.columns, mark)
        if not was_live:
            self._send_backlog(now_s)
        self._device_deaths()
        if now_s - self._health_s >= self.config.delivery.health_s:
            self._health_s = now_s
            node.send_health(now_s)

    def _send_backlog(self, now_s: float) -> None:
        """A window of unanswered records as historical, each device's in few messages."""
        delivery = self.delivery
        if delivery.is_live or not delivery.has_room():
            return
        one_by_one = delivery.one_by_one
        window = self.buffer.read_window(delivery.cursor, min(READ_RECORDS, delivery.room), READ_BYTES)
        size = 0
        for bundle in bundles(window, self.buffer.epoch, records_max=1 if one_by_one else RECORDS_MAX):
            size += self.node.send_metrics(bundle.device, bundle.metrics, str(bundle.marks))
        if window.numbers:
            delivery.sent(window.numbers[-1], size, now_s)

    def _device_deaths(self) -> None:
        if not self.delivery.is_live:
            return
        for health in self.healths.values():
            if health.status in ("lost", "misconfigured"):
                for device in health.devices:
                    self.node.device_death(device)

    # --- health --------------------------------------------------------------------------------------------------------------
    def _is_stale(self, device: str) -> bool:
        health = self.healths.get(self._source_of.get(device, ""))
        return health is None or health.status != "connected"

    def _problem(self, device: str, en: str, zh: str) -> None:
        self.healths[self._source_of[device]].note(device, en, zh)

    def _lag_s(self, source: str) -> float:
        """Real seconds since the last moment proven of the slowest device of a source."""
        proven = [device.memory.proven_ms for device in self.pipeline.devices if device.spec.source == source and device.memory.proven_ms]
        return round((self.clock.now_ms() - min(proven)) / 1000.0 / self.clock.speed, 1) if proven else -1.0

    def _health_values(self) -> list[tuple[Metric, Value]]:
        buffer, now_s = self.buffer, time.monotonic()
        size = buffer.size_bytes()
        level, disk_fill = self.storage.level.value, round(self.storage.now.disk_fill, 4)
        storage = (size, round(size / buffer.max_bytes, 4), level, disk_fill, self.pace.hours_left)
        guard = self.clock if isinstance(self.clock, ClockGuard) else None
        clock = (Trust.OK.value, 0) if guard is None else (guard.trust.value, guard.wrong_by_ms)
        node: tuple[Value, ...] = (buffer.epoch, buffer.last_n, buffer.waiting, *storage, *clock, int(now_s - self._began_s))
        out: list[tuple[Metric, Value]] = list(zip(self._node_metrics, node, strict=True))
        for name, health in self.healths.items():
            out += zip(self._source_metrics[name], source_values(health, self.rates.of(name), self._lag_s(name)), strict=True)
        return out
