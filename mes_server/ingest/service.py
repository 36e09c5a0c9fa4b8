"""Ingest as the rest of the server sees it: started and stopped by the composition root, asked for health, progress and live values.

One thread takes what came from the broker, shows it, and commits every `commit_s` of real time or every `commit_bytes` of messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from edge_agent.contract import names
from edge_agent.contract.clock import iso
from edge_agent.contract.payload import DataType, set_value
from edge_agent.contract.sparkplug_b_pb2 import Payload
from edge_agent.contract.topics import topic
from mes_server.ingest import repository
from mes_server.ingest.booking import Booking
from mes_server.ingest.broker_settings import BrokerLink
from mes_server.ingest.committer import Committer
from mes_server.ingest.delivery import Stream
from mes_server.ingest.embedded_broker import EmbeddedBroker
from mes_server.ingest.fence import LAPSE_S, TWIN_LAPSE_S, Fence
from mes_server.ingest.inbox import Inbox, Message
from mes_server.ingest.intake import Intake, Record
from mes_server.ingest.live_table import LiveTable
from mes_server.ingest.mqtt import MqttLink
from mes_server.ingest.nodes import Host, Node
from mes_server.ingest.tiles import Tiles
from mes_server.kit.errors import Overloaded, StorageFailed
from mes_server.kit.http import Kit
from mes_server.telemetry.store import TelemetryStore

log = logging.getLogger(__name__)

FORGET_EVERY_S = 3_600.0
SILENT_S = 30.0  # real seconds: what an edge said of itself counts no longer after that, for a living one says something all the time
STALE_REAL_S = 5.0  # edges prove silence at most once a real second, so a fast plant clock must not call that stale


@dataclass(frozen=True, slots=True)
class IngestBounds:
    """Real seconds and bytes; defaults are the measured ones (docs/decisions)."""

    commit_s: float = 0.5
    commit_bytes: int = 4_000_000
    show_s: float = 0.1  # how often what came is decoded and shown
    inbox_bytes: int = 64_000_000
    commit_records: int = 4_000  # due records that are not kept waiting: an edge with a backlog goes on when it is answered
    records_max: int = 2_000  # records of one transaction of the book of record: people's acts wait behind it
    reorder_s: float = 5.0  # Sparkplug reorder time-out
    jitter_s: float = 0.5  # rebirth requests are spread over this
    links_s: float = 2.0  # how often the plant model is asked for devices
    stale_s: float = 15.0  # plant seconds without a proven value
    tile_s: float = 0.5
    fence_s: float = LAPSE_S  # real seconds: a silent box may be replaced after this
    fence_twin_s: float = TWIN_LAPSE_S  # the same for a box that was heard beside the other one
    keep_days: int = 0  # raw samples older than this are forgotten, plant days; 0: never


class IngestService:
    """The parts of one running ingest. `broker` None: an external one at `link`; both None: no broker (tests feed `inbox`)."""

    def __init__(
        self,
        kit: Kit,
        telemetry: TelemetryStore,
        booking: Booking,
        *,
        host_id: str = "gemba",
        broker: EmbeddedBroker | None = None,
        link: BrokerLink | None = None,
        bounds: IngestBounds | None = None,
    ) -> None:
        self.kit = kit
        self.telemetry = telemetry
        self.booking = booking
        self.bounds = bounds or IngestBounds()
        self.broker = broker
        self.mqtt: MqttLink | None = None
        self._link = link
        self._host_id = host_id
        self.table = LiveTable()
        self.host = Host(self.table, reorder_s=self.bounds.reorder_s, jitter_s=self.bounds.jitter_s)
        self.inbox = Inbox(self.bounds.inbox_bytes)
        self.figures: Counter[str] = Counter()
        self._facts_marks: dict[tuple[str, str], int] = {}
        self._samples_marks: dict[tuple[str, str], int] = {}
        self.intake = Intake(self.host, self.table, telemetry.register, self._stored)
        self.intake.figures = self.figures
        self.committer = Committer(kit.acts, kit.clock, telemetry, booking, self.answer, self.figures, records_max=self.bounds.records_max)
        stale_s = max(self.bounds.stale_s, STALE_REAL_S * kit.clock.speed)
        self.tiles = Tiles(kit.live, self.table, self.host, every_s=self.bounds.tile_s, stale_ms=int(stale_s * 1000))
        self.fault = ""  # why the last turn of the loop failed
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._links_again_s = 0.0
        self._commit_again_s = 0.0
        self._forget_again_s = 0.0

    # --- life ---------------------------------------------------------------------------------------------------------------------
    async def start(self) -> None:
        await asyncio.to_thread(self._start)

    async def stop(self) -> None:
        await asyncio.to_thread(self._stop)

    def _start(self) -> None:
        self.load()
        link = self._link
        if self.broker is not None:
            self.broker.allow_edges(self.edges())
            found = self.broker.start()
            here = "127.0.0.1" if found.host in ("0.0.0.0", "::") else found.host  # noqa: S104 - it listens everywhere, we are here
            tls = link or BrokerLink(here, found.port)
            link = BrokerLink(here, found.port, found.user, found.password, tls_ca=tls.tls_ca, tls_cert=tls.tls_cert, tls_key=tls.tls_key)
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)
        self._thread.start()
        if link is not None:
            self.mqtt = MqttLink(link, self._host_id, self.kit.clock, self.inbox.put)
            self.mqtt.start()

    def _stop(self) -> None:
        """Edges are told first (STATE offline), then what has come is committed and answered to nobody; they send the rest again."""
        with contextlib.ExitStack() as after:  # from the last to the first, whatever fails in one: a broker left behind would hold the port
            after.callback(self.telemetry.close)
            if self.broker is not None:
                after.callback(self.broker.stop)
            after.callback(self._end_thread)
            if self.mqtt is not None:
                self.mqtt.stop()

    def _end_thread(self) -> None:
        self._stopping.set()
        self.inbox.close()
        if self._thread is not None:
            self._thread.join(timeout=30)

    def load(self) -> None:
        """Opens telemetry; marks of both stores, parked records, devices of the plant: before the first message."""
        with self.kit.db.read() as session:
            self._facts_marks = repository.marks(session)
            self.intake.fence = Fence(
                repository.holders(session), time.monotonic(), lapse_s=self.bounds.fence_s, twin_lapse_s=self.bounds.fence_twin_s
            )
            self.committer.load_parked(session)
            self.committer.links = self.booking.links(session)
        self.telemetry.open()
        self._samples_marks = self.telemetry.marks()

    def edges(self) -> set[str]:
        return {edge for edge, _ in self.committer.links}

    def _stored(self, edge: str, epoch: str) -> tuple[int, int]:
        return self._facts_marks.get((edge, epoch), 0), self._samples_marks.get((edge, epoch), 0)

    # --- the loop -----------------------------------------------------------------------------------------------------------------
    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                busy = self.step()
                self.fault = ""
            except Exception as error:  # supervision boundary: whatever goes wrong, what is not stored is sent again
                log.exception("ingest step failed")
                self.fault = f"{type(error).__name__}: {error}"[:300]
                self.figures["step_failures"] += 1
                self.forget_unstored()
                busy = False
                self._stopping.wait(1.0)
            if not busy:
                self._stopping.wait(self.bounds.show_s)
        with contextlib.suppress(Exception):  # the server is ending: the edges keep what this does not reach
            self.step(flush=True)

    def step(self, *, flush: bool = False) -> bool:
        """Takes, shows and, when it is time, commits. True: more is waiting."""
        now_s, now_ms, bounds = time.monotonic(), self.kit.clock.now_ms(), self.bounds
        messages, _ = self.inbox.take(bounds.commit_bytes)
        self.intake.samples_paused = self.committer.samples_paused
        self._take(messages, now_s, now_ms)
        self._tell_fenced(now_ms)
        self._tell_time()
        for where in self.host.due(now_s, now_ms):
            self.figures["rebirth_requests"] += 1
            self.send(where, _rebirth_request(now_ms))
        if now_s >= self._links_again_s:
            self._links_again_s = now_s + bounds.links_s
            self._refresh_links()
        due = self.intake.due
        much = due.bytes >= bounds.commit_bytes or len(due.facts) >= bounds.commit_records
        if flush or much or (due.bytes and now_s >= self._commit_again_s):
            self._commit_again_s = now_s + bounds.commit_s
            self.committer.commit(self.intake.take_due(), self.intake.streams.values(), self.tiles.new_words(self.committer.links))
        self.committer.unpark()
        if bounds.keep_days and now_s >= self._forget_again_s:
            self._forget_again_s = now_s + FORGET_EVERY_S
            self.committer.forget_samples(now_ms - bounds.keep_days * 86_400_000)
        self.tiles.tell(self, now_s, now_ms)
        return self.inbox.waiting_bytes >= bounds.commit_bytes

    def _take(self, messages: list[Message], now_s: float, now_ms: int) -> None:
        """One message that breaks the way in must not stop the others: what came is taken again one by one and the bad one is put aside."""
        try:
            self.intake.take(messages, now_s, now_ms)
        except Exception:  # supervision boundary: a fault of ours in reading, met by some payload nobody foresaw
            log.exception("a group of %d messages could not be taken; trying them one by one", len(messages))
            self.figures["group_failures"] += 1
            self.forget_unstored()
            for message in messages:
                try:
                    self.intake.take([message], now_s, now_ms)
                except Exception as error:  # noqa: BLE001  supervision boundary, see above
                    self.intake.broken(message, f"cannot be taken: {type(error).__name__}: {error}")

    def _tell_time(self) -> None:
        """A health report is answered with the time here: the witness of an edge that doubts its own clock."""
        for node in self.intake.take_reported():
            now_ms = self.kit.clock.now_ms()
            self.send(topic(node.group, "NCMD", node.edge), _command([(names.HOST_TIME, DataType.DATETIME, now_ms)], now_ms, node.commands))

    def _tell_fenced(self, now_ms: int) -> None:
        """Who holds an identity is stored; agents that do not hold theirs are told to be silent, and for how long."""
        for node, instance, wait_s in self.intake.take_refusals():
            log.error("edge %s: another agent (%s) uses this identity; it is fenced for %.0f s", node.edge, instance, wait_s)
            fields = [(names.FENCED, DataType.STRING, instance), (names.FENCED_FOR, DataType.INT64, int(wait_s + 1))]
            self.send(topic(node.group, "NCMD", node.edge), _command(fields, now_ms))
        changed = self.intake.fence.unsaved
        if not changed:
            return
        try:
            self.kit.acts.run_system_sync(lambda session: repository.set_holders(session, dict(changed), now_ms))
        except (StorageFailed, Overloaded) as error:
            log.error("who holds the identity of %s is stored later: %s", ", ".join(changed), error)
            return
        changed.clear()

    def forget_unstored(self) -> None:
        self.intake.take_due()
        for stream in self.intake.streams.values():
            stream.facts.reset(stream.facts_stored)
            stream.samples.reset(stream.samples_stored)

    def _refresh_links(self) -> None:
        before = self.edges()
        with self.kit.db.read() as session:
            self.committer.links = self.booking.links(session)
        if self.broker is not None and not self.edges() <= before:
            self.broker.allow_edges(self.edges())

    def answer(self, stream: Stream[Record]) -> None:
        """Stored up to: only what both stores hold."""
        fields = [(names.STORED_EPOCH, DataType.STRING, stream.epoch), (names.STORED_UP_TO, DataType.INT64, stream.stored_up_to)]
        for node in self.nodes_of(stream.edge):
            self.figures["answers"] += 1
            now_ms = self.kit.clock.now_ms()
            told = [*fields, (names.HOST_TIME, DataType.DATETIME, now_ms)]
            self.send(topic(node.group, "NCMD", node.edge), _command(told, now_ms, node.commands))

    def send(self, where: str, payload: bytes) -> None:
        if self.mqtt is not None:
            self.mqtt.send(where, payload)

    def nodes_of(self, edge: str) -> list[Node]:
        return [node for (_, name), node in list(self.host.nodes.items()) if name == edge]


def _command(fields: Iterable[tuple[str, DataType, Any]], now_ms: int, aliases: Mapping[str, int] | None = None) -> bytes:
    """An NCMD: no seq, no datatypes, a metric by its alias where the birth gave it one (tck-id-payloads-alias-data-cmd-requirement)."""
    payload = Payload(timestamp=now_ms)
    for name, datatype, value in fields:
        metric = payload.metrics.add(timestamp=now_ms)
        alias = (aliases or {}).get(name)
        if alias is None:
            metric.name = name
        else:
            metric.alias = alias
        set_value(metric, datatype, value)
    return bytes(payload.SerializeToString())


def _rebirth_request(now_ms: int) -> bytes:
    """By name, as asked for; with the datatype, which it need not have: nodes of other makers (sparkplug-client) read no value without one."""
    payload = Payload(timestamp=now_ms)
    metric = payload.metrics.add(name=names.REBIRTH, timestamp=now_ms, datatype=int(DataType.BOOLEAN))
    set_value(metric, DataType.BOOLEAN, True)
    return bytes(payload.SerializeToString())


# --- what other slices ask ----------------------------------------------------------------------------------------------------------
def edges_health(ingest: IngestService, session: Session) -> list[dict[str, Any]]:
    """The `edges` part of GET /health/system, one entry an edge known from the plant model or heard of on the wire."""
    marks = repository.marks(session)
    heard = {node.edge: node for node in list(ingest.host.nodes.values())}
    parked = dict(ingest.committer.parked)
    return [_edge_health(ingest, edge, heard.get(edge), marks, parked, ingest.kit.clock.now_ms) for edge in sorted(ingest.edges() | heard.keys())]


def _edge_health(
    ingest: IngestService, edge: str, node: Node | None, marks: dict[tuple[str, str], int], parked: dict[tuple[str, str], int], now: Callable[[], int]
) -> dict[str, Any]:
    health = dict(node.health) if node is not None else {}
    epoch = node.epoch if node is not None and node.epoch else next((one for name, one in marks if name == edge), "")
    stream = ingest.intake.streams.get((edge, epoch))
    stored = stream.stored_up_to if stream is not None else marks.get((edge, epoch), 0)
    last = _whole(health.get(names.BUFFER_LAST))
    if last is not None and stream is not None:
        last = max(last, stream.newest)
    mapped = ingest.committer.links
    devices = {device for name, device in [*ingest.table.devices(), *mapped] if name == edge}
    proven = ingest.committer.proven_ms(edge)
    heard_s = None if node is None or node.heard_s is None else round(max(0.0, time.monotonic() - node.heard_s), 1)
    stale = node is None or not node.online or heard_s is None or heard_s > SILENT_S
    said = {} if stale else health
    return {
        "edge": edge,
        "online": node is not None and node.online,
        "since_ms": node.since_ms if node is not None else None,
        "epoch": epoch or None,
        "stored_up_to": stored,
        "last_record": last,
        "waiting": None if last is None else max(0, last - stored),
        "lag_s": None if proven is None else max(0.0, (now() - proven) / 1000),
        "heard_s": heard_s,
        "stale": stale,
        "up_s": said.get(names.AGENT_UP_S),
        "fill": said.get(names.BUFFER_FILL),
        "hours_left": said.get(names.BUFFER_HOURS_LEFT),
        "buffer_state": said.get(names.BUFFER_STATE),
        "clock_state": said.get(names.CLOCK_STATE),
        "clock_wrong_by_ms": said.get(names.CLOCK_WRONG_BY_MS),
        "rebirths": node.rebirths if node is not None else 0,
        "sources": _sources(health, stale=stale),
        "fenced": _fenced(ingest, edge),
        "devices": [{"device": device, "mapped": (edge, device) in mapped, "parked": parked.get((edge, device), 0)} for device in sorted(devices)],
    }


def _fenced(ingest: IngestService, edge: str) -> list[dict[str, Any]]:
    """Agents that use this edge's identity without holding it: alarms."""
    return [
        {"instance": one.instance, "since": iso(one.since_ms), "last": iso(one.last_ms), "tries": one.tries, "twin": one.twin}
        for one in ingest.intake.fence.refused(edge, time.monotonic())
    ]


_FIGURES = frozenset({names.SOURCE_RATE, names.SOURCE_CLOCK_OFFSET_MS, names.SOURCE_LAG_S})


def _sources(health: dict[str, Any], *, stale: bool) -> list[dict[str, Any]]:
    """State and words of a silent edge stay as last said; its figures are unknown."""
    found: dict[str, dict[str, Any]] = {}
    leaves = {
        names.SOURCE_STATUS: "status",
        names.SOURCE_ERROR: "error",
        names.SOURCE_RATE: "rate",
        names.SOURCE_CLOCK_OFFSET_MS: "clock_offset_ms",
        names.SOURCE_LAG_S: "lag_s",
    }
    for name, value in health.items():
        if name.startswith(names.SOURCE_PREFIX):
            source, _, leaf = name[len(names.SOURCE_PREFIX) :].rpartition("/")
            if leaf == names.SOURCE_LAG_S and isinstance(value, int | float) and value < 0:
                value = None  # nothing proven yet
            if leaf in leaves and not (stale and leaf in _FIGURES):
                found.setdefault(source, {"name": source, **dict.fromkeys(leaves.values())})[leaves[leaf]] = value
    return [found[name] for name in sorted(found)]


def quarantine_figures(session: Session) -> dict[str, Any]:
    """{"records": payloads put aside, "newest": ISO or None, "reason": of the newest}."""
    count, newest_ms, reason = repository.put_aside_figures(session)
    return {"records": count, "newest": None if newest_ms is None else iso(newest_ms), "reason": reason}


def history_progress(ingest: IngestService, session: Session) -> dict[str, Any]:
    """How much of the edges' buffers is stored: {"expected": records or None before any edge was heard, "stored", "done"}.

    A plant without any edge has nothing on its way. A box that is in the plant model but has never delivered is waited for only while nobody else is
    known: it may be installed next month.
    """
    rows = edges_health(ingest, session)
    known = [row for row in rows if row["last_record"] is not None]
    if not known:
        return {"expected": None, "stored": sum(row["stored_up_to"] for row in rows), "done": not rows}
    expected = sum(row["last_record"] for row in known)
    stored = sum(min(row["stored_up_to"], row["last_record"]) for row in known)
    return {
        "expected": expected,
        "stored": stored,
        "done": all(row in known or not row["stored_up_to"] for row in rows) and expected - stored <= max(100, expected // 200),
    }


def last_values(ingest: IngestService, codes: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Newest values by machine or meter code, straight from the live table; see Tiles.values for the fields."""
    return ingest.tiles.values(ingest.committer.links, codes, ingest.kit.clock.now_ms())


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
