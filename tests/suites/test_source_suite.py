"""One suite over every kind of source: an agent over a real PLC or meter says the same things in the same situations."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.__main__ import main
from tests.support.broker import mosquitto
from tests.support.edge import Host, config_text, running
from tests.support.rigs import RIGS, Rig, make
from tests.support.wait import eventually


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.full] if name.endswith(" serial") else []) for name in RIGS])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    made = make(request.param, tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def host(tmp_path: Path, rig: Rig) -> Iterator[Host]:
    with mosquitto(tmp_path) as broker, Host(broker) as made:
        (tmp_path / "edge.toml").write_text(config_text(broker, rig.text(rig.port), more="[delivery]\nheartbeat_s = 0.5\nhealth_s = 0.5\n"))
        yield made


def health(host: Host, leaf: str) -> Any:
    """Newest value of Source/SRC/<leaf> in births and node data."""
    found = None
    for topic, payload in list(host.messages):
        if "/NBIRTH/" in topic or "/NDATA/" in topic:
            for metric in payload.metrics:
                name = metric.name or host.names.get(metric.alias, ("", "", 0))[1]
                if name == f"Source/SRC/{leaf}":
                    found = metric.string_value or metric.double_value
    return found


def test_values_changes_loss_and_return(tmp_path: Path, rig: Rig, host: Host) -> None:
    with running(tmp_path / "edge.toml") as agent:
        eventually(lambda: host.last("D-1", rig.fact) == 100 * rig.factor, 15, why=f"initial values {agent.logged}")
        eventually(lambda: host.last("D-1", rig.sample) == 20.0, 5)
        rig.put(103, 21.5)
        eventually(lambda: host.last("D-1", rig.fact) == 103 * rig.factor and host.last("D-1", rig.sample) == 21.5, 5)
        eventually(lambda: host.facts("D-1", "watched_until"), 5)
        assert host.facts("D-1", "gap") == [], "no gap is invented while all is well"
        eventually(lambda: health(host, "Status") == "connected", 5)

        lost_ms = int(time.time() * 1000)
        rig.stop()
        eventually(lambda: health(host, "Status") == "lost" and "\n" in str(health(host, "Last Error")), 10)
        eventually(lambda: "DDEATH" in host.kinds(), 5)
        rig.start()
        rig.put(110, 22.0)
        back_ms = int(time.time() * 1000)
        eventually(lambda: host.last("D-1", rig.fact) == 110 * rig.factor, 15)
        gap = json.loads(eventually(lambda: host.last("D-1", "gap"), 5))
        assert gap["cause"] == "source_lost"
        assert lost_ms - 1500 <= gap["from_ms"] <= lost_ms + 500
        assert gap["to_ms"] <= back_ms + 6000
        eventually(lambda: health(host, "Status") == "connected" and "cannot be reached" not in str(health(host, "Last Error")), 5)
        assert host.errors == []


def test_an_agent_that_starts_before_its_source_waits_for_it(tmp_path: Path, rig: Rig, host: Host) -> None:
    rig.stop()
    with running(tmp_path / "edge.toml") as agent:
        eventually(lambda: agent.logged, 10)
        rig.start()
        rig.put(107, 1.0)  # more than it had: a peer may be seen before it is told this
        eventually(lambda: host.last("D-1", rig.fact) == 107 * rig.factor, 15)
        assert host.facts("D-1", "gap") == [], "what was never seen cannot be missing"


def test_read_once_prints_every_value_or_says_what_cannot_be_reached(
    tmp_path: Path, rig: Rig, host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["read-once", "--config", str(tmp_path / "edge.toml")]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 2 and "100" in out and "20.0" in out
    rig.stop()
    assert main(["read-once", "--config", str(tmp_path / "edge.toml")]) == 1
    assert "Check " in capsys.readouterr().out
