"""One connection to a broker, by paho in a thread of its own; messages come out in the event loop. The source's only door to paho.

A new client for every session: nothing is queued by the broker while nobody listens (what comes late without a time of its own would bear a
wrong one). A loop that does not keep up holds paho's thread, and with it the broker's messages on the wire.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edge_agent.config_model import read_secret
from edge_agent.errors import SourceLost, SourceMisconfigured
from edge_agent.sources.mqtt.config import MqttConfig

log = logging.getLogger(__name__)
WAITING_MAX = 5000  # messages between paho and the loop
JOIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Message:
    topic: str
    payload: bytes
    retained: bool
    arrived_ms: int


class Client:
    """`open`, then `next` again and again, then `close`. `now_ms`: plant time for arrivals."""

    def __init__(self, config: MqttConfig, topics: Sequence[tuple[str, int]], now_ms: Any) -> None:
        self._config, self._topics, self._now_ms = config, list(topics), now_ms
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Message | SourceLost | None] = asyncio.Queue()
        self._slots = threading.Semaphore(WAITING_MAX)
        self._closed = threading.Event()
        self._mqtt: mqtt.Client | None = None
        self._thread: threading.Thread | None = None

    @property
    def where(self) -> str:
        return f"{self._config.host}:{self._config.port}"

    async def open(self) -> None:
        """Connected and subscribed. Raises SourceLost, SourceMisconfigured."""
        try:
            client = self._make()
        except (OSError, ValueError) as error:
            raise SourceMisconfigured(
                f"The connection to the MQTT broker {self.where} cannot be prepared: {error}.",
                f"无法准备到 MQTT 代理 {self.where} 的连接:{error}。",
                "Check password, CA and certificate files.",
                "请检查密码、CA 和证书文件。",
            ) from error
        self._mqtt = client
        self._thread = threading.Thread(target=self._serve, args=(client,), name=f"mqtt source {self.where}", daemon=True)
        self._thread.start()
        try:
            async with asyncio.timeout(self._config.timeout_s):
                first = await self._events.get()
        except TimeoutError as error:
            raise self._lost("no answer in time") from error
        if first is not None:
            raise first if isinstance(first, SourceLost) else self._lost("a message before the subscription")

    def _make(self) -> mqtt.Client:
        config = self._config
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=config.client_id, clean_session=True, protocol=mqtt.MQTTv311, reconnect_on_failure=False
        )
        client.connect_timeout = config.timeout_s
        if config.user is not None:
            client.username_pw_set(config.user, read_secret(config.password_file))
        if config.ca_file is not None or config.cert_file is not None:
            ca, cert, key = (str(file) if file else None for file in (config.ca_file, config.cert_file, config.key_file))
            client.tls_set(ca_certs=ca, certfile=cert, keyfile=key)
        client.on_connect, client.on_subscribe, client.on_message = self._on_connect, self._on_subscribe, self._on_message
        return client

    def _serve(self, client: mqtt.Client) -> None:
        reason = "connection closed"
        try:
            client.connect(self._config.host, self._config.port, keepalive=self._config.keepalive_s)
            code = client.loop_forever(retry_first_connection=False)
            reason = mqtt.error_string(code) if code else reason
        except (OSError, ValueError, ssl.SSLError) as error:
            reason = str(error) or "time-out"
        except Exception as error:  # supervision boundary: unsaid, the source would look well and hear nothing
            log.exception("the connection to %s ended unexpectedly", self.where)
            reason = f"the connection ended unexpectedly ({error!r})"
            if (sock := client.socket()) is not None:
                sock.close()  # the client that failed would keep it open
        self._post(self._lost(reason))

    def _post(self, event: Message | SourceLost | None) -> None:
        if not self._closed.is_set() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def _on_connect(self, client: mqtt.Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._post(
                SourceLost(
                    f"The MQTT broker {self.where} refuses us: {reason}.",
                    f"MQTT 代理 {self.where} 拒绝连接:{reason}。",
                    "Check user and password.",
                    "请检查用户名和密码。",
                )
            )
            client.disconnect()
            return
        client.subscribe(self._topics)

    def _on_subscribe(self, client: mqtt.Client, data: Any, mid: int, reasons: list[Any], properties: Any) -> None:
        refused = [topic for (topic, _), reason in zip(self._topics, reasons, strict=False) if reason.is_failure]
        if refused:
            self._post(
                SourceLost(
                    f"The MQTT broker {self.where} does not let us read {', '.join(refused)}.",
                    f"MQTT 代理 {self.where} 不允许读取 {'、'.join(refused)}。",
                    "Check the user's rights at the broker.",
                    "请检查该用户在代理上的权限。",
                )
            )
            client.disconnect()
            return
        self._post(None)

    def _on_message(self, client: mqtt.Client, data: Any, message: mqtt.MQTTMessage) -> None:
        found = Message(message.topic, bytes(message.payload), message.retain, self._now_ms())
        while not self._slots.acquire(timeout=0.2):
            if self._closed.is_set():
                return
        self._post(found)

    def _lost(self, words: str) -> SourceLost:
        return SourceLost(
            f"The MQTT broker {self.where} cannot be reached: {words}.",
            f"无法连接 MQTT 代理 {self.where}:{words}。",
            "Check address, port, cable and broker.",
            "请检查地址、端口、网线和代理。",
        )

    async def next(self, timeout_s: float) -> Message | None:
        """The next message; None when none came in time. Raises SourceLost."""
        try:
            async with asyncio.timeout(timeout_s):
                event = await self._events.get()
        except TimeoutError:
            return None
        if isinstance(event, SourceLost):
            raise event
        if event is not None:
            self._slots.release()
        return event

    def publish(self, topic: str, payload: bytes) -> None:
        if self._mqtt is not None:
            self._mqtt.publish(topic, payload, qos=0, retain=False)

    async def close(self) -> None:
        """DISCONNECT. paho's thread ends by itself; a connect under way may take its time-out."""
        self._closed.set()
        client, self._mqtt = self._mqtt, None
        thread, self._thread = self._thread, None
        if client is not None:
            client.disconnect()
        if thread is not None:
            await asyncio.to_thread(thread.join, JOIN_S)
