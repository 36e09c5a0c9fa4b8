"""One suite over every kind of source: an agent over a real PLC or meter says the same things in the same situations."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua

from edge_agent.__main__ import main
from edge_agent.sources.modbus import codec
from tests.support.broker import mosquitto
from tests.support.edge import Host, Meter, Plc, config_text, machine_source, running
from tests.support.wait import eventually

METER = """[sources.SRC]
type = "modbus"
port = {port}
period_s = 0.2
timeout_s = 0.5
{more}
[sources.SRC.devices.D-1]
kind = "meter"
unit = 1
[sources.SRC.devices.D-1.metrics]
energy_import_wh = {{ register = 10, type = "{kind}", word_order = "{order}", scale = 1000.0 }}
power_w = {{ register = 2, type = "float32" }}
"""


@dataclass
class Rig:
    """A source with one running total (`fact` on the wire) and one sample, changed from outside."""

    kind: str
    text: str
    fact: str
    factor: float
    sample: str
    peer: Any

    def put(self, total: int, sample: float) -> None:
        if isinstance(self.peer, Plc):
            self.peer.set_many([("D-1.Good", total, None), ("D-1.Temp", sample, None)])
        else:
            self.peer.put(1, 10, codec.encode(total, "float32" if self.kind == "modbus" else "int64", "ABCD" if self.kind == "modbus" else "CDAB"))
            self.peer.put(1, 2, codec.encode(sample, "float32"))


@pytest.fixture(params=["opcua", "opcua secure", "modbus", "modbus int64 CDAB one connection"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    kind = request.param
    with contextlib.ExitStack() as stack:
        if kind.startswith("opcua"):
            plc = stack.enter_context(Plc(secure=tmp_path if "secure" in kind else None))
            (tmp_path / "plc.password").write_text("secret\n")
            plc.add("D-1.Good", 100, ua.VariantType.UInt32)
            plc.add("D-1.Temp", 20.0, ua.VariantType.Float)
            text = machine_source(plc, 'good = { node = "s=Good" }\ntemp_c = { node = "s=Temp" }', device="D-1", name="SRC")
            yield Rig(kind, text, "good_total", 1.0, "temp_c", plc)
        else:
            meter = stack.enter_context(Meter((1,)))
            special = kind != "modbus"
            more = "close_after_poll = true\none_request_per_field = true\nbusy_retries = 2" if special else ""
            text = METER.format(port=meter.port, more=more, kind="int64" if special else "float32", order="CDAB" if special else "ABCD")
            made = Rig(kind, text, "energy_import_wh", 1000.0, "power_w", meter)
            made.put(100, 20.0)
            yield made


@pytest.fixture
def host(tmp_path: Path, rig: Rig) -> Iterator[Host]:
    with mosquitto(tmp_path) as broker, Host(broker) as made:
        (tmp_path / "edge.toml").write_text(config_text(broker, rig.text, more="[delivery]\nheartbeat_s = 0.5\nhealth_s = 0.5\n"))
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
        rig.peer.stop()
        eventually(lambda: health(host, "Status") == "lost" and "\n" in str(health(host, "Last Error")), 10)
        eventually(lambda: "DDEATH" in host.kinds(), 5)
        rig.peer.start()
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
    rig.peer.stop()
    with running(tmp_path / "edge.toml") as agent:
        eventually(lambda: agent.logged, 10)
        rig.peer.start()
        rig.put(7, 1.0)
        eventually(lambda: host.last("D-1", rig.fact) == 7 * rig.factor, 15)
        assert host.facts("D-1", "gap") == [], "what was never seen cannot be missing"


def test_read_once_prints_every_value_or_says_what_cannot_be_reached(
    tmp_path: Path, rig: Rig, host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["read-once", "--config", str(tmp_path / "edge.toml")]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 2 and "100" in out and "20.0" in out
    rig.peer.stop()
    assert main(["read-once", "--config", str(tmp_path / "edge.toml")]) == 1
    assert "Check address" in capsys.readouterr().out
