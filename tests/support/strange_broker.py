"""A broker that says what no broker may say. MQTT 3.1.1 by hand: it lets everybody in, grants what it is told to, and sends any bytes.

with StrangeBroker() as broker: broker.port, broker.connects, broker.granted, broker.grant = 0x80, broker.say(b"\\x40\\x00")
"""

from __future__ import annotations

import contextlib
import socket
import threading

NONSENSE_SUBACK = b"\x90\x03\x00\x01\x55"  # a return code that does not exist
SHORT_PUBACK = b"\x40\x00"  # an acknowledgement of nothing


class StrangeBroker:
    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.connects = 0
        self.granted = 0
        self.grant = 0x01  # return code of every topic filter; 0x80: refused
        self.last: socket.socket | None = None

    def __enter__(self) -> StrangeBroker:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.go_away()

    def go_away(self) -> None:
        """Nobody listens any more, and whoever came last is cut off."""
        for one in (self._listener, self.last):
            if one is not None:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def say(self, packet: bytes) -> None:
        """To whoever came last."""
        assert self.last is not None
        self.last.sendall(packet)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.last = client
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, IndexError), client.makefile("rb") as stream:
            while True:
                kind = stream.read(1)[0] & 0xF0
                body = stream.read(_length(stream.read))
                if kind == 0x10:
                    self.connects += 1
                    client.sendall(b"\x20\x02\x00\x00")
                elif kind == 0x80:
                    client.sendall(b"\x90" + bytes([2 + _filters(body)]) + body[:2] + bytes([self.grant]) * _filters(body))
                    self.granted += self.grant < 0x80
                elif kind == 0xC0:
                    client.sendall(b"\xd0\x00")
                elif kind == 0xE0:
                    client.shutdown(socket.SHUT_RDWR)


def _length(read: object) -> int:
    size = shift = 0
    while True:
        byte = read(1)[0]  # type: ignore[operator]
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return size


def _filters(body: bytes) -> int:
    """How many topic filters a SUBSCRIBE names."""
    count, at = 0, 2
    while at < len(body):
        at += 2 + int.from_bytes(body[at : at + 2], "big") + 1
        count += 1
    return count


def message(topic: str, payload: bytes) -> bytes:
    """A PUBLISH of QoS 0."""
    name = topic.encode()
    return b"\x30" + bytes([2 + len(name) + len(payload)]) + len(name).to_bytes(2, "big") + name + payload
