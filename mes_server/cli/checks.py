"""verify, check-config, sample-config, openapi."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from edge_agent.contract.clock import ManualClock
from mes_server import config, migrations
from mes_server.app import create_app
from mes_server.cli.serve import must_exist, opened, sqlite_errors, sqlite_file
from mes_server.cli.words import DATA_WRONG, WRONG_USE, CommandFailed, say
from mes_server.config import Settings
from mes_server.kit import journal, sealing


def verify(settings: Settings, args: argparse.Namespace) -> int:
    """The journal against its seals, the seals against the anchors outside the database, and the database's own integrity check."""
    must_exist(settings)
    path = sqlite_file(settings)
    with opened(settings) as db:
        present = migrations.current(db.reader)
        if present != migrations.head():
            raise CommandFailed(
                f"数据库版本为 {present}，程序需要 {migrations.head()}。请先运行 gemba-server migrate。",
                f"The database is at revision {present}, this program needs {migrations.head()}. Run gemba-server migrate first.",
            )
        with db.read() as session:
            found = journal.verify(session, anchors=sealing.read_anchors(settings.data_dir))
    errors = sqlite_errors(path) if path is not None else []
    say(f"日志记录：{found.sealed} 条已封存，{found.unsealed} 条待封存", f"journal: {found.sealed} records sealed, {found.unsealed} not yet")
    say(f"链首 / head: {found.head}")
    if found.bad_seq is not None:
        say(f"第一处错误：记录 {found.bad_seq}", f"FIRST BAD RECORD {found.bad_seq}: {found.why}")
    for error in errors:
        say(f"数据库错误 / database: {error}")
    if found.bad_seq is None and not errors:
        say("一切正常。", "Everything fits.")
        return 0
    say("请保留文件原样，并从备份恢复。", "Keep the files as they are and restore from a backup.")
    return DATA_WRONG


def check_config(settings: Settings, args: argparse.Namespace) -> int:
    """The file was valid to come here; what only the machine can tell is checked now."""
    faults = []
    for name, path in _named_files(settings):
        if not path.is_file():
            faults.append((f"{name}：没有文件 {path}", f"{name}: there is no file {path}"))
    if (settings.http.tls_cert is None) != (settings.http.tls_key is None):
        faults.append(("http.tls_cert 与 http.tls_key 须同时设置", "http.tls_cert and http.tls_key go together"))
    for zh, en in faults:
        say(zh, en)
    if faults:
        return WRONG_USE
    say(
        "配置正确。",
        "The configuration is good.",
        f"  database  {_hidden(settings)}",
        f"  telemetry {settings.telemetry.kind}",
        f"  broker    {settings.broker.kind}",
    )
    return 0


def _named_files(settings: Settings) -> list[tuple[str, Path]]:
    """Every setting that names a file and is set."""
    found = []
    for section in type(settings).model_fields:
        part = getattr(settings, section)
        for key in getattr(type(part), "model_fields", {}):
            value = getattr(part, key)
            if isinstance(value, Path) and (key.endswith("_file") or key.startswith("tls_")):
                found.append((f"{section}.{key}", value))
    return found


def _hidden(settings: Settings) -> str:
    path = sqlite_file(settings)
    return f"SQLite {path}" if path is not None else "PostgreSQL"


def sample_config(settings: Settings, args: argparse.Namespace) -> int:
    say(config.sample().rstrip("\n"))
    return 0


def openapi(settings: Settings, args: argparse.Namespace) -> int:
    """The API's description; the same for every installation of this version."""
    plain = Settings.model_validate({"broker": {"kind": "none"}, "telemetry": {"kind": "memory"}})
    app = create_app(plain, clock=ManualClock(0))
    say(json.dumps(app.openapi(), ensure_ascii=False, indent=1, sort_keys=True))
    return 0
