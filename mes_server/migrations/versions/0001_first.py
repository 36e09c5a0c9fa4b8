"""The first schema: every table of the models, and the triggers that make the journal append-only."""

from __future__ import annotations

from alembic import op

from mes_server import tables
from mes_server.kit import journal

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    bind = op.get_bind()
    tables.metadata.create_all(bind)
    for statement in journal.guards(bind.dialect.name):
        bind.exec_driver_sql(statement)
