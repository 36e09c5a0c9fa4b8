"""A Modbus slave that misbehaves on order: TCP, RTU through TCP, or RTU on a pseudo terminal; written from the specification.

    with Slave("tcp", {1: {0: 230}}) as slave:
        slave.behave = lambda asked: [asked.good()]             # what goes onto the line: bytes, or seconds to wait; None ends the connection
Every request stands in `slave.asked`, also those that were not answered.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import tty
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

Transport = Literal["tcp", "rtu_over_tcp", "serial"]


def crc(data: bytes) -> bytes:
    """CRC-16/MODBUS bit by bit (the product uses a table)."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return bytes((value & 0xFF, value >> 8))


@dataclass(frozen=True)
class Asked:
    """One request. `gap_s`: since the end of the last answer on this connection; `nth`: of this connection, from 1."""

    transport: Transport
    transaction: int
    unit: int
    function: int
    address: int
    count: int
    connection: int
    nth: int
    gap_s: float
    registers: dict[int, dict[int, int]] = field(repr=False)

    def frame(self, pdu: bytes, *, unit: int | None = None, transaction: int | None = None) -> bytes:
        replier = self.unit if unit is None else unit
        if self.transport != "tcp":
            body = bytes((replier,)) + pdu
            return body + crc(body)
        number = self.transaction if transaction is None else transaction
        return number.to_bytes(2, "big") + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes((replier,)) + pdu

    def good_pdu(self) -> bytes:
        held = self.registers.get(self.unit, {})
        words = [held.get(at, 0) for at in range(self.address, self.address + self.count)]
        if self.function in (1, 2):
            bits = sum((word & 1) << i for i, word in enumerate(words))
            body = bits.to_bytes((self.count + 7) // 8, "little")
        else:
            body = b"".join(word.to_bytes(2, "big") for word in words)
        return bytes((self.function, len(body))) + body

    def good(self, **other: int) -> bytes:
        return self.frame(self.good_pdu(), **other)

    def exception(self, code: int) -> bytes:
        return self.frame(bytes((self.function | 0x80, code)))

    @property
    def raw(self) -> bytes:
        """The request as it came."""
        pdu = bytes((self.function,)) + self.address.to_bytes(2, "big") + self.count.to_bytes(2, "big")
        return self.frame(pdu)


Behaviour = Callable[[Asked], Sequence[bytes | float] | None]


class Slave:
    def __init__(self, transport: Transport = "tcp", registers: dict[int, dict[int, int]] | None = None) -> None:
        self.transport = transport
        self.registers = registers if registers is not None else {1: {}}
        self.asked: list[Asked] = []
        self.connections = 0
        self.open = 0
        self.behave: Behaviour = lambda asked: [asked.good()]
        self.on_connect: Callable[[int], bool] = lambda number: True  # False: closed at once
        self.port, self.device = 0, ""
        self._listener: socket.socket | None = None
        self._master = self._slave = -1
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Slave:
        if self.transport == "serial":
            self._master, self._slave = os.openpty()
            tty.setraw(self._slave)
            self.device = os.ttyname(self._slave)
            self._start(self._serve, lambda: os.read(self._master, 256), lambda data: os.write(self._master, data))
        else:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            self.port = self._listener.getsockname()[1]
            self._start(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        if self._slave >= 0:
            os.write(self._slave, b"\0")  # wakes the reader
        for thread in self._threads:
            thread.join(5)
        for descriptor in (self._master, self._slave):
            if descriptor >= 0:
                os.close(descriptor)

    @property
    def toml(self) -> str:
        """The source's keys for this slave."""
        where = f'serial = "{self.device}"' if self.transport == "serial" else f"port = {self.port}"
        return f'transport = "{self.transport}"\n{where}'

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _accept(self) -> None:
        assert self._listener is not None
        while not self._stop.is_set():
            try:
                taken, _ = self._listener.accept()
            except OSError:
                return
            taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            if not self.on_connect(self.connections):
                taken.close()
                continue
            self._sockets.append(taken)
            self._start(self._serve, lambda taken=taken: taken.recv(256), taken.sendall, taken)

    def _serve(self, read: Callable[[], bytes], write: Callable[[bytes], object], taken: socket.socket | None = None) -> None:
        number, nth, rest, last_s = self.connections, 0, b"", time.monotonic()
        self.open += 1
        with contextlib.suppress(OSError):
            while not self._stop.is_set():
                length = 12 if self.transport == "tcp" else 8
                while len(rest) < length and not self._stop.is_set():
                    more = read()
                    if not more:
                        return self._ended(taken)
                    rest += more
                if self._stop.is_set():
                    break
                one, rest, nth = rest[:length], rest[length:], nth + 1
                asked = self._parse(one, number, nth, time.monotonic() - last_s)
                self.asked.append(asked)
                last_s = time.monotonic()
                for part in self.behave(asked) or (None,):
                    if part is None:
                        return self._ended(taken)
                    if isinstance(part, float):
                        self._stop.wait(part)
                    else:
                        last_s = time.monotonic()
                        write(part)
        return self._ended(taken)

    def _ended(self, taken: socket.socket | None) -> None:
        self.open -= 1
        if taken is not None:
            taken.close()

    def _parse(self, one: bytes, number: int, nth: int, gap_s: float) -> Asked:
        if self.transport == "tcp":
            transaction, body = int.from_bytes(one[:2], "big"), one[6:]
            assert one[2:6] == b"\0\0\0\6"
        else:
            transaction, body = 0, one[:-2]
            assert crc(body) == one[-2:], one.hex()
        address, count = int.from_bytes(body[2:4], "big"), int.from_bytes(body[4:6], "big")
        return Asked(self.transport, transaction, body[0], body[1], address, count, number, nth, gap_s, self.registers)
