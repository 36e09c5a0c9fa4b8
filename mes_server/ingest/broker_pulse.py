"""Whether the embedded broker still answers: one MQTT connection of our own, asked "are you there" (PINGREQ) now and then.

A process that lives and whose port is open may hang all the same (stopped, out of memory, a disk that does not come back): the kernel goes on
accepting connections for it. Only a time without any answer counts against it: a refusal, a TLS alert or a closed connection are answers.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import TypeVar

from mes_server.ingest.broker_settings import BrokerTls, Credentials

CLIENT_ID = "gemba-pulse"
_PINGREQ, _PINGRESP = b"\xc0\x00", b"\xd0\x00"
_CONNACK_BYTES = 4
_SLICE_S = 0.25  # the longest that `stopping` is not looked at
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PulseBounds:
    """A broker without an answer for `answer_s`, `missed_max` times in a row, is ended: 90 s. Generous: what is only slow must never be killed."""

    every_s: float = 5.0
    answer_s: float = 10.0
    missed_max: int = 6
    late_s: float = 2.0  # where our own wait took so much longer than asked for, the machine is overloaded or slept: that one does not count


class NoPulse(Exception):
    """No answer in time."""


class Pulse:
    """Used by one thread. `sign_in` must not fail: whatever it raised would count against the broker."""

    def __init__(self, sign_in: Callable[[], Credentials], tls: BrokerTls | None, stopping: Event) -> None:
        self._sign_in, self._stopping = sign_in, stopping
        self._context = _context(tls) if tls is not None else None
        self._socket: socket.socket | None = None

    def ask(self, answer_s: float) -> None:
        """Returns when it has answered, whatever it said. Raises NoPulse; OSError where it cannot even be connected to."""
        until_s = time.monotonic() + answer_s
        try:
            if self._socket is None:
                self._socket = self._connect(until_s)
            found, heard = self._socket, b""
            self._wait(found, lambda: found.send(_PINGREQ), until_s)
            while not heard.endswith(_PINGRESP):
                more = self._wait(found, lambda: found.recv(64), until_s)
                if not more:  # it has closed the connection: a broker that was started anew, or a sign-in it does not take
                    self.close()
                    return
                heard = (heard + more)[-len(_PINGRESP) :]
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
            self.close()
        except (NoPulse, OSError):
            self.close()
            raise

    def close(self) -> None:
        found, self._socket = self._socket, None
        if found is not None:
            found.close()

    def _connect(self, until_s: float) -> socket.socket:
        """Signed in. Raises what `ask` handles."""
        own = self._sign_in()
        host = "127.0.0.1" if own.host in ("0.0.0.0", "::") else own.host  # noqa: S104 - it listens everywhere, we are here
        family, kind, proto, _, address = socket.getaddrinfo(host, own.port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, proto)
        try:
            made.setblocking(False)
            made.connect_ex(address)
            self._until_ready(made, until_s, writing=True)
            if error := made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, "the broker cannot be connected to")
            if self._context is not None:
                made = spoken = self._context.wrap_socket(made, do_handshake_on_connect=False)
                self._wait(made, spoken.do_handshake, until_s)
            packet = connect_packet(own.user, own.password)
            self._wait(made, lambda: made.send(packet), until_s)
            if len(self._wait(made, lambda: made.recv(_CONNACK_BYTES), until_s)) < _CONNACK_BYTES:
                raise ConnectionResetError
        except BaseException:
            made.close()
            raise
        return made

    def _wait(self, found: socket.socket, step: Callable[[], T], until_s: float) -> T:
        """Tries `step` on the socket until it is done. Raises NoPulse."""
        while True:
            try:
                return step()
            except (BlockingIOError, ssl.SSLWantReadError):
                self._until_ready(found, until_s)
            except ssl.SSLWantWriteError:
                self._until_ready(found, until_s, writing=True)

    def _until_ready(self, found: socket.socket, until_s: float, *, writing: bool = False) -> None:
        while True:
            left_s = until_s - time.monotonic()
            if left_s <= 0 or self._stopping.is_set():
                raise NoPulse
            asked = select.poll()
            asked.register(found, select.POLLOUT if writing else select.POLLIN)
            if asked.poll(min(left_s, _SLICE_S) * 1000.0):
                return


def connect_packet(user: str, password: str) -> bytes:
    """MQTT 3.1.1 CONNECT with a clean session and without keep alive: the broker need not watch us."""
    flags = 0b1100_0010  # user, password, clean session
    body = _text("MQTT") + bytes((4, flags, 0, 0)) + _text(CLIENT_ID) + _text(user) + _text(password)
    length = len(body)
    head = bytes((0x10, length)) if length < 128 else bytes((0x10, length % 128 | 0x80, length // 128))
    return head + body


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("!H", len(raw)) + raw


def _context(tls: BrokerTls) -> ssl.SSLContext:
    """Trusts the broker's own certificate, and no other: the connection does not leave this machine."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.load_verify_locations(tls.certificate)
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return made
