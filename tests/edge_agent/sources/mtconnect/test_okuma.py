"""A real Okuma adapter's lines, four recordings out of time order, through adapter, agent, broker and host: the golden segments come out."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest

from edge_agent.contract.clock import ManualClock, parse_iso_ms
from edge_agent.sources.mtconnect.shdr import Reader
from tests.support.broker import mosquitto
from tests.support.data import shared
from tests.support.edge import Host, config_text, running
from tests.support.mtconnect import Adapter
from tests.support.wait import eventually

CUT = Path(__file__).parent / "okuma_cut.shdr"
GOLDEN_S = {"13:37": 604.963, "13:51": 186.730, "13:57": 16.752, "14:21": 548.932}  # by when it began
AFTER_MS = parse_iso_ms("2022-08-08T14:30:25Z")
CONFIG = """[sources.OKUMA]
type = "mtconnect"
url = "shdr://127.0.0.1:{port}"
heartbeat_s = 0.2
late_s = 3600
[sources.OKUMA.devices.LAT-01]
kind = "machine"
min_cycle_s = 5
[sources.OKUMA.devices.LAT-01.metrics]
state = {{ item = "pexecution" }}
good = {{ item = "ppartcount" }}
alarm = {{ item = "conditions" }}
program = {{ item = "pprogram" }}
mode = {{ item = "pmode" }}
x_load_pct = {{ item = "X1load" }}
z_position_mm = {{ item = "Z1actw" }}
"""


def replayed(lines: list[str], folder: Path) -> Host:
    """The host after the adapter sent `lines` as fast as it could and everything was delivered."""
    clock = ManualClock(AFTER_MS)
    expected = sum(seen.item in ("pexecution", "ppartcount", "X1load", "Z1actw") for line in lines for seen in _seen(line))
    with mosquitto(folder) as broker, Adapter() as adapter, Host(broker) as host:
        adapter.first = lines
        (folder / "edge.toml").write_text(config_text(broker, CONFIG.format(port=adapter.port), more="[delivery]\nheartbeat_s = 0.5\n"))
        with running(folder / "edge.toml", clock=clock) as agent:
            health = agent.sources[0].health
            eventually(lambda: health.values >= expected, 60, why=f"{health}")
            assert host.facts("LAT-01", "state") == [], "it waits for what may come later"
            clock.advance(3700)
            eventually(lambda: clock.advance(1) or host.last("LAT-01", "watched_until"), 20)
            eventually(lambda: len(host.facts("LAT-01", "good_total")) > 6, 20)
            assert health.failed == {}
        assert host.errors == []
        return host


_reader = Reader()


def _seen(line: str) -> list[Any]:
    return list(_reader.line(line, 0))


def check_golden(host: Host) -> None:
    facts = host.facts("LAT-01", "state")
    assert [fact.t_ms for fact in facts] == sorted(fact.t_ms for fact in facts), "in the order of time"
    found = [(b.t_ms - a.t_ms) / 1000 for a, b in itertools.pairwise(facts) if a.value == "producing"]
    assert found == pytest.approx([GOLDEN_S[key] for key in sorted(GOLDEN_S)], abs=0.0011)
    totals = host.facts("LAT-01", "good_total")
    assert totals[-1].value - totals[0].value == 5, "0 1 | 0 1 | 0 1 | 2 3: a reset is no negative count"
    assert [fact.t_ms for fact in totals] == sorted(fact.t_ms for fact in totals)
    assert host.facts("LAT-01", "gap") == []
    assert set(host.values("LAT-01", "alarm")) == {""}
    assert len(set(host.values("LAT-01", "program"))) == 4


def test_golden_segments_whatever_the_order_of_arrival(tmp_path: Path) -> None:
    lines = CUT.read_text(encoding="utf-8").splitlines()
    check_golden(replayed(lines, tmp_path))


def test_golden_segments_when_the_lines_come_shuffled(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    lines = [line for line in CUT.read_text(encoding="utf-8").splitlines() if line.startswith("2022") and "@" not in line]
    random.Random(seed).shuffle(lines)
    check_golden(replayed(lines, tmp_path))


@pytest.mark.full
def test_the_whole_recording_with_every_sample_in_order(tmp_path: Path) -> None:
    lines = shared("mtconnect/okuma_multus_2022-08_adapter_shdr.txt").read_text(encoding="utf-8").splitlines()
    host = replayed(lines, tmp_path)
    check_golden(host)
    for name, count in (("x_load_pct", 1484), ("z_position_mm", 2968)):
        times = [fact.t_ms for fact in host.facts("LAT-01", name)]
        assert len(times) == count
        assert times == sorted(times)
