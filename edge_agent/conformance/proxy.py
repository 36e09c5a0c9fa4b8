"""A transparent TCP proxy between MQTT clients and a broker: every byte goes on unchanged, and what it says is shown to the grader.

Wills, the QoS of subscriptions, clean session and packets' own QoS are to be seen only here. One thread a direction; a direction whose bytes are
no MQTT is passed on unread.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import threading

from edge_agent.conformance.connection import BrokerAddress
from edge_agent.conformance.grader import Grader
from edge_agent.conformance.mqtt_packets import BadPacket, Connect, Packet, Splitter, parse
from edge_agent.contract.clock import Clock
from edge_agent.errors import EdgeError

CONNECTIONS_MAX = 200
CHUNK = 65_536
CONNECT_S = 10.0


class _Reading:
    """The packets of one direction of one connection."""

    def __init__(self) -> None:
        self.splitter = Splitter()
        self.readable = True


class GradingProxy:
    """Listens on `listen` (host, port; 0: any) and forwards to `upstream`. `lock` guards the grader."""

    def __init__(self, listen: tuple[str, int], upstream: BrokerAddress, grader: Grader, clock: Clock, lock: threading.Lock) -> None:
        self._upstream, self._grader, self._clock, self._lock = upstream, grader, clock, lock
        try:
            self._server = socket.create_server(listen)
        except OSError as error:
            raise EdgeError(
                f"Nothing can listen on {listen[0]}:{listen[1]}: {error.strerror}.",
                f"无法在 {listen[0]}:{listen[1]} 上监听:{error.strerror}。",
                "Name another port with --proxy.",
                "请用 --proxy 指定其他端口。",
            ) from error
        self.port = int(self._server.getsockname()[1])
        self._numbers = itertools.count(1)
        self._open: dict[int, tuple[socket.socket, socket.socket]] = {}
        self._levels: dict[int, int] = {}
        self._closing = False
        self.faults: list[str] = []

    def start(self) -> None:
        threading.Thread(target=self._accept, name="sparkplug-proxy", daemon=True).start()

    def stop(self) -> None:
        self._closing = True
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for pair in list(self._open.values()):
            _hang_up(*pair)

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if len(self._open) >= CONNECTIONS_MAX:
                client.close()
                continue
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            broker = socket.create_connection((self._upstream.host, self._upstream.port), timeout=CONNECT_S)
            if self._upstream.tls:
                broker = self._upstream.context().wrap_socket(broker, server_hostname=self._upstream.host)
            broker.settimeout(None)
        except (OSError, ssl.SSLError) as error:
            self.faults.append(f"{self._upstream}: {error}")
            client.close()
            return
        number = next(self._numbers)
        self._open[number] = (client, broker)
        for one in (client, broker):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=self._pump, args=(number, broker, client, False), daemon=True)
        back.start()
        self._pump(number, client, broker, True)
        back.join(CONNECT_S)
        self._open.pop(number, None)
        self._levels.pop(number, None)
        with self._lock:
            self._grader.closed(number, self._clock.now_ms())

    def _pump(self, number: int, source: socket.socket, target: socket.socket, from_client: bool) -> None:
        reading = _Reading()
        try:
            while data := source.recv(CHUNK):
                self._show(number, reading, data, from_client)  # before it goes on: what answers it comes later in time
                target.sendall(data)
        except OSError:
            pass
        _hang_up(source, target)

    def _show(self, number: int, reading: _Reading, data: bytes, from_client: bool) -> None:
        if not reading.readable:
            return
        try:
            for first, body in reading.splitter.feed(data):
                packet = parse(first, body, self._levels.get(number, 4))
                if isinstance(packet, Connect):
                    self._levels[number] = packet.level
                with self._lock:
                    self._tell(number, packet, from_client)
        except BadPacket as error:
            reading.readable = False
            self.faults.append(f"connection {number}: {error}")
            with self._lock:
                self._grader.unreadable += 1

    def _tell(self, number: int, packet: Packet, from_client: bool) -> None:
        now_ms = self._clock.now_ms()
        if isinstance(packet, Connect):
            if from_client:
                self._grader.opened(number, now_ms, packet)
        elif from_client:
            self._grader.sent(number, now_ms, packet)
        else:
            self._grader.received(number, now_ms, packet)


def _hang_up(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
