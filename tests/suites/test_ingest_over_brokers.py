"""The server's Sparkplug host over both brokers: STATE, births, answers, and the death of the broker itself."""

from __future__ import annotations

import datetime
import ipaddress
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion

from mes_server.ingest.broker_settings import BrokerLink
from mes_server.ingest.service import IngestBounds, IngestService
from tests.support.broker import HOST_ID, KINDS, Broker, broker_of, mosquitto
from tests.support.ingest import DEVICES, T0, Bench, bench
from tests.support.sparkplug_edge import TestEdge
from tests.support.wait import eventually

STATE = f"spBv1.0/STATE/{HOST_ID}"


class Watcher:
    """Hears STATE as an edge would."""

    def __init__(self, broker: Broker) -> None:
        self.heard: list[dict[str, Any]] = []
        self.retained: list[bool] = []
        self.client = paho.Client(CallbackAPIVersion.VERSION2, f"watch-{time.monotonic_ns()}", protocol=paho.MQTTv311)
        self.client.username_pw_set(*broker.credentials())
        self.client.on_connect = lambda client, *_: client.subscribe(STATE, 1)
        self.client.on_message = self._message
        self.client.connect(broker.host, broker.port, 20)
        self.client.loop_start()

    def _message(self, _client: Any, _userdata: Any, message: Any) -> None:
        self.heard.append(json.loads(message.payload))
        self.retained.append(bool(message.retain))

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Running:
    def __init__(self, stack: ExitStack, kind: str, folder: Path) -> None:
        self.broker = stack.enter_context(broker_of(kind, folder, edges=["EDGE-L1"]))
        self.bench: Bench = stack.enter_context(bench(folder / "bench"))
        self.service: IngestService | None = None

    def serve(self) -> IngestService:
        user, password = self.broker.credentials()
        bounds = IngestBounds(commit_s=0.05, show_s=0.02, jitter_s=0.0, reorder_s=0.5)
        link = BrokerLink(self.broker.host, self.broker.port, user, password, keepalive_s=5)
        self.service = IngestService(self.bench.kit, self.bench.telemetry, self.bench.booking, host_id=HOST_ID, link=link, bounds=bounds)
        self.service._start()
        eventually(lambda: self.service is not None and self.service.mqtt is not None and self.service.mqtt.online, 10)
        return self.service

    def end(self) -> None:
        if self.service is not None:
            self.service._stop()
            self.service = None


@pytest.fixture(params=KINDS)
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    with ExitStack() as stack:
        made = Running(stack, request.param, tmp_path)
        yield made
        made.end()


def fill(edge: TestEdge, records: int, start: int = 0) -> None:
    for step in range(start, start + records):
        at = T0 + step * 100
        edge.record("SAW-01", {"good_total": (step, at), "temperature_c": (step / 2, at), "watched_until": (at, at)})


def test_state_is_born_last_with_the_wills_timestamp_and_dies_with_a_new_one(running: Running) -> None:
    """host-topic-phid-birth-payload-timestamp, -birth-message, -death-payload-timestamp-disconnect-clean"""
    service = running.serve()
    watcher = Watcher(running.broker)
    eventually(lambda: watcher.heard, 5)
    assert watcher.heard[0]["online"] is True and watcher.retained[0], "a later comer finds it retained"
    born = watcher.heard[0]["timestamp"]
    assert service.mqtt is not None and born == service.mqtt._birth_ms
    will = json.loads(bytes(service.mqtt._client._will_payload))
    assert will == {"online": False, "timestamp": born}
    running.bench.kit.clock.advance(5)  # type: ignore[attr-defined]
    running.end()
    eventually(lambda: not watcher.heard[-1]["online"], 5)
    assert watcher.heard[-1]["timestamp"] > born
    watcher.close()


def test_an_offline_of_ours_that_is_not_true_is_corrected(running: Running) -> None:
    """message-flow-hid-sparkplug-state-message-delivered"""
    running.serve()
    watcher = Watcher(running.broker)
    eventually(lambda: watcher.heard, 5)
    watcher.client.publish(STATE, json.dumps({"online": False, "timestamp": 1}), 1, True)
    eventually(lambda: len(watcher.heard) >= 3 and watcher.heard[-1]["online"], 5)
    watcher.close()


def test_records_are_stored_answered_and_let_go(running: Running) -> None:
    running.serve()
    with TestEdge(running.broker, "EDGE-L1", DEVICES) as edge:
        fill(edge, 300)
        edge.wait_stored()
        assert not edge.kept and running.bench.booking.good() == 299
    found = running.bench.telemetry.window("SAW-01", "temperature_c", 0, 1 << 60)
    assert found.value.tolist() == [step / 2 for step in range(300)]


def test_an_edge_that_was_there_first_is_asked_to_say_itself_again(running: Running) -> None:
    with TestEdge(running.broker, "EDGE-L1", DEVICES) as edge:
        eventually(edge.client.is_connected, 5)
        edge.host_online = edge.online = True  # an edge without a primary host: it does not wait for STATE
        service = running.serve()
        fill(edge, 3)
        eventually(lambda: edge.births, 10)
        edge.wait_stored()
        assert service.figures["records"] == 3


def test_the_wills_of_killed_edges_mark_their_devices_stale(running: Running) -> None:
    service = running.serve()
    with TestEdge(running.broker, "EDGE-L1", DEVICES) as edge:
        fill(edge, 1)
        edge.wait_stored()
        assert service.nodes_of("EDGE-L1")[0].online
        edge.client.reconnect_delay_set(60, 60)
        sock = edge.client.socket()
        assert sock is not None
        sock.shutdown(2)
        eventually(lambda: not service.nodes_of("EDGE-L1")[0].online, 10)
        assert service.tiles.is_stale("EDGE-L1", "SAW-01", T0)


def certificates(folder: Path) -> None:
    """An own CA and a certificate for 127.0.0.1: ca.pem, server.pem, server.key."""
    now = datetime.datetime.now(datetime.UTC)

    def make(name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        builder = builder.issuer_name(issuer[0].subject if issuer else subject)
        builder = builder.add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key

    ca = make("Test CA", None)
    server = make("127.0.0.1", ca)
    (folder / "ca.pem").write_bytes(ca[0].public_bytes(serialization.Encoding.PEM))
    (folder / "server.pem").write_bytes(server[0].public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    (folder / "server.key").write_bytes(server[1].private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))


def test_an_external_broker_over_tls_with_an_own_ca(tmp_path: Path) -> None:
    certificates(tmp_path)
    tls = [f"cafile {tmp_path / 'ca.pem'}", f"certfile {tmp_path / 'server.pem'}", f"keyfile {tmp_path / 'server.key'}"]
    with mosquitto(tmp_path, edges=["EDGE-L1"], listener=tls) as broker, bench(tmp_path / "bench") as made:
        user, password = broker.credentials()
        for ca, wanted in ((tmp_path / "ca.pem", True), (None, False)):
            link = BrokerLink(broker.host, broker.port, user, password, tls_ca=ca)
            service = IngestService(made.kit, made.telemetry, made.booking, host_id=HOST_ID, link=link)
            service._start()
            assert service.mqtt is not None
            if wanted:
                eventually(lambda mqtt=service.mqtt: mqtt.online, 10)
            else:
                time.sleep(0.5)
                assert not service.mqtt.online, "plain text must not get through a TLS listener"
            service._stop()


def test_the_broker_is_killed_again_and_again_and_nothing_is_lost_or_twice(running: Running) -> None:
    service = running.serve()
    with TestEdge(running.broker, "EDGE-L1", DEVICES) as edge:
        for turn in range(3):
            fill(edge, 200, start=200 * turn)
            if turn % 2:
                time.sleep(0.03)  # let some of it be on the way
            running.broker.kill()
            fill(edge, 5, start=200 * (turn + 1))
            running.broker.start()
            eventually(lambda: service.mqtt is not None and service.mqtt.online and edge.online, 15)
        edge.wait_stored(30)
        records = edge.last
    assert running.bench.scalar("select n from ingest_mark") == records
    assert running.bench.telemetry.marks() == {("EDGE-L1", edge.epoch): records}
    assert len(running.bench.telemetry.window("SAW-01", "temperature_c", 0, 1 << 60).ts) == records
    assert running.bench.booking.good() == 604
