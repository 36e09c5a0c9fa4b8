"""Which machine holds an edge's identity (ingest/fence.py)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ingest_holder",
        sa.Column("edge", sa.String(length=64), nullable=False),
        sa.Column("machine", sa.String(length=64), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("edge", name=op.f("pk_ingest_holder")),
    )


def downgrade() -> None:
    op.drop_table("ingest_holder")
