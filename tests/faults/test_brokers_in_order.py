"""Several brokers in order, led by STATE: a dead primary is left, the host is found where it is, and everything is booked once."""

from __future__ import annotations

from pathlib import Path

from edge_agent.publisher.node import Phase
from tests.support.broker import mosquitto
from tests.support.edge import Host, Plc, config_text, machine_source, running
from tests.support.machine import FIRST, METRICS, MORE, Machine
from tests.support.wait import eventually


def test_a_dead_primary_broker_is_left_and_everything_arrives_once(tmp_path: Path) -> None:
    """Two real Mosquittos, one server that is at home on one of them at a time."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with mosquitto(tmp_path / "one") as first, mosquitto(tmp_path / "two") as second, Plc() as plc:
        machine = Machine(plc)
        text = config_text(first, machine_source(plc, METRICS, device_more=MORE), more="[delivery]\nheartbeat_s = 1.0\nretry_s = 1.0\n")
        brokers = "".join(f'[[brokers]]\ncredentials_file = "{one.credentials_file("EDGE-L1")}"\nkeepalive_s = 2\n\n' for one in (first, second))
        (tmp_path / "edge.toml").write_text(text[: text.index("[[brokers]]")] + brokers + text[text.index("[buffer]") :])
        home, refuge = Host(first), Host(second)
        refuge.booked = home.booked  # the same server's book
        home.connect()
        with running(tmp_path / "edge.toml") as agent:
            node = agent.worker.node
            eventually(lambda: home.last("SAW-01", "good_total") == FIRST, 30)
            machine.start()
            eventually(lambda: machine.made > 20, 20)
            assert node.broker == 0

            first.kill()
            refuge.connect()
            eventually(lambda: node.phase is Phase.BORN and node.broker == 1, 60, why="the second broker has the host")
            made = machine.made
            eventually(lambda: (refuge.last("SAW-01", "good_total") or 0) >= FIRST + made + 10, 60)

            first.restart()
            refuge.offline()
            refuge.disconnect()
            eventually(lambda: node.phase is not Phase.BORN, 30, why="the host left: NDEATH and away")
            assert "NDEATH" in refuge.kinds() or node.broker != 1
            home.stamp = refuge.stamp + 1
            home.online()
            eventually(lambda: node.phase is Phase.BORN and node.broker == 0, 90, why="back at the first broker")
            machine.stop()
            eventually(lambda: home.last("SAW-01", "good_total") == FIRST + machine.made, 60, why="all is booked")
        home.disconnect()
        values = home.values("SAW-01", "good_total")
        assert sorted(set(values)) == list(range(FIRST, FIRST + machine.made + 1)) and values == sorted(values), "every piece, once, in order"
        assert home.values("SAW-01", "gap") == [] and len(home.booked) == 1
