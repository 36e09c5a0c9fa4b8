"""The server's connection to the broker never ends for good: whatever the broker answers, and whatever fails while a message is taken in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edge_agent.contract.clock import PlantClock
from mes_server.ingest.broker_settings import BrokerLink
from mes_server.ingest.inbox import CONNECTED
from mes_server.ingest.mqtt import MqttLink
from tests.support.strange_broker import StrangeBroker, message
from tests.support.wait import eventually

REFUSED = 0x80


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mes_server.ingest.mqtt.RECONNECT_S", (0, 1))


@contextmanager
def link_to(broker: StrangeBroker) -> Iterator[MqttLink]:
    def put(topic: str, payload: bytes, kept: bool) -> bool:
        if topic != CONNECTED:
            raise MemoryError(topic)
        return True

    link = MqttLink(BrokerLink("127.0.0.1", broker.port), "gemba", PlantClock(), put)
    link.start()
    try:
        yield link
    finally:
        link.stop()


def test_it_comes_back_after_an_end_nobody_foresaw(caplog: pytest.LogCaptureFixture) -> None:
    with StrangeBroker() as broker, link_to(broker) as link:
        eventually(lambda: link.online, 20)
        broker.say(message("spBv1.0/G/NDATA/E", b"?"))
        eventually(lambda: broker.connects >= 2 and link.online and not link.fault, 20, why="connected and online again")
    assert caplog.text.count("ended unexpectedly") == link.failures == 1


def test_a_refused_subscription_is_asked_for_again_until_it_is_granted() -> None:
    """Rights at an external broker are given while the server runs: nobody has to restart it."""
    with StrangeBroker() as broker:
        broker.grant = REFUSED
        with link_to(broker) as link:
            eventually(lambda: "refuses a subscription" in link.fault, 20)
            broker.grant = 0x01
            eventually(lambda: link.online and not link.fault, 30)


def test_a_stop_in_the_moment_in_which_the_broker_goes_is_quiet() -> None:
    """Before the lost connection is noticed: what comes after it in a shutdown (telemetry, the broker's process) must still be done."""
    with StrangeBroker() as broker, link_to(broker) as link:
        eventually(lambda: link.online, 20)
        broker.go_away()
        eventually(lambda: not link.online and link._client.socket() is None, 20)
        link.online = True
        link.stop()
