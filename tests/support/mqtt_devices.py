"""Neighbours of the mqtt source, all on a real broker: one that anybody may use, gadgets that publish, a Sparkplug edge node led by hand.

with open_broker(tmp_path) as broker: broker.port, broker.stop(), broker.start(), broker.kill()
with Gadget(broker) as gadget: gadget.say("tele/oven/SENSOR", {"ENERGY": {"Power": 5}})
with Peer(broker, "PLANT", "LINE", {"MILL": {"Energy": 5.0}}) as peer: peer.put("MILL", Energy=6.0); peer.kill()
"""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from edge_agent.contract.payload import DataType, set_value
from edge_agent.contract.sparkplug_b_pb2 import Payload
from tests.support.broker import Broker, free_port
from tests.support.wait import eventually


@contextlib.contextmanager
def open_broker(folder: Path) -> Iterator[Broker]:
    """Debian's mosquitto without users. Skips where not installed."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    folder = folder / "open-broker"
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence false", "user root", "set_tcp_nodelay true", "log_type none"]
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
    broker = Broker("mosquitto", folder, [program, "-c", str(folder / "mosquitto.conf")], port, {})
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


class Gadget:
    """A paho client that comes back by itself when the broker does."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="", clean_session=True)
        self.client.reconnect_delay_set(1, 1)

    def __enter__(self) -> Gadget:
        self.client.connect(self.broker.host, self.broker.port)
        self.client.loop_start()
        eventually(self.client.is_connected, 10)
        return self

    def __exit__(self, *exc: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def say(self, topic: str, content: Any, *, retain: bool = False) -> None:
        payload = content if isinstance(content, (str, bytes)) else json.dumps(content)
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)


class Peer:
    """An edge node led by the test: it is born when it is asked to, and says what it is told to."""

    def __init__(self, broker: Broker, group: str, edge: str, devices: dict[str, dict[str, Any]]) -> None:
        self.broker, self.group, self.edge, self.devices = broker, group, edge, devices
        self.bdseq = 0
        self.seq = 0
        self.births = 0
        self._lock = threading.Lock()
        self._client: mqtt.Client | None = None
        self._aliases = {(device, name): 10 + n for n, (device, name) in enumerate((d, m) for d, metrics in devices.items() for m in metrics)}

    def __enter__(self) -> Peer:
        self.connect()
        return self

    def __exit__(self, *exc: object) -> None:
        self.disconnect()

    def _topic(self, kind: str, device: str | None = None) -> str:
        return f"spBv1.0/{self.group}/{kind}/{self.edge}" + (f"/{device}" if device else "")

    def _bdseq_payload(self) -> Payload:
        payload = Payload(timestamp=now_ms())
        payload.metrics.add(name="bdSeq", datatype=int(DataType.INT64), long_value=self.bdseq, timestamp=now_ms())
        return payload

    def connect(self, *, born: bool = True) -> None:
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"peer-{self.edge}-{self.bdseq}", clean_session=True)
        client.will_set(self._topic("NDEATH"), self._bdseq_payload().SerializeToString(), 1, False)
        ready = threading.Event()
        client.on_connect = lambda c, *_: c.subscribe(self._topic("NCMD"), 1)
        client.on_subscribe = lambda *_: ready.set()
        client.on_message = lambda *_: self.birth()
        client.connect(self.broker.host, self.broker.port)
        client.loop_start()
        assert ready.wait(10)
        self._client = client
        if born:
            self.birth()

    def disconnect(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None

    def kill(self) -> None:
        """The socket goes without a farewell: the broker sends the will."""
        client, self._client = self._client, None
        assert client is not None
        client.reconnect_delay_set(60, 60)
        sock = client.socket()
        assert sock is not None
        sock.shutdown(2)
        client.loop_stop()
        self.bdseq += 1

    def _publish(self, topic: str, payload: Payload) -> None:
        assert self._client is not None
        payload.seq = self.seq
        self.seq = (self.seq + 1) % 256
        self._client.publish(topic, payload.SerializeToString(), qos=0)

    def birth(self) -> None:
        with self._lock:
            self.births += 1
            self.seq = 0
            self._publish(self._topic("NBIRTH"), self._bdseq_payload())
            for device in self.devices:
                self._device_birth(device)

    def _device_birth(self, device: str) -> None:
        payload = Payload(timestamp=now_ms())
        for name, value in self.devices[device].items():
            self._metric(payload, device, name, value, now_ms(), birth=True)
        self._publish(self._topic("DBIRTH", device), payload)

    def _metric(self, payload: Payload, device: str, name: str, value: Any, t_ms: int, *, birth: bool = False, historical: bool = False) -> None:
        datatype = DataType.STRING if isinstance(value, str) else DataType.INT32 if isinstance(value, int) else DataType.DOUBLE
        metric = payload.metrics.add(alias=self._aliases[device, name], timestamp=t_ms)
        if birth:
            metric.name, metric.datatype = name, int(datatype)
        if historical:
            metric.is_historical = True
        set_value(metric, datatype, value)

    def put(self, device: str, t_ms: int | None = None, *, historical: bool = False, **values: Any) -> None:
        with self._lock:
            payload = Payload(timestamp=now_ms())
            for name, value in values.items():
                if not historical:
                    self.devices[device][name] = value
                self._metric(payload, device, name, value, t_ms or now_ms(), historical=historical)
            self._publish(self._topic("DDATA", device), payload)

    def device_death(self, device: str) -> None:
        with self._lock:
            self._publish(self._topic("DDEATH", device), Payload(timestamp=now_ms()))


def now_ms() -> int:
    return int(time.time() * 1000)
