"""A PLC that nobody of this project wrote: open62541 (the C stack, in o6's wheel) with one machine. Same orders and answers as opcua_server.mjs.

    python open62541_server.py PORT PKI_FOLDER '{"Good": 65530}'

Without a credential o6 runs ten minutes at most ("Script Mode", commercial use permitted): enough for a test, so it is imported here alone.
"""

from __future__ import annotations

import ipaddress
import json
import sys
import time
from pathlib import Path
from typing import Any

import o6
from asyncua.crypto import cert_gen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

NAMESPACE = "urn:gemba:test:plc"
URI = "urn:gemba:test:open62541"
TYPES: dict[str, tuple[Any, Any]] = {
    "State": (o6.Int32, 0),
    "Good": (o6.UInt16, 0),
    "Scrap": (o6.Int32, 0),
    "Order": (o6.String, ""),
    "Temperature": (o6.Double, 0.0),
}
TICKS_A_MS, EPOCH_MS = 10_000, 11_644_473_600_000  # OPC UA counts 100 ns since 1601

o6.ns.namespace("plc", uri=NAMESPACE, version="1.0")


class OneUser(o6.AccessControl):
    """Lets only edge / secret in, and keeps by which endpoint they came (every policy is offered, and none at all)."""

    def __init__(self) -> None:
        super().__init__(anonymous=False, username=True)
        self.seen: list[dict[str, str]] = []

    def activateSession(self, endpoint: Any, remoteCertificate: bytes, session: Any, userIdentityToken: Any) -> Any:
        name, password = str(userIdentityToken.userName), bytes(userIdentityToken.password)
        if (name, password) != ("edge", b"secret"):
            raise o6.StatusCodeError(o6.StatusCode.BAD_USER_ACCESS_DENIED)
        mode = {3: "SignAndEncrypt", 2: "Sign"}.get(int(endpoint.securityMode), "None")
        self.seen.append({"mode": mode, "policy": str(endpoint.securityPolicyUri).rpartition("#")[2], "user": name})
        return None


def credentials(folder: Path) -> tuple[bytes, bytes]:
    """Certificate and key (DER), made once: a PLC that starts again is still the same PLC."""
    certificate, key = folder / "plc.der", folder / "plc.key"
    if not certificate.exists():
        folder.mkdir(parents=True, exist_ok=True)
        private = cert_gen.generate_private_key()
        names = [x509.UniformResourceIdentifier(URI), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        made = cert_gen.generate_self_signed_app_certificate(private, URI, {}, names, [ExtendedKeyUsageOID.SERVER_AUTH], days=30)
        key.write_bytes(cert_gen.dump_private_key_as_pem(private))
        certificate.write_bytes(made.public_bytes(Encoding.DER))
    return certificate.read_bytes(), key.read_bytes()


class Plc:
    def __init__(self, port: int, folder: Path, first: dict[str, Any]) -> None:
        certificate, key = credentials(folder)
        self.users = OneUser()
        self.server = o6.Server(
            port=port,
            certificate=certificate,
            privateKey=key,
            acceptAllCertificates=True,
            applicationUri=URI,
            accessControl=self.users,
        )
        self.server.ns.append(sys.modules[__name__])
        self.nodes = {
            name: self.server.addVariable(name, self.server.objectsNode, kind(first.get(name, zero)), nodeId=f"ns=plc;s=SAW-01.{name}")
            for name, (kind, zero) in TYPES.items()
        }
        self.answer({"set": first})

    def answer(self, order: dict[str, Any]) -> Any:
        if "set" in order:
            # given as ticks: of a datetime this library makes one that is up to 2 µs too early
            at_ms = order.get("t_ms", round(time.time() * 1000))
            stamp = o6.DateTime((at_ms + EPOCH_MS) * TICKS_A_MS)
            for name, value in order["set"].items():
                data = o6.DataValue(value=TYPES[name][0](value), sourceTimestamp=stamp)
                status = self.server.write(self.nodes[name], data)
                assert status == o6.StatusCode.GOOD, status
            return {"ok": True}
        if "get" in order:
            return {name: self.held(name) for name in order["get"]}
        if "sessions" in order:
            return int(self.server.read("ns=0;i=2277"))  # ServerDiagnosticsSummary.CurrentSessionCount
        return self.users.seen

    def held(self, name: str) -> dict[str, Any]:
        data = self.server.read(self.nodes[name], valueOnly=False)
        value = str(data.value) if name == "Order" else float(data.value) if name == "Temperature" else int(data.value)
        return {"value": value, "t_ms": int(data.sourceTimestamp) // TICKS_A_MS - EPOCH_MS}


def main() -> None:
    plc = Plc(int(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
    with plc.server:
        print("=", json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            print("=", json.dumps(plc.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
