"""MQTT: Mosquitto, and a meter that says its values as JSON again and again, as meters do; or a Sparkplug edge node."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

from tests.support.broker import Broker
from tests.support.mqtt_devices import Gadget, Peer, open_broker

TEXT = """[sources.SRC]
type = "mqtt"
port = {port}
timeout_s = 0.5
keepalive_s = 2
history_s = 0
[sources.SRC.devices.D-1]
kind = "meter"
report_s = 0.1
{device}
[sources.SRC.devices.D-1.metrics]
energy_import_wh = {{ {total} }}
power_w = {{ {sample} }}
"""
JSON = {"device": 'topic = "meter/1"', "total": 'path = "e.total"', "sample": 'path = "p[0]"'}
NODE = {"device": 'sparkplug = "PLANT/LINE/METER"', "total": 'name = "Energy"', "sample": 'name = "Power"'}
SAY_S = 0.1


class MqttRig:
    kind, fact, factor, sample = "mqtt", "energy_import_wh", 1.0, "power_w"

    def __init__(self, folder: Path, node: bool) -> None:
        self._folder, self._node = folder, node
        self._values = (100, 20.0)
        self._peers = contextlib.ExitStack()
        self._broker: Broker | None = None
        self._brokers = contextlib.ExitStack()
        self._gadget: Gadget | None = None
        self._peer: Peer | None = None
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        if self._thread is not None:
            return
        if self._broker is None:
            self._broker = self._brokers.enter_context(open_broker(self._folder))
            self.port = self._broker.port
        else:
            self._broker.start()
        total, sample = self._values
        if self._node:
            self._peer = Peer(self._broker, "PLANT", "LINE", {"METER": {"Energy": float(total), "Power": sample}})
            self._peers.enter_context(self._peer)
        else:
            self._gadget = self._peers.enter_context(Gadget(self._broker))
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._talk, args=(self._end,), daemon=True)
        self._thread.start()

    def _talk(self, end: threading.Event) -> None:
        while not end.wait(SAY_S):
            self._say()

    def _say(self) -> None:
        total, sample = self._values
        if self._peer is not None:
            self._peer.put("METER", Energy=float(total), Power=sample)
        elif self._gadget is not None:
            self._gadget.client.publish("meter/1", f'{{"e": {{"total": {total}}}, "p": [{sample}]}}')

    def stop(self) -> None:
        if self._thread is not None:
            self._end.set()
            self._thread.join(10)
            self._thread = None
            self._peers.close()
            self._gadget = self._peer = None
            assert self._broker is not None
            self._broker.kill()

    def put(self, total: int, sample: float) -> None:
        self._values = (total, sample)
        if self._peer is not None:
            self._peer.devices["METER"] |= {"Energy": float(total), "Power": sample}

    def text(self, port: int, *, bad: bool = False) -> str:
        nowhere = 'name = "Nowhere"' if self._node else 'path = "nowhere"'
        return TEXT.format(port=port, **(NODE if self._node else JSON)) + (f"wrong = {{ {nowhere} }}\n" if bad else "")


def rig(folder: Path, *, node: bool = False) -> MqttRig:
    return MqttRig(folder, node)
