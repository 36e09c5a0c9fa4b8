"""DSMR P1: a meter of our own that speaks by itself behind a transparent gateway."""

from __future__ import annotations

from pathlib import Path

from tests.support.p1_meter import P1Meter

TEXT = """[sources.SRC]
type = "dsmr"
host = "127.0.0.1"
port = {port}
period_s = 0
timeout_s = 0.6
[sources.SRC.devices.D-1]
read = ["energy_import_wh", "power_w"]
[sources.SRC.devices.D-1.metrics]
"""


class DsmrRig:
    kind, fact, factor, sample = "dsmr", "energy_import_wh", 1.0, "power_w"

    def __init__(self) -> None:
        self._meter = P1Meter(every_s=0.05)
        self.port = self._meter.port
        self.put(100, 20.0)

    def start(self) -> None:
        self._meter.start()

    def stop(self) -> None:
        self._meter.stop()

    def put(self, total: int, sample: float) -> None:
        self._meter.put(total, sample)

    def text(self, port: int, *, bad: bool = False) -> str:
        return TEXT.format(port=port) + ('wrong = { obis = "9-9:9.9.9" }\n' if bad else "")


def rig(folder: Path) -> DsmrRig:
    return DsmrRig()
