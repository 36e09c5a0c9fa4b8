"""A PostgreSQL of the tests' own: Debian's binaries, a temporary folder, a free port. Says loudly what to run where it is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.support.ports import free_port

INSTALL = "apt-get install -y postgresql"


def binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    named = shutil.which("initdb")
    return Path(named).parent if named else None


class Cluster:
    """One running server; `database()` gives a fresh database in it, a copy of the migrated template where there is one."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.has_template = False

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    def execute(self, statement: str) -> None:
        with psycopg.connect(f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres", autocommit=True) as connection:
            connection.execute(statement.encode())

    def database(self, *, empty: bool = False) -> str:
        name = f"t{uuid.uuid4().hex[:12]}"
        if empty:
            self.execute(f"CREATE DATABASE {name}")
            return self.url(name)
        if not self.has_template:
            self._make_template()
        self.execute(f"CREATE DATABASE {name} TEMPLATE gemba_template")
        return self.url(name)

    def _make_template(self) -> None:
        from mes_server import migrations
        from mes_server.kit.db import Database

        self.execute("CREATE DATABASE gemba_template")
        db = Database(self.url("gemba_template"))
        migrations.upgrade(db.writer)
        db.close()
        self.has_template = True


def _reachable() -> Path:
    """A temporary folder that the user postgres may walk to: root's own TMPDIR may lie in a folder of root's."""
    for folder in (Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/tmp")):
        if os.geteuid() != 0 or all(one.stat().st_mode & 0o001 for one in (folder, *folder.parents)):
            return folder
    raise AssertionError("no temporary folder that another user may walk to")


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Starts a cluster (fsync off: the tests kill our processes, not PostgreSQL); skips with the command to run if there are no binaries."""
    where = binaries()
    if where is None:
        pytest.skip(f"NOT RUN: PostgreSQL's server programs are not on this machine. Run: {INSTALL}")
    folder = Path(tempfile.mkdtemp(prefix="gemba-pg-", dir=_reachable()))
    prefix: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        prefix = ["runuser", "-u", "postgres", "--"]
    port = free_port()
    options = "-c fsync=off -c full_page_writes=off -c max_connections=200 "
    options += f"-c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -p {port}"
    run = lambda *args: subprocess.run([*prefix, *args], check=True, capture_output=True, text=True, cwd=folder)  # noqa: E731
    try:
        run(str(where / "initdb"), "-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
        run(str(where / "pg_ctl"), "-D", f"{folder}/data", "-w", "-t", "60", "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield Cluster(port)
        finally:
            run(str(where / "pg_ctl"), "-D", f"{folder}/data", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
