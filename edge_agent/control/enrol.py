"""`enrol`: an edge box becomes a plant's by a one-time code. Writes the sign-in beside the config, and a config to start from where there is none."""

from __future__ import annotations

import json
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from edge_agent import durable
from edge_agent.errors import EdgeError

TIMEOUT_S = 15.0
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_ANY = {"0.0.0.0", "::", ""}  # noqa: S104 - compared with, not bound to


class EnrolFailed(EdgeError):
    """The server did not give this box an identity; nothing was written."""


def enrol(server: str, code: str, config: Path, ca_file: Path | None, lang: str) -> int:
    """Asks `server` (http(s)://host:port), writes `<edge>.json` (only readable for this user) and, if it is missing, `config`. Raises EnrolFailed."""
    answer = _ask(server, code, ca_file, lang)
    host = _broker_host(answer["broker_host"], urllib.parse.urlsplit(server).hostname or "")
    folder = config.resolve().parent
    edge = str(answer["edge"])
    sign_in = {"host": host, "port": answer["broker_port"], "user": answer["user"], "password": answer["password"], "host_id": answer["host_id"]}
    _write(folder / f"{edge}.json", json.dumps(sign_in, indent=2) + "\n")
    broker = f'[[brokers]]\ncredentials_file = "{edge}.json"\n'
    if answer.get("ca_pem"):
        _write(folder / f"{edge}-ca.pem", str(answer["ca_pem"]))
        broker += f'ca_file = "{edge}-ca.pem"\n'
    head = f'group = "{answer["group"]}"\nedge = "{edge}"\nhost = "{answer["host_id"]}"\n\n{broker}'
    if config.exists():
        said = (f"已注册为 {edge}。请在 {config} 中写入:", f"enrolled as {edge}. {config} is there already; it must say:")
        sys.stdout.write(f"{said[lang == 'en']}\n\n{head}\n")
    else:
        _write(config, head)
        said = (
            f"已注册为 {edge},已写 {config}。下一步:gemba-edge browse opc.tcp://PLC:4840 --propose {config} 查看 PLC 并把它加进去。",
            f"enrolled as {edge}; {config} is written. Next, for a PLC: `gemba-edge browse opc.tcp://PLC:4840 --propose {config}`.",
        )
        sys.stdout.write(f"{said[lang == 'en']}\n")
    return 0


def _write(path: Path, text: str) -> None:
    """For this user alone: it may hold a password."""
    try:
        durable.write(path, text.encode())  # the code is spent: half a file after a power cut could not be asked for again
    except OSError as error:
        raise EnrolFailed(
            f"{path} cannot be written: {error}. The code is spent.",
            f"无法写入 {path}:{error}。代码已用掉。",
            "Make the folder writable and ask for a new code.",
            "请检查目录权限并重新申请代码。",
        ) from error


def _ask(server: str, code: str, ca_file: Path | None, lang: str) -> dict[str, Any]:
    parts = urllib.parse.urlsplit(server)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EnrolFailed(
            f"{server!r} is no server address.", f"{server!r} 不是服务器地址。", "Write http://host:port or https://host.", "请写 http://主机:端口。"
        )
    request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
        f"{server.rstrip('/')}/api/v1/edges/enrol",
        json.dumps({"code": code}).encode(),
        {"Content-Type": "application/json", "X-Gemba": "1", "X-Lang": lang},
        method="POST",
    )
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None) if parts.scheme == "https" else None
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as response:  # noqa: S310
            found: dict[str, Any] = json.loads(response.read())
            return found
    except urllib.error.HTTPError as error:
        raise _refused(error) from error
    except (OSError, ValueError) as error:
        raise EnrolFailed(
            f"{server} does not answer as a Gemba server: {error}.",
            f"{server} 没有按 Gemba 服务器应答:{error}。",
            "Check address and network; for a server with its own certificate authority name it with --ca-file.",
            "请检查地址和网络;若服务器使用自有 CA,请用 --ca-file 指定。",
        ) from error


def _refused(error: urllib.error.HTTPError) -> EnrolFailed:
    """The server's own words, which are in the language asked for."""
    try:
        problem = json.loads(error.read())
        words, then = str(problem["title"]), str(problem.get("next_step", ""))
    except (ValueError, KeyError, TypeError):
        words, then = f"HTTP {error.code}", ""
    return EnrolFailed(words, words, then, then)


def _broker_host(broker: str, server: str) -> str:
    """Where this box reaches the broker. Raises EnrolFailed when it only listens on the server's own loopback."""
    if broker in _ANY:
        return server
    if broker in _LOOPBACK and server not in _LOOPBACK:
        raise EnrolFailed(
            f"The broker listens on the server itself only ({broker}). The code is spent.",
            f"消息代理只在服务器本机监听({broker})。代码已用掉。",
            "Set broker.host at the server to an address this box reaches, restart it, and ask for a new code.",
            "请在服务器上把 broker.host 设为本机可达的地址,重启后重新申请代码。",
        )
    return broker
