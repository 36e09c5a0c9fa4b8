"""M-Bus: a meter of our own behind a transparent gateway, by primary or secondary address."""

from __future__ import annotations

from pathlib import Path

from tests.support.mbus_slave import MbusSlave

TEXT = """[sources.SRC]
type = "mbus"
host = "127.0.0.1"
port = {port}
period_s = 0.1
timeout_s = 0.5
retries = 0
pause_between_requests_s = 0.0
[sources.SRC.devices.D-1]
{address}
read = ["energy_import_wh", "power_w"]
[sources.SRC.devices.D-1.metrics]
"""


class MbusRig:
    kind, fact, factor, sample = "mbus", "energy_import_wh", 1.0, "power_w"

    def __init__(self, secondary: bool) -> None:
        self._slave = MbusSlave()
        self._address = 'secondary = "10000005"' if secondary else "primary = 5"
        self.port = self._slave.port
        self.put(100, 20.0)

    def start(self) -> None:
        self._slave.start()

    def stop(self) -> None:
        self._slave.kill()

    def put(self, total: int, sample: float) -> None:
        self._slave.put(5, total, sample)

    def text(self, port: int, *, bad: bool = False) -> str:
        return TEXT.format(port=port, address=self._address) + ("wrong = { record = 99 }\n" if bad else "")


def rig(folder: Path, *, secondary: bool = False) -> MbusRig:
    return MbusRig(secondary)
