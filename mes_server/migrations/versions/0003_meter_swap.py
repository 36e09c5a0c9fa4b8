"""Meters that were exchanged, and how far the totals stand above the displays (energy/swaps.py)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "meter_shift",
        sa.Column("meter", sa.String(length=64), nullable=False),
        sa.Column("register", sa.String(length=16), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("wh", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("meter", "register", "at_ms", name=op.f("pk_meter_shift")),
    )
    op.create_table(
        "meter_swap",
        sa.Column("meter", sa.String(length=64), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("old_import_wh", sa.Double(), nullable=False),
        sa.Column("new_import_wh", sa.Double(), nullable=False),
        sa.Column("old_export_wh", sa.Double(), nullable=True),
        sa.Column("new_export_wh", sa.Double(), nullable=True),
        sa.Column("old_reactive_varh", sa.Double(), nullable=True),
        sa.Column("new_reactive_varh", sa.Double(), nullable=True),
        sa.Column("old_serial", sa.String(length=64), nullable=False),
        sa.Column("new_serial", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=400), nullable=False),
        sa.Column("by_person", sa.String(length=64), nullable=True),
        sa.Column("recorded_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("meter", "at_ms", name=op.f("pk_meter_swap")),
    )


def downgrade() -> None:
    op.drop_table("meter_swap")
    op.drop_table("meter_shift")
