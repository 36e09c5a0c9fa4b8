"""DL/T 645-2007: a meter of our own behind a transparent gateway."""

from __future__ import annotations

from pathlib import Path

from tests.support.dlt645_slave import Dlt645Slave
from tests.support.rigs import Rig
from tests.support.rigs.serial_port import OverSerial

ADDRESS, ENERGY, LEVEL = "123456789012", "00010000", "02FE0000"
TEXT = """[sources.SRC]
type = "dlt645"
host = "127.0.0.1"
port = {port}
period_s = 0.1
timeout_s = 0.5
retries = 0
[sources.SRC.devices.D-1]
address = "123456789012"
read = ["energy_import_wh"]
[sources.SRC.devices.D-1.metrics]
level_mm = {{ id = "02FE0000", format = "XXXXXX.XX" }}
"""


class Dlt645Rig:
    kind, fact, factor, sample = "dlt645", "energy_import_wh", 1000.0, "level_mm"

    def __init__(self) -> None:
        self._slave = Dlt645Slave((ADDRESS,))
        self.port = self._slave.port
        self.put(100, 20.0)

    def start(self) -> None:
        self._slave.start()

    def stop(self) -> None:
        self._slave.kill()

    def put(self, total: int, sample: float) -> None:
        self._slave.put(ADDRESS, ENERGY, total)
        self._slave.put(ADDRESS, LEVEL, sample)

    def text(self, port: int, *, bad: bool = False) -> str:
        return TEXT.format(port=port) + ('wrong = { id = "02990000", format = "XXXX" }\n' if bad else "")


def rig(folder: Path, *, serial: bool = False) -> Rig:
    return OverSerial(Dlt645Rig(), folder, 'host = "127.0.0.1"\nport = {port}\n', 'parity = "none"\n') if serial else Dlt645Rig()
