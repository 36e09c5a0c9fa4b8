"""The edge agent's neighbours for tests, all real: an OPC UA server, a Modbus slave, and a host application that books as the server does.

with Plc() as plc: plc.add("SAW-01", {"State": (2, VariantType.Int32)}); plc.set("SAW-01.State", 6, t_ms)
with Meter({1: {(4, 52): [...]}}) as meter: registers by unit and (function code, address)
with Host(broker) as host: host.facts, host.online(), host.answering = False
config_text(...) -> TOML of an agent over them
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from asyncua import Server, ua
from asyncua.crypto import cert_gen
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.user_managers import UserManager
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge_agent.contract import names
from edge_agent.contract.clock import Clock
from edge_agent.contract.delivery import Marks
from edge_agent.contract.payload import decode, get_value
from edge_agent.contract.sparkplug_b_pb2 import Payload
from edge_agent.contract.topics import parse, state_topic
from tests.support.broker import SERVER_USER, Broker, free_port

NAMESPACE = "urn:gemba:test:plc"
EPOCH = datetime(1970, 1, 1)


class _Loop:
    """A thread with an event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def call(self, coroutine: Any, seconds: float = 120.0) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds)

    def close(self) -> None:
        async def cancel() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        with contextlib.suppress(Exception):
            self.call(cancel(), 5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()


class _OneUser(UserManager):
    def get_user(self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None) -> User | None:
        return User(role=UserRole.User, name=username) if (username, password) == ("edge", "secret") else None


class Plc:
    """An OPC UA server (no security, anonymous) with string nodes in NAMESPACE; values may carry source times of plant time."""

    def __init__(self, port: int = 0, secure: Path | None = None) -> None:
        """`secure`: a folder for its certificate; then only SignAndEncrypt and user edge / secret come in."""
        self.secure = secure
        self.port = port or free_port()
        self.url = f"opc.tcp://127.0.0.1:{self.port}/test/"
        self._nodes: dict[str, Any] = {}
        self._loop: _Loop | None = None
        self._server: Any = None
        self._wanted: dict[str, tuple[Any, ua.VariantType]] = {}
        self._index = 0

    def __enter__(self) -> Plc:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        self._loop = _Loop()
        self._loop.call(self._start(), 120.0)  # a busy machine takes long over the address space

    async def _start(self) -> None:
        server = Server(user_manager=_OneUser() if self.secure else None)
        await server.init()
        server.set_endpoint(self.url)
        if self.secure is None:
            server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        else:
            await self._make_secure(server, self.secure)
        self._index = await server.register_namespace(NAMESPACE)
        self._server = server
        for name, (value, kind) in self._wanted.items():
            await self._make(name, value, kind)
        await server.start()

    async def _make_secure(self, server: Any, folder: Path) -> None:
        uri = "urn:gemba:test:plc:server"
        server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt, ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt])
        server.set_identity_tokens([ua.UserNameIdentityToken])
        await server.set_application_uri(uri)
        certificate, key = folder / "plc.der", folder / "plc.pem"
        if not certificate.exists():
            private = cert_gen.generate_private_key()
            alternatives = [x509.UniformResourceIdentifier(uri), x509.DNSName("localhost")]
            made = cert_gen.generate_self_signed_app_certificate(private, uri, {}, alternatives, [ExtendedKeyUsageOID.SERVER_AUTH], days=30)
            key.write_bytes(cert_gen.dump_private_key_as_pem(private))
            certificate.write_bytes(made.public_bytes(Encoding.DER))
        await server.load_certificate(str(certificate))
        await server.load_private_key(str(key))

    def stop(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(Exception):
                self._loop.call(self._server.stop(), 10)
            self._loop.close()
            self._loop = None

    async def _make(self, name: str, value: Any, kind: ua.VariantType) -> None:
        node = await self._server.nodes.objects.add_variable(ua.NodeId(name, self._index), name, value, kind)
        self._nodes[name] = node
        self._wanted[name] = (value, kind)

    def add(self, name: str, value: Any, kind: ua.VariantType) -> None:
        assert self._loop is not None
        self._loop.call(self._make(name, value, kind))

    async def _write(self, changes: list[tuple[str, Any, int | None]], status: int | None) -> None:
        for name, value, t_ms in changes:
            kind = self._wanted[name][1]
            self._wanted[name] = (value, kind)
            stamp = datetime.now(UTC).replace(tzinfo=None) if t_ms is None else EPOCH + timedelta(milliseconds=t_ms)
            code = ua.StatusCode(status) if status is not None else ua.StatusCode(ua.StatusCodes.Good)
            data = ua.DataValue(ua.Variant(value, kind), code, SourceTimestamp=stamp)
            await self._server.write_attribute_value(self._nodes[name].nodeid, data)

    def set(self, name: str, value: Any, t_ms: int | None = None, status: int | None = None) -> None:
        assert self._loop is not None
        self._loop.call(self._write([(name, value, t_ms)], status))

    def set_many(self, changes: list[tuple[str, Any, int | None]]) -> None:
        assert self._loop is not None
        self._loop.call(self._write(changes, None))


class Meter:
    """A Modbus TCP slave: per unit a table of 65,536 registers shared by functions 3 and 4; `silent` units do not answer."""

    def __init__(self, units: tuple[int, ...] = (1,), port: int = 0) -> None:
        self.port = port or free_port()
        self.registers: dict[int, dict[int, int]] = {unit: {} for unit in units}
        self.silent: set[int] = set()
        self.illegal: set[int] = set()  # addresses that give exception 2
        self.busy = 0  # so many requests are answered "busy"
        self.requests = 0
        self._loop: _Loop | None = None
        self._server: ModbusTcpServer | None = None

    def __enter__(self) -> Meter:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        self._loop = _Loop()
        self._loop.call(self.serve())

    async def serve(self) -> None:
        """Starts in the running event loop (for tests that share a clock with the agent)."""
        devices = [
            SimDevice(unit, simdata=[SimData(0, values=[0], count=10_000, datatype=DataType.REGISTERS)], action=self._action(unit))
            for unit in self.registers
        ]
        self._server = ModbusTcpServer(devices, address=("127.0.0.1", self.port))
        await self._server.serve_forever(background=True)

    async def shut(self) -> None:
        if self._server is not None:
            await self._server.shutdown()

    def stop(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(Exception):
                self._loop.call(self.shut(), 5)
            self._loop.close()
            self._loop = None

    def _action(self, unit: int) -> Any:
        async def act(function: int, start: int, address: int, count: int, current: list[int], values: Any) -> ExcCodes | None:
            self.requests += 1
            if unit in self.silent:
                await asyncio.sleep(3600)
            if self.busy:
                self.busy -= 1
                return ExcCodes.DEVICE_BUSY
            if any(at in self.illegal for at in range(address, address + count)):
                return ExcCodes.ILLEGAL_ADDRESS
            mine = self.registers[unit]
            for at in range(address, address + count):
                current[at - start] = mine.get(at, 0)
            return None

        return act

    def put(self, unit: int, address: int, words: list[int]) -> None:
        for i, word in enumerate(words):
            self.registers[unit][address + i] = word


@dataclass(frozen=True)
class Fact:
    device: str
    name: str
    t_ms: int
    value: Any
    historical: bool
    n: int
    epoch: str


@dataclass
class Booked:
    """What the host holds of one epoch."""

    mark: int = 0
    facts: list[Fact] = field(default_factory=list)
    ahead: dict[int, list[Fact]] = field(default_factory=dict)  # of bundles, until what is before them is there

    def take(self, n: int, facts: list[Fact]) -> None:
        self.ahead[n] = facts
        while self.mark + 1 in self.ahead:
            self.mark += 1
            self.facts += self.ahead.pop(self.mark)
        self.ahead = {number: some for number, some in self.ahead.items() if number > self.mark}


class Host:
    """A Sparkplug host application that applies records as the server does: in the order of their numbers or not at all, then answers."""

    def __init__(self, broker: Broker, group: str = "PUMP", edge: str = "EDGE-L1", host: str = "gemba") -> None:
        self.broker, self.group, self.edge, self.host = broker, group, edge, host
        self.booked: dict[str, Booked] = defaultdict(Booked)
        self.live: list[Fact] = []  # everything that came, in order of arrival
        self.messages: list[tuple[str, Payload]] = []
        self.names: dict[int, tuple[str, str, int]] = {}  # alias -> device, name, datatype
        self.answering = True
        self.drop_every = 0
        self.errors: list[str] = []
        self._count = 0
        self._seq: int | None = None
        self._client: mqtt.Client | None = None
        self._lock = threading.Lock()
        self.stamp = int(time.time() * 1000)

    def __enter__(self) -> Host:
        self.connect()
        return self

    def __exit__(self, *exc: object) -> None:
        self.disconnect()

    def connect(self) -> None:
        user, password = self.broker.credentials(SERVER_USER)
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"host-{self.host}", clean_session=True)
        client.username_pw_set(user, password)
        self.stamp = max(self.stamp + 1, int(time.time() * 1000))
        client.will_set(state_topic(self.host), json.dumps({"online": False, "timestamp": self.stamp}), 1, True)
        ready = threading.Event()
        self._subscribed_before = False
        client.on_connect = lambda c, *_: c.subscribe([(state_topic(self.host), 1), (f"spBv1.0/{self.group}/#", 0)])
        client.on_subscribe = lambda *_: (self._subscribed(), ready.set())
        client.on_message = self._on_message
        client.reconnect_delay_set(0.2, 1)
        self._client = client
        client.connect(self.broker.host, self.broker.port)
        client.loop_start()
        assert ready.wait(60)

    def disconnect(self) -> None:
        if self._client is not None:
            self.offline()
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None

    def _subscribed(self) -> None:
        """After a lost connection the picture of the node is old: the node may have been born again while nobody listened, and a broker that kept
        STATE tells it that the host is there. So the numbers start anew and a birth is asked for, as the server does."""
        self.online()
        if self._subscribed_before:
            with self._lock:
                self._seq = None
            self.command(**{names.REBIRTH: True})
        self._subscribed_before = True

    def online(self) -> None:
        self._state(True)

    def offline(self) -> None:
        self.stamp += 1
        self._state(False)

    def _state(self, online: bool) -> None:
        assert self._client is not None
        self._client.publish(state_topic(self.host), json.dumps({"online": online, "timestamp": self.stamp}), 1, True)

    def command(self, **metrics: Any) -> None:
        payload = Payload(timestamp=int(time.time() * 1000))
        for name, value in metrics.items():
            metric = payload.metrics.add(name=name, timestamp=payload.timestamp)
            if isinstance(value, bool):
                metric.datatype, metric.boolean_value = 11, value
            elif isinstance(value, int):
                metric.datatype, metric.long_value = 4, value
            else:
                metric.datatype, metric.string_value = 12, value
        assert self._client is not None
        self._client.publish(f"spBv1.0/{self.group}/NCMD/{self.edge}", payload.SerializeToString(), 0)

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        if message.topic.startswith("spBv1.0/STATE/") or "/NCMD/" in message.topic:
            return
        try:
            with self._lock:
                self._take(message.topic, decode(message.payload))
        except (ValueError, KeyError) as error:
            self.errors.append(f"{message.topic}: {error!r}")

    def _take(self, topic: str, payload: Payload) -> None:
        where = parse(topic)
        self.messages.append((topic, payload))
        if where.kind == "NDEATH":
            self._seq = None
            return
        if where.kind == "NBIRTH":
            if payload.seq != 0:
                self.errors.append(f"NBIRTH with seq {payload.seq}")
            self.names.clear()
            for booked in self.booked.values():
                booked.ahead.clear()
        elif self._seq is None:
            return  # came before a birth we saw
        elif payload.seq != (self._seq + 1) % 256:
            self.errors.append(f"{topic}: seq {payload.seq} after {self._seq}")
        self._seq = payload.seq
        if where.kind in ("NBIRTH", "DBIRTH"):
            for metric in payload.metrics:
                if metric.HasField("alias"):
                    self.names[metric.alias] = (where.device or "", metric.name, metric.datatype)
            return
        if where.kind != "DDATA":
            return
        self._data(where.device or "", payload)

    def _data(self, device: str, payload: Payload) -> None:
        marks = Marks.parse(payload.uuid, len(payload.metrics))
        numbers = [n for n, count in zip(marks.numbers, marks.counts, strict=True) for _ in range(count)]
        facts = []
        for n, metric in zip(numbers, payload.metrics, strict=True):
            owner, name, datatype = self.names[metric.alias]
            if owner != device:
                self.errors.append(f"alias {metric.alias} of {owner} in data of {device}")
            facts.append(Fact(device, name, metric.timestamp, get_value(metric, datatype), metric.is_historical, n, marks.epoch))
        self.live += facts
        self._count += 1
        if self.drop_every and self._count % self.drop_every == 0:
            return
        booked = self.booked[marks.epoch]
        for n in marks.numbers:
            if n == booked.mark + 1 or (len(marks.numbers) > 1 and n > booked.mark):
                booked.take(n, [fact for fact in facts if fact.n == n])
        if self.answering:
            self.command(**{names.STORED_EPOCH: marks.epoch, names.STORED_UP_TO: booked.mark})

    # --- questions -----------------------------------------------------------------------------------------------------------
    def facts(self, device: str, name: str) -> list[Fact]:
        """Booked facts of one metric over all epochs, in order."""
        with self._lock:
            return [fact for booked in self.booked.values() for fact in booked.facts if (fact.device, fact.name) == (device, name)]

    def values(self, device: str, name: str) -> list[Any]:
        return [fact.value for fact in self.facts(device, name)]

    def last(self, device: str, name: str) -> Any:
        found = self.values(device, name)
        return found[-1] if found else None

    def kinds(self) -> list[str]:
        return [topic.split("/")[2] for topic, _ in self.messages]


def config_text(broker: Broker | Path, sources: str, *, edge: str = "EDGE-L1", buffer: str = "edge.buffer", more: str = "") -> str:
    """TOML of an agent; `sources` are its [sources…] tables, `more` goes before them (for [delivery]). `broker` may be a credentials file."""
    credentials = broker if isinstance(broker, Path) else broker.credentials_file(edge)
    return (
        f'group = "PUMP"\nedge = "{edge}"\nhost = "gemba"\n\n[[brokers]]\ncredentials_file = "{credentials}"\nkeepalive_s = 5\n\n'
        f'[buffer]\npath = "{buffer}"\n\n{more}\n{sources}'
    )


def machine_source(plc: Plc, metrics: str, device: str = "SAW-01", name: str = "PLC", more: str = "", device_more: str = "") -> str:
    security = 'security = "none"' if plc.secure is None else 'trust = "first_use"\nuser = "edge"\npassword_file = "plc.password"'
    return (
        f'[sources.{name}]\ntype = "opcua"\nurl = "{plc.url}"\n{security}\npublishing_interval_s = 0.05\nsettle_s = 0.15\n{more}\n'
        f'[sources.{name}.devices.{device}]\nkind = "machine"\nnamespace = "{NAMESPACE}"\nnode_prefix = "{device}."\n{device_more}\n'
        f"[sources.{name}.devices.{device}.metrics]\n{metrics}\n"
    )


class AgentProcess:
    """`gemba-edge run` as a process of its own, which a test may kill."""

    def __init__(self, config: Path, *more: str) -> None:
        self.config = config
        self.more = more
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "edge_agent", "run", "--config", str(self.config), *self.more]
        self.process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)


class AgentHere:
    """The same in this process, where a test can break it at one place."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self._running = contextlib.ExitStack()

    def start(self) -> None:
        self._running.enter_context(running(self.config))

    def terminate(self) -> None:
        self._running.close()


@contextlib.contextmanager
def running(config: Path, speed: float = 1.0, clock: Clock | None = None) -> Iterator[Any]:
    """An agent in this process, in a thread of its own; stopped cleanly at the end. `clock`: instead of the wall clock at `speed`."""
    from edge_agent.app import build_agent
    from edge_agent.config_text import load
    from edge_agent.contract.clock import PlantClock

    loop = _Loop()
    logged: list[str] = []

    async def build() -> Any:
        return build_agent(load(config), clock or PlantClock.parse(None, None, speed), logged.append)

    agent = loop.call(build())
    agent.logged = logged
    future = asyncio.run_coroutine_threadsafe(agent.run(), loop.loop)
    try:
        yield agent
    finally:
        loop.loop.call_soon_threadsafe(agent.stop)
        try:
            future.result(60)
        finally:
            loop.close()
