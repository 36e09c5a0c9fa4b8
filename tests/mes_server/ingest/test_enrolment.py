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
import paho.mqtt.client as mqtt
import pytest
import sqlalchemy as sa
from asyncua import ua

from edge_agent.__main__ import main
from mes_server.cli import main as server_command
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
    assert [(one["code"], one["kind"]) for one in admin.get("/devices").json()["items"]] == [("EDGE-L9", "edge")]


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


def lets_in(server: RunningServer, box: Path) -> bool:
    """Whether the broker takes the sign-in that `enrol` wrote."""
    found = json.loads((box / "EDGE-L9.json").read_text())
    asked = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="", protocol=mqtt.MQTTv311)
    asked.username_pw_set(found["user"], found["password"])
    told: list[bool] = []
    asked.on_connect = lambda _c, _u, _f, reason, _p: told.append(not reason.is_failure)
    asked.on_disconnect = lambda *_: told.append(False)
    asked.connect(found["host"], found["port"])
    asked.loop_start()
    try:
        return eventually(lambda: told, 60)[0]
    finally:
        asked.disconnect()
        asked.loop_stop()


def test_an_edge_that_was_put_out_comes_in_again_by_an_explicit_word_alone(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Removed at People → Devices it may not sign in any more; a new code needs the word of an administrator, and the journal has it."""
    admin, config = server.client(), tmp_path / "edge.toml"
    assert main(["enrol", server.url, admin.post("/edges/EDGE-L9/enrolment").json()["code"], "--config", str(config)]) == 0
    eventually(lambda: lets_in(server, tmp_path), 60)
    before = (tmp_path / "EDGE-L9.json").read_text()
    pending = admin.post("/edges/EDGE-L9/enrolment").json()["code"]
    assert admin.delete("/devices/EDGE-L9").status_code == 204
    eventually(lambda: not lets_in(server, tmp_path), 60, why="it is put out")
    assert main(["enrol", server.url, pending, "--config", str(config)]) == 1, "a code of before is worthless"

    answer = admin.post("/edges/EDGE-L9/enrolment", json={}, headers={"X-Lang": "zh"})
    assert (answer.status_code, answer.json()["code"]) == (409, "edge_put_out")
    assert "已被吊销" in answer.json()["title"] and "重新准入" in answer.json()["next_step"]
    capsys.readouterr()
    data = ["--data", str(server.settings.data_dir)]
    assert server_command(["invite-edge", "EDGE-L9", *data]) == 1
    said = capsys.readouterr().err
    assert "was put out" in said and "--readmit" in said and "已被吊销" in said
    assert server.client("read").post("/edges/EDGE-L9/enrolment", json={"readmit": True}).status_code == 403

    again = admin.post("/edges/EDGE-L9/enrolment", json={"readmit": True}).json()["code"]
    assert main(["enrol", server.url, again, "--config", str(config)]) == 0
    assert (tmp_path / "EDGE-L9.json").read_text() != before, "its old password stays worthless"
    eventually(lambda: lets_in(server, tmp_path), 60, why="it is let in again")
    with server.kit.db.read() as session:
        acts = session.execute(sa.text("SELECT type, person FROM journal WHERE subject = 'device:EDGE-L9' ORDER BY seq")).all()
    assert [type_.removeprefix("device.") for type_, _ in acts] == ["invited", "enrolled", "invited", "revoked", "readmitted", "invited", "enrolled"]
    assert all(person for type_, person in acts if type_ != "device.enrolled"), "the journal names who let it in"


def test_a_code_is_worthless_where_the_edge_was_revoked_meanwhile_and_a_code_taken_back_puts_nobody_out(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    admin, config, data = server.client(), tmp_path / "edge.toml", ["--data", str(server.settings.data_dir)]
    admin.post("/edges/EDGE-L9/enrolment")
    assert admin.delete("/devices/EDGE-L9").status_code == 204
    code = admin.post("/edges/EDGE-L9/enrolment").json()["code"]  # it was never in: nothing is to be let in again
    assert server_command(["broker-credentials", *data, "--revoke", "EDGE-L9"]) == 0
    assert main(["enrol", server.url, code, "--config", str(config)]) == 1
    assert "was put out" in capsys.readouterr().err and not config.exists()
    assert server_command(["invite-edge", "EDGE-L9", "--readmit", *data]) == 0


def test_a_box_at_a_broker_of_your_own_is_put_out_there_first(tmp_path: Path, empty_sqlite: Path) -> None:
    data = tmp_path / "data"
    copy_sqlite(empty_sqlite, data)
    (data / "broker" / "users").mkdir(parents=True)
    known = {"host": "192.0.2.9", "port": 8883, "user": "edge-l9", "password": "x" * 20, "host_id": "gemba"}
    (data / "broker" / "users" / "EDGE-L9.json").write_text(json.dumps(known))
    with running_server(make_settings(data)) as server:
        admin = server.client()
        assert main(["enrol", server.url, admin.post("/edges/EDGE-L9/enrolment").json()["code"], "--config", str(tmp_path / "edge.toml")]) == 0
        refused = admin.delete("/devices/EDGE-L9")
        assert (refused.status_code, refused.json()["code"]) == (409, "edge_at_your_broker")
        assert [one["code"] for one in admin.get("/devices").json()["items"]] == ["EDGE-L9"], "it is in, so it is listed"
        assert server_command(["broker-credentials", "--data", str(data), "--revoke", "EDGE-L9"]) == 0
        assert admin.delete("/devices/EDGE-L9").status_code == 204 and admin.get("/devices").json()["items"] == []


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
