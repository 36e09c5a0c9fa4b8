"""kill -9 of the agent at random, again and again, under load (R04): also while it starts, while it replays, while it answers. Exact at the end.

0 failures in 500 runs bound the failure rate at 0.6 % (95 %); every durable call by itself is hit in test_edge_disk.py.
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from edge_agent.sources.modbus import codec
from tests.faults.test_clock_jumps import SOURCE, Counting
from tests.support.broker import mosquitto
from tests.support.edge import AgentProcess, Host, Meter, config_text
from tests.support.wait import eventually

FAST = "[delivery]\nheartbeat_s = 0.5\nhealth_s = 0.5\nretry_s = 0.5\ncommit_interval_s = 0.02\n"


@pytest.mark.full
@pytest.mark.timeout(5400)
@pytest.mark.parametrize("kills", [500])
def test_killed_again_and_again(tmp_path: Path, kills: int) -> None:
    print("seed", kills)
    dice = random.Random(kills)
    with mosquitto(tmp_path) as broker, Host(broker) as host, Meter((1,)) as meter:
        meter.put(1, 10, codec.encode(100, "uint32"))
        config = tmp_path / "edge.toml"
        config.write_text(config_text(broker, SOURCE.format(port=meter.port).replace("period_s = 0.2", "period_s = 0.05"), more=FAST))
        agent, counting = AgentProcess(config), Counting(meter)
        agent.start()
        try:
            eventually(lambda: host.last("M-1", "energy_import_wh") == 100_000.0, 30, why="first value")
            counting.start()
            for _ in range(kills):
                time.sleep(dice.uniform(0.0, 3.0))  # some before it is up, some in its replay, some in steady work
                agent.kill()
                host.answering = dice.random() < 0.7
                agent.start()
            host.answering = True
            counting.end.set()
            counting.join(10)
            eventually(lambda: host.last("M-1", "energy_import_wh") == counting.made * 1000.0, 60, why=f"{counting.made}", every=0.2)
        finally:
            counting.end.set()
            agent.terminate()
        totals = host.values("M-1", "energy_import_wh")
        assert totals == sorted(totals), "a total never falls"
        assert len(host.booked) == 1 and host.errors == [], "one buffer, no number missing, no number out of order"
        stamps = [fact.t_ms for fact in host.facts("M-1", "energy_import_wh")]
        assert stamps == sorted(stamps)
        causes = {json.loads(gap)["cause"] for gap in host.values("M-1", "gap")}
        assert causes <= {"edge_down"}, "what was not seen has its cause"
        assert not list(tmp_path.glob("*damaged*"))
        print(f"{kills} kills: {counting.made - 100} counted, {len(totals)} readings, 0 missing, 0 twice")
