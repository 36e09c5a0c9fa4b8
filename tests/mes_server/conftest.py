"""Fixtures of the server's tests: see tests/support/server.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from edge_agent.contract.clock import ManualClock, parse_iso_ms
from tests.support.postgres import Cluster, running_cluster
from tests.support.server import START, RunningServer, copy_sqlite, make_settings, running_server, sqlite_template


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(parse_iso_ms(START))


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sqlite_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL cluster for the whole run; tests that ask for it skip loudly where there is none."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path, empty_sqlite: Path) -> str:
    """URL of a migrated, empty store; the test runs over both databases."""
    if request.param == "sqlite":
        copy_sqlite(empty_sqlite, tmp_path / "data")
        return f"sqlite:///{tmp_path / 'data' / 'gemba.db'}"
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.database()


@pytest.fixture
def make_server(tmp_path: Path, empty_sqlite: Path, clock: ManualClock) -> Iterator[Callable[..., RunningServer]]:
    """Starts servers with settings of the test's own: `make_server(identity__wrong_max=3)`. SQLite unless database_url is given."""
    with ExitStack() as stack:

        def start(*, folder: Path | None = None, **overrides: Any) -> RunningServer:
            data = folder if folder is not None else tmp_path / "data"
            if "database_url" not in overrides and not (data / "gemba.db").exists():
                copy_sqlite(empty_sqlite, data)
            return stack.enter_context(running_server(make_settings(data, **overrides), clock))

        yield start


@pytest.fixture
def server(make_server: Callable[..., RunningServer]) -> RunningServer:
    """A running server over SQLite."""
    return make_server()


@pytest.fixture
def any_server(make_server: Callable[..., RunningServer], store_url: str) -> RunningServer:
    """A running server; the test runs over SQLite and over PostgreSQL."""
    return make_server(database_url=store_url)
