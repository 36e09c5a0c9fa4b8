"""The migrations end where the models are, over both databases, and a kill leaves the old schema or the new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from mes_server import migrations, tables
from mes_server.kit.db import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    url = f"sqlite:///{tmp_path / 'empty.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres").database(empty=True)
    db = Database(url)
    yield db
    db.close()


def test_up_from_empty_equals_the_models(empty: Database) -> None:
    assert migrations.current(empty.writer) is None
    migrations.upgrade(empty.writer)
    assert migrations.current(empty.writer) == migrations.head()
    with empty.reader.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
        assert compare_metadata(context, tables.metadata) == []
    migrations.upgrade(empty.writer)


def test_a_migration_that_dies_leaves_the_store_as_it_was(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from mes_server.kit import journal

    monkeypatch.setattr(journal, "guards", lambda dialect: ["THIS IS NO SQL"])
    with pytest.raises(Exception, match="syntax"):
        migrations.upgrade(empty.writer)
    assert migrations.current(empty.writer) is None
    monkeypatch.undo()
    migrations.upgrade(empty.writer)
    assert migrations.current(empty.writer) == migrations.head()
