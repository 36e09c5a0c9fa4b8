"""One MQTT connection at a time, by paho, in its own thread. What happens is posted as events; nothing here decides.

The will (NDEATH with this session's bdSeq) must be set before every CONNECT, so every connection is a fresh client.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edge_agent.config import BrokerConfig, Endpoint, endpoint_of
from edge_agent.publisher.encode import varint

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
BATCH_BYTES = 64_000
UNSENT_BYTES_MAX = 8_000_000  # handed to the client and not yet taken by the socket: a link that is half open swallows no more than this


@dataclass(frozen=True, slots=True)
class Connected:
    connection: int


@dataclass(frozen=True, slots=True)
class Closed:
    connection: int
    reason: str


@dataclass(frozen=True, slots=True)
class Message:
    connection: int
    topic: str
    payload: bytes
    at_s: float = 0.0  # monotonic, when it came


LinkEvent = Connected | Closed | Message


class Link:
    """`open` starts connection number k; events of older connections carry their number and are to be ignored."""

    def __init__(self, client_id: str, post: Callable[[LinkEvent], None]) -> None:
        self._client_id = client_id
        self._post = post
        self._client: mqtt.Client | None = None
        self._unsent: deque[tuple[mqtt.MQTTMessageInfo, int]] = deque()  # the client's queue has no bound of its own for QoS 0
        self._unsent_bytes = 0
        self._strange = ""  # the last end nobody foresaw: logged once, not at every try
        self._batch: bytearray | None = None  # PUBLISH packets that go to the socket together
        self.connection = 0

    def open(self, broker: BrokerConfig, will_topic: str, will: bytes, subscribe: list[str]) -> None:
        self.connection += 1
        self._unsent.clear()
        self._unsent_bytes = 0
        number = self.connection
        thread = threading.Thread(target=self._serve, args=(number, broker, will_topic, will, subscribe), name=f"mqtt-{number}", daemon=True)
        thread.start()

    def _serve(self, number: int, broker: BrokerConfig, will_topic: str, will: bytes, subscribe: list[str]) -> None:
        reason = "connection closed"
        client: mqtt.Client | None = None
        where = f"{broker.host}:{broker.port}"
        try:
            endpoint = endpoint_of(broker)
            where = f"{endpoint.host}:{endpoint.port}"
            client = self._make(number, broker, endpoint, where)
            client.will_set(will_topic, will, qos=1, retain=False)
            client.user_data_set(subscribe)
            if number != self.connection:
                return
            self._client = client
            client.connect(endpoint.host, endpoint.port, keepalive=broker.keepalive_s)
            sock = client.socket()
            if isinstance(sock, socket.socket):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = client.loop_forever(retry_first_connection=False)
            if code:
                reason = mqtt.error_string(code)
        except ssl.SSLCertVerificationError as error:
            reason = (
                f"{where}: its certificate is not trusted ({error.verify_message}). Name the authority that signed it at ca_file. "
                f"代理证书不受信任,请在 ca_file 中填写签发它的 CA。"
            )
        except ssl.SSLError as error:
            reason = (
                f"{where}: no TLS connection ({error.reason or error}). Does it speak TLS on this port, and want a client certificate (cert_file)?"
            )
        except (OSError, ValueError) as error:
            reason = f"{where}: {error}"
        except Exception as error:  # supervision boundary: unsaid, the node would wait for this connection for ever
            reason = f"{where}: the connection ended unexpectedly ({error!r}); it is made anew. 连接意外结束,正在重连。"
            if reason != self._strange:
                self._strange = reason
                log.exception("connection %d to %s ended unexpectedly", number, where)
            sock = client.socket() if client is not None else None
            if sock is not None:
                sock.close()  # the client that failed would keep it open
        self._post(Closed(number, reason))

    def _make(self, number: int, broker: BrokerConfig, endpoint: Endpoint, where: str) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=self._client_id, clean_session=True, protocol=mqtt.MQTTv311, reconnect_on_failure=False
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        if endpoint.user is not None:
            client.username_pw_set(endpoint.user, endpoint.password)
        if broker.ca_file is not None or broker.cert_file is not None:
            client.tls_set(
                ca_certs=str(broker.ca_file) if broker.ca_file else None,
                certfile=str(broker.cert_file) if broker.cert_file else None,
                keyfile=str(broker.key_file) if broker.key_file else None,
            )

        def on_connect(client: mqtt.Client, topics: list[str], flags: Any, reason: Any, properties: Any) -> None:
            if reason.is_failure:
                self._post(Closed(number, f"{where} refuses us: {reason}"))
                client.disconnect()
                return
            client.subscribe([(topic, 1) for topic in topics])

        told: list[bool] = []

        def on_subscribe(client: mqtt.Client, topics: list[str], mid: int, reasons: list[Any], properties: Any) -> None:
            refused = [topic for topic, reason in zip(topics, reasons, strict=False) if reason.is_failure]
            if refused:
                self._post(Closed(number, f"{where} does not let us subscribe {', '.join(refused)}"))
                client.disconnect()
                return
            if not told:  # `ask_again` is granted too
                told.append(True)
                self._post(Connected(number))

        def on_message(client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
            self._post(Message(number, message.topic, bytes(message.payload), time.monotonic()))

        client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
        return client

    def publish(self, topic: str, payload: bytes, qos: int = 0) -> bool:
        """False when the client would not take it (the connection is going down)."""
        client = self._client
        if client is None:
            return False
        if self._batch is not None:
            if qos == 0:
                self._batch += packet(topic, payload)
                if len(self._batch) >= BATCH_BYTES:
                    self._flush(client)
                return True
            self._flush(client)  # the order of messages stays
        info = client.publish(topic, payload, qos=qos, retain=False)
        if info.rc != mqtt.MQTT_ERR_SUCCESS:
            return False
        self._unsent.append((info, len(payload)))
        self._unsent_bytes += len(payload)
        return True

    def ask_again(self, topic: str) -> None:
        """Subscribes once more: the broker sends again what it retains there (MQTT 3.1.1, 3.8.4)."""
        if self._client is not None:
            self._client.subscribe(topic, 1)

    @contextmanager
    def batched(self) -> Iterator[None]:
        """QoS 0 messages published inside go to the socket together: a system call a message is half of what a small message costs."""
        self._batch = bytearray()
        try:
            yield
        finally:
            if self._client is not None:
                self._flush(self._client)
            self._batch = None

    def _flush(self, client: mqtt.Client) -> None:
        """Hands what was gathered to the client as one packet; it is a run of whole MQTT packets, and the client looks only at its length."""
        if not self._batch:
            return
        gathered, self._batch = self._batch, bytearray()
        info = mqtt.MQTTMessageInfo(0)
        client._packet_queue(mqtt.PUBLISH, gathered, 0, 0, info)
        self._unsent.append((info, len(gathered)))
        self._unsent_bytes += len(gathered)

    def has_room(self) -> bool:
        """Whether the socket takes what it is given: a sender that does not look fills its memory through a dead link and looks healthy."""
        unsent = self._unsent
        while unsent and _has_gone(unsent[0][0]):
            self._unsent_bytes -= unsent.popleft()[1]
        return self._unsent_bytes < UNSENT_BYTES_MAX

    def close(self) -> None:
        """DISCONNECT; the broker drops the will."""
        self.connection += 1
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()


def packet(topic: str, payload: bytes) -> bytes:
    """A PUBLISH of QoS 0, not retained (MQTT 3.1.1, 3.3)."""
    name = topic.encode()
    return b"\x30" + varint(2 + len(name) + len(payload)) + len(name).to_bytes(2, "big") + name + payload


def _has_gone(info: mqtt.MQTTMessageInfo) -> bool:
    """Written to the socket, or given up with its connection."""
    try:
        return info.is_published()
    except (RuntimeError, ValueError):
        return True
