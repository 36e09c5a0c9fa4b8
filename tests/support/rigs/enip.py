"""EtherNet/IP: the Logix simulator of cpppo (its own command, in a process of its own, from tests/peers/site).

cpppo is GPL: it is neither imported nor shipped, only run beside the tests. Values are put by Write Tag requests over the wire.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.sources.enip import cip
from edge_agent.sources.enip.tags import parse
from tests.support.third_party import SITE
from tests.support.wait import eventually, free_port

TEXT = """[sources.SRC]
type = "enip"
host = "127.0.0.1"
port = {port}
period_s = 0.1
timeout_s = {timeout_s}
[sources.SRC.devices.D-1]
kind = "machine"
[sources.SRC.devices.D-1.metrics]
good = {{ tag = "Good" }}
temp_c = {{ tag = "Temps[3]" }}
"""
TIMEOUT_S = 1.0  # cpppo parses byte by byte in Python: half a second would be short on a busy machine
_FORMS = {"DINT": (0xC4, "<i"), "REAL": (0xCA, "<f"), "INT": (0xC3, "<h")}


class Logix:
    """A simulated controller with these tags, such as Good="DINT", Temps="REAL[8]"; it forgets its values when it is stopped."""

    def __init__(self, **tags: str) -> None:
        if not (SITE / "cpppo").is_dir():
            pytest.skip("cpppo is not installed: python .ci/prepare.py services")
        self.port = free_port()
        self.tags = tags
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Logix:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        command = [sys.executable, "-m", "cpppo.server.enip", "--no-config", "--no-udp", "-a", f"127.0.0.1:{self.port}"]
        command += [f"{name}={kind}" for name, kind in self.tags.items()]
        env = {**os.environ, "PYTHONPATH": str(SITE)}
        self._process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=SITE)
        eventually(self._listens, 60, why="cpppo does not listen")

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def stop(self) -> None:
        """SIGKILL."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)

    def write(self, **values: float) -> None:
        """By name of the tag; Temps_3 is Temps[3]."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as link:
            session = cip.HEADER.unpack(_ask(link, cip.register(1))[:24])[2]
            for name, value in values.items():
                base, _, index = name.partition("_")
                kind, form = _FORMS[self.tags[base].partition("[")[0]]
                path = parse(f"{base}[{index}]" if index else base).path
                message = cip.request(0x4D, path, struct.pack("<HH", kind, 1) + struct.pack(form, int(value) if form != "<f" else value))
                answer = cip.reply(cip.message_of(_ask(link, cip.send(session, 1, cip.routed(message, 0)))[24:]))
                assert answer.status == 0, answer


def _ask(link: socket.socket, frame: bytes) -> bytes:
    link.sendall(frame)
    data = b""
    while len(data) < 24 or len(data) < 24 + struct.unpack_from("<H", data, 2)[0]:
        more = link.recv(65536)
        assert more, "cpppo closed the connection"
        data += more
    return data


class EnipRig:
    kind, fact, factor, sample = "enip", "good_total", 1.0, "temp_c"

    def __init__(self) -> None:
        self._plc = Logix(Good="DINT", Temps="REAL[8]")
        self._values = (100, 20.0)
        self._running = False
        self.port = self._plc.port

    def start(self) -> None:
        self._plc.start()
        self._running = True
        self.put(*self._values)

    def stop(self) -> None:
        self._running = False
        self._plc.stop()

    def put(self, total: int, sample: float) -> None:
        self._values = (total, sample)
        if self._running:
            self._plc.write(Good=total, Temps_3=sample)

    def text(self, port: int, *, bad: bool = False) -> str:
        return TEXT.format(port=port, timeout_s=TIMEOUT_S) + ('wrong = { tag = "Nowhere.Member" }\n' if bad else "")


def rig(folder: Path) -> EnipRig:
    return EnipRig()
