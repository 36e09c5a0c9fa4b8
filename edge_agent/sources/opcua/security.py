"""Own certificate, the strongest policy a server offers, and whether its certificate is the one we trust."""

from __future__ import annotations

import hashlib
import socket
from dataclasses import dataclass
from pathlib import Path

from asyncua import Client, ua
from asyncua.crypto import cert_gen, security_policies
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from edge_agent.errors import SourceLost, SourceMisconfigured
from edge_agent.sources.opcua.config import OpcUaConfig

# Strongest first. Basic128Rsa15 and Basic256 are broken (SHA-1) and never used.
POLICIES: dict[str, type[security_policies.SecurityPolicy]] = {
    "Aes256Sha256RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
    "Aes128Sha256RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
}
_VALID_DAYS = 20 * 365  # a PLC trusts this very certificate; it must not change by itself


@dataclass(frozen=True, slots=True)
class Choice:
    """A policy and the server's certificate (DER)."""

    policy: type[security_policies.SecurityPolicy]
    name: str
    certificate: bytes


def application_uri(edge: str) -> str:
    return f"urn:gemba:edge:{edge}"


def own_certificate(pki_dir: Path, uri: str) -> tuple[Path, Path]:
    """(certificate DER, key PEM), made at first use with the ApplicationUri that the session will name (else BadCertificateUriInvalid)."""
    certificate, key_file = pki_dir / "own" / "certificate.der", pki_dir / "own" / "key.pem"
    if certificate.exists() and key_file.exists():
        return certificate, key_file
    key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = cert_gen.generate_private_key()
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri), x509.DNSName(socket.gethostname())]
    made = cert_gen.generate_self_signed_app_certificate(
        key, uri, {"organizationName": "Gemba"}, names, extended=[ExtendedKeyUsageOID.CLIENT_AUTH], days=_VALID_DAYS
    )
    key_file.touch(mode=0o600)
    key_file.write_bytes(cert_gen.dump_private_key_as_pem(key))
    certificate.write_bytes(made.public_bytes(encoding=Encoding.DER))
    return certificate, key_file


def fingerprint(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


def choose(endpoints: list[ua.EndpointDescription], wanted: str) -> Choice:
    """The wanted policy, or the strongest offered, with SignAndEncrypt. Raises SourceMisconfigured with what is offered."""
    offered: dict[str, bytes] = {}
    for endpoint in endpoints:
        name = endpoint.SecurityPolicyUri.rpartition("#")[2].replace("_", "")  # on the wire "Aes256_Sha256_RsaPss"
        if endpoint.SecurityMode == ua.MessageSecurityMode.SignAndEncrypt and name in POLICIES and endpoint.ServerCertificate:
            offered[name] = _first_certificate(endpoint.ServerCertificate)
    for name, policy in POLICIES.items():
        if name in offered and wanted in ("best", name):
            return Choice(policy, name, offered[name])
    seen = ", ".join(sorted(offered)) or "none"
    raise SourceMisconfigured(
        f"The server offers no SignAndEncrypt endpoint for security = {wanted!r} (offered: {seen}).",
        f"服务器没有满足 security = {wanted!r} 的加密端点(提供:{seen})。",
        "Switch one on at the server, or choose another `security`.",
        "请在服务器上启用,或修改 `security`。",
    )


def _first_certificate(der: bytes) -> bytes:
    """A chain begins with the server's own certificate; its DER length stands in its head."""
    if len(der) > 4 and der[0] == 0x30 and der[1] == 0x82:
        return der[: 4 + int.from_bytes(der[2:4], "big")]
    return der


def check_trust(config: OpcUaConfig, source: str, certificate: bytes) -> None:
    """Raises SourceMisconfigured when the certificate is not the trusted one; keeps it when first use is allowed."""
    seen = fingerprint(certificate)
    if config.trust == "fingerprint":
        expected = (config.server_fingerprint or "").replace(":", "").lower()
        if seen != expected:
            raise SourceMisconfigured(
                f"The server's certificate has fingerprint {seen}, not the one in server_fingerprint.",
                f"服务器证书指纹为 {seen},与 server_fingerprint 不符。",
                "If the server is the right one, copy this fingerprint into the config.",
                "确认服务器无误后,将该指纹写入配置。",
            )
        return
    kept = config.pki_dir / "trusted" / f"{source}.der"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(certificate)
    elif kept.read_bytes() != certificate:
        raise SourceMisconfigured(
            f"The server shows another certificate (fingerprint {seen}) than at first use.",
            f"服务器证书(指纹 {seen})与首次使用时不同。",
            f"If it was renewed on purpose, delete {kept}.",
            f"如确为更换,请删除 {kept}。",
        )


async def secure(client: Client, config: OpcUaConfig, source: str, uri: str) -> str:
    """Prepares `client` for its connect; returns the policy's name. Raises SourceLost, SourceMisconfigured."""
    client.application_uri = uri
    client.name = client.description = "Gemba edge"
    if config.security == "none":
        return "none"
    endpoints = await client.connect_and_get_server_endpoints()
    choice = choose(endpoints, config.security)
    check_trust(config, source, choice.certificate)
    certificate, key = own_certificate(config.pki_dir, uri)
    try:
        await client.set_security(choice.policy, certificate, key, server_certificate=choice.certificate, mode=ua.MessageSecurityMode.SignAndEncrypt)
    except (ValueError, OSError) as error:
        raise SourceLost(f"Security cannot be set up: {error}.", f"无法建立安全通道:{error}。") from error
    return choice.name
