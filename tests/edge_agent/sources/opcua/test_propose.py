"""From guesses to a config: what belongs together, what is sure, what a person must say; and the command against a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from asyncua import ua

from edge_agent import config_text
from edge_agent.__main__ import main
from edge_agent.sources.opcua.browse_command import edge_of
from edge_agent.sources.opcua.config import OpcUaConfig
from edge_agent.sources.opcua.guess import Guess, Seen, guess
from edge_agent.sources.opcua.propose import Candidate, Model, devices_of, file_text, propose
from tests.support.edge import Plc

UP, STATES = tuple(range(100, 115)), (6, 6, 4, 5, 6)


def candidate(path: str, datatype: str = "Int32", samples: tuple[object, ...] = (1, 1), unit: str = "", **more: object) -> Candidate:
    names = tuple(path.split("/"))
    seen = Seen(names[-1], names[:-1], datatype, samples, unit, **more)  # type: ignore[arg-type]
    return Candidate(names, f"nsu=urn:plc;s={'.'.join(names)}", seen, guess(seen))


def machine(at: str) -> list[Candidate]:
    return [candidate(f"{at}/State", samples=STATES), candidate(f"{at}/GoodCount", "UInt32", UP), candidate(f"{at}/Oil", "Double", (1.5, 1.7))]


@pytest.mark.parametrize(
    ("candidates", "groups"),
    [
        (machine("SAW") + machine("LAT"), {"SAW": 3, "LAT": 3}),
        (machine("Plant/L1/SAW") + machine("Plant/L1/LAT") + machine("Plant/L2/MC"), {"Plant/L1/SAW": 3, "Plant/L1/LAT": 3, "Plant/L2": 3}),
        ([candidate("PLC/DB_M/State", samples=STATES), candidate("PLC/DB_P/GoodCount", "UInt32", UP)], {"PLC": 2}),
        ([candidate("SAW.State", samples=STATES), candidate("SAW.Good", "UInt32", UP), candidate("LAT.State", samples=STATES),
          candidate("LAT.Good", "UInt32", UP)], {"SAW": 2, "LAT": 2}),
        ([candidate("C/D/P1_State", samples=STATES), candidate("C/D/P1_GoodCount", "UInt32", UP), candidate("C/D/P2_State", samples=STATES),
          candidate("C/D/P2_GoodCount", "UInt32", UP)], {"C/D/P1": 2, "C/D/P2": 2}),
        ([candidate("M1/Energy", "Double", (1.0, 2.0, 3.0), "kWh"), candidate("M2/Energy", "Double", (1.0, 2.0, 3.0), "kWh")], {"M1": 1, "M2": 1}),
    ],
    ids=["objects", "lines", "data blocks", "flat with dots", "Kepware", "meters"],
)  # fmt: skip
def test_what_belongs_together(candidates: list[Candidate], groups: dict[str, int]) -> None:
    assert {"/".join(path): len(mine) for path, mine in devices_of(candidates).items()} == groups


def check(tmp_path: Path, text: str) -> OpcUaConfig:
    path = tmp_path / "edge.toml"
    path.write_text(text, encoding="utf-8")
    config, problems = config_text.check(path)
    assert problems == [] and config is not None, [problem.text("en") for problem in problems]
    source = config.sources["PLC"]
    assert isinstance(source, OpcUaConfig)
    return source


KEYS = {"url": '"opc.tcp://plc:4840"', "security": '"none"'}


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_file_is_a_config_and_says_why(tmp_path: Path, lang: str) -> None:
    candidates = [
        *machine("一号机床"),
        candidate("一号机床/Zykluszeit_ms", "UInt32", (35_000, 34_900), "ms"),
        candidate("一号机床/Druck", "Double", (5.0, 5.1), "bar"),
        candidate("一号机床/Counter", "UInt32", (7, 7)),
        candidate("Meter/Wirkarbeit", "Double", (1.0, 1.2), "kWh"),
        candidate("Meter/Wirkleistung", "Double", (1.0, 1.2), "kW"),
    ]
    text = file_text(propose(candidates, lang=lang), "PLC", KEYS, lang)
    source = check(tmp_path, text)
    first, meter = source.devices.values()
    assert first.kind == "machine" and meter.kind == "meter"
    assert {"good", "cycle_s", "druck_bar"} <= first.metrics.keys() and first.metrics["cycle_s"].scale == 0.001
    assert {name: metric.scale for name, metric in meter.metrics.items()} == {"energy_import_wh": 1000.0, "power_w": 1000.0}
    assert ("% sure" in text) == (lang == "en") and ("把握" in text) == (lang == "zh")


def test_states_are_named_by_the_server_or_left_to_a_person(tmp_path: Path) -> None:
    enum = {0: "Off", 1: "Running", 2: "Fault", 3: "Sonstiges"}
    candidates = [
        candidate("A/MachineState", "Int32", (1, 2, 1), enum=enum),
        candidate("B/MachineStatus", "String", ("Running", "Idle", "Running")),
        candidate("C/StateCurrent", samples=(6, 4, 6)),
        candidate("D/StateCurrent", samples=(10, 20, 10)),
        candidate("D/GoodCount", "UInt32", UP),
    ]
    text = file_text(propose(candidates), "PLC", KEYS)
    devices = check(tmp_path, text).devices
    assert devices["A"].metrics["state"].states == {"0": "off", "1": "producing", "2": "fault"}
    assert devices["B"].metrics["state"].states == {"Running": "producing", "Idle": "idle"}
    assert devices["C"].metrics["state"].states == "packml"
    assert "state" not in devices["D"].metrics and '# state = { node = "s=D.StateCurrent", states = { "10" = "idle", "20" = "idle" } }' in text
    assert "Say what each code means" in text


def test_one_of_a_kind_and_names_that_may_stand_in_a_config(tmp_path: Path) -> None:
    candidates = [
        candidate("M 1 (neu)/GoodCount", "UInt32", UP),
        candidate("M 1 (neu)/PartCounter", "UInt32", UP),
        candidate("M 1 (neu)/3D Temperatur", "Double", (20.0, 20.1), "°C"),
        candidate("M 1 (neu)/3D_Temperatur", "Double", (20.0, 20.1), "°C"),
        candidate("m-1-neu/GoodCount", "UInt32", UP),
        candidate("液压站/液压温度", "Double", (20.0, 20.1), "°C"),
        Candidate(("M 1 (neu)", "Curve"), "nsu=urn:plc;s=Curve", Seen("Curve", (), "Double", is_scalar=False), Guess("", 0.0)),
    ]
    text = file_text(propose(candidates), "PLC", KEYS)
    devices = check(tmp_path, text).devices
    assert list(devices) == ["M-1-neu", "m-1-neu-2", "M-3"] or len(devices) == 3
    first = next(iter(devices.values()))
    assert "another candidate" in text and [name for name in first.metrics if name == "good"] == ["good"]
    assert sum("temperatur" in name for name in first.metrics) == 2


def test_what_a_companion_model_describes_is_not_guessed() -> None:
    model = Model(("MC-1",), "nsu=urn:plc;s=MC-1", "opc40501")
    (device, other) = propose([*machine("MC-1"), *machine("LAT")], [model])
    assert device.model == model and device.lines == [] and other.id == "LAT"
    text = file_text([device], "PLC", KEYS)
    assert 'model = "opc40501"' in text and 'root = "nsu=urn:plc;s=MC-1"' in text


@pytest.fixture(scope="module")
def moving() -> Iterator[Plc]:
    """A PLC whose counter and state move while it is watched."""
    with Plc() as plc:
        for name, value, kind in (
            ("SAW-01.MachineState", "Idle", ua.VariantType.String),
            ("SAW-01.GoodCount", 7, ua.VariantType.UInt32),
            ("SAW-01.Curve", [1.0, 2.0], ua.VariantType.Double),
            ("Spare", 3, ua.VariantType.Int16),
        ):
            plc.add(name, value, kind)
        done = threading.Event()

        def move() -> None:
            count = 7
            while not done.wait(0.1):
                count += 1
                plc.set_many([("SAW-01.GoodCount", count, None), ("SAW-01.MachineState", ("Idle", "Running")[count % 2], None)])

        thread = threading.Thread(target=move)
        thread.start()
        yield plc
        done.set()
        thread.join()


def test_browse_an_address_propose_check_read(moving: Plc, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "edge.toml"
    assert main(["browse", moving.url, "--security", "none", "--watch", "3", "--propose", str(path)]) == 0
    said = capsys.readouterr()
    assert "unencrypted by choice" in said.err
    (good,) = [line for line in said.out.splitlines() if line.startswith("SAW-01.GoodCount")]
    assert "UInt32" in good and "it only rises" in good and "good 9" in good
    assert "Curve" in said.out and "Spare" in said.out
    assert main(["check-config", str(path)]) == 0
    assert main(["read-once", "--config", str(path)]) == 0
    assert "SAW-01\tgood\t" in capsys.readouterr().out
    assert main(["browse", moving.url, "--security", "none", "--watch", "0", "--propose", str(path)]) == 1, "a file that is there is not overwritten"
    assert "Name another file" in capsys.readouterr().err


def test_browse_goes_on_with_what_enrol_wrote(moving: Plc, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "edge.toml"
    path.write_text('group = "PUMP"\nedge = "EDGE-L1"\nhost = "gemba"\n\n[[brokers]]\ncredentials_file = "EDGE-L1.json"\n')
    (tmp_path / "EDGE-L1.json").write_text('{"host": "127.0.0.1", "port": 1883, "user": "EDGE-L1", "password": "x", "host_id": "gemba"}')
    assert main(["browse", moving.url, "--security", "none", "--watch", "3", "--propose", str(path)]) == 0
    config, problems = config_text.check(path)
    assert config is not None and not problems
    assert (config.group, config.edge, len(config.brokers), len(config.sources)) == ("PUMP", "EDGE-L1", 1, 1)
    before = path.read_text()
    assert main(["browse", "opc.tcp://127.0.0.1:1", "--security", "none", "--propose", str(path)]) == 1
    assert "is there already" in capsys.readouterr().err, "said before anything is watched"
    assert path.read_text() == before


def test_browse_shows_the_plc_the_certificate_that_the_agent_will_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert edge_of("") == "browse"
    (tmp_path / "edge.toml").write_text('edge = "EDGE-L1"')
    assert edge_of("") == "EDGE-L1"
    assert edge_of('edge = "EDGE-L2"') == "EDGE-L2"


def test_browse_says_what_it_needs(moving: Plc, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["browse"]) == 1
    assert "opc.tcp://" in capsys.readouterr().err
    assert main(["browse", "http://plc", "--security", "none"]) == 1
    assert "gemba-edge browse opc.tcp://HOST:4840" in capsys.readouterr().err
    assert main(["browse", moving.url]) == 1
    assert 'security = "none"' in capsys.readouterr().err
