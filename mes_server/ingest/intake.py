"""Messages to records: topics, births and deaths, decoding, live values, delivery lanes. One thread; knows no database.

What becomes due here is handed to the committer as `Due`. A message that cannot be trusted whole (unknown alias, data before birth) is not taken
at all: it stays unanswered, so the edge sends it again after the rebirth that is asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.contract import names
from edge_agent.contract.delivery import BadMark, Mark, Marks
from edge_agent.contract.payload import BadPayload, decode, get_value
from edge_agent.contract.sparkplug_b_pb2 import Payload
from edge_agent.contract.topics import BadTopic, Topic, parse
from mes_server.ingest import codec
from mes_server.ingest.delivery import Stream
from mes_server.ingest.facts import Event
from mes_server.ingest.fence import Fence
from mes_server.ingest.inbox import CONNECTED, Message
from mes_server.ingest.live_table import LiveTable
from mes_server.ingest.nodes import UNKNOWN, Host, Node, TooMany

TOPICS_CACHED_MAX = 20_000
POISON_MAX = 10_000
PUT_ASIDE_WAITING_MAX = 100  # quarantine rows of one commit; beyond it only the counter moves


class Unreadable(ValueError):
    """A payload that was put aside cannot be read now either; the words say why."""


@dataclass(slots=True, eq=False)
class Record:
    """One record of an edge's buffer, the whole of `message` or the metrics `part` of it. Samples are copied only when it has to wait."""

    stream: Stream[Record]
    n: int
    device: str
    message: Message
    events: list[Event]
    part: tuple[int, int] | None = None  # first metric, how many; of a message with several records
    unit: int = -1  # place in the group it came with
    series: NDArray[np.int32] | None = None
    ts: NDArray[np.int64] | None = None
    value: NDArray[np.float64] | None = None

    def payload(self) -> bytes:
        """As a message of its own."""
        if self.part is None:
            return self.message.payload
        try:
            return codec.part_of(self.message.payload, *self.part, str(Mark(self.stream.epoch, self.n)))
        except BadPayload:
            return self.message.payload


class _Units:
    """What the messages of a run hold: records, or a whole message that is none. `counts`: metrics of each unit."""

    __slots__ = ("counts", "records", "unmarked")

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.records: list[tuple[int, Stream[Record], Marks, int]] = []  # (place of the message in the run, …, its first unit)
        self.unmarked: list[int] = []  # units of peers that are no Gemba edges


@dataclass(slots=True)
class PutAside:
    """A payload for the quarantine."""

    topic: str
    reason: str
    mark: str
    payload: bytes


@dataclass(slots=True)
class Due:
    """What the next commit has to store."""

    facts: list[Record] = field(default_factory=list)
    series: list[NDArray[np.int32]] = field(default_factory=list)
    ts: list[NDArray[np.int64]] = field(default_factory=list)
    value: list[NDArray[np.float64]] = field(default_factory=list)
    answers: dict[int, Stream[Record]] = field(default_factory=dict)  # by id: streams that are to hear how far they are stored
    put_aside: list[PutAside] = field(default_factory=list)
    lost: list[tuple[Stream[Record], int]] = field(default_factory=list)  # streams whose stores are behind what the edge still has
    bytes: int = 0

    def add_samples(self, series: NDArray[np.int32], ts: NDArray[np.int64], value: NDArray[np.float64]) -> None:
        if len(ts):
            self.series.append(series)
            self.ts.append(ts)
            self.value.append(value)


class Intake:
    """`figures` counts what happened, by name, for /metrics and system health."""

    def __init__(
        self,
        host: Host,
        table: LiveTable,
        register_series: Callable[[str, str], int],
        stored: Callable[[str, str], tuple[int, int]],
    ) -> None:
        self.host = host
        self.fence = Fence({}, 0.0)
        self.refusals: list[tuple[Node, str, float]] = []  # (node, instance, seconds): commands to be sent
        self._reported: dict[int, Node] = {}  # by index: sent their health, and hear the time for it
        self.table = table
        self.streams: dict[tuple[str, str], Stream[Record]] = {}
        self.due = Due()
        self.figures: Counter[str] = Counter()
        self.touched: set[tuple[str, str]] = set()  # (edge, device) with news for live screens
        self.edges_touched: set[str] = set()
        self._register_series = register_series
        self._stored = stored
        self._topics: dict[str, Topic | None] = {}
        self.samples_paused = False
        self._poison: set[tuple[str, str, int]] = set()  # (edge, epoch, n) of records that came once and could not be read

    # --- one group of messages --------------------------------------------------------------------------------------------------
    def take(self, messages: list[Message], now_s: float, now_ms: int) -> None:
        """Everything that came, in order. Runs of device data are decoded together; whatever changes aliases ends a run."""
        run: list[tuple[Message, Topic, Node]] = []
        for message in messages:
            self.due.bytes += len(message.payload)
            if message.topic == CONNECTED:
                self._data(run, now_s, now_ms)
                run = []
                self._sessions_are_over(now_s, now_ms)
                continue
            where = self._where(message.topic)
            if where is None:
                self.put_aside(message, "not a Sparkplug topic of this plant")
                continue
            try:
                node = self.host.node(where)
            except TooMany as error:
                self.put_aside(message, str(error))
                continue
            if node.fenced and where.kind not in ("NBIRTH", "NCMD", "DCMD"):
                self.figures["fenced_messages"] += 1
                self.host.ask_rebirth(node, now_s)  # whoever is connected says who it is
                continue
            if where.kind == "DDATA" and not message.kept:
                run.append((message, where, node))
                continue
            self._data(run, now_s, now_ms)
            run = []
            self._control(message, where, node, now_s, now_ms)
        self._data(run, now_s, now_ms)

    def _sessions_are_over(self, now_s: float, now_ms: int) -> None:
        """The connection was lost: edges may have died, been replaced or been born anew unheard, and a kept alias may mean another value by now.
        Nothing is taken from them before they have said themselves again."""
        for stream in self.streams.values():
            stream.forget_held()
        for node in self.host.nodes.values():
            self.host.node_death(node, now_ms)
            self.host.ask_rebirth(node, now_s)
            self.touched.update((node.edge, name) for name in node.devices)

    def take_due(self) -> Due:
        due, self.due = self.due, Due()
        return due

    def take_refusals(self) -> list[tuple[Node, str, float]]:
        refusals, self.refusals = self.refusals, []
        return refusals

    def stream(self, edge: str, epoch: str) -> Stream[Record]:
        found = self.streams.get((edge, epoch))
        if found is None:
            found = self.streams[(edge, epoch)] = Stream.at(edge, epoch, *self._stored(edge, epoch))
        return found

    def put_aside(self, message: Message, reason: str, mark: str = "") -> None:
        self.figures["quarantined"] += 1
        if len(self.due.put_aside) < PUT_ASIDE_WAITING_MAX:
            self.due.put_aside.append(PutAside(message.topic[:300], reason[:400], mark[:40], message.payload))

    def _unreadable(self, message: Message, where: Topic, node: Node, why: str) -> None:
        """Into the quarantine. One with a delivery mark would be sent again for ever and stop the records behind it: when it comes for the second
        time its number is passed by (its counts are carried by the next running total). Several records that come in one message are waited for one
        by one: that is how the edge sends them when it hears the same mark again."""
        text = codec.mark_of(message.payload)
        try:
            mark = Mark.parse(text)
        except BadMark:
            self.put_aside(message, why)
            return
        if not node.online:
            return  # it comes again after the birth
        stream = self.stream(node.edge, mark.epoch)
        self.due.answers[id(stream)] = stream
        key = (node.edge, mark.epoch, mark.n)
        if key not in self._poison:
            if len(self._poison) >= POISON_MAX:
                self._poison.clear()
            self._poison.add(key)
            self.put_aside(message, why, text)
            return
        record: Record = Record(stream, mark.n, where.device or "", message, [])
        self.due.facts += stream.facts.offer([(mark.n, record, message.payload)])
        if not self.samples_paused:
            for one in stream.samples.offer([(mark.n, record, message.payload)]):
                if one.series is not None and one.ts is not None and one.value is not None:
                    self.due.add_samples(one.series, one.ts, one.value)

    def broken(self, message: Message, why: str) -> None:
        """A message that `take` failed over."""
        where = self._where(message.topic)
        if where is None or where.kind != "DDATA":
            self.put_aside(message, why)
        else:
            self._unreadable(message, where, self.host.node(where), why)

    def events_of(self, where: Topic, mark: Mark, payload: bytes) -> list[Event]:
        """Facts of one payload that was put aside, by what its edge's living session says of it. Raises Unreadable."""
        node = self.host.nodes.get((where.group, where.edge))
        if node is None or node.epoch != mark.epoch:
            raise Unreadable(f"edge {where.edge} has not been born with the buffer {mark.epoch} since the server started")
        columns = codec.decode_group([payload])
        if columns.errors:
            raise Unreadable(columns.errors[0])
        size = len(node.lut)
        handles = np.array([node.lut[alias] if 0 <= alias < size else UNKNOWN for alias in columns.alias.tolist()], np.int32)
        if (handles < 0).any():
            raise Unreadable("it holds values that its edge does not name")
        value, numeric = codec.numbers(columns, self.table.signed[handles])
        texts = np.isin(np.arange(len(handles)), list(columns.texts))
        good = ~columns.bad & (columns.kind != codec.NULL) & (columns.ts > 0) & (numeric | texts)
        return self._events(columns, handles, value, good, np.zeros(len(handles), np.int64), 1)[0]

    def _where(self, text: str) -> Topic | None:
        if text not in self._topics:
            if len(self._topics) > TOPICS_CACHED_MAX:
                self._topics.clear()
            try:
                self._topics[text] = parse(text)
            except BadTopic:
                self._topics[text] = None
        return self._topics[text]

    # --- births, deaths, node data ----------------------------------------------------------------------------------------------
    def _control(self, message: Message, where: Topic, node: Node, now_s: float, now_ms: int) -> None:
        if where.kind in ("NCMD", "DCMD"):
            return
        try:
            payload = decode(message.payload)
        except BadPayload as error:
            self.put_aside(message, str(error))
            return
        self.edges_touched.add(node.edge)
        if message.kept and self._is_old_news(where, node, now_s):
            return
        if where.kind in ("NDATA", "DBIRTH"):
            self.fence.heard(node.edge, now_s)
        try:
            if where.kind == "NBIRTH":
                if self._let_in(node, payload, now_s, now_ms):
                    self.host.node_birth(node, payload, now_ms)
                    self._born(node)
                    if message.kept:
                        node.unproven_since_s, node.expected = now_s, None
                    else:
                        node.heard_s = now_s
            elif where.kind == "NDEATH":
                self.figures["deaths" if self.host.node_dies(node, payload, now_ms) else "deaths_of_older_sessions"] += 1
                self.touched.update((node.edge, name) for name in node.devices)
            else:
                if not message.kept:
                    node.sees(payload.seq if payload.HasField("seq") else -1, now_s)
                if where.kind == "NDATA":
                    self.host.node_data(node, payload, now_s)
                    self._reported[node.index] = node
                elif where.kind == "DBIRTH" and where.device is not None:
                    self._device_born(node, where.device, payload, now_s)
                elif where.kind == "DDEATH" and where.device is not None:
                    self.host.device_death(node, where.device, int(payload.timestamp) or now_ms)
                    self.touched.add((node.edge, where.device))
        except TooMany as error:
            self.put_aside(message, str(error))

    def _is_old_news(self, where: Topic, node: Node, now_s: float) -> bool:
        """Births must not be retained; some nodes' are. A kept birth is read, so that a node that is born only once is understood, and the node is
        asked to say itself anew; whoever stays silent is taken for dead. Everything else that was kept is not taken."""
        self.figures["kept_messages"] += 1
        if where.kind not in ("NBIRTH", "DBIRTH") or (node.online and node.unproven_since_s is None):
            return True
        self.host.ask_rebirth(node, now_s)
        return False

    def take_reported(self) -> list[Node]:
        reported, self._reported = self._reported, {}
        return list(reported.values())

    def _let_in(self, node: Node, payload: Payload, now_s: float, now_ms: int) -> bool:
        """Whether this birth is the holder's of the edge id. The broker lets one client of a name in and puts the other out, so what comes until the
        next birth is of this agent."""
        said = {metric.name: get_value(metric, metric.datatype) for metric in payload.metrics if metric.name in (names.INSTANCE, names.TAKE_OVER)}
        instance = said.get(names.INSTANCE)
        node.instance = instance if isinstance(instance, str) else ""
        wait_s = self.fence.judge(node.edge, node.instance, now_s, now_ms, take_over=said.get(names.TAKE_OVER) is True)
        node.fenced = wait_s is not None
        if wait_s is None:
            return True
        self.figures["fenced_births"] += 1
        self.host.node_death(node, now_ms)
        self.touched.update((node.edge, name) for name in node.devices)
        self.refusals.append((node, node.instance, wait_s))
        return False

    def _born(self, node: Node) -> None:
        """Tells the edge how far it is stored, and goes on from what it still has if our stores lost something."""
        self.figures["births"] += 1
        last, waiting = node.health.get(names.BUFFER_LAST), node.health.get(names.BUFFER_WAITING)
        if not _is_epoch(node.epoch):
            return
        stream = self.stream(node.edge, node.epoch)
        stream.forget_held()
        self.due.answers[id(stream)] = stream
        if isinstance(last, int):
            stream.newest = max(stream.newest, last)
        if isinstance(last, int) and isinstance(waiting, int) and 0 <= waiting <= last:
            lost = stream.lost_before(last - waiting + 1)
            if lost:
                self.figures["records_lost"] += lost
                self.due.lost.append((stream, lost))

    def _device_born(self, node: Node, name: str, payload: Any, now_s: float) -> None:
        for handle, _, stamp, value in self.host.device_birth(node, name, payload, now_s):
            if self.table.series[handle] < 0 and self.table.is_sample(handle):
                self.table.series[handle] = self._register_series(name, self.table.metrics[handle].name)
            if isinstance(value, str):
                self.table.put_text(handle, stamp, value)
            elif isinstance(value, int | float):
                self.table.put_number(handle, stamp, float(value))
        self.touched.add((node.edge, name))

    # --- device data ------------------------------------------------------------------------------------------------------------
    def _data(self, run: list[tuple[Message, Topic, Node]], now_s: float, now_ms: int) -> None:
        if not run:
            return
        columns = codec.decode_group([message.payload for message, _, _ in run])
        self.figures["messages"] += len(run)
        self.figures["values"] += len(columns.ts)
        self.figures["messages_by_upb"] += columns.by_upb
        handles, usable = self._resolve(run, columns, now_s)
        for edge in {node.edge for _, _, node in run}:
            self.fence.heard(edge, now_s)
        owner = np.repeat(np.arange(len(run)), columns.counts)
        good = (handles >= 0) & ~columns.bad & (columns.kind != codec.NULL) & usable[owner] & (columns.ts > 0)
        safe = np.where(handles >= 0, handles, 0)
        value, numeric = codec.numbers(columns, self.table.signed[safe])
        numeric &= good
        self._show(columns, safe, value, numeric, good)
        sample = numeric & (self.table.series[safe] >= 0)
        units = self._units(run, columns, usable)
        owner = np.repeat(np.arange(len(units.counts)), units.counts)
        events = self._events(columns, safe, value, good, owner, len(units.counts))
        now_due = self._deliver(run, columns, units, events, safe, value, sample)
        chosen = sample & now_due[owner]
        self.due.add_samples(self.table.series[safe[chosen]], columns.ts[chosen], value[chosen])

    def _units(self, run: list[tuple[Message, Topic, Node]], columns: codec.Columns, usable: NDArray[np.bool_]) -> _Units:
        """Takes messages apart into records, by their marks."""
        units = _Units()
        for index, ((message, where, node), count, text) in enumerate(zip(run, columns.counts.tolist(), columns.mark, strict=True)):
            if usable[index]:
                self.touched.add((node.edge, where.device or ""))
                if text:
                    try:
                        marks = Marks.parse(text, count)
                    except BadMark as error:
                        self.put_aside(message, str(error), text)
                    else:
                        stream = self.stream(node.edge, marks.epoch)
                        stream.newest = max(stream.newest, marks.numbers[-1])
                        units.records.append((index, stream, marks, len(units.counts)))
                        units.counts += marks.counts
                        continue
                else:  # a Sparkplug node that is no Gemba edge: shown and sampled, not booked, for it cannot be counted once
                    self.figures["unmarked"] += 1
                    units.unmarked.append(len(units.counts))
            units.counts.append(count)
        return units

    def _resolve(self, run: list[tuple[Message, Topic, Node]], columns: codec.Columns, now_s: float) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """(handle of each metric, may each message be used). Not usable: unreadable, before its birth, or with a metric nobody announced."""
        count = len(run)
        usable = np.ones(count, bool)
        for index, why in columns.errors.items():
            usable[index] = False
            self._unreadable(*run[index], why)
        for index, ((_, where, node), seq) in enumerate(zip(run, columns.seq, strict=True)):
            node.sees(seq, now_s)
            device = node.devices.get(where.device or "")
            if device is None or not device.online or not node.online:
                if usable[index]:
                    self.figures["before_birth"] += 1
                    self.host.ask_rebirth(node, now_s)
                usable[index] = False
        table, bases, sizes = self.host.lookup()
        node_of = np.array([node.index for _, _, node in run], np.int64)
        base, size = np.repeat(bases[node_of], columns.counts), np.repeat(sizes[node_of], columns.counts)
        known = (columns.alias >= 0) & (columns.alias < size)
        handles = np.where(known, table[base + np.where(known, columns.alias, 0)], UNKNOWN).astype(np.int32)
        owner = np.repeat(np.arange(count), columns.counts)
        for index, name in columns.names.items():  # dirty peers send names; an alias, where there is one too, wins
            if handles[index] == UNKNOWN and columns.alias[index] < 0:
                _, where, node = run[int(owner[index])]
                handles[index] = node.by_name.get((where.device or "", name), UNKNOWN)
        for message in np.unique(owner[handles == UNKNOWN]).tolist():
            if usable[message]:
                usable[message] = False
                self.figures["unknown_alias"] += 1
                self.host.ask_rebirth(run[message][2], now_s)
        return handles, usable

    def _show(
        self, columns: codec.Columns, handles: NDArray[np.int32], value: NDArray[np.float64], numeric: NDArray[np.bool_], good: NDArray[np.bool_]
    ) -> None:
        """The live table, whatever the marks say."""
        self.table.put_numbers(handles[numeric], columns.ts[numeric], value[numeric], columns.historical[numeric])
        for index, text in columns.texts.items():
            if good[index]:
                self.table.put_text(int(handles[index]), int(columns.ts[index]), text)

    def _events(
        self,
        columns: codec.Columns,
        handles: NDArray[np.int32],
        value: NDArray[np.float64],
        good: NDArray[np.bool_],
        owner: NDArray[np.int64],
        count: int,
    ) -> list[list[Event]]:
        """Facts of each message: (metric name, ms, value)."""
        events: list[list[Event]] = [[] for _ in range(count)]
        chosen = np.flatnonzero(good & self.table.is_fact[handles])
        metrics, texts = self.table.metrics, columns.texts
        rows = zip(
            chosen.tolist(), owner[chosen].tolist(), handles[chosen].tolist(), columns.ts[chosen].tolist(), value[chosen].tolist(), strict=True
        )
        for index, message, handle, stamp, number in rows:
            events[message].append((metrics[handle].name, stamp, texts.get(index, number)))
        return events

    def _deliver(
        self,
        run: list[tuple[Message, Topic, Node]],
        columns: codec.Columns,
        units: _Units,
        events: list[list[Event]],
        handles: NDArray[np.int32],
        value: NDArray[np.float64],
        sample: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Asks the lanes which records are due, and puts their facts down for the commit. Returns of which units samples are due."""
        due = self.due
        now_due = np.zeros(len(units.counts), bool)
        if not self.samples_paused:
            now_due[units.unmarked] = True
        offered: dict[int, list[tuple[int, Record, bytes]]] = {}
        for index, stream, marks, unit in units.records:
            due.answers[id(stream)] = stream
            into = offered.setdefault(id(stream), [])
            message, where, _ = run[index]
            device, payload, several, first = where.device or "", message.payload, len(marks.numbers) > 1, 0
            for n, count in zip(marks.numbers, marks.counts, strict=True):
                part = (first, count) if several else None
                into.append((n, Record(stream, n, device, message, events[unit], part, unit), payload))
                first += count
                unit += 1
        ends = np.cumsum(units.counts)
        for number, some in offered.items():
            stream = due.answers[number]
            some.sort(key=itemgetter(0))
            before = stream.facts.repeats
            due.facts += stream.facts.offer(some)
            self.figures["repeats"] += stream.facts.repeats - before
            if self.samples_paused:
                continue
            for one in stream.samples.offer(some):
                if one.series is None:
                    now_due[one.unit] = True
                elif one.ts is not None and one.value is not None:
                    due.add_samples(one.series, one.ts, one.value)
            for record, _ in stream.samples.held.values():
                if record.series is None:
                    end = int(ends[record.unit])
                    _keep(record, slice(end - units.counts[record.unit], end), columns, handles, value, sample, self.table)
        return now_due


def _keep(
    record: Record,
    rows: slice,
    columns: codec.Columns,
    handles: NDArray[np.int32],
    value: NDArray[np.float64],
    sample: NDArray[np.bool_],
    table: LiveTable,
) -> None:
    """Copies the samples of a record that has to wait."""
    chosen = sample[rows]
    record.series = table.series[handles[rows][chosen]]
    record.ts, record.value = columns.ts[rows][chosen], value[rows][chosen]


def _is_epoch(text: str) -> bool:
    try:
        Mark.parse(f"{text}:1")
    except BadMark:
        return False
    return True
