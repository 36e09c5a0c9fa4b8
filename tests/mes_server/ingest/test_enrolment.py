"""An empty box becomes an edge by a one-time code and delivers: real server, real embedded broker, real agent process."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from asyncua import ua

from edge_agent.__main__ import main
from tests.support.edge import AgentProcess, Plc, machine_source
from tests.support.server import RunningServer, copy_sqlite, make_settings, running_server
from tests.support.wait import eventually

METRICS = 'good = { node = "s=Good" }'


@pytest.fixture
def server(tmp_path: Path, empty_sqlite: Path) -> Iterator[RunningServer]:
    copy_sqlite(empty_sqlite, tmp_path / "data")
    with running_server(make_settings(tmp_path / "data", broker__kind="embedded", broker__port=0)) as running:
        yield running


def test_a_box_is_enrolled_and_delivers(server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    admin = server.client()
    made = admin.post("/edges/EDGE-L9/enrolment").json()
    assert made["command"] == f"gemba-edge enrol {server.url} {made['code']}"
    box = tmp_path / "box"
    box.mkdir()
    config = box / "edge.toml"
    assert main(["enrol", server.url, made["code"], "--config", str(config)]) == 0
    assert "enrolled as EDGE-L9" in capsys.readouterr().out
    for file in (config, box / "EDGE-L9.json"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert tomllib.loads(config.read_text())["edge"] == "EDGE-L9"

    with Plc() as plc:
        plc.add("SAW-01.Good", 5, ua.VariantType.UInt32)
        config.write_text(config.read_text() + "\n" + machine_source(plc, METRICS))
        assert main(["check-config", str(config)]) == 0
        agent = AgentProcess(config)
        agent.start()
        try:
            eventually(lambda: [one["edge"] for one in admin.get("/health/system").json()["edges"] if one["online"]] == ["EDGE-L9"], 30)
            figures_are_true_or_unknown(admin, plc, agent)
        finally:
            agent.terminate()
    assert [(one["code"], one["kind"]) for one in admin.get("/devices").json()] == [("EDGE-L9", "edge")]


def figures_are_true_or_unknown(admin: httpx.Client, plc: Plc, agent: AgentProcess) -> None:
    """System health follows what the edge sees: a pace that is never 0 while values come, and nothing known of a dead box."""
    paces: list[float | None] = []

    def known() -> bool:
        """One value more a look: the pace said afterwards is neither above what the PLC gave nor 0."""
        plc.set("SAW-01.Good", 6 + len(paces))
        (edge,) = admin.get("/health/system").json()["edges"]
        paces.append(edge["sources"][0]["rate"] if edge["sources"] else None)
        return paces[-1] is not None and edge["hours_left"] is not None

    began_s = time.monotonic()
    eventually(known, 90, every=0.5, why=f"a pace is known: {paces}")
    assert 0.0 not in paces, "not known yet is not 0"
    assert paces[-1] is not None and 0 < paces[-1] < 5 * len(paces) / min(1.0, time.monotonic() - began_s)
    agent.kill()
    eventually(lambda: admin.get("/health/system").json()["edges"][0]["stale"], 60, why="the broker tells its death")
    (edge,) = admin.get("/health/system").json()["edges"]
    (source,) = edge["sources"]
    assert [source[name] for name in ("rate", "lag_s", "clock_offset_ms")] == [None] * 3
    assert [edge[name] for name in ("fill", "hours_left", "buffer_state", "up_s")] == [None] * 4
    assert edge["heard_s"] is not None and source["status"] == "connected", "as last said, with its age"


def test_codes_that_are_wrong_spent_old_or_meant_for_a_tablet_give_nothing(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    admin, config = server.client(), tmp_path / "edge.toml"
    first = admin.post("/edges/EDGE-L9/enrolment").json()["code"]
    second = admin.post("/edges/EDGE-L9/enrolment").json()["code"]
    tablet = admin.post("/devices/enrolment", json={"name": "T", "kind": "tablet"}).json()["code"]
    for code in ("nonsense", first, tablet):
        assert main(["enrol", server.url, code, "--config", str(config)]) == 1
        assert capsys.readouterr().err.strip()
    assert server.client(None).post("/devices/enrol", json={"code": second}).status_code == 401, "an edge's code makes no tablet"
    assert main(["--lang", "zh", "enrol", server.url, second, "--config", str(config)]) == 0
    assert "已注册" in capsys.readouterr().out
    assert main(["enrol", server.url, second, "--config", str(config)]) == 1, "good once"
    late = admin.post("/edges/EDGE-L9/enrolment").json()["code"]
    server.real.advance(601)
    assert main(["enrol", server.url, late, "--config", str(config)]) == 1
    assert admin.post("/edges/bad id/enrolment").status_code == 422
    assert server.client("read").post("/edges/EDGE-L9/enrolment").status_code == 403


def test_addresses_that_are_no_server_are_said_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for address, words in (("plc:4840", "no server address"), ("http://127.0.0.1:1", "does not answer")):
        assert main(["enrol", address, "CODE", "--config", str(tmp_path / "edge.toml")]) == 1
        assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_with_a_broker_of_your_own_the_sign_in_is_read_from_its_file(tmp_path: Path, empty_sqlite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    copy_sqlite(empty_sqlite, data)
    with running_server(make_settings(data)) as server:  # no broker of ours
        admin = server.client()
        assert main(["enrol", server.url, admin.post("/edges/EDGE-L9/enrolment").json()["code"], "--config", str(tmp_path / "edge.toml")]) == 1
        assert "EDGE-L9.json" in capsys.readouterr().err, "the next step names the file"
        (data / "broker" / "users").mkdir(parents=True)
        known = {"host": "192.0.2.9", "port": 8883, "user": "edge-l9", "password": "x" * 20, "host_id": "gemba"}
        (data / "broker" / "users" / "EDGE-L9.json").write_text(json.dumps(known))
        (tmp_path / "edge.toml").write_text("# there already\n")
        assert main(["enrol", server.url, admin.post("/edges/EDGE-L9/enrolment").json()["code"], "--config", str(tmp_path / "edge.toml")]) == 0
        assert 'credentials_file = "EDGE-L9.json"' in capsys.readouterr().out
        assert (tmp_path / "edge.toml").read_text() == "# there already\n", "a config that is there is never overwritten"
        assert json.loads((tmp_path / "EDGE-L9.json").read_text()) == known


def test_a_code_from_the_command_line_beside_a_running_server(server: RunningServer, tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "mes_server", "invite-edge", "EDGE-L8", "--data", str(server.settings.data_dir)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "EDGE-L8" in made.stdout and "add-machine" in made.stderr, "no machine has this edge: said, not refused"
    code = next(line.split()[-1] for line in made.stdout.splitlines() if "gemba-edge enrol" in line)
    # the command line's clock is the wall clock, the test server's stands: it is asked at the same time
    server.real.set_ms(time.time_ns() // 1_000_000)
    assert main(["enrol", server.url, code, "--config", str(tmp_path / "edge.toml")]) == 0
