"""Let actions have limits, and runs wait for slots."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Forward only. What is at work when a limit is set gets its slot then."""
    op.add_column("jobs", sa.Column("priority", sa.Integer(), server_default="0", nullable=False))
    for column in (
        sa.Column("lane", sa.String(), nullable=True),
        sa.Column("lined_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rank", sa.Integer(), nullable=True),
        sa.Column("slot_at", sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column("runs", column)
    in_line = sa.text("lane IS NOT NULL AND slot_at IS NULL")
    line = ["lane", "org", "rank", "lined_at", "job", "node"]
    op.create_index("ix_runs_in_line", "runs", line, sqlite_where=in_line, postgresql_where=in_line)
    has_slot = sa.text("slot_at IS NOT NULL")
    op.create_index(
        "ix_runs_slots",
        "runs",
        ["lane", "org", "node"],
        sqlite_where=has_slot,
        postgresql_where=has_slot,
    )
    op.create_table(
        "limits",
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("declared", sa.Boolean(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("task", "scope", "name", "declared", name="pk_limits"),
    )
    op.create_table(
        "turns",
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("org", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("lane", "org", name="pk_turns"),
    )
