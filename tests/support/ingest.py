"""The server's way in without a broker: messages go straight into the inbox, answers are collected. Stores are real."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from edge_agent.contract import names
from edge_agent.contract.clock import Clock, ManualClock
from edge_agent.contract.payload import DataType, set_value
from edge_agent.contract.sparkplug_b_pb2 import Payload
from mes_server.ingest.booking import Booking, Counted, DeviceFacts, Link, LiveWord
from mes_server.ingest.service import IngestBounds, IngestService
from mes_server.kit.acts import Acts
from mes_server.kit.db import Database
from mes_server.kit.http import Kit
from mes_server.kit.live import Live
from mes_server.kit.metrics import Metrics
from mes_server.tables import metadata
from mes_server.telemetry.memory_store import MemoryStore
from mes_server.telemetry.store import TelemetryStore
from tests.support.sparkplug_edge import type_of

T0 = 1_772_409_600_000  # 2026-03-02 00:00 UTC
EPOCH = "0123456789abcdef"
DEVICES: dict[str, list[str]] = {
    "SAW-01": ["state", "state_raw", "alarm", "order", "operation", "good_total", "scrap_total", "good_raw", "watched_until", "gap", "temperature_c"],
    "M-SAW-01": ["power_w", "energy_import_wh", "energy_reactive_varh", "watched_until", "gap", "energy_import_offset_wh"],
}


class Recorder:
    """A Booking that writes down what it was told, in the transaction like a real one (so a rollback forgets it)."""

    def __init__(self, links: dict[tuple[str, str], Link] | None = None) -> None:
        self.map = links if links is not None else {("EDGE-L1", "SAW-01"): Link("SAW-01", None), ("EDGE-L1", "M-SAW-01"): Link(None, "M-SAW-01")}
        self.rows: dict[str, list[Any]] = {"states": [], "counts": [], "gaps": [], "readings": []}
        self.watch: dict[tuple[str, str], tuple[int, int]] = {}
        self.words: list[LiveWord] = []
        self.poison: Callable[[DeviceFacts], bool] = lambda _: False

    def links(self, session: Session) -> dict[tuple[str, str], Link]:
        return dict(self.map)

    def book(self, session: Session, batch: Sequence[DeviceFacts]) -> list[tuple[DeviceFacts, str, Counted]]:
        for one in batch:
            if self.poison(one):
                raise ValueError(f"no slice can digest {one.device}")
        counted = []
        for one in batch:
            for name in self.rows:
                self.rows[name].extend((one.device, *_plain(row)) for row in getattr(one.facts, name))
            if one.facts.first_ms is not None and one.facts.proven_ms is not None:
                first, proven = self.watch.get((one.device, one.source), (1 << 62, 0))
                self.watch[(one.device, one.source)] = (min(first, one.facts.first_ms), max(proven, one.facts.proven_ms))
            good = sum(count.good for count in one.facts.counts)
            if good:
                counted.append((one, one.device, Counted("WO-1/20", good, 0, one.facts.counts[0].at_ms, one.facts.counts[-1].at_ms)))
        return counted

    def book_live(self, session: Session, words: Sequence[LiveWord]) -> None:
        self.words.extend(words)

    def good(self) -> int:
        return sum(row[2] for row in self.rows["counts"])


def _plain(row: Any) -> tuple[Any, ...]:
    return tuple(row) if isinstance(row, tuple) else (row.from_ms, row.to_ms, row.cause.value, row.detail, row.counter_reset, row.parts_max)


class Bench:
    """One ingest over its own SQLite file. `feed` takes (topic, payload) pairs, `commit` stores what is due; `answers` is what edges would hear."""

    def __init__(self, folder: Path, *, booking: Booking | None = None, telemetry: TelemetryStore | None = None, clock: Clock | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.db = Database(f"sqlite:///{folder / 'bench.db'}")
        own = [table for name, table in metadata.tables.items() if name.startswith(("ingest_", "journal"))]
        metadata.create_all(self.db.writer, tables=own if booking is None else None)
        clock = clock or ManualClock(T0)
        self.live = Live()
        self.acts = Acts(self.db, clock, self.live, metrics=Metrics())
        self.acts.start()
        self.kit = Kit(db=self.db, acts=self.acts, clock=clock, live=self.live, zone=ZoneInfo("Asia/Shanghai"))
        self.booking: Any = booking if booking is not None else Recorder()
        self.telemetry: Any = telemetry if telemetry is not None else MemoryStore()
        self.answers: list[tuple[str, int]] = []
        self.rebirths = 0
        self.service = self.new_service()

    def new_service(self) -> IngestService:
        """As after a restart of the process: only the stores remember."""
        service = IngestService(self.kit, self.telemetry, self.booking, bounds=IngestBounds(commit_s=0.0, jitter_s=0.0))
        service.send = self._send  # type: ignore[method-assign]
        service.load()
        self.service = service
        return service

    def _send(self, where: str, payload: bytes) -> None:
        said = {metric.name: metric for metric in Payload.FromString(payload).metrics}
        assert "/NCMD/" in where
        if names.STORED_UP_TO in said:
            self.answers.append((said[names.STORED_EPOCH].string_value, said[names.STORED_UP_TO].long_value))
        if names.REBIRTH in said:
            self.rebirths += 1

    def feed(self, *messages: tuple[str, bytes]) -> None:
        for topic, payload in messages:
            self.service.inbox.put(topic, payload)

    def commit(self) -> None:
        self.service.step(flush=True)

    def close(self) -> None:
        self.acts.stop()
        self.telemetry.close()
        self.db.close()

    def scalar(self, statement: str) -> Any:
        with self.db.reader.connect() as connection:
            return connection.execute(sa.text(statement)).scalar_one()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.db.reader.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(statement))]


@contextmanager
def bench(folder: Path, **more: Any) -> Iterator[Bench]:
    made = Bench(folder, **more)
    try:
        yield made
    finally:
        made.close()


# --- messages ---------------------------------------------------------------------------------------------------------------------
def alias(device: str, metric: str, devices: dict[str, list[str]] = DEVICES) -> int:
    return 10 + 100 * list(devices).index(device) + devices[device].index(metric)


def births(
    *, epoch: str = EPOCH, last: int = 0, waiting: int = 0, bdseq: int = 1, edge: str = "EDGE-L1", group: str = "PUMP"
) -> list[tuple[str, bytes]]:
    node = Payload(timestamp=T0, seq=0)
    for name, datatype, value in (
        (names.BDSEQ, DataType.INT64, bdseq), (names.BUFFER_EPOCH, DataType.STRING, epoch), (names.BUFFER_LAST, DataType.INT64, last),
        (names.BUFFER_WAITING, DataType.INT64, waiting), (names.REBIRTH, DataType.BOOLEAN, False),
    ):  # fmt: skip
        metric = node.metrics.add()
        metric.name, metric.datatype = name, datatype
        set_value(metric, datatype, value)
    messages = [(f"spBv1.0/{group}/NBIRTH/{edge}", node.SerializeToString())]
    for seq, (device, metrics) in enumerate(DEVICES.items(), 1):
        birth = Payload(timestamp=T0, seq=seq)
        for name in metrics:
            metric = birth.metrics.add()
            metric.name, metric.alias, metric.datatype, metric.is_null = name, alias(device, name), type_of(name), True
        messages.append((f"spBv1.0/{group}/DBIRTH/{edge}/{device}", birth.SerializeToString()))
    return messages


def death(bdseq: int = 1, edge: str = "EDGE-L1") -> tuple[str, bytes]:
    payload = Payload()
    metric = payload.metrics.add()
    metric.name, metric.datatype, metric.long_value = names.BDSEQ, DataType.INT64, bdseq
    return (f"spBv1.0/PUMP/NDEATH/{edge}", payload.SerializeToString())


def data(
    n: int | None,
    device: str,
    rows: Sequence[tuple[str, Any, int]],
    *,
    epoch: str = EPOCH,
    historical: bool = False,
    seq: int | None = None,
    edge: str = "EDGE-L1",
) -> tuple[str, bytes]:
    """One DDATA: rows (metric, value, ms). `n` None: without a mark."""
    payload = Payload(timestamp=max((at for _, _, at in rows), default=T0))
    if n is not None:
        payload.uuid = f"{epoch}:{n}"
    if seq is not None:
        payload.seq = seq
    for name, value, at in rows:
        metric = payload.metrics.add()
        metric.alias, metric.timestamp = alias(device, name), at
        if historical:
            metric.is_historical = True
        set_value(metric, type_of(name), value)
    return (f"spBv1.0/PUMP/DDATA/{edge}/{device}", payload.SerializeToString())


def story(seed: int, records: int = 60, *, epoch: str = EPOCH, start_ms: int = T0) -> list[tuple[str, bytes]]:
    """A machine and its meter over some minutes: states, alarms, orders, counts, gaps, readings, samples. Deterministic."""
    rng = random.Random(seed)
    good = scrap = 0
    energy = 1000.0
    at = start_ms
    messages: list[tuple[str, bytes]] = []
    for n in range(1, records + 1):
        at += rng.randrange(1, 8_000)
        if rng.random() < 0.4:
            energy += rng.random() * 50
            rows: list[tuple[str, Any, int]] = [("power_w", round(rng.random() * 5000, 1), at), ("energy_import_wh", energy, at)]
            if rng.random() < 0.5:
                rows.append(("watched_until", at, at))
            messages.append(data(n, "M-SAW-01", rows, epoch=epoch))
            continue
        rows = [("temperature_c", round(rng.random() * 80, 2), at)]
        if rng.random() < 0.5:
            rows.append(("state", rng.choice(["producing", "idle", "fault", "stopped"]), at))
            rows.append(("alarm", rng.choice(["", "17", "E4"]), at))
        if rng.random() < 0.6:
            good += rng.randrange(3)
            scrap += rng.randrange(2)
            rows += [("good_total", good, at), ("scrap_total", scrap, at), ("good_raw", good % 65_536, at)]
        if rng.random() < 0.15:
            rows += [("order", f"WO-{rng.randrange(3)}", at), ("operation", "20", at)]
        if rng.random() < 0.1:
            gap = f'{{"from_ms":{at - 900},"to_ms":{at},"cause":"source_lost","detail":"plc restarted","counter_reset":false,"parts_max":null}}'
            rows.append(("gap", gap, at))
        rows.append(("watched_until", at, at))
        messages.append(data(n, "SAW-01", rows, epoch=epoch))
    return messages


def state_hash(bench: Bench) -> str:
    """Everything a run leaves behind that must not depend on how the messages came."""
    recorder: Recorder = bench.booking
    booked = {name: sorted(rows, key=repr) for name, rows in recorder.rows.items()}
    samples = []
    for device, metric in sorted(bench.telemetry.series()):
        found = bench.telemetry.window(device, metric, 0, 1 << 60)
        samples.append((device, metric, found.ts.tolist(), found.value.tolist()))
    marks = bench.rows("select edge, epoch, n from ingest_mark order by 1, 2")
    states = bench.rows("select edge, device, state from ingest_device order by 1, 2")
    return hashlib.sha256(repr((booked, sorted(recorder.watch.items()), samples, marks, states, bench.telemetry.marks())).encode()).hexdigest()
