"""Siemens S7: python-snap7's own server."""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path
from typing import Any

from snap7.server import Server
from snap7.type import SrvArea

from tests.support.wait import free_port

TEXT = """[sources.SRC]
type = "s7"
host = "127.0.0.1"
port = {port}
period_s = 0.1
timeout_s = 0.5
[sources.SRC.devices.D-1]
kind = "machine"
[sources.SRC.devices.D-1.metrics]
good = {{ address = "DB1.DBD0:UDINT" }}
temp_c = {{ address = "DB1.DBD4:REAL" }}
"""


class _Server(Server):  # type: ignore[misc]
    """With the status list that tells a CPU's mode (W#16#0424), which snap7's server lacks."""

    def _get_szl_data(self, szl_id: int, szl_index: int) -> bytes | None:
        if szl_id != 0x0424:
            return super()._get_szl_data(szl_id, szl_index)  # type: ignore[no-any-return]
        record = struct.pack(">HBB", 0x4302, 0xFF, 0x40 | int(self.cpu_state)) + bytes(16)
        return struct.pack(">HH", len(record), 1) + record


class S7Plc:
    """A server whose areas stay over stop and start: `db` numbers -> bytes, `marks`, `inputs`, `outputs`."""

    def __init__(self, **sizes: int) -> None:
        self.port = free_port()
        self.db = {int(name[2:]): bytearray(size) for name, size in sizes.items()}
        self.marks, self.inputs, self.outputs = bytearray(64), bytearray(64), bytearray(64)
        self.server: Any = None

    def __enter__(self) -> S7Plc:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        server = _Server(log=False)
        for number, data in self.db.items():
            server.register_area(SrvArea.DB, number, data)
        for area, data in ((SrvArea.MK, self.marks), (SrvArea.PE, self.inputs), (SrvArea.PA, self.outputs)):
            server.register_area(area, 0, data)
        server.start_to("127.0.0.1", self.port)
        self.server = server

    def stop(self) -> None:
        """At once: its connections break."""
        server, self.server = self.server, None
        if server is not None:
            for client in list(getattr(server, "client_sockets", [])):
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
            server.stop()
            server.destroy()


class S7Rig:
    kind, fact, factor, sample = "s7", "good_total", 1.0, "temp_c"

    def __init__(self) -> None:
        self._plc = S7Plc(db1=64)
        self.port = self._plc.port
        self.put(100, 20.0)

    def start(self) -> None:
        self._plc.start()

    def stop(self) -> None:
        self._plc.stop()

    def put(self, total: int, sample: float) -> None:
        self._plc.db[1][0:8] = struct.pack(">If", total, sample)

    def text(self, port: int, *, bad: bool = False) -> str:
        return TEXT.format(port=port) + ('wrong = { address = "DB77.DBW2:INT" }\n' if bad else "")


def rig(folder: Path) -> S7Rig:
    return S7Rig()
