"""MQTT -> stored in both stores and queryable, beside DuckDB's own bulk insert of the very same rows.

A publisher process sends aliased Sparkplug records of N metrics through the embedded broker, never more than WINDOW_BYTES ahead of the server's
answer "stored up to". Each record carries a running total and a watch, so the book of record works too. The clock runs from the first record sent
to the answer for the last one; then the rows are counted by a query. CPU is that of the whole server process (reader, decoder, both stores).
"""

from __future__ import annotations

import multiprocessing
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks import row
from edge_agent.contract import names
from edge_agent.contract.clock import PlantClock
from edge_agent.contract.payload import DataType, set_value
from edge_agent.contract.sparkplug_b_pb2 import Payload
from mes_server.ingest.booking import SliceBooking
from mes_server.ingest.embedded_broker import EmbeddedBroker
from mes_server.ingest.service import IngestService
from mes_server.kit.actor import SYSTEM
from mes_server.kit.acts import Acts
from mes_server.kit.db import Database
from mes_server.kit.http import Kit
from mes_server.kit.live import Live
from mes_server.plant import service as plant
from mes_server.plant.schemas import PutPlant
from mes_server.tables import metadata
from mes_server.telemetry.duckdb_store import DuckdbStore

VALUES = 2_000_000
DEVICES = 8
WINDOW_BYTES = 12_000_000
T0 = 1_772_409_600_000
EDGE, GROUP, EPOCH = "EDGE-B", "PUMP", "b" * 16


def run() -> Iterator[dict[str, Any]]:
    yield from _one(100)
    yield from _one(1_000)


def _one(metrics: int) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as (service, store):
        records = VALUES // metrics
        credentials = service.broker.credentials(EDGE) if service.broker is not None else None
        assert credentials is not None
        context = multiprocessing.get_context("spawn")
        ready, go, results = context.Event(), context.Event(), context.Queue()
        publisher = context.Process(target=_publish, args=(credentials.model_dump(), metrics, records, ready, go, results))
        publisher.start()
        assert ready.wait(120)
        cpu = time.process_time()
        go.set()
        seconds = results.get(timeout=300)
        cpu = time.process_time() - cpu
        publisher.join(30)
        with store._reader() as reader:
            stored = int(reader.execute("select count(*) from hot").fetchall()[0][0])
        with service.kit.db.read() as session:
            booked = session.connection().exec_driver_sql("select sum(good) from machine_count").scalar_one()
        assert stored == records * (metrics - 1), f"{stored} samples stored of {records * (metrics - 1)}"
        assert booked == records - DEVICES, f"{booked} pieces booked of {records - DEVICES}"
    limit = _bulk_insert(records * (metrics - 1), metrics)
    values = records * metrics
    yield row(f"ingest_stored_{metrics}_a_message", values / seconds, "values/s", limit)
    yield row(f"ingest_cpu_{metrics}_a_message", cpu / values * 1e6, "us/value", 1e6 / limit)


@contextmanager
def _server(folder: Path) -> Iterator[tuple[IngestService, DuckdbStore]]:
    db = Database(f"sqlite:///{folder / 'gemba.db'}")
    metadata.create_all(db.writer)
    clock, live = PlantClock(), Live()
    acts = Acts(db, clock, live)
    acts.start()
    acts.run_sync(plant.put_plant, SYSTEM, PutPlant.model_validate(_plant()))
    kit = Kit(db=db, acts=acts, clock=clock, live=live, zone=ZoneInfo("UTC"))
    store = DuckdbStore(folder / "telemetry.duckdb")
    service = IngestService(kit, store, SliceBooking(), broker=EmbeddedBroker(folder / "broker", port=0, edges=[EDGE]))
    service._start()
    try:
        yield service, store
    finally:
        service._stop()
        acts.stop()
        db.close()


def _plant() -> dict[str, Any]:
    machines = [
        {
            "code": f"B-{index:02d}",
            "name_zh": f"设备{index}",
            "name_en": f"Machine {index}",
            "line": "L1",
            "sequence": index,
            "machine_class": "lathe",
            "counting": "machine",
            "micro_stop_s": 60.0,
            "rated_power_w": 1000.0,
            "edge": EDGE,
            "device": f"B-{index:02d}",
        }
        for index in range(DEVICES)
    ]
    site = {"code": "B", "name_zh": "厂", "name_en": "Bench", "zone": "UTC", "production_day_start": "06:00", "currency": "CNY"}
    model = {
        "site": site,
        "lines": [{"code": "L1", "name_zh": "线", "name_en": "Line", "oee_target": 0.8}],
        "machines": machines,
        "stations": [],
        "meters": [],
        "shifts": [],
        "reasons": [],
        "alarms": [],
    }
    return {"event_id": "01900000-0000-7000-8000-000000000001", "occurred_at": "2026-03-02T00:00:00Z", "model": model}


# --- the publisher: another process ------------------------------------------------------------------------------------------------
def _metrics(count: int) -> list[tuple[str, DataType]]:
    plain = [(f"m{index}", DataType.DOUBLE) for index in range(count - 2)]
    return [*plain, (names.GOOD_TOTAL, DataType.INT64), (names.WATCHED_UNTIL, DataType.DATETIME)]


def _records(count: int, records: int) -> list[bytes]:
    rng = np.random.default_rng(5)
    payloads = []
    for n in range(records):
        at = T0 + n // DEVICES * 1_000
        values = np.round(rng.normal(50, 9, count), 2).tolist()
        payload = Payload(timestamp=at, uuid=f"{EPOCH}:{n + 1}")
        base = 10 + n % DEVICES * count
        for place in range(count - 2):
            metric = payload.metrics.add()
            metric.alias, metric.timestamp, metric.double_value = base + place, at, values[place]
        for place, value in ((count - 2, n // DEVICES), (count - 1, at)):
            metric = payload.metrics.add()
            metric.alias, metric.timestamp, metric.long_value = base + place, at, value
        payload.seq = n % 256
        payloads.append(payload.SerializeToString())
    return payloads


def _births(client: paho.Client, count: int) -> None:
    node = Payload(timestamp=T0, seq=0)
    for name, datatype, value in ((names.BDSEQ, DataType.INT64, 1), (names.BUFFER_EPOCH, DataType.STRING, EPOCH)):
        metric = node.metrics.add()
        metric.name, metric.datatype = name, datatype
        set_value(metric, datatype, value)
    client.publish(f"spBv1.0/{GROUP}/NBIRTH/{EDGE}", node.SerializeToString())
    for device in range(DEVICES):
        birth = Payload(timestamp=T0)
        for place, (name, datatype) in enumerate(_metrics(count)):
            metric = birth.metrics.add()
            metric.name, metric.alias, metric.datatype, metric.is_null = name, 10 + device * count + place, datatype, True
        client.publish(f"spBv1.0/{GROUP}/DBIRTH/{EDGE}/B-{device:02d}", birth.SerializeToString())


def _publish(credentials: dict[str, Any], count: int, records: int, ready: Any, go: Any, results: Any) -> None:
    """Sends as an edge does: in order, live, bounded by the server's answers."""
    answered, changed = [0], threading.Condition()
    online = threading.Event()

    def heard(_client: Any, _userdata: Any, message: Any) -> None:
        if "/STATE/" in message.topic:
            online.set()
            return
        for metric in Payload.FromString(message.payload).metrics:
            if metric.name == names.STORED_UP_TO:
                with changed:
                    answered[0] = max(answered[0], metric.long_value)
                    changed.notify()

    client = paho.Client(CallbackAPIVersion.VERSION2, "bench-edge", protocol=paho.MQTTv311)
    client.username_pw_set(credentials["user"], credentials["password"])
    client.on_message = heard
    client.on_connect = lambda one, *_: one.subscribe([(f"spBv1.0/STATE/{credentials['host_id']}", 1), (f"spBv1.0/{GROUP}/NCMD/{EDGE}", 1)])
    client.connect(credentials["host"], credentials["port"], 60)
    client.loop_start()
    payloads = _records(count, records)
    ahead = max(2, WINDOW_BYTES // len(payloads[-1]))
    assert online.wait(30)
    _births(client, count)
    ready.set()
    go.wait()
    began = time.perf_counter()
    for n, payload in enumerate(payloads):
        with changed:
            while n - answered[0] >= ahead:
                changed.wait(1.0)
        client.publish(f"spBv1.0/{GROUP}/DDATA/{EDGE}/B-{n % DEVICES:02d}", payload)
    with changed:
        while answered[0] < records:
            changed.wait(1.0)
    results.put(time.perf_counter() - began)
    client.disconnect()
    client.loop_stop()


# --- the limit ---------------------------------------------------------------------------------------------------------------------
def _bulk_insert(rows: int, metrics: int) -> float:
    """Values/s of DuckDB alone: the same number of rows of the same shape, one insert, one checkpoint."""
    series = np.tile(np.arange(metrics - 1, dtype=np.int32), rows // (metrics - 1))
    ts = np.repeat(T0 + np.arange(rows // (metrics - 1), dtype=np.int64) * 1_000, metrics - 1)
    value = np.round(np.random.default_rng(5).normal(50, 9, len(series)), 2)
    with tempfile.TemporaryDirectory() as folder:
        connection = duckdb.connect(str(Path(folder) / "limit.duckdb"), config={"threads": 2, "memory_limit": "256MiB"})
        connection.execute("create table hot (series integer, ts bigint, value double)")
        connection.register("incoming", {"series": series, "ts": ts, "value": value})
        began = time.perf_counter()
        connection.execute("insert into hot select * from incoming")
        connection.execute("checkpoint")
        seconds = time.perf_counter() - began
        connection.close()
    return len(series) / seconds
