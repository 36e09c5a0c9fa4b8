"""Copies of the book of record: SQLite by its backup API (never the live file), PostgreSQL by pg_dump."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from mes_server.cli.words import CommandFailed
from mes_server.kit.db import Database

SQLITE_NAME = "gemba.db"
POSTGRES_NAME = "gemba.pgdump"
TIMEOUT_S = 3_600


def dump(db: Database, folder: Path) -> Path:
    """Writes one consistent copy into `folder`, beside a running server too. Raises CommandFailed in words where it cannot."""
    if db.is_sqlite:
        target = folder / SQLITE_NAME
        with closing(sqlite3.connect(str(db.url.database))) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy, pages=4_096)
            copy.execute("PRAGMA journal_mode=DELETE")
        return target
    target = folder / POSTGRES_NAME
    _run(db.url, "pg_dump", ["--format=custom", "--no-owner", f"--file={target}"])
    return target


def put_back(db: Database, folder: Path) -> None:
    """The reverse, into an empty store."""
    if db.is_sqlite:
        target = Path(str(db.url.database))
        shutil.copyfile(folder / SQLITE_NAME, target.with_suffix(".restoring"))
        target.with_suffix(".restoring").replace(target)
        return
    _run(db.url, "pg_restore", ["--no-owner", "--exit-on-error", "--single-transaction", f"--dbname={db.url.database}", str(folder / POSTGRES_NAME)])


def _run(url: sa.URL, program: str, args: list[str]) -> None:
    where = _find(program)
    env = {**os.environ, "PGHOST": url.host or "", "PGPORT": str(url.port or 5432), "PGUSER": url.username or "", "PGDATABASE": url.database or ""}
    if url.password:
        env["PGPASSWORD"] = str(url.password)  # by environment: it would be seen in the list of processes
    done = subprocess.run([where, *args], env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise CommandFailed(f"{program} 失败：{done.stderr.strip()[:1000]}", f"{program} failed: {done.stderr.strip()[:1000]}")


def _find(program: str) -> str:
    found = shutil.which(program) or next((str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), reverse=True)), None)
    if found is None:
        raise CommandFailed(
            f"本机没有 {program}。请安装 PostgreSQL 客户端（Debian：apt-get install postgresql-client），或在数据库主机上备份。",
            f"There is no {program} on this machine. Install PostgreSQL's client (Debian: apt-get install postgresql-client), "
            "or back up on the database's host.",
        )
    return found
