"""A P1 port that speaks by itself, as meters do: on a TCP port (ser2net) or a pseudo terminal.

with P1Meter() as meter: meter.put(energy_wh=1000, power_w=50) or meter.say = recorded telegram; meter.port or meter.device
The telegram and its checksum are made here by hand, not by the product's codec.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import socket
import struct
import threading
import tty
from collections.abc import Callable

from tests.support.wait import free_port

LINGER_RESET = struct.pack("ii", 1, 0)


def checksum(data: bytes) -> int:
    register = 0
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0xA001 * (register & 1))
    return register


def telegram(*lines: str, time: str = "") -> bytes:
    """A version 5 telegram of these objects."""
    stamp = [f"0-0:1.0.0({time})"] if time else []
    body = "\r\n".join(["/TST5\\2METER-1", "", "1-3:0.2.8(50)", *stamp, *lines, "!"]).encode()
    return body + f"{checksum(body):04X}\r\n".encode()


class P1Meter:
    """`garble` changes what is sent; `every_s` between telegrams."""

    def __init__(self, *, use_pty: bool = False, every_s: float = 0.1) -> None:
        self.port = 0 if use_pty else free_port()
        self.device = ""
        self.say = telegram()
        self.garble: Callable[[bytes], bytes] = bytes
        self._use_pty, self._every_s = use_pty, every_s
        self._end: threading.Event | None = None
        self._thread: threading.Thread | None = None
        self._listener: socket.socket | None = None
        self._pty = (-1, -1)

    def put(self, energy_wh: int, power_w: float = 0.0, *, time: str = "") -> None:
        self.say = telegram(f"1-0:1.8.0({energy_wh / 1000:010.3f}*kWh)", f"1-0:1.7.0({power_w / 1000:09.4f}*kW)", time=time)

    def __enter__(self) -> P1Meter:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        if self._thread is not None:
            return
        self._end = threading.Event()
        if self._use_pty:
            self._pty = pty.openpty()
            for number in self._pty:
                tty.setraw(number)
            os.set_blocking(self._pty[0], False)
            self.device = os.ttyname(self._pty[1])
            target = self._serve_pty
        else:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            self._listener.setblocking(False)
            target = self._serve_tcp
        self._thread = threading.Thread(target=target, args=(self._end,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Gone at once: its connections are reset."""
        if self._thread is not None and self._end is not None:
            self._end.set()
            self._thread.join(10)
            self._thread = None

    def _serve_pty(self, end: threading.Event) -> None:
        while not end.wait(self._every_s):
            with contextlib.suppress(BlockingIOError):  # nobody listens: the meter speaks all the same
                os.write(self._pty[0], self.garble(self.say))
        for number in self._pty:
            os.close(number)

    def _serve_tcp(self, end: threading.Event) -> None:
        assert self._listener is not None
        clients: list[socket.socket] = []
        with self._listener as listener:
            while not end.wait(self._every_s):
                while select.select([listener], [], [], 0)[0]:
                    client, _ = listener.accept()
                    client.settimeout(0.5)
                    clients.append(client)
                for client in list(clients):
                    try:
                        client.sendall(self.garble(self.say))
                    except OSError:
                        clients.remove(client)
                        client.close()
            for client in clients:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
                client.close()
