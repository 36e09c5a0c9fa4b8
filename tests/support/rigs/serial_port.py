"""Any rig on a TCP port, read through a serial port that leads there. Both go when it is stopped, as an adapter that is pulled out."""

from __future__ import annotations

from pathlib import Path

from tests.support.rigs import Rig
from tests.support.serial_bridge import SerialBridge


class OverSerial:
    """`inner` writes its place as the lines `tcp(port)`; they are replaced by `more` and the serial port."""

    def __init__(self, inner: Rig, folder: Path, tcp: str, more: str = "") -> None:
        self._inner, self._tcp, self._more = inner, tcp, more
        self._device = folder / "ttyUSB0"
        self._bridge: SerialBridge | None = None
        self._running = False
        self.kind, self.fact, self.factor, self.sample, self.port = inner.kind, inner.fact, inner.factor, inner.sample, inner.port

    def start(self) -> None:
        self._inner.start()
        self._running = True
        if self._bridge is not None:
            self._bridge.start()

    def stop(self) -> None:
        self._running = False
        if self._bridge is not None:
            self._bridge.stop()
        self._inner.stop()

    def put(self, total: int, sample: float) -> None:
        self._inner.put(total, sample)

    def text(self, port: int, *, bad: bool = False) -> str:
        if self._bridge is not None:
            self._bridge.stop()
        self._bridge = SerialBridge(self._device, port)
        if self._running:
            self._bridge.start()
        text, tcp = self._inner.text(port, bad=bad), self._tcp.format(port=port)
        assert tcp in text
        return text.replace(tcp, f'{self._more}serial = "{self._device}"\n')
