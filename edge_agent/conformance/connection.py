"""How check-sparkplug reaches a broker: address, sign-in, TLS; connecting in words."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_agent.config_model import read_secret
from edge_agent.errors import EdgeError

CONNECT_S = 10.0
KEEPALIVE_S = 20
OnMessage = Callable[[str, bytes, int, bool], None]


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """`tls`: the scheme was mqtts, or a CA file was named."""

    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str | None = None
    ca_file: Path | None = None

    @classmethod
    def parse(cls, url: str, user: str | None = None, password_file: Path | None = None, ca_file: Path | None = None) -> BrokerAddress:
        """From mqtt://host:port or mqtts://host:port. Raises EdgeError."""
        parts = urlsplit(url if "://" in url else f"mqtt://{url}")
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if parts.scheme not in ("mqtt", "mqtts") or not host:
            raise EdgeError(f"{url!r} is no broker address.", f"{url!r} 不是代理地址。", "Write mqtt://host:1883.", "请写成 mqtt://主机:1883。")
        try:
            password = read_secret(password_file)
        except OSError as error:
            raise EdgeError(
                f"The password file cannot be read: {error}.", f"无法读取密码文件:{error}。", "Check --password-file.", "请检查 --password-file。"
            ) from error
        tls = parts.scheme == "mqtts" or ca_file is not None
        return cls(host, port or (8883 if tls else 1883), tls, user, password, ca_file)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def context(self) -> ssl.SSLContext:
        """TLS with the named CA, else the system's. Raises EdgeError."""
        try:
            return ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        except (OSError, ssl.SSLError) as error:
            raise EdgeError(f"{self.ca_file} is no CA file: {error}.", f"{self.ca_file} 不是 CA 文件:{error}。") from error


class Subscriber:
    """One connection that listens. With MQTT 5 the retain flag arrives as it was published; `tells_retain` says whether that is so."""

    def __init__(self, address: BrokerAddress, filters: list[str], on_message: OnMessage, *, live_only: bool) -> None:
        self._address, self._filters, self._on_message, self._live_only = address, filters, on_message, live_only
        self._done = threading.Event()
        self._fault = ""
        self.tells_retain = False
        self.lost = ""
        self._client: mqtt.Client | None = None

    def open(self) -> None:
        """Connects by MQTT 5, where a broker has only 3.1.1 by that. Raises EdgeError in words."""
        for protocol in (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311):
            self._done.clear()
            self._fault = self.lost = ""
            self._client = self._make(protocol)
            self.tells_retain = protocol == MQTTProtocolVersion.MQTTv5
            try:
                self._client.connect(self._address.host, self._address.port, KEEPALIVE_S)
            except (OSError, ValueError) as error:
                raise self._cannot(str(error)) from error
            self._client.loop_start()
            if self._done.wait(CONNECT_S) and not self._fault:
                return
            self.close()
        raise self._cannot(self._fault or "no answer")

    def _cannot(self, why: str) -> EdgeError:
        then = (
            "Check address, --user, --password-file, and that this user may read spBv1.0/#.",
            "请检查地址、--user、--password-file,以及该用户可读 spBv1.0/#。",
        )
        if "certificate" in why.lower():
            then = ("Name the CA that signed its certificate: --ca-file.", "请用 --ca-file 指定签发其证书的 CA。")
        return EdgeError(f"The broker {self._address} cannot be watched: {why}.", f"无法监视代理 {self._address}:{why}。", *then)

    def _make(self, protocol: MQTTProtocolVersion) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=protocol, reconnect_on_failure=False)
        client.connect_timeout = CONNECT_S
        if self._address.user is not None:
            client.username_pw_set(self._address.user, self._address.password)
        if self._address.tls:
            client.tls_set_context(self._address.context())
        client.on_connect, client.on_subscribe = self._connected, self._subscribed
        client.on_disconnect, client.on_message = self._disconnected, self._message
        return client

    def _connected(self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._fault = str(reason)
            self._done.set()
        elif self.tells_retain:
            options = SubscribeOptions(qos=2, retainAsPublished=True, retainHandling=2 if self._live_only else 0)
            client.subscribe([(one, options) for one in self._filters])
        else:
            client.subscribe([(one, 2) for one in self._filters])

    def _subscribed(self, _client: Any, _userdata: Any, _mid: int, reasons: list[Any], _properties: Any) -> None:
        refused = [one for one, reason in zip(self._filters, reasons, strict=False) if reason.is_failure]
        if self._filters[0] in refused:  # the others are for old hosts and may be out of our rights
            self._fault = f"it does not let us subscribe {', '.join(refused)}"
        self._done.set()

    def _disconnected(self, client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if client is not self._client:
            return  # the attempt before
        if self._done.is_set():
            self.lost = str(reason)
        elif not self._fault:
            self._fault = str(reason)
            self._done.set()

    def _message(self, _client: Any, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        self._on_message(topic, bytes(message.payload), message.qos, message.retain)

    def publish(self, topic: str, payload: bytes) -> None:
        if self._client is not None:
            self._client.publish(topic, payload, qos=0)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()
