"""The only door of paho in the server: the Sparkplug host application's MQTT connection.

Order of Sparkplug 3.0, section 5.8: CONNECT with the will "offline, T", subscribe own STATE, then the data topics, and only when the broker has
granted them the birth "online, T" with the will's T. An "offline" of our own that somebody publishes is answered by "online" again. A clean stop
publishes "offline" with the present time before DISCONNECT. MQTT 3.1.1, clean session.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from edge_agent.contract.clock import Clock
from edge_agent.contract.topics import NAMESPACE, state_topic
from mes_server.ingest.broker_settings import BrokerLink
from mes_server.ingest.inbox import CONNECTED

log = logging.getLogger(__name__)

RECONNECT_S = (1, 10)  # first and longest pause, whole seconds
_DATA = ("NBIRTH", "NDATA", "DBIRTH", "DDATA", "DDEATH")


class _Client(paho.Client):
    """paho's loop under supervision: it ends for good over an exception in it and after `disconnect`, and then nobody would read the broker again.

    `ended(error)` hears of each such end; the pause before the next try grows until `well` is called.
    """

    def __init__(self, ended: Callable[[Exception | None], None], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._ended = ended
        self._ends = 0
        self.stopping = threading.Event()

    def well(self) -> None:
        self._ends = 0

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        again = False
        while not self.stopping.is_set():
            error: Exception | None = None
            try:
                if again:
                    self.reconnect()
                super().loop_forever(timeout, retry_first_connection)
            except Exception as caught:  # noqa: BLE001  supervision boundary
                error = caught
            if not self.stopping.is_set():
                self._ended(error)
                self._ends += 1
                self.stopping.wait(min(RECONNECT_S[1], RECONNECT_S[0] * 2 ** min(self._ends - 1, 6)))
            again = True
        return MQTTErrorCode.MQTT_ERR_SUCCESS


class MqttLink:
    """Reads into `put` (which may wait: then the socket is not read) and publishes commands. Reconnects by itself."""

    def __init__(self, link: BrokerLink, host_id: str, clock: Clock, put: Callable[[str, bytes, bool], bool]) -> None:
        self._link = link
        self._clock = clock
        self._put = put
        self._state = state_topic(host_id)
        self._birth_ms = 0
        self._granted: set[int] = set()
        self._lock = threading.Lock()
        self.online = False  # connected, subscribed and born
        self.since_ms = clock.now_ms()
        self._offline_s = time.monotonic()
        self.connects = 0
        self.fault = self.fault_zh = ""
        self.failures = 0  # ends of the connection that nobody foresaw
        client = _Client(self._ended, CallbackAPIVersion.VERSION2, link.client_id, clean_session=True, protocol=paho.MQTTv311)
        client.reconnect_delay_set(RECONNECT_S[0], RECONNECT_S[1])
        client.max_queued_messages_set(1_000)
        if link.user is not None:
            client.username_pw_set(link.user, link.password)
        if link.tls_ca is not None:
            client.tls_set(str(link.tls_ca), str(link.tls_cert) if link.tls_cert else None, str(link.tls_key) if link.tls_key else None)
        client.on_pre_connect = self._before_connect
        client.on_socket_open = _no_delay
        client.on_connect = self._connected
        client.on_connect_fail = self._not_reached
        client.on_subscribe = self._subscribed
        client.on_disconnect = self._disconnected
        client.on_message = self._message
        self._client = client

    def start(self) -> None:
        self._client.connect_async(self._link.host, self._link.port, self._link.keepalive_s)
        self._client.loop_start()

    def stop(self) -> None:
        was_online, self.online = self.online, False  # first: our own "offline" comes back to us and must not be corrected now
        if was_online:
            with contextlib.suppress(RuntimeError, ValueError):  # the broker has just gone: our will says it
                self._publish_state(online=False, at_ms=max(self._clock.now_ms(), self._birth_ms)).wait_for_publish(2.0)
        self._client.stopping.set()
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, topic: str, payload: bytes) -> bool:
        """A command at QoS 0. False: not connected; whoever asks asks again."""
        return bool(self._client.publish(topic, payload, qos=0, retain=False).rc == paho.MQTT_ERR_SUCCESS)

    # --- the session --------------------------------------------------------------------------------------------------------------
    def _before_connect(self, client: paho.Client, _userdata: Any) -> None:
        self._birth_ms = max(self._clock.now_ms(), self._birth_ms + 1)
        client.will_set(self._state, _state_payload(False, self._birth_ms), qos=1, retain=True)

    def _not_reached(self, _client: paho.Client, _userdata: Any) -> None:
        """paho calls this inside its except block: the reason is the exception that is being handled."""
        error, where = sys.exc_info()[1], f"{self._link.host}:{self._link.port}"
        if isinstance(error, ssl.SSLCertVerificationError):
            self._say(
                f"the certificate of the broker {where} is not trusted ({error.verify_message}): see broker.tls_ca",
                f"消息代理 {where} 的证书不受信任（{error.verify_message}），请检查 broker.tls_ca",
            )
        else:
            self._say(f"the broker {where} cannot be reached: {error}", f"无法连接消息代理 {where}：{error}")

    def _say(self, en: str, zh: str, error: Exception | None = None) -> None:
        if en != self.fault:
            log.error("%s", en, exc_info=error)
        self.fault, self.fault_zh = en, zh

    def _ended(self, error: Exception | None) -> None:
        """The loop came to an end that is none of ours; it begins anew."""
        self._lost()
        if error is None or isinstance(error, OSError):  # refused, or not reached: `fault` says it already
            return
        self.failures += 1
        where = f"{self._link.host}:{self._link.port}"
        self._say(
            f"the connection to the broker {where} ended unexpectedly ({error!r}); it is made anew",
            f"与消息代理 {where} 的连接意外中断（{error!r}），正在重新建立",
            error,
        )

    def _connected(self, client: paho.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._say(f"the broker refuses user {self._link.user!r}: {reason}", f"消息代理拒绝用户 {self._link.user!r}：{reason}")
            return
        self.connects += 1
        self._put(CONNECTED, b"", False)  # before anything that comes over this connection
        with self._lock:
            self._granted.clear()
            for filters in ([(self._state, 1)], [(f"{NAMESPACE}/+/NDEATH/+", 1), *((f"{NAMESPACE}/+/{kind}/#", 0) for kind in _DATA)]):
                _, mid = client.subscribe(filters)
                if mid is not None:
                    self._granted.add(mid)

    def _subscribed(self, client: paho.Client, _userdata: Any, mid: int, reasons: Any, _properties: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            user, why = self._link.user, ", ".join(refused)
            self._say(
                f"the broker refuses a subscription of user {user!r}: {why}; give it the rights, it is asked again",
                f"消息代理拒绝用户 {user!r} 的订阅：{why}；请授予权限，系统会自动重试",
            )
            client.disconnect()  # and connected anew: rights may be given while we run
            return
        with self._lock:
            self._granted.discard(mid)
            if self._granted:
                return
        self._publish_state(online=True, at_ms=self._birth_ms)
        self._client.well()
        self.fault = self.fault_zh = ""
        self.online, self.since_ms = True, self._clock.now_ms()
        log.info("host application online at %s:%d", self._link.host, self._link.port)

    def _disconnected(self, _client: paho.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if self._lost():
            log.warning("connection to the broker lost: %s", reason)

    def _lost(self) -> bool:
        """True: it was online until now."""
        was = self.online
        if was:
            self.since_ms, self._offline_s = self._clock.now_ms(), time.monotonic()
        self.online = False
        return was

    @property
    def offline_s(self) -> float | None:
        """For how long nothing is heard from the broker, real seconds; None while it is."""
        return None if self.online else time.monotonic() - self._offline_s

    def _message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        if topic != self._state:
            self._put(topic, bytes(message.payload), message.retain)
        elif self.online and not _says_online(bytes(message.payload)):
            self._publish_state(online=True, at_ms=self._birth_ms)

    def _publish_state(self, *, online: bool, at_ms: int) -> paho.MQTTMessageInfo:
        return self._client.publish(self._state, _state_payload(online, at_ms), qos=1, retain=True)


def _state_payload(online: bool, at_ms: int) -> bytes:
    return json.dumps({"online": online, "timestamp": at_ms}, separators=(",", ":")).encode()


def _says_online(payload: bytes) -> bool:
    try:
        said = json.loads(payload)
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("online") is True


def _no_delay(_client: paho.Client, _userdata: Any, sock: Any) -> None:
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
