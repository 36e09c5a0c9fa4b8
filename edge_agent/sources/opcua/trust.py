"""Is this server the one a person trusts? Rules over certificates (OPC 10000-4, 6.1.3); no connection, no clock of its own.

Below `pki_dir`: `trusted/<source>.der` is the certificate a person trusted (`gemba-edge trust`) or that was met first (`trust = "first_use"`);
`trusted-ca/` holds authorities whose signature is enough, `crl/` their revocation lists. Files are DER or PEM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from edge_agent import durable
from edge_agent.errors import SourceMisconfigured
from edge_agent.sources.opcua import certificates
from edge_agent.sources.opcua.certificates import Facts, facts, spaced

CHAIN_MAX = 6
How = Literal["fingerprint", "kept", "authority", "first_use"]


@dataclass(frozen=True, slots=True)
class Presented:
    """What a server shows: its certificate, the rest of its chain, the ApplicationUri of its endpoint, the host we called."""

    der: bytes
    others: tuple[x509.Certificate, ...]
    uri: str
    host: str

    @classmethod
    def of(cls, chain: bytes, uri: str, host: str) -> Presented:
        """Raises SourceMisconfigured when it cannot be read."""
        own, *others = certificates.split_chain(chain)
        try:
            x509.load_der_x509_certificate(own)
            return cls(own, tuple(x509.load_der_x509_certificate(one) for one in others), uri, host)
        except ValueError as error:
            raise SourceMisconfigured(
                f"The server's certificate cannot be read: {error}.",
                f"无法读取服务器证书:{error}。",
                "Make a new one at the server.",
                "请在服务器上重新生成证书。",
            ) from error

    @property
    def leaf(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.der)


@dataclass(frozen=True, slots=True)
class Store:
    """What stands in pki_dir for one source."""

    kept_at: Path
    kept: bytes | None
    authorities: tuple[x509.Certificate, ...] = ()
    revocations: tuple[x509.CertificateRevocationList, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """What the config says. `fingerprint`: 64 hex digits, or None."""

    trust: Literal["person", "fingerprint", "first_use"]
    fingerprint: str | None = None
    allow_expired: bool = False


def kept_path(pki_dir: Path, source: str) -> Path:
    return pki_dir / "trusted" / f"{source}.der"


def load_store(pki_dir: Path, source: str) -> Store:
    """Raises SourceMisconfigured that names a file that cannot be read."""
    kept = kept_path(pki_dir, source)
    authorities = tuple(certificates.load(path) for path in _files(pki_dir / "trusted-ca"))
    revocations = tuple(_revocations(path) for path in _files(pki_dir / "crl"))
    return Store(kept, kept.read_bytes() if kept.is_file() else None, authorities, revocations)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")) if folder.is_dir() else []


def _revocations(path: Path) -> x509.CertificateRevocationList:
    raw = path.read_bytes()
    try:
        return x509.load_pem_x509_crl(raw) if raw.lstrip().startswith(b"-----") else x509.load_der_x509_crl(raw)
    except ValueError as error:
        raise SourceMisconfigured(
            f"{path} is no revocation list: {error}.", f"{path} 不是吊销列表:{error}。", "Put a DER or PEM list there.", "请放入 DER 或 PEM 列表。"
        ) from error


def keep(store: Store, der: bytes) -> None:
    store.kept_at.parent.mkdir(parents=True, exist_ok=True)
    durable.write(store.kept_at, der, 0o644)


def judge(shown: Presented, store: Store, rule: Rule, source: str, now: datetime) -> How:
    """Why the server may be believed. Raises SourceMisconfigured in words when it may not."""
    found = facts(shown.leaf)
    _check_itself(found, shown, rule, now)
    if rule.fingerprint is not None and rule.trust != "first_use":
        if found.fingerprint != rule.fingerprint.replace(":", "").lower():
            raise SourceMisconfigured(
                f"The server's certificate has fingerprint {found.fingerprint}, not the one in server_fingerprint.",
                f"服务器证书指纹为 {found.fingerprint},与 server_fingerprint 不符。",
                "If the server is the right one, copy this fingerprint into the config.",
                "确认服务器无误后,将该指纹写入配置。",
            )
        return "fingerprint"
    if store.kept == shown.der:
        return "kept"
    if _by_authority(shown, store, now):
        return "authority"
    if store.kept is not None:
        raise SourceMisconfigured(
            f"The server shows another certificate (fingerprint {found.fingerprint}) than the one kept in {store.kept_at}.",
            f"服务器证书(指纹 {found.fingerprint})与 {store.kept_at} 中保存的不同。",
            f"If it was renewed on purpose: `gemba-edge trust --source {source}`. If not, somebody may be listening in.",
            f"如确为更换,请执行 `gemba-edge trust --source {source}`;否则可能有人窃听。",
        )
    if rule.trust == "first_use":
        return "first_use"
    raise SourceMisconfigured(
        f"Nobody has trusted this server's certificate yet ({found.subject}, fingerprint {found.fingerprint}).",
        f"尚无人信任该服务器的证书({found.subject},指纹 {found.fingerprint})。",
        f"Compare the fingerprint at the PLC, then: `gemba-edge trust --source {source}`.",
        f"请与 PLC 上的指纹核对,然后执行 `gemba-edge trust --source {source}`。",
    )


def _check_itself(found: Facts, shown: Presented, rule: Rule, now: datetime) -> None:
    """What is wrong whoever trusts it: its time, and whom it names (BadCertificateTimeInvalid, BadCertificateUriInvalid)."""
    if not rule.allow_expired and not found.valid_from <= now <= found.valid_to:
        ended = now > found.valid_to
        when = f"{found.valid_to if ended else found.valid_from:%Y-%m-%d %H:%M} UTC"
        raise SourceMisconfigured(
            f"The server's certificate {'ended on' if ended else 'is valid only from'} {when}.",
            f"服务器证书{'已于' if ended else '自'} {when} {'过期' if ended else '起才有效'}。",
            "Renew it at the server and check both clocks; allow_expired = true accepts it all the same.",
            "请在服务器上更新证书并检查双方时钟;allow_expired = true 可仍然接受。",
        )
    if shown.uri not in found.uris:
        raise SourceMisconfigured(
            f"The server calls itself {shown.uri}, but its certificate names {', '.join(found.uris) or 'no ApplicationUri'}.",
            f"服务器自称 {shown.uri},但其证书的 URI 为 {'、'.join(found.uris) or '空'}。",
            "Make a new certificate at the server (its own ApplicationUri must stand in it).",
            "请在服务器上重新生成证书(其中须含其 ApplicationUri)。",
        )


def _by_authority(shown: Presented, store: Store, now: datetime) -> bool:
    """True when a chain leads to an authority in trusted-ca. Raises SourceMisconfigured when it does but the certificate must not be used."""
    leaf = shown.leaf
    chain = _chain(leaf, shown.others, store.authorities, now)
    if chain is None:
        return False
    for child, issuer in zip([leaf, *chain], chain, strict=False):
        if _is_revoked(child, issuer, store.revocations):
            raise SourceMisconfigured(
                f"The certificate {child.subject.rfc4514_string()} was revoked by {issuer.subject.rfc4514_string()}.",
                f"证书 {child.subject.rfc4514_string()} 已被 {issuer.subject.rfc4514_string()} 吊销。",
                "Give the server a new certificate.",
                "请为服务器签发新证书。",
            )
    found = facts(leaf)
    if shown.host.lower() not in {host.lower() for host in found.hosts}:
        raise SourceMisconfigured(
            f"The server's certificate is for {', '.join(found.hosts) or 'no host'}, not for {shown.host}.",
            f"服务器证书对应 {'、'.join(found.hosts) or '空'},而非 {shown.host}。",
            "Call it by a name in its certificate, or trust this certificate by its fingerprint (`gemba-edge trust`).",
            "请用证书中的名称连接,或按指纹信任该证书(`gemba-edge trust`)。",
        )
    if not _may_serve(leaf):
        raise SourceMisconfigured(
            "The server's certificate may not be used for a server (key usage).",
            "服务器证书的密钥用途不允许用于服务器。",
            "Have it signed with digitalSignature, keyEncipherment and serverAuth.",
            "请以 digitalSignature、keyEncipherment、serverAuth 重新签发。",
        )
    return True


def _chain(
    leaf: x509.Certificate, others: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate], now: datetime
) -> list[x509.Certificate] | None:
    """Issuers from the leaf's up to a trusted authority; None when none of them leads there."""
    chain: list[x509.Certificate] = []
    at = leaf
    while len(chain) < CHAIN_MAX:
        issuer = next((one for one in (*authorities, *others) if _issued(at, one, now)), None)
        if issuer is None or issuer in chain:
            return None
        chain.append(issuer)
        if issuer in authorities:
            return chain
        at = issuer
    return None


def _issued(child: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    """The issuer may sign, is valid now, and did sign."""
    try:
        child.verify_directly_issued_by(issuer)
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    try:
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    may_sign = constraints.ca and (usage is None or usage.key_cert_sign)
    return may_sign and issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc


def _is_revoked(child: x509.Certificate, issuer: x509.Certificate, revocations: Sequence[x509.CertificateRevocationList]) -> bool:
    key = issuer.public_key()
    return any(
        revoked.issuer == issuer.subject
        and revoked.is_signature_valid(key)  # type: ignore[arg-type]  # an authority's key is one that signs
        and revoked.get_revoked_certificate_by_serial_number(child.serial_number) is not None
        for revoked in revocations
    )


def _may_serve(leaf: x509.Certificate) -> bool:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        if not (usage.digital_signature and usage.key_encipherment):
            return False
    except x509.ExtensionNotFound:
        return False
    try:
        return ExtendedKeyUsageOID.SERVER_AUTH in leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True


def outdated(store: Store, now: datetime) -> certificates.Words | None:
    """A revocation list past its next update says nothing about later revocations: worth a note."""
    for revoked in store.revocations:
        if revoked.next_update_utc is not None and revoked.next_update_utc < now:
            day = f"{revoked.next_update_utc:%Y-%m-%d}"
            issuer = revoked.issuer.rfc4514_string()
            return (
                f"The revocation list of {issuer} is outdated since {day}. Put a newer one into crl/.",
                f"{issuer} 的吊销列表自 {day} 起已过时。请更新 crl/ 中的列表。",
            )
    return None


def shown_lines(found: Facts, lang: str) -> str:
    """A certificate for the eye."""
    rows = (
        (("subject", "主体"), found.subject),
        (("issuer", "签发者"), found.issuer if found.issuer != found.subject else {"en": "itself", "zh": "自签"}[lang]),
        (("ApplicationUri", "ApplicationUri"), ", ".join(found.uris) or "-"),
        (("hosts", "主机"), ", ".join(found.hosts) or "-"),
        (("valid", "有效期"), f"{found.valid_from:%Y-%m-%d} … {found.valid_to:%Y-%m-%d} (UTC)"),
        (("SHA-256", "SHA-256"), spaced(found.fingerprint)),
    )
    return "\n".join(f"  {words[0] if lang == 'en' else words[1]}: {value}" for words, value in rows)
