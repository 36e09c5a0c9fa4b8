"""The embedded broker: its users' rights, its private files, its life beside the server's."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from mes_server.ingest.broker_pulse import Pulse, PulseBounds
from mes_server.ingest.embedded_broker import SERVER_USER, EmbeddedBroker
from mes_server.ingest.errors import BrokerDidNotStart, BrokerInUse
from mes_server.ingest.faults import _process
from tests.support.broker import free_port
from tests.support.wait import eventually


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    made = EmbeddedBroker(tmp_path / "broker", port=0, edges=["EDGE-L1"])
    made.start()
    yield made
    made.stop()


class Client:
    """A paho client that remembers what it heard."""

    def __init__(self, broker: EmbeddedBroker, user: str, password: str | None = None) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.outcome: list[bool] = []
        self.lost = 0
        self.granted: list[bool] = []
        self.client = paho.Client(CallbackAPIVersion.VERSION2, f"t-{user}-{time.monotonic_ns()}", protocol=paho.MQTTv311)
        self.client.username_pw_set(user, password or broker.credentials(user).password)
        self.client.on_connect = lambda _c, _u, _f, reason, _p: self.outcome.append(not reason.is_failure)
        self.client.on_message = lambda _c, _u, message: self.heard.append((message.topic, message.payload))
        self.client.on_subscribe = lambda _c, _u, _m, reasons, _p: self.granted.extend(not reason.is_failure for reason in reasons)
        self.client.on_disconnect = lambda *_: setattr(self, "lost", self.lost + 1)
        self.client.connect("127.0.0.1", broker.port, 20)
        self.client.loop_start()
        eventually(lambda: self.outcome, 5)

    def subscribe(self, topic: str) -> bool:
        before = len(self.granted)
        self.client.subscribe(topic, 1)
        eventually(lambda: len(self.granted) > before, 5)
        return self.granted[-1]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_an_edge_speaks_and_hears_only_its_own_topics(broker: EmbeddedBroker) -> None:
    server, edge = Client(broker, SERVER_USER), Client(broker, "EDGE-L1")
    assert server.subscribe("spBv1.0/+/DDATA/#") and server.subscribe("spBv1.0/+/NDATA/#")
    assert edge.subscribe("spBv1.0/PUMP/NCMD/EDGE-L1") and edge.subscribe("spBv1.0/STATE/gemba")
    assert not edge.subscribe("spBv1.0/PUMP/NCMD/EDGE-L2") and not edge.subscribe("spBv1.0/#")
    edge.client.publish("spBv1.0/PUMP/DDATA/EDGE-L1/SAW-01", b"mine")
    server.client.publish("spBv1.0/PUMP/NCMD/EDGE-L1", b"hello")
    eventually(lambda: server.heard == [("spBv1.0/PUMP/DDATA/EDGE-L1/SAW-01", b"mine")] and edge.heard, 5)
    edge.client.publish("spBv1.0/PUMP/DDATA/EDGE-L2/SAW-01", b"forged")
    edge.client.publish("spBv1.0/PUMP/DDATA/EDGE-L1/SAW-01", b"mine again")
    eventually(lambda: len(server.heard) > 1, 5)
    assert [payload for _, payload in server.heard] == [b"mine", b"mine again"], "the broker drops what is forged"
    for one in (server, edge):
        one.close()


def test_nobody_gets_in_without_the_password(broker: EmbeddedBroker) -> None:
    for user, password in (("EDGE-L1", "guess"), ("nobody", "x")):
        client = Client(broker, user, password)
        assert client.outcome[0] is False
        client.close()


def test_files_are_private_and_passwords_differ(broker: EmbeddedBroker, tmp_path: Path) -> None:
    for path in (tmp_path / "broker" / "nats.conf", broker.credentials_path("EDGE-L1"), broker.credentials_path(SERVER_USER)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((tmp_path / "broker").stat().st_mode) == 0o700
    one, two = broker.credentials("EDGE-L1"), broker.credentials(SERVER_USER)
    assert one.password != two.password and len(one.password) >= 24 and one.port == broker.port


def test_a_new_edge_is_let_in_without_dropping_the_others(broker: EmbeddedBroker) -> None:
    old = Client(broker, "EDGE-L1")
    broker.allow_edges(["EDGE-L2"])

    def joins() -> bool:
        client = Client(broker, "EDGE-L2")
        client.close()
        return client.outcome[0]

    eventually(joins, 5)
    assert not old.lost
    old.close()


def test_a_broker_that_dies_is_started_again_on_its_port(broker: EmbeddedBroker) -> None:
    first, port = broker.pid, broker.port
    assert first is not None
    os.kill(first, signal.SIGKILL)
    eventually(lambda: broker.restarts == 1 and broker.pid not in (None, first), 10)
    eventually(lambda: _answers(port), 5)
    client = Client(broker, "EDGE-L1")
    assert client.outcome == [True] and broker.port == port
    client.close()


def test_a_broker_that_hangs_is_told_ended_and_started_again(tmp_path: Path) -> None:
    """Stopped (SIGSTOP) it lives and its port takes connections, but nobody is answered."""
    made = EmbeddedBroker(tmp_path / "broker", port=0, edges=["EDGE-L1"], pulse=PulseBounds(every_s=0.1, answer_s=1.5, missed_max=1000))
    made.start()
    first = made.pid
    assert first is not None
    try:
        eventually(lambda: made.answered_s, 60)
        os.kill(first, signal.SIGSTOP)
        eventually(lambda: made.silent_since_s, 60)
        assert _answers(made.port), "the kernel takes connections for it"
        (said,) = _process(made)
        assert said.grave and "has not answered for" in said.en and "没有应答" in said.zh and "by itself" in said.next_en
        made._patience = 1
        eventually(lambda: made.hung, 60)
        assert made._patience == 2, "one that hangs again is given more time: it may be the machine"
        made._patience = 1000
        eventually(lambda: made.pid not in (None, first), 60)
        again_s = time.monotonic()
        eventually(lambda: made.answered_s is not None and made.answered_s > again_s, 60)
        client = Client(made, "EDGE-L1")
        assert client.outcome == [True]
        client.close()
        (said,) = _process(made)
        assert not said.grave and "did not answer any more" in said.en and "不再应答" in said.zh
    finally:
        made.stop()


def test_a_wait_that_was_itself_too_long_does_not_count_against_the_broker(broker: EmbeddedBroker) -> None:
    broker._bounds = PulseBounds(answer_s=0.0, late_s=0.0)  # every wait takes longer than asked for: the machine is overloaded
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGSTOP)
    pulse = Pulse(broker._own_sign_in, None, threading.Event())
    for _ in range(20):
        broker._ask(pulse)
    assert (broker.hung, broker.silent_since_s) == (0, None)
    os.kill(broker.pid, signal.SIGCONT)


def test_nobody_waits_for_a_broker_that_is_being_started_again(broker: EmbeddedBroker) -> None:
    with broker._guard:  # as the watch holds it while the broker starts, which may take 15 s
        broker.allow_edges(["EDGE-L2"])

    def joins() -> bool:
        client = Client(broker, "EDGE-L2")
        client.close()
        return client.outcome[0]

    eventually(joins, 15, why="the watch lets the broker read who may sign in")


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_orphan_of_a_killed_server_is_replaced_and_passwords_stay(tmp_path: Path) -> None:
    port = free_port()
    code = (
        "import sys, time; from pathlib import Path; from mes_server.ingest.embedded_broker import EmbeddedBroker\n"
        "b = EmbeddedBroker(Path(sys.argv[1]), port=int(sys.argv[2]), edges=['EDGE-L1']); b.start()\n"
        "print(b.pid, b.credentials('EDGE-L1').password, flush=True)\n"
        "time.sleep(60)"
    )
    server = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(port)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    orphan, password = server.stdout.readline().split()
    with pytest.raises(BrokerInUse):
        EmbeddedBroker(tmp_path, port=port).start()
    server.kill()
    server.wait()
    server.stdout.close()
    assert Path(f"/proc/{orphan}").exists(), "the broker outlives its server"
    (tmp_path / "nats.pid").unlink()  # as where the server was killed before it had written it
    again = EmbeddedBroker(tmp_path, port=port, edges=["EDGE-L1"])
    again.start()
    try:
        assert str(again.pid) != orphan and again.credentials("EDGE-L1").password == password
        client = Client(again, "EDGE-L1")
        assert client.outcome == [True]
        client.close()
    finally:
        again.stop()
    eventually(lambda: not Path(f"/proc/{orphan}").exists(), 10)


def test_a_pid_that_is_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (tmp_path / "nats.pid").write_text(str(other.pid))
    broker = EmbeddedBroker(tmp_path, port=0)
    broker.start()
    broker.stop()
    assert other.poll() is None
    other.kill()
    other.wait()


def test_a_taken_port_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        broker = EmbeddedBroker(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(BrokerDidNotStart) as refused:
            broker.start()
        broker.stop()
    assert "broker.port" in refused.value.next_step("en")


def test_nothing_ends_the_watch_and_a_broker_that_dies_at_once_again_is_given_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = EmbeddedBroker(tmp_path / "broker", port=0)
    odd: list[Exception] = [KeyError("what nobody foresaw")]
    well = made._look_at_lists
    monkeypatch.setattr(made, "_look_at_lists", lambda: well() if not odd else (_ for _ in ()).throw(odd.pop()))
    made.start()
    try:
        eventually(lambda: made.watch_failures == 1, 20)
        assert made._watcher is not None and made._watcher.is_alive()
        made._stopping.set()  # from here on the looks are ours
        made._watcher.join()
        made._stopping.clear()
        for steady_s, pause_s in ((-1.0, 0.0), (3600.0, 1.0), (3600.0, 3.0)):
            monkeypatch.setattr("mes_server.ingest.embedded_broker.STEADY_S", steady_s)
            assert made._process is not None
            made._process.kill()
            made._process.wait()
            assert made._look_after((pause_s - 1.0) / 2 if pause_s else 0.0) == pause_s
            assert _answers(made.port)
    finally:
        made.stop()
