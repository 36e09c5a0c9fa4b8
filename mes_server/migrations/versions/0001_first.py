"""The first schema: every table, and the triggers that make the journal append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from mes_server.kit import journal

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _api_token() -> None:
    op.create_table(
        "api_token",
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("ends_real_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_api_token")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_token_token_hash")),
    )


def _data_gap() -> None:
    op.create_table(
        "data_gap",
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=90), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("to_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cause", sa.String(length=24), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("machine", sa.String(length=64), nullable=True),
        sa.Column("detail", sa.String(length=400), nullable=False),
        sa.Column("counter_reset", sa.Boolean(), nullable=False),
        sa.Column("parts_max", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("subject", "source", "from_ms", "to_ms", "cause", name=op.f("pk_data_gap")),
    )
    op.create_index("ix_data_gap_to_ms", "data_gap", ["to_ms"], unique=False)


def _day_revision() -> None:
    op.create_table(
        "day_revision",
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "day", name=op.f("pk_day_revision")),
    )


def _defect() -> None:
    op.create_table(
        "defect",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("subject_kind", sa.String(length=10), nullable=False),
        sa.Column("subject_code", sa.String(length=80), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.Column("photos", sa.JSON(), nullable=False),
        sa.Column("person", sa.String(length=40), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("hold", sa.String(length=36), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_defect")),
        sa.UniqueConstraint("event_id", name=op.f("uq_defect_event_id")),
    )
    op.create_index(op.f("ix_defect_at_ms"), "defect", ["at_ms"], unique=False)
    op.create_index(op.f("ix_defect_code"), "defect", ["code"], unique=False)
    op.create_index("ix_defect_subject", "defect", ["subject_kind", "subject_code"], unique=False)


def _device() -> None:
    op.create_table(
        "device",
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("station", sa.String(length=64), nullable=True),
        sa.Column("enrol_hash", sa.String(length=64), nullable=True),
        sa.Column("enrol_until_real_ms", sa.BigInteger(), nullable=True),
        sa.Column("token_hash", sa.String(length=64), nullable=True),
        sa.Column("enrolled_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_device")),
        sa.UniqueConstraint("enrol_hash", name=op.f("uq_device_enrol_hash")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_device_token_hash")),
    )


def _erp_change() -> None:
    op.create_table(
        "erp_change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("order_number", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("old", sa.String(length=80), nullable=False),
        sa.Column("new", sa.String(length=80), nullable=False),
        sa.Column("made", sa.Integer(), nullable=False),
        sa.Column("proposal_en", sa.String(length=300), nullable=False),
        sa.Column("proposal_zh", sa.String(length=300), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.String(length=40), nullable=True),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erp_change")),
    )
    op.create_index(op.f("ix_erp_change_order_number"), "erp_change", ["order_number"], unique=False)
    op.create_index(op.f("ix_erp_change_status"), "erp_change", ["status"], unique=False)


def _erp_cursor() -> None:
    op.create_table(
        "erp_cursor",
        sa.Column("entity", sa.String(length=20), nullable=False),
        sa.Column("cursor", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("entity", name=op.f("pk_erp_cursor")),
    )


def _erp_handed() -> None:
    op.create_table(
        "erp_handed",
        sa.Column("order_number", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=160), nullable=False),
        sa.Column("quantity", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("order_number", "key", name=op.f("pk_erp_handed")),
    )


def _erp_inbound() -> None:
    op.create_table(
        "erp_inbound",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("entity", sa.String(length=20), nullable=False),
        sa.Column("external_id", sa.String(length=80), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("order_number", sa.String(length=40), nullable=True),
        sa.Column("error_en", sa.String(length=500), nullable=False),
        sa.Column("error_zh", sa.String(length=500), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erp_inbound")),
        sa.UniqueConstraint("entity", "external_id", name=op.f("uq_erp_inbound_entity_external_id")),
    )
    op.create_index(op.f("ix_erp_inbound_order_number"), "erp_inbound", ["order_number"], unique=False)
    op.create_index(op.f("ix_erp_inbound_status"), "erp_inbound", ["status"], unique=False)


def _erp_message() -> None:
    op.create_table(
        "erp_message",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("message_id", sa.String(length=36), nullable=False),
        sa.Column("reference", sa.String(length=80), nullable=False),
        sa.Column("order_number", sa.String(length=40), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("posted_ms", sa.BigInteger(), nullable=True),
        sa.Column("erp_document", sa.String(length=80), nullable=True),
        sa.Column("error_code", sa.String(length=60), nullable=False),
        sa.Column("erp_words_en", sa.String(length=500), nullable=False),
        sa.Column("erp_words_zh", sa.String(length=500), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erp_message")),
        sa.UniqueConstraint("message_id", name=op.f("uq_erp_message_message_id")),
        sa.UniqueConstraint("order_number", "sequence", name=op.f("uq_erp_message_order_number_sequence")),
        sa.UniqueConstraint("reference", name=op.f("uq_erp_message_reference")),
    )
    op.create_index(op.f("ix_erp_message_order_number"), "erp_message", ["order_number"], unique=False)
    op.create_index(op.f("ix_erp_message_status"), "erp_message", ["status"], unique=False)


def _erp_touched() -> None:
    op.create_table(
        "erp_touched",
        sa.Column("order_number", sa.String(length=40), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("reporter", sa.String(length=40), nullable=True),
        sa.Column("occurred_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("order_number", name=op.f("pk_erp_touched")),
    )


def _help_call() -> None:
    op.create_table(
        "help_call",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("machine", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("person", sa.String(length=40), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("answered_ms", sa.BigInteger(), nullable=True),
        sa.Column("answered_by", sa.String(length=40), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_help_call")),
        sa.UniqueConstraint("event_id", name=op.f("uq_help_call_event_id")),
    )
    op.create_index(op.f("ix_help_call_answered_ms"), "help_call", ["answered_ms"], unique=False)


def _hold() -> None:
    op.create_table(
        "hold",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("subject_kind", sa.String(length=10), nullable=False),
        sa.Column("subject_code", sa.String(length=80), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.Column("person", sa.String(length=40), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("released_ms", sa.BigInteger(), nullable=True),
        sa.Column("released_by", sa.String(length=40), nullable=True),
        sa.Column("release_reason", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
        sa.UniqueConstraint("event_id", name=op.f("uq_hold_event_id")),
    )
    op.create_index(op.f("ix_hold_released_ms"), "hold", ["released_ms"], unique=False)
    op.create_index("ix_hold_subject", "hold", ["subject_kind", "subject_code"], unique=False)


def _ingest_device() -> None:
    op.create_table(
        "ingest_device",
        sa.Column("edge", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("edge", "device", name=op.f("pk_ingest_device")),
    )


def _ingest_mark() -> None:
    op.create_table(
        "ingest_mark",
        sa.Column("edge", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.String(length=16), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("born_ms", sa.BigInteger(), nullable=False),
        sa.Column("moved_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("edge", "epoch", name=op.f("pk_ingest_mark")),
    )


def _ingest_parked() -> None:
    op.create_table(
        "ingest_parked",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("edge", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.String(length=16), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ingest_parked")),
    )
    op.create_index("ix_ingest_parked_device", "ingest_parked", ["edge", "device", "id"], unique=False)


def _ingest_quarantine() -> None:
    op.create_table(
        "ingest_quarantine",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("topic", sa.String(length=300), nullable=False),
        sa.Column("reason", sa.String(length=400), nullable=False),
        sa.Column("mark", sa.String(length=40), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ingest_quarantine")),
    )


def _journal() -> None:
    op.create_table(
        "journal",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("type", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=160), nullable=False),
        sa.Column("occurred_ms", sa.BigInteger(), nullable=False),
        sa.Column("recorded_ms", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.String(length=40), nullable=True),
        sa.Column("device", sa.String(length=64), nullable=True),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_journal")),
        sa.UniqueConstraint("event_id", name=op.f("uq_journal_event_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_journal_occurred_ms"), "journal", ["occurred_ms"], unique=False)
    op.create_index(op.f("ix_journal_subject"), "journal", ["subject"], unique=False)
    op.create_index(op.f("ix_journal_type"), "journal", ["type"], unique=False)


def _journal_cursor() -> None:
    op.create_table(
        "journal_cursor",
        sa.Column("reader", sa.String(length=40), nullable=False),
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("reader", name=op.f("pk_journal_cursor")),
    )


def _journal_seal() -> None:
    op.create_table(
        "journal_seal",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_journal_seal")),
    )


def _lot() -> None:
    op.create_table(
        "lot",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("item", sa.String(length=64), nullable=False),
        sa.Column("unit", sa.String(length=20), nullable=False),
        sa.Column("received_milli", sa.BigInteger(), nullable=False),
        sa.Column("remaining_milli", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("holds", sa.Integer(), nullable=False),
        sa.Column("held_ms", sa.BigInteger(), nullable=True),
        sa.Column("supplier", sa.String(length=500), nullable=True),
        sa.Column("expires_ms", sa.BigInteger(), nullable=True),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("operation", sa.String(length=80), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lot")),
        sa.UniqueConstraint("code", name=op.f("uq_lot_code")),
    )
    op.create_index(op.f("ix_lot_item"), "lot", ["item"], unique=False)
    op.create_index("ix_lot_status", "lot", ["status", "id"], unique=False)


def _machine_live() -> None:
    op.create_table(
        "machine_live",
        sa.Column("machine", sa.String(length=64), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=True),
        sa.Column("state_raw", sa.BigInteger(), nullable=True),
        sa.Column("alarm", sa.String(length=64), nullable=True),
        sa.Column("order_no", sa.String(length=64), nullable=True),
        sa.Column("op_no", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("machine", name=op.f("pk_machine_live")),
    )


def _machine_state_point() -> None:
    op.create_table(
        "machine_state_point",
        sa.Column("machine", sa.String(length=64), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=True),
        sa.Column("state_raw", sa.BigInteger(), nullable=True),
        sa.Column("alarm", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("machine", "at_ms", name=op.f("pk_machine_state_point")),
        sqlite_with_rowid=False,
    )


def _material_movement() -> None:
    op.create_table(
        "material_movement",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("use", sa.String(length=10), nullable=False),
        sa.Column("operation", sa.String(length=80), nullable=False),
        sa.Column("order_number", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("item", sa.String(length=64), nullable=False),
        sa.Column("unit", sa.String(length=20), nullable=False),
        sa.Column("lot", sa.String(length=64), nullable=True),
        sa.Column("serial", sa.String(length=64), nullable=True),
        sa.Column("quantity_milli", sa.BigInteger(), nullable=False),
        sa.Column("machine", sa.String(length=64), nullable=True),
        sa.Column("person", sa.String(length=40), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("reverses", sa.String(length=36), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_material_movement")),
        sa.UniqueConstraint("event_id", name=op.f("uq_material_movement_event_id")),
        sa.UniqueConstraint("reverses", name=op.f("uq_material_movement_reverses")),
    )
    op.create_index(op.f("ix_material_movement_lot"), "material_movement", ["lot"], unique=False)
    op.create_index(op.f("ix_material_movement_operation"), "material_movement", ["operation"], unique=False)
    op.create_index(op.f("ix_material_movement_order_number"), "material_movement", ["order_number"], unique=False)
    op.create_index(op.f("ix_material_movement_person"), "material_movement", ["person"], unique=False)
    op.create_index(op.f("ix_material_movement_serial"), "material_movement", ["serial"], unique=False)


def _meter_border() -> None:
    op.create_table(
        "meter_border",
        sa.Column("meter", sa.String(length=64), nullable=False),
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("import_wh", sa.Double(), nullable=True),
        sa.Column("export_wh", sa.Double(), nullable=True),
        sa.Column("reactive_varh", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("meter", "key", name=op.f("pk_meter_border")),
        sqlite_with_rowid=False,
    )


def _meter_reading() -> None:
    op.create_table(
        "meter_reading",
        sa.Column("meter", sa.String(length=64), nullable=False),
        sa.Column("slot_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("import_wh", sa.Double(), nullable=True),
        sa.Column("export_wh", sa.Double(), nullable=True),
        sa.Column("reactive_varh", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("meter", "slot_ms", name=op.f("pk_meter_reading")),
        sqlite_with_rowid=False,
    )


def _person() -> None:
    op.create_table(
        "person",
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("user_name", sa.String(length=64), nullable=True),
        sa.Column("lang", sa.String(length=2), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("badge_hash", sa.String(length=64), nullable=True),
        sa.Column("badge_serial", sa.Integer(), nullable=False),
        sa.Column("badge_own", sa.Boolean(), nullable=False),
        sa.Column("pin_hash", sa.String(length=200), nullable=True),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_person")),
        sa.UniqueConstraint("badge_hash", name=op.f("uq_person_badge_hash")),
        sa.UniqueConstraint("user_name", name=op.f("uq_person_user_name")),
    )


def _photo() -> None:
    op.create_table(
        "photo",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("mime", sa.String(length=20), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("person", sa.String(length=40), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_photo")),
    )


def _plant_action() -> None:
    op.create_table(
        "plant_action",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("text", sa.String(length=400), nullable=False),
        sa.Column("person", sa.String(length=100), nullable=True),
        sa.Column("due", sa.String(length=10), nullable=True),
        sa.Column("topic", sa.String(length=160), nullable=True),
        sa.Column("day", sa.String(length=10), nullable=True),
        sa.Column("made_by", sa.String(length=40), nullable=True),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.Column("done_ms", sa.BigInteger(), nullable=True),
        sa.Column("done_by", sa.String(length=40), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plant_action")),
    )
    op.create_index("ix_plant_action_done_ms_made_ms", "plant_action", ["done_ms", "made_ms"], unique=False)


def _plant_alarm() -> None:
    op.create_table(
        "plant_alarm",
        sa.Column("machine_class", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("zh", sa.String(length=200), nullable=False),
        sa.Column("en", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("retired_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("machine_class", "code", name=op.f("pk_plant_alarm")),
    )


def _plant_line() -> None:
    op.create_table(
        "plant_line",
        sa.Column("oee_target", sa.Double(), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name_zh", sa.String(length=200), nullable=False),
        sa.Column("name_en", sa.String(length=200), nullable=False),
        sa.Column("retired_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_plant_line")),
    )


def _plant_machine() -> None:
    op.create_table(
        "plant_machine",
        sa.Column("line", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("machine_class", sa.String(length=64), nullable=False),
        sa.Column("counting", sa.String(length=10), nullable=False),
        sa.Column("micro_stop_s", sa.Double(), nullable=False),
        sa.Column("rated_power_w", sa.Double(), nullable=True),
        sa.Column("edge", sa.String(length=64), nullable=True),
        sa.Column("device", sa.String(length=64), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name_zh", sa.String(length=200), nullable=False),
        sa.Column("name_en", sa.String(length=200), nullable=False),
        sa.Column("retired_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_plant_machine")),
    )
    op.create_index(op.f("ix_plant_machine_line"), "plant_machine", ["line"], unique=False)


def _plant_meter() -> None:
    op.create_table(
        "plant_meter",
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("machine", sa.String(length=64), nullable=True),
        sa.Column("line", sa.String(length=64), nullable=True),
        sa.Column("rated_power_w", sa.Double(), nullable=True),
        sa.Column("edge", sa.String(length=64), nullable=True),
        sa.Column("device", sa.String(length=64), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name_zh", sa.String(length=200), nullable=False),
        sa.Column("name_en", sa.String(length=200), nullable=False),
        sa.Column("retired_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_plant_meter")),
    )


def _plant_reason() -> None:
    op.create_table(
        "plant_reason",
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("zh", sa.String(length=200), nullable=False),
        sa.Column("en", sa.String(length=200), nullable=False),
        sa.Column("time_class", sa.String(length=20), nullable=False),
        sa.Column("planned", sa.Boolean(), nullable=False),
        sa.Column("machine_classes", sa.JSON(), nullable=False),
        sa.Column("retired_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_plant_reason")),
    )


def _plant_revision() -> None:
    op.create_table(
        "plant_revision",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("recorded_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_plant_revision")),
    )


def _plant_shift() -> None:
    op.create_table(
        "plant_shift",
        sa.Column("start", sa.String(length=5), nullable=False),
        sa.Column("end", sa.String(length=5), nullable=False),
        sa.Column("weekdays", sa.JSON(), nullable=False),
        sa.Column("breaks", sa.JSON(), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name_zh", sa.String(length=200), nullable=False),
        sa.Column("name_en", sa.String(length=200), nullable=False),
        sa.Column("retired_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_plant_shift")),
    )


def _plant_site() -> None:
    op.create_table(
        "plant_site",
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("production_day_start", sa.String(length=5), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("scrap_order", sa.JSON(), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name_zh", sa.String(length=200), nullable=False),
        sa.Column("name_en", sa.String(length=200), nullable=False),
        sa.Column("retired_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_plant_site")),
    )


def _plant_station() -> None:
    op.create_table(
        "plant_station",
        sa.Column("machines", sa.JSON(), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name_zh", sa.String(length=200), nullable=False),
        sa.Column("name_en", sa.String(length=200), nullable=False),
        sa.Column("retired_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_plant_station")),
    )


def _product_item() -> None:
    op.create_table(
        "product_item",
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name_zh", sa.String(length=200), nullable=False),
        sa.Column("name_en", sa.String(length=200), nullable=False),
        sa.Column("unit", sa.String(length=20), nullable=False),
        sa.Column("tracking", sa.String(length=10), nullable=False),
        sa.Column("family", sa.String(length=64), nullable=True),
        sa.Column("box_quantity", sa.Double(), nullable=True),
        sa.Column("gtin", sa.String(length=14), nullable=True),
        sa.Column("bom_revision", sa.String(length=64), nullable=True),
        sa.Column("routing_revision", sa.String(length=64), nullable=True),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_product_item")),
        sa.UniqueConstraint("gtin", name=op.f("uq_product_item_gtin")),
    )
    op.create_index(op.f("ix_product_item_family"), "product_item", ["family"], unique=False)


def _refused_act() -> None:
    op.create_table(
        "refused_act",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("type", sa.String(length=60), nullable=False),
        sa.Column("person", sa.String(length=40), nullable=True),
        sa.Column("device", sa.String(length=64), nullable=True),
        sa.Column("occurred_ms", sa.BigInteger(), nullable=False),
        sa.Column("refused_ms", sa.BigInteger(), nullable=False),
        sa.Column("act", sa.JSON(), nullable=False),
        sa.Column("problem_zh", sa.JSON(), nullable=False),
        sa.Column("problem_en", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(length=8), nullable=False),
        sa.Column("decided_by", sa.String(length=40), nullable=True),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refused_act")),
        sa.UniqueConstraint("event_id", name=op.f("uq_refused_act_event_id")),
    )
    op.create_index(op.f("ix_refused_act_status"), "refused_act", ["status"], unique=False)


def _serial() -> None:
    op.create_table(
        "serial",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("item", sa.String(length=64), nullable=False),
        sa.Column("order_number", sa.String(length=64), nullable=False),
        sa.Column("operation", sa.String(length=80), nullable=False),
        sa.Column("machine", sa.String(length=64), nullable=True),
        sa.Column("person", sa.String(length=40), nullable=True),
        sa.Column("produced_ms", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("holds", sa.Integer(), nullable=False),
        sa.Column("held_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_serial")),
        sa.UniqueConstraint("code", name=op.f("uq_serial_code")),
    )
    op.create_index(op.f("ix_serial_order_number"), "serial", ["order_number"], unique=False)


def _setup_token() -> None:
    op.create_table(
        "setup_token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("ends_real_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_setup_token")),
    )


def _stop_reason() -> None:
    op.create_table(
        "stop_reason",
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("machine", sa.String(length=64), nullable=False),
        sa.Column("stop_from_ms", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("note", sa.String(length=400), nullable=False),
        sa.Column("person", sa.String(length=40), nullable=True),
        sa.Column("occurred_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_stop_reason")),
    )
    op.create_index("ix_stop_reason_machine_stop_from_ms", "stop_reason", ["machine", "stop_from_ms"], unique=False)


def _stop_split() -> None:
    op.create_table(
        "stop_split",
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("machine", sa.String(length=64), nullable=False),
        sa.Column("stop_from_ms", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.String(length=40), nullable=True),
        sa.Column("occurred_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_stop_split")),
    )
    op.create_index("ix_stop_split_machine_at_ms", "stop_split", ["machine", "at_ms"], unique=False)


def _trace_node() -> None:
    op.create_table(
        "trace_node",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trace_node")),
        sa.UniqueConstraint("kind", "code", name=op.f("uq_trace_node_kind_code")),
    )


def _watch_mark() -> None:
    op.create_table(
        "watch_mark",
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=90), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "source", name=op.f("pk_watch_mark")),
    )


def _work_order() -> None:
    op.create_table(
        "work_order",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("item", sa.String(length=64), nullable=False),
        sa.Column("item_name_zh", sa.String(length=200), nullable=False),
        sa.Column("item_name_en", sa.String(length=200), nullable=False),
        sa.Column("unit", sa.String(length=20), nullable=False),
        sa.Column("tracking", sa.String(length=10), nullable=False),
        sa.Column("box_quantity", sa.Integer(), nullable=True),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("quantity_before", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=True),
        sa.Column("status_ms", sa.BigInteger(), nullable=False),
        sa.Column("bom_revision", sa.String(length=40), nullable=True),
        sa.Column("routing_revision", sa.String(length=40), nullable=True),
        sa.Column("bom", sa.JSON(), nullable=False),
        sa.Column("erp_id", sa.String(length=100), nullable=True),
        sa.Column("erp_version", sa.BigInteger(), nullable=True),
        sa.Column("pending_change", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_work_order")),
        sa.UniqueConstraint("erp_id", name=op.f("uq_work_order_erp_id")),
        sa.UniqueConstraint("number", name=op.f("uq_work_order_number")),
    )
    op.create_index(op.f("ix_work_order_item"), "work_order", ["item"], unique=False)
    op.create_index("ix_work_order_queue", "work_order", ["status", "priority", "due_ms", "id"], unique=False)
    op.create_index(op.f("ix_work_order_status"), "work_order", ["status"], unique=False)


def _operation() -> None:
    op.create_table(
        "operation",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("order_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("order_number", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("previous_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("last", sa.Boolean(), nullable=False),
        sa.Column("name_zh", sa.String(length=200), nullable=False),
        sa.Column("name_en", sa.String(length=200), nullable=False),
        sa.Column("machine_class", sa.String(length=40), nullable=False),
        sa.Column("machines", sa.JSON(), nullable=False),
        sa.Column("counting", sa.String(length=10), nullable=False),
        sa.Column("cycle_s", sa.Double(), nullable=True),
        sa.Column("setup_s", sa.Double(), nullable=True),
        sa.Column("milestone", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("planned", sa.Integer(), nullable=False),
        sa.Column("good", sa.Integer(), nullable=False),
        sa.Column("scrap", sa.Integer(), nullable=False),
        sa.Column("rework", sa.Integer(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(length=40), nullable=True),
        sa.Column("last_report_ms", sa.BigInteger(), nullable=True),
        sa.Column("held", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["work_order.id"], name=op.f("fk_operation_order_id")),
        sa.ForeignKeyConstraint(["previous_id"], ["operation.id"], name=op.f("fk_operation_previous_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operation")),
        sa.UniqueConstraint("order_number", "number", name=op.f("uq_operation_order_number_number")),
    )
    op.create_index(op.f("ix_operation_order_id"), "operation", ["order_id"], unique=False)
    op.create_index(op.f("ix_operation_previous_id"), "operation", ["previous_id"], unique=False)
    op.create_index("ix_operation_status", "operation", ["status", "order_id"], unique=False)


def _person_role() -> None:
    op.create_table(
        "person_role",
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("area", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["person.code"], name=op.f("fk_person_role_person")),
        sa.PrimaryKeyConstraint("person", "role", "area", name=op.f("pk_person_role")),
    )


def _product_revision() -> None:
    op.create_table(
        "product_revision",
        sa.Column("item", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("revision", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("recorded_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["item"], ["product_item.code"], name=op.f("fk_product_revision_item")),
        sa.PrimaryKeyConstraint("item", "kind", "revision", name=op.f("pk_product_revision")),
    )


def _session() -> None:
    op.create_table(
        "session",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=True),
        sa.Column("station", sa.String(length=64), nullable=True),
        sa.Column("means", sa.String(length=10), nullable=False),
        sa.Column("opened_real_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_real_ms", sa.BigInteger(), nullable=False),
        sa.Column("ends_real_ms", sa.BigInteger(), nullable=False),
        sa.Column("idle_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["person.code"], name=op.f("fk_session_person")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_session")),
    )
    op.create_index(op.f("ix_session_device"), "session", ["device"], unique=False)
    op.create_index(op.f("ix_session_person"), "session", ["person"], unique=False)


def _trace_edge() -> None:
    op.create_table(
        "trace_edge",
        sa.Column("parent", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("child", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("quantity_milli", sa.BigInteger(), nullable=False),
        sa.Column("unit", sa.String(length=20), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("operation", sa.String(length=80), nullable=False),
        sa.Column("person", sa.String(length=40), nullable=True),
        sa.Column("precision", sa.String(length=6), nullable=False),
        sa.ForeignKeyConstraint(["child"], ["trace_node.id"], name=op.f("fk_trace_edge_child")),
        sa.ForeignKeyConstraint(["parent"], ["trace_node.id"], name=op.f("fk_trace_edge_parent")),
        sa.PrimaryKeyConstraint("parent", "child", "event_id", name=op.f("pk_trace_edge")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_trace_edge_event", "trace_edge", ["event_id"], unique=False)
    op.create_index("ix_trace_edge_reverse", "trace_edge", ["child", "parent"], unique=False)


def _machine_count() -> None:
    op.create_table(
        "machine_count",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("machine", sa.String(length=64), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("good", sa.Integer(), nullable=False),
        sa.Column("scrap", sa.Integer(), nullable=False),
        sa.Column("order_no", sa.String(length=64), nullable=True),
        sa.Column("op_no", sa.Integer(), nullable=True),
        sa.Column("operation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("booked", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["operation_id"], ["operation.id"], name=op.f("fk_machine_count_operation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_machine_count")),
    )
    op.create_index(
        "ix_machine_count_homeless",
        "machine_count",
        ["order_no"],
        unique=False,
        sqlite_where=sa.text("operation_id IS NULL"),
        postgresql_where=sa.text("operation_id IS NULL"),
    )
    op.create_index("ix_machine_count_machine", "machine_count", ["machine", "at_ms"], unique=False)
    op.create_index("ix_machine_count_operation", "machine_count", ["operation_id"], unique=False)


def _operation_machine() -> None:
    op.create_table(
        "operation_machine",
        sa.Column("machine", sa.String(length=64), nullable=False),
        sa.Column("operation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["operation_id"], ["operation.id"], name=op.f("fk_operation_machine_operation_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("machine", "operation_id", name=op.f("pk_operation_machine")),
    )
    op.create_index(op.f("ix_operation_machine_operation_id"), "operation_machine", ["operation_id"], unique=False)


def _operation_mark() -> None:
    op.create_table(
        "operation_mark",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("operation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("machine", sa.String(length=64), nullable=True),
        sa.Column("person", sa.String(length=40), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("voided", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["operation_id"], ["operation.id"], name=op.f("fk_operation_mark_operation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operation_mark")),
        sa.UniqueConstraint("event_id", "operation_id", "machine", name=op.f("uq_operation_mark_event_id_operation_id_machine")),
    )
    op.create_index(op.f("ix_operation_mark_operation_id"), "operation_mark", ["operation_id"], unique=False)


def _operation_run() -> None:
    op.create_table(
        "operation_run",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("operation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("machine", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=40), nullable=True),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("to_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["operation_id"], ["operation.id"], name=op.f("fk_operation_run_operation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operation_run")),
    )
    op.create_index("ix_operation_run_machine", "operation_run", ["machine", "from_ms"], unique=False)
    op.create_index(op.f("ix_operation_run_operation_id"), "operation_run", ["operation_id"], unique=False)


def _production_report() -> None:
    op.create_table(
        "production_report",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("operation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("machine", sa.String(length=64), nullable=True),
        sa.Column("person", sa.String(length=40), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("acted_ms", sa.BigInteger(), nullable=False),
        sa.Column("good", sa.Integer(), nullable=False),
        sa.Column("scrap", sa.Integer(), nullable=False),
        sa.Column("rework", sa.Integer(), nullable=False),
        sa.Column("said_good", sa.Integer(), nullable=False),
        sa.Column("said_scrap", sa.Integer(), nullable=False),
        sa.Column("said_rework", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("origin", sa.String(length=10), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.Column("serials", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("reverses", sa.String(length=36), nullable=True),
        sa.ForeignKeyConstraint(["operation_id"], ["operation.id"], name=op.f("fk_production_report_operation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_production_report")),
        sa.UniqueConstraint("event_id", name=op.f("uq_production_report_event_id")),
    )
    op.create_index("ix_production_report_machine", "production_report", ["machine", "at_ms"], unique=False)
    op.create_index("ix_production_report_operation", "production_report", ["operation_id", "at_ms"], unique=False)
    op.create_index(op.f("ix_production_report_reverses"), "production_report", ["reverses"], unique=False)


def upgrade() -> None:
    _api_token()
    _data_gap()
    _day_revision()
    _defect()
    _device()
    _erp_change()
    _erp_cursor()
    _erp_handed()
    _erp_inbound()
    _erp_message()
    _erp_touched()
    _help_call()
    _hold()
    _ingest_device()
    _ingest_mark()
    _ingest_parked()
    _ingest_quarantine()
    _journal()
    _journal_cursor()
    _journal_seal()
    _lot()
    _machine_live()
    _machine_state_point()
    _material_movement()
    _meter_border()
    _meter_reading()
    _person()
    _photo()
    _plant_action()
    _plant_alarm()
    _plant_line()
    _plant_machine()
    _plant_meter()
    _plant_reason()
    _plant_revision()
    _plant_shift()
    _plant_site()
    _plant_station()
    _product_item()
    _refused_act()
    _serial()
    _setup_token()
    _stop_reason()
    _stop_split()
    _trace_node()
    _watch_mark()
    _work_order()
    _operation()
    _person_role()
    _product_revision()
    _session()
    _trace_edge()
    _machine_count()
    _operation_machine()
    _operation_mark()
    _operation_run()
    _production_report()
    bind = op.get_bind()
    for statement in journal.guards(bind.dialect.name):
        bind.exec_driver_sql(statement)
