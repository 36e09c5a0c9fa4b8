"""A server that always announces more notifications (more is asked of it than it, the network or the edge can do) is read, stored and answered."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from benchmarks import _opcua_source
from benchmarks._edge import CountingHost, fast_source, head, shaped_source
from tests.support.broker import broker_of, free_port
from tests.support.edge import running
from tests.support.wait import eventually

TAGS = 10
ENDLESS_PER_S = 1e9
NOTIFICATIONS = 1_000  # far more than may be received and not yet stored


@pytest.mark.full
def test_a_server_that_never_says_that_it_is_all_is_stored_and_acknowledged(tmp_path: Path) -> None:
    port = free_port()
    shape = _opcua_source.Shape(TAGS, interval_s=0.5)
    with broker_of("nats", tmp_path) as broker, shaped_source(port, shape, ENDLESS_PER_S) as (_, sent, _):
        host = CountingHost(broker)
        host.connect()
        config = tmp_path / "edge.toml"
        config.write_text(head(broker) + fast_source(port, TAGS, interval_s=0.5))
        with running(config):
            eventually(lambda: host.counted >= NOTIFICATIONS * TAGS, 30, why=f"{host.counted} of {sent.value} values")
        host.disconnect()
    assert not host.holes
    assert not multiprocessing.active_children()
