"""The command line as a person or a supervisor uses it: real processes."""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from mes_server.__main__ import main as gemba_server
from mes_server.cli import backup
from mes_server.config import Settings
from mes_server.config_words import SECTIONS_ZH, SETTINGS_ZH
from mes_server.ingest.edge_lists import EdgeLists
from tests.support.postgres import Cluster
from tests.support.processes import ServerProcess, run_cli
from tests.support.wait import eventually

PASSWORD = "the gate opens at six"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def init(data: Path) -> None:
    secret = data.parent / "password"
    secret.write_text(PASSWORD + "\n")
    done = run_cli("init", "--data", str(data), "--admin-user", "boss", "--admin-password-file", str(secret))
    assert done.returncode == 0, done.stdout + done.stderr


def sign_in(url: str) -> httpx.Client:
    client = httpx.Client(base_url=f"{url}/api/v1", timeout=30)
    answer = client.post("/session", json={"user": "boss", "password": PASSWORD})
    client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    client.cookies.clear()
    return client


def person(code: str, number: int) -> dict[str, object]:
    return {"event_id": f"01900000-0000-7000-8000-{number:012d}", "occurred_at": "2026-03-02T00:00:00Z", "code": code, "name": code}


def test_from_nothing_to_a_signed_in_administrator(data: Path) -> None:
    server = ServerProcess(data)
    try:
        token = re.search(r"set-up token.*\n\s+(\S+)", server.output)
        assert token is not None, server.output
        body = {"token": token[1], "name": "Boss", "user": "boss", "password": PASSWORD}
        assert httpx.post(f"{server.url}/api/v1/setup", json=body).status_code == 200
        second = run_cli("serve", "--data", str(data), "--port", "0")
        assert second.returncode == 3
        assert "Another server" in second.stderr and str(server.process.pid) in second.stderr
        more = run_cli("init", "--data", str(data))
        assert more.returncode == 0 and "set up already" in more.stdout
    finally:
        assert server.stop() == 0
    assert token[1] not in "".join(path.read_text(errors="replace") for path in data.rglob("*") if path.is_file())
    assert data.stat().st_mode & 0o077 == 0
    assert (data / "badge.key").stat().st_mode & 0o077 == 0


def test_kill_9_under_load_loses_no_answered_act(data: Path) -> None:
    """Acts are answered only after their commit: whatever was answered is there after SIGKILL, once, and the chain fits."""
    init(data)
    answered: list[str] = []

    def work(client: httpx.Client, round_number: int, worker: int) -> None:
        for number in range(10_000):
            code = f"P-{round_number}-{worker}-{number}"
            try:
                answer = client.post("/people", json=person(code, round_number * 1_000_000 + worker * 10_000 + number))
            except httpx.HTTPError:
                return  # the server is gone; what was under way was not answered
            assert answer.status_code == 200, answer.text
            answered.append(code)

    for round_number in (1, 2):
        server = ServerProcess(data)
        client = sign_in(server.url)
        before = len(answered)
        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(work, client, round_number, worker) for worker in range(4)]
            eventually(lambda before=before: len(answered) > before + 40, 60)
            server.kill()
            for one in futures:
                one.result(30)
    server = ServerProcess(data)
    client = sign_in(server.url)
    there = codes_of(client)
    assert set(answered) <= set(there)
    assert len(there) == len(set(there)) <= 1 + len(answered) + 8, "at most what was under way came besides"
    replay = client.post("/people", json=person("P-1-0-0", 1_000_000))
    assert replay.status_code == 200, "the same event again: the same answer"
    assert client.get("/journal/verify").json()["ok"] is True
    assert server.stop() == 0
    assert run_cli("verify", "--data", str(data)).returncode == 0


def codes_of(client: httpx.Client) -> list[str]:
    """Every person, page by page."""
    found: list[str] = []
    cursor = None
    while True:
        page = client.get("/people", params={"limit": 500, **({"cursor": cursor} if cursor else {})}).json()
        found += [one["code"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            return found


def test_a_failed_fsync_ends_the_server_and_nothing_answered_is_lost(data: Path) -> None:
    """After EIO from fdatasync the kernel may have dropped pages: the process must end (exit 4), and start well again."""
    init(data)
    server = ServerProcess(data)
    client = sign_in(server.url)
    assert client.post("/people", json=person("P-1", 1)).status_code == 200
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO", "-p"]
    try:
        tracer = subprocess.Popen([*command, str(server.process.pid)], stderr=subprocess.PIPE)
    except FileNotFoundError:
        server.stop()
        pytest.skip("NOT RUN: strace is not on this machine. Run: apt-get install -y strace")
    try:
        eventually(lambda: "TracerPid:\t0" not in Path(f"/proc/{server.process.pid}/status").read_text(), 20)
        number = 2
        while True:
            try:
                answer = client.post("/people", json=person(f"P-{number}", number))
            except httpx.HTTPError:
                break
            assert answer.status_code == 503, "never answered as done"
            number += 1
        assert server.process.wait(30) == 4
    finally:
        tracer.terminate()
        tracer.wait(10)
    assert "Check the disk" in server.output
    again = ServerProcess(data)
    assert "P-1" in codes_of(sign_in(again.url))
    assert again.stop() == 0


def test_on_postgresql(data: Path, postgres: Cluster, tmp_path: Path) -> None:
    """init, serve, a second server refused, backup, restore into a new database, verify."""
    first = {"GEMBA_DATABASE__URL": postgres.database(empty=True)}
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    assert run_cli("init", "--data", str(data), "--admin-user", "boss", "--admin-password-file", str(secret), env=first).returncode == 0
    server = ServerProcess(data, env=first)
    client = sign_in(server.url)
    assert client.post("/people", json=person("P-1", 1)).status_code == 200
    second = run_cli("serve", "--data", str(tmp_path / "elsewhere"), "--port", "0", env=first)
    assert second.returncode == 3 and "Another server writes" in second.stderr
    made = run_cli("backup", "--data", str(data), "--out", str(tmp_path / "backups"), env=first)
    assert made.returncode == 0, made.stderr
    assert server.stop() == 0
    (folder,) = (tmp_path / "backups").iterdir()
    other = {"GEMBA_DATABASE__URL": postgres.database(empty=True)}
    done = run_cli("restore", "--data", str(tmp_path / "restored"), "--from", str(folder), env=other)
    assert done.returncode == 0, done.stdout + done.stderr
    assert run_cli("verify", "--data", str(tmp_path / "restored"), env=other).returncode == 0
    full = run_cli("restore", "--data", str(tmp_path / "third"), "--from", str(folder), env=other)
    assert full.returncode == 1 and "not empty" in full.stderr


def test_telemetry_is_in_a_backup_of_a_running_server(data: Path, tmp_path: Path) -> None:
    init(data)
    env = {"GEMBA_TELEMETRY__KIND": "duckdb"}
    server = ServerProcess(data, env=env)
    made = run_cli("backup", "--data", str(data), "--out", str(tmp_path / "backups"), env=env)
    assert made.returncode == 0 and "Telemetry" not in made.stdout, made.stdout + made.stderr
    server.stop()
    (folder,) = (tmp_path / "backups").iterdir()
    done = run_cli("restore", "--data", str(tmp_path / "other"), "--from", str(folder), env=env)
    assert done.returncode == 0, done.stderr
    server = ServerProcess(tmp_path / "other", env=env)
    assert server.stop() == 0


def test_what_killed_backups_left_is_removed_and_one_that_runs_is_not(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    init(data)
    out = tmp_path / "backups"
    left, fresh, kept = out / ".partial-1", out / ".partial-2", out / "gemba-20200101-000000"
    for folder in (left, fresh, kept):
        (folder / "telemetry").mkdir(parents=True)
        (folder / "telemetry" / "half").write_text("x")
    (out / ".partial-3").symlink_to(kept)
    long_ago = time.time() - backup.ABANDONED_S - 60
    for path in (left / "telemetry" / "half", left / "telemetry", left, *kept.rglob("*"), kept):
        os.utime(path, (long_ago, long_ago))
    seen: list[set[str]] = []
    dump = backup.dumps.dump

    def dump_while_another_comes(db: Any, folder: Path) -> None:
        dump(db, folder)
        monkeypatch.undo()
        assert gemba_server(["backup", "--data", str(data), "--out", str(out)]) == 0
        backup.sweep(out, time.time() + 10 * backup.ABANDONED_S)  # as a backup that takes very long
        seen.append({path.name for path in out.iterdir() if path.name.startswith(".partial")})

    monkeypatch.setattr(backup.dumps, "dump", dump_while_another_comes)
    assert gemba_server(["backup", "--data", str(data), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert f"Removed {left}" in said and f"已删除中断的备份留下的 {left}" in said
    (during,) = seen
    assert ".partial-1" not in during and len(during - {".partial-3"}) == 1, "the one that runs is left alone, the abandoned ones are gone"
    assert not [path for path in out.iterdir() if path.name.startswith(".partial") and not path.is_symlink()]
    assert (kept / "telemetry" / "half").is_file() and len([path for path in out.iterdir() if path.name.startswith("gemba-")]) >= 2


def test_backup_restore_and_what_damages_them(data: Path, tmp_path: Path) -> None:
    init(data)
    server = ServerProcess(data)
    client = sign_in(server.url)
    client.post("/people", json=person("P-1", 1))
    (data / "photos").mkdir()
    (data / "photos" / "a.jpg").write_bytes(b"\xff\xd8photo")
    (data / "broker" / "users").mkdir(parents=True)
    (data / "broker" / "users" / ".EDGE-L1.json.x.tmp").touch()  # just being written by the server: it may be gone before it is copied
    EdgeLists(revoked={"EDGE-L1"}).write(data / "broker")
    made = run_cli("backup", "--data", str(data), "--out", str(tmp_path / "backups"))
    assert made.returncode == 0, made.stderr
    server.stop()
    (folder,) = (tmp_path / "backups").iterdir()
    files = set(json.loads((folder / "manifest.json").read_text())["files"])
    assert files >= {"gemba.db", "badge.key", "photos/a.jpg"} and not [name for name in files if name.endswith(".tmp")]

    again = run_cli("restore", "--data", str(data), "--from", str(folder))
    assert again.returncode == 1 and "not overwritten" in again.stderr
    other = tmp_path / "other"
    done = run_cli("restore", "--data", str(other), "--from", str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (other / "photos" / "a.jpg").read_bytes() == b"\xff\xd8photo"
    assert EdgeLists.read(other / "broker").revoked == {"EDGE-L1"}, "who was put out stays out"
    server = ServerProcess(other)
    assert "P-1" in {one["code"] for one in sign_in(server.url).get("/people").json()["items"]}
    server.stop()

    image = bytearray((folder / "gemba.db").read_bytes())
    image[len(image) // 2] ^= 1
    (folder / "gemba.db").write_bytes(image)
    bad = run_cli("restore", "--data", str(tmp_path / "third"), "--from", str(folder))
    assert bad.returncode == 1 and "≠ gemba.db" in bad.stderr
    assert not (tmp_path / "third" / "gemba.db").exists()


def test_verify_names_what_somebody_changed(data: Path) -> None:
    init(data)
    server = ServerProcess(data)
    client = sign_in(server.url)
    for number in range(3):
        client.post("/people", json=person(f"P-{number}", number))
    server.stop()
    assert run_cli("verify", "--data", str(data)).returncode == 0
    store = sqlite3.connect(data / "gemba.db")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        store.execute("UPDATE journal SET person = 'somebody' WHERE seq = 2")
    store.execute("DROP TRIGGER journal_no_update")
    store.execute("UPDATE journal SET person = 'somebody' WHERE seq = 2")
    store.commit()
    store.close()
    bad = run_cli("verify", "--data", str(data))
    assert bad.returncode == 1 and "FIRST BAD RECORD 2" in bad.stdout


def test_configuration_faults_come_all_at_once(tmp_path: Path) -> None:
    file = tmp_path / "gemba.toml"
    file.write_text('zone = "Mars/Olympus"\n\n[http]\nport = 99999\nprot = 1\n\n[sparkplug]\ngroup = "a b"\n')
    bad = run_cli("check-config", "--config", str(file), env={"GEMBA_INGEST__STALE_S": "never"})
    assert bad.returncode == 2
    assert "5 fault(s)" in bad.stderr
    for part in ("line 1: zone", "line 4: http.port", "line 5: http.prot", "line 8: sparkplug.group", "GEMBA_INGEST__STALE_S"):
        assert part in bad.stderr, bad.stderr
    file.write_text("zone = \n")
    assert "line 1" in run_cli("check-config", "--config", str(file)).stderr
    assert run_cli("check-config", "--config", str(tmp_path / "none.toml")).returncode == 2


def test_every_setting_is_said_in_both_languages() -> None:
    sections = {
        name: field.annotation
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }
    settings = {name for name in Settings.model_fields if name not in sections} | {
        f"{name}.{key}" for name, model in sections.items() for key in model.model_fields
    }
    assert set(SETTINGS_ZH) == settings
    assert set(SECTIONS_ZH) == set(sections)
    assert all(re.search(r"[\u4e00-\u9fff]", words) for words in (*SETTINGS_ZH.values(), *SECTIONS_ZH.values()))


@pytest.mark.parametrize(
    ("asked", "code", "zh", "en"),
    [
        (("check-config", "--config", "no.toml"), 2, "请用 --config 指定现有文件", "Name an existing file"),
        (("check-config", "--config", "."), 2, "无法读取", "cannot be read"),
        (("check-config", "--config", "junk.toml"), 2, "不是有效的 TOML", "is not TOML"),
        (("check-config", "--config", "bad.toml"), 2, "第 1 行：http.port：应为整数", "line 1: http.port: must be a whole number."),
        (("check-config", "--config", "url.toml"), 2, "应为 postgresql://", "must be postgresql://"),
        (("verify", "--data", "none"), 2, "gemba-server init", "run gemba-server init first"),
        (("invite-edge", "EDGE-L1", "--data", "none"), 2, "gemba-server init", "run gemba-server init first"),
        (("invite-edge", "EDGE L1/+", "--data", "made"), 2, "不能作为网关名称", "cannot be an edge's id"),
        (("add-machine", "M 1", "--line", "L1", "--edge", "E", "--data", "none"), 2, "gemba-server init", "run gemba-server init first"),
        (("add-machine", "M 1", "--line", "L1", "--edge", "E", "--data", "made"), 2, "格式不符", "has the wrong form"),
        (("backup", "--data", "made", "--out", "junk.toml"), 2, "请检查路径、权限与磁盘空间", "Check its path, the rights and the space"),
        (("restore", "--data", "new", "--from", "."), 1, "gemba-server backup 写出的", "that gemba-server backup wrote"),
        (("init", "--data", "junk.toml"), 2, "请用 --data 指定可写目录", "Name a writable one with --data"),
        (("init", "--data", "made", "--clock-start", "yesterday"), 2, "时钟参数错误", "write it like 2026-03-02T06:00:00+08:00"),
        (("serve", "--data", "new", "--config", "taken.toml"), 4, "请结束该程序", "end it or set another one at broker.port"),
    ],
)  # fmt: skip
def test_nonsense_is_answered_in_words_with_the_next_step(
    made_once: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], asked: tuple[str, ...], code: int, zh: str, en: str
) -> None:
    """Both languages, no traceback, the exit code of a script's interest."""
    monkeypatch.chdir(made_once)
    assert gemba_server(list(asked)) == code
    said = capfd.readouterr().err
    assert zh in said and en in said, said
    assert "Traceback" not in said and "sqlalche.me" not in said and "pydantic" not in said


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a data folder, files of nonsense, and a config whose broker port is taken."""
    folder = tmp_path_factory.mktemp("nonsense")
    (folder / "junk.toml").write_bytes(b"\xff\x00[")
    (folder / "bad.toml").write_text('http.port = "eighty"\n')
    (folder / "url.toml").write_text('[database]\nurl = "rubbish"\n')
    assert gemba_server(["init", "--data", str(folder / "made")]) == 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (folder / "taken.toml").write_text(f"[http]\nport = 0\n[broker]\nport = {taken.getsockname()[1]}\n")
        yield folder


def test_the_sample_configuration_is_valid_and_whole(tmp_path: Path) -> None:
    sample = run_cli("sample-config").stdout
    file = tmp_path / "gemba.toml"
    file.write_text(re.sub(r"^#(\w+ = )", r"\1", sample, flags=re.M))
    good = run_cli("check-config", "--config", str(file), "--data", str(tmp_path / "d"))
    assert good.returncode == 0, good.stderr


def test_a_machine_is_added_and_nothing_else_changes(data: Path) -> None:
    init(data)
    add = ("add-machine", "--data", str(data), "--line", "L1", "--edge", "EDGE-L1")
    first = run_cli(*add, "CNC-03", "--name", "Lathe 3")
    assert first.returncode == 0 and "invite-edge EDGE-L1" in first.stdout, first.stderr
    assert run_cli(*add, "CNC-04", "--class", "cnc").returncode == 0
    again = run_cli(*add, "CNC-03")
    assert again.returncode == 1 and "already" in again.stderr
    taken = run_cli(*add, "CNC-05", "--device", "CNC-04")
    assert taken.returncode == 1 and "already the device of CNC-04" in taken.stderr
    wrong = run_cli(*add, "CNC 05")
    assert wrong.returncode == 2 and "cannot hold this" in wrong.stderr
    server = ServerProcess(data)
    try:
        plant = sign_in(server.url).get("/plant").json()
    finally:
        assert server.stop() == 0
    assert [line["code"] for line in plant["lines"]] == ["L1"]
    assert [(one["code"], one["name_en"], one["edge"], one["device"]) for one in plant["machines"]] == [
        ("CNC-03", "Lathe 3", "EDGE-L1", "CNC-03"),
        ("CNC-04", "CNC-04", "EDGE-L1", "CNC-04"),
    ]
    proof = run_cli("verify", "--data", str(data))
    assert proof.returncode == 0, proof.stdout


def test_commands_on_an_empty_folder_say_so(data: Path) -> None:
    for command in ("verify", "backup"):
        bad = run_cli(command, "--data", str(data))
        assert bad.returncode == 2 and "There is no database" in bad.stderr


def test_openapi_is_stable(tmp_path: Path) -> None:
    first, second = run_cli("openapi").stdout, run_cli("openapi").stdout
    assert first == second
    described = json.loads(first)
    assert "/api/v1/session" in described["paths"]


def test_a_file_that_is_no_database_is_left_alone(data: Path) -> None:
    data.mkdir()
    (data / "gemba.db").write_bytes(b"not a database at all" * 400)
    before = (data / "gemba.db").read_bytes()
    bad = run_cli("serve", "--data", str(data), "--port", "0")
    assert bad.returncode == 1 and "left as it is" in bad.stderr
    assert (data / "gemba.db").read_bytes() == before
