"""broker-credentials: who may sign in at the broker, embedded NATS or a Mosquitto of your own. ca: an own certificate authority for TLS."""

from __future__ import annotations

import argparse
import secrets
from pathlib import Path

from edge_agent.contract.topics import BadTopic, check_id
from mes_server.cli.authority import Authority, AuthorityFailed
from mes_server.cli.words import WRONG_USE, CommandFailed, say
from mes_server.config import Settings
from mes_server.ingest.broker_rights import SERVER_USER, mosquitto_acl, mosquitto_password, mosquitto_passwords
from mes_server.ingest.broker_settings import Credentials
from mes_server.ingest.edge_lists import EdgeLists, changing, write_private

SALT_BYTES = 12


def credentials_options(one: argparse.ArgumentParser) -> None:
    one.add_argument("--edge", action="append", default=[], metavar="ID", help="let this edge in; may be repeated")
    one.add_argument("--revoke", action="append", default=[], metavar="ID", help="put this edge out and forget its password; may be repeated")
    one.add_argument("--renew", action="append", default=[], metavar="ID", help="give this edge a new password; may be repeated")
    one.add_argument("--host", metavar="NAME", help="the broker's address as the edges reach it (broker.host)")
    one.add_argument("--broker-port", type=int, metavar="PORT", help="the broker's MQTT port (broker.port)")
    one.add_argument("--mosquitto", type=Path, metavar="DIR", help="write Mosquitto's password_file and acl_file into this folder too")


def credentials(settings: Settings, args: argparse.Namespace) -> int:
    """Writes users' files and lists; a running embedded broker takes them in within two seconds, Mosquitto by SIGHUP."""
    named = {*args.edge, *args.revoke, *args.renew}
    for edge in named:
        _check(edge)
    folder = settings.data_dir / "broker"
    users = folder / "users"
    users.mkdir(parents=True, exist_ok=True)
    for private in (folder, users):
        private.chmod(0o700)
    with changing(folder):
        lists = _change(settings, args, folder)
    if args.mosquitto is not None:
        _write_mosquitto(settings, args, users, lists)
    elif not named:
        say("没有指定网关。请使用 --edge、--revoke 或 --renew。", "No edge was named: use --edge, --revoke or --renew.")
    return 0


def _change(settings: Settings, args: argparse.Namespace, folder: Path) -> EdgeLists:
    lists, users = EdgeLists.read(folder), folder / "users"
    for edge in args.revoke:
        lists.revoke(folder, edge)
    for edge in (*args.edge, *args.renew):
        lists.revoked.discard(edge)
        lists.granted.add(edge)
    lists.write(folder)
    for edge in dict.fromkeys((*args.edge, *args.renew)):
        path = _write_user(settings, args, users, edge, renew=edge in args.renew)
        say(f"网关 {edge} 的登录文件:{path}(请复制到网关,并在 [[brokers]] credentials_file 中填写)")
        say(f"Edge {edge} signs in with {path} (copy it to the edge and name it at [[brokers]] credentials_file).")
    for edge in args.revoke:
        say(f"网关 {edge} 已吊销。", f"Edge {edge} is revoked.")
    return lists


def _check(edge: str) -> None:
    try:
        check_id(edge, "edge id")
    except BadTopic as error:
        raise CommandFailed(f"网关编号无效:{error}", f"Not an edge id: {error}", exit_code=WRONG_USE) from error
    if edge == SERVER_USER:
        raise CommandFailed(f"{SERVER_USER} 是服务器自己的用户。", f"{SERVER_USER} is the server's own user.", exit_code=WRONG_USE)


def _write_user(settings: Settings, args: argparse.Namespace, users: Path, user: str, *, renew: bool = False) -> Path:
    path, server = users / f"{user}.json", users / f"{SERVER_USER}.json"
    known = Credentials.model_validate_json(path.read_bytes()) if path.exists() else None
    running = Credentials.model_validate_json(server.read_bytes()) if server.exists() else None  # its port is the real one where broker.port is 0
    found = Credentials(
        host=args.host or (known.host if known else settings.broker.host),
        port=args.broker_port or (running.port if running and settings.broker.kind == "embedded" else settings.broker.port),
        user=user,
        password=known.password if known and not renew else secrets.token_urlsafe(24),
        host_id=settings.sparkplug.host_id,
    )
    write_private(path, found.model_dump_json(indent=2) + "\n")
    return path


def _write_mosquitto(settings: Settings, args: argparse.Namespace, users: Path, lists: EdgeLists) -> None:
    with changing(users.parent):
        server = _write_user(settings, args, users, SERVER_USER)
        everybody = {path.stem: Credentials.model_validate_json(path.read_bytes()).password for path in sorted(users.glob("*.json"))}
    everybody = {user: password for user, password in everybody.items() if user not in lists.revoked}
    args.mosquitto.mkdir(parents=True, exist_ok=True)
    hashes = {user: mosquitto_password(password, secrets.token_bytes(SALT_BYTES)) for user, password in everybody.items()}
    write_private(args.mosquitto / "passwords", mosquitto_passwords(hashes))
    write_private(args.mosquitto / "acl", mosquitto_acl(everybody, settings.sparkplug.host_id))
    (args.mosquitto / "server.password").unlink(missing_ok=True)
    write_private(args.mosquitto / "server.password", everybody[SERVER_USER] + "\n")
    where = args.mosquitto.resolve()
    say(
        f"Mosquitto:在其配置中写入 password_file {where / 'passwords'} 与 acl_file {where / 'acl'},然后发送 SIGHUP。"
        f"服务器用户 {server.stem} 的密码文件:{where / 'server.password'}(broker.password_file)。",
        f"Mosquitto: set password_file {where / 'passwords'} and acl_file {where / 'acl'} in its configuration, make both readable for its user, "
        f"and send it SIGHUP. The server signs in with {where / 'server.password'} (broker.password_file).",
    )


def ca_options(one: argparse.ArgumentParser) -> None:
    one.add_argument("what", choices=("init", "issue"), help="init: make the authority once; issue: make one certificate")
    one.add_argument("--dir", type=Path, metavar="DIR", help="the authority's folder (default: <data>/ca); keep its key safe")
    one.add_argument("--client", metavar="ID", help="issue: a client certificate for this edge")
    one.add_argument("--server", metavar="NAME", help="issue: the broker's certificate for this host name or address")
    one.add_argument("--name", action="append", default=[], metavar="NAME", help="issue: one more name or address of the broker; may be repeated")
    one.add_argument("--days", type=int, default=825, help="issue: valid for so many days (825)")


def authority(settings: Settings, args: argparse.Namespace) -> int:
    """Makes the authority, or one certificate with its key, as PEM files."""
    found = Authority(args.dir or settings.data_dir / "ca")
    try:
        if args.what == "init":
            path = found.make()
            say(f"证书颁发机构:{path}。请把它(不要把 ca.key)分发给网关。", f"The authority is {path}. Give it to the edges (never ca.key).")
            return 0
        if bool(args.client) == bool(args.server):
            raise CommandFailed("请指定 --client 或 --server 之一。", "Name either --client or --server.", exit_code=WRONG_USE)
        if args.client:
            _check(args.client)
            certificate, key = found.client(args.client, args.days)
        else:
            certificate, key = found.server([args.server, *args.name], args.days)
    except AuthorityFailed as error:
        raise CommandFailed(error.zh, error.en) from error
    say(f"证书 {certificate},私钥 {key}。", f"Certificate {certificate}, key {key}.")
    return 0
