"""A small honest edge node for tests of the server: numbered records, births, rebirths, answers, replay as historical. Not the product's edge.

    with TestEdge(broker, "EDGE-L1") as edge:
        edge.record("SAW-01", {"state": ("producing", t)})        # a record a call, published at once if the host is online
        edge.wait_stored()

Records stay in `edge.kept` until the server's answer; unanswered ones are sent again every `retry_s`, in order, marked historical.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge_agent.contract import names
from edge_agent.contract.payload import DataType, set_value
from edge_agent.contract.sparkplug_b_pb2 import Payload
from tests.support.broker import HOST_ID, Broker
from tests.support.wait import eventually

TYPES: dict[str, DataType] = {
    names.STATE: DataType.STRING, names.STATE_RAW: DataType.INT64, names.ALARM: DataType.STRING, names.ORDER: DataType.STRING,
    names.OPERATION: DataType.STRING, names.GOOD_TOTAL: DataType.INT64, names.SCRAP_TOTAL: DataType.INT64, names.GOOD_RAW: DataType.INT64,
    names.SCRAP_RAW: DataType.INT64, names.WATCHED_UNTIL: DataType.DATETIME, names.GAP: DataType.STRING,
}  # fmt: skip
Values = Mapping[str, tuple[Any, int]] | Sequence[tuple[str, Any, int]]


def type_of(metric: str) -> DataType:
    return TYPES.get(metric, DataType.DOUBLE)


class TestEdge:
    __test__ = False

    def __init__(
        self, broker: Broker, edge: str, devices: Mapping[str, Sequence[str]], *, epoch: str | None = None, retry_s: float = 0.5, group: str = "PUMP"
    ) -> None:
        self.edge, self.group, self.devices, self.retry_s = edge, group, devices, retry_s
        self.epoch = epoch or secrets.token_hex(8)
        self.broker = broker
        self.kept: dict[int, tuple[str, list[tuple[str, Any, int]]]] = {}
        self.last = 0
        self.stored = 0
        self.online = False
        self.host_online = False
        self.births = 0
        self.commands: list[dict[str, Any]] = []
        self._asked = 0.0
        self._bdseq = 0
        self._seq = 0
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._rebirth = threading.Event()
        self._aliases: dict[tuple[str, str], int] = {}
        for device, metrics in devices.items():
            for metric in metrics:
                self._aliases[(device, metric)] = len(self._aliases) + 10
        client = paho.Client(CallbackAPIVersion.VERSION2, f"test-{edge}-{secrets.token_hex(3)}", protocol=paho.MQTTv311)
        client.username_pw_set(*broker.credentials(edge))
        client.reconnect_delay_set(1, 1)
        client.on_pre_connect = self._before
        client.on_connect = self._connected
        client.on_disconnect = self._lost
        client.on_message = self._heard
        self.client = client
        self._thread = threading.Thread(target=self._work, daemon=True)

    # --- life -------------------------------------------------------------------------------------------------------------------
    def __enter__(self) -> TestEdge:
        self.client.connect_async(self.broker.host, self.broker.port, 20)
        self.client.loop_start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        self.client.disconnect()
        self.client.loop_stop()

    def _topic(self, kind: str, device: str | None = None) -> str:
        return f"spBv1.0/{self.group}/{kind}/{self.edge}" + (f"/{device}" if device else "")

    def _before(self, client: paho.Client, _: Any) -> None:
        self._bdseq = (self._bdseq + 1) % 256
        client.will_set(self._topic("NDEATH"), self._death(), 1, False)

    def _death(self) -> bytes:
        payload = Payload()
        metric = payload.metrics.add()
        metric.name, metric.datatype = names.BDSEQ, DataType.INT64
        metric.long_value = self._bdseq
        return payload.SerializeToString()

    def _connected(self, client: paho.Client, *_: Any) -> None:
        client.subscribe([(f"spBv1.0/STATE/{HOST_ID}", 1), (self._topic("NCMD"), 1)])
        self._asked = time.monotonic()

    def _ask_again(self) -> None:
        """NATS loses, one time in a hundred, what is retained while a client subscribes."""
        if not self.host_online and self.client.is_connected() and time.monotonic() - self._asked > 2.0:
            self.client.subscribe(f"spBv1.0/STATE/{HOST_ID}", 1)
            self._asked = time.monotonic()

    def _lost(self, *_: Any) -> None:
        self.online = self.host_online = False

    def _heard(self, _client: Any, _userdata: Any, message: Any) -> None:
        if "/STATE/" in message.topic:
            self.host_online = bool(json.loads(message.payload)["online"])
            if self.host_online:
                self._rebirth.set()
            else:
                self.online = False
            return
        payload = Payload.FromString(message.payload)
        said = {metric.name: getattr(metric, metric.WhichOneof("value")) for metric in payload.metrics}
        self.commands.append(said)
        if said.get(names.REBIRTH):
            self._rebirth.set()
        if said.get(names.STORED_EPOCH) == self.epoch:
            with self._lock:
                self.stored = max(self.stored, said[names.STORED_UP_TO])
                for n in [n for n in self.kept if n <= self.stored]:
                    del self.kept[n]

    def _work(self) -> None:
        last_progress, stored = time.monotonic(), -1
        while not self._stop.wait(0.02):
            self._ask_again()
            if self._rebirth.is_set() and self.host_online:
                self._rebirth.clear()
                self.birth()
                last_progress = time.monotonic()
            if self.stored != stored:
                stored, last_progress = self.stored, time.monotonic()
            if self.online and self.kept and time.monotonic() - last_progress > self.retry_s:
                self.replay()
                last_progress = time.monotonic()

    # --- messages ---------------------------------------------------------------------------------------------------------------
    def _send(self, kind: str, payload: Payload, device: str | None = None) -> None:
        payload.seq = self._seq
        self._seq = (self._seq + 1) % 256
        self.client.publish(self._topic(kind, device), payload.SerializeToString(), 0)

    def birth(self) -> None:
        with self._lock:
            self._seq = 0
            payload = Payload(timestamp=1)
            for name, datatype, value in (
                (names.BDSEQ, DataType.INT64, self._bdseq), (names.REBIRTH, DataType.BOOLEAN, False),
                (names.BUFFER_EPOCH, DataType.STRING, self.epoch), (names.BUFFER_LAST, DataType.INT64, self.last),
                (names.BUFFER_WAITING, DataType.INT64, len(self.kept)), (names.BUFFER_FILL, DataType.DOUBLE, 0.01),
                ("Source/PLC/Status", DataType.STRING, "connected"),
            ):  # fmt: skip
                metric = payload.metrics.add()
                metric.name, metric.datatype = name, datatype
                set_value(metric, datatype, value)
            self._send("NBIRTH", payload)
            for device, metrics in self.devices.items():
                payload = Payload(timestamp=1)
                for name in metrics:
                    metric = payload.metrics.add()
                    metric.name, metric.alias, metric.datatype, metric.is_null = name, self._aliases[(device, name)], type_of(name), True
                self._send("DBIRTH", payload, device)
            self.births += 1
            self.online = True
            self.replay()

    def record(self, device: str, values: Values) -> int:
        rows = [(name, value, at) for name, (value, at) in values.items()] if isinstance(values, Mapping) else list(values)
        with self._lock:
            self.last += 1
            self.kept[self.last] = (device, rows)
            if self.online:
                self._publish(self.last, historical=False)
            return self.last

    def replay(self) -> None:
        with self._lock:
            for n in sorted(self.kept):
                self._publish(n, historical=True)

    def _publish(self, n: int, *, historical: bool) -> None:
        device, rows = self.kept[n]
        self._send("DDATA", self.payload(n, device, rows, historical=historical), device)

    def payload(self, n: int, device: str, rows: Sequence[tuple[str, Any, int]], *, historical: bool = False) -> Payload:
        payload = Payload(timestamp=max((at for _, _, at in rows), default=1), uuid=f"{self.epoch}:{n}")
        for name, value, at in rows:
            metric = payload.metrics.add()
            metric.alias, metric.timestamp = self._aliases[(device, name)], at
            if historical:
                metric.is_historical = True
            set_value(metric, type_of(name), value)
        return payload

    def wait_stored(self, seconds: float = 20.0) -> None:
        eventually(lambda: self.stored >= self.last, seconds, why=f"stored {self.stored} of {self.last}")
