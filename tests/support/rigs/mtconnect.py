"""MTConnect: an agent over HTTP (streamed or polled), and an adapter over SHDR."""

from __future__ import annotations

import time
from pathlib import Path

from tests.support.mtconnect import Adapter, Agent, Item, stamp

TEXT = """[sources.SRC]
type = "mtconnect"
url = "{url}"
stream = {stream}
interval_s = 0.05
heartbeat_s = 0.2
settle_s = 0.1
timeout_s = 0.6
[sources.SRC.devices.D-1]
kind = "machine"
[sources.SRC.devices.D-1.metrics]
good = {{ item = "{good}" }}
temp_c = {{ item = "temp" }}
"""


class AgentRig:
    kind, fact, factor, sample = "mtconnect", "good_total", 1.0, "temp_c"

    def __init__(self, stream: bool) -> None:
        self._agent = Agent([Item("pc", "PART_COUNT"), Item("t1", "TEMPERATURE", "SAMPLE", "temp")])
        self._stream = stream
        self.port = self._agent.port
        self.put(100, 20.0)

    def start(self) -> None:
        self._agent.start()

    def stop(self) -> None:
        """Another instance when it comes back."""
        self._agent.stop()
        self._agent.restart()

    def put(self, total: int, sample: float) -> None:
        self._agent.put("pc", total)
        self._agent.put("t1", sample)

    def text(self, port: int, *, bad: bool = False) -> str:
        wrong = 'wrong = { item = "nowhere" }\n' if bad else ""
        return TEXT.format(url=f"http://127.0.0.1:{port}", stream=str(self._stream).lower(), good="PART_COUNT") + wrong


class AdapterRig:
    kind, fact, factor, sample = "mtconnect", "good_total", 1.0, "temp_c"

    def __init__(self) -> None:
        self._adapter = Adapter()
        self._running = False
        self.port = self._adapter.port
        self.put(100, 20.0)

    def start(self) -> None:
        self._adapter.start()
        self._running = True

    def stop(self) -> None:
        self._adapter.stop()
        self._running = False

    def put(self, total: int, sample: float) -> None:
        line = f"{stamp(int(time.time() * 1000))}|partcount|{total}|temp|{sample}|speed|fast"
        self._adapter.first = [line, "* adapterVersion: 1.0"]
        if self._running:
            self._adapter.send(line)

    def text(self, port: int, *, bad: bool = False) -> str:
        wrong = (
            'wrong = { item = "speed", type = "number" }\n' if bad else ""
        )  # an adapter says nothing of what it has: a text where a number is wanted
        return TEXT.format(url=f"shdr://127.0.0.1:{port}", stream="true", good="partcount") + wrong


def rig(folder: Path, *, way: str) -> AgentRig | AdapterRig:
    return AdapterRig() if way == "shdr" else AgentRig(way == "stream")
