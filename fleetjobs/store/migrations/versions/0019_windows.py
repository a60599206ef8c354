"""Let windows and pauses hold up what would begin."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Forward only. Jobs that were accepted before keep to what windows there are."""
    op.add_column("jobs", sa.Column("window_only", sa.Boolean(), nullable=True))
    op.add_column("runs", sa.Column("opens_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("runs", sa.Column("told_until", sa.DateTime(timezone=True), nullable=True))
    held_up = sa.text("wait_reason IN ('window', 'pause')")
    op.create_index(
        "ix_runs_held_up",
        "runs",
        ["wait_reason", "org", "node"],
        sqlite_where=held_up,
        postgresql_where=held_up,
    )
    op.create_table(
        "windows",
        sa.Column("org", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org", "name", name="pk_windows"),
    )
