"""A running agent is asked how it is and given another config: what is untouched is not born again, and a bad config is taken back."""

from __future__ import annotations

import contextlib
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from asyncua import ua

from edge_agent.__main__ import main
from edge_agent.sources.modbus import codec
from tests.support.broker import mosquitto
from tests.support.edge import NAMESPACE, AgentProcess, Host, Meter, Plc, config_text, machine_source
from tests.support.wait import eventually

METRICS = 'good = { node = "s=Good" }\n'
SECOND = f'''[sources.PLC.devices.LAT-01]
namespace = "{NAMESPACE}"
node_prefix = "LAT-01."
[sources.PLC.devices.LAT-01.metrics]
good = {{ node = "s=Good" }}
'''


@dataclass
class Plant:
    plc: Plc
    meter: Meter
    host: Host
    agent: AgentProcess
    config: Path
    text: str

    def run(self, *arguments: str) -> int:
        return main([*arguments, "--config", str(self.config)])

    def births(self, device: str) -> int:
        return sum(topic.endswith(f"/DBIRTH/EDGE-L1/{device}") for topic, _ in list(self.host.messages))


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(mosquitto(tmp_path))
        plc, meter, host = stack.enter_context(Plc()), stack.enter_context(Meter()), stack.enter_context(Host(broker))
        for device in ("SAW-01", "LAT-01"):
            plc.add(f"{device}.Good", 5, ua.VariantType.UInt32)
        meter.put(1, 2, codec.encode(750.0, "float32", "ABCD"))
        meters = f'[sources.M]\ntype = "modbus"\nport = {meter.port}\nperiod_s = 0.2\n[sources.M.devices.M-1]\nkind = "meter"\n'
        meters += "[sources.M.devices.M-1.metrics]\npower_w = { register = 2 }\n"
        text = config_text(broker, machine_source(plc, METRICS) + meters)
        config = tmp_path / "edge.toml"
        config.write_text(text)
        agent = AgentProcess(config)
        agent.start()
        stack.callback(agent.terminate)
        eventually(lambda: host.last("SAW-01", "good_total") == 5 and host.last("M-1", "power_w") == 750.0, 20)
        yield Plant(plc, meter, host, agent, config, text)


def test_status_and_apply_without_touching_what_is_untouched(plant: Plant, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plant.run("status") == 0
    out = capsys.readouterr().out
    assert "PLC (opcua)  connected" in out and "SAW-01" in out and "delivering" in out
    assert "  ! unencrypted by choice" in out and "\x1b[" not in out
    assert plant.run("status", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [source["status"] for source in found["sources"]] == ["connected", "connected"]
    control = tmp_path / "edge.buffer.control"
    assert stat.S_IMODE(control.stat().st_mode) == 0o600, "only the agent's own user"
    eventually(lambda: plant.run("plan") == 0 and "measured" in capsys.readouterr().out, 60, every=0.5)

    born = {device: plant.births(device) for device in ("SAW-01", "M-1")}
    new = tmp_path / "new.toml"
    new.write_text(plant.text + SECOND)
    assert plant.run("apply", str(new)) == 0
    out = capsys.readouterr().out
    assert "devices added: LAT-01" in out and "devices untouched: M-1" in out
    eventually(lambda: plant.host.last("LAT-01", "good_total") == 5, 15)
    assert {device: plant.births(device) for device in born} == born, "nothing untouched was born again"
    assert plant.host.values("M-1", "gap") == [], "the other source never noticed"
    plant.plc.set_many([("SAW-01.Good", 6, None)])
    eventually(lambda: plant.host.last("SAW-01", "good_total") == 6, 15)
    assert plant.config.read_text() == plant.text + SECOND
    assert (tmp_path / "edge.toml.before").read_text() == plant.text

    new.write_text(plant.text)  # and away again
    assert plant.run("apply", str(new)) == 0
    eventually(lambda: any(topic.endswith("/DDEATH/EDGE-L1/LAT-01") for topic, _ in list(plant.host.messages)), 10)
    plant.plc.set_many([("SAW-01.Good", 8, None)])
    eventually(lambda: plant.host.last("SAW-01", "good_total") == 8, 15)
    assert plant.host.errors == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text + SECOND.replace('"s=Good"', '"s=Nowhere"'), "BadNodeIdUnknown"),
        (lambda text: text.replace(NAMESPACE, "urn:not:there"), "has no namespace"),
    ],
)
def test_a_config_that_makes_it_worse_is_taken_back(
    plant: Plant, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: object, words: str
) -> None:
    new = tmp_path / "new.toml"
    new.write_text(change(plant.text))  # type: ignore[operator]
    assert plant.run("--lang", "en", "apply", str(new), "--watch-s", "5") == 1
    said = capsys.readouterr()
    assert words in said.err and "Not applied" in said.err, said
    assert plant.config.read_text() == plant.text, "the file is as it was"
    assert list(tmp_path.glob(".apply-*")) == []
    plant.plc.set_many([("SAW-01.Good", 9, None)])
    eventually(lambda: plant.host.last("SAW-01", "good_total") == 9, 20)
    assert plant.run("status") == 0


def test_what_cannot_be_changed_or_asked_is_said_in_words(plant: Plant, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = tmp_path / "new.toml"
    new.write_text(plant.text.replace('edge = "EDGE-L1"', 'edge = "EDGE-L9"'))
    assert plant.run("apply", str(new)) == 1
    assert "cannot change while the agent runs" in capsys.readouterr().err
    new.write_text("nonsense = [")
    assert plant.run("apply", str(new)) == 1
    said = capsys.readouterr().err
    assert "not TOML" in said and str(new) in said and ".apply-" not in said
    plant.agent.terminate()
    assert main(["--lang", "zh", "status", "--config", str(plant.config)]) == 1
    assert "没有应答" in capsys.readouterr().err
    assert plant.run("plan") == 0, "without an agent the plan is computed"
    assert "assumed" in capsys.readouterr().out
