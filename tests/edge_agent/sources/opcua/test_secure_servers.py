"""Every policy in every mode, users by password and by certificate, and certificates that change: against asyncua and node-opcua."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.user_managers import UserManager
from cryptography.hazmat.primitives.serialization import Encoding

from edge_agent.__main__ import main
from edge_agent.config_text import load
from edge_agent.errors import SourceMisconfigured
from edge_agent.sources.opcua import certificates, client
from edge_agent.sources.opcua.config import OpcUaConfig
from tests.support.certificates import NOW, Made, make, revoke
from tests.support.third_party import Peer
from tests.support.wait import free_port

URI = "urn:test:plc"
POLICIES = ("Aes256Sha256RsaPss", "Aes128Sha256RsaOaep", "Basic256Sha256", "Basic256", "Basic128Rsa15")
MODES = ("SignAndEncrypt", "Sign")
NODE_NAMES = {"Aes256Sha256RsaPss": "Aes256_Sha256_RsaPss", "Aes128Sha256RsaOaep": "Aes128_Sha256_RsaOaep"}
MATRIX = [(policy, mode) for policy in POLICIES for mode in MODES]


class _Users(UserManager):  # type: ignore[misc]
    """edge / secret, any certificate, nobody without a name."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.closed = False

    def get_user(self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None) -> User | None:
        name = username if (username, password) == ("edge", "secret") else "X509" if certificate is not None else None
        self.seen.append(str(name))
        return User(role=UserRole.User, name=name) if name and not self.closed else None


@contextlib.asynccontextmanager
async def asyncua_server(
    folder: Path,
    made: Made | None,
    port: int,
    types: tuple[ua.SecurityPolicyType, ...],
    users: UserManager | None = None,
    tokens: tuple[Any, ...] = (),
) -> AsyncIterator[Server]:
    server = Server(user_manager=users)
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/")
    await server.set_application_uri(URI)
    server.set_security_policy(list(types))
    if tokens:
        server.set_identity_tokens(list(tokens))
    if made is not None:
        certificate, key = made.write(folder, "plc")
        await server.load_certificate(str(certificate))
        await server.load_private_key(str(key))
    async with server:
        yield server


def config(folder: Path, port: int, **more: Any) -> OpcUaConfig:
    device = {"M": {"namespace": "urn:x", "metrics": {"good": {"node": "s=M.Good"}}}}
    return OpcUaConfig.model_validate(
        {"type": "opcua", "url": f"opc.tcp://127.0.0.1:{port}/", "pki_dir": folder / "pki", "trust": "first_use", "devices": device} | more
    )


async def connected(settings: OpcUaConfig) -> tuple[str, list[str]]:
    """(policy, what is said as long as it is connected)"""
    async with client.connect(settings, "PLC", "E") as connection:
        await connection.namespaces()
        return connection.policy, [said[0] for said in (note() for note in connection.standing) if said]


def every_type() -> tuple[ua.SecurityPolicyType, ...]:
    return tuple(ua.SecurityPolicyType[f"{policy}_{mode}"] for policy, mode in MATRIX)


def test_every_policy_and_mode_on_asyncua_and_what_must_be_said(tmp_path: Path) -> None:
    """Its certificate ends soon: that is said as long as the connection stands, beside what was chosen weaker than it could be."""
    port = free_port()

    async def run() -> None:
        async with asyncua_server(tmp_path, make("short", days=(-1, 6)), port, every_type()) as server:
            for policy, mode in MATRIX:
                name, notes = await connected(config(tmp_path, port, security=policy, security_mode=mode))
                assert name == policy
                assert any("not encrypted" in note for note in notes) == (mode == "Sign")
                assert any("broken" in note for note in notes) == (policy in POLICIES[3:])
            name, notes = await connected(config(tmp_path, port))
            assert name == POLICIES[0] and len(notes) == 1
            assert f"Urgent: The server's certificate ends in 6 day(s), on {NOW + timedelta(days=6):%Y-%m-%d}" in notes[0]

            await strip_the_strongest_once(server, config(tmp_path, port))

    asyncio.run(run())


async def strip_the_strongest_once(server: Server, settings: OpcUaConfig) -> None:
    """Somebody between takes the strongest policy out of the list that comes unsecured: the secured one gives it away."""
    truly, asked = server.iserver.get_endpoints, 0

    async def shortened(*given: Any, **named: Any) -> Any:
        nonlocal asked
        asked += 1
        found = await truly(*given, **named)
        return [one for one in found if "Aes256" not in one.SecurityPolicyUri] if asked == 1 else found

    server.iserver.get_endpoints = shortened
    await refused(settings, "The server offers Aes256Sha256RsaPss, but on the way here")


def test_a_level_that_the_server_does_not_offer_is_not_called_a_network_fault(tmp_path: Path) -> None:
    port = free_port()

    async def run() -> None:
        async with asyncua_server(tmp_path, make("plc"), port, (ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,)):
            with pytest.raises(SourceMisconfigured, match='answers, but does not offer security "none"'):
                await connected(config(tmp_path, port, security="none"))

    asyncio.run(run())


STRONG = POLICIES[:4]  # Node itself refuses Basic128Rsa15's padding (CVE-2023-46809)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    options = {"policies": [NODE_NAMES.get(policy, policy) for policy in STRONG], "modes": MODES, "anonymous": True}
    with Peer("opcua_secure.mjs", tmp_path_factory.mktemp("node"), **options) as peer:
        yield peer


def seen_by(peer: Peer, settings: OpcUaConfig) -> Any:
    """What the server says of its channels while we are connected."""

    async def held() -> Any:
        async with client.connect(settings, "PLC", "E"):
            return await asyncio.to_thread(peer.ask, {"channels": True})

    return asyncio.run(held())


def test_every_policy_and_mode_on_node_opcua(node: Peer, tmp_path: Path) -> None:
    for policy, mode in [(policy, mode) for policy in STRONG for mode in MODES]:
        settings = config(tmp_path, node.port, security=policy, security_mode=mode)
        assert seen_by(node, settings) == [{"mode": mode, "policy": NODE_NAMES.get(policy, policy), "user": None}]
    assert asyncio.run(connected(config(tmp_path, node.port))) == (POLICIES[0], [])


def user_files(folder: Path) -> dict[str, Path]:
    certificate, key = make("user", uri=None, hosts=(), serves=False).write(folder, "user")
    return {"user_certificate": certificate, "user_key": key}


def test_users_by_password_and_by_certificate_on_node_opcua(node: Peer, tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("secret\n")
    password = {"user": "edge", "password_file": tmp_path / "pw"}
    for mode, user, who in (("SignAndEncrypt", password, "edge"), ("Sign", password, "edge"), ("SignAndEncrypt", user_files(tmp_path), "X509")):
        assert [one["user"] for one in seen_by(node, config(tmp_path, node.port, security_mode=mode, **user))] == [who], f"{mode} {user}"


def test_users_on_asyncua_and_no_password_on_an_open_line(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("secret\n")
    port, users = free_port(), _Users()
    password = {"user": "edge", "password_file": tmp_path / "pw"}

    async def run() -> None:
        open_too = (ua.SecurityPolicyType.NoSecurity, ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt)
        async with asyncua_server(tmp_path, make("plc"), port, open_too, users, (ua.UserNameIdentityToken, ua.X509IdentityToken)):
            await connected(config(tmp_path, port, **password))
            await connected(config(tmp_path, port, **user_files(tmp_path)))
            assert users.seen == ["edge", "X509"]
            with pytest.raises(SourceMisconfigured, match="Nobody has trusted"):  # it would be encrypted, but for whom?
                await connected(config(tmp_path, port, security="none", trust="person", pki_dir=tmp_path / "pki2", **password))
            assert users.seen == ["edge", "X509"], "the server got no password"
            users.closed = True
            with pytest.raises(SourceMisconfigured, match=r"refuses user user\.der"):
                await connected(config(tmp_path, port, **user_files(tmp_path)))
            users.closed = False
            users.seen.pop()

        clear = free_port()
        async with asyncua_server(tmp_path, None, clear, (ua.SecurityPolicyType.NoSecurity,), users, (ua.UserNameIdentityToken,)):
            with pytest.raises(SourceMisconfigured, match="in the clear: it was not sent") as error:
                await connected(config(tmp_path, clear, security="none", **password))
            assert error.value.next_en
            assert users.seen == ["edge", "X509"], "the server got no password"

    asyncio.run(run())


ROOT = make("root", authority=True)
SIGNED = make("signed", issuer=ROOT)


def test_a_renewed_certificate_an_authority_and_its_revocations(tmp_path: Path) -> None:
    port, pki = free_port(), tmp_path / "pki"
    settings = config(tmp_path, port, trust="person")

    async def run() -> None:
        async with asyncua_server(tmp_path, SIGNED, port, (ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,)):
            await refused(settings, "Nobody has trusted")
            (pki / "trusted").mkdir()
            (pki / "trusted" / "PLC.der").write_bytes(make("plc").der)
            await refused(settings, "another certificate")
            (pki / "trusted-ca").mkdir()
            (pki / "trusted-ca" / "root.der").write_bytes(ROOT.der)
            assert await connected(settings) == ("Basic256Sha256", [])
            (pki / "crl").mkdir()
            (pki / "crl" / "root.crl").write_bytes(revoke(ROOT, SIGNED).public_bytes(Encoding.DER))
            await refused(settings, "was revoked")

    asyncio.run(run())


async def refused(settings: OpcUaConfig, words: str) -> None:
    with pytest.raises(SourceMisconfigured, match=words) as error:
        await connected(settings)
    assert error.value.zh and error.value.next_en and error.value.next_zh


def test_a_certificate_that_must_not_be_used_even_when_a_person_trusted_it(tmp_path: Path) -> None:
    port, shown = free_port(), make("ended and elsewhere", uri="urn:test:other", days=(-9, -1))
    (tmp_path / "pki" / "trusted").mkdir(parents=True)
    (tmp_path / "pki" / "trusted" / "PLC.der").write_bytes(shown.der)

    async def run() -> None:
        async with asyncua_server(tmp_path, shown, port, (ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,)):
            await refused(config(tmp_path, port, trust="person"), "ended on")
            await refused(config(tmp_path, port, trust="person", allow_expired=True), "calls itself urn:test:plc")

    asyncio.run(run())


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[tuple[Peer, Path]]:
    """A server that says nothing without encryption, and a config for it."""
    certificate, key = make("silent", uri=URI).write(tmp_path, "silent")
    options = {"policies": ["Basic256Sha256", "Aes128_Sha256_RsaOaep"], "modes": ["SignAndEncrypt"], "anonymous": True, "silent": True}
    with Peer("opcua_secure.mjs", tmp_path, certificate=str(certificate.with_suffix(".pem")), key=str(key), uri=URI, **options) as peer:
        path = tmp_path / "edge.toml"
        path.write_text(
            f'group = "P"\nedge = "E"\n[sources.PLC]\ntype = "opcua"\nurl = "opc.tcp://127.0.0.1:{peer.port}"\n'
            '[sources.PLC.devices.M]\nnamespace = "urn:gemba:test:plc"\n[sources.PLC.devices.M.metrics]\ngood = { node = "s=M.Good" }\n'
        )
        yield peer, path


def test_a_server_that_says_nothing_without_encryption(silent: tuple[Peer, Path], capsys: pytest.CaptureFixture[str]) -> None:
    _, path = silent
    assert main(["read-once", "--config", str(path)]) == 1
    assert "gemba-edge trust --certificate FILE" in capsys.readouterr().out
    der = path.parent / "silent.der"
    print_ = certificates.fingerprint(der.read_bytes())
    assert main(["trust", "--config", str(path), "--source", "PLC", "--certificate", str(der), "--fingerprint", print_]) == 0
    assert main(["read-once", "--config", str(path)]) == 0
    assert "\t7\t" in capsys.readouterr().out


def test_a_person_trusts_by_fingerprint(node: Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(
        f'group = "P"\nedge = "E"\n[sources.PLC]\ntype = "opcua"\nurl = "opc.tcp://127.0.0.1:{node.port}"\n'
        '[sources.PLC.devices.M]\nnamespace = "urn:gemba:test:plc"\n[sources.PLC.devices.M.metrics]\ngood = { node = "s=M.Good" }\n'
    )
    command = ["trust", "--config", str(path), "--source", "PLC"]
    assert main(["read-once", "--config", str(path)]) == 1
    assert "gemba-edge trust --source PLC" in capsys.readouterr().out
    assert main(command) == 1, "nobody at a terminal: nothing is trusted"
    said = capsys.readouterr()
    print_ = said.out.split("SHA-256: ")[1].split()[0]
    assert "subject" in said.out and "valid" in said.out and "--fingerprint" in said.err
    assert main([*command, "--fingerprint", "00" * 32]) == 1
    assert not (tmp_path / "pki" / "trusted" / "PLC.der").exists()
    assert main([*command, "--fingerprint", print_]) == 0
    assert main(["read-once", "--config", str(path)]) == 0
    capsys.readouterr()
    assert main(["--lang", "zh", *command]) == 0
    assert "已受信任" in capsys.readouterr().out
    assert main(["certificate", "--config", str(path)]) == 0
    first = capsys.readouterr().out
    assert "urn:gemba:edge:E" in first and str(tmp_path / "pki" / "own" / "certificate.der") in first
    assert main(["certificate", "--config", str(path), "--renew"]) == 0
    renewed = capsys.readouterr().out
    assert renewed.split("SHA-256: ")[1].split()[0] != first.split("SHA-256: ")[1].split()[0]
    assert main(["read-once", "--config", str(path)]) == 0, "this server trusts the new one by itself"


def test_no_encryption_is_said_in_red(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(
        'group = "P"\nedge = "E"\n[sources.PLC]\ntype = "opcua"\nsecurity = "none"\n'
        '[sources.PLC.devices.M]\nnamespace = "urn:x"\n[sources.PLC.devices.M.metrics]\ngood = { node = "s=M.Good" }\n'
    )
    assert load(path)
    assert main(["check-config", str(path)]) == 0
    plain = capsys.readouterr().err
    assert "PLC: unencrypted by choice" in plain and "\x1b[" not in plain
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main(["--lang", "zh", "check-config", str(path)]) == 0
    assert "\x1b[1;31mPLC:按配置不加密" in capsys.readouterr().err
