"""Alembic's door: runs over the connection that `migrations.upgrade` gives it."""

from __future__ import annotations

from alembic import context

from mes_server import tables

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=tables.metadata, transaction_per_migration=False, render_as_batch=connection.dialect.name == "sqlite"
)
with context.begin_transaction():
    context.run_migrations()
