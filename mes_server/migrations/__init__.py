"""The schema's history (Alembic). `upgrade` brings a store to the newest revision; it is the only place that makes tables."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from mes_server import tables

HERE = Path(__file__).parent


def _config(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.set_main_option("path_separator", "os")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def head() -> str:
    found = ScriptDirectory.from_config(_config()).get_current_head()
    if found is None:
        raise RuntimeError("the distribution holds no migrations")
    return found


def known() -> set[str]:
    """Every revision this program knows."""
    return {one.revision for one in ScriptDirectory.from_config(_config()).walk_revisions()}


def current(engine: sa.Engine) -> str | None:
    """The revision of a store; None if it is empty."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(engine: sa.Engine) -> None:
    """Brings the store to the newest revision, in one transaction a revision (SQLite and PostgreSQL roll DDL back)."""
    with engine.begin() as connection:
        config = _config(connection)
        config.attributes["metadata"] = tables.metadata
        command.upgrade(config, "head")
