"""An own certificate authority as PEM files: `ca.pem`, `ca.key` (0600), and below `issued/` one certificate and key a broker or edge.

ECDSA P-256, SHA-256. A client's common name is its edge id; a broker's names are subject alternative names, with localhost and 127.0.0.1 always.
"""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge_agent.contract.clock import PlantClock
from mes_server.ingest.edge_lists import write_private
from mes_server.kit.files import write_whole

CA_DAYS = 3_650
DAYS_MAX = 3_650


class AuthorityFailed(Exception):
    """What is wrong and the next step, in both languages."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh, self.en = zh, en


class Authority:
    """The files in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self) -> Path:
        """Makes it once. Raises AuthorityFailed where there is one: a new one would make every certificate worthless."""
        if (self._folder / "ca.pem").exists():
            raise AuthorityFailed(
                f"{self._folder} 中已有证书颁发机构,保持不变。如需新的,请用 --dir 指定其他目录。",
                f"There is an authority in {self._folder}; it stays as it is. For a new one name another folder with --dir.",
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gemba plant authority")])
        builder = _builder(name, name, key.public_key(), CA_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        _write_key(self._folder / "ca.key", key)
        _write_certificate(self._folder / "ca.pem", builder.sign(key, hashes.SHA256()))
        return self._folder / "ca.pem"

    def client(self, edge: str, days: int) -> tuple[Path, Path]:
        """(certificate, key) of an edge. Raises AuthorityFailed."""
        return self._issue(edge, [], [ExtendedKeyUsageOID.CLIENT_AUTH], days)

    def server(self, names: list[str], days: int) -> tuple[Path, Path]:
        """(certificate, key) of a broker that is reached by these names or addresses; the server itself may show it as client too."""
        every = list(dict.fromkeys([*names, "localhost", "127.0.0.1"]))
        return self._issue(names[0], every, [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH], days)

    def _issue(self, called: str, names: list[str], usages: list[x509.ObjectIdentifier], days: int) -> tuple[Path, Path]:
        if not 1 <= days <= DAYS_MAX:
            raise AuthorityFailed(f"有效期须为 1 至 {DAYS_MAX} 天。", f"Valid for 1 to {DAYS_MAX} days, not {days}.")
        try:
            ca = x509.load_pem_x509_certificate((self._folder / "ca.pem").read_bytes())
            ca_key = serialization.load_pem_private_key((self._folder / "ca.key").read_bytes(), None)
        except (OSError, ValueError) as error:
            raise AuthorityFailed(
                f"无法读取 {self._folder} 中的证书颁发机构:{error}。请先运行 gemba-server ca init。",
                f"The authority in {self._folder} cannot be read: {error}. Run gemba-server ca init first.",
            ) from error
        assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, called)])
        builder = _builder(subject, ca.subject, key.public_key(), days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        issued = self._folder / "issued"
        issued.mkdir(exist_ok=True)
        certificate, private = issued / f"{called}.pem", issued / f"{called}.key"
        _write_key(private, key)
        _write_certificate(certificate, builder.sign(ca_key, hashes.SHA256()))
        return certificate, private


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.fromtimestamp(PlantClock().now_ms() / 1000, datetime.UTC)
    begun = now - datetime.timedelta(hours=1)  # boxes whose clock is a little behind
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(begun).not_valid_after(now + datetime.timedelta(days=days))


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(path, pem.decode())


def _write_certificate(path: Path, certificate: x509.Certificate) -> None:
    write_whole(path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
