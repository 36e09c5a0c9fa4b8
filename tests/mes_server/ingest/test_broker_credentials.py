"""Who may sign in and say what: passwords and rights made by a command, on real NATS and Mosquitto; TLS with an own authority, refused in words."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge_agent.config import BrokerConfig
from edge_agent.contract.clock import PlantClock
from edge_agent.publisher.link import Closed, Connected, Link
from mes_server.cli import main
from mes_server.ingest.broker_pulse import Pulse, PulseBounds
from mes_server.ingest.broker_rights import SERVER_USER, mosquitto_acl, nats_permissions, rights_of
from mes_server.ingest.broker_settings import BrokerLink, BrokerTls, Credentials
from mes_server.ingest.edge_lists import write_private
from mes_server.ingest.embedded_broker import EmbeddedBroker
from mes_server.ingest.mqtt import MqttLink
from tests.support.broker import Broker
from tests.support.wait import eventually, free_port

EDGES = ("EDGE-L1", "EDGE-L2")
TOPICS = [
    "spBv1.0/PUMP/NBIRTH/EDGE-L1", "spBv1.0/PUMP/NDATA/EDGE-L1", "spBv1.0/PUMP/NDEATH/EDGE-L1", "spBv1.0/PUMP/DDATA/EDGE-L1/SAW-01",
    "spBv1.0/PUMP/DBIRTH/EDGE-L1/M.1", "spBv1.0/OTHER/DDEATH/EDGE-L1/x", "spBv1.0/PUMP/NBIRTH/EDGE-L2", "spBv1.0/PUMP/DDATA/EDGE-L2/SAW-01",
    "spBv1.0/PUMP/NCMD/EDGE-L1", "spBv1.0/PUMP/DCMD/EDGE-L1/SAW-01", "spBv1.0/PUMP/NCMD/EDGE-L2", "spBv1.0/STATE/gemba", "spBv1.0/STATE/other",
    "spBv1.0/PUMP/DDATA/EDGE-L1", "spBv1.0/PUMP/DDATA/EDGE-L1/a/b", "elsewhere/EDGE-L1",
]  # fmt: skip
SAYS = {user: {one for one in TOPICS[:8] if one.split("/")[3] == user} for user in EDGES} | {SERVER_USER: {one for one in TOPICS if "spBv1.0" in one}}
HEARS = {
    "EDGE-L1": {"spBv1.0/PUMP/NCMD/EDGE-L1", "spBv1.0/PUMP/DCMD/EDGE-L1/SAW-01", "spBv1.0/STATE/gemba"},
    "EDGE-L2": {"spBv1.0/PUMP/NCMD/EDGE-L2", "spBv1.0/STATE/gemba"},
}
GREEDY = ["#", "spBv1.0/#", "+/+/+/+", "spBv1.0/+/NCMD/+", "spBv1.0/+/DCMD/+/+", "spBv1.0/STATE/+", "spBv1.0/PUMP/DCMD/EDGE-L1/#"]
EXACT = ["spBv1.0/+/NCMD/EDGE-L1", "spBv1.0/+/NCMD/EDGE-L2", "spBv1.0/+/DCMD/EDGE-L1/+", "spBv1.0/STATE/gemba"]


class Client:
    """A signed-in paho client that remembers."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self.heard: list[str] = []
        self.granted: dict[int, list[bool]] = {}
        self.let_in: list[bool] = []
        self.lost = 0
        self.client = paho.Client(CallbackAPIVersion.VERSION2, f"t-{user}-{id(self)}", protocol=paho.MQTTv311)
        self.client.username_pw_set(user, password)
        self.client.on_connect = lambda _c, _u, _f, reason, _p: self.let_in.append(not reason.is_failure)
        self.client.on_message = lambda _c, _u, message: self.heard.append(message.topic)
        self.client.on_subscribe = lambda _c, _u, mid, reasons, _p: self.granted.update({mid: [not one.is_failure for one in reasons]})
        self.client.on_disconnect = lambda *_: setattr(self, "lost", self.lost + 1)
        self.client.connect("127.0.0.1", port, 20)
        self.client.loop_start()
        eventually(lambda: self.let_in, 10)

    def subscribe(self, topic: str) -> bool:
        _, mid = self.client.subscribe(topic, 1)
        eventually(lambda: mid in self.granted, 10)
        return self.granted[mid or 0][0]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def run(folder: Path, *args: str) -> int:
    return main(["broker-credentials", "--data", str(folder / "data"), *args])


def sign_in(folder: Path, user: str) -> Credentials:
    return Credentials.model_validate_json((folder / "data" / "broker" / "users" / f"{user}.json").read_bytes())


def mosquitto_of(folder: Path, port: int, listener: list[str]) -> Broker:
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    config = folder / "mosquitto.conf"
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous false", f"password_file {folder / 'm' / 'passwords'}", f"acl_file {folder / 'm' / 'acl'}"]
    config.write_text("\n".join([*lines, *listener, "persistence false", "user root"]) + "\n")
    return Broker("mosquitto", folder, [program, "-c", str(config)], port, {})


@contextlib.contextmanager
def broker_by_command(kind: str, folder: Path) -> Iterator[int]:
    """A broker whose users and rights `gemba-server broker-credentials` made; gives its port."""
    port = free_port()
    edges = [one for edge in EDGES for one in ("--edge", edge)]
    assert run(folder, *edges, "--broker-port", str(port), "--mosquitto", str(folder / "m")) == 0
    if kind == "nats":
        product = EmbeddedBroker(folder / "data" / "broker", port=port)
        product.start()
        try:
            yield port
        finally:
            product.stop()
        return
    broker = mosquitto_of(folder, port, [])
    broker.start()
    try:
        yield port
    finally:
        broker.stop()


def test_whether_it_answers_is_asked_over_tls_too(tmp_path: Path, authority: Path) -> None:
    tls = BrokerTls(authority / "issued" / "broker.plant.pem", authority / "issued" / "broker.plant.key")
    broker = EmbeddedBroker(tmp_path / "broker", port=0, tls=tls)
    broker.start()
    pulse = Pulse(broker._own_sign_in, tls, threading.Event())
    try:
        pulse.ask(60)
        kept = pulse._socket
        pulse.ask(60)
        assert kept is not None and pulse._socket is kept, "signed in once, asked twice"
    finally:
        pulse.close()
        broker.stop()


@pytest.mark.parametrize("kind", ["mosquitto", "nats"])
def test_everybody_says_and_hears_only_what_is_theirs(kind: str, tmp_path: Path) -> None:
    """Identities x topics, with greedy wildcards."""
    with broker_by_command(kind, tmp_path) as port:
        clients = {user: Client(port, user, sign_in(tmp_path, user).password) for user in (*EDGES, SERVER_USER)}
        assert all(one.let_in == [True] for one in clients.values())
        server = clients[SERVER_USER]
        assert server.subscribe("spBv1.0/#")
        for user in EDGES:
            for topic in (*GREEDY, *EXACT):
                granted = clients[user].subscribe(topic)
                assert granted or topic in GREEDY or user not in topic, (user, topic)
        for user in EDGES:
            server.heard.clear()
            for topic in TOPICS:
                clients[user].client.publish(topic, b"x", 0)
            last = sorted(SAYS[user])[0]
            clients[user].client.publish(last, b"end", 0)
            eventually(lambda user=user: len(server.heard) > len(SAYS[user]), 10, why="what is allowed arrives")  # type: ignore[misc]
            assert set(server.heard) == SAYS[user], user
        for user in EDGES:
            clients[user].heard.clear()
        for topic in TOPICS:
            server.client.publish(topic, b"x", 0)
        server.client.publish("spBv1.0/STATE/gemba", b"end", 0)
        for user in EDGES:
            eventually(lambda user=user: clients[user].heard.count("spBv1.0/STATE/gemba") >= 2, 10)  # type: ignore[misc]
            assert set(clients[user].heard) == HEARS[user], user
        stranger = Client(port, "EDGE-L1", "guess")
        assert stranger.let_in == [False]
        for one in (*clients.values(), stranger):
            one.close()


def test_revoke_renew_and_a_new_edge_while_the_broker_runs(tmp_path: Path) -> None:
    with broker_by_command("nats", tmp_path) as port:
        kept, gone = (Client(port, user, sign_in(tmp_path, user).password) for user in EDGES)
        old = sign_in(tmp_path, "EDGE-L2").password
        assert run(tmp_path, "--revoke", "EDGE-L2") == 0
        eventually(lambda: gone.lost or not gone.client.is_connected(), 20, why="put out")
        assert not (tmp_path / "data/broker/users/EDGE-L2.json").exists()
        gone.close()
        again = Client(port, "EDGE-L2", old)
        assert again.let_in == [False] and not kept.lost
        again.close()
        assert run(tmp_path, "--edge", "EDGE-L2", "--edge", "EDGE-L9") == 0
        assert sign_in(tmp_path, "EDGE-L2").password != old and sign_in(tmp_path, "EDGE-L9").port == port
        for user in ("EDGE-L2", "EDGE-L9"):
            eventually(lambda user=user: comes_in(port, sign_in(tmp_path, user)), 20)  # type: ignore[misc]
        before = sign_in(tmp_path, "EDGE-L9").password
        assert run(tmp_path, "--renew", "EDGE-L9") == 0
        assert sign_in(tmp_path, "EDGE-L9").password != before
        eventually(lambda: comes_in(port, sign_in(tmp_path, "EDGE-L9")), 20)
        assert not kept.lost, "nobody else was put out"
        kept.close()


def test_the_command_and_the_running_server_never_meet_on_a_file(tmp_path: Path) -> None:
    """Both make the sign-in of an edge that neither knew: one password comes of it, in both places, and no half-written file is left."""
    assert run(tmp_path, "--edge", "EDGE-L1") == 0
    broker = EmbeddedBroker(tmp_path / "data" / "broker", port=free_port())
    users = [f"EDGE-{n}" for n in range(40)]
    answers: dict[str, str] = {}
    both = threading.Barrier(2)

    def server() -> None:
        for n, user in enumerate(users):
            both.wait(60)
            time.sleep(n % 10 * 0.001)  # the command writes its lists first: they meet at one of these
            answers[user] = broker.credentials(user).password

    with ThreadPoolExecutor(1) as pool:
        served = pool.submit(server)
        for user in users:
            both.wait(60)
            assert run(tmp_path, "--edge", user) == 0
        served.result(60)
    assert answers == {user: sign_in(tmp_path, user).password for user in users}
    assert not list((tmp_path / "data").rglob("*.tmp"))


def test_writers_of_one_file_do_not_take_each_others_way(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        written = [pool.submit(write_private, tmp_path / "one.json", str(n) * 1000) for n in range(400)]
        for one in written:
            one.result(60)
    found = (tmp_path / "one.json").read_text()
    assert len(set(found)) <= 3 and len(found) >= 1000
    assert [file.name for file in tmp_path.iterdir()] == ["one.json"]


def test_a_damaged_list_ends_neither_the_watch_nor_anybodys_sign_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with broker_by_command("nats", tmp_path) as port:
        edges = tmp_path / "data/broker/edges.json"
        good = edges.read_bytes()
        edges.write_text("{ not a list")
        eventually(lambda: "cannot be taken in" in caplog.text, 10)
        [pid] = [int(file.read_text()) for file in (tmp_path / "data/broker").glob("nats.pid")]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: "starting it again" in caplog.text, 10, why="the watch goes on")
        eventually(lambda: comes_in(port, sign_in(tmp_path, "EDGE-L1")), 20)
        assert caplog.text.count("cannot be taken in") == 1, "said once, not every second"
        edges.write_bytes(good)
        assert run(tmp_path, "--edge", "EDGE-L9") == 0
        eventually(lambda: comes_in(port, sign_in(tmp_path, "EDGE-L9")), 20)


def comes_in(port: int, who: Credentials) -> bool:
    try:
        client = Client(port, who.user, who.password)
    except OSError:  # nobody listens just now
        return False
    client.close()
    return client.let_in == [True]


def test_files_are_private_and_rights_are_the_same_in_both_languages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--edge", "EDGE-L1", "--mosquitto", str(tmp_path / "m")) == 0
    said = capsys.readouterr().out
    assert "EDGE-L1.json" in said and "登录文件" in said and sign_in(tmp_path, "EDGE-L1").password not in said
    for path in (
        tmp_path / "m" / "passwords",
        tmp_path / "m" / "acl",
        tmp_path / "data/broker/users/EDGE-L1.json",
        tmp_path / "data/broker/edges.json",
    ):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert sign_in(tmp_path, "EDGE-L1").password not in (tmp_path / "m" / "passwords").read_text()
    for wrong in ("#", "EDGE/1", "a b", SERVER_USER):
        assert run(tmp_path, "--edge", wrong) == 2
    rights, nats = rights_of("a.b", "gemba"), nats_permissions("a.b", "gemba")
    assert "spBv1//0.*.NCMD.a//b" in str(nats["subscribe"]) and len(rights.publish) == 6
    acl = mosquitto_acl(["a.b"], "gemba")
    assert all(f"topic write {one}\n" in acl for one in rights.publish) and all(f"topic read {one}\n" in acl for one in rights.subscribe)


# --- TLS ----------------------------------------------------------------------------------------------------------------------------
def ca(folder: Path, *args: str) -> int:
    return main(["ca", *args, "--dir", str(folder), "--data", str(folder / "data")])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ca")
    assert ca(folder, "init") == 0 and ca(folder, "init") == 1, "a second one would make every certificate worthless"
    assert ca(folder, "issue", "--server", "broker.plant", "--name", "10.0.0.5") == 0 and ca(folder, "issue", "--client", "EDGE-L1") == 0
    assert ca(folder, "issue", "--client", "../x") == 2 and ca(folder, "issue") == 2
    assert stat.S_IMODE((folder / "ca.key").stat().st_mode) == 0o600
    other = tmp_path_factory.mktemp("other")
    assert ca(other, "issue", "--client", "EDGE-L1") == 1, "there is no authority yet"
    assert ca(other, "init") == 0 and ca(other, "issue", "--client", "EDGE-L1") == 0
    shutil.copy(other / "ca.pem", folder / "wrong.pem")
    shutil.copytree(other / "issued", folder / "wrong-issued")
    return folder


@contextlib.contextmanager
def tls_broker(kind: str, folder: Path, pki: Path) -> Iterator[int]:
    """A broker that wants client certificates of our authority."""
    port = free_port()
    assert run(folder, "--edge", "EDGE-L1", "--broker-port", str(port), "--mosquitto", str(folder / "m")) == 0
    certificate, key = pki / "issued" / "broker.plant.pem", pki / "issued" / "broker.plant.key"
    if kind == "nats":
        tls = BrokerTls(certificate, key, pki / "ca.pem")
        product = EmbeddedBroker(folder / "data" / "broker", port=port, tls=tls, pulse=PulseBounds(every_s=0.2))
        product.start()
        try:
            yield port
            eventually(lambda: product.answered_s, 30, why="its refusal of a client without a certificate is an answer")
        finally:
            product.stop()
        return
    listener = [f"cafile {pki / 'ca.pem'}", f"certfile {certificate}", f"keyfile {key}", "require_certificate true"]
    broker = mosquitto_of(folder, port, listener)
    broker.start()
    try:
        yield port
    finally:
        broker.stop()


def tries(folder: Path, port: int, **files: Path) -> Any:
    """How the edge's own link fares: its first Connected or Closed."""
    who = sign_in(folder, "EDGE-L1")
    (folder / "pw").write_text(who.password)
    broker = BrokerConfig(host="127.0.0.1", port=port, user=who.user, password_file=folder / "pw", **files)
    events: list[Any] = []
    link = Link("gemba-PUMP-EDGE-L1", events.append)
    link.open(broker, "spBv1.0/PUMP/NDEATH/EDGE-L1", b"", ["spBv1.0/PUMP/NCMD/EDGE-L1"])
    try:
        return eventually(lambda: events and events[0], 20)
    finally:
        link.close()


@pytest.mark.parametrize("kind", ["mosquitto", "nats"])
def test_tls_with_client_certificates(kind: str, tmp_path: Path, authority: Path) -> None:
    mine = {"ca_file": authority / "ca.pem", "cert_file": authority / "issued" / "EDGE-L1.pem", "key_file": authority / "issued" / "EDGE-L1.key"}
    with tls_broker(kind, tmp_path, authority) as port:
        assert isinstance(tries(tmp_path, port, **mine), Connected)
        wrong = tries(tmp_path, port, **(mine | {"ca_file": authority / "wrong.pem"}))
        assert isinstance(wrong, Closed) and "not trusted" in wrong.reason and "ca_file" in wrong.reason and "不受信任" in wrong.reason
        foreign = {"cert_file": authority / "wrong-issued" / "EDGE-L1.pem", "key_file": authority / "wrong-issued" / "EDGE-L1.key"}
        assert isinstance(tries(tmp_path, port, **(mine | foreign)), Closed), "a certificate of another authority"
        assert isinstance(tries(tmp_path, port, ca_file=authority / "ca.pem"), Closed), "no client certificate"
        assert isinstance(tries(tmp_path, port), Closed), "no TLS at all"
        who = sign_in(tmp_path, SERVER_USER)
        server = {"tls_cert": authority / "issued" / "broker.plant.pem", "tls_key": authority / "issued" / "broker.plant.key"}
        for ca_file, well in ((authority / "ca.pem", True), (authority / "wrong.pem", False)):
            made = BrokerLink("127.0.0.1", port, who.user, who.password, tls_ca=ca_file, **server)
            link = MqttLink(made, "gemba", PlantClock(), lambda *_: True)
            link.start()
            eventually(lambda link=link, well=well: link.online if well else "not trusted" in link.fault, 20)  # type: ignore[misc]
            link.stop()
