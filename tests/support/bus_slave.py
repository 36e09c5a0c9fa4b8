"""Slaves of our own on a real line: a TCP port (as behind a transparent gateway) or a pseudo terminal (as a serial port).

    with Slave(respond) as slave: slave.port          # TCP on loopback
    with Slave(respond, use_pty=True) as slave: slave.device  # a serial port
`respond(buffer)` eats what it understands and gives the answers' bytes. `stop()`/`start()` is a gateway that goes and comes back on the same
port; `kill()` resets the connections without a farewell.
"""

from __future__ import annotations

import contextlib
import os
import pty
import selectors
import socket
import struct
import threading
import tty
from collections.abc import Callable

from tests.support.wait import free_port

Respond = Callable[[bytearray], bytes]
LINGER_RESET = struct.pack("ii", 1, 0)


class Slave:
    """One line. `garble` changes what is sent (noise, cut frames …); `connections` counts how often somebody came."""

    def __init__(self, respond: Respond, *, use_pty: bool = False) -> None:
        self.respond = respond
        self.garble: Callable[[bytes], bytes] = bytes
        self.connections = 0
        self.device = ""
        self.port = 0 if use_pty else free_port()
        self._use_pty = use_pty
        self._thread: threading.Thread | None = None
        self._end_r = self._end_w = -1
        self._reset = False
        self._listener: socket.socket | None = None
        self._pty = (-1, -1)

    def __enter__(self) -> Slave:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        if self._thread is not None:
            return
        self._end_r, self._end_w = os.pipe()
        if self._use_pty:
            self._pty = pty.openpty()
            tty.setraw(self._pty[0])
            tty.setraw(self._pty[1])
            name = os.ttyname(self._pty[1])
            if self.device and name != self.device:
                raise AssertionError(f"the pseudo terminal came back as {name}, not {self.device}")
            self.device = name
            target = self._serve_pty
        else:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            target = self._serve_tcp
        self._thread = threading.Thread(target=target, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._thread is None:
            return
        os.write(self._end_w, b"x")
        self._thread.join(10)
        self._thread = None
        for number in (self._end_r, self._end_w):
            os.close(number)

    def kill(self) -> None:
        self._reset = True
        self.stop()
        self._reset = False

    def _answer(self, buffer: bytearray) -> bytes:
        answer = self.respond(buffer)
        return self.garble(answer) if answer else b""

    def _serve_pty(self) -> None:
        master, slave = self._pty
        buffer = bytearray()
        with selectors.DefaultSelector() as waiting:
            waiting.register(master, selectors.EVENT_READ)
            waiting.register(self._end_r, selectors.EVENT_READ)
            while all(key.fd != self._end_r for key, _ in waiting.select()):
                buffer += os.read(master, 4096)
                os.write(master, self._answer(buffer))
        os.close(master)
        os.close(slave)

    def _serve_tcp(self) -> None:
        assert self._listener is not None
        buffers: dict[socket.socket, bytearray] = {}
        with selectors.DefaultSelector() as waiting, self._listener as listener:
            waiting.register(listener, selectors.EVENT_READ)
            waiting.register(self._end_r, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in waiting.select()]
                if self._end_r in ready:
                    break
                for there in ready:
                    if there is listener:
                        client, _ = listener.accept()
                        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        self.connections += 1
                        buffers[client] = bytearray()
                        waiting.register(client, selectors.EVENT_READ)
                    elif isinstance(there, socket.socket) and not self._feed(there, buffers[there]):
                        waiting.unregister(there)
                        buffers.pop(there)
                        there.close()
            for client in buffers:
                if self._reset:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
                client.close()

    def _feed(self, client: socket.socket, buffer: bytearray) -> bool:
        """False when the client has gone."""
        with contextlib.suppress(OSError):
            data = client.recv(4096)
            if data:
                buffer += data
                answer = self._answer(buffer)
                if answer:
                    client.sendall(answer)
                return True
        return False
