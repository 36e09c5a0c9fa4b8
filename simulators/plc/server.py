"""One OPC UA server for one line (asyncua): SignAndEncrypt and a user, own namespace URI, PackML-like variables, source timestamps of the plant.

Objects are machines, variables `<machine>.<Name>` with string identifiers in the line's namespace:
StateCurrent Int32, AlarmCode String, GoodCount/ScrapCount UInt32 (UInt16 on the old saw), OrderId/OperationId String, CycleTime Double s,
ToolWear Double 0..1.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.crypto.cert_gen import generate_private_key, generate_self_signed_app_certificate
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.server import Server
from asyncua.server.user_managers import UserManager
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from simulators.physics.events import Value
from simulators.physics.machine import Machine
from simulators.scenario import Line

_log = logging.getLogger(__name__)
_TYPES = {
    "StateCurrent": ua.VariantType.Int32,
    "AlarmCode": ua.VariantType.String,
    "GoodCount": ua.VariantType.UInt32,
    "ScrapCount": ua.VariantType.UInt32,
    "OrderId": ua.VariantType.String,
    "OperationId": ua.VariantType.String,
    "CycleTime": ua.VariantType.Double,
    "ToolWear": ua.VariantType.Double,
}


@dataclass(frozen=True, slots=True)
class PlcIdentity:
    """Where the server listens and who may come in."""

    port: int
    user: str
    password: str
    folder: Path  # own certificate and key, made at first start

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}/plc/"


class _OneUser(UserManager):  # type: ignore[misc]
    """Lets in exactly one user; anonymous and wrong passwords are refused."""

    def __init__(self, user: str, password: str) -> None:
        self._user, self._password = user, password

    def get_user(self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None) -> User | None:
        if username == self._user and password == self._password:
            return User(role=UserRole.User, name=username)
        return None


class LinePlc:
    def __init__(self, line: Line, machines: list[Machine], identity: PlcIdentity) -> None:
        self.line, self.identity = line, identity
        self._machines = machines
        self._server: Server | None = None
        self._nodes: dict[tuple[str, str], tuple[ua.NodeId, ua.VariantType]] = {}
        self._missed: set[tuple[str, str]] = set()  # variables that changed while the address space was being built
        self.lock = asyncio.Lock()  # one start or stop at a time

    @property
    def up(self) -> bool:
        return self._server is not None

    def _certificate(self) -> tuple[Path, Path]:
        folder = self.identity.folder
        cert, key = folder / f"plc-{self.line.code}.der", folder / f"plc-{self.line.code}.pem"
        if not cert.exists():
            folder.mkdir(parents=True, exist_ok=True)
            private = generate_private_key()
            names = [x509.UniformResourceIdentifier(self._uri), x509.DNSName(socket.gethostname()), x509.DNSName("localhost")]
            made = generate_self_signed_app_certificate(
                private, f"PLC {self.line.code}", {"organizationName": "Haitong Pumps"}, names, [ExtendedKeyUsageOID.SERVER_AUTH], days=3650
            )
            key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            key.chmod(0o600)
            cert.write_bytes(made.public_bytes(Encoding.DER))
        return cert, key

    @property
    def _uri(self) -> str:
        return f"{self.line.namespace}:server"

    async def start(self, stamp: Callable[[int], int]) -> None:
        """Builds the address space with the machines' present values; `stamp` makes a value's source time from the moment it was true from.

        (A controller that just started says "since now" of what it finds.)
        """
        server = Server(user_manager=_OneUser(self.identity.user, self.identity.password))
        await server.init()
        server.set_endpoint(self.identity.url)
        server.set_server_name(f"Haitong PLC {self.line.code}")
        server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
        server.set_identity_tokens([ua.UserNameIdentityToken])
        await server.set_application_uri(self._uri)
        cert, key = await asyncio.to_thread(self._certificate)
        await server.load_certificate(str(cert))
        await server.load_private_key(str(key))
        index = await server.register_namespace(self.line.namespace)
        for machine in self._machines:
            await self._add(server, index, machine, stamp)
        await server.start()
        self._server = server
        for code, name in self._missed:
            value, since_ms = next(m for m in self._machines if m.spec.code == code).variables[name]
            await self.write(code, name, value, since_ms)
        self._missed.clear()

    async def _add(self, server: Server, index: int, machine: Machine, stamp: Callable[[int], int]) -> None:
        code = machine.spec.code
        parent = await server.nodes.objects.add_object(_node_id(code, index), f"{index}:{code}")
        for name, (value, since_ms) in machine.variables.items():
            kind = _TYPES[name]
            if machine.spec.counter == "u16" and kind is ua.VariantType.UInt32:
                kind = ua.VariantType.UInt16
            node = await parent.add_variable(_node_id(f"{code}.{name}", index), f"{index}:{name}", ua.Variant(value, kind))
            self._nodes[code, name] = (node.nodeid, kind)
            await server.write_attribute_value(node.nodeid, _data(value, kind, stamp(since_ms)))
            self._missed.discard((code, name))

    async def write(self, machine: str, name: str, value: Value, at_ms: int) -> None:
        """One new value with the moment it was true from; nothing while the controller is down (it shows the newest when it is back)."""
        if self._server is None:
            self._missed.add((machine, name))
            return
        node, kind = self._nodes[machine, name]
        await self._server.write_attribute_value(node, _data(value, kind, at_ms))

    async def stop(self) -> None:
        server, self._server = self._server, None
        self._nodes.clear()
        if server is not None:
            await server.stop()


def _node_id(name: str, index: int) -> ua.NodeId:
    return ua.NodeId(name, index)


def _data(value: Value, kind: ua.VariantType, at_ms: int) -> ua.DataValue:
    when = datetime.fromtimestamp(at_ms / 1000, UTC)
    when = when.replace(microsecond=(at_ms % 1000) * 1000)  # floats of seconds lose the last millisecond
    return ua.DataValue(Value=ua.Variant(value, kind), SourceTimestamp=when, ServerTimestamp=when)
