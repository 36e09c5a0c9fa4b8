"""However a connection ends, it is said: a link that ends without a word would be waited for in vain."""

from __future__ import annotations

import queue

import pytest

from edge_agent.config import BrokerConfig
from edge_agent.publisher.link import Closed, Connected, Link, LinkEvent, Message
from tests.support.strange_broker import NONSENSE_SUBACK, SHORT_PUBACK, StrangeBroker, message

WAIT_S = 60.0


@pytest.mark.parametrize("packet", [NONSENSE_SUBACK, SHORT_PUBACK, message("topic", b"boom")], ids=["suback", "puback", "callback"])
def test_a_connection_that_ends_in_a_way_nobody_foresaw_is_said_to_be_closed(packet: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Nonsense from the broker, and an error of ours while a message is taken in."""
    events: queue.Queue[LinkEvent] = queue.Queue()

    def post(event: LinkEvent) -> None:
        if isinstance(event, Message):
            raise KeyError(event.topic)
        events.put(event)

    link = Link("t", post)
    with StrangeBroker() as broker:
        for number in (1, 2):
            link.open(BrokerConfig(host="127.0.0.1", port=broker.port), "will", b"", ["topic"])
            assert events.get(timeout=WAIT_S) == Connected(number)
            broker.say(packet)
            ended = events.get(timeout=WAIT_S)
            assert isinstance(ended, Closed) and ended.connection == number and ended.reason
    assert caplog.text.count("ended unexpectedly") <= 1, "said once, not at every try"
