"""R15, the link from the server to the broker: the edges' records wait at the edges, and everything is booked once the link is good again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.test_broker import DELIVERY, Way, delivering
from tests.support.broker import KINDS, broker_of
from tests.support.edge import Plc, config_text, machine_source
from tests.support.machine import METRICS, MORE, Machine
from tests.support.proxy import FaultProxy
from tests.support.wait import eventually
from tests.support.whole_ingest import whole_ingest

SEED = 17


@contextmanager
def way(kind: str, folder: Path) -> Iterator[tuple[Way, FaultProxy]]:
    print(f"seed {SEED}")
    with (
        broker_of(kind, folder) as broker,
        FaultProxy(broker.port, seed=SEED) as proxy,
        Plc() as plc,
        whole_ingest(folder, broker, port=proxy.port) as ingest,
    ):
        machine = Machine(plc)
        (folder / "edge.toml").write_text(config_text(broker, machine_source(plc, METRICS, device_more=MORE), more=DELIVERY))
        try:
            yield Way(broker, machine, ingest), proxy
        finally:
            machine.stop()
            proxy.pass_on()


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_r15_server_half_open(kind: str, tmp_path: Path) -> None:
    """The server's keep-alive is 5 s here: it notices, connects anew, asks for births."""
    with way(kind, tmp_path) as (made, proxy), delivering(made, tmp_path):
        made.makes(20)
        proxy.half_open()
        mqtt = made.ingest.service.mqtt
        assert mqtt is not None
        eventually(lambda: not mqtt.online, 60, why="the server notices the dead link")
        made.makes(20)
        proxy.pass_on()
        proxy.reset_all()
        made.arrives(90)
        made.exact()


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_r15_server_slices_delay_and_resets(kind: str, tmp_path: Path) -> None:
    with way(kind, tmp_path) as (made, proxy), delivering(made, tmp_path):
        proxy.slice_bytes = 1
        made.makes(20)
        made.arrives()
        proxy.pass_on()
        proxy.delay_s = 1.0
        made.makes(40)
        made.arrives(90)
        proxy.pass_on()
        proxy.reset_chance = 0.3
        for _ in range(10):
            made.makes(10)
            proxy.reset_all()
        proxy.pass_on()
        made.arrives(90)
        made.exact()
