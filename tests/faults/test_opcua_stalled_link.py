"""A link to the PLC that stalls: what comes late keeps its own time and order, and nothing is promised meanwhile that is still on its way."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

from asyncua import ua

from tests.support.broker import broker_of
from tests.support.edge import Host, Plc, config_text, machine_source, running
from tests.support.proxy import FaultProxy
from tests.support.wait import eventually

METRICS = 'state = { node = "s=State" }\ngood = { node = "s=Good" }\nspeed_rpm = { node = "s=Speed" }'


class Machine(threading.Thread):
    """Changes its state and speed 50 times a second; `told` is the truth: (t_ms, state, speed)."""

    def __init__(self, plc: Plc) -> None:
        super().__init__(daemon=True)
        self._plc = plc
        self.end = threading.Event()
        self.told: list[tuple[int, int, float]] = []

    def run(self) -> None:
        while not self.end.wait(0.02):
            i = len(self.told) + 1
            t_ms = max(int(time.time() * 1000), self.told[-1][0] + 1 if self.told else 0)
            self._plc.set_many([("SAW-01.State", 5 + i % 2, t_ms), ("SAW-01.Good", i, t_ms), ("SAW-01.Speed", float(i), t_ms)])
            self.told.append((t_ms, 5 + i % 2, float(i)))


def test_what_a_stalled_link_brings_late_keeps_its_time_and_nothing_was_promised_before_it(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    dice = random.Random(seed)
    with broker_of("nats", tmp_path) as broker, Plc() as plc, FaultProxy(plc.port) as proxy, Host(broker) as host:
        for name, value, kind in (("State", 5, ua.VariantType.Int32), ("Good", 0, ua.VariantType.UInt32), ("Speed", 0.0, ua.VariantType.Double)):
            plc.add(f"SAW-01.{name}", value, kind)
        config = tmp_path / "edge.toml"
        source = machine_source(plc, METRICS, device_more="min_cycle_s = 0.005").replace(f":{plc.port}/", f":{proxy.port}/")
        config.write_text(config_text(broker, source, more="[delivery]\nheartbeat_s = 0.2\nretry_s = 1.0\n"))
        machine = Machine(plc)
        with running(config) as agent:
            eventually(lambda: host.last("SAW-01", "good_total") == 0, 20, why="first value")
            machine.start()
            for _ in range(3):
                time.sleep(dice.uniform(0.3, 0.8))
                proxy.half_open(dice.choice(["down", "down", "both"]))
                time.sleep(dice.uniform(0.4, 1.5))  # longer than settle_s, shorter than what counts as silence
                proxy.pass_on()
            time.sleep(0.5)
            machine.end.set()
            machine.join(10)
            eventually(lambda: host.last("SAW-01", "good_total") == len(machine.told), 30, why=f"{len(machine.told)} parts")
            assert agent.worker.pipeline.late == 0, "a value came behind what had been promised"
        assert host.values("SAW-01", "gap") == []
        states = [(fact.t_ms, fact.value) for fact in host.facts("SAW-01", "state_raw")][1:]
        assert states == [(t_ms, state) for t_ms, state, _ in machine.told]
        assert [(fact.t_ms, fact.value) for fact in host.facts("SAW-01", "speed_rpm")][1:] == [(t_ms, speed) for t_ms, _, speed in machine.told]
        watched_ms = 0
        for fact in [fact for booked in host.booked.values() for fact in booked.facts]:
            assert fact.t_ms > watched_ms or fact.name == "watched_until"
            watched_ms = max(watched_ms, fact.value) if fact.name == "watched_until" else watched_ms
