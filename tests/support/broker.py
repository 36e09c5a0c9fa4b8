"""Real brokers for tests, on free ports in temporary folders, with users: NATS as the product runs it, and Mosquitto.

    with nats(tmp_path, edges=["EDGE-L1"]) as broker: broker.port, broker.credentials("EDGE-L1") -> (user, password)
    with mosquitto(tmp_path, edges=[...]) as broker: the same
    with broker_of(kind, tmp_path, ...) for parametrised suites: kind in KINDS

`kill()` is SIGKILL, `restart()` brings it back on the same port. Only pids started here are ever signalled.
Users are the edge ids and "gemba-server" (host application); `credentials_file(user)` is the JSON the edge's config may point to.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from mes_server.ingest.embedded_broker import SERVER_USER, EmbeddedBroker, nats_binary

KINDS = ("nats", "mosquitto")
HOST_ID = "gemba"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """One running broker that a test may kill and bring back."""

    host = "127.0.0.1"
    host_id = HOST_ID
    server_user = SERVER_USER

    def __init__(self, kind: str, folder: Path, command: list[str], port: int, passwords: dict[str, str]) -> None:
        self.kind = kind
        self.folder = folder
        self.port = port
        self._command = command
        self._passwords = passwords
        self.process: subprocess.Popen[bytes] | None = None

    def credentials(self, user: str = SERVER_USER) -> tuple[str, str]:
        return user, self._passwords[user]

    def credentials_file(self, user: str) -> Path:
        path = self.folder / "users" / f"{user}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"host": self.host, "port": self.port, "user": user, "password": self._passwords[user], "host_id": HOST_ID}))
        path.chmod(0o600)
        return path

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            assert self.process.poll() is None, f"{self.kind} ended with {self.process.returncode}: {' '.join(self._command)}"
            with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), timeout=1):
                return
            time.sleep(0.02)
        raise AssertionError(f"{self.kind} does not listen on {self.port}")

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=40)

    def restart(self) -> None:
        self.stop()
        self.start()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process = None


@contextlib.contextmanager
def nats(folder: Path, *, edges: Iterable[str] = ("EDGE-L1", "EDGE-L2"), port: int = 0) -> Iterator[Broker]:
    """NATS with exactly the configuration the server writes."""
    folder = folder / "nats"
    port = port or free_port()
    product = EmbeddedBroker(folder, port=port, host_id=HOST_ID, edges=edges)
    config = product.write_config()
    passwords = {user: product.credentials(user).password for user in (SERVER_USER, *edges)}
    yield from _running(Broker("nats", folder, [nats_binary(), "-c", str(config)], port, passwords))


@contextlib.contextmanager
def mosquitto(folder: Path, *, edges: Iterable[str] = ("EDGE-L1", "EDGE-L2"), port: int = 0, listener: Iterable[str] = ()) -> Iterator[Broker]:
    """Debian's mosquitto with a password file and an ACL of the same rights; `listener`: more lines (TLS). Skips where not installed."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    folder = folder / "mosquitto"
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    passwords = {user: f"pw-{user}" for user in (SERVER_USER, *edges)}
    password_file = folder / "passwords"
    password_file.write_text("".join(f"{user}:{password}\n" for user, password in passwords.items()))
    password_file.chmod(0o600)
    tool = shutil.which("mosquitto_passwd")
    assert tool is not None
    subprocess.run([tool, "-U", str(password_file)], check=True, capture_output=True)
    acl = [f"user {SERVER_USER}", "topic readwrite spBv1.0/#"]
    for edge in edges:
        acl += [f"user {edge}", f"topic read spBv1.0/STATE/{HOST_ID}"]
        acl += [f"topic write spBv1.0/+/{kind}/{edge}" for kind in ("NBIRTH", "NDATA", "NDEATH")]
        acl += [f"topic write spBv1.0/+/{kind}/{edge}/+" for kind in ("DBIRTH", "DDATA", "DDEATH")]
        acl += [f"topic read spBv1.0/+/NCMD/{edge}", f"topic read spBv1.0/+/DCMD/{edge}/+"]
    (folder / "acl").write_text("\n".join(acl) + "\n")
    (folder / "acl").chmod(0o600)
    config = folder / "mosquitto.conf"
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous false", f"password_file {password_file}", f"acl_file {folder / 'acl'}"]
    lines += listener
    lines += ["persistence false", "user root", "max_queued_messages 10000", "set_tcp_nodelay true", f"log_dest file {folder / 'mosquitto.log'}"]
    config.write_text("\n".join(lines) + "\n")
    yield from _running(Broker("mosquitto", folder, [program, "-c", str(config)], port, passwords))


def broker_of(kind: str, folder: Path, *, edges: Iterable[str] = ("EDGE-L1", "EDGE-L2")) -> contextlib.AbstractContextManager[Broker]:
    return {"nats": nats, "mosquitto": mosquitto}[kind](folder, edges=tuple(edges))


def _running(broker: Broker) -> Iterator[Broker]:
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
