"""Policy, mode, identity: how a connection is secured before it is opened, and what must be said about it afterwards.

The strongest policy a server offers is taken unless the config names one. Nothing is ever weaker than the config says: signing only, the broken
SHA-1 policies and no security at all are each an explicit word there, and a standing note as long as they are used. A password goes out only
encrypted, to a certificate that is trusted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from asyncua import Client, ua
from asyncua.crypto import security_policies

from edge_agent.config_model import read_secret
from edge_agent.errors import SourceLost, SourceMisconfigured
from edge_agent.health import Standing
from edge_agent.sources.opcua import certificates, trust
from edge_agent.sources.opcua.cautions import cautions
from edge_agent.sources.opcua.certificates import Words, application_uri, own_certificate
from edge_agent.sources.opcua.config import OpcUaConfig

SESSION_TIMEOUT_MS = 60_000
# Strongest first (the order of OPC 10000-7's profiles). asyncua 2.1 has no ECC policies.
POLICIES: dict[str, type[security_policies.SecurityPolicy]] = {
    "Aes256Sha256RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
    "Aes128Sha256RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
}
BROKEN: dict[str, type[security_policies.SecurityPolicy]] = {
    "Basic256": security_policies.SecurityPolicyBasic256,
    "Basic128Rsa15": security_policies.SecurityPolicyBasic128Rsa15,
}
_BY_URI = {policy.URI: name for name, policy in (POLICIES | BROKEN).items()}
_NONE_URI = security_policies.SecurityPolicyNone.URI
BROKEN_TRANSPORT = (OSError, asyncio.TimeoutError, ua.UaError, ConnectionError)


@dataclass(frozen=True, slots=True)
class Choice:
    """A policy, its name as in the config, the mode, and what the server shows: its chain (DER) and its ApplicationUri."""

    policy: type[security_policies.SecurityPolicy]
    name: str
    mode: ua.MessageSecurityMode
    chain: bytes
    uri: str

    @property
    def certificate(self) -> bytes:
        return certificates.split_chain(self.chain)[0]


@dataclass(frozen=True, slots=True)
class Secured:
    """A client ready to connect. `policy` is "none" or the policy's name."""

    client: OpenClient
    policy: str
    standing: tuple[Standing, ...]
    choice: Choice | None = None


@dataclass(slots=True)
class Met:
    """The endpoint of a source's last session. A server that comes back is opened by it at once; what it offers is seen in the session."""

    choice: Choice | None = None


# --- which endpoint ------------------------------------------------------------------------------------------------------------
def choose(endpoints: Iterable[ua.EndpointDescription], wanted: str, mode: str = "SignAndEncrypt") -> Choice:
    """The strongest policy offered in `mode`, or the wanted one. Raises SourceMisconfigured with what the server does offer."""
    endpoints = list(endpoints)
    needed = ua.MessageSecurityMode[mode]
    offered = {
        _BY_URI[endpoint.SecurityPolicyUri]: endpoint
        for endpoint in endpoints
        if endpoint.SecurityMode == needed and endpoint.SecurityPolicyUri in _BY_URI and endpoint.ServerCertificate
    }
    candidates = POLICIES if wanted == "best" else {wanted: (POLICIES | BROKEN)[wanted]}
    for name, policy in candidates.items():
        if name in offered:
            return Choice(policy, name, needed, offered[name].ServerCertificate, offered[name].Server.ApplicationUri or "")
    raise _not_offered(endpoints, wanted, mode)


def check_not_downgraded(taken: Choice, secured: Iterable[ua.EndpointDescription]) -> None:
    """The list of endpoints came unsecured; the session tells it again, secured (OPC 10000-4, 5.6.2.2). Raises SourceMisconfigured."""
    offered = {_BY_URI.get(one.SecurityPolicyUri) for one in secured if one.SecurityMode == taken.mode}
    strongest = next((name for name in POLICIES if name in offered), taken.name)
    if list(POLICIES).index(strongest) < list(POLICIES).index(taken.name):
        raise SourceMisconfigured(
            f"The server offers {strongest}, but on the way here the list of its endpoints ended with {taken.name}: somebody may have changed it.",
            f"服务器提供 {strongest},但收到的端点列表中最强的是 {taken.name}:列表可能被人篡改。",
            f'Look for what stands between. If the server itself tells two lists, write security = "{strongest}".',
            f'请检查中间设备。若是服务器自身返回不一致,写 security = "{strongest}"。',
        )


def _not_offered(endpoints: Sequence[ua.EndpointDescription], wanted: str, mode: str) -> SourceMisconfigured:
    seen = sorted({f"{_short(endpoint.SecurityPolicyUri)}/{endpoint.SecurityMode.name.rstrip('_')}" for endpoint in endpoints})
    listed = ", ".join(seen) or "nothing"
    then = ("Switch one on at the server, or choose another `security`.", "请在服务器上启用,或修改 `security`。")
    safe = [endpoint for endpoint in endpoints if _BY_URI.get(endpoint.SecurityPolicyUri) in POLICIES]
    if mode != "Sign" and any(endpoint.SecurityMode == ua.MessageSecurityMode.Sign for endpoint in safe):
        then = (
            'Switch on SignAndEncrypt at the server; security_mode = "Sign" accepts that everybody can read along.',
            '请在服务器上启用 SignAndEncrypt;若接受内容可被旁人读取,写 security_mode = "Sign"。',
        )
    elif not safe and any(endpoint.SecurityPolicyUri in _BY_URI for endpoint in endpoints):
        names = sorted({_BY_URI[endpoint.SecurityPolicyUri] for endpoint in endpoints if endpoint.SecurityPolicyUri in _BY_URI})
        then = (
            f'These are broken (SHA-1). Update the server; only if it cannot do better, write security = "{names[-1]}".',
            f'这些策略已不安全(SHA-1)。请升级服务器;确实无法升级时才写 security = "{names[-1]}"。',
        )
    elif not safe:
        then = (
            'Switch on Basic256Sha256 or better at the server; security = "none" accepts an open line.',
            '请在服务器上启用 Basic256Sha256 或更强的策略;若接受不加密,写 security = "none"。',
        )
    return SourceMisconfigured(
        f"The server offers no {mode} endpoint for security = {wanted!r} (offered: {listed}).",
        f"服务器没有满足 security = {wanted!r} 的 {mode} 端点(提供:{listed})。",
        *then,
    )


def _short(uri: str | None) -> str:
    return (uri or "").rpartition("#")[2] or "None"


# --- what must be said ---------------------------------------------------------------------------------------------------------
_SERVERS: Words = ("The server's certificate", "服务器证书")
_RENEW_SERVERS: Words = ("Renew it at the server, then `gemba-edge trust`.", "请在服务器上更新,再执行 `gemba-edge trust`。")
_OURS: Words = ("This edge's certificate", "本网关证书")
_RENEW_OURS: Words = ("Renew it: `gemba-edge certificate --renew`.", "请执行 `gemba-edge certificate --renew`。")


def _standing(config: OpcUaConfig, server: bytes | None, own: bytes | None, store: trust.Store | None) -> tuple[Standing, ...]:
    notes: list[Standing] = [partial(_fixed, words) for words in cautions(config)]
    for der, whose, then in ((server, _SERVERS, _RENEW_SERVERS), (own, _OURS, _RENEW_OURS)):
        if der is not None:
            ends = certificates.facts(trust.Presented.of(der, "", "").leaf).valid_to
            notes.append(partial(_ending, whose, ends, then))
    if store is not None and store.revocations:
        notes.append(lambda: trust.outdated(store, certificates.now_utc()))
    return tuple(notes)


def _fixed(words: Words) -> Words | None:
    return words


def _ending(whose: Words, ends: Any, then: Words) -> Words | None:
    return certificates.expiry(whose, ends, certificates.now_utc(), then)


# --- identity ------------------------------------------------------------------------------------------------------------------
class _Stale(Exception):
    """The server does not stand as it was met last time."""


class OpenClient(Client):  # type: ignore[misc]  # asyncua is not typed
    """asyncua's client with two checks it does not make: a password only encrypted, and no weaker endpoint than was first offered."""

    check_server: Callable[[bytes, str], trust.Store] | None = None  # for a password on an open line: raises when the certificate is not trusted
    session_endpoints: Sequence[ua.EndpointDescription] = ()
    best_of_offered: Choice | None = None  # with "best": what was taken from the list that came unsecured
    is_known = False  # that list was not asked for this time: the server may have learned a stronger one
    taken: Choice | None = None  # how it is secured; None: not at all

    def speaks_as(self, live: OpenClient) -> None:
        """Says who it is without a session of its own: as the client of a living one at the same server does."""
        self._policy_ids: list[ua.UserTokenPolicy] = live._policy_ids
        self.session_endpoints = live.session_endpoints
        if self.taken is None:
            self.security_policy.peer_certificate = live.security_policy.peer_certificate  # an open line: it encrypts the password at most

    async def open_secure_channel(self, renew: bool = False) -> None:
        try:
            await super().open_secure_channel(renew)
        except AssertionError as error:  # asyncua 2.1 asserts that a server never refuses
            raise ua.UaError("the server refuses the secure channel") from error

    async def create_session(self) -> Any:
        result = await super().create_session()
        self.session_endpoints = result.ServerEndpoints or ()
        if self.best_of_offered is not None:
            try:
                check_not_downgraded(self.best_of_offered, self.session_endpoints)
            except SourceMisconfigured as error:
                raise (_Stale() if self.is_known else error) from error
        return result

    def _add_user_auth(self, params: Any, username: str | None, password: str | None) -> None:
        policy = self.server_policy(ua.UserTokenType.UserName)
        if self.security_policy.Mode != ua.MessageSecurityMode.SignAndEncrypt:
            if policy.SecurityPolicyUri in (None, "", _NONE_URI) or not self.security_policy.peer_certificate:
                raise SourceMisconfigured(
                    f"The password of {username} would go out in the clear: it was not sent.",
                    f"用户 {username} 的密码将以明文发送,已拒绝发送。",
                    'Use encryption (security = "best"), or at the server a user policy that encrypts passwords, or a user certificate.',
                    '请启用加密(security = "best"),或在服务器上启用加密密码的用户策略,或使用用户证书。',
                )
            if self.check_server is not None:
                uri = next((one.Server.ApplicationUri for one in self.session_endpoints if one.Server.ApplicationUri), "")
                self.check_server(self.security_policy.peer_certificate, uri)
        super()._add_user_auth(params, username, password)


def _client(config: OpcUaConfig, uri: str) -> OpenClient:
    client = OpenClient(config.url, timeout=config.timeout_s, watchdog_intervall=3600.0)
    client.session_timeout = SESSION_TIMEOUT_MS
    client.application_uri = uri
    client.name = client.description = "Gemba edge"
    return client


async def _identify(client: OpenClient, config: OpcUaConfig) -> None:
    """User and password, or user certificate and key. Raises SourceMisconfigured."""
    if config.user_certificate is not None and config.user_key is not None:
        certificates.load(config.user_certificate)
        try:
            await client.load_client_certificate(str(config.user_certificate), _suffix(config.user_certificate))
            await client.load_private_key(config.user_key, None, _suffix(config.user_key))
        except (OSError, ValueError, TypeError) as error:
            raise SourceMisconfigured(
                f"The user's certificate or key cannot be read: {error}.",
                f"无法读取用户证书或私钥:{error}。",
                "Correct user_certificate and user_key (PEM or DER, without a password).",
                "请修改 user_certificate 和 user_key(PEM 或 DER,无密码)。",
            ) from error
    elif config.user is not None:
        client.set_user(config.user)
        client.set_password(_password(config))


def _suffix(path: Any) -> str:
    return "pem" if path.read_bytes().lstrip().startswith(b"-----") else "der"


def _password(config: OpcUaConfig) -> str:
    try:
        return read_secret(config.password_file) or ""
    except OSError as error:
        raise SourceMisconfigured(
            f"The password file cannot be read: {error}.",
            f"无法读取密码文件:{error}。",
            "Create it, or correct password_file.",
            "请创建该文件或修改 password_file。",
        ) from error


# --- from the config to a client that may connect ---------------------------------------------------------------------------------
def rule_of(config: OpcUaConfig) -> trust.Rule:
    return trust.Rule(config.trust, config.server_fingerprint, config.allow_expired)


def check_trust(config: OpcUaConfig, source: str, chain: bytes, uri: str) -> trust.Store:
    """Raises SourceMisconfigured when the server's certificate is not trusted; keeps it when first use is allowed."""
    store = trust.load_store(config.pki_dir, source)
    shown = trust.Presented.of(chain, uri, urlsplit(config.url).hostname or "")
    if trust.judge(shown, store, rule_of(config), source, certificates.now_utc()) == "first_use":
        trust.keep(store, shown.der)
    return store


async def opened(config: OpcUaConfig, source: str, edge: str, met: Met) -> Secured:
    """A client with an open session. Where the endpoint is known it is not asked for again; if it is another one now, it is, before a word of it
    is believed. Raises SourceLost, SourceMisconfigured, asyncua's and the transport's errors.
    """
    known, met.choice = met.choice, None
    if known is not None:
        try:
            secured = await prepare(config, source, edge, known)
            await secured.client.connect()
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            if error.errno is not None and not isinstance(error, ConnectionResetError):
                met.choice = known  # nobody is there: nothing was learned about it
                raise
        except (ua.UaError, _Stale, SourceLost, SourceMisconfigured):
            pass  # asked anew below, where it fails in the right words if it must
        else:
            met.choice = known
            return secured
    secured = await prepare(config, source, edge)
    await secured.client.connect()
    met.choice = secured.choice
    return secured


async def prepare(config: OpcUaConfig, source: str, edge: str, known: Choice | None = None) -> Secured:
    """A client that may connect as the config says. Raises SourceLost, SourceMisconfigured, asyncua's and the transport's errors."""
    uri = application_uri(edge)
    client = _client(config, uri)
    await _identify(client, config)
    if config.security == "none":
        client.check_server = partial(check_trust, config, source)
        return Secured(client, "none", _standing(config, None, None, None))
    own = await asyncio.to_thread(own_certificate, config.pki_dir, uri, urlsplit(config.url).hostname or "")
    choice = known
    if choice is None:
        kept = trust.kept_path(config.pki_dir, source)
        endpoints = await endpoints_of(config, uri, own, kept.read_bytes() if kept.is_file() else None)
        choice = choose(endpoints, config.security, config.security_mode)
    store = check_trust(config, source, choice.chain, choice.uri)
    _set(client, choice, own)
    client.taken = choice
    client.best_of_offered = choice if config.security == "best" else None
    client.is_known = known is not None
    return Secured(client, choice.name, _standing(config, choice.certificate, own.certificate.read_bytes(), store), choice)


def _set(client: Client, choice: Choice, own: certificates.Own) -> None:
    """What `Client.set_security` does, which reads and checks our key anew each time (100 ms)."""
    try:
        mine, theirs = certificates.load(own.certificate), trust.Presented.of(choice.certificate, "", "").leaf
        policy = choice.policy(theirs, mine, certificates.load_key(own.key), choice.mode)
    except (ValueError, OSError) as error:
        raise SourceLost(f"Security cannot be set up: {error}.", f"无法建立安全通道:{error}。") from error
    client.security_policy = policy
    client.uaclient.set_security(policy)


async def endpoints_of(config: OpcUaConfig, uri: str, own: certificates.Own, known: bytes | None) -> list[ua.EndpointDescription]:
    """What the server offers. One that answers nothing without encryption is asked again over the certificate we know it by."""
    try:
        return list(await _client(config, uri).connect_and_get_server_endpoints())
    except BROKEN_TRANSPORT as error:
        if isinstance(error, OSError) and not isinstance(error, ConnectionResetError):
            raise  # nobody there
        first = error
    if known is None:
        raise SourceMisconfigured(
            f"The server does not say without encryption what it offers ({first}).",
            f"服务器在未加密时不提供端点信息({first})。",
            "Export its certificate at the server, then: `gemba-edge trust --certificate FILE`.",
            "请从服务器导出其证书,然后执行 `gemba-edge trust --certificate 文件`。",
        ) from first
    wanted = POLICIES if config.security == "best" else {config.security: (POLICIES | BROKEN)[config.security]}
    for name, policy in wanted.items():
        client = _client(config, uri)
        _set(client, Choice(policy, name, ua.MessageSecurityMode[config.security_mode], known, ""), own)
        try:
            return list(await client.connect_and_get_server_endpoints())
        except BROKEN_TRANSPORT as error:
            first = error
    raise first
