"""X.509 for OPC UA (OPC 10000-6, 6.2): our own application certificate, and what stands in one, in words. Knows no connection."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import ipaddress
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from asyncua.crypto import cert_gen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from edge_agent import durable
from edge_agent.errors import SourceMisconfigured

VALID_DAYS = 20 * 365  # a PLC trusts this very certificate; it must not change by itself
WARN_DAYS, URGENT_DAYS = 30, 7
Words = tuple[str, str]  # English, Chinese


@dataclass(frozen=True, slots=True)
class Facts:
    """What a person looks at. Times are UTC."""

    subject: str
    issuer: str
    uris: tuple[str, ...]  # ApplicationUri stands here
    hosts: tuple[str, ...]  # DNS names and addresses
    valid_from: datetime
    valid_to: datetime
    fingerprint: str  # SHA-256 of the DER, hex


def fingerprint(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


def spaced(print_: str) -> str:
    """In pairs, as other tools show it: easier to compare by eye."""
    return ":".join(print_[at : at + 2] for at in range(0, len(print_), 2)).upper()


def facts(certificate: x509.Certificate) -> Facts:
    uris: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    with contextlib.suppress(x509.ExtensionNotFound):
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = tuple(names.get_values_for_type(x509.UniformResourceIdentifier))
        addresses = tuple(str(address) for address in names.get_values_for_type(x509.IPAddress))
        hosts = (*names.get_values_for_type(x509.DNSName), *addresses)
    der = certificate.public_bytes(Encoding.DER)
    return Facts(
        certificate.subject.rfc4514_string(),
        certificate.issuer.rfc4514_string(),
        uris,
        hosts,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        fingerprint(der),
    )


def split_chain(der: bytes) -> list[bytes]:
    """A server may send its whole chain one after another (OPC 10000-6, 6.2.6); each begins with its own length."""
    out = []
    while len(der) > 4 and der[0] == 0x30 and der[1] == 0x82:
        length = 4 + int.from_bytes(der[2:4], "big")
        out.append(der[:length])
        der = der[length:]
    return out or [der]


def load(path: Path) -> x509.Certificate:
    """A DER or PEM file. Raises SourceMisconfigured that names it."""
    try:
        raw = path.read_bytes()
        return x509.load_pem_x509_certificate(raw) if raw.lstrip().startswith(b"-----") else x509.load_der_x509_certificate(raw)
    except (OSError, ValueError) as error:
        raise SourceMisconfigured(
            f"{path} is no certificate that can be read: {error}.",
            f"{path} 不是可读取的证书:{error}。",
            "Put a DER or PEM certificate there, or remove the file.",
            "请放入 DER 或 PEM 证书,或删除该文件。",
        ) from error


def load_key(path: Path) -> rsa.RSAPrivateKey:
    """A DER or PEM file without a password; read again when it was changed. Raises OSError, ValueError, TypeError."""
    stat = path.stat()
    return _key(path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=16)
def _key(path: Path, _mtime_ns: int, _size: int) -> rsa.RSAPrivateKey:
    raw = path.read_bytes()
    key = load_pem_private_key(raw, None) if raw.lstrip().startswith(b"-----") else load_der_private_key(raw, None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(f"{path} holds no RSA key")
    return key


def expiry(whose: Words, valid_to: datetime, now: datetime, then: Words) -> Words | None:
    """The alarm before a certificate ends, WARN_DAYS ahead; None while there is time. `then`: what to do."""
    left = valid_to - now
    day = f"{valid_to:%Y-%m-%d}"
    if left > timedelta(days=WARN_DAYS):
        return None
    if left <= timedelta(0):
        return f"{whose[0]} ended on {day}. {then[0]}", f"{whose[1]}已于 {day} 过期。{then[1]}"
    days = max(1, round(left / timedelta(days=1)))
    urgent = ("Urgent: ", "紧急:") if left <= timedelta(days=URGENT_DAYS) else ("", "")
    return f"{urgent[0]}{whose[0]} ends in {days} day(s), on {day}. {then[0]}", f"{urgent[1]}{whose[1]}将在 {days} 天后({day})过期。{then[1]}"


NAMELESS = "browse"  # who a box is that has no config yet


def application_uri(edge: str) -> str:
    return f"urn:gemba:edge:{edge}"


# --- our own -------------------------------------------------------------------------------------------------------------------
class Own(NamedTuple):
    certificate: Path  # DER
    key: Path  # PEM, readable by its owner only


def own_paths(pki_dir: Path) -> Own:
    return Own(pki_dir / "own" / "certificate.der", pki_dir / "own" / "key.pem")


def own_certificate(pki_dir: Path, uri: str, server_host: str = "") -> Own:
    """Made at first use with the ApplicationUri that the session will name (else servers answer BadCertificateUriInvalid)."""
    own = own_paths(pki_dir)
    if own.certificate.exists() and own.key.exists() and uri in facts(load(own.certificate)).uris:
        return own  # the folder may be one that we only read
    with _making(own):  # several sources begin at once, and a person may call `certificate` or `browse` meanwhile
        return _own_certificate(own, uri, server_host)


def _own_certificate(own: Own, uri: str, server_host: str) -> Own:
    if not (own.certificate.exists() and own.key.exists()):
        _make(own, uri, server_host)
    elif uri not in (named := facts(load(own.certificate)).uris):
        if named == (application_uri(NAMELESS),):
            return _make(own, uri, server_host)  # by `browse`, before this box had a name
        raise SourceMisconfigured(
            f"Our certificate {own.certificate} names {', '.join(named) or 'nothing'}, but this edge is {uri}.",
            f"本机证书 {own.certificate} 的 URI 为 {'、'.join(named) or '空'},但本网关为 {uri}。",
            "Renew it (`gemba-edge certificate --renew`) and let the PLC trust the new one.",
            "请用 `gemba-edge certificate --renew` 更新,并让 PLC 信任新证书。",
        )
    return own


def make_own(pki_dir: Path, uri: str, server_host: str = "") -> Own:
    """A new key and certificate in place of whatever was there; an old one is kept beside, named by its last day."""
    own = own_paths(pki_dir)
    with _making(own):
        return _make(own, uri, server_host)


@contextlib.contextmanager
def _making(own: Own) -> Iterator[None]:
    """Key and certificate are a pair: two makers at once would leave the key of one and the certificate of the other."""
    own.key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with durable.held(own.key.parent / ".lock"):
        yield


def _make(own: Own, uri: str, server_host: str) -> Own:
    key: rsa.RSAPrivateKey = cert_gen.generate_private_key()
    hosts = [x509.DNSName(socket.gethostname()), *(x509.IPAddress(ipaddress.ip_address(address)) for address in own_addresses(server_host))]
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri), *hosts]
    made = cert_gen.generate_self_signed_app_certificate(
        key, uri, {"organizationName": "Gemba"}, names, extended=[ExtendedKeyUsageOID.CLIENT_AUTH], days=VALID_DAYS
    )
    if own.certificate.exists():
        old = fingerprint(own.certificate.read_bytes())[:8]
        own.certificate.replace(own.certificate.with_name(f"certificate.old-{old}.der"))
    durable.write(own.key, cert_gen.dump_private_key_as_pem(key), 0o600)
    durable.write(own.certificate, made.public_bytes(encoding=Encoding.DER), 0o644)
    return own


def own_addresses(server_host: str) -> list[str]:
    """Our addresses: the one that faces the server first. No packet is sent."""
    found: dict[str, None] = {}
    if server_host:
        with contextlib.suppress(OSError):
            kind = socket.getaddrinfo(server_host, 4840, type=socket.SOCK_DGRAM)[0]
            with socket.socket(kind[0], socket.SOCK_DGRAM) as probe:
                probe.connect(kind[4])
                found[probe.getsockname()[0].partition("%")[0]] = None
    with contextlib.suppress(OSError):
        for entry in socket.getaddrinfo(socket.gethostname(), None, family=socket.AF_INET):
            found[str(entry[4][0])] = None
    return list(found)


def now_utc() -> datetime:
    """Certificates are judged by real time, whatever the plant clock says."""
    return datetime.now(UTC)  # noqa: TID251
